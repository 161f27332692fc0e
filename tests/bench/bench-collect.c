/* How fast the collector runs a mid-size random model, and how near that is to its matrix products
 * alone.  Rates count seconds of processor time, so that a busy machine does not change them much; only
 * tokens/s is by the clock.  Prints a table; nothing is asserted. */
#include "collector.h"
#include "gemm.h"
#include "toy-model.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <time.h>

static const ToyModel model = { .architecture = "olmoe",
                                .width = 1024,
                                .blocks = 4,
                                .heads = 16,
                                .kv_heads = 16,
                                .head_width = 64,
                                .vocabulary = 1024,
                                .experts = 64,
                                .k = 8,
                                .expert_width = 512,
                                .qk_norm = 1,
                                .type = 8,
                                .seed = 1 };

typedef struct
{
  guint16 *x, *w;
  float *y;
} Peak;

#define PEAK_ROWS    512
#define PEAK_COLUMNS 256
#define PEAK_WIDTH   1024
#define PEAK_REPEATS 100

static void
multiply (guint index, guint worker, gpointer data)
{
  const Peak *peak = (Peak *) data + worker;

  (void) index;
  for (guint i = 0; i < PEAK_REPEATS; i++)
    ms_gemm_dense (PEAK_ROWS, PEAK_COLUMNS, PEAK_WIDTH, (float *) (gpointer) peak->x,
                   (float *) (gpointer) peak->w, peak->y);
}

static void
multiply_bf16 (guint index, guint worker, gpointer data)
{
  const Peak *peak = (Peak *) data + worker;

  (void) index;
  for (guint i = 0; i < PEAK_REPEATS; i++)
    ms_gemm_dense_bf16 (PEAK_ROWS, PEAK_COLUMNS, PEAK_WIDTH, peak->x, peak->w, peak->y);
}

static double
processor_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

/* GFLOP per processor second of products alone. */
static double
measure_peak (guint threads, gboolean bf16)
{
  g_autofree Peak *peaks = g_new (Peak, threads);
  double seconds;

  for (guint i = 0; i < threads; i++)
    peaks[i]
        = (Peak){ g_malloc0 (PEAK_ROWS * PEAK_WIDTH * 4), g_malloc0 (PEAK_COLUMNS * PEAK_WIDTH * 4),
                  g_new (float, PEAK_ROWS *PEAK_COLUMNS) };
  seconds = processor_seconds ();
  ms_parallel (threads, 4 * threads, bf16 ? multiply_bf16 : multiply, peaks);
  seconds = processor_seconds () - seconds;
  for (guint i = 0; i < threads; i++)
    {
      g_free (peaks[i].x);
      g_free (peaks[i].w);
      g_free (peaks[i].y);
    }
  return 2e-9 * PEAK_ROWS * PEAK_COLUMNS * PEAK_WIDTH * PEAK_REPEATS * 4 * threads / seconds;
}

/* Multiplications and additions for the decisions about one token: nothing after the last router. */
static double
token_flops (double mean_context)
{
  double d = model.width, a = model.heads * model.head_width, b = model.kv_heads * model.head_width;
  double attention = 2 * d * (2 * a + 2 * b) + 4 * a * mean_context;
  double experts = 2 * 3.0 * model.k * d * model.expert_width;

  return model.blocks * (attention + 2 * d * model.experts) + (model.blocks - 1) * experts;
}

int
main (int argc, char **argv)
{
  static const guint lengths[]
      = { 512, 512, 512, 512, 512, 512, 512, 512, 2048, 100, 200, 1748, 0 };
  guint most = argc > 1 ? (guint) g_ascii_strtoull (argv[1], NULL, 10) : ms_threads (0);
  g_autofree char *path = toy_model_save (&model), *text = toy_ids (&model, lengths);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *ids = g_build_filename (folder, "ids.txt", NULL);
  g_autofree char *db = g_build_filename (folder, "run.db", NULL);
  const char *inputs[] = { ids, NULL };

  g_file_set_contents (ids, text, -1, NULL);
  printf ("precision  threads  tokens/s  GFLOP/s per core  of products alone  recording\n");
  for (guint threads = 1; threads <= most; threads *= 2)
    for (guint fast = 0; fast < 2; fast++)
      {
        MsCollectOptions options = { .model = path,
                                     .inputs = inputs,
                                     .kind = MS_INPUT_TOKEN_IDS,
                                     .output = db,
                                     .precision = fast ? MS_PRECISION_FAST : MS_PRECISION_REFERENCE,
                                     .threads = threads };
        MsCollectSummary summary;
        g_autoptr (GError) error = NULL;
        double rate, mean_context = 0, n = 0;

        g_unlink (db);
        rate = -processor_seconds ();
        if (!ms_collect (&options, &summary, NULL, &error))
          g_error ("%s", error->message);
        for (guint i = 0; lengths[i] > 0; i++)
          {
            mean_context += lengths[i] * (lengths[i] + 1.0) / 2;
            n += lengths[i];
          }
        rate = 1e-9 * token_flops (mean_context / n) * (double) summary.tokens
               / (rate + processor_seconds ());
        printf ("%-9s  %7u  %8.0f  %16.0f  %15.0f %%  %7.2f %%\n", fast ? "fast" : "reference",
                threads, (double) summary.tokens / summary.seconds, rate,
                100 * rate / measure_peak (threads, fast && ms_gemm_has_bf16 ()),
                100 * summary.recording_seconds / summary.seconds);
        ms_collect_summary_clear (&summary);
      }
  g_unlink (db);
  g_unlink (ids);
  g_unlink (path);
  g_rmdir (folder);
  return 0;
}
