/* MsWorkbench opens files and runs analyses in the background.  The main thread never runs SQL: it sees
 * run items (plain facts read once) and finished results. */
#include "workbench-private.h"

#include <glib/gstdio.h>
#include <string.h>
#include <time.h>

#define MAX_TRACES   12
#define MAX_OUTCOMES 64

/* Programs that write a file anew take it away first. */
#define LOOK_AFTER_MS 500

/* Seconds after a change within which an unfinished run counts as being collected. */
#define WRITTEN_SECONDS 120

/* Decisions of tokens (tokens times layers) below which a scan is too short to look at parts first. */
#define LONG_SCAN 2000000
/* Seconds that the whole must be expected to take for its parts to be shown. */
#define WORTH_A_LOOK 0.7

/* --- Run items -------------------------------------------------------------------------------- */

struct _MsRunItem
{
  GObject parent_instance;
  MsRun *run;
  MsModel *model;
  MsCorpus *corpus;
  MsRunState state;
};

G_DEFINE_FINAL_TYPE (MsRunItem, ms_run_item, G_TYPE_OBJECT)

static void
run_item_finalize (GObject *object)
{
  MsRunItem *self = MS_RUN_ITEM (object);

  g_clear_pointer (&self->run, ms_run_free);
  g_clear_pointer (&self->model, ms_model_free);
  g_clear_pointer (&self->corpus, ms_corpus_free);
  G_OBJECT_CLASS (ms_run_item_parent_class)->finalize (object);
}

static void
ms_run_item_class_init (MsRunItemClass *class)
{
  G_OBJECT_CLASS (class)->finalize = run_item_finalize;
}

static void
ms_run_item_init (MsRunItem *self)
{
}

const MsRun *
ms_run_item_run (MsRunItem *self)
{
  return self->run;
}

const MsModel *
ms_run_item_model (MsRunItem *self)
{
  return self->model;
}

const MsCorpus *
ms_run_item_corpus (MsRunItem *self)
{
  return self->corpus;
}

char *
ms_run_item_dup_title (MsRunItem *self)
{
  return g_strdup_printf ("%s / %s", self->model->name, self->corpus->name);
}

char *
ms_run_item_dup_label (MsRunItem *self)
{
  return ms_run_label (self->run);
}

MsRunState
ms_run_item_get_state (MsRunItem *self)
{
  return self->state;
}

double
ms_run_item_get_progress (MsRunItem *self)
{
  if (self->run->finished != NULL || self->corpus->n_tokens == 0)
    return 1;
  return (double) self->run->n_tokens / (double) self->corpus->n_tokens;
}

/* What is worth knowing before the facts; NULL of a complete run. */
static char *
dup_state (MsRunItem *self)
{
  double percent = 100 * ms_run_item_get_progress (self);

  switch (self->state)
    {
    case MS_RUN_COLLECTING:
      return g_strdup_printf (_ ("collecting %.0f %%"), percent);
    case MS_RUN_STOPPED:
      return g_strdup_printf (_ ("stopped at %.0f %%"), percent);
    case MS_RUN_BROKEN:
      return g_strdup (_ ("broken: tokens are missing"));
    case MS_RUN_COMPLETE:
    default:
      return NULL;
    }
}

