/* What is told of model files: counted here by hand, or from the file by another way. */
#include "collector.h"
#include "gguf-writer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *folder;

static const guint8 zeros[1 << 16];

/* A tensor of zeros of type F32, or of another one with `bytes` bytes. */
static void
add (GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1, gint64 ne2)
{
  gguf_add_tensor (writer, name, 0, ne0, ne1, ne2, zeros,
                   (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1)) * 4);
}

static MsInspection *
inspect (const GgufWriter *writer)
{
  g_autofree char *path = g_build_filename (folder, "model.gguf", NULL);
  g_autoptr (GError) error = NULL;
  MsInspection *found;

  gguf_writer_save (writer, path);
  found = ms_model_inspect (path, &error);
  g_assert_no_error (error);
  return found;
}

/* The fact's value as GVariant text; NULL when there is none.  (transfer full) */
static char *
fact (const MsInspection *found, const char *name, const char **source)
{
  for (guint i = 0; i < found->facts->len; i++)
    {
      const MsFact *one = &g_array_index (found->facts, MsFact, i);

      if (!g_str_equal (one->name, name))
        continue;
      *source = one->source;
      return g_variant_print (one->value, FALSE);
    }
  return NULL;
}

static void
check_fact (const MsInspection *found, const char *name, const char *value, const char *source)
{
  const char *got_source = NULL;
  g_autofree char *got = fact (found, name, &got_source);

  g_assert_cmpstr (got, ==, value);
  g_assert_cmpstr (got_source, ==, source);
}

static gboolean
tells (const GPtrArray *texts, const char *part)
{
  for (guint i = 0; i < texts->len; i++)
    if (strstr (texts->pdata[i], part) != NULL)
      return TRUE;
  return FALSE;
}

static gint64
role_bytes (const MsInspection *found, MsTensorRole role)
{
  gint64 bytes = 0;

  for (guint i = 0; i < found->roles[role]->len; i++)
    bytes += g_array_index (found->roles[role], MsTypeShare, i).bytes;
  return bytes;
}

/* Two blocks and one for further tokens, of an architecture that nobody knows; 4 experts of width 8, 3 of them a
 * token. */
static GgufWriter *
new_file (void)
{
  GgufWriter *writer = gguf_writer_new ();

  gguf_add_string (writer, "general.architecture", "x");
  gguf_add_u32 (writer, "x.block_count", 3);
  gguf_add_u32 (writer, "x.embedding_length", 16);
  gguf_add_u32 (writer, "x.nextn_predict_layers", 1);
  gguf_add_u32 (writer, "x.expert_count", 4);
  gguf_add_u32 (writer, "x.expert_used_count", 3);
  gguf_add_float (writer, "x.expert_weights_scale", 2.5f);
  add (writer, "token_embd.weight", 16, 10, 0);
  add (writer, "output.weight", 16, 10, 0);
  add (writer, "output_norm.weight", 16, 0, 0);
  add (writer, "blk.0.attn_q.weight", 16, 16, 0);
  add (writer, "blk.0.ffn_up.weight", 16, 24, 0);
  add (writer, "blk.1.ssm_in.weight", 16, 32, 0);
  add (writer, "blk.1.ffn_gate_inp.weight", 16, 4, 0);
  add (writer, "blk.1.exp_probs_b.bias", 4, 0, 0);
  add (writer, "blk.1.ffn_up_exps.bias", 8, 4, 0);
  gguf_add_tensor (writer, "blk.1.ffn_up_exps.weight", 134, 16, 8, 4, zeros, 128);
  gguf_add_tensor (writer, "blk.1.ffn_down_exps.weight", 12, 256, 16, 4, zeros, 144 * 64);
  add (writer, "blk.1.ffn_up_shexp.weight", 16, 8, 0);
  add (writer, "blk.2.nextn.eh_proj.weight", 16, 16, 0);
  add (writer, "blk.2.ffn_up_exps.weight", 16, 8, 4);
  return writer;
}

