/* MsWindow puts the panes together.  Left: runs and screens; middle: the screen under the breadcrumb of the
 * selection; right: what is under the pointer; below: the jobs.  It gets its actions from outside, by
 * ms_actions_new_window, and asks for what others do by their names. */
#include "window-private.h"

#include "crumbs-private.h"
#include "detail-pane-private.h"
#include "job-bar-private.h"
#include "pieces-private.h"
#include "run-list-private.h"
#include "slices-private.h"
#include "start-page-private.h"
#include "tab-list-private.h"
#include "window.h"

#include <string.h>

#define LEAST_WITH_DETAILS 1100 /* pixels */

struct _MsWindow
{
  AdwApplicationWindow parent_instance;
  MsWorkbench *bench;
  AdwToastOverlay *toasts;
  AdwWindowTitle *title;
  GtkStack *pages; /* "start" or "bench" */
  GtkStack *screens;
  GtkListBox *screen_list;
  AdwFlap *left, *right;
  GtkWidget *toggles[2]; /* of the panes */
  MsStartPage *start;
  GtkMenuButton *menu;
  gboolean restored; /* the selection of last time was looked for */
  gboolean narrow;   /* as the width was last seen */
};

G_DEFINE_FINAL_TYPE (MsWindow, ms_window, ADW_TYPE_APPLICATION_WINDOW)

/* --- State kept between starts ---------------------------------------------------------------- */

static char *
state_path (void)
{
  return g_build_filename (g_get_user_state_dir (), "moescope", "window.ini", NULL);
}

static GKeyFile *
load_state (void)
{
  GKeyFile *state = g_key_file_new ();
  g_autofree char *path = state_path ();

  g_key_file_load_from_file (state, path, G_KEY_FILE_NONE, NULL);
  return state;
}

/* What the file holds, told from another one of the same name: its first run. (transfer full) */
static char *
identify_file (MsWindow *self)
{
  GListModel *runs = ms_workbench_get_runs (self->bench);
  guint n = g_list_model_get_n_items (runs);
  g_autoptr (MsRunItem) first = n > 0 ? g_list_model_get_item (runs, n - 1) : NULL;
  const MsRun *run = first != NULL ? ms_run_item_run (first) : NULL;

  if (run == NULL)
    return g_strdup ("");
  return g_strdup_printf (
      "%" G_GINT64_FORMAT " %s %s %s", run->id, run->name != NULL ? run->name : "",
      run->started != NULL ? run->started : "",
      ms_run_item_model (first)->fingerprint != NULL ? ms_run_item_model (first)->fingerprint : "");
}

void
ms_window_save_state (MsWindow *self)
{
  g_autoptr (GKeyFile) state = load_state ();
  g_autofree char *path = state_path ();
  g_autofree char *folder = g_path_get_dirname (path);
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  g_key_file_set_integer (state, "window", "width", width);
  g_key_file_set_integer (state, "window", "height", height);
  g_key_file_set_boolean (state, "window", "maximized",
                          gtk_window_is_maximized (GTK_WINDOW (self)));
  g_key_file_set_string (state, "window", "screen", ms_window_get_screen_name (self));
  if (ms_workbench_get_state (self->bench) == MS_BENCH_READY)
    {
      g_autofree char *identity = identify_file (self);

      g_key_file_set_string (state, "file", "path", ms_workbench_get_path (self->bench));
      g_key_file_set_string (state, "file", "identity", identity);
      g_key_file_set_string (state, "file", "selection",
                             ms_session_get_text (ms_workbench_get_session (self->bench)));
    }
  if (g_mkdir_with_parents (folder, 0700) == 0)
    g_key_file_save_to_file (state, path, NULL);
}

/* Whether the text names runs that the file has not. */
static gboolean
names_other_runs (MsWindow *self, const char *text)
{
  g_autoptr (MsSelection) selection = ms_selection_parse (text, NULL);

  return selection == NULL
         || (selection->run > 0 && ms_workbench_find_run (self->bench, selection->run) == NULL)
         || (selection->base > 0 && ms_workbench_find_run (self->bench, selection->base) == NULL);
}