char *
ms_run_item_dup_subtitle (MsRunItem *self)
{
  char tokens[MS_NUMBER_SIZE];
  g_autofree char *state = dup_state (self);
  g_autoptr (GString) text = g_string_new (state);

  if (state != NULL)
    g_string_append (text, " · ");
  ms_number_grouped (tokens, self->run->n_tokens);
  g_string_append_printf (text, _ ("%s tokens"), tokens);
  if (self->model->n_layers > 0)
    g_string_append_printf (text, " · %u × %u", self->model->n_layers,
                            self->model->layers[0].gate.n_experts);
  if (state == NULL)
    g_string_append_printf (text, " · %.10s", self->run->finished);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* --- Requests and outcomes -------------------------------------------------------------------- */

MsRequest *
ms_request_new (const MsAnalysis *analysis)
{
  MsRequest *request = g_new0 (MsRequest, 1);

  request->analysis = analysis;
  return request;
}

const MsAnalysis *
ms_known_analysis (const char *name)
{
  const MsAnalysis *analysis = ms_analysis_find (name);

  if (analysis == NULL)
    g_error ("no analysis is registered as “%s”", name);
  return analysis;
}

void
ms_request_set (MsRequest *request, const char *name, const char *value)
{
  const MsParam *param = request->analysis->params;

  while (param != NULL && param->name != NULL && strcmp (param->name, name) != 0)
    param++;
  if (param == NULL || param->name == NULL)
    g_error ("%s has no parameter “%s”", request->analysis->name, name);
  if (request->values == NULL)
    request->values = ms_values_new (request->analysis);
  ms_values_set (request->values, name, value, NULL);
}

void
ms_request_free (MsRequest *request)
{
  if (request == NULL)
    return;
  g_clear_pointer (&request->values, ms_values_free);
  g_free (request->select);
  g_free (request->by);
  g_free (request);
}

MsRequest *
ms_request_copy (const MsRequest *request)
{
  MsRequest *copy = g_memdup2 (request, sizeof *request);

  copy->values = request->values ? ms_values_copy (request->values) : NULL;
  copy->select = g_strdup (request->select);
  copy->by = g_strdup (request->by);
  return copy;
}

char *
ms_request_format (const MsRequest *request, const char *plot)
{
  g_autoptr (GString) text = g_string_new (request->analysis->name);
  g_autofree char *values = request->values ? ms_values_format (request->values) : NULL;

  if (values != NULL && *values != '\0')
    g_string_append_printf (text, " %s", values);
  if (request->run > 0)
    g_string_append_printf (text, " --run %" G_GINT64_FORMAT, request->run);
  if (request->other > 0)
    g_string_append_printf (text, " --other '#%" G_GINT64_FORMAT "'", request->other);
  if (request->select != NULL && *request->select != '\0')
    {
      g_autofree char *quoted = ms_word_quote (request->select);

      g_string_append_printf (text, " --select %s", quoted);
    }
  if (request->by != NULL)
    g_string_append_printf (text, " --by %s", request->by);
  if (request->bootstrap != MS_USUAL_BOOTSTRAP)
    g_string_append_printf (text, " --bootstrap %u", request->bootstrap);
  if (plot != NULL && *plot != '\0')
    g_string_append_printf (text, " --plot %s", plot);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

MsRequest *
ms_request_alone (const MsRequest *request)
{
  MsRequest *alone = ms_request_copy (request);

  g_free (alone->select);
  alone->select = ms_selection_without_runs (request->select);
  return alone;
}

static void
clear_outcome (gpointer data)
{
  MsOutcome *outcome = data;

  g_clear_pointer (&outcome->request, ms_request_free);
  g_clear_pointer (&outcome->result, ms_result_free);
  g_clear_pointer (&outcome->interval, g_free);
  g_clear_pointer (&outcome->runs, g_ptr_array_unref);
}

MsOutcome *
ms_outcome_ref (MsOutcome *outcome)
{
  return g_atomic_rc_box_acquire (outcome);
}

void
ms_outcome_unref (MsOutcome *outcome)
{
  g_atomic_rc_box_release_full (outcome, clear_outcome);
}

/* --- The workbench ---------------------------------------------------------------------------- */

typedef struct
{
  char *key;
  MsTrace *trace;
} KeptTrace;

struct _MsWorkbench
{
  GObject parent_instance;
  MsSession *session;
  GListStore *jobs;
  GListStore *runs;
  MsBenchState state;
  char *path;
  GError *error;
  MsJob *opening;
  guint serial; /* of the file */
  guint refresh_timer, look_timer;
  GFileMonitor *monitor;
  dev_t device; /* which file the path meant when it was opened */
  ino_t inode;
  gboolean gone;        /* the path means no file any more */
  GMutex lock;          /* of what follows */
  guint generation;     /* of the file's contents: what an older one made is not kept */
  GHashTable *outcomes; /* key -> MsOutcome */
  GQueue outcome_keys;  /* of char* owned by the table, oldest first */
  GQueue traces;        /* of KeptTrace, newest first */
  GHashTable *running;  /* key -> Computation, borrowed from its worker */
  GCond ended;          /* one of them ended */
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
kept_trace_free (gpointer data)
{
  KeptTrace *kept = data;

  g_free (kept->key);
  ms_trace_unref (kept->trace);
  g_free (kept);
}

static void
forget_results (MsWorkbench *self)
{
  g_mutex_lock (&self->lock);
  self->generation++;
  g_queue_clear (&self->outcome_keys);
  g_hash_table_remove_all (self->outcomes);
  g_queue_clear_full (&self->traces, kept_trace_free);
  g_mutex_unlock (&self->lock);
}

static void
stop_watching (MsWorkbench *self)
{
  g_clear_handle_id (&self->look_timer, g_source_remove);
  if (self->monitor != NULL)
    g_file_monitor_cancel (self->monitor);
  g_clear_object (&self->monitor);
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

  ms_job_drop (&self->opening);
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  stop_watching (self);
  forget_results (self);
  g_hash_table_unref (self->outcomes);
  g_hash_table_unref (self->running);
  g_cond_clear (&self->ended);
  g_mutex_clear (&self->lock);
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
  self->jobs = g_list_store_new (MS_TYPE_JOB);
  self->runs = g_list_store_new (MS_TYPE_RUN_ITEM);
  self->outcomes
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) ms_outcome_unref);
  self->running = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_cond_init (&self->ended);
  g_mutex_init (&self->lock);
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

/* Whether the file, or what is about to go into it, changed lately: a block of tokens may take long. */
static gboolean
is_written (const char *path)
{
  static const char *const endings[] = { "", "-wal", "-journal" };
  time_t now = time (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *name = g_strconcat (path, endings[i], NULL);
      GStatBuf facts;

      if (g_stat (name, &facts) == 0 && now - facts.st_mtime < WRITTEN_SECONDS)
        return TRUE;
    }
  return FALSE;
}

/* items: newest first.  Of the unfinished runs only the newest can be the one that is collected. */
static void
find_states (GPtrArray *items, const char *path)
{
  gboolean written = is_written (path);

  for (guint i = 0; i < items->len; i++)
    {
      MsRunItem *item = g_ptr_array_index (items, i);

      if (item->run->finished != NULL)
        item->state
            = item->run->n_tokens < item->corpus->n_tokens ? MS_RUN_BROKEN : MS_RUN_COMPLETE;
      else
        {
          item->state = written ? MS_RUN_COLLECTING : MS_RUN_STOPPED;
          written = FALSE;
        }
    }
}

/* Reads what the window lists: runs with their models and corpora, newest first. */
static gpointer
read_runs (MsJob *job, gpointer data, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (data, MS_DB_READ, error);
  g_autoptr (GPtrArray) runs = NULL;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);

  if (db == NULL)
    return NULL;
  runs = ms_db_list_runs (db, error);
  if (runs == NULL)
    return NULL;
  for (guint i = runs->len; i > 0; i--)
    {
      const MsRun *listed = g_ptr_array_index (runs, i - 1);
      g_autoptr (MsRunItem) item = g_object_new (MS_TYPE_RUN_ITEM, NULL);

      item->run = ms_db_load_run (db, listed->id, error);
      if (item->run == NULL)
        return NULL;
      item->model = ms_db_load_model (db, item->run->model, error);
      if (item->model == NULL)
        return NULL;
      item->corpus = ms_db_load_corpus (db, item->run->corpus, error);
      if (item->corpus == NULL)
        return NULL;
      g_ptr_array_add (items, g_steal_pointer (&item));
    }
  find_states (items, data);
  return g_steal_pointer (&items);
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
      MsRunItem *new = g_ptr_array_index (items, i);

      if (old->run->id != new->run->id || old->run->n_tokens != new->run->n_tokens
          || old->state != new->state)
        return FALSE;
    }
  return TRUE;
}