static void
test_counts (void)
{
  g_autoptr (GgufWriter) writer = new_file ();
  g_autoptr (MsInspection) found = inspect (writer);
  const MsBlockFacts *block = found->blocks;

  g_assert_cmpuint (found->n_tensors, ==, 14);
  g_assert_cmpint (role_bytes (found, MS_ROLE_EMBEDDING), ==, 640);
  g_assert_cmpint (role_bytes (found, MS_ROLE_OUTPUT), ==, 640);
  g_assert_cmpint (role_bytes (found, MS_ROLE_NORM), ==, 64);
  g_assert_cmpint (role_bytes (found, MS_ROLE_ATTENTION), ==, 1024);
  g_assert_cmpint (role_bytes (found, MS_ROLE_DENSE), ==, 1536);
  g_assert_cmpint (role_bytes (found, MS_ROLE_STATE), ==, 2048);
  g_assert_cmpint (role_bytes (found, MS_ROLE_ROUTER), ==, 256 + 16);
  g_assert_cmpint (role_bytes (found, MS_ROLE_EXPERTS), ==, 128 + 128 + 9216);
  g_assert_cmpint (role_bytes (found, MS_ROLE_SHARED), ==, 512);
  g_assert_cmpint (role_bytes (found, MS_ROLE_FURTHER), ==, 1024 + 2048);
  g_assert_cmpint (role_bytes (found, MS_ROLE_OTHER), ==, 0);
  /* All but the embedding and the last block; of experts three quarters. */
  g_assert_cmpint (found->n_values, ==,
                   160 + 160 + 16 + 256 + 384 + 512 + 64 + 4 + 32 + 512 + 16384 + 128 + 256 + 512);
  g_assert_cmpint (found->active_values, ==,
                   160 + 16 + 256 + 384 + 512 + 64 + 4 + 24 + 384 + 12288 + 128);
  g_assert_cmpint (found->active_bytes, ==,
                   640 + 64 + 1024 + 1536 + 2048 + 272 + 512 + (128 + 128 + 9216) / 4 * 3);
  g_assert_cmpuint (found->n_blocks, ==, 3);
  g_assert_cmpuint (found->n_moe, ==, 1);
  g_assert_cmpstr (block[0].mixer, ==, "attention");
  g_assert_cmpstr (block[1].mixer, ==, "Mamba-2");
  g_assert_cmpuint (block[0].experts, ==, 0);
  g_assert_cmpuint (block[1].experts, ==, 4);
  g_assert_cmpuint (block[1].k, ==, 3);
  g_assert_cmpint (block[1].expert_bytes, ==, 128 + 128 + 9216);
  g_assert_true (block[1].selection_bias && block[1].shared && !block[1].router_bias);
  g_assert_true (block[2].further && !block[1].further);
}

static void
test_facts (void)
{
  g_autoptr (GgufWriter) writer = new_file ();
  g_autoptr (MsInspection) found = NULL;

  gguf_add_string (writer, "x.rope.scaling.type", "yarn");
  gguf_add_bool (writer, "x.expert_weights_norm", TRUE);
  found = inspect (writer);
  check_fact (found, "width", "16", "key x.embedding_length");
  check_fact (found, "vocabulary", "10", "tensor token_embd.weight");
  check_fact (found, "expert_width", "256", "tensor blk.1.ffn_down_exps.weight");
  check_fact (found, "rope_scaling", "'yarn'", "key x.rope.scaling.type");
  check_fact (found, "experts_per_token", "3", "key x.expert_used_count");
  check_fact (found, "scale", "2.5", "key x.expert_weights_scale");
  check_fact (found, "groups", "0", "there is no x.expert_group_count");
  check_fact (found, "renormalised", "true", "key x.expert_weights_norm");
  check_fact (found, "scoring", "'unknown'",
              "not known: no key says it, and the architecture is none that can be run");
  check_fact (found, "selection_bias", "true", "tensors blk.N.exp_probs_b");
  check_fact (found, "router_bias", "false", "no tensors blk.N.ffn_gate_inp.bias");
  check_fact (found, "router_type", "'F32'", "tensors blk.N.ffn_gate_inp.weight");
  check_fact (found, "heads", NULL, NULL);
}

/* Each obstacle once. */
static void
test_obstacles (void)
{
  g_autoptr (GgufWriter) writer = new_file ();
  g_autoptr (MsInspection) found = inspect (writer);

  g_assert_cmpuint (found->obstacles->len, ==, 2);
  g_assert_cmpstr (found->obstacles->pdata[0], ==, "architecture 'x' is none that can be run");
  g_assert_cmpstr (found->obstacles->pdata[1], ==, "tensors of type IQ1_BN: 1 of 14");
  g_assert_null (found->model);
}

