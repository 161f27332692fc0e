/* Training from text files to a GGUF file: batches, optimiser, schedule, checkpoints.
 *
 * What must hold: same options, corpus and seed give the same file, bit for bit, for any number of threads
 * and however often the run was interrupted. */
#include "train.h"

#include "corpus-private.h"
#include "decoder-private.h"
#include "kernels-private.h"
#include "model-file-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define BLOCK_TOKENS 1024  /* one task's share of a batch: fixed, so results know no threads */
#define PIECE        65536 /* parameters merged and stepped as one task */
#define POINT_EVERY  10    /* steps per point of the loss curve */
#define SAVE_SECONDS 120   /* between saves of the state */
#define BETA1        0.9
#define BETA2        0.98
#define FLOOR        0.05 /* the rate's end as a share of its peak */

typedef struct
{
  gsize offset, length;
  float decay;
  double squares;
} Piece;

typedef struct
{
  const MsTrainOptions *options;
  MsDecoderShape shape;
  MsDecoder *decoder;
  MsBpe *bpe;
  GArray *stream;
  MsDealer dealer;
  guint16 *held_out; /* (n_held_out, context + 1) */
  gsize n_held_out;
  MsTrainState state;
  guint threads;
  MsArena **scratch; /* per worker */
  guint block_sequences, n_blocks;
  guint16 *batch;       /* (batch, context + 1) */
  float **gradients;    /* per block */
  MsPassResult *passes; /* per block */
  gint64 *loads;        /* (blocks, L, E) */
  Piece *pieces;
  guint n_pieces;
  MsAdam adam;
  char *state_path;
} Trainer;

void
ms_train_options_init (MsTrainOptions *options)
{
  *options = (MsTrainOptions){
    .router = "softmax",
    .layers = 8,
    .experts = 16,
    .top_k = 2,
    .shared = -1,
    .width = 192,
    .heads = 6,
    .kv_heads = -1,
    .head_width = 32,
    .expert_width = 96,
    .vocabulary = 6144,
    .context = 256,
    .batch = 32,
    .steps = 1000,
    .warm_up = 100,
    .cool_down = 300,
    .rate = 3e-3,
    .decay = 0.1,
    .clip = 1,
    .balance = 0.01,
    .z_loss = 0.001,
    .bias_rate = 1e-3,
    .seed = 1,
  };
}

/* --- Checks ----------------------------------------------------------------------------------- */

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *message = NULL;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_TRAINING, message);
  return FALSE;
}

