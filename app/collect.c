/* moescope collect: records the routing of a model on texts. */
#include "command.h"
#include "json.h"

#include "collector.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Least seconds between two reports. */
#define REPORT_EVERY 0.1

static gboolean progress_json;

static void
print_json (JsonBuilder *json)
{
  g_autofree char *text = ms_json_line (json);

  fputs (text, stderr);
}

static void
show_progress (const MsCollectProgress *progress, gpointer data)
{
  double *last = data;
  char done[MS_NUMBER_SIZE], total[MS_NUMBER_SIZE];
  g_autofree char *line = NULL;

  if (progress->seconds - *last < REPORT_EVERY && progress->seconds > 0)
    return;
  *last = progress->seconds;
  if (progress_json)
    {
      g_autoptr (JsonBuilder) json = json_builder_new ();

      json_builder_begin_object (json);
      ms_json_add_text (json, "event", "progress");
      ms_json_add_int (json, "tokens", progress->tokens_done);
      ms_json_add_int (json, "of_tokens", progress->tokens_total);
      ms_json_add_int (json, "layer", progress->layer);
      ms_json_add_int (json, "of_layers", progress->n_layers);
      ms_json_add_real (json, "done", progress->done);
      ms_json_add_real (json, "seconds", progress->seconds);
      ms_json_add_text (json, "doing", progress->doing);
      json_builder_end_object (json);
      print_json (json);
      return;
    }
  line = g_strdup_printf ("%s; %s of %s tokens recorded, %.0f s", progress->doing,
                          ms_number_grouped (done, progress->tokens_done),
                          ms_number_grouped (total, progress->tokens_total), progress->seconds);
  ms_command_progress (line);
}