static GgufWriter *
new_known (const char *architecture, gboolean biased)
{
  g_autofree char *blocks = g_strconcat (architecture, ".block_count", NULL);
  g_autofree char *k = g_strconcat (architecture, ".expert_used_count", NULL);
  GgufWriter *writer = gguf_writer_new ();

  gguf_add_string (writer, "general.architecture", architecture);
  gguf_add_u32 (writer, blocks, 1);
  gguf_add_u32 (writer, k, 2);
  add (writer, "token_embd.weight", 16, 10, 0);
  add (writer, "blk.0.attn_q.weight", 16, 16, 0);
  add (writer, "blk.0.ffn_gate_inp.weight", 16, 4, 0);
  add (writer, "blk.0.ffn_down_exps.weight", 8, 16, 4);
  if (biased)
    add (writer, "blk.0.exp_probs_b.bias", 4, 0, 0);
  return writer;
}

/* Where the table knows the architecture, it is a source. */
static void
test_recipe (void)
{
  {
    g_autoptr (GgufWriter) writer = new_known ("qwen3moe", FALSE);
    g_autoptr (MsInspection) found = inspect (writer);

    check_fact (found, "scoring", "'softmax'", "the architecture");
    check_fact (found, "renormalised", "true", "the architecture");
    check_fact (found, "experts", "4", "tensor blk.0.ffn_gate_inp.weight");
    /* What is missing is told by the loader. */
    g_assert_cmpuint (found->obstacles->len, ==, 1);
    g_assert_true (tells (found->obstacles, "'qwen3moe.embedding_length' is missing"));
    g_assert_false (tells (found->warnings, "selection bias"));
  }
  {
    g_autoptr (GgufWriter) writer = new_known ("glm4moe", TRUE);
    g_autoptr (MsInspection) found = inspect (writer);

    check_fact (found, "scoring", "'sigmoid'",
                "the architecture's default: there is no glm4moe.expert_gating_func");
    g_assert_false (tells (found->warnings, "selection bias"));
  }
  {
    g_autoptr (GgufWriter) writer = new_known ("dots1", FALSE);
    g_autoptr (MsInspection) found = inspect (writer);

    check_fact (found, "scoring", "'unknown'",
                "not known: dots1.expert_gating_func is missing, and must be there");
    g_assert_true (tells (found->warnings, "no selection bias"));
  }
  {
    g_autoptr (GgufWriter) writer = new_known ("dots1", TRUE);
    g_autoptr (MsInspection) found = NULL;

    gguf_add_u32 (writer, "dots1.expert_gating_func", 2);
    found = inspect (writer);
    check_fact (found, "scoring", "'sigmoid'", "key dots1.expert_gating_func");
  }
}

