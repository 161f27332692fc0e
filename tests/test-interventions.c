/* Runs with the routing changed, on small random models: what changes nothing gives the same bits, what
 * changes something changes what it should, and what cannot be is refused before anything is computed. */
#include "collector.h"
#include "results.h"
#include "toy-model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define COLUMNS                                                                                    \
  (MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN | MS_CHUNK_LOGITS      \
   | MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY)

/* A dense block before the first router; many experts and weights that do not sum to 1; a shared expert. */
static const ToyModel models[] = {
  { "llama", 32, 3, 4, 2, 8, 50, 6, 2, 24, 1, 0, FALSE, 0, FALSE, 0, 1, 0, 0, FALSE },
  { "olmoe", 48, 2, 6, 3, 8, 70, 20, 5, 16, 0, 0, FALSE, 1, FALSE, 0, 3, 0, 0, FALSE },
  { "qwen2moe", 32, 2, 6, 1, 12, 50, 7, 3, 24, 0, 56, TRUE, 0, FALSE, 0, 4, 0, 0, FALSE },
};
static const guint lengths[] = { 9, 17, 5, 30, 0 };
#define N_TOKENS (9 + 17 + 5 + 30)

typedef struct
{
  const ToyModel *toy;
  char *folder, *model, *ids, *db;
} Place;

static void
place_init (Place *place, const ToyModel *toy)
{
  g_autofree char *text = toy_ids (toy, lengths);

  place->toy = toy;
  place->model = toy_model_save (toy);
  place->folder = g_path_get_dirname (place->model);
  place->ids = g_build_filename (place->folder, "ids.txt", NULL);
  place->db = g_build_filename (place->folder, "run.db", NULL);
  g_assert_true (g_file_set_contents (place->ids, text, -1, NULL));
}