static void
on_opened (GObject *owner, gpointer result, const GError *error)
{
  MsWorkbench *self = MS_WORKBENCH (owner);
  g_autoptr (GPtrArray) items = result;
  gboolean growing = FALSE;

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
}

void
ms_workbench_refresh (MsWorkbench *self)
{
  g_autofree char *name = NULL;

  if (self->path == NULL)
    return;
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  ms_job_drop (&self->opening);
  name = g_path_get_basename (self->path);
  self->opening
      = ms_job_start (NULL, &(MsJobSpec){ .title = name,
                                          .work = read_runs,
                                          .data = g_strdup (self->path),
                                          .free_data = g_free,
                                          .free_result = (GDestroyNotify) g_ptr_array_unref,
                                          .done = on_opened,
                                          .owner = G_OBJECT (self) });
}

/* The file may have been taken away, or another one have its name: then nothing known of it holds. */
static gboolean
look_at_file (gpointer data)
{
  MsWorkbench *self = data;
  GStatBuf now;
  gboolean gone = g_stat (self->path, &now) != 0;

  self->look_timer = 0;
  if (gone && !self->gone && self->state == MS_BENCH_READY)
    ms_workbench_toast (self, _ ("The file was deleted or moved. What is shown stays, but nothing "
                                 "new can be computed."));
  self->gone = gone;
  if (!gone && (now.st_dev != self->device || now.st_ino != self->inode))
    {
      ms_workbench_open (self, self->path);
      ms_workbench_toast (self, _ ("The file was replaced and is read anew"));
    }
  return G_SOURCE_REMOVE;
}

static void
on_file_changed (MsWorkbench *self)
{
  if (self->look_timer == 0)
    self->look_timer = g_timeout_add (LOOK_AFTER_MS, look_at_file, self);
}

