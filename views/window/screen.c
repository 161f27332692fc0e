/* MsScreen listens to the workbench and the session for its subclass, and joins many changes into one
 * update in an idle moment. */
#include "screen-private.h"

#include "pieces-private.h"

typedef struct
{
  MsWorkbench *bench;
  GtkStack *stack;
  AdwStatusPage *status;
  AdwStatusPage *waiting;
  GtkButton *button;
  gboolean stale;
  guint idle;
} MsScreenPrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (MsScreen, ms_screen, ADW_TYPE_BIN)

static MsScreenPrivate *private(MsScreen *self)
{
  return ms_screen_get_instance_private (self);
}

void
ms_error_page (const GError *error, const char **icon, const char **title, const char **label,
               const char **action)
{
  *icon = "dialog-warning-symbolic";
  *title = _ ("This Did Not Work");
  *label = NULL;
  *action = NULL;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      *icon = "media-playback-stop-symbolic";
      *title = _ ("Stopped");
      *label = _ ("_Start Again");
      *action = "win.refresh";
    }
  else if (g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS)
           || g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT))
    {
      *icon = "dialog-information-symbolic";
      *title = _ ("Not in This Run");
      *label = _ ("_Collect Again…");
      *action = "win.collect";
    }
  else if (g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION))
    {
      *icon = "edit-find-symbolic";
      *title = _ ("Nothing Is Selected");
      *label = _ ("_Clear Selection");
      *action = "win.clear-selection";
    }
  else if (g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_MISMATCH))
    *title = _ ("These Runs Cannot Be Compared");
  else if (g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS))
    {
      *title = _ ("Not a moescope File");
      *label = _ ("_Open Another…");
      *action = "win.open";
    }
  else if (g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_TOO_NEW))
    {
      *icon = "software-update-available-symbolic";
      *title = _ ("Made by a Newer moescope");
      *label = _ ("_Open Another…");
      *action = "win.open";
    }
  else if (g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT))
    {
      *icon = "dialog-error-symbolic";
      *title = _ ("The File Is Damaged");
      *label = _ ("_Open Another…");
      *action = "win.open";
    }
  else if (error->domain == MS_DB_ERROR)
    {
      *title = _ ("The File Cannot Be Read");
      *label = _ ("_Try Again");
      *action = "win.refresh";
    }
}

char *
ms_error_text (const GError *error)
{
  gunichar first = g_utf8_get_char (error->message);
  g_autoptr (GString) text = g_string_new (NULL);

  if (first != 0)
    g_string_append_unichar (text, g_unichar_totitle (first));
  g_string_append (text, first != 0 ? g_utf8_next_char (error->message) : "");
  return g_markup_escape_text (text->str, -1);
}

void
ms_screen_show_content (MsScreen *self)
{
  gtk_stack_set_visible_child_name (private(self)->stack, "content");
}

void
ms_screen_show_status (MsScreen *self, const char *icon, const char *title, const char *description,
                       const char *label, const char *action)
{
  MsScreenPrivate *own = private(self);

  adw_status_page_set_icon_name (own->status, icon);
  adw_status_page_set_title (own->status, title);
  adw_status_page_set_description (own->status, description);
  gtk_widget_set_visible (GTK_WIDGET (own->button), label != NULL);
  if (label != NULL)
    {
      gtk_button_set_label (own->button, label);
      ms_widget_name (GTK_WIDGET (own->button), label);
      gtk_actionable_set_detailed_action_name (GTK_ACTIONABLE (own->button), action);
    }
  gtk_stack_set_visible_child_name (own->stack, "status");
}

void
ms_screen_show_error (MsScreen *self, const GError *error)
{
  const char *icon, *title, *label, *action;
  g_autofree char *text = ms_error_text (error);

  ms_error_page (error, &icon, &title, &label, &action);
  ms_screen_show_status (self, icon, title, text, label, action);
}

void
ms_screen_show_waiting (MsScreen *self, const char *title)
{
  MsScreenPrivate *own = private(self);

  adw_status_page_set_title (own->waiting, title);
  gtk_stack_set_visible_child_name (own->stack, "waiting");
}

const char *
ms_screen_get_shown (MsScreen *self)
{
  return gtk_stack_get_visible_child_name (private(self)->stack);
}

