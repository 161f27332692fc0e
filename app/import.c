/* `moescope import`: a trace of another program becomes a run. */
#include "command.h"
#include "db.h"

#include <stdio.h>
#include <string.h>

static const char *const severities[] = { "note", "doubt", "fault" };
static const char *const restart_kinds[] = { "error", "document", "continue" };
static const char *const score_kinds[] = { "auto", "logits", "probabilities" };

/* What the options say, as they are typed. */
typedef struct
{
  char *output, *name, *gating, *scores, *format;
  char **sequences, **tokens;
  int experts, top_k;
  gboolean renormalise;
  double scale;
  char *holes, *restarts, *axes, *mapped;
  char **map;
  int layers;
  gboolean exclude_suspect;
} Typed;

static void
typed_clear (Typed *typed)
{
  g_free (typed->output);
  g_free (typed->name);
  g_free (typed->gating);
  g_free (typed->scores);
  g_free (typed->format);
  g_free (typed->holes);
  g_free (typed->restarts);
  g_free (typed->axes);
  g_free (typed->mapped);
  g_strfreev (typed->map);
  g_strfreev (typed->sequences);
  g_strfreev (typed->tokens);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Typed, typed_clear)

static void
parse (Typed *typed, int *argc, char ***argv)
{
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &typed->output, "The database to write to",
      "RUN.db" },
    { "format", 0, 0, G_OPTION_ARG_STRING, &typed->format,
      "Form of the files, see below (default: told from their first bytes)", "NAME" },
    { "sequences", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &typed->sequences,
      "Labels: sequence,dataset,language,parallel_id", "FILE" },
    { "tokens", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &typed->tokens,
      "Token ids: sequence,token,token_id,predicted_token_id", "FILE" },
    { "name", 0, 0, G_OPTION_ARG_STRING, &typed->name,
      "Name of the run (default: the first file's)", "NAME" },
    { "experts", 0, 0, G_OPTION_ARG_INT, &typed->experts,
      "Experts per layer (default: from the files)", "N" },
    { "top-k", 0, 0, G_OPTION_ARG_INT, &typed->top_k,
      "Experts per token (default: from the decisions)", "K" },
    { "scores", 0, 0, G_OPTION_ARG_STRING, &typed->scores,
      "What scores are: auto, logits or probabilities (default: auto)", "WHAT" },
    { "gating", 0, 0, G_OPTION_ARG_STRING, &typed->gating,
      "The model's rule: softmax, sigmoid, softmax-selected, sqrt-softplus or sigmoid-selected "
      "(default: "
      "unknown with decisions, softmax for scores alone)",
      "HOW" },
    { "renormalise", 0, 0, G_OPTION_ARG_NONE, &typed->renormalise,
      "The model divides the weights of a token by their sum", NULL },
    { "scale", 0, 0, G_OPTION_ARG_DOUBLE, &typed->scale,
      "Factor of the model's weights (default: 1)", "S" },
    { "holes", 0, 0, G_OPTION_ARG_STRING, &typed->holes,
      "A token without a row at a layer: error, or token, which goes to no expert there (default: "
      "error)",
      "WHAT" },
    { "map", 'm', 0, G_OPTION_ARG_STRING_ARRAY, &typed->map,
      "What columns mean, see below; may be given several times", "ROLE=COLUMN,..." },
    { "restarts", 0, 0, G_OPTION_ARG_STRING, &typed->restarts,
      "Positions that begin anew in a sequence: error, document (each pass is one) or continue "
      "(default: error)",
      "WHAT" },
    { "exclude-suspect", 0, 0, G_OPTION_ARG_NONE, &typed->exclude_suspect,
      "Leave out tokens that look like start-up rows or filler; otherwise they are labelled and "
      "--select suspect=no leaves them out",
      NULL },
    { "axes", 0, 0, G_OPTION_ARG_STRING, &typed->axes,
      "Axes of an array that does not tell them: T (token), L (layer), K (choice), E (expert)",
      "TLK" },
    { "layers", 0, 0, G_OPTION_ARG_INT, &typed->layers,
      "Layers of a flat array (default: the file says)", "N" },
    { 0 }
  };

  ms_command_parse (&ms_command_import, entries, argc, argv);
}