static void
place_clear (Place *place)
{
  g_unlink (place->model);
  g_unlink (place->ids);
  g_unlink (place->db);
  {
    g_autofree char *given = g_build_filename (place->folder, "given.csv", NULL);

    g_unlink (given);
  }
  g_assert_cmpint (g_rmdir (place->folder), ==, 0);
  g_free (place->folder);
  g_free (place->model);
  g_free (place->ids);
  g_free (place->db);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

/* Collects with the options of `changes`, "top-k=1;mask=1:2" (NULL: none).  0 with *error set when it is
 * refused. */
static gint64
try_collect (const Place *place, const char *changes, GError **error)
{
  const char *inputs[] = { place->ids, NULL };
  char *values[MS_MOST_INTERVENTIONS + 1] = { NULL };
  g_auto (GStrv) words = g_strsplit (changes != NULL ? changes : "", ";", -1);
  MsCollectOptions options = { .model = place->model,
                               .inputs = inputs,
                               .kind = MS_INPUT_TOKEN_IDS,
                               .output = place->db,
                               .storage = MS_STORAGE_EXACT,
                               .threads = 2,
                               .wave_tokens = 31,
                               .scores = TRUE,
                               .norms = TRUE,
                               .predict = TRUE,
                               .interventions = (const char *const *) values };
  MsCollectSummary summary;
  gint64 run = 0;

  for (guint i = 0; words[i] != NULL; i++)
    {
      char *value = strchr (words[i], '=');
      guint option = 0;

      g_assert_nonnull (value);
      *value++ = '\0';
      while (strcmp (ms_intervention_option (option)->name, words[i]) != 0)
        option++;
      values[option] = value;
    }
  if (ms_collect (&options, &summary, NULL, error))
    {
      run = summary.run;
      ms_collect_summary_clear (&summary);
    }
  return run;
}

static gint64
collect (const Place *place, const char *changes)
{
  GError *error = NULL;
  gint64 run = try_collect (place, changes, &error);

  g_assert_no_error (error);
  g_assert_cmpint (run, >, 0);
  return run;
}

static MsReader *
open_run (const Place *place, gint64 run)
{
  GError *error = NULL;
  MsReader *reader = ms_reader_new (place->db, run, &error);

  g_assert_no_error (error);
  return reader;
}

static const MsChunk *
chunk_of (MsReader *reader, guint layer)
{
  GError *error = NULL;
  const MsChunk *chunk = ms_reader_chunk (reader, 0, layer, COLUMNS, layer, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (chunk->n_tokens, ==, N_TOKENS);
  return chunk;
}

static void
get_losses (MsReader *reader, gint32 *predicted, float *loss)
{
  GError *error = NULL;

  g_assert_true (ms_reader_predictions (reader, 0, N_TOKENS, predicted, loss, &error));
  g_assert_no_error (error);
}

/* Whether both runs hold the same bits in every column, and predict the same. */
static gboolean
are_equal (const Place *place, gint64 run_a, gint64 run_b)
{
  g_autoptr (MsReader) a = open_run (place, run_a);
  g_autoptr (MsReader) b = open_run (place, run_b);
  gint32 predicted[2][N_TOKENS];
  float loss[2][N_TOKENS];
  gboolean equal = ms_reader_model (a)->n_layers == ms_reader_model (b)->n_layers;

  for (guint l = 0; equal && l < ms_reader_model (a)->n_layers; l++)
    {
      const MsChunk *x = chunk_of (a, l), *y = chunk_of (b, l);

      equal = x->k == y->k;
      for (guint i = 0; equal && i < MS_N_COLUMNS; i++)
        if (COLUMNS & (1u << i))
          equal = memcmp (ms_decisions_get (&x->decisions, i), ms_decisions_get (&y->decisions, i),
                          N_TOKENS * ms_column_row_bytes (i, x->k, x->n_experts))
                  == 0;
    }
  get_losses (a, predicted[0], loss[0]);
  get_losses (b, predicted[1], loss[1]);
  return equal && memcmp (predicted[0], predicted[1], sizeof predicted[0]) == 0
         && memcmp (loss[0], loss[1], sizeof loss[0]) == 0;
}

static void
assert_same (const void *a, const void *b, gsize bytes)
{
  g_assert_cmpint (memcmp (a, b, bytes), ==, 0);
}

static void
assert_refused (const Place *place, const char *changes, const char *reason)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (try_collect (place, changes, &error), ==, 0);
  g_assert_nonnull (error);
  if (!g_pattern_match_simple (reason, error->message))
    g_error ("%s: '%s' is not '%s'", changes, error->message, reason);
}

/* A file beside the model.  (transfer full) */
static char *
write_file (const Place *place, const char *text)
{
  char *path = g_build_filename (place->folder, "given.csv", NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

/* --- Another k, barred experts ---------------------------------------------------------------- */

static void
test_nothing (gconstpointer data)
{
  g_auto (Place) place;
  g_autofree char *own_k = NULL, *all_mass = NULL, *replay = NULL, *recorded = NULL, *add = NULL;
  g_autofree char *zeros = NULL, *merge = NULL;
  gint64 plain;

  place_init (&place, data);
  own_k = g_strdup_printf ("top-k=%u", place.toy->k);
  all_mass = g_strdup_printf ("top-p=1;top-k=%u", place.toy->k);
  plain = collect (&place, NULL);
  replay = g_strdup_printf ("replay=%s#%" G_GINT64_FORMAT, place.db, plain);
  recorded = g_strdup_printf ("replay-weights=recorded;%s", replay);
  zeros = write_file (&place, "layer,expert,logit\n1,0,0\n1,1,0\n1,2,-0\n");
  add = g_strdup_printf ("add=%s", zeros);
  merge = g_strdup_printf ("merge=%s", zeros);
  g_assert_true (are_equal (&place, plain, collect (&place, own_k)));
  g_assert_true (are_equal (&place, plain, collect (&place, "mask=")));
  g_assert_true (are_equal (&place, plain, collect (&place, all_mass)));
  g_assert_true (are_equal (&place, plain, collect (&place, add)));
  g_assert_true (are_equal (&place, plain, collect (&place, replay)));
  g_assert_true (are_equal (&place, plain, collect (&place, recorded)));
  g_assert_true (are_equal (&place, plain, collect (&place, "capacity=0")));
  g_assert_true (are_equal (&place, plain,
                            collect (&place, "capacity=61;capacity-rule=fixed;capacity-batch=0")));
  g_assert_true (
      are_equal (&place, plain, collect (&place, "capacity=1e6;capacity-order=batch-prioritised")));
  g_free (write_file (&place, "layer,expert,dominant,merge_weight\n1,0,0,0.5\n1,3,3,0\n1,2,2,1\n"));
  g_assert_true (are_equal (&place, plain, collect (&place, merge)));
  g_assert_false (are_equal (&place, plain, collect (&place, "top-k=1")));
}

/* The first router's choice with a smaller k is the beginning of that with a larger one. */
static void
test_top_k (void)
{
  g_auto (Place) place;
  g_autoptr (MsReader) a = NULL;
  g_autoptr (MsReader) b = NULL;
  g_autofree char *words = NULL;
  const MsChunk *x, *y;

  place_init (&place, &models[1]);
  a = open_run (&place, collect (&place, NULL));
  b = open_run (&place, collect (&place, "top-k=3"));
  words = ms_run_describe_intervention (ms_reader_run (b));
  g_assert_cmpstr (words, ==, "top-k 3");
  g_assert_null (ms_reader_run (a)->intervention);
  g_assert_cmpuint (ms_reader_model (b)->layers[0].gate.k, ==, 3);
  x = chunk_of (a, 0);
  y = chunk_of (b, 0);
  for (guint t = 0; t < N_TOKENS; t++)
    for (guint j = 0; j < 3; j++)
      {
        g_assert_cmpuint (x->experts[t * 5 + j], ==, y->experts[t * 3 + j]);
        g_assert_cmpfloat (x->weights[t * 5 + j], ==, y->weights[t * 3 + j]);
      }
  assert_refused (&place, "top-k=21", "--top-k: *21 of the 20 experts of layer 0; 20 or fewer*");
  assert_refused (&place, "top-k=0", "--top-k: '0' is no number of experts*");
}

/* A barred expert is never chosen; in the first changed layer its tokens choose as the gate does without its
 * logit, and all others, and all tokens of the layers before, are as they were. */
static void
test_mask (gconstpointer data)
{
  g_auto (Place) place;
  g_autoptr (MsReader) a = NULL;
  g_autoptr (MsReader) b = NULL;
  g_autofree char *mask = NULL;
  guint last, k, n, barred = 1, moved = 0;
  const MsChunk *x, *y;

  place_init (&place, data);
  a = open_run (&place, collect (&place, NULL));
  last = ms_reader_model (a)->n_layers - 1;
  mask = g_strdup_printf ("mask=%d:%u", ms_reader_model (a)->layers[last].number, barred);
  b = open_run (&place, collect (&place, mask));
  for (guint l = 0; l < last; l++)
    assert_same (chunk_of (a, l)->norms, chunk_of (b, l)->norms,
                 N_TOKENS * place.toy->k * sizeof (float));
  x = chunk_of (a, last);
  y = chunk_of (b, last);
  k = x->k;
  n = x->n_experts;
  /* The inputs of the layer, and so the router's own scores, are untouched. */
  assert_same (x->logits, y->logits, N_TOKENS * n * sizeof (float));
  for (guint t = 0; t < N_TOKENS; t++)
    {
      MsGate gate = ms_reader_model (a)->layers[last].gate;
      float logits[32], scratch[128], weights[8];
      guint16 experts[8];
      MsDecision decision = { experts, weights, 0, 0 };
      gboolean used = FALSE;

      memcpy (logits, x->logits + t * n, n * sizeof *logits);
      logits[barred] = -INFINITY;
      ms_gate_choose (&gate, logits, scratch, &decision);
      for (guint j = 0; j < k; j++)
        {
          used = used || x->experts[t * k + j] == barred;
          g_assert_cmpuint (y->experts[t * k + j], !=, barred);
          g_assert_cmpuint (y->experts[t * k + j], ==, experts[j]);
          g_assert_cmpfloat (y->weights[t * k + j], ==, weights[j]);
        }
      moved += used;
      if (!used)
        assert_same (x->experts + t * k, y->experts + t * k, k * sizeof (guint16));
    }
  g_assert_cmpuint (moved, >, 0);
  g_assert_cmpuint (moved, <, N_TOKENS);
}

static void
test_mask_forms (void)
{
  g_auto (Place) place;
  g_autofree char *path = NULL, *option = NULL;
  g_autoptr (MsReader) reader = NULL;
  gint64 pairs;

  place_init (&place, &models[0]);
  path = g_build_filename (place.folder, "mask.csv", NULL);
  option = g_strdup_printf ("mask=%s", path);
  g_assert_true (g_file_set_contents (path, "expert,note,layer\n3,x,2\n0,y,1\n3,x,2\n", -1, NULL));
  pairs = collect (&place, "mask=2:3, 1:0");
  g_assert_true (are_equal (&place, pairs, collect (&place, option)));
  reader = open_run (&place, pairs);
  g_assert_nonnull (strstr (ms_reader_run (reader)->intervention, "\"mask\":[[1,0],[2,3]]"));
  g_assert_true (g_file_set_contents (path, "layer,expert\n1,x\n", -1, NULL));
  assert_refused (&place, option, "--mask: *line 2: expert 'x' is no whole number*");
  g_assert_true (g_file_set_contents (path, "layer\n1\n", -1, NULL));
  assert_refused (&place, option, "--mask: *no column 'expert'*");
  g_unlink (path);
  assert_refused (&place, option, "--mask: *neither pairs of layer:expert*");
  assert_refused (&place, "mask=0:1", "--mask: layer 0 has no router*2 MoE layers lie in 1..2");
  assert_refused (&place, "mask=1:6", "--mask: layer 1 has experts 0..5, none of number 6");
  assert_refused (&place, "mask=1:0,1:1,1:2,1:3,1:4",
                  "--mask: layer 1 would be left with 1 experts, and each token takes 2*");
  /* With one expert less there is no better rejected one: no margin, all others barred. */
  g_clear_pointer (&reader, ms_reader_free);
  reader = open_run (&place, collect (&place, "mask=1:0,1:1,1:2,1:3"));
  for (guint t = 0; t < N_TOKENS; t++)
    g_assert_true (isnan (chunk_of (reader, 0)->margin[t]));
}

/* --- Mass of probability, added logits --------------------------------------------------------- */

/* At the first router: the beginning of the order in which the gate chooses, until the mass exceeds p. */
static void
test_top_p (void)
{
  g_auto (Place) place;
  g_autoptr (MsReader) a = NULL;
  g_autoptr (MsReader) b = NULL;
  g_autoptr (MsReader) few = NULL;
  const MsChunk *x, *y, *z;
  guint n, sizes[8] = { 0 };

  place_init (&place, &models[2]);
  a = open_run (&place, collect (&place, "top-k=7"));
  b = open_run (&place, collect (&place, "top-p=0.6"));
  few = open_run (&place, collect (&place, "top-p=0.6;top-k=2"));
  g_assert_cmpuint (ms_reader_model (b)->layers[0].gate.k, ==, 7);
  g_assert_cmpuint (ms_reader_model (few)->layers[0].gate.k, ==, 2);
  x = chunk_of (a, 0);
  y = chunk_of (b, 0);
  z = chunk_of (few, 0);
  n = x->n_experts;
  for (guint t = 0; t < N_TOKENS; t++)
    {
      const guint16 *order = x->experts + t * 7;
      double p[8], sum = 0;
      guint size = 0;

      ms_gate_distribution (&ms_reader_model (a)->layers[0].gate, x->logits + t * n, p);
      while (size < n && sum <= 0.6)
        sum += p[order[size++]];
      sizes[size]++;
      for (guint j = 0; j < 7; j++)
        {
          g_assert_cmpuint (y->experts[t * 7 + j], ==, j < size ? order[j] : MS_NO_EXPERT);
          if (j >= size)
            g_assert_cmpfloat (y->weights[t * 7 + j], ==, 0);
          if (j >= size)
            g_assert_cmpfloat (y->norms[t * 7 + j], ==, 0);
          if (j < 2)
            g_assert_cmpuint (z->experts[t * 2 + j], ==, j < size ? order[j] : MS_NO_EXPERT);
        }
    }
  g_assert_cmpuint (sizes[2] + sizes[3] + sizes[4], >, 0);
  assert_refused (&place, "top-p=0", "--top-p: '0' is no probability*");
  assert_refused (&place, "top-p=1.5", "--top-p: '1.5' is no probability*");
}

/* An added logit acts from its document on, until the next stage takes its place. */
static void
test_add (void)
{
  g_auto (Place) place;
  g_autoptr (MsReader) a = NULL;
  g_autoptr (MsReader) b = NULL;
  g_autofree char *path = NULL, *add = NULL, *bad = NULL;
  const MsChunk *x, *y;

  place_init (&place, &models[0]);
  path = write_file (&place, "layer,expert,logit,document\n1,2,50,1\n1,3,50,3\n1,0,0,2\n");
  add = g_strdup_printf ("add=%s", path);
  a = open_run (&place, collect (&place, NULL));
  b = open_run (&place, collect (&place, add));
  x = chunk_of (a, 0);
  y = chunk_of (b, 0);
  for (guint t = 0, d = 0, end = lengths[0]; t < N_TOKENS; t++)
    {
      if (t == end)
        end += lengths[++d];
      /* The router's own scores are recorded, whatever is added to them. */
      assert_same (x->logits + t * 6, y->logits + t * 6, 6 * sizeof (float));
      if (d == 1)
        g_assert_cmpuint (y->experts[t * 2], ==, 2);
      else if (d == 3)
        g_assert_cmpuint (y->experts[t * 2], ==, 3);
      else
        assert_same (x->experts + t * 2, y->experts + t * 2, 2 * sizeof (guint16));
    }
  g_free (write_file (&place, "layer,expert,logit,document\n1,2,50,4\n"));
  assert_refused (&place, add, "--add: a stage begins with document 4, *0..3");
  g_free (write_file (&place, "layer,expert,logit\n1,2,x\n"));
  assert_refused (&place, add, "--add: *line 2: logit 'x' is no number");
  g_free (write_file (&place, "layer,expert,logit\n1,2,1\n1,2,2\n"));
  assert_refused (&place, add, "--add: layer 1, expert 2, document 0 is there twice");
  g_free (write_file (&place, "layer,expert\n1,2\n"));
  assert_refused (&place, add, "--add: *there is no logit");
}

/* A shift that is smaller than half the margin of all decisions changes no choice; one of half the largest
 * logit margin, given to the best rejected expert and taken from the worst chosen one, flips it. */
static void
test_margins (void)
{
  g_auto (Place) place;
  g_autoptr (MsReader) a = NULL;
  const MsChunk *x;
  float least = INFINITY;
  g_autoptr (GString) small = g_string_new ("layer,expert,logit\n");
  g_autoptr (GString) large = g_string_new ("layer,expert,logit\n");
  guint at = 0;

  place_init (&place, &models[1]);
  a = open_run (&place, collect (&place, NULL));
  x = chunk_of (a, 0);
  for (guint t = 0; t < N_TOKENS; t++)
    {
      float margin = ms_gate_margin (x->logits + t * 20, 20, x->experts + t * 5, 5);

      at = margin < least ? t : at;
      least = MIN (margin, least);
    }
  for (guint e = 0; e < 20; e++)
    {
      gboolean chosen = FALSE;
      char text[MS_NUMBER_SIZE];

      for (guint j = 0; j < 5; j++)
        chosen |= x->experts[at * 5 + j] == e;
      g_string_append_printf (small, "0,%u,%s\n", e,
                              ms_number_exact (text, (double) least * (chosen ? -0.49 : 0.49)));
      g_string_append_printf (large, "0,%u,%s\n", e,
                              ms_number_exact (text, (double) least * (chosen ? -0.51 : 0.51)));
    }
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = write_file (&place, i == 0 ? small->str : large->str);
      g_autofree char *add = g_strdup_printf ("add=%s", path);
      g_autoptr (MsReader) b = open_run (&place, collect (&place, add));
      guint changed = 0;

      for (guint t = 0; t < N_TOKENS; t++)
        for (guint j = 0; j < 5; j++)
          {
            gboolean there = FALSE;

            for (guint m = 0; m < 5; m++)
              there |= chunk_of (b, 0)->experts[t * 5 + m] == x->experts[t * 5 + j];
            changed += !there;
          }
      if (i == 0)
        g_assert_cmpuint (changed, ==, 0);
      else
        g_assert_cmpuint (changed, >, 0);
    }
}

/* --- Picks of another run --------------------------------------------------------------------- */

/* Whether all layers hold the same picks. */
static gboolean
have_same_picks (const Place *place, gint64 run_a, gint64 run_b)
{
  g_autoptr (MsReader) a = open_run (place, run_a);
  g_autoptr (MsReader) b = open_run (place, run_b);
  gboolean same = TRUE;

  for (guint l = 0; l < ms_reader_model (a)->n_layers; l++)
    {
      const MsChunk *x = chunk_of (a, l), *y = chunk_of (b, l);

      same = same && x->k == y->k
             && memcmp (x->experts, y->experts, N_TOKENS * x->k * sizeof (guint16)) == 0;
    }
  return same;
}

/* A run of another rule: its picks are forced upon the plain model, which weighs them itself or as recorded.
 * With top-p there are unused slots. */
static void
test_replay (void)
{
  g_auto (Place) place;
  g_autofree char *replay = NULL, *recorded = NULL, *of_own = NULL, *other_ids = NULL;
  g_autofree char *short_ids = NULL, *conflict = NULL;
  gint64 cut, own, forced;
  const guint few[] = { 9, 17, 5, 29, 0 };
  ToyModel other;

  place_init (&place, &models[2]);
  cut = collect (&place, "top-p=0.5;mask=1:2");
  replay = g_strdup_printf ("replay=%s#%" G_GINT64_FORMAT, place.db, cut);
  recorded = g_strdup_printf ("%s;replay-weights=recorded", replay);
  conflict = g_strdup_printf ("%s;top-k=1", replay);
  own = collect (&place, replay);
  forced = collect (&place, recorded);
  g_assert_true (have_same_picks (&place, cut, own));
  g_assert_true (have_same_picks (&place, cut, forced));
  /* Recorded picks with recorded weights are all that the mask did: no bit of the outputs differs. */
  {
    g_autoptr (MsReader) a = open_run (&place, cut);
    g_autoptr (MsReader) b = open_run (&place, forced);
    g_autoptr (MsReader) c = open_run (&place, own);
    gint32 predicted[3][N_TOKENS];
    float loss[3][N_TOKENS];

    get_losses (a, predicted[0], loss[0]);
    get_losses (b, predicted[1], loss[1]);
    get_losses (c, predicted[2], loss[2]);
    assert_same (loss[0], loss[1], sizeof loss[0]);
    g_assert_cmpint (memcmp (loss[0], loss[2], sizeof loss[0]), !=, 0);
  }
  assert_refused (&place, conflict, "--replay: *leave out --top-k");
  assert_refused (&place, "replay-weights=own", "--replay-weights: *without --replay");
  of_own = g_strdup_printf ("replay=%s#99", place.db);
  assert_refused (&place, of_own, "--replay: *");
  /* The same model on other texts. */
  other = models[2];
  other.seed++;
  short_ids = toy_ids (place.toy, few);
  g_assert_true (g_file_set_contents (place.ids, short_ids, -1, NULL));
  assert_refused (&place, replay,
                  "--replay: run *its texts have 4 documents of 61 tokens, and these 4 of 60*");
  other_ids = toy_ids (&other, lengths);
  g_assert_true (g_file_set_contents (place.ids, other_ids, -1, NULL));
  assert_refused (&place, replay, "--replay: run *its token 0 is *");
  {
    g_auto (Place) wrong;

    place_init (&wrong, &models[0]);
    assert_refused (&wrong, replay, "--replay: run *");
  }
}

/* --- Slots of experts -------------------------------------------------------------------------- */

/* Which assignments of the first layer find no room, counted otherwise: in each batch of documents an assignment
 * of rank r of token t comes after all of lower rank and after those of its rank that are served before. */
static void
check_drops (const MsChunk *chunk, guint batch, guint slots, const double *priority,
             guint *n_dropped)
{
  guint k = chunk->k, ends[4], n_documents = 4;

  for (guint d = 0, end = 0; d < n_documents; d++)
    ends[d] = end += lengths[d];
  for (guint t = 0; t < N_TOKENS; t++)
    for (guint r = 0; r < k; r++)
      {
        guint before = 0, document = 0, first, last;

        while (ends[document] <= t)
          document++;
        document -= document % batch;
        first = document > 0 ? ends[document - 1] : 0;
        last = ends[MIN (document + batch, n_documents) - 1];
        for (guint other = first; other < last; other++)
          for (guint s = 0; s < k; s++)
            {
              gboolean earlier = priority != NULL && priority[other] != priority[t]
                                     ? priority[other] > priority[t]
                                     : other < t;

              before += chunk->experts[other * k + s] == chunk->experts[t * k + r]
                        && (s < r || (s == r && earlier));
            }
        g_assert_cmpuint (chunk->dropped[t * k + r], ==, before >= slots);
        *n_dropped += before >= slots;
        if (before >= slots)
          g_assert_cmpfloat (chunk->norms[t * k + r], ==, 0);
        else
          g_assert_cmpfloat (chunk->norms[t * k + r], >, 0);
      }
}

static void
test_capacity (void)
{
  static const struct
  {
    const char *changes;
    guint batch, slots;
    gboolean prioritised;
  } cases[] = {
    { "capacity=2;capacity-rule=fixed", 1, 2, FALSE },
    { "capacity=5;capacity-rule=fixed;capacity-batch=3", 3, 5, FALSE },
    { "capacity=12;capacity-rule=fixed;capacity-batch=0", 4, 12, FALSE },
    { "capacity=6;capacity-rule=fixed;capacity-batch=0;capacity-order=batch-prioritised", 4, 6,
      TRUE },
    { "capacity=1;capacity-rule=gshard-eval;capacity-batch=0", 4, (N_TOKENS + 3) / 4, FALSE },
  };
  g_auto (Place) place;
  g_autoptr (MsReader) plain = NULL;

  place_init (&place, &models[0]);
  plain = open_run (&place, collect (&place, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (MsReader) reader = open_run (&place, collect (&place, cases[i].changes));
      GError *error = NULL;
      const MsChunk *chunk = ms_reader_chunk (reader, 0, 0, COLUMNS | MS_CHUNK_DROPPED, 0, &error);
      const MsChunk *before = chunk_of (plain, 0);
      double priority[N_TOKENS], p[8];
      guint n_dropped = 0;

      g_assert_no_error (error);
      for (guint t = 0; t < N_TOKENS; t++)
        {
          ms_gate_distribution (&ms_reader_model (plain)->layers[0].gate,
                                before->logits + t * before->n_experts, p);
          priority[t] = p[before->experts[t * before->k]];
        }
      /* What is dropped stays recorded as it was chosen and weighed. */
      assert_same (chunk->experts, before->experts, N_TOKENS * chunk->k * sizeof (guint16));
      assert_same (chunk->weights, before->weights, N_TOKENS * chunk->k * sizeof (float));
      check_drops (chunk, cases[i].batch, cases[i].slots, cases[i].prioritised ? priority : NULL,
                   &n_dropped);
      g_assert_cmpuint (n_dropped, >, 0);
      g_assert_cmpuint (n_dropped, <, N_TOKENS * chunk->k);
    }
  assert_refused (&place, "capacity=0;capacity-rule=fixed",
                  "--capacity: rule fixed needs a factor above 0*");
  assert_refused (&place, "capacity=x", "--capacity: 'x' is no capacity factor");
  assert_refused (&place, "capacity=1;capacity-rule=best",
                  "--capacity-rule: 'best' is none of tutel, *");
  assert_refused (&place, "capacity-batch=2",
                  "--capacity-batch: nothing is dropped without --capacity");
}

/* --- Groups of experts ------------------------------------------------------------------------- */

/* Puts the mean of experts a and b, weighted, in the place of both, in every matrix of the file's block. */
static void
average (const Place *place, guint block, guint a, guint b, float weight_a, float weight_b)
{
  static const char *const parts[] = { "gate", "up", "down" };
  gsize n = (gsize) place->toy->expert_width * place->toy->width, length;
  g_autofree char *bytes = NULL;

  g_assert_true (g_file_get_contents (place->model, &bytes, &length, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.ffn_%s_exps.weight", block, parts[i]);
      g_autofree float *values = toy_model_values (place->toy, name, n * place->toy->experts);
      g_autofree float *mean = g_new (float, n);
      float *at = memmem (bytes, length, values, n * place->toy->experts * sizeof (float));

      g_assert_nonnull (at);
      for (gsize j = 0; j < n; j++)
        {
          mean[j] = weight_a * values[a * n + j];
          mean[j] += weight_b * values[b * n + j];
        }
      memcpy (at + a * n, mean, n * sizeof *mean);
      memcpy (at + b * n, mean, n * sizeof *mean);
    }
  g_assert_true (g_file_set_contents (place->model, bytes, (gssize) length, NULL));
}

/* A merged run gives the bits of a model whose file holds the mean in the place of both experts. */
static void
test_merge (void)
{
  g_auto (Place) place;
  g_autofree char *path = NULL, *merge = NULL, *words = NULL;
  g_autoptr (MsReader) reader = NULL;
  gint64 plain, merged;

  place_init (&place, &models[0]);
  path = write_file (&place,
                     "layer,expert,dominant,merge_weight,usage\n1,1,4,0.25,9\n1,4,4,0.75,9\n");
  merge = g_strdup_printf ("merge=%s", path);
  plain = collect (&place, NULL);
  merged = collect (&place, merge);
  g_assert_false (are_equal (&place, plain, merged));
  reader = open_run (&place, merged);
  words = ms_run_describe_intervention (ms_reader_run (reader));
  g_assert_cmpstr (words, ==, "1 experts of 1 layers merged into others, weighted by use");
  average (&place, 1, 1, 4, 0.25f, 0.75f);
  g_assert_true (are_equal (&place, merged, collect (&place, NULL)));
  g_free (write_file (&place, "layer,expert,dominant\n1,1,4\n1,4,5\n"));
  assert_refused (&place, merge, "--merge: layer 1: expert 1 joins 4, which itself joins 5*");
  g_free (write_file (&place, "layer,expert,dominant,merge_weight\n1,1,4,1\n"));
  assert_refused (&place, merge,
                  "--merge: layer 1: of the 2 experts that join 4 only 1 have a merge_weight*");
  g_free (write_file (&place, "layer,expert,dominant\n1,1,4\n1,1,2\n"));
  assert_refused (&place, merge, "--merge: layer 1: expert 1 is there twice");
  g_free (write_file (&place, "layer,expert,dominant\n1,1,6\n"));
  assert_refused (&place, merge, "--merge: layer 1 has experts 0..5, none of number 6");
  g_free (write_file (&place, "layer,expert\n1,1\n"));
  assert_refused (&place, merge, "--merge: *no column 'dominant'*");
}

/* --- What it costs ---------------------------------------------------------------------------- */

static MsTrace *
open_trace (const Place *place, gint64 run)
{
  GError *error = NULL;
  MsTrace *trace = ms_trace_open (place->db, run, NULL, &error);

  g_assert_no_error (error);
  return trace;
}

/* The analysis compare tells the interventions and the change of loss, as sums over the file say it. */
static void
test_cost (void)
{
  g_auto (Place) place;
  gint64 runs[2];
  MsTrace *traces[2];
  MsResult *result;
  gint32 predicted[2][N_TOKENS];
  float loss[2][N_TOKENS];
  double change = 0, told = 0;
  gboolean named = FALSE;
  const MsTable *table;

  place_init (&place, &models[0]);
  runs[0] = collect (&place, "top-k=1;mask=2:0");
  runs[1] = collect (&place, NULL);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsReader) reader = open_run (&place, runs[i]);

      get_losses (reader, predicted[i], loss[i]);
      traces[i] = open_trace (&place, runs[i]);
    }
  for (guint t = 0; t < N_TOKENS; t++)
    if (isfinite (loss[0][t]))
      change += (double) loss[0][t] - (double) loss[1][t];
  result = ms_test_run_against (traces[0], &traces[1], 1, "compare", 50, NULL);
  table = ms_result_table (result, "losses");
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    told += ms_test_real (table, row, "tokens") * ms_test_real (table, row, "change");
  ms_test_near (told, change);
  g_assert_cmpfloat (fabs (change), >, 0);
  for (guint i = 0; i < result->notes->len; i++)
    named |= strstr (result->notes->pdata[i],
                     "The run was collected with its routing changed: top-k 1, mask 2:0.")
             != NULL;
  g_assert_true (named);
  ms_result_free (result);
  for (guint i = 0; i < 2; i++)
    ms_trace_unref (traces[i]);
}

/* --- Going on ---------------------------------------------------------------------------------- */

static void
stop_after (const MsCollectProgress *progress, gpointer data)
{
  if (progress->tokens_done >= MS_BLOCK_TOKENS)
    g_cancellable_cancel (data);
}

/* A stopped run goes on with the same changes alone, where slots are shared from the first document that shares
 * them; it is then what it would have been at one go. */
static void
test_resume (void)
{
  g_auto (Place) place;
  g_autoptr (GString) text = g_string_new (NULL);
  const ToyModel *toy = &models[0];
  char *values[MS_MOST_INTERVENTIONS + 1] = { NULL };
  guint64 seed = 5;
  gint64 runs[2];

  place_init (&place, toy);
  for (guint d = 0; d < 40; d++)
    for (guint t = 0, n = 100 + 7 * d; t < n; t++)
      g_string_append_printf (text, "%u%c", (guint) ms_random_below (&seed, toy->vocabulary),
                              t + 1 < n ? ' ' : '\n');
  g_assert_true (g_file_set_contents (place.ids, text->str, -1, NULL));
  for (guint i = 0; ms_intervention_option (i) != NULL; i++)
    {
      const char *name = ms_intervention_option (i)->name;

      values[i] = g_str_equal (name, "capacity")         ? (char *) "60"
                  : g_str_equal (name, "capacity-rule")  ? (char *) "fixed"
                  : g_str_equal (name, "capacity-batch") ? (char *) "3"
                                                         : NULL;
    }
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GCancellable) cancel = g_cancellable_new ();
      MsCollectOptions options = { .model = place.model,
                                   .inputs = (const char *[]){ place.ids, NULL },
                                   .kind = MS_INPUT_TOKEN_IDS,
                                   .output = place.db,
                                   .storage = MS_STORAGE_EXACT,
                                   .threads = 2,
                                   .wave_tokens = 1500,
                                   .norms = TRUE,
                                   .interventions = (const char *const *) values };
      GError *error = NULL;
      MsCollectSummary summary;

      options.progress = i == 0 ? stop_after : NULL;
      options.progress_data = cancel;
      g_assert_true (ms_collect (&options, &summary, cancel, &error));
      g_assert_cmpint (summary.stopped, ==, i == 0);
      runs[0] = summary.run;
      ms_collect_summary_clear (&summary);
      if (i == 1)
        break;
      /* Without the changes it is another run. */
      options.progress = NULL;
      options.interventions = NULL;
      g_assert_true (ms_collect (&options, &summary, NULL, &error));
      g_assert_false (summary.resumed);
      ms_collect_summary_clear (&summary);
      options.interventions = (const char *const *) values;
      g_assert_true (ms_collect (&options, &summary, NULL, &error));
      g_assert_true (summary.resumed);
      g_assert_cmpint (summary.run, ==, runs[0]);
      ms_collect_summary_clear (&summary);
    }
  /* The second time round was at one go. */
  runs[1] = runs[0];
  runs[0] = 1;
  g_assert_cmpint (runs[1], >, 1);
  {
    g_autoptr (MsReader) a = open_run (&place, runs[0]);
    g_autoptr (MsReader) b = open_run (&place, runs[1]);

    g_assert_cmpint (ms_reader_run (a)->n_tokens, ==, ms_reader_run (b)->n_tokens);
    for (guint block = 0; block * MS_BLOCK_TOKENS < ms_reader_run (a)->n_tokens; block++)
      for (guint l = 0; l < 2; l++)
        {
          const guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_NORMS | MS_CHUNK_DROPPED;
          GError *error = NULL;
          const MsChunk *x = ms_reader_chunk (a, block, l, columns, 0, &error);
          const MsChunk *y = ms_reader_chunk (b, block, l, columns, 0, &error);
          gsize n = (gsize) x->n_tokens * x->k;

          g_assert_no_error (error);
          assert_same (x->experts, y->experts, n * sizeof (guint16));
          assert_same (x->dropped, y->dropped, n);
          assert_same (x->norms, y->norms, n * sizeof (float));
        }
  }
}

