/* Traces of every format: each comes back as it was, what is wrong is named by its line, and what the data says
 * against its reading is told. */
#include "db.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char *folder;

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

/* The remarks of the last import, as "code severity count". */
static GString *remarks;

static void
keep_remarks (const MsImportSummary *summary)
{
  g_string_truncate (remarks, 0);
  for (guint i = 0; i < summary->remarks->len; i++)
    {
      const MsRemark *remark = summary->remarks->pdata[i];

      g_assert_cmpuint (strlen (remark->text), >, 20);
      g_string_append_printf (remarks, "%s%s %d %" G_GINT64_FORMAT, i > 0 ? "\n" : "", remark->code,
                              remark->severity, remark->count);
    }
  for (guint i = 0; i < summary->notes->len; i++)
    if (strstr (summary->notes->pdata[i], "not read") != NULL)
      g_string_append_printf (remarks, "\n%s", (const char *) summary->notes->pdata[i]);
}

/* Imports texts (NULL-terminated) as files named as given; returns the error message or NULL. */
static char *
import_texts (const char *const *names_and_texts, MsImportOptions options)
{
  g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *output = in_folder ("run.db");
  MsImportSummary summary;
  GError *error = NULL;
  char *message;

  for (guint i = 0; names_and_texts[i] != NULL; i += 2)
    {
      g_ptr_array_add (inputs, in_folder (names_and_texts[i]));
      g_file_set_contents (inputs->pdata[inputs->len - 1], names_and_texts[i + 1], -1, NULL);
    }
  g_ptr_array_add (inputs, NULL);
  options.inputs = (const char *const *) inputs->pdata;
  options.output = output;
  g_remove (output);
  if (ms_import (&options, &summary, &error))
    {
      keep_remarks (&summary);
      ms_import_summary_clear (&summary);
      return NULL;
    }
  g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE);
  g_assert_false (g_file_test (output, G_FILE_TEST_EXISTS));
  message = g_strdup (error->message);
  g_error_free (error);
  return message;
}

static MsReader *
open_run (void)
{
  g_autofree char *path = in_folder ("run.db");
  GError *error = NULL;
  MsReader *reader = ms_reader_new (path, 0, &error);

  g_assert_no_error (error);
  return reader;
}

#define HEAD   "sequence,token,layer,rank,expert,weight\n"
#define SCORES "sequence,token,layer,e0,e1,e2\n"

static void
test_faults (void)
{
  static const struct
  {
    const char *text, *about;
  } cases[] = {
    { "", "empty" },
    { HEAD, "no rows" },
    { "a,b\n1,2\n", "line 1: these columns" },
    { HEAD "0,0,0,0,x,1\n", "line 2: 'x' is no integer" },
    { HEAD "0,0,0,0,1,y\n", "line 2: 'y' is no finite number" },
    { HEAD "0,0,0,0,1,nan\n", "line 2: 'nan'" },
    { HEAD "0,0,0,0,1,1e39\n", "line 2: '1e39'" },
    { HEAD "0,0,0,0,65535,1\n", "line 2: '65535'" },
    { HEAD "0,-1,0,0,1,1\n", "line 2: '-1'" },
    { HEAD "0,0,0,0,1,1,7\n", "line 2: the row has not as many fields" },
    { HEAD "0,0,0,0,\"1,1\n", "quote" },
    { HEAD "0,0,0,0,1,1\n\n0,0,0,0,2,1\n", "line 4: this row repeats line 2" },
    { HEAD "0,0,0,0,1,1\n0,2,0,0,1,1\n", "line 3: sequence '0', token 1, layer 0 is missing" },
    { HEAD "0,0,0,0,1,1\n0,0,1,0,1,1\n0,1,0,0,1,1\n", "token 1, layer 1 is missing" },
    { HEAD "0,0,0,0,1,1\n0,0,0,2,2,1\n", "line 3: rank 2 stands where rank 1" },
    { HEAD "0,0,0,0,1,1\n0,1,0,1,2,1\n", "line 3: rank 1 stands where rank 0" },
    { HEAD "0,0,0,0,1,1\n0,0,0,1,1,1\n", "line 3: expert 1 is already at rank 0" },
    { "sequence,token,layer,rank,expert,expert\n0,0,0,0,1,1\n", "'expert' is there twice" },
    { "sequence,token,layer,e0,e2\n0,0,0,1,1\n", "'e1' is expected" },
    { SCORES "0,0,0,1,2,3\n", "give --top-k" },
    { "sequence,token,expert,logit\n0,0,0,1\n0,0,2,1\n", "expert 1 of sequence '0'" },
    { "sequence,language\n0,de\n", "neither" },
    { "sequence;token;layer;rank;expert\n0;0;0;0;1\n", "separated by ';'" },
    { HEAD "0,0,0,0,3.0,1\n", "line 2: '3.0' is no integer between 0 and 65534: whole numbers" },
    { HEAD "0,0,0,1,1,1\n", "ranks count from 0" },
    { HEAD "0,1,0,0,1,1\n", "tokens count from 0" },
    { HEAD "0,0,0,0,1,1\n0,2,0,0,1,1\n", "--holes token" },
    { HEAD "0,0,0,0,3,1\n0,1,0,0,0,1\n0,1,0,1,0,0\n", "filler" },
    { "sequence,token,layer,rank,expert,valid\n0,0,0,0,1,0\n", "'0' is padding alone" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { "trace.csv", cases[i].text, NULL };
      g_autofree char *message = import_texts (files, (MsImportOptions){ 0 });

      if (message == NULL || strstr (message, cases[i].about) == NULL)
        g_error ("case %u: '%s' is not about '%s'", i, message, cases[i].about);
      g_assert_nonnull (strstr (message, "trace.csv"));
    }
}

static void
test_pairs (void)
{
  static const char trace[] = HEAD "0,0,0,0,1,0.5\n0,0,0,1,2,0.25\n0,1,0,0,2,1\n0,1,0,1,0,0\n";
  static const struct
  {
    const char *name, *text, *about;
  } cases[] = {
    { "logits.csv", SCORES "0,0,0,1,2,3\n", "token 1, layer 0 is missing" },
    { "logits.csv", SCORES "0,0,0,1,2,3\n0,1,0,1,2,3\n0,2,0,1,2,3\n", "has no decision" },
    { "logits.csv", SCORES "0,0,1,1,2,3\n", "is missing before this row" },
    { "logits.csv", "sequence,token,layer,e0,e1\n0,0,0,1,2\n0,1,0,1,2\n", "no expert 2 of 2" },
    { "sequences.csv", "sequence,language\n7,de\n", "sequence '7' has no decisions" },
    { "sequences.csv", "sequence,language\n0,de\n0,en\n", "line 3: this row repeats line 2" },
    { "tokens.csv", "sequence,token,token_id\n0,0,5\n", "token 1, layer 0 is missing" },
    { "other.csv", HEAD "0,0,0,0,1,1\n", "other.csv, line 2: this row repeats line 2 of " },
    { "counts.csv", "layer,expert,count\n0,1,7\n", "counts cannot stand beside the decisions" },
    { "outputs.csv", "sequence,token,expert,h0\n0,0,1,3\n", "output of expert 2" },
  };
  const char *const good[] = { "trace.csv", trace, NULL };
  g_autofree char *message = import_texts (good, (MsImportOptions){ 0 });
  g_autofree char *too_few = NULL, *k = NULL;

  g_assert_null (message);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { "trace.csv", trace, cases[i].name, cases[i].text, NULL };
      g_autofree char *told = import_texts (files, (MsImportOptions){ 0 });

      if (told == NULL || strstr (told, cases[i].about) == NULL)
        g_error ("case %u: '%s' is not about '%s'", i, told, cases[i].about);
      g_assert_nonnull (strstr (told, ".csv"));
    }
  too_few = import_texts (good, (MsImportOptions){ .n_experts = 2 });
  g_assert_nonnull (strstr (too_few, "there is no expert 2: with --experts 2 they are 0 to 1"));
  k = import_texts (good, (MsImportOptions){ .k = 1 });
  g_assert_nonnull (strstr (k, "line 3: rank 1 is not below --top-k 1"));
}

/* A byte order mark, CRLF, rows in any order, sequences of different length, tokens of different k,
 * labels, ids from a column of the trace. */