static void
restore_selection (MsWindow *self)
{
  g_autoptr (GKeyFile) state = load_state ();
  g_autofree char *path = g_key_file_get_string (state, "file", "path", NULL);
  g_autofree char *text = g_key_file_get_string (state, "file", "selection", NULL);
  g_autofree char *saved = g_key_file_get_string (state, "file", "identity", NULL);
  g_autofree char *identity = identify_file (self);
  MsSession *session = ms_workbench_get_session (self->bench);

  if (path != NULL && text != NULL && *ms_session_get_text (session) == '\0'
      && strcmp (path, ms_workbench_get_path (self->bench)) == 0 && g_strcmp0 (saved, identity) == 0
      && !names_other_runs (self, text))
    ms_session_set_text (session, text, NULL);
}

/* --- Following workbench and session ---------------------------------------------------------- */

static void
update_title (MsWindow *self)
{
  MsRunItem *run = ms_workbench_get_run (self->bench);
  const char *path = ms_workbench_get_path (self->bench);
  g_autofree char *name = path ? g_path_get_basename (path) : NULL;
  g_autofree char *title = run ? ms_run_item_dup_title (run) : NULL;
  g_autofree char *label = run ? ms_run_item_dup_label (run) : NULL;
  g_autofree char *subtitle = label && name ? g_strdup_printf ("%s · %s", name, label) : NULL;

  adw_window_title_set_title (self->title, title ? title : name ? name : "moescope");
  adw_window_title_set_subtitle (self->title, subtitle ? subtitle : "");
  gtk_window_set_title (GTK_WINDOW (self), title ? title : name ? name : "moescope");
}

static void
remember_file (const char *path)
{
  g_autofree char *uri = g_filename_to_uri (path, NULL, NULL);
  GtkRecentData data = { .mime_type = (char *) "application/vnd.sqlite3",
                         .app_name = (char *) "moescope",
                         .app_exec = (char *) "moescope-gui %f" };

  if (uri != NULL)
    gtk_recent_manager_add_full (gtk_recent_manager_get_default (), uri, &data);
}

static void
on_state_changed (MsWindow *self)
{
  MsBenchState state = ms_workbench_get_state (self->bench);

  gtk_stack_set_visible_child_name (self->pages, state == MS_BENCH_EMPTY ? "start" : "bench");
  for (guint i = 0; i < G_N_ELEMENTS (self->toggles); i++)
    gtk_widget_set_visible (self->toggles[i], state != MS_BENCH_EMPTY);
  if (state == MS_BENCH_EMPTY)
    ms_start_page_refresh (self->start);
  if (state == MS_BENCH_OPENING)
    self->restored = FALSE;
  if (state == MS_BENCH_READY && !self->restored)
    {
      self->restored = TRUE;
      remember_file (ms_workbench_get_path (self->bench));
      restore_selection (self);
    }
  update_title (self);
}

static void
on_toast (MsWindow *self, const char *text)
{
  adw_toast_overlay_add_toast (self->toasts, ms_toast_new (text));
}

/* --- Screens ---------------------------------------------------------------------------------- */

/* The place of a screen in the list, -1 when there is none of this name. */
static int
screen_index (const char *name)
{
  const MsScreenInfo *info = ms_screen_find (name);

  return info != NULL ? (int) (info - ms_screens) : -1;
}

/* Makes a screen when it is first asked for: all of them at once would keep the window from its first
 * frame. */
static GtkWidget *
ensure_screen (MsWindow *self, int index)
{
  GtkWidget *screen = gtk_stack_get_child_by_name (self->screens, ms_screens[index].name);

  if (screen == NULL)
    {
      screen = ms_screen_make (&ms_screens[index], self->bench);
      gtk_stack_add_named (self->screens, screen, ms_screens[index].name);
    }
  return screen;
}

void
ms_window_show_screen (MsWindow *self, const char *name)
{
  int index = screen_index (name);

  if (index < 0)
    return;
  if (g_strcmp0 (ms_window_get_screen_name (self), name) != 0)
    ms_detail_pane_forget (MS_DETAIL_PANE (adw_flap_get_flap (self->right)));
  gtk_stack_set_visible_child (self->screens, ensure_screen (self, index));
  gtk_list_box_select_row (self->screen_list,
                           gtk_list_box_get_row_at_index (self->screen_list, index));
  if (adw_flap_get_folded (self->left))
    adw_flap_set_reveal_flap (self->left, FALSE);
}

/* --- Putting it together ---------------------------------------------------------------------- */

