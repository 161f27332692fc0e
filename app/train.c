/* moescope train: a small reference MoE from text files. */
#include "command.h"

#include "base.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void
show_progress (const MsTrainProgress *progress, gpointer data)
{
  char left[32];
  g_autofree char *line = NULL;

  (void) data;
  if (progress->tokens_per_second <= 0)
    {
      ms_command_progress (progress->doing);
      return;
    }
  if (progress->seconds_left >= 3600)
    g_snprintf (left, sizeof left, "%.1f h", progress->seconds_left / 3600);
  else
    g_snprintf (left, sizeof left, "%.0f:%02d min", floor (progress->seconds_left / 60),
                (int) fmod (progress->seconds_left, 60));
  line = g_strdup_printf ("step %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                          "  loss %.3f  busiest expert %.2f x mean  %.0f tokens/s  %s left",
                          progress->step, progress->steps, progress->loss, 1 + progress->violation,
                          progress->tokens_per_second, left);
  ms_command_progress (line);
}

/* The loss curve as CSV. */
static gboolean
write_log (const char *path, const GArray *points, GError **error)
{
  g_autoptr (GString) out
      = g_string_new ("step,tokens,loss,auxiliary,max_violation,rate,held_out\n");

  for (guint i = 0; i < points->len; i++)
    {
      const MsTrainPoint *point = &g_array_index (points, MsTrainPoint, i);
      const double reals[]
          = { point->loss, point->auxiliary, point->violation, point->rate, point->held_out };
      char number[MS_NUMBER_SIZE];

      g_string_append_printf (out, "%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT, point->step,
                              point->tokens);
      for (guint j = 0; j < G_N_ELEMENTS (reals); j++)
        g_string_append_printf (out, ",%s", ms_number_short (number, reals[j]));
      g_string_append_c (out, '\n');
    }
  return ms_file_replace (path, out->str, out->len, error);
}

static void
print_summary (const MsTrainOptions *options, const MsTrainSummary *s)
{
  char a[MS_NUMBER_SIZE], b[MS_NUMBER_SIZE];
  double bits
      = s->held_out_bytes > 0 ? (double) s->held_out_tokens / s->held_out_bytes / G_LN2 : NAN;

  printf ("model: %s (%s, %s parameters, %s used by each token)\n", options->output,
          s->architecture, ms_number_grouped (a, s->parameters), ms_number_grouped (b, s->active));
  printf ("corpus: %s tokens of %s bytes\n", ms_number_grouped (a, s->corpus_tokens),
          ms_number_grouped (b, s->corpus_bytes));
  printf ("trained: %s steps, loss %.4f nats per token\n", ms_number_grouped (a, s->steps),
          s->loss);
  if (isnan (s->held_out))
    return;
  printf ("held-out: %s tokens      nats/token  bits/byte\n",
          ms_number_grouped (a, s->held_out_tokens));
  printf ("  model                   %10.4f %10.4f\n", s->held_out, s->held_out * bits);
  printf ("  bigram (prior %-8g) %11.4f %10.4f\n", s->bigram_prior, s->bigram, s->bigram * bits);
  printf ("  unigram                 %10.4f %10.4f\n", s->unigram, s->unigram * bits);
}