static void
test_tolerance (void)
{
  static const char trace[] = "\xef\xbb\xbflayer,expert,document,position,rank,weight,token_id\r\n"
                              "3,2,b,0,0,1,11\r\n"
                              "3,4,\"a, c\",1,0,0.5,13\r\n"
                              "3,0,\"a, c\",0,0,0.75,12\r\n"
                              "3,1,\"a, c\",0,1,0.25,12\r\n";
  const char *const files[]
      = { "trace.csv", trace, "labels.csv",
          "sequence,language,dataset,parallel_id,phase\nb,de,x,1,prefill\n\"a, c\",en,,1,\n",
          NULL };
  g_autofree char *message = import_texts (files, (MsImportOptions){ .n_experts = 6 });
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  g_autofree char *path = in_folder ("run.db");
  const MsChunk *chunk;
  gint32 ids[3];

  g_assert_cmpstr (message, ==, NULL);
  reader = open_run ();
  chunk = ms_reader_chunk (reader, 0, 0, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, 0, NULL);
  g_assert_cmpint (ms_reader_model (reader)->layers[0].number, ==, 3);
  g_assert_cmpuint (chunk->n_experts, ==, 6);
  g_assert_cmpuint (chunk->k, ==, 2);
  g_assert_cmpuint (chunk->n_tokens, ==, 3);
  g_assert_cmpuint (chunk->experts[0], ==, 2);
  g_assert_cmpuint (chunk->experts[1], ==, MS_NO_EXPERT);
  g_assert_cmpuint (chunk->experts[2], ==, 0);
  g_assert_cmpuint (chunk->experts[3], ==, 1);
  g_assert_cmpuint (chunk->experts[4], ==, 4);
  g_assert_cmpfloat (chunk->weights[3], ==, 0.25f);
  g_assert_true (ms_reader_tokens (reader, 0, 3, ids, NULL));
  g_assert_cmpint (ids[0], ==, 11);
  g_assert_cmpint (ids[1], ==, 12);
  g_assert_cmpint (ids[2], ==, 13);
  db = ms_db_open (path, MS_DB_READ, NULL);
  corpus = ms_db_load_corpus (db, ms_reader_run (reader)->corpus, NULL);
  g_assert_cmpuint (corpus->n_documents, ==, 2);
  g_assert_cmpstr (corpus->documents[1].name, ==, "a, c");
  g_assert_cmpstr (corpus->documents[1].language, ==, "en");
  g_assert_null (corpus->documents[1].domain);
  g_assert_cmpstr (corpus->documents[0].domain, ==, "x");
  g_assert_cmpstr (corpus->documents[0].phase, ==, "prefill");
}

/* Numbers are read as the C library reads them, in every notation. */
static void
test_numbers (void)
{
  static const char *const texts[] = { "0",
                                       "1",
                                       "0.1",
                                       "0.3",
                                       "0.123456789",
                                       "0.00000000000001",
                                       "16777217",
                                       "3.",
                                       "1e-3",
                                       "2.5E2",
                                       "+0.5",
                                       "0.1234567890123456",
                                       "123456789012345",
                                       "0.7071067",
                                       "00.625",
                                       "1e-40",
                                       "0x1p-2",
                                       "0.999999999999999",
                                       "0.1000000000000000000000000000001" };
  g_autoptr (GString) trace = g_string_new (HEAD);
  g_autofree char *message = NULL;
  g_autoptr (MsReader) reader = NULL;
  const MsChunk *chunk;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_string_append_printf (trace, "0,%u,0,0,1,%s\n", i, texts[i]);
  {
    const char *const files[] = { "trace.csv", trace->str, NULL };

    message = import_texts (files, (MsImportOptions){ .n_experts = 2 });
  }
  g_assert_cmpstr (message, ==, NULL);
  reader = open_run ();
  chunk = ms_reader_chunk (reader, 0, 0, MS_CHUNK_WEIGHTS, 0, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_assert_true (chunk->weights[i] == (float) g_ascii_strtod (texts[i], NULL));
}

static void
assert_close (float value, double expected)
{
  g_assert_cmpfloat_with_epsilon ((double) value, expected, 1e-6);
}

/* Logits 0, ln 2, ln 2, ln 4: probabilities 1, 2, 2, 4 ninths; the tie goes to the lower id. */
static void
test_gating (void)
{
  static const char logits[] = "token,e0,e1,e2,e3\n0,0,0.693147181,0.693147181,1.386294361\n";
  static const struct
  {
    MsScoring scoring;
    gboolean renormalise;
    double first, second, margin;
  } cases[] = {
    { MS_SCORING_SOFTMAX, FALSE, 4.0 / 9, 2.0 / 9, 0 },
    { MS_SCORING_SOFTMAX, TRUE, 4.0 / 6, 2.0 / 6, 0 },
    { MS_SCORING_SELECTED, FALSE, 4.0 / 6, 2.0 / 6, 0 },
    { MS_SCORING_SIGMOID, FALSE, 0.8, 2.0 / 3, 0 },
    { MS_SCORING_SIGMOID_SELECTED, FALSE, 0.8, 2.0 / 3, 0 },
  };
  const char *const files[] = { "logits.csv", logits, NULL };
  const double p[] = { 1.0 / 9, 2.0 / 9, 2.0 / 9, 4.0 / 9 };
  double entropy = 0;

  for (guint i = 0; i < 4; i++)
    entropy -= p[i] * log (p[i]);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MsImportOptions options
          = { .k = 2, .scoring = cases[i].scoring, .renormalise = cases[i].renormalise };
      g_autofree char *message = import_texts (files, options);
      g_autoptr (MsReader) reader = NULL;
      const MsChunk *chunk;

      g_assert_cmpstr (message, ==, NULL);
      reader = open_run ();
      chunk = ms_reader_chunk (reader, 0, 0, ms_reader_run (reader)->columns, 0, NULL);
      g_assert_cmpuint (chunk->experts[0], ==, 3);
      g_assert_cmpuint (chunk->experts[1], ==, 1);
      assert_close (chunk->weights[0], cases[i].first);
      assert_close (chunk->weights[1], cases[i].second);
      assert_close (chunk->margin[0], cases[i].margin);
      if (cases[i].scoring != MS_SCORING_SIGMOID && cases[i].scoring != MS_SCORING_SIGMOID_SELECTED)
        assert_close (chunk->entropy[0], entropy);
      g_assert_false (ms_reader_run (reader)->probabilities);
    }
}

/* The same logits give the same entropies and margins whether decisions stand beside them or not; without
 * --gating a softmax is taken in both.  Where all experts are chosen the margin is undefined. */
static void
test_gate_beside_decisions (void)
{
  static const char logits[] = "token,e0,e1,e2,e3\n0,0.5,-1,2,1\n1,3,0.25,-2,0\n";
  static const char chosen[]
      = "token,rank,expert,weight\n0,0,2,0.5\n0,1,3,0.3\n1,0,0,0.6\n1,1,1,0.2\n";
  const char *const alone[] = { "logits.csv", logits, NULL };
  const char *const beside[] = { "logits.csv", logits, "trace.csv", chosen, NULL };

  for (guint scoring = MS_SCORING_UNKNOWN; scoring < MS_N_SCORINGS; scoring++)
    {
      MsImportOptions options = { .k = 2, .scoring = (MsScoring) scoring };
      float entropy[2], margin[2];

      for (guint i = 0; i < 2; i++)
        {
          g_autofree char *message = import_texts (i == 0 ? alone : beside, options);
          g_autoptr (MsReader) reader = NULL;
          const MsChunk *chunk;

          g_assert_cmpstr (message, ==, NULL);
          reader = open_run ();
          chunk = ms_reader_chunk (reader, 0, 0, ms_reader_run (reader)->columns, 0, NULL);
          g_assert_nonnull (chunk->logits);
          g_assert_cmpint (ms_reader_model (reader)->layers[0].gate.scoring, ==,
                           scoring == MS_SCORING_UNKNOWN ? MS_SCORING_SOFTMAX : scoring);
          for (guint t = 0; t < 2; t++)
            if (i == 0)
              {
                entropy[t] = chunk->entropy[t];
                margin[t] = chunk->margin[t];
                g_assert_true (entropy[t] > 0 && margin[t] > 0);
              }
            else
              g_assert_true (chunk->entropy[t] == entropy[t] && chunk->margin[t] == margin[t]);
          /* What was recorded stays. */
          if (i == 1)
            assert_close (chunk->weights[0], 0.5);
        }
    }
  {
    g_autofree char *message
        = import_texts (alone, (MsImportOptions){ .k = 4, .scoring = MS_SCORING_SIGMOID });
    g_autoptr (MsReader) reader = NULL;
    const MsChunk *chunk;

    g_assert_cmpstr (message, ==, NULL);
    reader = open_run ();
    chunk = ms_reader_chunk (reader, 0, 0, ms_reader_run (reader)->columns, 0, NULL);
    g_assert_true (isnan (chunk->margin[0]) && isnan (chunk->margin[1]));
  }
}

/* --- What the data says ----------------------------------------------------------------------- */

/* The decisions of the run as CSV. */
static char *
dump_run (void)
{
  g_autoptr (MsReader) reader = open_run ();
  g_autofree char *path = in_folder ("run.db");
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, NULL);
  g_autoptr (MsCorpus) corpus = ms_db_load_corpus (db, ms_reader_run (reader)->corpus, NULL);
  const MsModel *model = ms_reader_model (reader);
  GString *text = g_string_new (HEAD);

  for (guint i = 0; i < corpus->n_documents; i++)
    for (gint64 t = 0; t < corpus->documents[i].n_tokens; t++)
      for (guint l = 0; l < model->n_layers; l++)
        {
          const MsChunk *chunk
              = ms_reader_chunk (reader, 0, l, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, l, NULL);
          gsize at = (gsize) (corpus->documents[i].first_token + t) * chunk->k;

          for (guint r = 0; r < chunk->k && chunk->experts[at + r] != MS_NO_EXPERT; r++)
            {
              char number[MS_NUMBER_SIZE];

              g_string_append_printf (text, "%s,%" G_GINT64_FORMAT ",%d,%u,%u,%s\n",
                                      corpus->documents[i].name, t, model->layers[l].number, r,
                                      chunk->experts[at + r],
                                      ms_number_float (number, chunk->weights[at + r]));
            }
        }
  return g_string_free (text, FALSE);
}

/* n tokens, of which the first ones go to equal experts. */
static char *
make_rows (guint n, guint equal)
{
  GString *text = g_string_new (HEAD);

  for (guint t = 0; t < n; t++)
    for (guint l = 0; l < 2; l++)
      for (guint r = 0; r < 2; r++)
        g_string_append_printf (text, "s,%u,%u,%u,%u,%s\n", t, l, r,
                                t < equal ? 2 + r : (t * 7 + l * 3 + r * 4) % 8,
                                r == 0 ? "0.625" : "0.375");
  return g_string_free (text, FALSE);
}

