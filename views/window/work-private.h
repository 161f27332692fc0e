/* Work off the main thread that can be watched and stopped. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MS_WORK_WAITING,
  MS_WORK_RUNNING,
  MS_WORK_DONE,
  MS_WORK_FAILED,
  MS_WORK_STOPPED,
} MsWorkState;

#define MS_TYPE_WORK (ms_work_get_type ())
G_DECLARE_FINAL_TYPE (MsWork, ms_work, MS, WORK, GObject)

/* Runs in a thread of its own.  Returns the result, or NULL with *error. */
typedef gpointer (*MsWorkFunc) (MsWork *job, gpointer data, GError **error);
/* Runs in the main thread when the work ended; never after ms_work_drop or when the owner is gone.
 * result is the callee's to free; NULL with an error (G_IO_ERROR_CANCELLED after ms_work_stop). */
typedef void (*MsWorkDone) (GObject *owner, gpointer result, const GError *error);

/* Runs in the main thread with what the worker had to show so far: the callee's to free. */
typedef void (*MsWorkPartial) (GObject *owner, gpointer result);

typedef struct
{
  const char *title; /* for the job list */
  guint delay;       /* milliseconds to wait for a newer job before starting */
  MsWorkFunc work;
  gpointer data; /* taken */
  GDestroyNotify free_data;
  GDestroyNotify free_result;
  MsWorkDone done;
  MsWorkPartial partial; /* for what ms_work_offer gives; NULL = nobody wants it */
  GObject *owner;        /* held weakly */
  gboolean keep_failure; /* nobody but the job list tells of a failure */
} MsWorkSpec;

/* Starts the work and lists it in `jobs` (of MsWork; may be NULL) until it ends; with keep_failure a
 * failed job stays listed until somebody removes it.  (transfer full)
 * Properties: "title", "state", "fraction" (-1 = unknown), "message": notified at 15 Hz. */
MsWork *ms_work_start (GListStore *jobs, const MsWorkSpec *spec);

/* The user's stop: done() hears of it. */
void ms_work_stop (MsWork *job);
/* A newer job takes this one's place: cancels it, done() is not called, and clears the pointer. */
void ms_work_drop (MsWork **job);

const char *ms_work_get_title (MsWork *job);
MsWorkState ms_work_get_state (MsWork *job);
double ms_work_get_fraction (MsWork *job);
/* What it is doing, or why it failed. (transfer full) */
char *ms_work_dup_message (MsWork *job);
/* Seconds since it began, 0 before that. */
double ms_work_get_seconds (MsWork *job);
/* Seconds left as far as can be told, -1 before that. */
double ms_work_get_seconds_left (MsWork *job);

/* For the worker. */
GCancellable *ms_work_cancellable (MsWork *job);
/* An MsProgressFunc whose data is the job; from any thread. */
void ms_work_progress (double done, gpointer job);
void ms_work_set_message (MsWork *job, const char *message);
/* A result of part of the work, of the same kind as the final one; takes it.  The owner gets the newest
 * within 1/15 s, none after done(). */
void ms_work_offer (MsWork *job, gpointer result);

G_END_DECLS
