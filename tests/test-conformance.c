/* What `moescope collect` and `moescope export` make of the conformance models, against an independent
 * engine's result and the bounds of the data's README.  Skipped without the data. */
#include "db.h"

#include <csv.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* Documents of one run: the model's tokens again and again, so that several waves are needed. */
#define COPIES 3

/* Bounds of the README.  Where raw logits select, margins are larger. */
typedef struct
{
  const char *model;
  double margin;          /* cells above it must agree */
  double flip_margin;     /* a flip that is no consequence stays below */
  double logits, weights; /* weights: times the scale where it is above 1 */
} Case;

/* A line each, so that a new one changes no other. */
/* clang-format off */
static const Case cases[] = {
  { "llama", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.f32", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.bf16", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q8_0", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "granitemoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "granitemoe-shared", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "granitehybrid", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "jamba", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "grok", 1e-4, 2e-5, 1e-2, 2e-3 },
  { "grok-2", 1e-4, 2e-5, 1e-2, 2e-3 },
  { "dbrx", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "phimoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "nemotron_h_moe", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "minicpm-moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "olmoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "qwen2moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "qwen3moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "dots1", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "llama.q4_1", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q5_0", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q5_1", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q2_k", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q3_k_m", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q4_k_m", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q5_k_m", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q6_k", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.iq4_nl", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.iq4_xs", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.mxfp4_moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama.q4_0", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "ernie4_5-moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "lfm2moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "deepseek", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "deepseek2-v2lite-mla", 1e-4, 2e-5, 1e-3, 1e-4 },
  { "deepseek2-v3", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "mistral4", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "kimi-linear", 1e-4, 2e-5, 2e-4, 4.8e-5 },
  { "deepseek4", 1e-4, 2e-5, 2e-4, 3e-5 },
  { "bailingmoe2", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "bailingmoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "mistral3-moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "qwen3vlmoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "minimax-m2", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "mellum", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "exaone-moe", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "hunyuan-moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "glm4moe", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "gpt-oss", 1e-3, 2e-5, 1e-3, 1e-4 },
  { "gpt-oss.mxfp4", 1e-3, 2e-5, 1e-3, 1e-4 },
  { "laguna", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "hy_v3", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "step35", 1e-4, 2e-5, 2e-4, 6e-5 },
  { "mimo2", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "llama4", 1e-3, 2e-5, 2e-4, 2e-5 },
  { "afmoe", 1e-4, 2e-5, 2e-4, 5e-5 },
  { "smallthinker", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "arctic", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "cohere2moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "grovemoe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "gemma4-moe", 1e-4, 2e-5, 1e-2, 2e-3 },
  { "qwen35moe", 1e-4, 2e-5, 2e-4, 2e-5 },
  { "qwen3next", 1e-4, 2e-5, 2e-4, 2e-5 },
};
/* clang-format on */

/* --- Arrays of the data ---------------------------------------------------------------------- */

typedef struct
{
  gsize shape[4]; /* 1 beyond the last */
  const gint32 *ints;
  const float *floats; /* the same bytes */
  char *bytes;
} Array;

/* A .npy file of version 1, little-endian int32 or float32, in C order. */
static Array
load_array (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  Array array = { { 1, 1, 1, 1 }, NULL, NULL, NULL };
  gsize length, offset, n = 1;
  char *shape;

  g_assert_true (g_file_get_contents (path, &array.bytes, &length, NULL));
  g_assert_cmpint (memcmp (array.bytes, "\x93NUMPY\x01", 7), ==, 0);
  offset = 10 + (guint8) array.bytes[8] + 256 * (gsize) (guint8) array.bytes[9];
  shape = strchr (strstr (array.bytes + 10, "'shape'"), '(') + 1;
  for (guint i = 0; i < 4 && g_ascii_isdigit (*shape); i++)
    {
      array.shape[i] = g_ascii_strtoull (shape, &shape, 10);
      n *= array.shape[i];
      shape += strspn (shape, ", ");
    }
  g_assert_cmpuint (length, ==, offset + 4 * n);
  memmove (array.bytes, array.bytes + offset, 4 * n);
  array.ints = (const gint32 *) (gconstpointer) array.bytes;
  array.floats = (const float *) (gconstpointer) array.bytes;
  return array;
}

static void
array_clear (Array *array)
{
  g_free (array->bytes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Array, array_clear)

/* --- The commands ---------------------------------------------------------------------------- */

static void
run_command (const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *err = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &err,
                &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s %s: %s", argv[0], argv[1], err);
}

/* What the exported CSV says, by [copy][layer][position][rank]. */
typedef struct
{
  gsize n_tokens, n_layers, k;
  const gint32 *layers; /* block numbers */
  gint32 *experts;
  double *weights;
  gsize n_rows;
  guint column;
  char *fields[8];
  gboolean header_seen;
} Export;

static void
take_field (void *bytes, size_t length, void *data)
{
  Export *export = data;

  g_assert_cmpuint (export->column, <, 8);
  export->fields[export->column++] = g_strndup (bytes, length);
}

static gsize
to_number (const char *text)
{
  return g_ascii_strtoull (text, NULL, 10);
}

static void
take_row (int end, void *data)
{
  static const char *const names[]
      = { "run", "document", "position", "token_id", "layer", "rank", "expert", "weight" };
  Export *export = data;
  gsize copy, layer = 0, position, rank, at;

  (void) end;
  g_assert_cmpuint (export->column, ==, 8);
  export->column = 0;
  if (!export->header_seen)
    for (guint i = 0; i < 8; i++)
      g_assert_cmpstr (export->fields[i], ==, names[i]);
  else
    {
      position = to_number (export->fields[2]);
      copy = export->n_rows / (export->n_tokens * export->n_layers * export->k);
      while (export->layers[layer] != (gint32) to_number (export->fields[4]))
        g_assert_cmpuint (++layer, <, export->n_layers);
      rank = to_number (export->fields[5]);
      g_assert_cmpuint (rank, <, export->k);
      g_assert_cmpuint (copy, <, COPIES);
      g_assert_cmpuint (position, <, export->n_tokens);
      at = ((copy * export->n_layers + layer) * export->n_tokens + position) * export->k + rank;
      export->experts[at] = (gint32) to_number (export->fields[6]);
      export->weights[at] = g_ascii_strtod (export->fields[7], NULL);
      export->n_rows++;
    }
  export->header_seen = TRUE;
  for (guint i = 0; i < 8; i++)
    g_clear_pointer (&export->fields[i], g_free);
}

static void
read_export (const char *path, Export *export)
{
  g_autofree char *text = NULL;
  struct csv_parser parser;
  gsize length, n = COPIES * export->n_layers * export->n_tokens * export->k;

  export->experts = g_new (gint32, n);
  export->weights = g_new (double, n);
  for (gsize i = 0; i < n; i++)
    export->experts[i] = -1;
  g_assert_true (g_file_get_contents (path, &text, &length, NULL));
  g_assert_cmpint (csv_init (&parser, CSV_STRICT), ==, 0);
  g_assert_cmpuint (csv_parse (&parser, text, length, take_field, take_row, export), ==, length);
  csv_fini (&parser, take_field, take_row, export);
  csv_free (&parser);
  g_assert_cmpuint (export->n_rows, ==, n);
}

/* --- The comparison -------------------------------------------------------------------------- */

typedef struct
{
  const Case *bounds;
  Array layers, experts, weights, logits, margin;
  gsize n_layers, n_tokens, n_experts, k;
} Reference;

/* The slot of `expert` among k, or k. */
static gsize
find_slot (const gint32 *experts, gsize k, gint32 expert)
{
  for (gsize j = 0; j < k; j++)
    if (experts[j] == expert)
      return j;
  return k;
}

static gboolean
same_set (const gint32 *a, const gint32 *b, gsize k)
{
  for (gsize j = 0; j < k; j++)
    if (find_slot (a, k, b[j]) == k)
      return FALSE;
  return TRUE;
}

/* Bounds 1 and 3 on one copy; equal (M, T) tells which cells agree. */
static void
compare_choices (const Reference *r, const gint32 *experts, const double *weights, gboolean *equal)
{
  g_autofree gsize *first_flip = g_new (gsize, r->n_layers); /* least position that flips */
  gsize n_equal = 0;

  for (gsize m = 0; m < r->n_layers; m++)
    {
      first_flip[m] = m > 0 ? first_flip[m - 1] : G_MAXSIZE;
      for (gsize t = 0; t < r->n_tokens; t++)
        {
          gsize cell = m * r->n_tokens + t;
          const gint32 *ours = experts + cell * r->k, *theirs = r->experts.ints + cell * r->k;
          gboolean upstream = m > 0 && first_flip[m - 1] <= t;
          double margin = (double) r->margin.floats[cell];

          equal[cell] = same_set (ours, theirs, r->k);
          n_equal += equal[cell];
          if (!equal[cell] && !upstream)
            {
              g_assert_cmpfloat (margin, <=, r->bounds->margin);
              g_assert_cmpfloat (margin, <, r->bounds->flip_margin);
              first_flip[m] = MIN (first_flip[m], t);
            }
          for (gsize j = 0; j < r->k && equal[cell]; j++)
            g_assert_cmpfloat (
                fabs (
                    weights[cell * r->k + j]
                    - (double) r->weights.floats[cell * r->k + find_slot (theirs, r->k, ours[j])]),
                <=, r->bounds->weights);
        }
    }
  g_assert_cmpfloat ((double) n_equal, >=, 0.999 * (double) (r->n_layers * r->n_tokens));
}

/* Bound 2, from the router scores in the database. */
static void
compare_logits (const Reference *r, const char *db, const gboolean *equal)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsReader) reader = ms_reader_new (db, 1, &error);

  g_assert_no_error (error);
  for (guint m = 0; m < r->n_layers; m++)
    {
      const MsChunk *chunk = ms_reader_chunk (reader, 0, m, MS_CHUNK_LOGITS, 0, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (chunk->n_tokens, ==, COPIES * r->n_tokens);
      for (gsize i = 0; i < COPIES * r->n_tokens; i++)
        for (gsize e = 0; e < r->n_experts; e++)
          if (equal[(i / r->n_tokens * r->n_layers + m) * r->n_tokens + i % r->n_tokens])
            g_assert_cmpfloat (
                fabs ((double) chunk->logits[i * r->n_experts + e]
                      - (double) r->logits
                            .floats[(m * r->n_tokens + i % r->n_tokens) * r->n_experts + e]),
                <=, r->bounds->logits);
    }
}

static void
write_ids (const char *path, const Array *tokens)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint copy = 0; copy < COPIES; copy++)
    for (gsize t = 0; t < tokens->shape[0]; t++)
      g_string_append_printf (text, "%d%c", tokens->ints[t], t + 1 < tokens->shape[0] ? ' ' : '\n');
  g_assert_true (g_file_set_contents (path, text->str, (gssize) text->len, NULL));
}

