/* A trained model as a GGUF file, and the state of an unfinished run.
 *
 * What must hold: a state goes on only with the run it belongs to, which its fingerprint tells. */
#include "model-file-private.h"

#include "gguf-write-private.h"

#include <string.h>

/* The state: this head, then parameters, means, variances (size floats each), then the points. */
typedef struct
{
  char magic[8];
  guint64 fingerprint, size, n_points;
  gint64 step, steps, cool_down, since;
  double loss_sum, auxiliary_sum;
} StateHead;

static const char magic[8] = "MSTRAIN1";

const char *
ms_model_file_architecture (const MsDecoderShape *shape)
{
  return shape->router->needs_dots1 || shape->shared > 0 ? "dots1" : "qwen3moe";
}

static void
add_tokenizer (MsGgufWriter *writer, const MsBpe *bpe)
{
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) merges = g_ptr_array_new_with_free_func (g_free);
  guint size = ms_bpe_size (bpe), end = ms_bpe_end_of_text (bpe);
  g_autofree gint32 *types = g_new (gint32, size);

  for (guint id = 0; id < size; id++)
    {
      g_ptr_array_add (tokens, ms_bpe_token (bpe, id));
      types[id] = id == end ? 3 : 1; /* control, normal */
    }
  for (guint i = 0; i < size - 257; i++)
    g_ptr_array_add (merges, ms_bpe_merge (bpe, i));
  ms_gguf_writer_add_string (writer, "tokenizer.ggml.model", "gpt2");
  ms_gguf_writer_add_string (writer, "tokenizer.ggml.pre", "gpt-2");
  ms_gguf_writer_add_strings (writer, "tokenizer.ggml.tokens", tokens);
  ms_gguf_writer_add_i32s (writer, "tokenizer.ggml.token_type", types, size);
  ms_gguf_writer_add_strings (writer, "tokenizer.ggml.merges", merges);
  ms_gguf_writer_add_u32 (writer, "tokenizer.ggml.bos_token_id", end);
  ms_gguf_writer_add_u32 (writer, "tokenizer.ggml.eos_token_id", end);
  ms_gguf_writer_add_bool (writer, "tokenizer.ggml.add_bos_token", FALSE);
  ms_gguf_writer_add_bool (writer, "tokenizer.ggml.add_eos_token", FALSE);
}

static void
add_shape (MsGgufWriter *writer, const char *architecture, const MsDecoderShape *s)
{
  const struct
  {
    const char *key;
    guint32 value;
  } numbers[] = {
    { "context_length", s->context },
    { "embedding_length", s->width },
    { "block_count", s->layers },
    { "feed_forward_length", s->expert_width },
    { "attention.head_count", s->heads },
    { "attention.head_count_kv", s->kv_heads },
    { "attention.key_length", s->head_width },
    { "attention.value_length", s->head_width },
    { "rope.dimension_count", s->head_width },
    { "vocab_size", s->vocabulary },
    { "expert_count", s->experts },
    { "expert_used_count", s->top_k },
    { "expert_feed_forward_length", s->expert_width },
    { "expert_gating_func", (guint) s->router->gate.scoring },
  };
  g_autofree char *epsilon = g_strconcat (architecture, ".attention.layer_norm_rms_epsilon", NULL);
  g_autofree char *base = g_strconcat (architecture, ".rope.freq_base", NULL);
  g_autofree char *shared = g_strconcat (architecture, ".expert_shared_count", NULL);
  g_autofree char *norm = g_strconcat (architecture, ".expert_weights_norm", NULL);
  g_autofree char *dense = g_strconcat (architecture, ".leading_dense_block_count", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autofree char *key = g_strconcat (architecture, ".", numbers[i].key, NULL);

      ms_gguf_writer_add_u32 (writer, key, numbers[i].value);
    }
  ms_gguf_writer_add_f32 (writer, epsilon, s->epsilon);
  ms_gguf_writer_add_f32 (writer, base, s->rope_base);
  ms_gguf_writer_add_bool (writer, norm, TRUE);
  if (s->shared > 0)
    ms_gguf_writer_add_u32 (writer, shared, s->shared);
  if (g_str_equal (architecture, "dots1"))
    ms_gguf_writer_add_u32 (writer, dense, 0);
}

