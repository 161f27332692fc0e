/* The application: its windows, its options, and the self-portraits. */
#include "window.h"

#include "actions-private.h"
#include "screenshots-private.h"

#include <libintl.h>
#include <locale.h>

#define MS_TYPE_APPLICATION (ms_application_get_type ())
G_DECLARE_FINAL_TYPE (MsApplication, ms_application, MS, APPLICATION, AdwApplication)

struct _MsApplication
{
  AdwApplication parent_instance;
  char *screenshots, *screen, *select, *size;
  double wait; /* seconds for each picture */
};

G_DEFINE_FINAL_TYPE (MsApplication, ms_application, ADW_TYPE_APPLICATION)

static const char style[]
    = "button.crumb { padding: 1px 9px; min-height: 22px; border-radius: 12px; }"
      "button.run { padding: 1px; min-height: 22px; min-width: 26px; }"
      ".figure-dim { opacity: 0.5; }"
      "figure:focus-visible, columnview row:focus-visible {"
      " outline: 2px solid alpha(@accent_color, 0.7); outline-offset: -2px; }"
      "list.facts { background: none; }"
      "scrolledwindow.table > overshoot { background: none; box-shadow: none; }"
      "list.facts > row { padding: 1px 0; min-height: 0; }"
      "textview.sql { font-family: monospace; }";

static void
startup (GApplication *application)
{
  GtkCssProvider *css = gtk_css_provider_new ();

  G_APPLICATION_CLASS (ms_application_parent_class)->startup (application);
  /* Figures and files write numbers in the C locale; GTK's start set the user's. */
  setlocale (LC_NUMERIC, "C");
  gtk_css_provider_load_from_data (css, style, -1);
  gtk_style_context_add_provider_for_display (gdk_display_get_default (), GTK_STYLE_PROVIDER (css),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
  g_object_unref (css);
  gtk_icon_theme_add_search_path (gtk_icon_theme_get_for_display (gdk_display_get_default ()),
                                  MS_ICONS);
  gtk_window_set_default_icon_name ("org.moescope.Moescope");
  ms_actions_install_application (GTK_APPLICATION (application));
}

static void
prepare (MsApplication *self, MsWindow *window)
{
  int width, height;

  if (self->size != NULL && sscanf (self->size, "%dx%d", &width, &height) == 2)
    gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  if (self->screen != NULL)
    ms_window_show_screen (window, self->screen);
  gtk_window_present (GTK_WINDOW (window));
  if (self->screenshots != NULL)
    ms_screenshots_start (window, self->screenshots, self->wait);
}

static void
activate (GApplication *application)
{
  GtkWindow *active = gtk_application_get_active_window (GTK_APPLICATION (application));

  if (active != NULL)
    gtk_window_present (active);
  else
    prepare (MS_APPLICATION (application), ms_actions_new_window (GTK_APPLICATION (application)));
}

static void
open_files (GApplication *application, GFile **files, int n, const char *hint)
{
  MsApplication *self = MS_APPLICATION (application);

  for (int i = 0; i < n; i++)
    {
      MsWindow *window = ms_actions_new_window (GTK_APPLICATION (application));
      g_autofree char *path = g_file_get_path (files[i]);
      g_autoptr (GError) error = NULL;

      if (path != NULL)
        gtk_widget_activate_action (GTK_WIDGET (window), "win.open-path", "s", path);
      if (self->select != NULL
          && !ms_session_set_text (ms_workbench_get_session (ms_window_get_bench (window)),
                                   self->select, &error))
        g_printerr ("moescope-gui: %s\n", error->message);
      prepare (self, window);
    }
}

static void
finalize (GObject *object)
{
  MsApplication *self = MS_APPLICATION (object);

  g_free (self->screenshots);
  g_free (self->screen);
  g_free (self->select);
  g_free (self->size);
  G_OBJECT_CLASS (ms_application_parent_class)->finalize (object);
}

static void
ms_application_class_init (MsApplicationClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
  G_APPLICATION_CLASS (class)->startup = startup;
  G_APPLICATION_CLASS (class)->activate = activate;
  G_APPLICATION_CLASS (class)->open = open_files;
}

static int
handle_local_options (MsApplication *self, GVariantDict *options)
{
  g_variant_dict_lookup (options, "screenshot-all", "^ay", &self->screenshots);
  g_variant_dict_lookup (options, "screenshot-wait", "d", &self->wait);
  g_variant_dict_lookup (options, "screen", "s", &self->screen);
  g_variant_dict_lookup (options, "select", "s", &self->select);
  g_variant_dict_lookup (options, "size", "s", &self->size);
  if (g_variant_dict_contains (options, "version"))
    {
      g_print ("moescope " MS_VERSION "\n");
      return 0;
    }
  if (self->screenshots != NULL)
    g_application_set_flags (G_APPLICATION (self), g_application_get_flags (G_APPLICATION (self))
                                                       | G_APPLICATION_NON_UNIQUE);
  return -1;
}

static void
ms_application_init (MsApplication *self)
{
  static const GOptionEntry options[] = {
    { "screen", 0, 0, G_OPTION_ARG_STRING, NULL, N_ ("Show this screen"), N_ ("NAME") },
    { "select", 0, 0, G_OPTION_ARG_STRING, NULL, N_ ("Start with this selection"), N_ ("TEXT") },
    { "size", 0, 0, G_OPTION_ARG_STRING, NULL, N_ ("Size of the window"), N_ ("WIDTHxHEIGHT") },
    { "screenshot-all", 0, 0, G_OPTION_ARG_FILENAME, NULL,
      N_ ("Write a picture of every screen into this folder and end"), N_ ("FOLDER") },
    { "screenshot-wait", 0, 0, G_OPTION_ARG_DOUBLE, NULL,
      N_ ("Wait so long for each to be computed (default: 120)"), N_ ("SECONDS") },
    { "version", 0, 0, G_OPTION_ARG_NONE, NULL, N_ ("Print the version and end"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };

  self->wait = 120;
  g_application_add_main_option_entries (G_APPLICATION (self), options);
  g_application_set_option_context_parameter_string (G_APPLICATION (self), "[RUN.db]");
  g_signal_connect (self, "handle-local-options", G_CALLBACK (handle_local_options), NULL);
}

AdwApplication *
ms_application_new (void)
{
  bindtextdomain (GETTEXT_PACKAGE, MS_LOCALES);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  return g_object_new (MS_TYPE_APPLICATION, "application-id", "org.moescope.Moescope", "flags",
                       G_APPLICATION_HANDLES_OPEN, NULL);
}
