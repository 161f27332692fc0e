/* How many bytes per second of processor time import reads of CSV and JSON lines, beside a plain loop that only looks
 * for the ends of the lines, and how much memory it takes.  Prints a table; nothing is asserted.
 *
 * bench-import [MEGABYTES]: of each file, 64 unless told. */
#include "db.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define N_EXPERTS 128
#define K         8
#define LAYERS    16
#define LENGTH    512 /* tokens of a document */

static double
processor_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

/* Writes whole documents until the file has `bytes`; returns its size. */
static gsize
write_trace (const char *path, gboolean json, gsize bytes)
{
  FILE *out = fopen (path, "w");
  guint64 state = 1;
  gsize written = 0;

  if (!json)
    written += (gsize) fprintf (out, "sequence,token,layer,rank,expert,weight\n");
  for (guint d = 0; written < bytes; d++)
    for (guint t = 0; t < LENGTH; t++)
      for (guint l = 0; l < LAYERS; l++)
        {
          guint first = (guint) ms_random_below (&state, N_EXPERTS);

          if (json)
            written += (gsize) fprintf (out,
                                        "{\"type\":\"route\",\"req_id\":\"%u\",\"token_idx\":%u,"
                                        "\"layer\":%u,\"topk_ids\":[",
                                        d, t, l);
          for (guint r = 0; r < K; r++)
            written += json ? (gsize) fprintf (out, "%s%u", r > 0 ? "," : "",
                                               (first + 7 * r) % N_EXPERTS)
                            : (gsize) fprintf (out, "%u,%u,%u,%u,%u,0.%04u\n", d, t, l, r,
                                               (first + 7 * r) % N_EXPERTS, 3000 - 300 * r);
          if (!json)
            continue;
          written += (gsize) fprintf (out, "],\"topk_weights\":[");
          for (guint r = 0; r < K; r++)
            written += (gsize) fprintf (out, "%s0.%04u", r > 0 ? "," : "", 3000 - 300 * r);
          written += (gsize) fprintf (out, "]}\n");
        }
  fclose (out);
  return written;
}

/* Seconds that a look for the ends of the lines takes. */
static double
look_through (const char *path)
{
  g_autofree char *block = g_malloc (1 << 16);
  FILE *in = fopen (path, "r");
  double start = processor_seconds ();
  gsize n, lines = 0;

  while ((n = fread (block, 1, 1 << 16, in)) > 0)
    for (const char *at = block; (at = memchr (at, '\n', n - (gsize) (at - block))) != NULL; at++)
      lines++;
  fclose (in);
  g_assert (lines > 0);
  return processor_seconds () - start;
}

static void
measure (const char *folder, const char *name, gboolean json, gsize bytes)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *output = g_build_filename (folder, "run.db", NULL);
  const char *inputs[] = { path, NULL };
  MsImportOptions options = { .inputs = inputs, .output = output, .n_experts = N_EXPERTS };
  MsImportSummary summary;
  GError *error = NULL;
  gsize size = write_trace (path, json, bytes);
  double plain = look_through (path), start = processor_seconds (), seconds;
  struct rusage usage;

  if (!ms_import (&options, &summary, &error))
    g_error ("%s", error->message);
  seconds = processor_seconds () - start;
  getrusage (RUSAGE_SELF, &usage);
  printf ("%-12s %8.1f MB %8.1f MB/s %8.1f M decisions/s %8.1f times a look for the lines, %6ld MB "
          "at most\n",
          name, (double) size / 1e6, (double) size / 1e6 / seconds,
          (double) summary.decisions / 1e6 / seconds, seconds / plain, usage.ru_maxrss / 1024);
  ms_import_summary_clear (&summary);
  g_remove (path);
  g_remove (output);
}

int
main (int argc, char **argv)
{
  gsize bytes = (argc > 1 ? (gsize) g_ascii_strtoull (argv[1], NULL, 10) : 64) * 1000000;
  g_autofree char *folder = g_dir_make_tmp ("moescope-bench-XXXXXX", NULL);

  measure (folder, "trace.csv", FALSE, bytes);
  measure (folder, "trace.jsonl", TRUE, bytes);
  g_rmdir (folder);
  return 0;
}
