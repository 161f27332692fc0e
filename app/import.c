/* `moescope import`: a trace of another program, as CSV, becomes a run. */
#include "command.h"
#include "db.h"

#include <stdio.h>
#include <string.h>

static const char *const score_kinds[] = { "auto", "logits", "probabilities" };

/* The index of word among names (n), -1 when it is none. */
static int
index_of (const char *word, const char *const *names, int n)
{
  for (int i = 0; i < n; i++)
    if (strcmp (word, names[i]) == 0)
      return i;
  return -1;
}

static MsExit
run (int argc, char **argv)
{
  g_autofree char *output = NULL, *name = NULL, *gating = NULL, *scores = NULL;
  g_auto (GStrv) sequences = NULL, tokens = NULL;
  char **const *const further[] = { &sequences, &tokens };
  int experts = 0, top_k = 0;
  gboolean renormalise = FALSE;
  const GOptionEntry entries[]
      = { { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "The database to write to",
            "RUN.db" },
          { "sequences", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &sequences,
            "Labels: sequence,dataset,language,parallel_id", "FILE" },
          { "tokens", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &tokens,
            "Token ids: sequence,token,token_id,predicted_token_id", "FILE" },
          { "name", 0, 0, G_OPTION_ARG_STRING, &name, "Name of the run (default: the first file's)",
            "NAME" },
          { "experts", 0, 0, G_OPTION_ARG_INT, &experts,
            "Experts per layer (default: from the files)", "N" },
          { "top-k", 0, 0, G_OPTION_ARG_INT, &top_k,
            "Experts per token (default: from the decisions)", "K" },
          { "scores", 0, 0, G_OPTION_ARG_STRING, &scores,
            "What scores are: auto, logits or probabilities (default: auto)", "WHAT" },
          { "gating", 0, 0, G_OPTION_ARG_STRING, &gating,
            "The model's rule: softmax, sigmoid, softmax-selected or sqrt-softplus (default: "
            "unknown with "
            "decisions, softmax for scores alone)",
            "HOW" },
          { "renormalise", 0, 0, G_OPTION_ARG_NONE, &renormalise,
            "The model divides the weights of a token by their sum", NULL },
          { 0 } };
  g_autoptr (GPtrArray) inputs = g_ptr_array_new ();
  MsImportSummary summary;
  MsImportOptions options;
  GError *error = NULL;
  int scores_index;

  ms_command_parse (&ms_command_import, entries, &argc, &argv);
  scores_index = scores == NULL ? 0 : index_of (scores, score_kinds, G_N_ELEMENTS (score_kinds));
  if (argc < 2)
    return ms_command_misuse (&ms_command_import, "give a CSV file");
  if (output == NULL)
    return ms_command_misuse (&ms_command_import, "give the database with -o RUN.db");
  if (experts < 0 || experts > MS_MAX_EXPERTS || top_k < 0 || top_k > MS_MAX_EXPERTS)
    return ms_command_misuse (&ms_command_import, "--experts and --top-k are 1..%u",
                              MS_MAX_EXPERTS);
  if (gating != NULL && ms_scoring_parse (gating) == MS_SCORING_UNKNOWN)
    return ms_command_misuse (&ms_command_import, "there is no gating '%s'", gating);
  if (scores_index < 0)
    return ms_command_misuse (&ms_command_import, "scores are no '%s'", scores);
  for (int i = 1; i < argc; i++)
    g_ptr_array_add (inputs, argv[i]);
  for (guint i = 0; i < G_N_ELEMENTS (further); i++)
    for (guint j = 0; *further[i] != NULL && (*further[i])[j] != NULL; j++)
      g_ptr_array_add (inputs, (*further[i])[j]);
  g_ptr_array_add (inputs, NULL);
  options = (MsImportOptions){ .inputs = (const char *const *) inputs->pdata,
                               .output = output,
                               .name = name,
                               .command = ms_command_line (),
                               .n_experts = (guint) experts,
                               .k = (guint) top_k,
                               .scores = (MsImportScores) scores_index,
                               .scoring = ms_scoring_parse (gating),
                               .renormalise = renormalise };
  if (!ms_import (&options, &summary, &error))
    return ms_command_fail (&ms_command_import, error);
  for (guint i = 0; i < summary.notes->len; i++)
    fprintf (stderr, "moescope import: %s\n", (const char *) summary.notes->pdata[i]);
  printf ("run %" G_GINT64_FORMAT " of %s: %" G_GINT64_FORMAT " decisions for %" G_GINT64_FORMAT
          " tokens of %u %s\n",
          summary.run, output, summary.decisions, summary.tokens, summary.documents,
          summary.documents == 1 ? "document" : "documents");
  ms_import_summary_clear (&summary);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_import = {
  .name = "import",
  .usage = "TRACE.csv... -o RUN.db",
  .summary = "Store a trace of another program as a run",
  .details
  = "The header of a CSV file tells what it holds, in any order of columns and rows:\n"
    "  decisions       sequence,token,layer,rank,expert,weight\n"
    "                  further columns: output_l2_norm, dropped, valid, token_id\n"
    "  router scores   sequence,token,layer,e0,e1,...  or  sequence,token,layer,expert,logit\n"
    "  expert outputs  sequence,token,layer,expert,h0,h1,...\n"
    "  similarities    sequence,token,layer,similarity\n"
    "  token ids       sequence,token,token_id,predicted_token_id,loss\n"
    "  labels          sequence,dataset,language,parallel_id,phase\n"
    "Sequences become documents; 'document' and 'position' may stand for 'sequence' and\n"
    "'token', so what `moescope export RUN.db routing` writes is read back.  Without\n"
    "decisions the --top-k largest scores are the choice, of equal ones the lower expert.",
  .example = "moescope import trace.csv --experts 64 --sequences sequences.csv -o run.db\n"
             "  moescope import logits.csv --top-k 8 --renormalise -o run.db",
  .run = run,
};
