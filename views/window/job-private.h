/* Work off the main thread that can be watched and stopped. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MS_JOB_WAITING,
  MS_JOB_RUNNING,
  MS_JOB_DONE,
  MS_JOB_FAILED,
  MS_JOB_STOPPED,
} MsJobState;

#define MS_TYPE_JOB (ms_job_get_type ())
G_DECLARE_FINAL_TYPE (MsJob, ms_job, MS, JOB, GObject)

/* Runs in a thread of its own.  Returns the result, or NULL with *error. */
typedef gpointer (*MsJobFunc) (MsJob *job, gpointer data, GError **error);
/* Runs in the main thread when the work ended; never after ms_job_drop or when the owner is gone.
 * result is the callee's to free; NULL with an error (G_IO_ERROR_CANCELLED after ms_job_stop). */
typedef void (*MsJobDone) (GObject *owner, gpointer result, const GError *error);

/* Runs in the main thread with what the worker had to show so far: the callee's to free. */
typedef void (*MsJobPartial) (GObject *owner, gpointer result);

typedef struct
{
  const char *title; /* for the job list */
  guint delay;       /* milliseconds to wait for a newer job before starting */
  MsJobFunc work;
  gpointer data; /* taken */
  GDestroyNotify free_data;
  GDestroyNotify free_result;
  MsJobDone done;
  MsJobPartial partial;  /* for what ms_job_offer gives; NULL = nobody wants it */
  GObject *owner;        /* held weakly */
  gboolean keep_failure; /* nobody but the job list tells of a failure */
} MsJobSpec;

/* Starts the work and lists it in `jobs` (of MsJob; may be NULL) until it ends; with keep_failure a
 * failed job stays listed until somebody removes it.  (transfer full)
 * Properties: "title", "state", "fraction" (-1 = unknown), "message": notified at 15 Hz. */
MsJob *ms_job_start (GListStore *jobs, const MsJobSpec *spec);

/* The user's stop: done() hears of it. */
void ms_job_stop (MsJob *job);
/* A newer job takes this one's place: cancels it, done() is not called, and clears the pointer. */
void ms_job_drop (MsJob **job);

const char *ms_job_get_title (MsJob *job);
MsJobState ms_job_get_state (MsJob *job);
double ms_job_get_fraction (MsJob *job);
/* What it is doing, or why it failed. (transfer full) */
char *ms_job_dup_message (MsJob *job);
/* Seconds since it began, 0 before that. */
double ms_job_get_seconds (MsJob *job);
/* Seconds left as far as can be told, -1 before that. */
double ms_job_get_seconds_left (MsJob *job);

/* For the worker. */
GCancellable *ms_job_cancellable (MsJob *job);
/* An MsProgressFunc whose data is the job; from any thread. */
void ms_job_progress (double done, gpointer job);
void ms_job_set_message (MsJob *job, const char *message);
/* A result of part of the work, of the same kind as the final one; takes it.  The owner gets the newest
 * within 1/15 s, none after done(). */
void ms_job_offer (MsJob *job, gpointer result);

G_END_DECLS