static void
watch (MsWorkbench *self)
{
  g_autoptr (GFile) file = g_file_new_for_path (self->path);
  GStatBuf now;

  self->gone = g_stat (self->path, &now) != 0;
  self->device = self->gone ? 0 : now.st_dev;
  self->inode = self->gone ? 0 : now.st_ino;
  self->monitor = g_file_monitor_file (file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
  if (self->monitor != NULL)
    g_signal_connect_object (self->monitor, "changed", G_CALLBACK (on_file_changed), self,
                             G_CONNECT_SWAPPED);
}

void
ms_workbench_open (MsWorkbench *self, const char *path)
{
  g_autofree char *copy = g_strdup (path);

  ms_workbench_close (self);
  self->path = g_steal_pointer (&copy);
  self->serial++;
  watch (self);
  set_state (self, MS_BENCH_OPENING);
  ms_workbench_refresh (self);
}

void
ms_workbench_close (MsWorkbench *self)
{
  g_clear_handle_id (&self->refresh_timer, g_source_remove);
  stop_watching (self);
  ms_job_drop (&self->opening);
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

      if (id == 0 || item->run->id == id)
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

/* --- Traces ----------------------------------------------------------------------------------- */

static MsTrace *
find_trace (MsWorkbench *self, const char *key)
{
  MsTrace *trace = NULL;

  g_mutex_lock (&self->lock);
  for (GList *at = self->traces.head; at != NULL; at = at->next)
    {
      KeptTrace *kept = at->data;

      if (strcmp (kept->key, key) == 0)
        {
          trace = ms_trace_ref (kept->trace);
          g_queue_unlink (&self->traces, at);
          g_queue_push_head_link (&self->traces, at);
          break;
        }
    }
  g_mutex_unlock (&self->lock);
  return trace;
}

MsTrace *
ms_workbench_trace (MsWorkbench *self, const char *path, gint64 run, const char *select,
                    GError **error)
{
  g_autofree char *key = NULL;
  MsTrace *trace;
  g_autoptr (MsSelection) selection = NULL;
  KeptTrace *kept;

  g_mutex_lock (&self->lock);
  key = g_strdup_printf ("%u\n%s\n%" G_GINT64_FORMAT "\n%s", self->generation, path, run,
                         select ? select : "");
  g_mutex_unlock (&self->lock);
  trace = find_trace (self, key);
  if (trace != NULL)
    return trace;
  selection = ms_selection_parse (select ? select : "", error);
  if (selection == NULL)
    return NULL;
  trace = ms_trace_open (path, run, selection, error);
  if (trace == NULL)
    return NULL;
  kept = g_new0 (KeptTrace, 1);
  kept->key = g_steal_pointer (&key);
  kept->trace = ms_trace_ref (trace);
  g_mutex_lock (&self->lock);
  g_queue_push_head (&self->traces, kept);
  while (self->traces.length > MAX_TRACES)
    kept_trace_free (g_queue_pop_tail (&self->traces));
  g_mutex_unlock (&self->lock);
  return trace;
}

/* --- Analyses --------------------------------------------------------------------------------- */

typedef struct
{
  MsWorkbench *bench;
  MsRequest *request;
  char *path;
  char *key;
  guint generation;
  gboolean partial; /* somebody looks at results of part of the tokens */
} Order;

/* One that computes a whole outcome, for all who asked for it: it is stopped when the last of them no
 * longer wants it, not when the first one does. */
typedef struct
{
  MsWorkbench *bench;
  MsJob *job; /* borrowed: whose thread computes */
  GCancellable *cancel;
  guint n_wanting; /* under the workbench's lock */
} Computation;

/* One pass over the trace or part of it, and where its progress lies in that of the job. */
typedef struct
{
  MsJob *job;
  GCancellable *cancel;
  gboolean rough;  /* without intervals */
  gint64 deadline; /* of the pass, 0 = none */
  double from, to;
} Pass;

static void
order_free (gpointer data)
{
  Order *order = data;

  g_object_unref (order->bench);
  g_clear_pointer (&order->request, ms_request_free);
  g_free (order->path);
  g_free (order->key);
  g_free (order);
}

/* Keeps the outcome for whoever asks the same again. */
static void
keep_outcome (MsWorkbench *self, const Order *order, MsOutcome *outcome)
{
  g_mutex_lock (&self->lock);
  if (order->generation == self->generation && !g_hash_table_contains (self->outcomes, order->key))
    {
      char *key = g_strdup (order->key);

      g_hash_table_insert (self->outcomes, key, ms_outcome_ref (outcome));
      g_queue_push_tail (&self->outcome_keys, key);
      if (self->outcome_keys.length > MAX_OUTCOMES)
        g_hash_table_remove (self->outcomes, g_queue_pop_head (&self->outcome_keys));
    }
  g_mutex_unlock (&self->lock);
}

static void
pass_progress (double done, gpointer data)
{
  const Pass *pass = data;

  ms_job_progress (pass->from + done * (pass->to - pass->from), pass->job);
  if (pass->deadline > 0 && g_get_monotonic_time () > pass->deadline)
    g_cancellable_cancel (pass->cancel);
}

/* Takes the request. */
static MsOutcome *
run_pass (MsRequest *request, MsTrace *trace, GPtrArray *others, Pass *pass, GError **error)
{
  g_autoptr (MsRequest) own = request;
  g_autoptr (MsValues) defaults = own->values ? NULL : ms_values_new (own->analysis);
  MsContext context = { .trace = trace,
                        .others = (MsTrace **) others->pdata,
                        .n_others = others->len,
                        .values = own->values ? own->values : defaults,
                        .seed = 1,
                        .bootstrap = pass->rough ? 0 : own->bootstrap,
                        .confidence = 0.95,
                        .cancel = pass->cancel,
                        .progress = pass_progress,
                        .progress_data = pass };
  gint64 began = g_get_monotonic_time ();
  MsResult *result = own->by ? ms_analysis_run_by (own->analysis, &context, own->by, error)
                             : ms_analysis_run (own->analysis, &context, error);
  MsOutcome *outcome;

  if (result == NULL)
    return NULL;
  outcome = g_atomic_rc_box_new0 (MsOutcome);
  outcome->request = g_steal_pointer (&own);
  outcome->result = result;
  outcome->interval = ms_interval_name (&context);
  outcome->seconds = (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC;
  outcome->share = 1;
  return outcome;
}

/* The documents that begin in one of `of` blocks, whole, because many measures look at where a document
 * begins; spread over the run, because documents of a kind often stand together.  NULL when none does. */
static MsTrace *
thin (MsTrace *trace, guint of)
{
  g_autofree guint *numbers = g_new (guint, ms_trace_n_documents (trace));
  guint n = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    if (ms_trace_document (trace, d)->first_token / MS_BLOCK_TOKENS % of == 0)
      numbers[n++] = ms_trace_document_number (trace, d);
  return n > 0 ? ms_trace_narrow (trace, numbers, n) : NULL;
}

/* The first blocks of tokens, one in `of`: what can be had of a few long documents.  NULL when the selection
 * has tokens of its own. */
static MsTrace *
begin (MsTrace *trace, guint of)
{
  g_autoptr (MsSelection) selection = ms_selection_copy (ms_trace_selection (trace));
  gint64 blocks = ms_trace_run (trace)->n_tokens / MS_BLOCK_TOKENS / of;
  MsRange range = { 0, MAX (blocks, 1) * MS_BLOCK_TOKENS - 1 };

  if (selection->tokens != NULL)
    return NULL;
  selection->tokens = g_array_new (FALSE, FALSE, sizeof (MsRange));
  g_array_append_val (selection->tokens, range);
  return ms_trace_open (ms_trace_path (trace), ms_trace_run (trace)->id, selection, NULL);
}

/* About one in `of` tokens, NULL when that cannot be had. */
static MsTrace *
part_of (MsTrace *trace, guint of)
{
  MsTrace *part = thin (trace, of);

  if (part == NULL || ms_trace_n_tokens (part) > 3 * ms_trace_n_tokens (trace) / of)
    {
      g_clear_pointer (&part, ms_trace_unref);
      part = begin (trace, of);
    }
  return part;
}

static GPtrArray *
part_of_all (GPtrArray *traces, guint of)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);

  for (guint i = 0; i < traces->len; i++)
    {
      MsTrace *part = part_of (g_ptr_array_index (traces, i), of);

      if (part == NULL)
        return NULL;
      g_ptr_array_add (parts, part);
    }
  return g_steal_pointer (&parts);
}

/* Says in words what the outcome rests on, wherever it is shown, copied or read aloud. */
static void
mark_partial (MsOutcome *outcome, double share)
{
  MsResult *result = outcome->result;
  g_autofree char *whole = g_steal_pointer (&result->summary);

  outcome->share = share;
  result->summary = g_strdup_printf (_ ("On %.2g %% of the tokens so far: %s"), 100 * share,
                                     whole ? whole : "");
  ms_result_note (result, _ ("a first look at %.2g %% of the tokens, without intervals"),
                  100 * share);
}

static void
cancel_too (GCancellable *cancelled, gpointer other)
{
  g_cancellable_cancel (other);
}

/* Long scans are first made on few documents, then on more.  What takes long all the same is not worth
 * it: the whole is computed at once. */
static double
look_ahead (MsJob *job, const Order *order, MsTrace *trace, GPtrArray *others)
{
  static const struct
  {
    guint of;       /* a part is about 1 / of */
    double seconds; /* that it may take */
  } parts[] = { { 50, 6 }, { 8, 30 } };
  double before = 0, reached = 0, rate = 0;

  if (ms_trace_n_tokens (trace) * ms_trace_n_layers (trace) < LONG_SCAN)
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autoptr (MsTrace) part = part_of (trace, parts[i].of);
      g_autoptr (GPtrArray) other_parts = part_of_all (others, parts[i].of);
      g_autoptr (GCancellable) cancel = g_cancellable_new ();
      double share
          = part ? (double) ms_trace_n_tokens (part) / (double) ms_trace_n_tokens (trace) : 1;
      Pass pass = { job, cancel, TRUE, 0, reached, reached + share };
      MsOutcome *outcome;
      gulong link;

      if (share > 0.5 || share < 2 * before || share * rate > parts[i].seconds
          || other_parts == NULL)
        continue;
      pass.deadline = g_get_monotonic_time () + (gint64) (parts[i].seconds * G_USEC_PER_SEC);
      link
          = g_cancellable_connect (ms_job_cancellable (job), G_CALLBACK (cancel_too), cancel, NULL);
      outcome = run_pass (ms_request_copy (order->request), part, other_parts, &pass, NULL);
      g_cancellable_disconnect (ms_job_cancellable (job), link);
      if (outcome == NULL)
        return reached; /* too long, or not possible on a part */
      reached = pass.to;
      before = share;
      rate = outcome->seconds / share; /* of the whole, when all of it grows with the tokens */
      if (rate < WORTH_A_LOOK)
        {
          ms_outcome_unref (outcome);
          return reached;
        }
      mark_partial (outcome, share);
      ms_job_offer (job, outcome);
    }
  return reached;
}