static void
test_remarks (void)
{
  static const struct
  {
    const char *text;
    guint n_experts;
    const char *remarks;
  } cases[] = {
    { HEAD "0,0,0,0,1,0.5\n0,0,0,1,2,0.25\n", 4, "" },
    { HEAD "0,0,0,0,1,0.75\n0,0,0,1,2,0.25\n", 4, "weights-sum-to-1 0 1" },
    { HEAD "0,0,0,0,1,2\n0,0,0,1,2,0.5\n", 4, "weights-scaled 0 1" },
    { HEAD "0,0,0,0,1,3\n0,1,0,0,2,0.5\n", 4, "weights-above-1 1 1" },
    { HEAD "0,0,0,0,1,0.5\n0,1,0,0,2,-0.5\n", 4, "negative-weights 2 1" },
    { HEAD "0,0,0,0,1,0.125\n0,0,0,1,2,0.25\n", 4, "rank-against-weight 1 1" },
    { "token,rank,expert\n0,0,1\n", 4, "no-weights 0 0" },
    { "token,rank,expert,weigth\n0,0,1,0.5\n", 4,
      "no-weights 0 0\ntrace.csv: not read: 'weigth' (is 'weight' meant?)" },
    { "token,rank,expert\n0,0,1\n1,0,8\n", 0, "no-weights 0 0\nids-from-1 1 1" },
    { "token,rank,expert,weight,phase\n0,0,1,0.5,a\n1,0,2,0.5,b\n", 4, "" },
    { "token,rank,expert,weight,price\n0,0,1,0.5,a\n0,1,2,0.5,b\n", 4,
      "weights-sum-to-1 0 1\nlabel-differs 0 1" },
    { "token,rank,expert\n0,0,1\n1,0,-1\n", 4, "padding 0 1\nno-weights 0 0" },
    { "token,rank,expert,weight,phase\n0,0,1,0.5,a\n1,0,2,0.5,a\n", 4, "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { "trace.csv", cases[i].text, NULL };
      g_autofree char *message
          = import_texts (files, (MsImportOptions){ .n_experts = cases[i].n_experts });
      const char *text = remarks->str;
      g_autofree char *place = g_strconcat ("\n", folder, "/", NULL);
      g_auto (GStrv) parts = NULL;
      g_autofree char *told = NULL;

      g_assert_cmpstr (message, ==, NULL);
      parts = g_strsplit (text, place, -1);
      told = g_strjoinv ("\n", parts);
      g_assert_cmpstr (told, ==, cases[i].remarks);
    }
}

/* Rows that repeat at the start, by how many tokens. */
static void
test_repeated (void)
{
  static const struct
  {
    guint equal;
    const char *remarks;
  } cases[] = { { 0, "weights-sum-to-1 0 80" },
                { 8, "weights-sum-to-1 0 80" }, /* 28 choices agree: chance may do that */
                { 9, "weights-sum-to-1 0 80\nrepeated-rows 1 9" },
                { 30, "weights-sum-to-1 0 80\nrepeated-rows 1 30" },
                { 40, "weights-sum-to-1 0 80\nrepeated-rows 1 40\nconstant-layers 1 2" } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = make_rows (40, cases[i].equal);
      const char *const files[] = { "trace.csv", text, NULL };
      g_autofree char *message = import_texts (files, (MsImportOptions){ .n_experts = 8 });

      g_assert_cmpstr (message, ==, NULL);
      g_assert_cmpstr (remarks->str, ==, cases[i].remarks);
    }
}

/* Padding leaves decisions, scores and ids alike; a trace with it is the trace without it. */
static void
test_padding (void)
{
  static const char with[] = "sequence,token,layer,rank,expert,weight,valid,token_id\n"
                             "a,0,0,0,3,0.5,0,9\na,1,0,0,1,0.5,1,5\na,2,0,0,2,0.25,1,6\n"
                             "b,0,0,0,0,0.5,1,7\nb,1,0,0,3,0.5,0,9\n";
  static const char without[] = "sequence,token,layer,rank,expert,weight,token_id\n"
                                "a,0,0,0,1,0.5,5\na,1,0,0,2,0.25,6\nb,0,0,0,0,0.5,7\n";
  const char *const padded[] = { "trace.csv", with, "scores.csv",
                                 "sequence,token,e0,e1,e2,e3\na,0,0,0,0,9\na,1,0,2,1,1\na,2,0,1,3,"
                                 "1\nb,0,4,1,1,-1\nb,1,0,0,0,9\n",
                                 NULL };
  const char *const plain[]
      = { "trace.csv", without, "scores.csv",
          "sequence,token,e0,e1,e2,e3\na,0,0,2,1,1\na,1,0,1,3,1\nb,0,4,1,1,-1\n", NULL };
  const MsImportOptions options = { .scoring = MS_SCORING_SOFTMAX };
  g_autofree char *message = import_texts (padded, options), *first = NULL, *second = NULL;
  gint32 ids[2][3];
  float entropy[2][3], logits[2][12];

  g_assert_cmpstr (message, ==, NULL);
  g_assert_cmpstr (remarks->str, ==, "padding 0 2");
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsReader) reader = NULL;
      const MsChunk *chunk;

      if (i == 1)
        {
          g_autofree char *told = import_texts (plain, options);

          g_assert_cmpstr (told, ==, NULL);
        }
      reader = open_run ();
      chunk = ms_reader_chunk (reader, 0, 0, ms_reader_run (reader)->columns, 0, NULL);
      g_assert_cmpuint (chunk->n_tokens, ==, 3);
      memcpy (entropy[i], chunk->entropy, sizeof entropy[i]);
      memcpy (logits[i], chunk->logits, sizeof logits[i]);
      g_assert_true (ms_reader_tokens (reader, 0, 3, ids[i], NULL));
      *(i == 0 ? &first : &second) = dump_run ();
    }
  g_assert_cmpstr (first, ==, second);
  g_assert_cmpmem (ids[0], sizeof ids[0], ids[1], sizeof ids[1]);
  g_assert_cmpmem (entropy[0], sizeof entropy[0], entropy[1], sizeof entropy[1]);
  g_assert_cmpmem (logits[0], sizeof logits[0], logits[1], sizeof logits[1]);
}

/* Tokens without experts are decisions; missing weights are undefined, and pass the check. */
static void
test_holes (void)
{
  const char *const files[]
      = { "trace.csv", "token,layer,rank,expert\n0,0,0,1\n0,1,0,2\n1,1,0,0\n3,0,0,2\n", NULL };
  g_autofree char *message
      = import_texts (files, (MsImportOptions){ .holes = TRUE, .n_experts = 4 });
  g_autofree char *path = in_folder ("run.db"), *strict = NULL;
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (MsDb) db = NULL;
  const guint16 expected[2][4]
      = { { 1, MS_NO_EXPERT, MS_NO_EXPERT, 2 }, { 2, 0, MS_NO_EXPERT, MS_NO_EXPERT } };
  guint n_bad = 1;

  g_assert_cmpstr (message, ==, NULL);
  g_assert_cmpstr (remarks->str, ==, "holes 0 4\nno-weights 0 0");
  reader = open_run ();
  for (guint l = 0; l < 2; l++)
    {
      const MsChunk *chunk
          = ms_reader_chunk (reader, 0, l, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, l, NULL);

      g_assert_cmpmem (chunk->experts, sizeof expected[l], expected[l], sizeof expected[l]);
      g_assert_true (isnan (chunk->weights[l == 0 ? 3 : 1]));
    }
  db = ms_db_open (path, MS_DB_READ, NULL);
  g_assert_true (ms_db_check (db, NULL, NULL, &n_bad, NULL));
  g_assert_cmpuint (n_bad, ==, 0);
  strict = import_texts (files, (MsImportOptions){ .n_experts = 4 });
  g_assert_nonnull (strstr (strict, "--holes token"));
}

