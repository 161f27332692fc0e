/* MsWorkbench is what the parts of one window share: the open file and its runs, the session, the jobs, the
 * results.  It belongs to the main thread, which never runs SQL: it sees run items (plain facts read once)
 * and finished outcomes.  Workers get an order and share the caches; none of them has the workbench. */
#include "workbench-private.h"

#include "file-watch-private.h"
#include "order-private.h"

struct _MsWorkbench
{
  GObject parent_instance;
  MsSession *session;
  GListStore *jobs;
  GListStore *runs;
  MsBenchState state;
  char *path;
  GError *error;
  MsWork *opening;
  guint serial; /* of the file */
  guint refresh_timer;
  MsFileWatch *watch; /* NULL = no file */
  MsOutcomeCache *outcomes;
  MsTraceCache *traces;
};

enum
{
  PROP_STATE = 1,
  N_PROPS
};

static GParamSpec *props[N_PROPS];
static guint toast_signal;

G_DEFINE_FINAL_TYPE (MsWorkbench, ms_workbench, G_TYPE_OBJECT)

static void
forget_results (MsWorkbench *self)
{
  ms_outcome_cache_forget (self->outcomes);
  ms_trace_cache_forget (self->traces);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, (int) MS_WORKBENCH (object)->state);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
finalize (GObject *object)
{
  MsWorkbench *self = MS_WORKBENCH (object);

  ms_work_drop (&self->opening);
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  g_clear_object (&self->watch);
  ms_outcome_cache_unref (self->outcomes);
  ms_trace_cache_unref (self->traces);
  g_clear_object (&self->session);
  g_clear_object (&self->jobs);
  g_clear_object (&self->runs);
  g_clear_error (&self->error);
  g_free (self->path);
  G_OBJECT_CLASS (ms_workbench_parent_class)->finalize (object);
}

