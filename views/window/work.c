/* MsWork: a GTask with a title.  The worker writes one atomic (and a message under a lock); a timer of
 * the main thread looks at them, so progress costs no main-loop traffic. */
#include "work-private.h"

#include <sys/resource.h>
#include <unistd.h>

#define POLL_MS 66
/* Of the workers and, as Linux hands it down, of the threads they start: a scan that keeps all cores busy
 * must not keep the main thread from drawing. */
#define NICE 10

struct _MsWork
{
  GObject parent_instance;
  char *title;
  MsWorkState state;
  GCancellable *cancellable;
  GListStore *jobs;
  MsWorkFunc work;
  MsWorkDone done;
  MsWorkPartial partial;
  GDestroyNotify free_result;
  gpointer data;
  GDestroyNotify free_data;
  GWeakRef owner;
  gboolean dropped, keep_failure;
  guint timer;
  gint64 started;
  gint parts; /* atomic: the share done in 1/10000, -1 = unknown */
  gint shown;
  GMutex lock;
  char *message; /* under lock, as what follows */
  gboolean message_changed;
  gpointer offer;
};

enum
{
  PROP_TITLE = 1,
  PROP_STATE,
  PROP_FRACTION,
  PROP_MESSAGE,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MsWork, ms_work, G_TYPE_OBJECT)

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  MsWork *self = MS_WORK (object);

  switch (id)
    {
    case PROP_TITLE:
      g_value_set_string (value, self->title);
      break;
    case PROP_STATE:
      g_value_set_int (value, (int) self->state);
      break;
    case PROP_FRACTION:
      g_value_set_double (value, ms_work_get_fraction (self));
      break;
    case PROP_MESSAGE:
      g_value_take_string (value, ms_work_dup_message (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
finalize (GObject *object)
{
  MsWork *self = MS_WORK (object);

  if (self->data != NULL && self->free_data != NULL)
    self->free_data (self->data);
  g_clear_handle_id (&self->timer, g_source_remove);
  g_free (self->title);
  g_free (self->message);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->jobs);
  g_weak_ref_clear (&self->owner);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (ms_work_parent_class)->finalize (object);
}

static void
ms_work_class_init (MsWorkClass *class)
{
  GObjectClass *object_class = G_OBJECT_CLASS (class);
  GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  object_class->get_property = get_property;
  object_class->finalize = finalize;
  props[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, NULL, flags);
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, MS_WORK_STOPPED, 0, flags);
  props[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, -1, 1, -1, flags);
  props[PROP_MESSAGE] = g_param_spec_string ("message", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ms_work_init (MsWork *self)
{
  self->cancellable = g_cancellable_new ();
  self->parts = self->shown = -1;
  g_mutex_init (&self->lock);
  g_weak_ref_init (&self->owner, NULL);
}

static void
set_state (MsWork *self, MsWorkState state)
{
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

/* What was offered last and not taken yet. */
static gpointer
take_offer (MsWork *self)
{
  gpointer offer;

  g_mutex_lock (&self->lock);
  offer = g_steal_pointer (&self->offer);
  g_mutex_unlock (&self->lock);
  return offer;
}

static void
discard (MsWork *self, gpointer result)
{
  if (result != NULL && self->free_result != NULL)
    self->free_result (result);
}

static void
deliver (MsWork *self, gpointer offer)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&self->owner);

  if (self->dropped || owner == NULL || self->partial == NULL)
    discard (self, offer);
  else
    self->partial (owner, offer);
}

static gboolean
poll_progress (gpointer data)
{
  g_autoptr (MsWork) self = g_object_ref (data); /* an owner may drop it meanwhile */
  gpointer offer = take_offer (self);
  gint parts = g_atomic_int_get (&self->parts);
  gboolean message_changed;

  g_mutex_lock (&self->lock);
  message_changed = self->message_changed;
  self->message_changed = FALSE;
  g_mutex_unlock (&self->lock);
  if (parts != self->shown)
    {
      self->shown = parts;
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
    }
  if (message_changed)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_MESSAGE]);
  if (offer != NULL)
    deliver (self, offer);
  return G_SOURCE_CONTINUE;
}

static void
unlist (MsWork *self)
{
  guint position;

  if (self->jobs != NULL && g_list_store_find (self->jobs, self, &position))
    g_list_store_remove (self->jobs, position);
}

static void
finish (MsWork *self, gpointer result, const GError *error)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&self->owner);
  gboolean stopped = g_cancellable_is_cancelled (self->cancellable);

  g_clear_handle_id (&self->timer, g_source_remove);
  if (error != NULL && !stopped)
    ms_work_set_message (self, error->message);
  discard (self, take_offer (self));
  poll_progress (self);
  set_state (self, stopped ? MS_WORK_STOPPED : error ? MS_WORK_FAILED : MS_WORK_DONE);
  if (self->state != MS_WORK_FAILED || self->dropped || !self->keep_failure)
    unlist (self);
  if (self->dropped || owner == NULL || self->done == NULL)
    discard (self, result);
  else
    self->done (owner, result, error);
}