/* What scores are: from all rows, within the rounding of the file, and in doubt asked for. */
static void
test_scores (void)
{
  static const struct
  {
    const char *name, *rows;
    MsImportScores told;
    const char *about; /* of the error, NULL = none */
    gboolean probabilities;
  } cases[] = {
    { "x.csv", "0,0.333,0.333,0.333\n1,0.999,0.001,0\n", 0, NULL, TRUE },
    { "x.csv", "0,0.3340,0.3328,0.3320\n1,0.5,0.25,0.2529\n", 0, NULL, TRUE },
    { "probs.csv", "0,-1,2,0.5\n1,3,1,0\n", 0, NULL, FALSE },
    { "probs.csv", "0,0.5,0.25,0.5\n1,0.5,0.5,0.5\n", 0, "line 2: 0 of 2 rows", FALSE },
    { "x.csv", "0,0.5,0.25,0.25\n1,3,1,0\n", 0, "line 3: 1 of 2 rows", FALSE },
    { "x.csv", "0,0,0,0\n1,0,0,0\n", 0, NULL, FALSE },
    { "x.csv", "0,0.5,0.25,0.25\n1,0.5,0.5,0.5\n", MS_IMPORT_SCORES_PROBABILITIES, NULL, TRUE },
    { "x.csv", "0,0.5,0.25,0.25\n1,1.5,-0.5,0\n", MS_IMPORT_SCORES_PROBABILITIES, "line 3: a score",
      FALSE },
    { "x.csv", "0,0.5,0.25,0.25\n1,0.5,0.25,0.25\n", MS_IMPORT_SCORES_LOGITS, NULL, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = g_strconcat ("token,e0,e1,e2\n", cases[i].rows, NULL);
      const char *const files[] = { cases[i].name, text, NULL };
      g_autofree char *message
          = import_texts (files, (MsImportOptions){ .k = 1, .scores = cases[i].told });

      if (cases[i].about != NULL)
        {
          if (message == NULL || strstr (message, cases[i].about) == NULL)
            g_error ("case %u: '%s' is not about '%s'", i, message, cases[i].about);
          if (cases[i].told == MS_IMPORT_SCORES_AUTO)
            g_assert_nonnull (strstr (message, "--scores"));
          continue;
        }
      g_assert_cmpstr (message, ==, NULL);
      {
        g_autoptr (MsReader) reader = open_run ();

        g_assert_cmpint (ms_reader_run (reader)->probabilities, ==, cases[i].probabilities);
      }
    }
}

/* Scores beside decisions: their own, or those of the token after. */
static void
test_pairing (void)
{
  for (guint shift = 0; shift < 2; shift++)
    {
      g_autoptr (GString) decisions = g_string_new ("token,rank,expert,weight\n");
      g_autoptr (GString) scores = g_string_new ("token,e0,e1,e2,e3,e4\n");
      g_autofree char *message = NULL;

      for (guint t = 0; t < 30; t++)
        {
          g_string_append_printf (decisions, "%u,0,%u,0.5\n", t, (t + shift) * (t + shift) % 5);
          g_string_append_printf (scores, "%u", t);
          for (guint e = 0; e < 5; e++)
            g_string_append_printf (scores, ",%d", e == t * t % 5 ? 3 : -1);
          g_string_append_c (scores, '\n');
        }
      {
        const char *const files[]
            = { "trace.csv", decisions->str, "scores.csv", scores->str, NULL };

        message = import_texts (files, (MsImportOptions){ .scoring = MS_SCORING_SOFTMAX });
      }
      g_assert_cmpstr (message, ==, NULL);
      if (shift == 0)
        g_assert_null (strstr (remarks->str, "scores"));
      else
        g_assert_nonnull (strstr (remarks->str, "scores-of-other-tokens 2 "));
    }
}

/* --- Columns with other names ---------------------------------------------------------------- */

static MsCorpus *
load_corpus (MsReader *reader)
{
  g_autofree char *path = in_folder ("run.db");
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, NULL);

  return ms_db_load_corpus (db, ms_reader_run (reader)->corpus, NULL);
}

/* Queries to models: units, named destinations in the order of their names, outcomes where known, a label. */
static void
test_map (void)
{
  static const char trace[] = "query,model,score,ndcg,topic\n"
                              "q1,small,0.25,0.5,law\nq1,big,0.75,,law\nq2,mid,1,0.125,art\n";
  const char *const files[] = { "trace.csv", trace, NULL };
  MsImportOptions options
      = { .map = "unit=query,destination=model,weight=score,quality=ndcg,label=topic" };
  g_autofree char *message = import_texts (files, options);
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  const MsModel *model;
  const MsChunk *chunk;

  g_assert_cmpstr (message, ==, NULL);
  reader = open_run ();
  corpus = load_corpus (reader);
  model = ms_reader_model (reader);
  chunk = ms_reader_chunk (reader, 0, 0, ms_reader_run (reader)->columns, 0, NULL);
  g_assert_cmpstr (corpus->unit, ==, "query");
  g_assert_cmpuint (corpus->n_documents, ==, 2);
  g_assert_cmpstr (corpus->more[0], ==, "topic");
  g_assert_cmpstr (corpus->documents[1].more[0], ==, "art");
  g_assert_cmpuint (model->n_destinations, ==, 3);
  g_assert_cmpstr (model->destinations[0].name, ==, "big");
  g_assert_cmpstr (model->destinations[2].name, ==, "small");
  g_assert_cmpstr (model->destinations[2].kind, ==, "model");
  /* The larger weight is the better rank. */
  g_assert_cmpuint (chunk->experts[0], ==, 0);
  g_assert_cmpuint (chunk->experts[1], ==, 2);
  g_assert_cmpuint (chunk->experts[2], ==, 1);
  g_assert_cmpfloat (chunk->weights[1], ==, 0.25f);
  g_assert_cmpstr (ms_reader_run (reader)->outcome, ==, "quality");
  g_assert_cmpfloat (chunk->outcome[2], ==, 0.5f);
  g_assert_true (isnan (chunk->outcome[0]));
  g_assert_cmpfloat (chunk->outcome[3 + 1], ==, 0.125f);
}

