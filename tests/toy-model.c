/* Random Mixture-of-Experts models.  The values of a tensor come from the model's seed and the tensor's name, in
 * no order, so that whoever computes the model another way can ask for them one by one. */
#include "toy-model.h"

#include "base.h"

#include <math.h>
#include <string.h>

static guint64
seed_of (const ToyModel *model, const char *name)
{
  guint64 seed = model->seed + g_str_hash (name);

  ms_random_next (&seed);
  return seed;
}

/* Norms lie around 1; everything else is small enough that activations keep their size. */
float *
toy_model_values (const ToyModel *model, const char *name, gsize n)
{
  guint64 seed = seed_of (model, name);
  float *values = g_new (float, n);
  gboolean norm = strstr (name, "norm") != NULL;
  double spread = g_str_has_prefix (name, "token_embd")    ? 1
                  : strstr (name, "ffn_gate_inp.") != NULL ? 4 / sqrt (model->width)
                                                           : 2 / sqrt (model->width);

  for (gsize i = 0; i < n; i++)
    values[i] = (float) (norm ? 0.5 + ms_random_double (&seed)
                              : spread * (2 * ms_random_double (&seed) - 1));
  return values;
}

/* Random blocks: a scale and 32 bytes each. */
static guint8 *
random_q8_0 (const ToyModel *model, const char *name, gsize n, gsize *size)
{
  guint64 seed = seed_of (model, name);
  guint16 scale = ms_half_from_float ((float) (2 / sqrt (model->width) / 127));
  guint8 *blocks = g_malloc (*size = n / 32 * 34);

  for (gsize b = 0; b < n / 32; b++)
    {
      memcpy (blocks + b * 34, &scale, 2);
      for (guint i = 0; i < 4; i++)
        {
          guint64 bits = ms_random_next (&seed);

          memcpy (blocks + b * 34 + 2 + 8 * i, &bits, 8);
        }
    }
  return blocks;
}

static void
add (const ToyModel *model, GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1,
     gint64 ne2)
{
  gsize n = (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1)), size;

  gboolean router = strstr (name, "ffn_gate_inp.") != NULL;

  if (router ? model->quantised_router
             : model->type == 8 && ne1 > 0 && strstr (name, "ffn_gate_inp") == NULL)
    {
      g_autofree guint8 *blocks = random_q8_0 (model, name, n, &size);

      gguf_add_tensor (writer, name, 8, ne0, ne1, ne2, blocks, size);
    }
  else
    {
      g_autofree float *values = toy_model_values (model, name, n);

      gguf_add_f32 (writer, name, ne0, ne1, ne2, values);
    }
}

static void add_part (const ToyModel *model, GgufWriter *writer, guint block, gint64 ne0,
                      gint64 ne1, gint64 ne2, const char *format, ...) G_GNUC_PRINTF (7, 8);

static void
add_part (const ToyModel *model, GgufWriter *writer, guint block, gint64 ne0, gint64 ne1,
          gint64 ne2, const char *format, ...)
{
  g_autofree char *part = NULL, *name = NULL;
  va_list args;

  va_start (args, format);
  part = g_strdup_vprintf (format, args);
  va_end (args);
  name = g_strdup_printf ("blk.%u.%s", block, part);
  add (model, writer, name, ne0, ne1, ne2);
}

static void
add_feed_forward (const ToyModel *model, GgufWriter *writer, guint block, const char *suffix,
                  gint64 width, gint64 experts)
{
  gint64 d = model->width;

  add_part (model, writer, block, d, width, experts, "ffn_gate%s.weight", suffix);
  add_part (model, writer, block, d, width, experts, "ffn_up%s.weight", suffix);
  add_part (model, writer, block, width, d, experts, "ffn_down%s.weight", suffix);
}