static void
ms_workbench_class_init (MsWorkbenchClass *class)
{
  GObjectClass *object_class = G_OBJECT_CLASS (class);

  object_class->get_property = get_property;
  object_class->finalize = finalize;
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, MS_BENCH_FAILED, 0,
                                        G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  toast_signal = g_signal_new ("toast", MS_TYPE_WORKBENCH, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                               G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
ms_workbench_init (MsWorkbench *self)
{
  self->session = ms_session_new ();
  self->jobs = g_list_store_new (MS_TYPE_WORK);
  self->runs = g_list_store_new (MS_TYPE_RUN_ITEM);
  self->outcomes = ms_outcome_cache_new ();
  self->traces = ms_trace_cache_new ();
}

MsWorkbench *
ms_workbench_new (void)
{
  return g_object_new (MS_TYPE_WORKBENCH, NULL);
}

MsSession *
ms_workbench_get_session (MsWorkbench *self)
{
  return self->session;
}

GListStore *
ms_workbench_get_jobs (MsWorkbench *self)
{
  return self->jobs;
}

GListModel *
ms_workbench_get_runs (MsWorkbench *self)
{
  return G_LIST_MODEL (self->runs);
}

MsBenchState
ms_workbench_get_state (MsWorkbench *self)
{
  return self->state;
}

const char *
ms_workbench_get_path (MsWorkbench *self)
{
  return self->path;
}

guint
ms_workbench_get_serial (MsWorkbench *self)
{
  return self->serial;
}

const GError *
ms_workbench_get_error (MsWorkbench *self)
{
  return self->error;
}

static void
set_state (MsWorkbench *self, MsBenchState state)
{
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

/* What reading a file gives. */
typedef struct
{
  GPtrArray *items; /* of MsRunItem */
  char *damaged;    /* what is wrong with a run that is left out, NULL = nothing */
} Runs;

static void
runs_free (gpointer data)
{
  Runs *runs = data;

  g_ptr_array_unref (runs->items);
  g_free (runs->damaged);
  g_free (runs);
}

static gpointer
read_runs (MsWork *job, gpointer path, GError **error)
{
  char *damaged = NULL;
  GPtrArray *items = ms_run_items_read (path, &damaged, error);
  Runs *runs;

  if (items == NULL)
    return NULL;
  runs = g_new (Runs, 1);
  *runs = (Runs){ items, damaged };
  return runs;
}

static gboolean
refresh_growing (gpointer data)
{
  MsWorkbench *self = data;

  self->refresh_timer = 0;
  ms_workbench_refresh (self);
  return G_SOURCE_REMOVE;
}

static gboolean
same_runs (MsWorkbench *self, GPtrArray *items)
{
  if (g_list_model_get_n_items (G_LIST_MODEL (self->runs)) != items->len)
    return FALSE;
  for (guint i = 0; i < items->len; i++)
    {
      g_autoptr (MsRunItem) old = g_list_model_get_item (G_LIST_MODEL (self->runs), i);

      if (!ms_run_item_equals (old, g_ptr_array_index (items, i)))
        return FALSE;
    }
  return TRUE;
}

static void
on_opened (GObject *owner, gpointer result, const GError *error)
{
  MsWorkbench *self = MS_WORKBENCH (owner);
  Runs *runs = result;
  g_autoptr (GPtrArray) items = runs != NULL ? g_ptr_array_ref (runs->items) : NULL;
  g_autofree char *damaged = runs != NULL ? g_strdup (runs->damaged) : NULL;
  gboolean growing = FALSE;

  if (runs != NULL)
    runs_free (runs);

  g_clear_object (&self->opening);
  g_clear_error (&self->error);
  if (items == NULL)
    {
      g_list_store_remove_all (self->runs);
      self->error = g_error_copy (error);
      set_state (self, MS_BENCH_FAILED);
      return;
    }
  for (guint i = 0; i < items->len; i++)
    growing = growing || ms_run_item_get_progress (g_ptr_array_index (items, i)) < 1;
  if (growing)
    self->refresh_timer = g_timeout_add_seconds (2, refresh_growing, self);
  if (self->state == MS_BENCH_READY && same_runs (self, items))
    return;
  forget_results (self);
  g_list_store_splice (self->runs, 0, g_list_model_get_n_items (G_LIST_MODEL (self->runs)),
                       items->pdata, items->len);
  set_state (self, MS_BENCH_READY);
  if (damaged != NULL)
    ms_workbench_toast (self, "%s", damaged);
}

void
ms_workbench_refresh (MsWorkbench *self)
{
  g_autofree char *name = NULL;

  if (self->path == NULL)
    return;
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  ms_work_drop (&self->opening);
  name = g_path_get_basename (self->path);
  self->opening = ms_work_start (NULL, &(MsWorkSpec){ .title = name,
                                                      .work = read_runs,
                                                      .data = g_strdup (self->path),
                                                      .free_data = g_free,
                                                      .free_result = runs_free,
                                                      .done = on_opened,
                                                      .owner = G_OBJECT (self) });
}

/* The file may have been taken away, or another one have its name: then nothing known of it holds. */
static void
on_file_changed (MsWorkbench *self)
{
  if (ms_file_watch_is_gone (self->watch))
    {
      if (self->state == MS_BENCH_READY)
        ms_workbench_toast (self,
                            _ ("The file was deleted or moved. What is shown stays, but nothing "
                               "new can be computed."));
    }
  else
    {
      ms_workbench_open (self, self->path);
      ms_workbench_toast (self, _ ("The file was replaced and is read anew"));
    }
}

void
ms_workbench_open (MsWorkbench *self, const char *path)
{
  g_autofree char *copy = g_strdup (path);

  ms_workbench_close (self);
  self->path = g_steal_pointer (&copy);
  self->serial++;
  self->watch = ms_file_watch_new (self->path);
  g_signal_connect_object (self->watch, "changed", G_CALLBACK (on_file_changed), self,
                           G_CONNECT_SWAPPED);
  set_state (self, MS_BENCH_OPENING);
  ms_workbench_refresh (self);
}

void
ms_workbench_close (MsWorkbench *self)
{
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  g_clear_object (&self->watch);
  ms_work_drop (&self->opening);
  g_clear_pointer (&self->path, g_free);
  g_clear_error (&self->error);
  g_list_store_remove_all (self->runs);
  forget_results (self);
  ms_session_reset (self->session);
  set_state (self, MS_BENCH_EMPTY);
}

MsRunItem *
ms_workbench_find_run (MsWorkbench *self, gint64 id)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->runs));

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (MsRunItem) item = g_list_model_get_item (G_LIST_MODEL (self->runs), i);

      if (id == 0 || ms_run_item_run (item)->id == id)
        return item; /* the list keeps it */
    }
  return NULL;
}

