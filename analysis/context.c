/* A computation's progress, and its tasks on several threads.  The numbers must not depend on the threads:
 * a task writes to slots of its own index alone, and the error is that of the lowest index. */
#include "analysis-private.h"

void
ms_context_progress (const MsContext *context, double done)
{
  if (context->progress != NULL)
    context->progress (done, context->progress_data);
}

typedef struct
{
  const MsContext *context;
  MsContextTask task;
  gpointer data;
  guint n;
  double from, to;
  GMutex lock; /* of what follows */
  guint done;
  guint failed; /* the lowest failing index, n = none */
  GError *error;
} Tasks;

static void
run_task (guint index, guint worker, gpointer data)
{
  Tasks *tasks = data;
  GError *error = NULL;
  gboolean stop;

  (void) worker;
  g_mutex_lock (&tasks->lock);
  stop = tasks->failed < index;
  g_mutex_unlock (&tasks->lock);
  if (stop)
    return;
  if (!g_cancellable_set_error_if_cancelled (tasks->context->cancel, &error))
    tasks->task (tasks->context, index, tasks->data, &error);
  g_mutex_lock (&tasks->lock);
  tasks->done++;
  if (error == NULL)
    ms_context_progress (tasks->context,
                         tasks->from + (tasks->to - tasks->from) * tasks->done / tasks->n);
  else if (index < tasks->failed)
    {
      g_clear_error (&tasks->error);
      tasks->error = g_steal_pointer (&error);
      tasks->failed = index;
    }
  g_mutex_unlock (&tasks->lock);
  g_clear_error (&error);
}

gboolean
ms_context_tasks (const MsContext *context, guint n, MsContextTask task, gpointer data, double from,
                  double to, GError **error)
{
  Tasks tasks = { context, task, data, n, from, to, .failed = n };

  g_mutex_init (&tasks.lock);
  ms_parallel (context->threads, n, run_task, &tasks);
  g_mutex_clear (&tasks.lock);
  if (tasks.error == NULL)
    return TRUE;
  g_propagate_error (error, tasks.error);
  return FALSE;
}

void
ms_part_progress (double done, gpointer data)
{
  const MsPartProgress *part = data;

  ms_context_progress (part->context, part->from + part->share * done);
}

gboolean
ms_context_pairs_fit (const MsContext *context, guint distance, gsize bytes, GError **error)
{
  double all = 0, largest = 0;
  guint at = 0;

  for (guint l = 0; l + distance < ms_trace_n_layers (context->trace); l++)
    {
      double own = (double) ms_trace_layer (context->trace, l)->gate.n_experts
                   * ms_trace_layer (context->trace, l + distance)->gate.n_experts * (double) bytes;

      all += own;
      if (own > largest)
        {
          largest = own;
          at = l;
        }
    }
  if (all <= MS_MOST_PAIR_BYTES)
    return TRUE;
  g_set_error (
      error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
      "layer %d has %u experts: counts of all their pairs would take %.1f GB of memory, and "
      "%.1f GB are the most; where few of the numbers occur, number the experts from 0 "
      "without gaps and import the trace again, or choose layers with --select",
      ms_trace_layer (context->trace, at)->number,
      ms_trace_layer (context->trace, at)->gate.n_experts, all / 1e9, MS_MOST_PAIR_BYTES / 1e9);
  return FALSE;
}