/* One trap in each file; a file without it does not tell of it. */
static void
test_traps (void)
{
  static const char *const tokens[] = { "a", "b", NULL };
  enum
  {
    NONE,
    BLOCKS,
    WIDTH,
    EXPERTS,
    STACK,
    VOCABULARY,
    HASHED,
    QUANTISED,
    TEXT,
    DENSE,
    FURTHER,
    ALL,
    PRE,
    N_TRAPS
  };
  static const char *const parts[N_TRAPS]
      = { NULL,
          "block_count is 3, but the tensors are of 4 blocks",
          "embedding_length is 17, but tensor token_embd",
          "expert_count is 5, but tensor blk.1.ffn_gate_inp",
          "chooses among 4 experts, but tensor blk.1.ffn_down_e",
          "has 2 tokens, but there are 10 embeddings",
          "1 of 1 MoE layers take their experts from a table",
          "router matrices are quantised (Q8_0)",
          "x.context_length is neither",
          "leading_dense_block_count is 2, but the first",
          "1 blocks have tensors for further tokens",
          "each token uses all 4 experts of block 1",
          "tokenizer.ggml.pre is missing" };

  for (guint trap = 0; trap < N_TRAPS; trap++)
    {
      g_autoptr (GgufWriter) writer = gguf_writer_new ();
      g_autoptr (MsInspection) found = NULL;

      gguf_add_string (writer, "general.architecture", "x");
      gguf_add_u32 (writer, "x.block_count", 3);
      gguf_add_u32 (writer, "x.embedding_length", trap == WIDTH ? 17 : 16);
      gguf_add_u32 (writer, "x.expert_count", trap == EXPERTS ? 5 : 4);
      gguf_add_u32 (writer, "x.expert_used_count", trap == ALL ? 4 : 2);
      gguf_add_u32 (writer, "x.leading_dense_block_count", trap == DENSE ? 2 : 1);
      if (trap == PRE)
        gguf_add_string (writer, "tokenizer.ggml.model", "gpt2");
      if (trap == FURTHER)
        add (writer, "blk.2.nextn.eh_proj.weight", 16, 16, 0);
      if (trap == VOCABULARY)
        gguf_add_strings (writer, "tokenizer.ggml.tokens", tokens, -1);
      if (trap == TEXT)
        gguf_add_float (writer, "x.context_length", (float) (0.0 / 0.0));
      add (writer, "token_embd.weight", 16, 10, 0);
      add (writer, "blk.0.attn_q.weight", 16, 16, 0);
      if (trap == QUANTISED)
        gguf_add_tensor (writer, "blk.1.ffn_gate_inp.weight", 8, 32, 4, 0, zeros, 34 * 4);
      else
        add (writer, "blk.1.ffn_gate_inp.weight", 16, 4, 0);
      add (writer, "blk.1.ffn_down_exps.weight", 8, 16, trap == STACK ? 6 : 4);
      add (writer, "blk.2.attn_q.weight", 16, 16, 0);
      if (trap == BLOCKS)
        add (writer, "blk.3.attn_q.weight", 16, 16, 0);
      if (trap == HASHED)
        gguf_add_tensor (writer, "blk.1.ffn_gate_tid2eid.weight", 26, 2, 10, 0, zeros, 80);
      found = inspect (writer);
      for (guint other = 1; other < N_TRAPS; other++)
        if (tells (found->warnings, parts[other]) != (other == trap))
          g_error ("trap %u: '%s' is%s told", trap, parts[other], other == trap ? " not" : "");
      g_assert_cmpuint (found->warnings->len, ==, trap != NONE);
    }
}

/* Old files have a matrix for each expert. */
static void
test_separate (void)
{
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (MsInspection) found = NULL;

  gguf_add_string (writer, "general.architecture", "x");
  gguf_add_u32 (writer, "x.expert_used_count", 1);
  add (writer, "blk.0.ffn_gate_inp.weight", 16, 3, 0);
  for (guint e = 0; e < 3; e++)
    {
      g_autofree char *name = g_strdup_printf ("blk.0.ffn_up.%u.weight", e);

      add (writer, name, 16, 5, 0);
    }
  found = inspect (writer);
  g_assert_cmpint (role_bytes (found, MS_ROLE_EXPERTS), ==, 3 * 320);
  g_assert_cmpint (found->active_values, ==, 48 + 80);
  g_assert_cmpint (found->active_bytes, ==, 192 + 320);
}

static void
put (GByteArray *to, gconstpointer bytes, guint n)
{
  g_byte_array_append (to, bytes, n);
}

static void
put_string (GByteArray *to, const char *text)
{
  guint64 length = GUINT64_TO_LE (strlen (text));

  put (to, &length, 8);
  put (to, (gconstpointer) text, (guint) strlen (text));
}

/* A header of a thousand tensors, and 400 GB that are not there: told in less than a second. */
static void
test_huge (void)
{
  const guint n = 1000;
  const guint64 bytes = 400ull * 1000 * 1000 * 1000, each = bytes / n / 144 / 32 * 144 * 32;
  g_autoptr (GByteArray) header = g_byte_array_new ();
  g_autofree char *path = g_build_filename (folder, "huge.gguf", NULL);
  g_autoptr (MsInspection) found = NULL;
  g_autoptr (GError) error = NULL;
  guint32 word = GUINT32_TO_LE (3);
  guint64 wide = GUINT64_TO_LE (n);
  gint64 begun;

  put (header, "GGUF", 4);
  put (header, &word, 4);
  put (header, &wide, 8);
  wide = GUINT64_TO_LE (1);
  put (header, &wide, 8);
  put_string (header, "general.architecture");
  word = GUINT32_TO_LE (8);
  put (header, &word, 4);
  put_string (header, "x");
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.ffn_up_exps.weight", i);
      const guint64 ne[] = { GUINT64_TO_LE (256), GUINT64_TO_LE (each / 144 / 32),
                             GUINT64_TO_LE (32), GUINT64_TO_LE (i * each) };

      put_string (header, name);
      word = GUINT32_TO_LE (3);
      put (header, &word, 4);
      put (header, ne, 24);
      word = GUINT32_TO_LE (12);
      put (header, &word, 4);
      put (header, &ne[3], 8);
    }
  g_assert_true (g_file_set_contents (path, (char *) header->data, header->len, NULL));
  if (truncate (path, (off_t) (header->len + 32 + n * each)) != 0)
    {
      g_test_skip ("the file system holds no such file");
      return;
    }
  begun = g_get_monotonic_time ();
  found = ms_model_inspect (path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, G_USEC_PER_SEC);
  g_assert_cmpint (found->tensor_bytes, ==, n * each);
  g_assert_cmpint (found->tensor_bytes, >, 399ll * 1000 * 1000 * 1000);
  g_assert_cmpint (found->n_values, ==, n * each / 144 * 256);
  g_unlink (path);
}