/* The options as import takes them; MS_EXIT_USAGE when they make no sense. */
static MsExit
take_options (Typed *typed, MsImportOptions *options)
{
  if (typed->output == NULL)
    return ms_command_misuse (&ms_command_import, "give the database with -o RUN.db");
  if (typed->experts < 0 || typed->experts > MS_MAX_EXPERTS || typed->top_k < 0
      || typed->top_k > MS_MAX_EXPERTS)
    return ms_command_misuse (&ms_command_import, "--experts and --top-k are 1..%u",
                              MS_MAX_EXPERTS);
  if (typed->gating != NULL && ms_scoring_parse (typed->gating) == MS_SCORING_UNKNOWN)
    return ms_command_misuse (&ms_command_import, "there is no gating '%s'", typed->gating);
  if (typed->scale < 0 || typed->scale > 1e6)
    return ms_command_misuse (&ms_command_import, "--scale is above 0");
  if (typed->holes != NULL && strcmp (typed->holes, "error") != 0
      && strcmp (typed->holes, "token") != 0)
    return ms_command_misuse (&ms_command_import, "--holes is error or token");
  options->output = typed->output;
  options->name = typed->name;
  options->format = typed->format;
  options->command = ms_command_line ();
  options->n_experts = (guint) typed->experts;
  options->k = (guint) typed->top_k;
  options->scoring = ms_scoring_parse (typed->gating);
  options->renormalise = typed->renormalise;
  options->scale = (float) typed->scale;
  options->holes = g_strcmp0 (typed->holes, "token") == 0;
  if (typed->layers < 0 || typed->layers > 1000000)
    return ms_command_misuse (&ms_command_import, "--layers is 1..1000000");
  options->n_layers = (guint) typed->layers;
  options->axes = typed->axes;
  options->exclude_suspect = typed->exclude_suspect;
  if (typed->map != NULL)
    options->map = typed->mapped = g_strjoinv (",", typed->map);
  while (typed->restarts != NULL && strcmp (typed->restarts, restart_kinds[options->restarts]) != 0)
    if (++options->restarts == G_N_ELEMENTS (restart_kinds))
      return ms_command_misuse (&ms_command_import, "--restarts is error, document or continue");
  for (guint i = 0; i < G_N_ELEMENTS (score_kinds); i++)
    if (typed->scores == NULL || strcmp (typed->scores, score_kinds[i]) == 0)
      {
        options->scores = (MsImportScores) i;
        return MS_EXIT_FINE;
      }
  return ms_command_misuse (&ms_command_import, "scores are no '%s'", typed->scores);
}

static void
tell (const MsImportSummary *summary, const char *output)
{
  for (guint i = 0; i < summary->notes->len; i++)
    {
      g_autofree char *note = ms_text_printable (summary->notes->pdata[i], -1);

      fprintf (stderr, "moescope import: %s\n", note);
    }
  for (guint i = 0; i < summary->remarks->len; i++)
    {
      const MsRemark *remark = summary->remarks->pdata[i];
      g_autofree char *text = ms_text_printable (remark->text, -1);

      fprintf (stderr, "moescope import: %s: %s\n", severities[remark->severity], text);
    }
  printf ("run %" G_GINT64_FORMAT " of %s: %" G_GINT64_FORMAT " decisions for %" G_GINT64_FORMAT
          " tokens of %u %s\n",
          summary->run, output, summary->decisions, summary->tokens, summary->documents,
          summary->documents == 1 ? "document" : "documents");
}

static MsExit
run (int argc, char **argv)
{
  g_auto (Typed) typed = { 0 };
  char **const *const further[] = { &typed.sequences, &typed.tokens };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  MsImportOptions options = { 0 };
  MsImportSummary summary;
  GError *error = NULL;
  MsExit status;

  parse (&typed, &argc, &argv);
  if (argc < 2)
    return ms_command_misuse (&ms_command_import, "give a file to import");
  if ((status = take_options (&typed, &options)) != MS_EXIT_FINE)
    return status;
  for (int i = 1; i < argc; i++)
    g_ptr_array_add (inputs, argv[i]);
  for (guint i = 0; i < G_N_ELEMENTS (further); i++)
    for (guint j = 0; *further[i] != NULL && (*further[i])[j] != NULL; j++)
      g_ptr_array_add (inputs, (*further[i])[j]);
  g_ptr_array_add (inputs, NULL);
  options.inputs = (const char *const *) inputs->pdata;
  if (!ms_import (&options, &summary, &error))
    return ms_command_fail (&ms_command_import, error);
  tell (&summary, typed.output);
  ms_import_summary_clear (&summary);
  return MS_EXIT_FINE;
}

/* What is read, from the list of formats. */
static char *
describe (void)
{
  GString *text = g_string_new (NULL);
  const MsImportFormat *format;

  for (guint i = 0; (format = ms_import_format (i)) != NULL; i++)
    g_string_append_printf (text, "%s (--format %s):\n%s\n", format->title, format->name,
                            format->help);
  return g_string_free (text, FALSE);
}

const MsCommand ms_command_import = {
  .name = "import",
  .usage = "TRACE... -o RUN.db",
  .summary = "Store a trace of another program as a run",
  .details
  = "Several files make one run: decisions, and what stands beside them.  Each is read once, so\n"
    "a pipe will do, and - is standard input.  Without decisions the --top-k largest scores are\n"
    "the choice, of equal ones the lower expert.\n\n",
  .describe = describe,
  .example = "moescope import trace.csv --experts 64 --sequences sequences.csv -o run.db\n"
             "  moescope import logits.csv --top-k 8 --renormalise -o run.db",
  .run = run,
};