gboolean
ms_model_file_save (const char *path, const char *name, MsTrainStore store, gint64 step,
                    const MsDecoder *decoder, const MsBpe *bpe, const float *parameters,
                    GError **error)
{
  static const struct
  {
    MsGgufStore tensors;
    guint32 file_type;
  } stores[] = {
    [MS_TRAIN_Q8_0] = { MS_GGUF_Q8_0, 7 },
    [MS_TRAIN_F16] = { MS_GGUF_F16, 1 },
    [MS_TRAIN_F32] = { MS_GGUF_F32, 0 },
  };
  g_autoptr (MsGgufWriter) writer = ms_gguf_writer_new ();
  const char *architecture = ms_model_file_architecture (ms_decoder_shape (decoder));
  g_autofree char *description
      = g_strdup_printf ("trained by moescope for %" G_GINT64_FORMAT " steps", step);
  guint n_weights;
  const MsWeight *weights = ms_decoder_weights (decoder, &n_weights);

  ms_gguf_writer_add_string (writer, "general.architecture", architecture);
  ms_gguf_writer_add_string (writer, "general.name", name);
  ms_gguf_writer_add_string (writer, "general.description", description);
  ms_gguf_writer_add_u32 (writer, "general.quantization_version", 2);
  ms_gguf_writer_add_u32 (writer, "general.file_type", stores[store].file_type);
  add_shape (writer, architecture, ms_decoder_shape (decoder));
  add_tokenizer (writer, bpe);
  for (guint i = 0; i < n_weights; i++)
    {
      const MsWeight *weight = &weights[i];
      MsGgufStore as = weight->kind == MS_WEIGHT_MATRIX ? stores[store].tensors : MS_GGUF_F32;

      ms_gguf_writer_add_tensor (writer, weight->name, as, weight->columns, weight->rows,
                                 weight->depth, weight->stride, parameters + weight->offset);
      /* dots1 has no tied head: it gets a copy. */
      if (i == 0 && g_str_equal (architecture, "dots1"))
        ms_gguf_writer_add_tensor (writer, "output.weight", as, weight->columns, weight->rows, 1, 0,
                                   parameters + weight->offset);
    }
  return ms_gguf_writer_save (writer, path, error);
}

/* --- State ------------------------------------------------------------------------------------ */

void
ms_train_state_init (MsTrainState *state, guint64 fingerprint, gsize size)
{
  *state = (MsTrainState){ .fingerprint = fingerprint, .size = size };
  state->parameters = ms_aligned_alloc (size * sizeof (float));
  state->mean = ms_aligned_alloc (size * sizeof (float));
  state->variance = ms_aligned_alloc (size * sizeof (float));
  memset (state->parameters, 0, size * sizeof (float));
  memset (state->mean, 0, size * sizeof (float));
  memset (state->variance, 0, size * sizeof (float));
  state->points = g_array_new (FALSE, FALSE, sizeof (MsTrainPoint));
}

void
ms_train_state_clear (MsTrainState *state)
{
  g_clear_pointer (&state->parameters, ms_aligned_free);
  g_clear_pointer (&state->mean, ms_aligned_free);
  g_clear_pointer (&state->variance, ms_aligned_free);
  g_clear_pointer (&state->points, g_array_unref);
}

gboolean
ms_train_state_save (const MsTrainState *state, const char *path, GError **error)
{
  StateHead head = {
    .fingerprint = state->fingerprint,
    .size = state->size,
    .n_points = state->points->len,
    .step = state->step,
    .steps = state->steps,
    .cool_down = state->cool_down,
    .since = state->since,
    .loss_sum = state->loss_sum,
    .auxiliary_sum = state->auxiliary_sum,
  };
  const struct
  {
    gconstpointer data;
    gsize size;
  } parts[] = {
    { &head, sizeof head },
    { state->parameters, state->size * sizeof (float) },
    { state->mean, state->size * sizeof (float) },
    { state->variance, state->size * sizeof (float) },
    { state->points->data, state->points->len * sizeof (MsTrainPoint) },
  };
  g_autoptr (GOutputStream) stream = ms_stream_replace (path, error);
  gboolean fine = stream != NULL;

  memcpy (head.magic, magic, sizeof magic);
  for (guint i = 0; fine && i < G_N_ELEMENTS (parts); i++)
    fine = g_output_stream_write_all (stream, parts[i].data, parts[i].size, NULL, NULL, error);
  return stream != NULL && ms_stream_close (stream, fine, error);
}

gboolean
ms_train_state_load (MsTrainState *state, const char *path, GError **error)
{
  g_autoptr (GMappedFile) map = g_mapped_file_new (path, FALSE, error);
  const guint8 *at;
  StateHead head;
  gsize length, vector = state->size * sizeof (float);

  if (map == NULL)
    return FALSE;
  length = g_mapped_file_get_length (map);
  at = (const guint8 *) g_mapped_file_get_contents (map);
  if (length < sizeof head || memcmp (at, magic, sizeof magic) != 0)
    {
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT,
                   "'%s' is no training state; remove it or choose another output", path);
      return FALSE;
    }
  memcpy (&head, at, sizeof head);
  if (head.fingerprint != state->fingerprint || head.size != state->size)
    {
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_TRAINING,
                   "'%s' belongs to a run with another router, other options or another corpus; "
                   "repeat those, or "
                   "begin anew with --restart",
                   path);
      return FALSE;
    }
  if (length != sizeof head + 3 * vector + head.n_points * sizeof (MsTrainPoint) || head.step < 0)
    {
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT,
                   "'%s' is truncated (%" G_GSIZE_FORMAT " bytes); begin anew with --restart", path,
                   length);
      return FALSE;
    }
  at += sizeof head;
  memcpy (state->parameters, at, vector);
  memcpy (state->mean, at + vector, vector);
  memcpy (state->variance, at + 2 * vector, vector);
  g_array_set_size (state->points, 0);
  g_array_append_vals (state->points, at + 3 * vector, (guint) head.n_points);
  state->step = head.step;
  state->steps = head.steps;
  state->cool_down = head.cool_down;
  state->since = head.since;
  state->loss_sum = head.loss_sum;
  state->auxiliary_sum = head.auxiliary_sum;
  return TRUE;
}