static void
run (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  MsWork *self = data;
  GError *error = NULL;
  gpointer result;

  if (g_task_return_error_if_cancelled (task))
    return;
  setpriority (PRIO_PROCESS, (id_t) gettid (), NICE);
  result = self->work (self, self->data, &error);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, result, self->free_result);
}

static void
on_ended (GObject *source, GAsyncResult *async, gpointer data)
{
  g_autoptr (GError) error = NULL;
  gpointer result = g_task_propagate_pointer (G_TASK (async), &error);

  finish (g_task_get_task_data (G_TASK (async)), result, error);
}

static gboolean
start (gpointer data)
{
  MsWork *self = data;
  g_autoptr (GTask) task = NULL;

  self->timer = 0;
  if (g_cancellable_is_cancelled (self->cancellable))
    return G_SOURCE_REMOVE;
  task = g_task_new (NULL, self->cancellable, on_ended, NULL);
  self->started = g_get_monotonic_time ();
  self->timer = g_timeout_add (POLL_MS, poll_progress, self);
  set_state (self, MS_WORK_RUNNING);
  g_task_set_task_data (task, g_object_ref (self), g_object_unref);
  g_task_set_name (task, self->title);
  g_task_run_in_thread (task, run);
  return G_SOURCE_REMOVE;
}

MsWork *
ms_work_start (GListStore *jobs, const MsWorkSpec *spec)
{
  MsWork *self = g_object_new (MS_TYPE_WORK, NULL);

  self->title = g_strdup (spec->title);
  self->work = spec->work;
  self->data = spec->data;
  self->free_data = spec->free_data;
  self->free_result = spec->free_result;
  self->done = spec->done;
  self->partial = spec->partial;
  self->keep_failure = spec->keep_failure;
  g_weak_ref_set (&self->owner, spec->owner);
  if (jobs != NULL)
    {
      self->jobs = g_object_ref (jobs);
      g_list_store_append (jobs, self);
    }
  if (spec->delay > 0)
    self->timer = g_timeout_add (spec->delay, start, self);
  else
    start (self);
  return self;
}

void
ms_work_stop (MsWork *self)
{
  gboolean waiting = self->state == MS_WORK_WAITING;

  if (self->state > MS_WORK_RUNNING)
    return;
  g_object_ref (self);
  g_cancellable_cancel (self->cancellable);
  if (waiting)
    {
      g_autoptr (GError) error
          = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "Stopped before it began");

      finish (self, NULL, error);
    }
  g_object_unref (self);
}

void
ms_work_drop (MsWork **job)
{
  if (*job == NULL)
    return;
  (*job)->dropped = TRUE;
  ms_work_stop (*job);
  if ((*job)->state == MS_WORK_RUNNING)
    unlist (*job);
  g_clear_object (job);
}

const char *
ms_work_get_title (MsWork *self)
{
  return self->title;
}

MsWorkState
ms_work_get_state (MsWork *self)
{
  return self->state;
}

double
ms_work_get_fraction (MsWork *self)
{
  gint parts = g_atomic_int_get (&self->parts);

  return parts < 0 ? -1 : parts / 10000.0;
}

char *
ms_work_dup_message (MsWork *self)
{
  char *message;

  g_mutex_lock (&self->lock);
  message = g_strdup (self->message);
  g_mutex_unlock (&self->lock);
  return message;
}

double
ms_work_get_seconds (MsWork *self)
{
  return self->started > 0 ? (double) (g_get_monotonic_time () - self->started) / G_USEC_PER_SEC
                           : 0;
}

double
ms_work_get_seconds_left (MsWork *self)
{
  double done = ms_work_get_fraction (self);
  double seconds = ms_work_get_seconds (self);

  /* Early guesses jump about; say nothing until some of it is behind us. */
  if (self->state != MS_WORK_RUNNING || done < 0.05 || seconds < 2)
    return -1;
  return seconds * (1 - done) / done;
}

GCancellable *
ms_work_cancellable (MsWork *self)
{
  return self->cancellable;
}

void
ms_work_progress (double done, gpointer job)
{
  MsWork *self = job;

  g_atomic_int_set (&self->parts, (gint) (CLAMP (done, 0, 1) * 10000));
}

void
ms_work_set_message (MsWork *self, const char *message)
{
  g_mutex_lock (&self->lock);
  g_free (self->message);
  self->message = g_strdup (message);
  self->message_changed = TRUE;
  g_mutex_unlock (&self->lock);
}

void
ms_work_offer (MsWork *self, gpointer result)
{
  gpointer before;

  g_mutex_lock (&self->lock);
  before = self->offer;
  self->offer = result;
  g_mutex_unlock (&self->lock);
  discard (self, before);
}