static void
add_block (const ToyModel *model, GgufWriter *writer, guint b)
{
  static const char letters[] = "qkv";
  gint64 d = model->width, hd = model->head_width;

  add_part (model, writer, b, d, 0, 0, "attn_norm.weight");
  add_part (model, writer, b, d, 0, 0, "ffn_norm.weight");
  if (b < model->conv_blocks)
    {
      add_part (model, writer, b, d, 3 * d, 0, "shortconv.in_proj.weight");
      add_part (model, writer, b, 3, d, 0, "shortconv.conv.weight");
      add_part (model, writer, b, d, d, 0, "shortconv.out_proj.weight");
    }
  else
    add_part (model, writer, b, model->heads * hd, d, 0, "attn_output.weight");
  for (guint i = 0; i < 3 && b >= model->conv_blocks; i++)
    {
      gint64 rows = (i == 0 ? model->heads : model->kv_heads) * hd;

      add_part (model, writer, b, d, rows, 0, "attn_%c.weight", letters[i]);
      if (model->qkv_bias)
        add_part (model, writer, b, rows, 0, 0, "attn_%c.bias", letters[i]);
      if (model->qk_norm > 0 && i < 2)
        add_part (model, writer, b, model->qk_norm == 1 ? rows : hd, 0, 0, "attn_%c_norm.weight",
                  letters[i]);
    }
  if (b < model->dense_blocks)
    {
      add_feed_forward (model, writer, b, "", 2 * model->expert_width, 0);
      return;
    }
  add_part (model, writer, b, d, model->experts, 0, "ffn_gate_inp.weight");
  if (!model->separate)
    add_feed_forward (model, writer, b, "_exps", model->expert_width, model->experts);
  for (guint e = 0; e < model->experts && model->separate; e++)
    {
      g_autofree char *suffix = g_strdup_printf (".%u", e);

      add_feed_forward (model, writer, b, suffix, model->expert_width, 0);
    }
  if (model->shared_width > 0)
    {
      add_feed_forward (model, writer, b, "_shexp", model->shared_width, 0);
      add_part (model, writer, b, d, 0, 0, "ffn_gate_inp_shexp.weight");
    }
}

const char *
toy_model_last_norm (const ToyModel *model)
{
  return strcmp (model->architecture, "lfm2moe") == 0 ? "token_embd_norm.weight"
                                                      : "output_norm.weight";
}

static const struct
{
  const char *architecture, *key;
  float value;
} scales[] = { { "granitemoe", "embedding_scale", 3 },
               { "granitemoe", "residual_scale", 0.25f },
               { "granitemoe", "attention.scale", 0.5f },
               { "granitemoe", "logit_scale", 6 } };

float
toy_model_scale (const ToyModel *model, const char *key)
{
  for (guint i = 0; i < G_N_ELEMENTS (scales); i++)
    if (strcmp (scales[i].architecture, model->architecture) == 0
        && strcmp (scales[i].key, key) == 0)
      return scales[i].value;
  return 0;
}

GgufWriter *
toy_model_write (const ToyModel *model)
{
  GgufWriter *writer = gguf_writer_new ();
  const struct
  {
    const char *name;
    guint32 value;
  } numbers[] = { { "embedding_length", model->width },
                  { "block_count", model->blocks },
                  { "attention.head_count", model->heads },
                  { "attention.head_count_kv", model->kv_heads },
                  { "attention.key_length", model->head_width },
                  { "attention.value_length", model->head_width },
                  { "rope.dimension_count", model->head_width },
                  { "expert_count", model->experts },
                  { "expert_used_count", model->k },
                  { "context_length", 4096 },
                  { "expert_gating_func", 1 },
                  { "shortconv.l_cache", 3 } };
  g_autofree char *epsilon
      = g_strconcat (model->architecture, ".attention.layer_norm_rms_epsilon", NULL);

  gguf_add_string (writer, "general.architecture", model->architecture);
  gguf_add_string (writer, "general.name", "toy");
  gguf_add_float (writer, epsilon, 1e-5f);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autofree char *key = g_strconcat (model->architecture, ".", numbers[i].name, NULL);

      gguf_add_u32 (writer, key, numbers[i].value);
    }
  for (guint i = 0; i < G_N_ELEMENTS (scales); i++)
    {
      g_autofree char *key = g_strconcat (model->architecture, ".", scales[i].key, NULL);

      if (strcmp (scales[i].architecture, model->architecture) == 0)
        gguf_add_float (writer, key, scales[i].value);
    }
  if (model->window > 0)
    {
      g_autofree char *key = g_strconcat (model->architecture, ".attention.sliding_window", NULL);

      gguf_add_u32 (writer, key, model->window);
    }
  add (model, writer, "token_embd.weight", model->width, model->vocabulary, 0);
  add (model, writer, "output.weight", model->width, model->vocabulary, 0);
  add (model, writer, toy_model_last_norm (model), model->width, 0, 0);
  for (guint b = 0; b < model->blocks; b++)
    add_block (model, writer, b);
  return writer;
}

char *
toy_model_save (const ToyModel *model)
{
  g_autoptr (GgufWriter) writer = toy_model_write (model);
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  char *path = g_build_filename (folder, "toy.gguf", NULL);

  gguf_writer_save (writer, path);
  return path;
}

char *
toy_ids (const ToyModel *model, const guint *lengths)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 seed = model->seed;

  for (; *lengths > 0; lengths++)
    for (guint i = 0; i < *lengths; i++)
      g_string_append_printf (text, "%u%c", (guint) ms_random_below (&seed, model->vocabulary),
                              i + 1 < *lengths ? ' ' : '\n');
  return g_string_free (g_steal_pointer (&text), FALSE);
}