/* What is wrong with a map, and what a header without a meaning is told to write. */
static void
test_map_faults (void)
{
  static const struct
  {
    const char *text, *map, *about;
  } cases[] = {
    { "query,model\nq,m\n", NULL, "--map token=query,destination=model" },
    { "query,model\nq,m\n", "unit=query,destination=modle", "no column 'modle'" },
    { "query,model\nq,m\n", "units=query", "'units=query' is not ROLE=COLUMN" },
    { "query,model\nq,m\n", "unit=query,destination=model,expert=model", "given twice" },
    { "query,model,score\nq,,1\n", "unit=query,destination=model,weight=score",
      "line 2: the name of the destination is empty" },
    { "query,model,chosen,ndcg\nq,m,0,1\n", "unit=query,destination=model,quality=ndcg",
      "none of its rows is chosen" },
    { "query,model,chosen\nq,m,2\n", "unit=query,destination=model", "'2' is no integer" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { "trace.csv", cases[i].text, NULL };
      g_autofree char *message = import_texts (files, (MsImportOptions){ .map = cases[i].map });

      if (message == NULL || strstr (message, cases[i].about) == NULL)
        g_error ("case %u: '%s' is not about '%s'", i, message, cases[i].about);
    }
}

/* Traces with the columns of other tools are the same trace. */
static void
test_foreign_headers (void)
{
  static const char same[] = HEAD "0,0,2,0,3,0.5\n0,0,2,1,7,0.25\n0,0,5,0,1,0.5\n0,0,5,1,2,0.25\n"
                                  "0,1,2,0,4,0.5\n0,1,2,1,3,0.25\n0,1,5,0,0,0.5\n0,1,5,1,6,0.25\n";
  static const struct
  {
    const char *name, *text;
    guint k;
  } cases[] = {
    { "t.csv",
      "step,layer_idx,token_pos,topk_experts,topk_weights\n0,2,0,\"[3, 7]\",\"[0.5, 0.25]\"\n"
      "0,5,0,\"[1, 2]\",\"[0.5, 0.25]\"\n0,2,1,\"[4, 3]\",\"[0.5, 0.25]\"\n"
      "0,5,1,\"[0, 6]\",\"[0.5, 0.25]\"\n",
      0 },
    { "t.csv",
      "phase,token,layer,rank,expert,weight\np,0,2,0,3,.5\np,0,2,1,7,.25\np,0,5,0,1,.5\n"
      "p,0,5,1,2,.25\nd,1,2,0,4,.5\nd,1,2,1,3,.25\nd,1,5,0,0,.5\nd,1,5,1,6,.25\n",
      0 },
    { "t.csv",
      "layer,expert,weight\n2,3,.5\n2,7,.25\n2,4,.5\n2,3,.25\n5,1,.5\n5,2,.25\n5,0,.5\n5,6,.25\n",
      2 },
    { "t.jsonl",
      "{\"layer\":2,\"topk_ids\":[[3,7],[4,3]],\"topk_weights\":[[0.5,0.25],[0.5,0.25]]}\n"
      "{\"layer\":5,\"topk_ids\":[[1,2],[0,6]],\"topk_weights\":[[0.5,0.25],[0.5,0.25]]}\n",
      0 },
    { "t.json",
      "[{\"token_idx\":0,\"layer\":2,\"experts\":[3,7],\"gating_probs\":[0.5,0.25]},\n"
      " {\"token_idx\":0,\"layer\":5,\"experts\":[1,2],\"gating_probs\":[0.5,0.25]},\n"
      " {\"token_idx\":1,\"layer\":2,\n  \"experts\":[4,3],\"gating_probs\":[0.5,0.25]},\n"
      " {\"gating_probs\":[0.5,0.25],\"token_idx\":1,\"layer\":5,\"experts\":[0,6]}]\n",
      0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { cases[i].name, cases[i].text, NULL };
      g_autofree char *message
          = import_texts (files, (MsImportOptions){ .n_experts = 8, .k = cases[i].k });
      g_autofree char *dump = NULL;

      g_assert_cmpstr (message, ==, NULL);
      dump = dump_run ();
      g_assert_cmpstr (dump, ==, same);
    }
}

/* Records with a meaning of their own: Megatron's router trace, moe-atlas, speculative-moe. */
static void
test_shapes (void)
{
  static const struct
  {
    const char *text, *dump, *remarks;
  } cases[] = {
    { "{\"step\":4,\"stage\":\"pre_dispatch\",\"block\":\"decoder\",\"layer\":1,\"rank\":0,"
      "\"num_tokens\":2,\"topk\":2,\"top_indices\":[[1,3],[0,2]]}\n"
      "{\"step\":4,\"stage\":\"pre_dispatch\",\"block\":\"mtp\",\"mtp_idx\":0,\"layer\":1,\"rank\":"
      "0,"
      "\"num_tokens\":2,\"topk\":2,\"top_indices\":[[1,3],[0,2]]}\n"
      "{\"step\":5,\"stage\":\"pre_dispatch\",\"block\":\"decoder\",\"layer\":1,\"rank\":0,"
      "\"num_tokens\":1,\"topk\":2,\"top_indices\":[[2,3]]}\n",
      HEAD "0/4,0,1,0,1,\n0/4,0,1,1,3,\n0/4,1,1,0,0,\n0/4,1,1,1,2,\n0/5,0,1,0,2,\n0/5,0,1,1,3,\n",
      "1 records of other blocks than the decoder" },
    { "{\"model_id\":\"m\",\"num_layers\":1,\"num_experts\":8,\"top_k\":2,\"text\":\"a [b\","
      "\"token_strs\":[\"a\"],\"activations\":[{\"layer\":0,\"token_idx\":0,\"expert_idx\":2,"
      "\"gate_weight\":0.25},{\"layer\":0,\"token_idx\":0,\"expert_idx\":5,\"gate_weight\":0.5}],"
      "\"timestamp\":1}\n",
      HEAD "text-0,0,0,0,5,0.5\ntext-0,0,0,1,2,0.25\n", "'text'" },
    { "{\"dataset\":\"gsm8k\",\"problem_id\":3,\"layer\":0,\"experts\":[1,0],\"gating_probs\":[0."
      "75,0.25],"
      "\"token_idx\":0}\n{\"dataset\":\"humaneval\",\"problem_id\":3,\"layer\":0,\"experts\":[1,0],"
      "\"gating_probs\":[0.75,0.25],\"token_idx\":0}\n",
      HEAD
      "gsm8k/3,0,0,0,1,0.75\ngsm8k/3,0,0,1,0,0.25\nhumaneval/3,0,0,0,1,0.75\nhumaneval/3,0,0,1,0,"
      "0.25\n",
      "weights-sum-to-1" },
    { "{\"type\":\"meta\",\"layers_logged\":[0,12],\"top_k\":1}\n{\"type\":\"route\",\"token_idx\":"
      "0,"
      "\"layer\":60,\"topk_ids\":[1]}\n",
      HEAD "0,0,60,0,1,\n", "layers-not-announced 1 1" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *const files[] = { "trace.jsonl", cases[i].text, NULL };
      g_autofree char *message = import_texts (files, (MsImportOptions){ .n_experts = 8 });
      g_autofree char *dump = NULL;

      g_assert_cmpstr (message, ==, NULL);
      dump = dump_run ();
      g_assert_cmpstr (dump, ==, cases[i].dump);
      if (strstr (remarks->str, cases[i].remarks) == NULL)
        g_error ("case %u: '%s' is not in '%s'", i, cases[i].remarks, remarks->str);
    }
}

/* A label that changes inside documents is of tokens; one that does not, of documents; numbers of each row none. */
static void
test_token_labels (void)
{
  g_autoptr (GString) trace = g_string_new ("document,token,layer,rank,expert,phase,source,time\n");
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  g_autofree char *message = NULL;

  for (guint l = 0; l < 2; l++)
    for (guint t = 0; t < 1200; t++)
      g_string_append_printf (trace, "d%u,%u,%u,0,%u,%s,%s,%u.5\n", t / 600, t % 600, l, t % 3,
                              t < 900 ? "prefill" : "decode", t < 600 ? "web" : "", t);
  {
    const char *const files[] = { "trace.csv", trace->str, NULL };

    message = import_texts (files, (MsImportOptions){ .n_experts = 4 });
  }
  g_assert_cmpstr (message, ==, NULL);
  reader = open_run ();
  corpus = load_corpus (reader);
  g_assert_cmpstr (corpus->documents[0].phase, ==, "prefill");
  g_assert_null (corpus->documents[1].phase);
  g_assert_cmpuint (corpus->n_ranges, ==, 2);
  g_assert_cmpstr (corpus->ranges[0].name, ==, "phase");
  g_assert_cmpstr (corpus->ranges[1].value, ==, "decode");
  g_assert_cmpint (corpus->ranges[1].first_token, ==, 900);
  g_assert_cmpint (corpus->ranges[1].n_tokens, ==, 300);
  g_assert_cmpuint (corpus->n_more, ==, 1);
  g_assert_cmpstr (corpus->documents[0].more[0], ==, "web");
  g_assert_null (ms_document_label (&corpus->documents[1], MS_N_KNOWN_LABELS));
}

/* Positions that begin anew: an error, documents of their own, or more of the same document. */
static void
test_restarts (void)
{
  static const char trace[]
      = HEAD "a,0,0,0,1,1\na,1,0,0,2,1\na,0,0,0,3,1\na,0,1,0,1,1\na,1,1,0,2,1\n"
             "a,0,1,0,0,1\n";
  const char *const files[] = { "trace.csv", trace, NULL };
  g_autofree char *message = import_texts (files, (MsImportOptions){ 0 });
  g_autofree char *documents = NULL, *one = NULL;

  g_assert_nonnull (strstr (message, "line 4: this row repeats line 2; if positions begin anew"));
  g_assert_null (
      import_texts (files, (MsImportOptions){ .restarts = MS_IMPORT_RESTARTS_DOCUMENT }));
  g_assert_nonnull (strstr (remarks->str, "restarted-positions 0 2"));
  documents = dump_run ();
  g_assert_cmpstr (documents, ==,
                   HEAD "a,0,0,0,1,1\na,0,1,0,1,1\na,1,0,0,2,1\na,1,1,0,2,1\na#2,0,0,0,3,1\n"
                        "a#2,0,1,0,0,1\n");
  g_assert_null (
      import_texts (files, (MsImportOptions){ .restarts = MS_IMPORT_RESTARTS_CONTINUE }));
  one = dump_run ();
  g_assert_cmpstr (one, ==,
                   HEAD "a,0,0,0,1,1\na,0,1,0,1,1\na,1,0,0,2,1\na,1,1,0,2,1\na,2,0,0,3,1\n"
                        "a,2,1,0,0,1\n");
}

/* Start-up rows as a logger in vLLM writes them, a file for each layer: named, labelled, and left out when told. */
static void
test_suspects (void)
{
  g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *message = NULL;
  MsImportOptions options = { .restarts = MS_IMPORT_RESTARTS_DOCUMENT, .n_experts = 60 };

  /* At the last of the layers only the first batch is of start-up rows. */
  for (guint l = 0; l < 5; l++)
    {
      GString *layer = g_string_new (NULL);

      g_string_printf (layer, "{\"type\":\"meta\",\"layers_logged\":[%u],\"top_k\":2}\n", l * 8);
      for (guint t = 0; t < 64 + 16 + 40; t++)
        g_string_append_printf (
            layer,
            "{\"type\":\"route\",\"req_id\":\"r0\",\"token_idx\":%u,\"layer\":%u,"
            "\"topk_ids\":[%u,%u],\"topk_weights\":[0.5,0.25]}\n",
            t < 64   ? t
            : t < 80 ? t - 64
                     : t - 80,
            l * 8, t < (l == 4 ? 64 : 80) ? 7 : (t * 17 + l) % 30,
            t < (l == 4 ? 64 : 80) ? 9 : 30 + t % 30);
      g_ptr_array_add (inputs, g_strdup_printf ("layer%u.jsonl", l * 8));
      g_ptr_array_add (inputs, g_string_free (layer, FALSE));
    }
  g_ptr_array_add (inputs, NULL);
  for (guint excluded = 0; excluded < 2; excluded++)
    {
      g_autoptr (MsReader) reader = NULL;
      g_autoptr (MsCorpus) corpus = NULL;

      options.exclude_suspect = excluded;
      g_free (message);
      message = import_texts ((const char *const *) inputs->pdata, options);
      g_assert_cmpstr (message, ==, NULL);
      g_assert_nonnull (strstr (remarks->str, "repeated-rows 1 80"));
      reader = open_run ();
      corpus = load_corpus (reader);
      g_assert_cmpuint (corpus->n_documents, ==, excluded ? 1 : 3);
      g_assert_cmpint (corpus->n_tokens, ==, excluded ? 40 : 120);
      g_assert_cmpstr (corpus->documents[excluded ? 0 : 2].name, ==, "r0#3");
      g_assert_cmpstr (corpus->more[0], ==, "suspect");
      g_assert_cmpstr (corpus->documents[0].more[0], ==, excluded ? "no" : "yes");
      if (excluded)
        {
          const MsChunk *chunk = ms_reader_chunk (reader, 0, 1, MS_CHUNK_EXPERTS, 0, NULL);

          g_assert_cmpuint (chunk->experts[0], ==, (80 * 17 + 1) % 30);
        }
    }
}

/* Counts become a run with the same counts, and no token has an expert twice. */
static void
test_counts (void)
{
  static const guint64 expected[2][4] = { { 5, 0, 3, 4 }, { 1, 2, 6, 3 } };
  const char *const files[]
      = { "counts.csv",
          "layer,expert,count\n3,0,5\n3,1,0\n3,2,3\n3,3,4\n4,0,1\n4,1,2\n4,2,6\n4,3,3\n", NULL };
  const char *const equal[]
      = { "counts.csv", "layer,expert,count\n0,0,9\n0,1,9\n1,0,10\n1,1,8\n", NULL };
  g_autofree char *message = import_texts (files, (MsImportOptions){ .k = 2 });
  g_autoptr (MsReader) reader = NULL;

  g_assert_cmpstr (message, ==, NULL);
  g_assert_cmpstr (remarks->str, ==, "counts-only 0 8");
  reader = open_run ();
  g_assert_cmpstr (ms_reader_run (reader)->precision, ==, MS_PRECISION_COUNTS);
  for (guint l = 0; l < 2; l++)
    {
      const MsChunk *chunk = ms_reader_chunk (reader, 0, l, MS_CHUNK_EXPERTS, l, NULL);
      guint64 counts[4] = { 0 };

      ms_chunk_count (chunk, 0, chunk->n_tokens, counts);
      g_assert_cmpmem (counts, sizeof counts, expected[l], sizeof expected[l]);
      for (guint t = 0; t < chunk->n_tokens; t++)
        g_assert_true (chunk->experts[2 * t] != chunk->experts[2 * t + 1]);
      g_assert_true (isnan (ms_reader_chunk (reader, 0, l, MS_CHUNK_WEIGHTS, l, NULL)->weights[0]));
    }
  g_assert_null (import_texts (equal, (MsImportOptions){ 0 }));
  g_assert_nonnull (strstr (remarks->str, "equal-counts 2 1"));
}

/* Packed files are the files, whatever their name; what is cut off is told. */
static void
test_packed (void)
{
  /* printf 'token,rank,expert\n0,0,3\n1,0,1\n' | gzip -9n, and the same through zstd. */
  static const guint8 gzip[]
      = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x2b, 0xc9,
          0xcf, 0x4e, 0xcd, 0xd3, 0x29, 0x4a, 0xcc, 0xcb, 0xd6, 0x49, 0xad, 0x28,
          0x48, 0x2d, 0x2a, 0xe1, 0x32, 0xd0, 0x31, 0xd0, 0x31, 0xe6, 0x32, 0x04,
          0x92, 0x86, 0x5c, 0x00, 0x31, 0x3d, 0x38, 0xc4, 0x1e, 0x00, 0x00, 0x00 };
  static const guint8 zstd[]
      = { 0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0xf1, 0x00, 0x00, 0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x2c,
          0x72, 0x61, 0x6e, 0x6b, 0x2c, 0x65, 0x78, 0x70, 0x65, 0x72, 0x74, 0x0a, 0x30, 0x2c, 0x30,
          0x2c, 0x33, 0x0a, 0x31, 0x2c, 0x30, 0x2c, 0x31, 0x0a, 0x25, 0x2d, 0x67, 0x1c };
  const struct
  {
    const guint8 *bytes;
    gsize n;
  } cases[] = { { gzip, sizeof gzip }, { zstd, sizeof zstd } };
  g_autofree char *path = in_folder ("packed"), *output = in_folder ("run.db");
  const char *inputs[] = { path, NULL };
  MsImportOptions options = { .inputs = inputs, .output = output, .n_experts = 4 };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gsize cut = 0; cut < cases[i].n; cut += 3)
      {
        MsImportSummary summary;
        GError *error = NULL;

        g_remove (output);
        g_file_set_contents (path, (const char *) cases[i].bytes, (gssize) (cases[i].n - cut),
                             NULL);
        if (ms_import (&options, &summary, &error))
          {
            g_autofree char *dump = dump_run ();

            g_assert_cmpuint (cut, ==, 0);
            g_assert_cmpstr (dump, ==, HEAD "0,0,0,0,3,\n0,1,0,0,1,\n");
            ms_import_summary_clear (&summary);
            continue;
          }
        g_assert_cmpuint (cut, >, 0);
        g_assert_nonnull (strstr (error->message, "packed"));
        g_error_free (error);
      }
}

/* --- Every format ---------------------------------------------------------------------------- */

/* A trace of each format that the list has: 4 sequences of 3 tokens, 2 layers, 2 of 8 experts. */
static const struct
{
  const char *format;
  const char *head, *row; /* sequence, token, layer, two experts; "" = no head */
} fixtures[] = {
  { "csv", HEAD, "s%1$u,%2$u,%3$u,0,%4$u,0.625\ns%1$u,%2$u,%3$u,1,%5$u,0.25\n" },
  { "json-lines", "{\"type\":\"meta\",\"num_experts\":8,\"top_k\":2}\n",
    "{\"type\":\"route\",\"req_id\":\"s%1$u\",\"token_idx\":%2$u,\"layer\":%3$u,"
    "\"topk_ids\":[%4$u,%5$u],\"topk_weights\":[0.625,0.25]}\n" },
};

G_GNUC_BEGIN_IGNORE_DEPRECATIONS
static char *
make_fixture (const char *format)
{
  for (guint i = 0; i < G_N_ELEMENTS (fixtures); i++)
    if (strcmp (fixtures[i].format, format) == 0)
      {
        GString *text = g_string_new (fixtures[i].head);

        for (guint s = 0; s < 4; s++)
          for (guint t = 0; t < 3; t++)
            for (guint l = 0; l < 2; l++)
              g_string_append_printf (text, fixtures[i].row, s, t, l, (s + 3 * t + l) % 8,
                                      (s + 3 * t + l + 5) % 8);
        return g_string_free (text, FALSE);
      }
  g_error ("the format %s has no fixture", format);
}
G_GNUC_END_IGNORE_DEPRECATIONS

typedef struct
{
  const char *path, *text;
} Feed;

static gpointer
feed_pipe (gpointer data)
{
  const Feed *feed = data;
  FILE *pipe = fopen (feed->path, "w");

  g_assert_nonnull (pipe);
  fputs (feed->text, pipe);
  fclose (pipe);
  return NULL;
}

/* A pipe can be read once only. */
static void
import_pipe (const char *text, const char *extension)
{
  g_autofree char *name = g_strconcat ("pipe.", extension, NULL), *path = in_folder (name);
  g_autofree char *output = in_folder ("run.db");
  const char *inputs[] = { path, NULL };
  MsImportOptions options = { .inputs = inputs, .output = output, .n_experts = 8 };
  MsImportSummary summary;
  GError *error = NULL;
  Feed feed = { path, text };
  GThread *thread;

  g_remove (output);
  g_assert_cmpint (mkfifo (path, 0600), ==, 0);
  thread = g_thread_new ("feed", feed_pipe, &feed);
  ms_import (&options, &summary, &error);
  g_thread_join (thread);
  g_assert_no_error (error);
  ms_import_summary_clear (&summary);
  g_remove (path);
}

/* A trace cut at any byte is less of the trace or an error that names the file, never another trace. */
static void
cut_short (const char *text, const char *name, const char *whole)
{
  for (gsize n = 0; n < strlen (text); n += n < 200 ? 7 : 61)
    {
      g_autofree char *part = g_strndup (text, n);
      const char *const files[] = { name, part, NULL };
      g_autofree char *message = import_texts (files, (MsImportOptions){ .n_experts = 8 });
      g_autofree char *dump = message == NULL ? dump_run () : NULL;

      if (message != NULL)
        g_assert_nonnull (strstr (message, name));
      else
        g_assert_cmpuint (strlen (dump), <, strlen (whole));
    }
}

/* Outcomes of destinations, chosen or not, come back where they are known; what they are, the header says. */
static void
test_outcomes (void)
{
  static const char trace[] = HEAD "a,0,0,0,1,1\na,1,0,0,2,1\n";
  const char *const files[]
      = { "t.csv", trace, "o.csv",
          "sequence,token,layer,expert,cost\na,0,0,0,0.5\na,0,0,1,2\na,1,0,2,-1\n", NULL };
  static const struct
  {
    const char *text, *about;
  } wrong[] = {
    { "sequence,token,layer,expert,cost\na,0,0,3,1\n", "line 2: there is no expert 3 among 3" },
    { "sequence,token,layer,expert,cost\na,5,0,0,1\n", "no decision for token 5 at layer 0" },
    { "sequence,token,layer,expert,cost\na,0,0,0,1\na,0,0,0,2\n",
      "line 3: this row repeats line 2" },
    { "sequence,token,layer,expert,cost\nb,0,0,0,1\n", "sequence 'b' has no decisions" },
  };
  g_autoptr (MsReader) reader = NULL;
  const MsChunk *chunk;
  GError *error = NULL;

  g_assert_null (import_texts (files, (MsImportOptions){ 0 }));
  reader = open_run ();
  g_assert_cmpstr (ms_reader_run (reader)->outcome, ==, "cost");
  chunk = ms_reader_chunk (reader, 0, 0, MS_CHUNK_OUTCOME, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (chunk->outcome[0], ==, 0.5f);
  g_assert_cmpfloat (chunk->outcome[1], ==, 2);
  g_assert_true (isnan (chunk->outcome[2]) && isnan (chunk->outcome[3]));
  g_assert_cmpfloat (chunk->outcome[5], ==, -1);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      const char *const bad[] = { "t.csv", trace, "o.csv", wrong[i].text, NULL };
      g_autofree char *message = import_texts (bad, (MsImportOptions){ 0 });

      g_assert_nonnull (message);
      if (strstr (message, wrong[i].about) == NULL)
        g_error ("'%s' does not say '%s'", message, wrong[i].about);
    }
}

static gboolean has_files (const char *format);

static void
test_formats (void)
{
  const MsImportFormat *format;

  for (guint i = 0; (format = ms_import_format (i)) != NULL; i++)
    {
      g_autofree char *text = NULL;
      g_autofree char *name = g_strconcat ("trace.", format->extensions[0], NULL);
      g_autofree char *hostile = NULL;
      g_autofree char *message = NULL, *whole = NULL, *again = NULL, *piped = NULL;

      g_assert_true (g_str_has_suffix (format->help, "\n"));
      /* The window tells traces by these from models and texts. */
      g_assert_false (g_strv_contains (format->extensions, "gguf"));
      g_assert_false (g_strv_contains (format->extensions, "txt"));
      if (has_files (format->name))
        continue;
      text = make_fixture (format->name);
      hostile = g_strconcat ("\x01\xff{[\"\\", text, NULL);
      const char *const files[] = { name, text, NULL }, *const bad[] = { name, hostile, NULL };
      message = import_texts (files, (MsImportOptions){ .n_experts = 8, .format = format->name });
      g_assert_cmpstr (message, ==, NULL);
      whole = dump_run ();
      g_assert_cmpuint (strlen (whole), ==, strlen (HEAD) + 48 * strlen ("s0,0,0,0,0,0.25\n") + 24);
      import_pipe (text, format->extensions[0]);
      piped = dump_run ();
      g_assert_cmpstr (piped, ==, whole);
      {
        const char *const exported[] = { "again.csv", whole, NULL };
        g_autofree char *told = import_texts (exported, (MsImportOptions){ .n_experts = 8 });

        g_assert_cmpstr (told, ==, NULL);
        again = dump_run ();
        g_assert_cmpstr (again, ==, whole);
      }
      cut_short (text, name, whole);
      g_free (message);
      message = import_texts (bad, (MsImportOptions){ .n_experts = 8, .format = format->name });
      g_assert_nonnull (message);
      g_assert_nonnull (strstr (message, name));
    }
  {
    const char *const files[] = { "trace.csv", HEAD "0,0,0,0,1,1\n", NULL };
    g_autofree char *message = import_texts (files, (MsImportOptions){ .format = "csvv" });

    g_assert_nonnull (strstr (message, "the formats are csv"));
  }
}

/* --- Files of other tools -------------------------------------------------------------------- */

/* Files that data/make-traces.py wrote after the layouts of these tools; beside each lies what it must become. */
static const struct
{
  const char *file, *format;
  MsImportOptions options;
  const char *remark; /* told among others, NULL = none is asked for */
  const char *about;  /* of the error that it must be; NULL = it is read */
} traces[] = {
  { "routed_experts.npy", "npy", { 0 }, NULL, NULL },
  { "routed_experts_padded.npy", "npy", { .axes = "TLK" }, "dense-layers 0 1", NULL },
  { "routed_experts_padded.npy", "npy", { 0 }, NULL, "say them with --axes" },
  { "flat_routed_experts.npy", "npy", { .axes = "TLK", .n_layers = 2 }, NULL, NULL },
  { "flat_routed_experts.npy", "npy", { .axes = "TLK", .n_layers = 3 }, NULL, "no multiple of" },
  { "fortran.npy", "npy", { .axes = "tlk" }, NULL, NULL },
  { "fortran.npy", "npy", { .axes = "TTK" }, NULL, "each letter" },
  { "moe-trace.npz", "npz", { 0 }, "not read: 'meta'", NULL },
  { "requests.npz", "npz", { 0 }, NULL, NULL },
  { "trace.safetensors", "safetensors", { 0 }, "unrouted-end 0 1", NULL },
  { "per_token.pt", "torch", { 0 }, "physical-ids 0 0", NULL },
  { "stat.pt", "torch", { .k = 2 }, "counts-only 0", NULL },
  { "responses.jsonl", "responses", { 0 }, NULL, NULL },
  { "packed.json", "responses", { .n_layers = 2, .k = 2 }, NULL, NULL },
  { "packed.json", "responses", { 0 }, NULL, "give --layers N" },
  { "packed.json", "responses", { .n_layers = 3, .k = 2 }, NULL, "no rows of 3 layers" },
  { "imatrix.gguf", "imatrix", { 0 }, "counts-only 0 8", NULL },
  { "old-imatrix.gguf", "imatrix", { 0 }, NULL, "one count for all of them" },
  { "records.bin", "llama", { 0 }, NULL, NULL },
  { "truncated.bin", "llama", { 0 }, "truncated-last-layer 1 3", NULL },
  { "counts.expr", "llama", { 0 }, "counts-only 0 8", NULL },
  { "usage.coli_usage", "llama", { 0 }, "counts-only 0 7", NULL },
  { "routes.txt", "llama", { 0 }, NULL, NULL },
};

/* Whether the format has such files. */
static gboolean
has_files (const char *format)
{
  for (guint i = 0; i < G_N_ELEMENTS (traces); i++)
    if (strcmp (traces[i].format, format) == 0)
      return TRUE;
  return FALSE;
}

static char *
trace_path (const char *name)
{
  return g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests", "data", "traces", name,
                           NULL);
}