static void
computation_unwant (Computation *computation)
{
  gboolean last;

  g_mutex_lock (&computation->bench->lock);
  last = --computation->n_wanting == 0;
  g_mutex_unlock (&computation->bench->lock);
  if (last)
    g_cancellable_cancel (computation->cancel);
}

static void
clear_computation (gpointer data)
{
  g_clear_object (&((Computation *) data)->cancel);
}

static void
computation_unref (gpointer computation)
{
  g_atomic_rc_box_release_full (computation, clear_computation);
}

static void
on_worker_cancelled (GCancellable *cancellable, gpointer computation)
{
  computation_unwant (computation);
}

/* Waits while somebody else computes the same.  Returns what is the caller's to compute, and to end with
 * let_go(); or NULL, and *outcome is what came of it, or the job was stopped. */
static Computation *
claim (MsJob *job, const Order *order, MsOutcome **outcome, GError **error)
{
  MsWorkbench *self = order->bench;
  GCancellable *cancel = ms_job_cancellable (job);
  Computation *running, *own = NULL;

  g_mutex_lock (&self->lock);
  while ((running = g_hash_table_lookup (self->running, order->key)) != NULL
         && !g_cancellable_is_cancelled (cancel))
    {
      g_atomic_rc_box_acquire (running);
      running->n_wanting++;
      while (g_hash_table_lookup (self->running, order->key) == running
             && !g_cancellable_is_cancelled (cancel))
        {
          if (ms_job_get_fraction (running->job) >= 0)
            ms_job_progress (ms_job_get_fraction (running->job), job);
          g_cond_wait_until (&self->ended, &self->lock,
                             g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND);
        }
      g_mutex_unlock (&self->lock);
      computation_unwant (running);
      computation_unref (running);
      g_mutex_lock (&self->lock);
    }
  *outcome = order->generation == self->generation
                 ? g_hash_table_lookup (self->outcomes, order->key)
                 : NULL;
  if (*outcome != NULL)
    ms_outcome_ref (*outcome);
  else if (!g_cancellable_set_error_if_cancelled (cancel, error))
    {
      own = g_atomic_rc_box_new0 (Computation);
      own->bench = self;
      own->job = job;
      own->cancel = g_cancellable_new ();
      own->n_wanting = 1;
      g_hash_table_insert (self->running, g_strdup (order->key), own);
    }
  g_mutex_unlock (&self->lock);
  return own;
}

