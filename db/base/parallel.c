/* Tasks on several threads.
 *
 * The caller is the first worker, so that one thread starts none.  A counter hands out the indices; workers share
 * nothing else, and ms_parallel returns after all of them, so that what the tasks wrote is there for the
 * caller without a lock. */
#include "base.h"

#include <sched.h>

typedef struct
{
  MsTask task;
  gpointer data;
  guint n_tasks;
  gint next; /* atomic: the next index to hand out */
} Work;

typedef struct
{
  Work *work;
  guint worker;
} Worker;

guint
ms_threads (guint threads)
{
  cpu_set_t set;

  if (threads > 0)
    return threads;
  if (sched_getaffinity (0, sizeof set, &set) == 0)
    return (guint) MAX (CPU_COUNT (&set), 1);
  return g_get_num_processors ();
}

static gpointer
run_worker (gpointer data)
{
  Worker *worker = data;
  Work *work = worker->work;

  for (;;)
    {
      guint index = (guint) g_atomic_int_add (&work->next, 1);
      if (index >= work->n_tasks)
        return NULL;
      work->task (index, worker->worker, work->data);
    }
}

void
ms_parallel (guint threads, guint n_tasks, MsTask task, gpointer data)
{
  Work work = { task, data, n_tasks, 0 };
  guint n_workers = MIN (ms_threads (threads), n_tasks);
  g_autofree Worker *workers = g_new (Worker, MAX (n_workers, 1));
  g_autofree GThread **others = g_new0 (GThread *, MAX (n_workers, 1));

  for (guint i = 0; i < n_workers; i++)
    workers[i] = (Worker){ &work, i };
  for (guint i = 1; i < n_workers; i++)
    others[i] = g_thread_new ("ms-worker", run_worker, &workers[i]);
  if (n_workers > 0)
    run_worker (&workers[0]);
  for (guint i = 1; i < n_workers; i++)
    g_thread_join (others[i]);
}