/* Imports a file; returns the error message or NULL. */
static char *
import_file (const char *path, MsImportOptions options)
{
  g_autofree char *output = in_folder ("run.db");
  const char *inputs[] = { path, NULL };
  MsImportSummary summary;
  GError *error = NULL;
  char *message;

  options.inputs = inputs;
  options.output = output;
  g_remove (output);
  if (ms_import (&options, &summary, &error))
    {
      keep_remarks (&summary);
      ms_import_summary_clear (&summary);
      return NULL;
    }
  if (g_file_test (output, G_FILE_TEST_EXISTS))
    g_error ("'%s', but %s was made", error->message, output);
  message = g_strdup (error->message);
  g_error_free (error);
  return message;
}

/* The counts of the run that are not 0, as CSV. */
static char *
dump_counts (void)
{
  g_autoptr (MsReader) reader = open_run ();
  const MsModel *model = ms_reader_model (reader);
  GString *text = g_string_new ("layer,expert,count\n");

  for (guint l = 0; l < model->n_layers; l++)
    {
      const MsChunk *chunk = ms_reader_chunk (reader, 0, l, MS_CHUNK_EXPERTS, l, NULL);
      g_autofree guint64 *counts = g_new0 (guint64, chunk->n_experts);

      ms_chunk_count (chunk, 0, chunk->n_tokens, counts);
      for (guint e = 0; e < chunk->n_experts; e++)
        if (counts[e] > 0)
          g_string_append_printf (text, "%d,%u,%" G_GUINT64_FORMAT "\n", model->layers[l].number, e,
                                  counts[e]);
    }
  return g_string_free (text, FALSE);
}