static void
let_go (const Order *order, Computation *computation)
{
  g_mutex_lock (&order->bench->lock);
  g_hash_table_remove (order->bench->running, order->key);
  g_cond_broadcast (&order->bench->ended);
  g_mutex_unlock (&order->bench->lock);
  computation_unref (computation);
}

/* `run` is the request's, or the newest where it names none: they are kept as the same. */
static char *
outcome_key (const MsRequest *request, gint64 run)
{
  MsRequest named = *request;

  named.run = run;
  return ms_request_format (&named, NULL);
}

/* The traces beside the request's: the second run, or of a series all further ones. */
static GPtrArray *
open_others (const Order *order, const MsTrace *trace, const MsSelection *selection, GError **error)
{
  const MsRequest *request = order->request;
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  g_autofree gint64 *runs = NULL;
  MsTrace *other;
  guint n = 0;

  if ((request->analysis->needs & MS_NEEDS_SERIES)
      && !ms_selection_list_with (selection, ms_trace_run (trace)->id, &runs, &n, error))
    return NULL;
  if (request->other > 0)
    {
      runs = g_renew (gint64, runs, n + 1);
      runs[n++] = request->other;
    }
  for (guint i = 0; i < n; i++)
    {
      other = ms_workbench_trace (order->bench, order->path, runs[i], request->select, error);
      if (other == NULL)
        return NULL;
      g_ptr_array_add (others, other);
    }
  return g_steal_pointer (&others);
}