static gboolean
on_drop (MsWindow *self, const GValue *value, double x, double y)
{
  GSList *files = g_value_get_boxed (value);
  g_autofree char *path = files ? g_file_get_path (files->data) : NULL;

  return path != NULL && gtk_widget_activate_action (GTK_WIDGET (self), "win.open-path", "s", path);
}

static void
on_screen_row (MsWindow *self, GtkListBoxRow *row)
{
  ms_window_show_screen (self, ms_screens[gtk_list_box_row_get_index (row)].name);
}

static void
list_screen (MsWindow *self, const MsScreenInfo *info)
{
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);

  gtk_box_append (GTK_BOX (box), ms_icon_new (info->icon));
  gtk_box_append (GTK_BOX (box), gtk_label_new (_ (info->title)));
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ (info->title), -1);
  gtk_list_box_append (self->screen_list, row);
}

static GtkWidget *
icon_button (const char *icon, const char *name, const char *action)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  gtk_actionable_set_detailed_action_name (GTK_ACTIONABLE (button), action);
  return button;
}

static GtkWidget *
pane_toggle (AdwFlap *flap, const char *icon, const char *name)
{
  GtkWidget *toggle = gtk_toggle_button_new ();

  gtk_button_set_icon_name (GTK_BUTTON (toggle), icon);
  gtk_widget_set_tooltip_text (toggle, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (toggle), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_bind_property (flap, "reveal-flap", toggle, "active",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  return toggle;
}

/* A window of 360 pixels has no room for what the menu holds too.  Folding is noticed while sizes are
 * given out, too late to change them. */
static gboolean
fit_open_button (gpointer flap)
{
  gtk_widget_set_visible (g_object_get_data (flap, "moescope-open"), !adw_flap_get_folded (flap));
  return G_SOURCE_REMOVE;
}

static void
on_folded (AdwFlap *flap)
{
  g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, fit_open_button, g_object_ref (flap), g_object_unref);
}

static GtkWidget *
make_header (MsWindow *self)
{
  GtkWidget *header = adw_header_bar_new ();
  GtkWidget *open = icon_button ("document-open-symbolic", _ ("Open a Database"), "win.open");

  g_object_set_data_full (G_OBJECT (self->left), "moescope-open", g_object_ref (open),
                          g_object_unref);
  g_signal_connect (self->left, "notify::folded", G_CALLBACK (on_folded), NULL);
  self->title = ADW_WINDOW_TITLE (adw_window_title_new ("moescope", ""));
  adw_header_bar_set_title_widget (ADW_HEADER_BAR (header), GTK_WIDGET (self->title));
  self->toggles[0] = pane_toggle (self->left, "sidebar-show-symbolic", _ ("Runs and Screens"));
  self->toggles[1] = pane_toggle (self->right, "sidebar-show-right-symbolic", _ ("Details"));
  adw_header_bar_pack_start (ADW_HEADER_BAR (header), self->toggles[0]);
  adw_header_bar_pack_start (ADW_HEADER_BAR (header), open);
  self->menu = GTK_MENU_BUTTON (gtk_menu_button_new ());
  gtk_menu_button_set_icon_name (self->menu, "open-menu-symbolic");
  gtk_menu_button_set_primary (self->menu, TRUE);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->menu), _ ("Main Menu"));
  ms_widget_name (GTK_WIDGET (self->menu), _ ("Main Menu"));
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), GTK_WIDGET (self->menu));
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), self->toggles[1]);
  adw_header_bar_pack_end (
      ADW_HEADER_BAR (header),
      icon_button ("system-search-symbolic", _ ("Command Palette"), "win.palette"));
  return header;
}

static GtkWidget *
pane_heading (const char *text, const char *icon, const char *name, const char *action)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *label = gtk_label_new (text);

  gtk_widget_add_css_class (label, "heading");
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_set_hexpand (label, TRUE);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 6);
  gtk_widget_set_margin_top (box, 6);
  gtk_box_append (GTK_BOX (box), label);
  if (icon != NULL)
    {
      GtkWidget *button = icon_button (icon, name, action);

      gtk_widget_add_css_class (button, "flat");
      gtk_box_append (GTK_BOX (box), button);
    }
  return box;
}