static void
test_traces (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (traces); i++)
    {
      g_autofree char *path = trace_path (traces[i].file),
                      *beside = g_strconcat (path, ".csv", NULL);
      g_autofree char *message = import_file (path, traces[i].options), *expected = NULL,
                      *dump = NULL;

      if (traces[i].about != NULL)
        {
          if (message == NULL || strstr (message, traces[i].about) == NULL
              || strstr (message, traces[i].file) == NULL)
            g_error ("case %u: '%s' is not about '%s'", i, message, traces[i].about);
          continue;
        }
      g_assert_cmpstr (message, ==, NULL);
      g_assert_true (g_file_get_contents (beside, &expected, NULL, NULL));
      dump = g_str_has_prefix (expected, "layer,") ? dump_counts () : dump_run ();
      g_assert_cmpstr (dump, ==, expected);
      if (traces[i].remark != NULL && strstr (remarks->str, traces[i].remark) == NULL)
        g_error ("case %u: '%s' is not in '%s'", i, traces[i].remark, remarks->str);
    }
}

/* Phases, token ids and scores of such files; names of experts for a forward pass. */
static void
test_traces_beside (void)
{
  g_autofree char *requests = trace_path ("requests.npz"), *ids = trace_path ("trace.safetensors");
  g_autofree char *pass = trace_path ("per_token.pt");
  static const char *const scored[] = { "logits.safetensors", "router_logits.pt" };
  gint32 tokens[5];

  g_assert_null (import_file (requests, (MsImportOptions){ 0 }));
  {
    g_autoptr (MsReader) reader = open_run ();
    g_autoptr (MsCorpus) corpus = load_corpus (reader);

    g_assert_cmpuint (corpus->n_ranges, ==, 2);
    g_assert_cmpstr (corpus->ranges[0].value, ==, "prefill");
    g_assert_cmpint (corpus->ranges[1].first_token, ==, 3);
    g_assert_cmpstr (corpus->ranges[1].value, ==, "decode");
  }
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsReader) reader = NULL;

      g_assert_null (import_file (i == 0 ? ids : pass, (MsImportOptions){ 0 }));
      reader = open_run ();
      g_assert_true (ms_reader_tokens (reader, 0, 5, tokens, NULL));
      g_assert_cmpint (tokens[4], ==, i == 0 ? 64 : 54);
    }
  for (guint i = 0; i < G_N_ELEMENTS (scored); i++)
    {
      g_autofree char *path = trace_path (scored[i]);
      g_autoptr (MsReader) reader = NULL;

      g_assert_null (import_file (path, (MsImportOptions){ .k = 2 }));
      reader = open_run ();
      g_assert_cmpuint (ms_reader_model (reader)->n_layers, ==, 2);
      for (guint l = 0; l < 2; l++)
        {
          const MsChunk *chunk
              = ms_reader_chunk (reader, 0, l, MS_CHUNK_EXPERTS | MS_CHUNK_LOGITS, l, NULL);

          for (guint t = 0; t < 5; t++)
            {
              g_assert_cmpuint (chunk->experts[2 * t], ==, (3 * t + l) % 8);
              g_assert_cmpuint (chunk->experts[2 * t + 1], ==, (3 * t + l + 5) % 8);
              g_assert_cmpfloat (chunk->logits[8 * t + (3 * t + l) % 8], ==, 4);
            }
        }
    }
}