static MsExit
run (int argc, char **argv)
{
  static const char *const stores[] = { "q8_0", "f16", "f32" };
  MsTrainOptions o;
  MsTrainSummary summary;
  g_autofree char *output = NULL, *log = NULL, *name = NULL, *router = NULL, *store = NULL;
  g_auto (GStrv) held_out = NULL;
  gint threads = 0;
  gint64 tokens = 0, seed;
  g_autoptr (GError) error = NULL;

  ms_train_options_init (&o);
  seed = (gint64) o.seed;
  {
    const GOptionEntry entries[] = {
      { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "The model to write", "MODEL.gguf" },
      { "held-out", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &held_out,
        "Text to evaluate on, never trained on (may be repeated)", "FILE" },
      { "router", 0, 0, G_OPTION_ARG_STRING, &router, "softmax (default) or sigmoid", "NAME" },
      { "layers", 0, 0, G_OPTION_ARG_INT, &o.layers, "Layers (8)", "N" },
      { "experts", 0, 0, G_OPTION_ARG_INT, &o.experts, "Experts of a layer (16)", "N" },
      { "top-k", 'k', 0, G_OPTION_ARG_INT, &o.top_k, "Experts a token uses (2)", "N" },
      { "shared", 0, 0, G_OPTION_ARG_INT, &o.shared,
        "Shared experts (as the architecture needs: softmax 0, sigmoid 1)", "N" },
      { "width", 0, 0, G_OPTION_ARG_INT, &o.width, "Width of the residual stream (192)", "N" },
      { "heads", 0, 0, G_OPTION_ARG_INT, &o.heads, "Attention heads (6)", "N" },
      { "kv-heads", 0, 0, G_OPTION_ARG_INT, &o.kv_heads, "Key-value heads (2)", "N" },
      { "head-width", 0, 0, G_OPTION_ARG_INT, &o.head_width, "Width of a head (32)", "N" },
      { "expert-width", 0, 0, G_OPTION_ARG_INT, &o.expert_width, "Inner width of an expert (96)",
        "N" },
      { "vocabulary", 0, 0, G_OPTION_ARG_INT, &o.vocabulary, "Tokens of the tokenizer (6144)",
        "N" },
      { "context", 0, 0, G_OPTION_ARG_INT, &o.context, "Tokens of a sequence (256)", "N" },
      { "batch", 0, 0, G_OPTION_ARG_INT, &o.batch, "Sequences of a step (32)", "N" },
      { "steps", 0, 0, G_OPTION_ARG_INT64, &o.steps, "Steps (1000)", "N" },
      { "tokens", 0, 0, G_OPTION_ARG_INT64, &tokens, "Tokens to train on, instead of --steps",
        "N" },
      { "warm-up", 0, 0, G_OPTION_ARG_INT64, &o.warm_up, "Steps of rising rate (100)", "N" },
      { "cool-down", 0, 0, G_OPTION_ARG_INT64, &o.cool_down,
        "Steps of falling rate at the end (300)", "N" },
      { "rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.rate, "Peak learning rate (0.003)", "X" },
      { "decay", 0, 0, G_OPTION_ARG_DOUBLE, &o.decay, "Weight decay (0.1)", "X" },
      { "clip", 0, 0, G_OPTION_ARG_DOUBLE, &o.clip, "Largest norm of the gradient (1)", "X" },
      { "balance", 0, 0, G_OPTION_ARG_DOUBLE, &o.balance,
        "Weight of the balance loss of softmax (0.01)", "X" },
      { "z-loss", 0, 0, G_OPTION_ARG_DOUBLE, &o.z_loss, "Weight of the z-loss of softmax (0.001)",
        "X" },
      { "bias-rate", 0, 0, G_OPTION_ARG_DOUBLE, &o.bias_rate,
        "Step of the selection bias of sigmoid (0.001)", "X" },
      { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Seed (1)", "N" },
      { "threads", 't', 0, G_OPTION_ARG_INT, &threads, "Threads (all cores)", "N" },
      { "type", 0, 0, G_OPTION_ARG_STRING, &store, "Storage of matrices: q8_0 (default), f16, f32",
        "TYPE" },
      { "name", 0, 0, G_OPTION_ARG_STRING, &name, "Name inside the file", "TEXT" },
      { "checkpoint-every", 0, 0, G_OPTION_ARG_INT64, &o.checkpoint_every,
        "Write MODEL-stepNNNNNN.gguf every N steps", "N" },
      { "evaluate-every", 0, 0, G_OPTION_ARG_INT64, &o.evaluate_every,
        "Evaluate on the held-out text every N steps (only at the end)", "N" },
      { "log", 0, 0, G_OPTION_ARG_FILENAME, &log, "Write the loss curve", "FILE.csv" },
      { "restart", 0, 0, G_OPTION_ARG_NONE, &o.restart, "Ignore the state of an interrupted run",
        NULL },
      G_OPTION_ENTRY_NULL,
    };

    ms_command_parse (&ms_command_train, entries, &argc, &argv);
  }
  if (argc < 2)
    return ms_command_misuse (&ms_command_train, "no training text given");
  if (output == NULL)
    return ms_command_misuse (&ms_command_train, "where to? give -o MODEL.gguf");
  if (threads < 0 || tokens < 0)
    return ms_command_misuse (&ms_command_train, "threads and tokens cannot be negative");
  for (o.store = 0; store != NULL && !g_str_equal (stores[o.store], store);)
    if (++o.store == G_N_ELEMENTS (stores))
      return ms_command_misuse (&ms_command_train, "there is no type '%s' to store in", store);
  o.corpus = (const char *const *) argv + 1;
  o.held_out = (const char *const *) held_out;
  o.output = output;
  o.name = name;
  o.router = router != NULL ? router : o.router;
  o.threads = (guint) threads;
  o.seed = (guint64) seed;
  if (tokens > 0)
    o.steps = MAX (tokens / MAX ((gint64) o.batch * o.context, 1), 1);
  o.progress = show_progress;

  if (!ms_train (&o, &summary, ms_command_cancellable (MS_STOP_WHEN_KEPT), &error))
    return ms_command_fail (&ms_command_train, g_steal_pointer (&error));
  ms_command_progress (NULL);
  if (summary.stopped)
    fprintf (stderr,
             "moescope train: stopped after step %" G_GINT64_FORMAT
             "; the same command goes on from %s.state\n",
             summary.steps, output);
  else
    print_summary (&o, &summary);
  if (log != NULL)
    write_log (log, summary.points, &error);
  ms_train_summary_clear (&summary);
  return error != NULL ? ms_command_fail (&ms_command_train, g_steal_pointer (&error))
                       : MS_EXIT_FINE;
}

const MsCommand ms_command_train = {
  .name = "train",
  .usage = "CORPUS... -o MODEL.gguf",
  .summary = "Train a small reference MoE model on text files",
  .details
  = "Learns a byte-level BPE tokenizer on the corpus (UTF-8 text; a form feed begins a new "
    "document), trains\na decoder with a mixture of experts in every layer, and writes a "
    "GGUF file that this program and\nllama.cpp run.  The same options, corpus and seed "
    "give the same file for any number of threads.\nCtrl-C saves the state beside the "
    "model; the same command goes on from there.",
  .example = "moescope train books/*.txt --held-out rest.txt --steps 2000 -o model.gguf",
  .run = run,
};