/* --- Refusals --------------------------------------------------------------------------------- */

/* Nothing was refused after something had been written. */
static void
test_untouched (void)
{
  g_auto (Place) place;

  place_init (&place, &models[0]);
  assert_refused (&place, "mask=9:0", "--mask: layer 9*");
  g_assert_false (g_file_test (place.db, G_FILE_TEST_EXISTS));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    {
      g_autofree char *nothing
          = g_strdup_printf ("/interventions/nothing/%s", models[i].architecture);
      g_autofree char *mask = g_strdup_printf ("/interventions/mask/%s", models[i].architecture);

      g_test_add_data_func (nothing, &models[i], test_nothing);
      g_test_add_data_func (mask, &models[i], test_mask);
    }
  g_test_add_func ("/interventions/top-k", test_top_k);
  g_test_add_func ("/interventions/mask-forms", test_mask_forms);
  g_test_add_func ("/interventions/top-p", test_top_p);
  g_test_add_func ("/interventions/add", test_add);
  g_test_add_func ("/interventions/margins", test_margins);
  g_test_add_func ("/interventions/replay", test_replay);
  g_test_add_func ("/interventions/capacity", test_capacity);
  g_test_add_func ("/interventions/merge", test_merge);
  g_test_add_func ("/interventions/cost", test_cost);
  g_test_add_func ("/interventions/resume", test_resume);
  g_test_add_func ("/interventions/untouched", test_untouched);
  return g_test_run ();
}