/* Every such file cut anywhere, or with any byte changed, is read or refused in words, and harms nothing. */
static void
test_traces_damaged (void)
{
  g_autofree char *path = in_folder ("damaged");

  for (guint i = 0; i < G_N_ELEMENTS (traces); i++)
    {
      g_autofree char *whole = trace_path (traces[i].file), *bytes = NULL;
      gboolean counts;
      gsize n;

      if (traces[i].about != NULL)
        continue;
      g_assert_true (g_file_get_contents (whole, &bytes, &n, NULL));
      counts = traces[i].remark != NULL && g_str_has_prefix (traces[i].remark, "counts-only");
      for (gsize at = 0; at < n; at += 13)
        for (guint cut = 0; cut < 2; cut++)
          {
            char before = bytes[at];
            MsImportOptions options = traces[i].options;
            g_autofree char *message = NULL;

            options.format = traces[i].format;
            /* A count with another bit is another count, and a long run. */
            if (!cut && counts && at > (n > 200 ? 200 : 16))
              continue;
            if (!cut)
              bytes[at] = (char) (before ^ (1 << at % 8));
            g_file_set_contents (path, bytes, (gssize) (cut ? at : n), NULL);
            bytes[at] = before;
            message = import_file (path, options);
            if (message != NULL)
              g_assert_nonnull (strstr (message, "damaged"));
          }
    }
}

/* A torch file that would run something when it is unpickled is refused by that name. */
static void
test_torch_is_not_executed (void)
{
  /* zip of archive/data.pkl with: cos\nsystem\n ... R. */
  static const guint8 evil[]
      = { 0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x00, 0x51,
          0xe1, 0x70, 0x29, 0x30, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
          0x61, 0x72, 0x63, 0x68, 0x69, 0x76, 0x65, 0x2f, 0x64, 0x61, 0x74, 0x61, 0x2e, 0x70, 0x6b,
          0x6c, 0x80, 0x02, 0x7d, 0x71, 0x00, 0x58, 0x01, 0x00, 0x00, 0x00, 0x61, 0x71, 0x01, 0x63,
          0x70, 0x6f, 0x73, 0x69, 0x78, 0x0a, 0x73, 0x79, 0x73, 0x74, 0x65, 0x6d, 0x0a, 0x71, 0x02,
          0x58, 0x04, 0x00, 0x00, 0x00, 0x74, 0x72, 0x75, 0x65, 0x71, 0x03, 0x85, 0x71, 0x04, 0x52,
          0x71, 0x05, 0x73, 0x2e, 0x50, 0x4b, 0x01, 0x02, 0x14, 0x03, 0x14, 0x00, 0x00, 0x00, 0x00,
          0x00, 0x00, 0x00, 0x21, 0x00, 0x51, 0xe1, 0x70, 0x29, 0x30, 0x00, 0x00, 0x00, 0x30, 0x00,
          0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80,
          0x01, 0x00, 0x00, 0x00, 0x00, 0x61, 0x72, 0x63, 0x68, 0x69, 0x76, 0x65, 0x2f, 0x64, 0x61,
          0x74, 0x61, 0x2e, 0x70, 0x6b, 0x6c, 0x50, 0x4b, 0x05, 0x06, 0x00, 0x00, 0x00, 0x00, 0x01,
          0x00, 0x01, 0x00, 0x3e, 0x00, 0x00, 0x00, 0x5e, 0x00, 0x00, 0x00, 0x00, 0x00 };
  g_autofree char *path = in_folder ("evil.pt"), *message = NULL;

  g_file_set_contents (path, (const char *) evil, sizeof evil, NULL);
  message = import_file (path, (MsImportOptions){ 0 });
  g_assert_nonnull (strstr (message, "posix system"));
}

/* --- Golden traces -------------------------------------------------------------------------- */

typedef struct
{
  MsReader *reader;
  const MsCorpus *corpus;
  const MsChunk *chunk;
  guint n_rows;
} Compare;

/* One row of a golden trace, which are all sequence,token,layer,rank,expert,weight. */
static gboolean
compare_row (const char *const *fields, guint n, guint line, gpointer data, GError **error)
{
  Compare *compare = data;
  guint sequence, layer, slot;
  const MsChunk *chunk;
  gint64 token;

  (void) n;
  if (line == 1)
    return TRUE;
  sequence = (guint) g_ascii_strtoull (fields[0], NULL, 10);
  g_assert_cmpstr (compare->corpus->documents[sequence].name, ==, fields[0]);
  token = compare->corpus->documents[sequence].first_token + g_ascii_strtoll (fields[1], NULL, 10);
  layer = (guint) g_ascii_strtoull (fields[2], NULL, 10);
  chunk = ms_reader_chunk (compare->reader, 0, layer, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, layer,
                           error);
  g_assert_nonnull (chunk);
  slot = (guint) token * chunk->k + (guint) g_ascii_strtoull (fields[3], NULL, 10);
  g_assert_cmpuint (chunk->experts[slot], ==, g_ascii_strtoull (fields[4], NULL, 10));
  g_assert_true (chunk->weights[slot] == (float) g_ascii_strtod (fields[5], NULL));
  compare->n_rows++;
  return TRUE;
}

static void
test_golden (void)
{
  g_autofree char *root = g_build_filename (g_getenv ("MOESCOPE_SHARED"), "golden", NULL);
  g_autoptr (GDir) metrics = g_dir_open (root, 0, NULL);
  static const char *const beside[] = { "logits.csv",         "probs.csv",     "router_logits.csv",
                                        "expert_outputs.csv", "sequences.csv", "tokens.csv" };
  const char *metric;
  guint n_traces = 0;

  if (metrics == NULL)
    {
      g_test_skip ("the golden traces are not here");
      return;
    }
  while ((metric = g_dir_read_name (metrics)) != NULL)
    {
      g_autofree char *path = g_build_filename (root, metric, NULL);
      g_autoptr (GDir) cases = g_dir_open (path, 0, NULL);
      const char *name;

      while (cases != NULL && (name = g_dir_read_name (cases)) != NULL)
        {
          g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func (g_free);
          g_autofree char *output = in_folder ("run.db");
          MsImportOptions options = { .output = output };
          MsImportSummary summary;
          GError *error = NULL;
          Compare compare = { 0 };
          g_autoptr (MsDb) db = NULL;
          g_autoptr (MsCorpus) corpus = NULL;

          g_ptr_array_add (inputs, g_build_filename (path, name, "trace.csv", NULL));
          if (!g_file_test (inputs->pdata[0], G_FILE_TEST_EXISTS))
            continue;
          for (guint i = 0; i < G_N_ELEMENTS (beside); i++)
            {
              g_autofree char *file = g_build_filename (path, name, beside[i], NULL);

              if (g_file_test (file, G_FILE_TEST_EXISTS))
                g_ptr_array_add (inputs, g_steal_pointer (&file));
            }
          g_ptr_array_add (inputs, NULL);
          options.inputs = (const char *const *) inputs->pdata;
          g_remove (output);
          ms_import (&options, &summary, &error);
          g_assert_no_error (error);
          db = ms_db_open (output, MS_DB_READ, NULL);
          corpus = ms_db_load_corpus (db, 1, NULL);
          compare.corpus = corpus;
          compare.reader = open_run ();
          ms_csv_read (inputs->pdata[0], compare_row, &compare, &error);
          g_assert_no_error (error);
          g_assert_cmpuint (compare.n_rows, ==, summary.decisions);
          ms_import_summary_clear (&summary);
          ms_reader_free (compare.reader);
          n_traces++;
        }
    }
  g_assert_cmpuint (n_traces, >, 40);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  remarks = g_string_new (NULL);
  folder = g_dir_make_tmp ("moescope-import-XXXXXX", NULL);
  g_test_add_func ("/import/faults", test_faults);
  g_test_add_func ("/import/pairs", test_pairs);
  g_test_add_func ("/import/tolerance", test_tolerance);
  g_test_add_func ("/import/numbers", test_numbers);
  g_test_add_func ("/import/gating", test_gating);
  g_test_add_func ("/import/gate-beside-decisions", test_gate_beside_decisions);
  g_test_add_func ("/import/remarks", test_remarks);
  g_test_add_func ("/import/repeated", test_repeated);
  g_test_add_func ("/import/padding", test_padding);
  g_test_add_func ("/import/holes", test_holes);
  g_test_add_func ("/import/scores", test_scores);
  g_test_add_func ("/import/pairing", test_pairing);
  g_test_add_func ("/import/outcomes", test_outcomes);
  g_test_add_func ("/import/map", test_map);
  g_test_add_func ("/import/map-faults", test_map_faults);
  g_test_add_func ("/import/foreign-headers", test_foreign_headers);
  g_test_add_func ("/import/shapes", test_shapes);
  g_test_add_func ("/import/token-labels", test_token_labels);
  g_test_add_func ("/import/restarts", test_restarts);
  g_test_add_func ("/import/suspects", test_suspects);
  g_test_add_func ("/import/counts", test_counts);
  g_test_add_func ("/import/packed", test_packed);
  g_test_add_func ("/import/formats", test_formats);
  g_test_add_func ("/import/traces", test_traces);
  g_test_add_func ("/import/traces-beside", test_traces_beside);
  g_test_add_func ("/import/traces-damaged", test_traces_damaged);
  g_test_add_func ("/import/torch-is-not-executed", test_torch_is_not_executed);
  g_test_add_func ("/import/golden", test_golden);
  status = g_test_run ();
  {
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name (dir)) != NULL)
      {
        g_autofree char *path = in_folder (name);

        g_remove (path);
      }
  }
  g_rmdir (folder);
  g_free (folder);
  g_string_free (remarks, TRUE);
  return status;
}