/* Computes what the order asks for, about one run, between `from` and `to` of the job's progress. */
static MsOutcome *
compute_one (MsJob *job, Order *order, MsTrace *trace, const MsSelection *selection, double from,
             double to, GError **error)
{
  g_autoptr (GPtrArray) others = open_others (order, trace, selection, error);
  Pass pass = { .job = job, .from = from, .to = to };
  Computation *computation;
  MsOutcome *outcome;
  gulong link;

  if (others == NULL)
    return NULL;
  if (order->partial)
    pass.from = look_ahead (job, order, trace, others);
  computation = claim (job, order, &outcome, error);
  if (computation == NULL)
    return outcome;
  pass.cancel = computation->cancel;
  link = g_cancellable_connect (ms_job_cancellable (job), G_CALLBACK (on_worker_cancelled),
                                computation, NULL);
  outcome = run_pass (g_steal_pointer (&order->request), trace, others, &pass, error);
  g_cancellable_disconnect (ms_job_cancellable (job), link);
  if (outcome != NULL)
    keep_outcome (order->bench, order, outcome);
  let_go (order, computation);
  return outcome;
}

/* What one of several runs gives, computed or as it is kept from when it was shown alone. */
static MsOutcome *
compute_part (MsJob *job, const Order *order, MsTrace *trace, double from, double to,
              GError **error)
{
  Order part = *order;
  g_autoptr (MsSelection) selection = NULL;
  MsOutcome *outcome;

  part.request = ms_request_alone (order->request);
  part.request->run = ms_trace_run (trace)->id;
  part.key = outcome_key (part.request, part.request->run);
  part.partial = FALSE;
  selection = ms_selection_parse (part.request->select ? part.request->select : "", NULL);
  outcome = compute_one (job, &part, trace, selection, from, to, error);
  g_clear_pointer (&part.request, ms_request_free);
  g_free (part.key);
  return outcome;
}

/* The outcomes of the first n runs of the traces as one; that of only some of them says so. */
static MsOutcome *
stack_outcomes (const Order *order, GPtrArray *traces, GPtrArray *outcomes, const MsRunResult *runs,
                guint n)
{
  MsContext context = { .trace = g_ptr_array_index (traces, 0),
                        .with = (MsTrace **) traces->pdata + 1,
                        .n_with = traces->len - 1,
                        .bootstrap = order->request->bootstrap,
                        .confidence = 0.95 };
  MsOutcome *all = g_atomic_rc_box_new0 (MsOutcome);

  all->request = ms_request_copy (order->request);
  all->result = ms_result_stack (runs, n);
  all->interval = ms_interval_name (&context);
  all->runs = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_outcome_unref);
  for (guint i = 0; i < outcomes->len; i++)
    {
      MsOutcome *one = g_ptr_array_index (outcomes, i);

      all->seconds += one->seconds;
      g_ptr_array_add (all->runs, ms_outcome_ref (one));
    }
  all->share = (double) n / traces->len;
  if (n < traces->len)
    {
      g_autofree char *some = g_steal_pointer (&all->result->summary);

      all->result->summary
          = g_strdup_printf (_ ("%u of %u runs so far:\n%s"), n, traces->len, some);
    }
  return all;
}

static int
compare_traces (gconstpointer a, gconstpointer b)
{
  gint64 left = ms_trace_run (*(MsTrace *const *) a)->id;
  gint64 right = ms_trace_run (*(MsTrace *const *) b)->id;

  return (left > right) - (left < right);
}

/* Opens the runs shown beside the main one, whose trace is there; then they are in the order of their
 * numbers. */