static GtkWidget *
make_left_pane (MsWindow *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *compare = icon_button ("view-dual-symbolic", _ ("Compare Two Runs"), "win.compare");
  GtkWidget *heading;

  self->screen_list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_widget_add_css_class (GTK_WIDGET (self->screen_list), "navigation-sidebar");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->screen_list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Screens"), -1);
  g_signal_connect_swapped (self->screen_list, "row-activated", G_CALLBACK (on_screen_row), self);
  heading = pane_heading (_ ("Runs"), "list-add-symbolic", _ ("New Collection"), "win.collect");
  gtk_widget_add_css_class (compare, "flat");
  gtk_box_insert_child_after (GTK_BOX (heading), compare, gtk_widget_get_first_child (heading));
  gtk_box_append (GTK_BOX (box), heading);
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (ms_run_list_new (self->bench)));
  gtk_box_append (GTK_BOX (box), gtk_separator_new (GTK_ORIENTATION_HORIZONTAL));
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (GTK_WIDGET (self->screen_list)));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), box);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_size_request (scroller, 240, -1);
  gtk_widget_set_hexpand (scroller, FALSE);
  gtk_widget_add_css_class (scroller, "background");
  return scroller;
}

static GtkWidget *
make_crumb_bar (MsWindow *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *history[]
      = { icon_button ("go-previous-symbolic", _ ("Back"), "win.back"),
          icon_button ("go-next-symbolic", _ ("Forward"), "win.forward"),
          icon_button ("document-save-symbolic", _ ("Export Figure"), "win.export") };

  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 6);
  gtk_widget_set_margin_top (box, 3);
  gtk_widget_set_margin_bottom (box, 3);
  for (guint i = 0; i < G_N_ELEMENTS (history); i++)
    gtk_widget_add_css_class (history[i], "flat");
  gtk_box_append (GTK_BOX (box), history[0]);
  gtk_box_append (GTK_BOX (box), history[1]);
  gtk_box_append (GTK_BOX (box), ms_crumbs_new (self->bench));
  gtk_box_append (GTK_BOX (box), ms_slices_button_new (self->bench));
  gtk_box_append (GTK_BOX (box), history[2]);
  return box;
}

static GtkWidget *
make_bench (MsWindow *self)
{
  GtkWidget *middle = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  self->screens = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (self->screens, FALSE);
  gtk_stack_set_vhomogeneous (self->screens, FALSE);
  gtk_widget_set_vexpand (GTK_WIDGET (self->screens), TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (self->screens), TRUE);
  gtk_box_append (GTK_BOX (middle), make_crumb_bar (self));
  gtk_box_append (GTK_BOX (middle), GTK_WIDGET (self->screens));
  adw_flap_set_flap (self->left, make_left_pane (self));
  adw_flap_set_content (self->left, GTK_WIDGET (self->right));
  adw_flap_set_separator (self->left, gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  adw_flap_set_flap (self->right, ms_detail_pane_new (self->bench));
  adw_flap_set_content (self->right, middle);
  adw_flap_set_separator (self->right, gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  adw_flap_set_flap_position (self->right, GTK_PACK_END);
  adw_flap_set_locked (self->right, TRUE); /* else it opens again whenever there is room */
  gtk_widget_set_vexpand (GTK_WIDGET (self->left), TRUE);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->left));
  gtk_box_append (GTK_BOX (box), gtk_separator_new (GTK_ORIENTATION_HORIZONTAL));
  gtk_box_append (GTK_BOX (box), ms_job_bar_new (self->bench));
  return box;
}

/* Where there is little room the figures get that of the details, until these are asked for. */
static void
on_width (MsWindow *self)
{
  int width, height;
  gboolean narrow;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  narrow = width > 0 && width < LEAST_WITH_DETAILS;
  /* With room for all, panes stand beside the screen whatever it shows: folded ones would cover it, and Escape,
   * which clears a brush, would close them. */
  adw_flap_set_fold_policy (self->left,
                            narrow ? ADW_FLAP_FOLD_POLICY_AUTO : ADW_FLAP_FOLD_POLICY_NEVER);
  adw_flap_set_fold_policy (self->right,
                            narrow ? ADW_FLAP_FOLD_POLICY_AUTO : ADW_FLAP_FOLD_POLICY_NEVER);
  if (narrow == self->narrow)
    return;
  self->narrow = narrow;
  adw_flap_set_reveal_flap (self->right, !narrow);
}