MsRunItem *
ms_workbench_get_run (MsWorkbench *self)
{
  return ms_workbench_find_run (self, ms_session_get_selection (self->session)->run);
}

MsRunItem *
ms_workbench_get_base (MsWorkbench *self)
{
  gint64 base = ms_session_get_selection (self->session)->base;

  return base > 0 ? ms_workbench_find_run (self, base) : NULL;
}

/* --- Analyses --------------------------------------------------------------------------------- */

/* Whether `item` may be an earlier checkpoint of `last`: the same tokens through a model of the same shape. */
static gboolean
is_earlier (MsRunItem *item, MsRunItem *last)
{
  const MsRun *run = ms_run_item_run (item), *final = ms_run_item_run (last);
  const MsModel *model = ms_run_item_model (item), *other = ms_run_item_model (last);
  gint64 step = ms_run_step (run), final_step = ms_run_step (final);

  if (ms_run_item_corpus (item)->id != ms_run_item_corpus (last)->id
      || run->n_tokens != final->n_tokens || model->n_layers != other->n_layers)
    return FALSE;
  for (guint l = 0; l < model->n_layers; l++)
    if (model->layers[l].gate.n_experts != other->layers[l].gate.n_experts)
      return FALSE;
  return step >= 0 && final_step >= 0 ? step < final_step : run->id < final->id;
}

MsSelection *
ms_workbench_copy_for (MsWorkbench *self, const MsAnalysis *analysis)
{
  MsSelection *part = ms_session_copy_for (self->session, analysis);
  MsRunItem *last = ms_workbench_get_run (self);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->runs)), room = MS_RUNS_MOST - 1;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));

  if (!(analysis->needs & MS_NEEDS_SERIES) || part->with != NULL || last == NULL)
    return part;
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (MsRunItem) item = g_list_model_get_item (G_LIST_MODEL (self->runs), i);

      if (item != last && is_earlier (item, last))
        g_array_append_val (ids, ms_run_item_run (item)->id);
    }
  for (guint i = 0; i < MIN (ids->len, room); i++)
    ms_selection_show_run (
        part, g_array_index (ids, gint64, ids->len <= room ? i : i * (ids->len - 1) / (room - 1)),
        TRUE);
  return part;
}

MsWork *
ms_workbench_analyze (MsWorkbench *self, MsRequest *request, guint delay, MsWorkDone done,
                      MsWorkPartial partial, GObject *owner)
{
  MsRunItem *item = ms_workbench_find_run (self, request->run);
  g_autofree char *key = ms_order_key (request, item ? ms_run_item_run (item)->id : request->run);
  guint generation;
  MsOutcome *outcome = ms_outcome_cache_find (self->outcomes, key, &generation);

  if (outcome != NULL)
    {
      ms_request_free (request);
      done (owner, outcome, NULL);
      return NULL;
    }
  return ms_work_start (
      self->jobs,
      &(MsWorkSpec){ .title = _ (request->analysis->title),
                     .delay = delay,
                     .work = ms_order_compute,
                     .data = ms_order_new (request, self->path, key, generation, self->outcomes,
                                           self->traces, partial != NULL),
                     .free_data = (GDestroyNotify) ms_order_free,
                     .free_result = (GDestroyNotify) ms_outcome_unref,
                     .done = done,
                     .partial = partial,
                     .owner = owner });
}

char *
ms_workbench_dup_command (MsWorkbench *self, const MsRequest *request, const char *plot,
                          const char *output)
{
  g_autofree char *file = ms_word_quote (self->path ? self->path : "RUN.db");
  g_autofree char *words = ms_request_format (request, plot);
  g_autofree char *target = output ? ms_word_quote (output) : NULL;

  return g_strconcat ("moescope ", plot ? "plot " : "analyze ", file, " ", words,
                      target ? " -o " : NULL, target, NULL);
}

void
ms_workbench_toast (MsWorkbench *self, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_signal_emit (self, toast_signal, 0, text);
}