static gboolean
open_with (const Order *order, const MsSelection *selection, GPtrArray *traces, GError **error)
{
  g_autoptr (MsRequest) alone = ms_request_alone (order->request);
  MsTrace *main = g_ptr_array_index (traces, 0);
  g_autofree gint64 *runs = NULL;
  guint n;

  if (!ms_selection_list_with (selection, ms_trace_run (main)->id, &runs, &n, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      MsTrace *trace
          = ms_workbench_trace (order->bench, order->path, runs[i], alone->select, error);

      if (trace == NULL)
        return FALSE;
      g_ptr_array_add (traces, trace);
    }
  g_ptr_array_sort (traces, compare_traces);
  return TRUE;
}

/* The same on several runs, one after the other. */
static MsOutcome *
compute_runs (MsJob *job, Order *order, MsTrace *main, const MsSelection *selection, GError **error)
{
  g_autoptr (GPtrArray) traces = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  g_autoptr (GPtrArray) outcomes
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_outcome_unref);
  g_autoptr (GPtrArray) failures = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  MsRunResult runs[MS_RUNS_MOST] = { { NULL, NULL, NULL } };
  gint64 shown = g_get_monotonic_time ();
  MsOutcome *all;

  g_ptr_array_add (traces, ms_trace_ref (main));
  if (!open_with (order, selection, traces, error))
    return NULL;
  for (guint i = 0; i < traces->len; i++)
    {
      MsTrace *trace = g_ptr_array_index (traces, i);
      GError *failure = NULL;
      MsOutcome *outcome = compute_part (job, order, trace, (double) i / traces->len,
                                         (i + 1.0) / traces->len, &failure);

      if (outcome == NULL && !g_error_matches (failure, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS))
        {
          g_propagate_error (error, failure);
          return NULL;
        }
      if (outcome != NULL)
        g_ptr_array_add (outcomes, outcome);
      else
        g_ptr_array_add (failures, failure);
      runs[i] = (MsRunResult){ ms_trace_run (trace), outcome ? outcome->result : NULL,
                               failure ? failure->message : NULL };
      if (order->partial && outcomes->len > 0 && i + 1 < traces->len
          && (double) (g_get_monotonic_time () - shown) / G_USEC_PER_SEC > WORTH_A_LOOK)
        {
          ms_job_offer (job, stack_outcomes (order, traces, outcomes, runs, i + 1));
          shown = g_get_monotonic_time ();
        }
    }
  if (outcomes->len == 0)
    {
      g_propagate_error (error, g_error_copy (g_ptr_array_index (failures, 0)));
      return NULL;
    }
  all = stack_outcomes (order, traces, outcomes, runs, traces->len);
  keep_outcome (order->bench, order, all);
  return all;
}

static gpointer
compute (MsJob *job, gpointer data, GError **error)
{
  Order *order = data;
  const MsRequest *request = order->request;
  g_autoptr (MsSelection) selection
      = ms_selection_parse (request->select ? request->select : "", error);
  g_autoptr (MsRequest) alone = NULL;
  g_autoptr (MsTrace) trace = NULL;

  if (selection == NULL)
    return NULL;
  alone = ms_request_alone (request);
  trace = ms_workbench_trace (order->bench, order->path, request->run, alone->select, error);
  if (trace == NULL)
    return NULL;
  if (selection->with != NULL && ms_analysis_takes_runs (request->analysis))
    return compute_runs (job, order, trace, selection, error);
  return compute_one (job, order, trace, selection, 0, 1, error);
}

MsJob *
ms_workbench_analyze (MsWorkbench *self, MsRequest *request, guint delay, MsJobDone done,
                      MsJobPartial partial, GObject *owner)
{
  MsRunItem *item = ms_workbench_find_run (self, request->run);
  g_autofree char *key = outcome_key (request, item ? item->run->id : request->run);
  MsOutcome *outcome;
  guint generation;
  Order *order;

  g_mutex_lock (&self->lock);
  generation = self->generation;
  outcome = g_hash_table_lookup (self->outcomes, key);
  if (outcome != NULL)
    ms_outcome_ref (outcome);
  g_mutex_unlock (&self->lock);
  if (outcome != NULL)
    {
      ms_request_free (request);
      done (owner, outcome, NULL);
      return NULL;
    }
  order = g_new0 (Order, 1);
  order->bench = g_object_ref (self);
  order->request = request;
  order->path = g_strdup (self->path);
  order->key = g_steal_pointer (&key);
  order->generation = generation;
  order->partial = partial != NULL;
  return ms_job_start (self->jobs, &(MsJobSpec){ .title = _ (request->analysis->title),
                                                 .delay = delay,
                                                 .work = compute,
                                                 .data = order,
                                                 .free_data = order_free,
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