static gboolean
close_request (GtkWindow *window)
{
  ms_window_save_state (MS_WINDOW (window));
  return GTK_WINDOW_CLASS (ms_window_parent_class)->close_request (window);
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_WINDOW (object)->bench);
  G_OBJECT_CLASS (ms_window_parent_class)->dispose (object);
}

static void
ms_window_class_init (MsWindowClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  GTK_WINDOW_CLASS (class)->close_request = close_request;
}

static void
ms_window_init (MsWindow *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkDropTarget *drop = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);
  g_autoptr (GKeyFile) state = load_state ();
  g_autofree char *screen = g_key_file_get_string (state, "window", "screen", NULL);
  int width = g_key_file_get_integer (state, "window", "width", NULL);
  int height = g_key_file_get_integer (state, "window", "height", NULL);

  self->bench = ms_workbench_new ();
  self->left = ADW_FLAP (adw_flap_new ());
  self->right = ADW_FLAP (adw_flap_new ());

  self->pages = GTK_STACK (gtk_stack_new ());
  self->start = MS_START_PAGE (ms_start_page_new (self->bench));
  gtk_stack_add_named (self->pages, GTK_WIDGET (self->start), "start");
  gtk_stack_add_named (self->pages, make_bench (self), "bench");
  gtk_widget_set_vexpand (GTK_WIDGET (self->pages), TRUE);
  gtk_box_append (GTK_BOX (box), make_header (self));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->pages));
  self->toasts = ADW_TOAST_OVERLAY (adw_toast_overlay_new ());
  adw_toast_overlay_set_child (self->toasts, box);
  adw_application_window_set_content (ADW_APPLICATION_WINDOW (self), GTK_WIDGET (self->toasts));
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    list_screen (self, info);
  ms_window_show_screen (self, ms_screens[MAX (screen_index (screen), 0)].name);

  g_signal_connect_object (self->bench, "notify::state", G_CALLBACK (on_state_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (self->bench), "notify::text",
                           G_CALLBACK (update_title), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->bench, "toast", G_CALLBACK (on_toast), self, G_CONNECT_SWAPPED);
  g_signal_connect_swapped (drop, "drop", G_CALLBACK (on_drop), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drop));
  gtk_widget_set_size_request (GTK_WIDGET (self), 360, 300);
  g_signal_connect (self, "notify::default-width", G_CALLBACK (on_width), NULL);
  gtk_window_set_default_size (GTK_WINDOW (self), width > 0 ? width : 1280,
                               height > 0 ? height : 800);
  if (g_key_file_get_boolean (state, "window", "maximized", NULL))
    gtk_window_maximize (GTK_WINDOW (self));
  on_state_changed (self);
}

MsWindow *
ms_window_new (GtkApplication *application)
{
  return g_object_new (MS_TYPE_WINDOW, "application", application, NULL);
}

MsWorkbench *
ms_window_get_bench (MsWindow *self)
{
  return self->bench;
}

MsScreen *
ms_window_get_screen (MsWindow *self, const char *name)
{
  int index = screen_index (name);

  return index >= 0 ? MS_SCREEN (ensure_screen (self, index)) : NULL;
}

const char *
ms_window_get_screen_name (MsWindow *self)
{
  return gtk_stack_get_visible_child_name (self->screens);
}

GtkWidget *
ms_window_get_shown (MsWindow *self)
{
  return gtk_stack_get_visible_child (self->screens);
}

void
ms_window_set_menu (MsWindow *self, GMenuModel *menu)
{
  gtk_menu_button_set_menu_model (self->menu, menu);
}

void
ms_window_open_menu (MsWindow *self)
{
  gtk_menu_button_popup (self->menu);
}

void
ms_window_toggle_pane (MsWindow *self, gboolean left)
{
  AdwFlap *flap = left ? self->left : self->right;

  adw_flap_set_reveal_flap (flap, !adw_flap_get_reveal_flap (flap));
}

gboolean
ms_window_is_quiet (MsWindow *self)
{
  GListModel *jobs = G_LIST_MODEL (ms_workbench_get_jobs (self->bench));

  for (guint i = 0; i < g_list_model_get_n_items (jobs); i++)
    {
      g_autoptr (MsWork) job = g_list_model_get_item (jobs, i);

      if (ms_work_get_state (job) <= MS_WORK_RUNNING)
        return FALSE;
    }
  return ms_workbench_get_state (self->bench) != MS_BENCH_OPENING;
}