static void
test_model (gconstpointer data)
{
  static const char *const ways[][2]
      = { { "--threads=1", "--wave=1000" }, { "--threads=3", "--wave=100" } };
  const Case *bounds = data;
  const char *shared = g_getenv ("MOESCOPE_SHARED"), *program = g_getenv ("MOESCOPE");
  g_autofree char *file = g_strconcat (bounds->model, ".gguf", NULL);
  g_autofree char *model
      = shared != NULL ? g_build_filename (shared, "conformance", "models", file, NULL) : NULL;
  g_autofree char *folder
      = shared != NULL ? g_build_filename (shared, "conformance", "routing", bounds->model, NULL)
                       : NULL;
  g_autofree char *place = NULL, *ids = NULL, *csv = NULL;
  g_auto (Array) tokens = { 0 };
  g_autofree gboolean *equal = NULL;
  Reference r = { .bounds = bounds };

  if (program == NULL || model == NULL || !g_file_test (model, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("no conformance data (MOESCOPE_SHARED) or no program (MOESCOPE)");
      return;
    }
  place = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  ids = g_build_filename (place, "ids.txt", NULL);
  csv = g_build_filename (place, "routing.csv", NULL);
  tokens = load_array (folder, "tokens.npy");
  r.layers = load_array (folder, "moe_layers.npy");
  r.experts = load_array (folder, "experts.npy");
  r.weights = load_array (folder, "weights.npy");
  r.logits = load_array (folder, "router_logits.npy");
  r.margin = load_array (folder, "margin.npy");
  r.n_layers = r.experts.shape[0];
  r.n_tokens = r.experts.shape[1];
  r.k = r.experts.shape[2];
  r.n_experts = r.logits.shape[2];
  equal = g_new (gboolean, COPIES * r.n_layers * r.n_tokens);
  write_ids (ids, &tokens);
  for (guint way = 0; way < G_N_ELEMENTS (ways); way++)
    {
      g_autofree char *db = g_strdup_printf ("%s/run%u.db", place, way);
      const char *collect[] = { program, "collect",    model,        "--token-ids", ids, "-o",
                                db,      ways[way][0], ways[way][1], "--scores",    NULL };
      const char *export[] = { program, "export", db, "routing", "-o", csv, NULL };
      Export rows
          = { .n_tokens = r.n_tokens, .n_layers = r.n_layers, .k = r.k, .layers = r.layers.ints };

      run_command (collect);
      run_command (export);
      read_export (csv, &rows);
      for (gsize copy = 0; copy < COPIES; copy++)
        {
          gsize cells = r.n_layers * r.n_tokens;

          compare_choices (&r, rows.experts + copy * cells * r.k, rows.weights + copy * cells * r.k,
                           equal + copy * cells);
        }
      compare_logits (&r, db, equal);
      g_free (rows.experts);
      g_free (rows.weights);
      g_unlink (db);
    }
  g_unlink (ids);
  g_unlink (csv);
  g_rmdir (place);
  array_clear (&r.layers);
  array_clear (&r.experts);
  array_clear (&r.weights);
  array_clear (&r.logits);
  array_clear (&r.margin);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/conformance/", cases[i].model, NULL);

      g_test_add_data_func (path, &cases[i], test_model);
    }
  return g_test_run ();
}