static gboolean
check_options (const MsTrainOptions *o, GError **error)
{
  const struct
  {
    const char *what;
    gint64 value, least, most;
  } ranges[] = {
    { "layers", o->layers, 1, 128 },
    { "experts", o->experts, 1, 512 },
    { "top-k", o->top_k, 1, MIN (o->experts, 32) },
    { "shared", o->shared, -1, 16 },
    { "width", o->width, 8, 4096 },
    { "heads", o->heads, 1, 128 },
    { "kv-heads", o->kv_heads, -1, o->heads },
    { "head-width", o->head_width, 2, 256 },
    { "expert-width", o->expert_width, 8, 8192 },
    { "vocabulary", o->vocabulary, 258, 65535 },
    { "context", o->context, 4, 4096 },
    { "batch", o->batch, 1, 4096 },
    { "steps", o->steps, 1, 100000000 },
    { "warm-up", o->warm_up, 0, 100000000 },
    { "cool-down", o->cool_down, 0, 100000000 },
    { "checkpoint-every", o->checkpoint_every, 0, G_MAXINT64 },
    { "evaluate-every", o->evaluate_every, 0, G_MAXINT64 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++)
    if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
      return refuse (error,
                     "%s is %" G_GINT64_FORMAT ", but must be %" G_GINT64_FORMAT
                     " to %" G_GINT64_FORMAT,
                     ranges[i].what, ranges[i].value, ranges[i].least, ranges[i].most);
  if (o->head_width % 2 != 0)
    return refuse (error, "head-width is %u, but must be even: positions turn pairs",
                   o->head_width);
  if (o->kv_heads == 0 || (o->kv_heads > 0 && o->heads % (guint) o->kv_heads != 0))
    return refuse (error, "%u heads cannot share %d key-value heads evenly", o->heads, o->kv_heads);
  if (!(o->rate > 0) || !(o->clip > 0) || !(o->decay >= 0) || !(o->balance >= 0)
      || !(o->z_loss >= 0) || !(o->bias_rate >= 0))
    return refuse (error, "rate and clip must be above 0, decay, balance, z-loss and bias-rate not "
                          "below");
  if (o->corpus == NULL || o->corpus[0] == NULL)
    return refuse (error, "no training text given");
  return TRUE;
}

/* What is -1 becomes what the file's architecture needs; refuses what no architecture carries. */
static gboolean
choose_shape (const MsTrainOptions *o, MsDecoderShape *shape, GError **error)
{
  const MsTrainRouter *router = ms_train_router_find (o->router);
  gboolean dots1;

  if (router == NULL)
    {
      g_autoptr (GString) names = g_string_new (NULL);

      for (const MsTrainRouter *r = ms_train_routers; r->name != NULL; r++)
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", r->name);
      return refuse (error, "there is no router '%s' to train; there are: %s", o->router,
                     names->str);
    }
  dots1 = router->needs_dots1 || o->shared > 0;
  *shape = (MsDecoderShape){
    .layers = o->layers,
    .experts = o->experts,
    .top_k = o->top_k,
    .shared = (guint) (o->shared >= 0 ? o->shared : dots1),
    .width = o->width,
    .heads = o->heads,
    .kv_heads = (guint) (o->kv_heads > 0     ? o->kv_heads
                         : dots1             ? (int) o->heads
                         : o->heads % 3 == 0 ? (int) o->heads / 3
                         : o->heads % 2 == 0 ? (int) o->heads / 2
                                             : (int) o->heads),
    .head_width = o->head_width,
    .expert_width = o->expert_width,
    .context = o->context,
    .rope_base = 10000,
    .epsilon = 1e-6f,
    .balance = (float) o->balance,
    .z_loss = (float) o->z_loss,
    .router = router,
  };
  if (dots1 && shape->shared == 0)
    return refuse (error,
                   "the dots1 architecture, which carries the %s router, has shared experts: "
                   "give shared 1 or more",
                   router->name);
  if (dots1 && shape->kv_heads != shape->heads)
    return refuse (error,
                   "the dots1 architecture, which carries this model, has as many key-value "
                   "heads as heads: give kv-heads %u",
                   shape->heads);
  return TRUE;
}

/* --- One step --------------------------------------------------------------------------------- */

static void
run_block (guint index, guint worker, gpointer data)
{
  Trainer *trainer = data;
  const MsTrainOptions *o = trainer->options;
  guint first = index * trainer->block_sequences,
        sequences = MIN (trainer->block_sequences, o->batch - first);

  ms_decoder_pass (trainer->decoder, trainer->state.parameters, sequences, o->context,
                   trainer->batch + (gsize) first * (o->context + 1),
                   (gint64) o->batch * o->context, trainer->scratch[worker],
                   trainer->gradients[index], &trainer->passes[index]);
}

static void
merge_piece (guint index, guint worker, gpointer data)
{
  Trainer *trainer = data;
  Piece *piece = &trainer->pieces[index];
  float *sum = trainer->gradients[0] + piece->offset;

  (void) worker;
  for (guint b = 1; b < trainer->n_blocks; b++)
    ms_train_add_scaled (piece->length, 1, trainer->gradients[b] + piece->offset, sum);
  piece->squares = ms_train_square_sum (piece->length, sum);
}

static void
step_piece (guint index, guint worker, gpointer data)
{
  Trainer *trainer = data;
  const Piece *piece = &trainer->pieces[index];
  MsTrainState *state = &trainer->state;
  MsAdam adam = trainer->adam;

  (void) worker;
  adam.decay = piece->decay;
  ms_train_adam_step (&adam, piece->length, trainer->gradients[0] + piece->offset,
                      state->parameters + piece->offset, state->mean + piece->offset,
                      state->variance + piece->offset);
}

/* Where the rate begins to fall. */
static gint64
flat_until (gint64 steps, gint64 cool_down)
{
  return MAX (steps - cool_down, 0);
}

/* Linear warm-up, flat, then half a cosine down to FLOOR of the peak: what a step does before the end of
 * the flat part does not depend on the number of steps. */
static double
learning_rate (const MsTrainOptions *o, gint64 step)
{
  gint64 flat = flat_until (o->steps, o->cool_down);
  double rise = step < o->warm_up ? (double) (step + 1) / (double) o->warm_up : 1;
  double done = step < flat ? 0 : (double) (step - flat + 1) / (double) (o->steps - flat);

  return o->rate * rise * (FLOOR + (1 - FLOOR) * 0.5 * (1 + cos (G_PI * done)));
}

/* Lets biased routers learn from the batch's load; returns the mean over layers of max / mean - 1. */
static double
follow_load (Trainer *trainer)
{
  const MsDecoderShape *s = &trainer->shape;
  gsize n = (gsize) s->layers * s->experts;
  guint n_weights, layer = 0;
  const MsWeight *weights = ms_decoder_weights (trainer->decoder, &n_weights);
  double violation = 0;

  for (guint b = 1; b < trainer->n_blocks; b++)
    for (gsize i = 0; i < n; i++)
      trainer->loads[i] += trainer->loads[b * n + i];
  for (guint l = 0; l < s->layers; l++)
    {
      gint64 most = 0, sum = 0;

      for (guint e = 0; e < s->experts; e++)
        {
          most = MAX (most, trainer->loads[l * s->experts + e]);
          sum += trainer->loads[l * s->experts + e];
        }
      violation += ((double) most * s->experts / (double) sum - 1) / s->layers;
    }
  for (guint i = 0; i < n_weights && s->router->update != NULL; i++)
    if (weights[i].kind == MS_WEIGHT_STATE)
      s->router->update (s->experts, (float) trainer->options->bias_rate,
                         trainer->loads + (gsize) layer++ * s->experts,
                         trainer->state.parameters + weights[i].offset);
  return violation;
}

static gboolean
take_step (Trainer *trainer, MsTrainPoint *point, GError **error)
{
  const MsTrainOptions *o = trainer->options;
  MsTrainState *state = &trainer->state;
  double squares = 0, norm, rate = learning_rate (o, state->step);
  double tokens = (double) o->batch * o->context;

  for (guint i = 0; i < o->batch; i++)
    ms_dealer_deal (&trainer->dealer, (guint64) state->step * o->batch + i,
                    trainer->batch + (gsize) i * (o->context + 1));
  ms_parallel (trainer->threads, trainer->n_blocks, run_block, trainer);
  ms_parallel (trainer->threads, trainer->n_pieces, merge_piece, trainer);
  *point = (MsTrainPoint){ .rate = rate, .held_out = NAN };
  for (guint b = 0; b < trainer->n_blocks; b++)
    {
      guint sequences = MIN (trainer->block_sequences, o->batch - b * trainer->block_sequences);

      point->loss += trainer->passes[b].loss / tokens;
      point->auxiliary += trainer->passes[b].auxiliary * sequences / o->batch;
    }
  for (guint i = 0; i < trainer->n_pieces; i++)
    squares += trainer->pieces[i].squares;
  norm = sqrt (squares);
  if (!isfinite (point->loss) || !isfinite (norm))
    return refuse (error,
                   "the loss is no number any more at step %" G_GINT64_FORMAT
                   "; train with a lower rate",
                   state->step + 1);
  trainer->adam = (MsAdam){
    .rate = (float) rate,
    .beta1 = (float) BETA1,
    .beta2 = (float) BETA2,
    .epsilon = 1e-8f,
    .correction1 = (float) (1 - pow (BETA1, (double) state->step + 1)),
    .correction2 = (float) (1 - pow (BETA2, (double) state->step + 1)),
    .clip = (float) (norm > o->clip ? o->clip / norm : 1),
  };
  ms_parallel (trainer->threads, trainer->n_pieces, step_piece, trainer);
  point->violation = follow_load (trainer);
  state->step++;
  point->step = state->step;
  point->tokens = state->step * o->batch * o->context;
  return TRUE;
}

/* --- Held-out text ---------------------------------------------------------------------------- */

typedef struct
{
  Trainer *trainer;
  double *losses; /* per block */
} Evaluation;

static void
evaluate_block (guint index, guint worker, gpointer data)
{
  Evaluation *evaluation = data;
  Trainer *trainer = evaluation->trainer;
  const MsDecoderShape *s = &trainer->shape;
  gsize first = (gsize) index * trainer->block_sequences;
  gsize sequences = MIN (trainer->block_sequences, trainer->n_held_out - first);
  g_autofree gint64 *load = g_new (gint64, (gsize) s->layers * s->experts);
  MsPassResult result = { .load = load };

  ms_decoder_pass (trainer->decoder, trainer->state.parameters, (guint) sequences, s->context,
                   trainer->held_out + first * (s->context + 1), 1, trainer->scratch[worker], NULL,
                   &result);
  evaluation->losses[index] = result.loss;
}

/* Nats per token; NaN without held-out text. */
static double
evaluate (Trainer *trainer)
{
  guint n_blocks
      = (guint) ((trainer->n_held_out + trainer->block_sequences - 1) / trainer->block_sequences);
  g_autofree double *losses = g_new0 (double, MAX (n_blocks, 1));
  Evaluation evaluation = { trainer, losses };
  double sum = 0;

  if (n_blocks == 0)
    return NAN;
  ms_parallel (trainer->threads, n_blocks, evaluate_block, &evaluation);
  for (guint b = 0; b < n_blocks; b++)
    sum += losses[b];
  return sum / ((double) trainer->n_held_out * trainer->shape.context);
}

/* --- Setting up ------------------------------------------------------------------------------- */

static guint64
mix (guint64 hash, gconstpointer data, gsize size)
{
  const guint8 *bytes = data;

  for (gsize i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

/* Of everything that the weights after a step depend on, and of what the points hold. */
static guint64
fingerprint (const Trainer *trainer)
{
  const MsTrainOptions *o = trainer->options;
  const MsDecoderShape *s = &trainer->shape;
  const double reals[] = { o->rate, o->decay, o->clip, o->balance, o->z_loss, o->bias_rate };
  const gint64 integers[] = { s->layers,         s->experts,
                              s->top_k,          s->shared,
                              s->width,          s->heads,
                              s->kv_heads,       s->head_width,
                              s->expert_width,   s->vocabulary,
                              s->context,        o->batch,
                              o->warm_up,        (gint64) o->seed,
                              o->evaluate_every, (gint64) ms_train_router_fingerprint (s->router) };
  guint64 hash = mix (14695981039346656037u, reals, sizeof reals);

  hash = mix (hash, integers, sizeof integers);
  hash = mix (hash, trainer->stream->data, trainer->stream->len * sizeof (guint16));
  return mix (hash, trainer->held_out,
              trainer->n_held_out * (s->context + 1) * sizeof *trainer->held_out);
}

static void
cut_pieces (Trainer *trainer)
{
  g_autoptr (GArray) pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  guint n_weights;
  const MsWeight *weights = ms_decoder_weights (trainer->decoder, &n_weights);

  for (guint i = 0; i < n_weights; i++)
    for (gsize e = 0; e < weights[i].depth && weights[i].kind != MS_WEIGHT_STATE; e++)
      for (gsize at = 0, n = weights[i].columns * weights[i].rows; at < n; at += PIECE)
        {
          Piece piece
              = { weights[i].offset + e * weights[i].stride + at, MIN (PIECE, n - at),
                  weights[i].kind == MS_WEIGHT_VECTOR ? 0 : (float) trainer->options->decay, 0 };

          g_array_append_val (pieces, piece);
        }
  trainer->n_pieces = pieces->len;
  trainer->pieces = (Piece *) g_array_free (g_steal_pointer (&pieces), FALSE);
}

static void
report (Trainer *trainer, const char *doing)
{
  MsTrainProgress progress
      = { .step = trainer->state.step, .steps = trainer->options->steps, .doing = doing };

  if (trainer->options->progress != NULL)
    trainer->options->progress (&progress, trainer->options->progress_data);
}

static gboolean
read_texts (Trainer *trainer, MsTrainSummary *summary, GCancellable *cancel, GError **error)
{
  const MsTrainOptions *o = trainer->options;
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autoptr (GPtrArray) held_out = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  report (trainer, "learning the tokenizer");
  if (!ms_corpus_read (o->corpus, texts, error)
      || (o->held_out != NULL && !ms_corpus_read (o->held_out, held_out, error)))
    return FALSE;
  for (guint i = 0; i < texts->len; i++)
    summary->corpus_bytes += (gint64) g_bytes_get_size (g_ptr_array_index (texts, i));
  trainer->bpe = ms_bpe_learn (texts, o->vocabulary, cancel, error);
  if (trainer->bpe == NULL)
    return FALSE;
  trainer->shape.vocabulary = ms_bpe_size (trainer->bpe);
  trainer->stream = ms_corpus_encode (trainer->bpe, texts);
  summary->corpus_tokens = trainer->stream->len;
  if (!ms_dealer_init (&trainer->dealer, trainer->stream, o->context, o->seed))
    return refuse (error,
                   "the training text has %u tokens, fewer than one context of %u; give more "
                   "text or a smaller context",
                   trainer->stream->len, o->context);
  if (held_out->len > 0)
    {
      g_autoptr (GArray) stream = ms_corpus_encode (trainer->bpe, held_out);
      gsize row = o->context + 1;

      trainer->n_held_out = stream->len > 0 ? (stream->len - 1) / o->context : 0;
      if (trainer->n_held_out == 0)
        return refuse (error, "the held-out text has %u tokens, fewer than one context of %u",
                       stream->len, o->context);
      trainer->held_out = g_new (guint16, trainer->n_held_out * row);
      for (gsize i = 0; i < trainer->n_held_out; i++)
        memcpy (trainer->held_out + i * row, (guint16 *) stream->data + i * o->context,
                row * sizeof (guint16));
    }
  return TRUE;
}

static gboolean
prepare (Trainer *trainer, MsTrainSummary *summary, GCancellable *cancel, GError **error)
{
  const MsTrainOptions *o = trainer->options;
  gsize size, n_loads;

  if (!check_options (o, error) || !choose_shape (o, &trainer->shape, error)
      || !read_texts (trainer, summary, cancel, error))
    return FALSE;
  trainer->decoder = ms_decoder_new (&trainer->shape);
  size = ms_decoder_size (trainer->decoder);
  ms_train_state_init (&trainer->state, fingerprint (trainer), size);
  trainer->state_path = g_strconcat (o->output, ".state", NULL);
  if (!o->restart && g_file_test (trainer->state_path, G_FILE_TEST_EXISTS))
    {
      if (!ms_train_state_load (&trainer->state, trainer->state_path, error))
        return FALSE;
      if ((trainer->state.steps != o->steps || trainer->state.cool_down != o->cool_down)
          && trainer->state.step
                 > MIN (flat_until (o->steps, o->cool_down),
                        flat_until (trainer->state.steps, trainer->state.cool_down)))
        return refuse (error,
                       "the rate of '%s' falls already, to end at %" G_GINT64_FORMAT
                       " steps after a cool-down of %" G_GINT64_FORMAT
                       "; give these numbers, or begin anew with --restart",
                       trainer->state_path, trainer->state.steps, trainer->state.cool_down);
      summary->resumed = TRUE;
    }
  else
    ms_decoder_init (trainer->decoder, o->seed, trainer->state.parameters);
  trainer->state.steps = o->steps;
  trainer->state.cool_down = o->cool_down;

  trainer->threads = ms_threads (o->threads);
  trainer->scratch = g_new0 (MsArena *, trainer->threads);
  for (guint i = 0; i < trainer->threads; i++)
    trainer->scratch[i] = ms_arena_new (64 << 20);
  trainer->block_sequences = MAX (BLOCK_TOKENS / o->context, 1);
  trainer->n_blocks = (o->batch + trainer->block_sequences - 1) / trainer->block_sequences;
  trainer->batch = g_new (guint16, (gsize) o->batch * (o->context + 1));
  n_loads = (gsize) trainer->shape.layers * trainer->shape.experts;
  trainer->loads = g_new0 (gint64, trainer->n_blocks * n_loads);
  trainer->passes = g_new0 (MsPassResult, trainer->n_blocks);
  trainer->gradients = g_new0 (float *, trainer->n_blocks);
  for (guint b = 0; b < trainer->n_blocks; b++)
    {
      trainer->passes[b].load = trainer->loads + b * n_loads;
      trainer->gradients[b] = ms_aligned_alloc (size * sizeof (float));
      memset (trainer->gradients[b], 0, size * sizeof (float));
    }
  cut_pieces (trainer);
  return TRUE;
}

static void
trainer_clear (Trainer *trainer)
{
  for (guint i = 0; i < trainer->threads; i++)
    ms_arena_free (trainer->scratch[i]);
  for (guint b = 0; b < trainer->n_blocks; b++)
    ms_aligned_free (trainer->gradients[b]);
  ms_train_state_clear (&trainer->state);
  ms_dealer_clear (&trainer->dealer);
  g_clear_pointer (&trainer->stream, g_array_unref);
  ms_decoder_free (trainer->decoder);
  ms_bpe_free (trainer->bpe);
  g_free (trainer->scratch);
  g_free (trainer->gradients);
  g_free (trainer->passes);
  g_free (trainer->loads);
  g_free (trainer->pieces);
  g_free (trainer->batch);
  g_free (trainer->held_out);
  g_free (trainer->state_path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Trainer, trainer_clear)

/* --- The run ---------------------------------------------------------------------------------- */

/* "dir/model.gguf" without its ending. */
static char *
stem (const char *path)
{
  return g_str_has_suffix (path, ".gguf") ? g_strndup (path, strlen (path) - 5) : g_strdup (path);
}

static gboolean
save_model (Trainer *trainer, const char *path, GError **error)
{
  const MsTrainOptions *o = trainer->options;
  g_autofree char *base = g_path_get_basename (o->output);
  g_autofree char *name = o->name != NULL ? g_strdup (o->name) : stem (base);

  return ms_model_file_save (path, name, o->store, trainer->state.step, trainer->decoder,
                             trainer->bpe, trainer->state.parameters, error);
}

static void
report_step (Trainer *trainer, const MsTrainPoint *point, gint64 first_step, double seconds)
{
  const MsTrainOptions *o = trainer->options;
  gint64 done = trainer->state.step - first_step;
  MsTrainProgress progress = {
    .step = trainer->state.step,
    .steps = o->steps,
    .loss = point->loss,
    .violation = point->violation,
    .tokens_per_second = (double) (done * o->batch * o->context) / MAX (seconds, 1e-9),
    .seconds_left = seconds / (double) done * (double) (o->steps - trainer->state.step),
    .doing = "training",
  };

  if (o->progress != NULL)
    o->progress (&progress, o->progress_data);
}

/* Adds the step to the loss curve; a point every POINT_EVERY steps and at each evaluation. */
static void
record_point (Trainer *trainer, MsTrainPoint *point)
{
  const MsTrainOptions *o = trainer->options;
  MsTrainState *state = &trainer->state;
  gboolean due
      = state->step == o->steps || (o->evaluate_every > 0 && state->step % o->evaluate_every == 0);

  state->loss_sum += point->loss;
  state->auxiliary_sum += point->auxiliary;
  state->since++;
  if (!due && state->step % POINT_EVERY != 0 && state->step != 1)
    return;
  point->loss = state->loss_sum / (double) state->since;
  point->auxiliary = state->auxiliary_sum / (double) state->since;
  if (due)
    point->held_out = evaluate (trainer);
  g_array_append_val (state->points, *point);
  state->loss_sum = state->auxiliary_sum = 0;
  state->since = 0;
}

static gboolean
train (Trainer *trainer, MsTrainSummary *summary, GCancellable *cancel, GError **error)
{
  const MsTrainOptions *o = trainer->options;
  MsTrainState *state = &trainer->state;
  g_autofree char *base = stem (o->output);
  g_autoptr (GTimer) timer = g_timer_new ();
  gint64 first_step = state->step;
  double saved_at = 0;

  while (state->step < o->steps)
    {
      MsTrainPoint point;
      gboolean checkpoint;

      if (g_cancellable_is_cancelled (cancel))
        {
          summary->stopped = TRUE;
          return ms_train_state_save (state, trainer->state_path, error);
        }
      if (!take_step (trainer, &point, error))
        return FALSE;
      report_step (trainer, &point, first_step, g_timer_elapsed (timer, NULL));
      record_point (trainer, &point);
      checkpoint = o->checkpoint_every > 0 && state->step % o->checkpoint_every == 0;
      if (checkpoint)
        {
          g_autofree char *path
              = g_strdup_printf ("%s-step%06" G_GINT64_FORMAT ".gguf", base, state->step);

          if (!save_model (trainer, path, error))
            return FALSE;
        }
      if (checkpoint || g_timer_elapsed (timer, NULL) > saved_at + SAVE_SECONDS)
        {
          if (!ms_train_state_save (state, trainer->state_path, error))
            return FALSE;
          saved_at = g_timer_elapsed (timer, NULL);
        }
    }
  return save_model (trainer, o->output, error);
}

static void
summarize (Trainer *trainer, MsTrainSummary *summary)
{
  guint n_weights;
  const MsWeight *weights = ms_decoder_weights (trainer->decoder, &n_weights);
  const MsTrainState *state = &trainer->state;

  for (guint i = 0; i < n_weights; i++)
    summary->parameters += (gint64) (weights[i].columns * weights[i].rows * weights[i].depth);
  summary->active = (gint64) ms_decoder_active (trainer->decoder);
  summary->steps = state->step;
  summary->architecture = ms_model_file_architecture (&trainer->shape);
  summary->points = g_array_ref (state->points);
  if (state->points->len > 0)
    {
      const MsTrainPoint *last
          = &g_array_index (state->points, MsTrainPoint, state->points->len - 1);

      summary->loss = last->loss;
      summary->held_out = last->held_out;
    }
  if (trainer->n_held_out > 0 && !summary->stopped)
    {
      guint context = trainer->shape.context;
      MsBaseline baseline = ms_baseline (trainer->stream, trainer->shape.vocabulary,
                                         trainer->held_out, trainer->n_held_out, context);

      summary->unigram = baseline.unigram;
      summary->bigram = baseline.bigram;
      summary->bigram_prior = baseline.prior;
      summary->held_out_tokens = (gint64) trainer->n_held_out * context;
      for (gsize i = 0; i < trainer->n_held_out; i++)
        for (guint t = 1; t <= context; t++)
          summary->held_out_bytes
              += ms_bpe_token_bytes (trainer->bpe, trainer->held_out[i * (context + 1) + t]);
    }
}

gboolean
ms_train (const MsTrainOptions *options, MsTrainSummary *summary, GCancellable *cancel,
          GError **error)
{
  g_auto (Trainer) trainer = { .options = options };
  MsTrainSummary result
      = { .loss = NAN, .held_out = NAN, .unigram = NAN, .bigram = NAN, .bigram_prior = NAN };
  g_autoptr (GTimer) timer = g_timer_new ();

  if (!prepare (&trainer, &result, cancel, error) || !train (&trainer, &result, cancel, error))
    return FALSE;
  summarize (&trainer, &result);
  if (!result.stopped)
    g_unlink (trainer.state_path);
  result.seconds = g_timer_elapsed (timer, NULL);
  *summary = result;
  return TRUE;
}

void
ms_train_summary_clear (MsTrainSummary *summary)
{
  g_clear_pointer (&summary->points, g_array_unref);
}