/* What is told of the routing is what the engine does. */
static void
check_gate (const MsInspection *found, const char *name)
{
  const MsGate *gate = &found->model->layers[0].gate;
  g_autofree char *scoring = g_strdup_printf ("'%s'", ms_scoring_name (gate->scoring));
  g_autofree char *groups = g_strdup_printf ("%u", gate->groups);
  static const char *const facts[] = { "scoring", "renormalised", "groups" };
  const char *const values[] = { scoring, gate->renormalise ? "true" : "false", groups };
  const char *source;

  g_assert_cmpuint (found->model->n_layers, ==, found->n_moe);
  for (guint i = 0; i < G_N_ELEMENTS (facts); i++)
    {
      g_autofree char *got = fact (found, facts[i], &source);

      if (g_strcmp0 (got, values[i]) != 0 && !(i == 2 && gate->groups == 0))
        g_error ("%s: %s is told as %s, but the engine has %s", name, facts[i], got, values[i]);
    }
}

/* Every model of the reference data, whether it can be run or not. */
static void
test_reference (void)
{
  g_autofree char *path
      = g_build_filename (g_getenv ("MOESCOPE_SHARED"), "conformance", "models", NULL);
  g_autoptr (GDir) models = g_dir_open (path, 0, NULL);
  const char *name;

  if (models == NULL)
    {
      g_test_skip ("reference data is not there");
      return;
    }
  while ((name = g_dir_read_name (models)) != NULL)
    {
      g_autofree char *model = g_build_filename (path, name, NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsInspection) found = ms_model_inspect (model, &error);
      gint64 bytes = 0;

      g_assert_no_error (error);
      for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
        bytes += role_bytes (found, role);
      g_assert_cmpint (bytes, ==, found->tensor_bytes);
      g_assert_cmpint (bytes, <, found->bytes);
      g_assert_cmpint (role_bytes (found, MS_ROLE_EXPERTS), >, 0);
      g_assert_cmpint (role_bytes (found, MS_ROLE_ROUTER), >, 0);
      g_assert_cmpint (role_bytes (found, MS_ROLE_OTHER), <, bytes / 20);
      g_assert_cmpint (found->active_values, <, found->n_values);
      g_assert_cmpuint (found->n_moe, >, 0);
      g_assert_true ((found->model == NULL) == (found->obstacles->len > 0));
      for (guint b = 0; b < found->n_blocks; b++)
        g_assert_true (found->blocks[b].experts == 0 || found->blocks[b].k > 0);
      if (found->model != NULL)
        check_gate (found, name);
      for (guint i = 0; i < found->warnings->len; i++)
        g_test_message ("%s: %s", name, (char *) found->warnings->pdata[i]);
    }
}

int
main (int argc, char **argv)
{
  g_autoptr (GDir) left = NULL;
  const char *name;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("moescope-inspect-XXXXXX", NULL);
  g_test_add_func ("/inspect/counts", test_counts);
  g_test_add_func ("/inspect/facts", test_facts);
  g_test_add_func ("/inspect/obstacles", test_obstacles);
  g_test_add_func ("/inspect/recipe", test_recipe);
  g_test_add_func ("/inspect/traps", test_traps);
  g_test_add_func ("/inspect/separate", test_separate);
  g_test_add_func ("/inspect/huge", test_huge);
  g_test_add_func ("/inspect/reference", test_reference);
  status = g_test_run ();
  left = g_dir_open (folder, 0, NULL);
  while (left != NULL && (name = g_dir_read_name (left)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return status;
}