static void
print_summary_json (const MsCollectSummary *summary)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();

  json_builder_begin_object (json);
  ms_json_add_text (json, "event", summary->stopped ? "stopped" : "finished");
  ms_json_add_int (json, "run", summary->run);
  ms_json_add_int (json, "tokens", summary->tokens);
  ms_json_add_int (json, "documents", summary->documents);
  ms_json_add_int (json, "decisions", summary->decisions);
  ms_json_add_real (json, "seconds", summary->seconds);
  ms_json_add_real (json, "recording_seconds", summary->recording_seconds);
  ms_json_add_bool (json, "resumed", summary->resumed);
  ms_json_add_texts (json, "warnings", summary->warnings);
  ms_json_begin_array (json, "remarks");
  for (guint i = 0; i < summary->remarks->len; i++)
    {
      const MsRemark *remark = g_ptr_array_index (summary->remarks, i);

      json_builder_begin_object (json);
      ms_json_add_text (json, "code", remark->code);
      ms_json_add_text (json, "severity", ms_severity_name (remark->severity));
      ms_json_add_int (json, "count", remark->count);
      ms_json_add_text (json, "text", remark->text);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  ms_json_begin_array (json, "perplexities");
  for (guint i = 0; i < summary->perplexities->len; i++)
    {
      const MsPerplexity *perplexity = &g_array_index (summary->perplexities, MsPerplexity, i);

      json_builder_begin_object (json);
      ms_json_add_text (json, "document", perplexity->document);
      ms_json_add_int (json, "tokens", perplexity->n_tokens);
      ms_json_add_real (json, "perplexity", perplexity->value);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  json_builder_end_object (json);
  print_json (json);
}

static void
tell (const char *kind, const char *text)
{
  g_autofree char *clean = ms_text_printable (text, -1);

  fprintf (stderr, "moescope collect: %s: %s\n", kind, clean);
}

static void
print_summary (const MsCollectSummary *summary, const char *output)
{
  char tokens[MS_NUMBER_SIZE], decisions[MS_NUMBER_SIZE];

  for (guint i = 0; i < summary->warnings->len; i++)
    tell ("warning", summary->warnings->pdata[i]);
  for (guint i = 0; i < summary->remarks->len; i++)
    {
      const MsRemark *remark = g_ptr_array_index (summary->remarks, i);

      tell (remark->severity == MS_SEVERITY_NOTE ? "note" : "warning", remark->text);
    }
  ms_number_grouped (tokens, summary->tokens);
  ms_number_grouped (decisions, summary->decisions);
  if (summary->stopped)
    {
      if (summary->tokens == 0)
        fprintf (stderr, "stopped before a block of %d tokens was whole; nothing is kept\n",
                 MS_BLOCK_TOKENS);
      else
        fprintf (stderr, "stopped; %s tokens kept in %s, run the same command to go on\n", tokens,
                 output);
      return;
    }
  for (guint i = 0; i < summary->perplexities->len; i++)
    {
      const MsPerplexity *perplexity = &g_array_index (summary->perplexities, MsPerplexity, i);
      g_autofree char *document = ms_text_printable (perplexity->document, -1);
      char number[MS_NUMBER_SIZE];

      printf (
          "perplexity of %s (%" G_GINT64_FORMAT " tokens): %s\n", document, perplexity->n_tokens,
          isnan (perplexity->value) ? "undefined" : ms_number_short (number, perplexity->value));
    }
  printf ("run %" G_GINT64_FORMAT " in %s: %s tokens of %" G_GINT64_FORMAT
          " documents, %s decisions, in %.1f s (%.0f tokens/s, %.1f %% of the time recording)%s\n",
          summary->run, output, tokens, summary->documents, decisions, summary->seconds,
          (double) summary->tokens / MAX (summary->seconds, 1e-9),
          100 * summary->recording_seconds / MAX (summary->seconds, 1e-9),
          summary->resumed ? ", resumed" : "");
}

/* "512", "800M", "4G" or "1.5GiB": bytes, in powers of 1024. */
static gboolean
parse_memory (const char *text, gsize *bytes)
{
  static const char units[] = "KMGT";
  char *end;
  double value = g_ascii_strtod (text, &end);
  const char *unit = *end != '\0' ? strchr (units, g_ascii_toupper (*end)) : NULL;

  if (end == text)
    return FALSE;
  if (unit != NULL)
    {
      value *= pow (1024, (double) (unit - units + 1));
      end++;
      if (*end == 'i')
        end++;
    }
  if (*end == 'B')
    end++;
  if (*end != '\0' || !(value >= 1) || value >= 0x1p62)
    return FALSE;
  *bytes = (gsize) value;
  return TRUE;
}

/* The options of `own` (ended by an empty one) and behind them those that change the routing, whose values go
 * to `values`. */
static GArray *
all_options (const GOptionEntry *own, char **values)
{
  GArray *all = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  const MsInterventionOption *option;

  for (; own->long_name != NULL; own++)
    g_array_append_val (all, *own);
  for (guint i = 0; (option = ms_intervention_option (i)) != NULL; i++)
    {
      GOptionEntry entry = { .long_name = option->name,
                             .arg = G_OPTION_ARG_STRING,
                             .arg_data = &values[i],
                             .description = option->help,
                             .arg_description = option->argument };

      g_array_append_val (all, entry);
    }
  return all;
}

static MsExit
run (int argc, char **argv)
{
  g_auto (GStrv) id_files = NULL;
  g_autoptr (GPtrArray) changes = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) all = NULL;
  g_autofree char *output = NULL, *precision = NULL, *storage = NULL, *memory = NULL, *name = NULL;
  gboolean lines = FALSE, no_bos = FALSE;
  gint threads = 0, wave = 0;
  double last_report = -1;
  MsCollectOptions options = { .add_bos = TRUE, .progress = show_progress };
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "The database to write or extend",
      "RUN.db" },
    { "token-ids", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &id_files,
      "Take token ids instead of text: a sequence of space-separated ids per line (repeatable)",
      "FILE" },
    { "lines", 0, 0, G_OPTION_ARG_NONE, &lines, "Each non-empty line is a document", NULL },
    { "no-bos", 0, 0, G_OPTION_ARG_NONE, &no_bos,
      "Do not begin documents with the token the model asks for", NULL },
    { "parse-special", 0, 0, G_OPTION_ARG_NONE, &options.parse_special,
      "Take special tokens that a text spells out, such as those of a chat format, as tokens",
      NULL },
    { "max-tokens", 0, 0, G_OPTION_ARG_INT64, &options.max_tokens,
      "Cut documents after N tokens (default: do not)", "N" },
    { "precision", 0, 0, G_OPTION_ARG_STRING, &precision,
      "reference: float32 (default); fast: bfloat16 products, routers float32", "NAME" },
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads (default: all processors)", "N" },
    { "memory", 0, 0, G_OPTION_ARG_STRING, &memory,
      "Memory to use, e.g. 8G (default: half of what is free)", "SIZE" },
    { "wave", 0, 0, G_OPTION_ARG_INT, &wave,
      "Most tokens to take through a layer at once (default: by memory)", "N" },
    { "scores", 0, 0, G_OPTION_ARG_NONE, &options.scores, "Record the router's full scores", NULL },
    { "norms", 0, 0, G_OPTION_ARG_NONE, &options.norms,
      "Record norms and peaks of the chosen experts' outputs", NULL },
    { "predict", 0, 0, G_OPTION_ARG_NONE, &options.predict,
      "Record predicted tokens and losses; tells the perplexity of each document", NULL },
    { "storage", 0, 0, G_OPTION_ARG_STRING, &storage,
      "compact: 3 bytes a decision (default); exact: 32-bit floats", "NAME" },
    { "name", 0, 0, G_OPTION_ARG_STRING, &name, "Name of the run", "NAME" },
    { "restart", 0, 0, G_OPTION_ARG_NONE, &options.restart,
      "Begin again instead of going on with an unfinished run", NULL },
    { "progress-json", 0, 0, G_OPTION_ARG_NONE, &progress_json,
      "Report progress and result as lines of JSON on stderr", NULL },
    { 0 },
  };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  MsCollectSummary summary;
  GError *error = NULL;

  g_ptr_array_set_size (changes, MS_MOST_INTERVENTIONS);
  all = all_options (entries, (char **) changes->pdata);
  ms_command_parse (&ms_command_collect, (const GOptionEntry *) (gconstpointer) all->data, &argc,
                    &argv);
  if (argc < 2)
    return ms_command_misuse (&ms_command_collect, "no model given");
  if (output == NULL)
    return ms_command_misuse (&ms_command_collect, "no database given (-o RUN.db)");
  for (guint i = 0; id_files != NULL && id_files[i] != NULL; i++)
    g_ptr_array_add (inputs, id_files[i]);
  for (int i = 2; i < argc; i++)
    g_ptr_array_add (inputs, argv[i]);
  if (inputs->len == 0)
    return ms_command_misuse (&ms_command_collect, "no input given");
  g_ptr_array_add (inputs, NULL);
  if (id_files != NULL && (lines || argc > 2))
    return ms_command_misuse (&ms_command_collect,
                              "token ids and texts cannot be collected in one run");
  if (precision != NULL && strcmp (precision, "fast") != 0 && strcmp (precision, "reference") != 0)
    return ms_command_misuse (&ms_command_collect, "--precision is reference or fast, not '%s'",
                              precision);
  if (storage != NULL && strcmp (storage, "compact") != 0 && strcmp (storage, "exact") != 0)
    return ms_command_misuse (&ms_command_collect, "--storage is compact or exact, not '%s'",
                              storage);
  if (threads < 0 || threads > 1024 || wave < 0 || options.max_tokens < 0)
    return ms_command_misuse (&ms_command_collect,
                              "--threads (up to 1024), --wave and --max-tokens are not negative");
  if (memory != NULL && !parse_memory (memory, &options.memory))
    return ms_command_misuse (&ms_command_collect, "--memory is a size like 800M or 8G, not '%s'",
                              memory);

  options.model = argv[1];
  options.inputs = (const char *const *) (gconstpointer) inputs->pdata;
  options.kind = id_files != NULL ? MS_INPUT_TOKEN_IDS : lines ? MS_INPUT_LINES : MS_INPUT_AUTO;
  options.add_bos = !no_bos;
  options.output = output;
  options.name = name;
  options.command = ms_command_line ();
  options.precision
      = g_strcmp0 (precision, "fast") == 0 ? MS_PRECISION_FAST : MS_PRECISION_REFERENCE;
  options.storage = g_strcmp0 (storage, "exact") == 0 ? MS_STORAGE_EXACT : MS_STORAGE_COMPACT;
  options.threads = (guint) threads;
  options.wave_tokens = (guint) wave;
  options.progress_data = &last_report;
  options.interventions = (const char *const *) (gconstpointer) changes->pdata;
  if (!ms_collect (&options, &summary, ms_command_cancellable (MS_STOP_WHEN_KEPT), &error))
    return ms_command_fail (&ms_command_collect, error);
  ms_command_progress (NULL);
  if (progress_json)
    print_summary_json (&summary);
  else
    print_summary (&summary, output);
  ms_collect_summary_clear (&summary);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_collect = {
  .name = "collect",
  .usage = "MODEL.gguf INPUT... -o RUN.db",
  .summary = "Record the routing decisions of a GGUF model on texts",
  .details
  = "Inputs are text files (one document each, or one per line with --lines), JSON lines\n"
    "(*.jsonl: objects with text and optionally id, language, domain, parallel, phase) or, with\n"
    "--token-ids, files of ids.  An interrupted run goes on where it stopped when the same\n"
    "command is given again.\n"
    "\n"
    "Options from --top-k on change the routing while the model runs; the change is recorded with "
    "the\n"
    "run, and with --predict `moescope analyze compare` tells what it costs.",
  .example = "moescope collect olmoe.gguf corpus.jsonl -o olmoe.db\n"
             "  moescope collect olmoe.gguf --token-ids ids.txt -o olmoe.db --scores",
  .run = run,
};