void
ms_screen_update_now (MsScreen *self)
{
  MsScreenPrivate *own = private(self);
  MsScreenClass *class = MS_SCREEN_GET_CLASS (self);
  MsRunItem *run;

  g_clear_handle_id (&own->idle, g_source_remove);
  own->stale = FALSE;
  switch (ms_workbench_get_state (own->bench))
    {
    case MS_BENCH_OPENING:
      ms_screen_show_waiting (self, _ ("Opening…"));
      return;
    case MS_BENCH_FAILED:
      ms_screen_show_error (self, ms_workbench_get_error (own->bench));
      return;
    case MS_BENCH_EMPTY:
      if (!class->works_without_run)
        {
          ms_screen_show_status (self, "document-open-symbolic", _ ("No File Is Open"),
                                 _ ("Open a database to look at its runs."), _ ("_Open…"),
                                 "win.open");
          return;
        }
      break;
    case MS_BENCH_READY:
      break;
    }
  run = ms_workbench_get_run (own->bench);
  if (run == NULL && !class->works_without_run)
    {
      if (g_list_model_get_n_items (ms_workbench_get_runs (own->bench)) > 0)
        ms_screen_show_status (self, "edit-find-symbolic", _ ("No Such Run"),
                               _ ("The selection names a run that is not in this file."),
                               _ ("_Clear Selection"), "win.clear-all");
      else
        ms_screen_show_status (
            self, "list-add-symbolic", _ ("No Runs Yet"),
            _ ("This database holds no run. Collect one from a model and texts, or "
               "import a trace."),
            _ ("_New Collection…"), "win.collect");
      return;
    }
  if (run != NULL && ms_run_item_run (run)->n_tokens == 0 && !class->works_without_run)
    {
      ms_screen_show_status (self, "content-loading-symbolic", _ ("Still Collecting"),
                             _ ("No block of this run is finished yet. The first figures appear "
                                "with the first 4,096 tokens."),
                             _ ("_Look Again"), "win.refresh");
      return;
    }
  class->update (self);
}

static gboolean
update_idle (gpointer data)
{
  MsScreen *self = data;

  private (self)->idle = 0;
  ms_screen_update_now (self);
  return G_SOURCE_REMOVE;
}

static void
on_changed (MsScreen *self)
{
  MsScreenPrivate *own = private(self);

  own->stale = TRUE;
  if (gtk_widget_get_mapped (GTK_WIDGET (self)) && own->idle == 0)
    own->idle = g_idle_add (update_idle, self);
}

static void
map (GtkWidget *widget)
{
  MsScreen *self = MS_SCREEN (widget);

  GTK_WIDGET_CLASS (ms_screen_parent_class)->map (widget);
  if (private(self)->stale)
    on_changed (self);
}

static void
unmap (GtkWidget *widget)
{
  MsScreenPrivate *own = private(MS_SCREEN (widget));
  MsScreenClass *class = MS_SCREEN_GET_CLASS (widget);

  g_clear_handle_id (&own->idle, g_source_remove); /* stale it stays */
  if (class->leave != NULL && class->leave (MS_SCREEN (widget)))
    own->stale = TRUE;
  GTK_WIDGET_CLASS (ms_screen_parent_class)->unmap (widget);
}

static void
dispose (GObject *object)
{
  MsScreenPrivate *own = private(MS_SCREEN (object));

  g_clear_handle_id (&own->idle, g_source_remove);
  g_clear_object (&own->bench);
  G_OBJECT_CLASS (ms_screen_parent_class)->dispose (object);
}

static void
ms_screen_class_init (MsScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  GTK_WIDGET_CLASS (class)->map = map;
  GTK_WIDGET_CLASS (class)->unmap = unmap;
}

static void
ms_screen_init (MsScreen *self)
{
  MsScreenPrivate *own = private(self);
  GtkWidget *spinner = gtk_spinner_new ();

  own->stale = TRUE;
  own->stack = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (own->stack, FALSE);
  gtk_stack_set_vhomogeneous (own->stack, FALSE);
  own->button = GTK_BUTTON (gtk_button_new ());
  gtk_button_set_use_underline (own->button, TRUE);
  gtk_widget_set_halign (GTK_WIDGET (own->button), GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (GTK_WIDGET (own->button), "pill");
  gtk_widget_add_css_class (GTK_WIDGET (own->button), "suggested-action");
  own->status = ADW_STATUS_PAGE (ms_status_page_new (GTK_WIDGET (own->button)));
  own->waiting = ADW_STATUS_PAGE (ms_status_page_new (spinner));
  gtk_spinner_start (GTK_SPINNER (spinner));
  gtk_widget_set_size_request (spinner, 32, 32);
  gtk_stack_add_named (own->stack, GTK_WIDGET (own->status), "status");
  gtk_stack_add_named (own->stack, GTK_WIDGET (own->waiting), "waiting");
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (own->stack));
}

void
ms_screen_set_bench (MsScreen *self, MsWorkbench *bench)
{
  private (self)->bench = g_object_ref (bench);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (on_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text",
                           G_CALLBACK (on_changed), self, G_CONNECT_SWAPPED);
}

MsWorkbench *
ms_screen_get_bench (MsScreen *self)
{
  return private(self)->bench;
}

MsSession *
ms_screen_get_session (MsScreen *self)
{
  return ms_workbench_get_session (private(self)->bench);
}

void
ms_screen_set_content (MsScreen *self, GtkWidget *content)
{
  gtk_stack_add_named (private(self)->stack, content, "content");
}
