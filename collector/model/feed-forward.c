/* The kinds of feed-forward networks, and a network applied to all tokens.  A new kind is a table of
 * tensors, an activation (kernels-private.h) and a struct here.
 *
 * What must hold: a network's width is the rows of `up`; the columns of `down` are as many. */
#include "feed-forward-private.h"

#include "kernels-private.h"

#include <string.h>

#define BATCH_MOST 16384 /* rows of a batch */

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D, or the experts' own */
  SIZE_HIDDEN,                  /* F, settled by the first tensor */
  SIZE_BOTH,                    /* 2 F */
  N_SIZES,
};

#define MATRIX(file_name, columns, rows, member)                                                   \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_MATRIX, .shape = { columns, rows }, .required = MS_ALWAYS,  \
    .offset = G_STRUCT_OFFSET (MsFeedForward, member)                                              \
  }
#define BIAS(file_name, size, member)                                                              \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_VECTOR, .shape = { size }, .taken = MS_ALWAYS,              \
    .offset = G_STRUCT_OFFSET (MsFeedForward, member)                                              \
  }
static const MsTensorRule gated_rules[] = {
  MATRIX ("ffn_gate*.weight", SIZE_MODEL, SIZE_HIDDEN, gate),
  MATRIX ("ffn_up*.weight", SIZE_MODEL, SIZE_HIDDEN, up),
  MATRIX ("ffn_down*.weight", SIZE_HIDDEN, SIZE_MODEL, down),
  BIAS ("ffn_gate*.bias", SIZE_HIDDEN, gate_bias),
  BIAS ("ffn_up*.bias", SIZE_HIDDEN, up_bias),
  BIAS ("ffn_down*.bias", SIZE_MODEL, down_bias),
};

const MsFeedForwardKind ms_feed_forward_silu = {
  .name = "gated SiLU",
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  .activate = ms_silu_times,
  .limited = ms_silu_times_limited,
};

const MsFeedForwardKind ms_feed_forward_silu_bounded = {
  .name = "gated SiLU, bounded",
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  .activate = ms_silu_times,
  .limited = ms_silu_times_bounded,
  .one_limit = TRUE,
};

const MsFeedForwardKind ms_feed_forward_relu = {
  .name = "gated ReLU",
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  .activate = ms_relu_times,
};

const MsFeedForwardKind ms_feed_forward_clamped = {
  .name = "clamped SwiGLU",
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  .activate = ms_clamped_swiglu,
};

const MsFeedForwardKind ms_feed_forward_gelu = {
  .name = "gated GELU",
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  /* Exact GELU flips choices that the reference data holds equal. */
  .activate = ms_gelu_times,
  .differs = "GELU is rounded to half precision, as llama.cpp looks it up",
};

static const MsTensorRule ungated_rules[] = {
  MATRIX ("ffn_up*.weight", SIZE_MODEL, SIZE_HIDDEN, up),
  MATRIX ("ffn_down*.weight", SIZE_HIDDEN, SIZE_MODEL, down),
  BIAS ("ffn_up*.bias", SIZE_HIDDEN, up_bias),
  BIAS ("ffn_down*.bias", SIZE_MODEL, down_bias),
};

const MsFeedForwardKind ms_feed_forward_relu_squared = {
  .name = "ReLU squared",
  .tensors = { ungated_rules, G_N_ELEMENTS (ungated_rules) },
  .activate = ms_relu_squared,
};

/* The file may hold gate and up in one matrix, gate first: the network's two borrow its rows. */
static const MsTensorRule both_rules[] = {
  MATRIX ("ffn_gate_up*.weight", SIZE_MODEL, SIZE_BOTH, gate),
  BIAS ("ffn_gate_up*.bias", SIZE_BOTH, gate_bias),
};
static const MsTensorTable both_table = { both_rules, G_N_ELEMENTS (both_rules) };
/* Or, of the shared experts of some architectures, both in what elsewhere is up alone. */
static const MsTensorRule in_up_rules[] = {
  MATRIX ("ffn_up*.weight", SIZE_MODEL, SIZE_BOTH, gate),
};
static const MsTensorTable in_up_table = { in_up_rules, G_N_ELEMENTS (in_up_rules) };
static const MsTensorRule down_rules[] = {
  MATRIX ("ffn_down*.weight", SIZE_HIDDEN, SIZE_MODEL, down),
  BIAS ("ffn_down*.bias", SIZE_MODEL, down_bias),
};
static const MsTensorTable down_table = { down_rules, G_N_ELEMENTS (down_rules) };

/* --- Loading --------------------------------------------------------------------------------- */

/* Whether the file has the tensor of a rule, which is a table's first. */
static gboolean
has_first (const MsLoader *loader, guint block, const char *stem, const MsTensorTable *table)
{
  const char *rule = table->rules[0].name, *star = strchr (rule, '*');
  g_autofree char *name
      = g_strdup_printf ("blk.%u.%.*s%s%s", block, (int) (star - rule), rule, stem, star + 1);

  return ms_gguf_find (loader->gguf, name) != NULL;
}

/* The table of the one matrix that holds gate and up; NULL where they are two. */
static const MsTensorTable *
find_both (const MsLoader *loader, guint block, const char *stem)
{
  const MsArchitecture *architecture = loader->plan->architecture;

  if (architecture->feed_forward->tensors.rules != gated_rules)
    return NULL;
  if (has_first (loader, block, stem, &both_table))
    return &both_table;
  return architecture->shared_in_up && strcmp (stem, "_shexp") == 0
                 && !has_first (loader, block, stem, &architecture->feed_forward->tensors)
                 && has_first (loader, block, stem, &in_up_table)
             ? &in_up_table
             : NULL;
}

static gboolean
has_network (const MsLoader *loader, guint block, const char *stem)
{
  return find_both (loader, block, stem) != NULL
         || has_first (loader, block, stem, &loader->plan->architecture->feed_forward->tensors);
}

/* Networks whose gate and up are one matrix. */
static gboolean
load_both (MsLoader *loader, const MsTensorTable *both, const MsTensorPlace *place,
           MsFeedForward *networks, GError **error)
{
  gint64 *sizes = place->sizes, width;

  if (!ms_tensors_load (loader, both, place, networks, error))
    return FALSE;
  width = sizes[SIZE_HIDDEN] = sizes[SIZE_BOTH] / 2;
  if (width == 0 || sizes[SIZE_BOTH] % 2 != 0)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s has %" G_GINT64_FORMAT
                             " rows; as many for the gate as for what it gates are expected",
                             networks[0].gate.tensor->name, sizes[SIZE_BOTH]);
  for (guint i = 0; i < MAX (place->count, 1); i++)
    {
      MsFeedForward *network = &networks[i];

      network->up = network->gate;
      network->gate.n_rows = network->up.n_rows = width;
      network->up.first_row += width;
      if (network->gate_bias != NULL)
        network->up_bias = g_memdup2 (network->gate_bias + width, (gsize) width * sizeof (float));
    }
  return ms_tensors_load (loader, &down_table, place, networks, error);
}

/* Limits of the hidden values: one key for routed experts, one for all other networks of the block. */
static gboolean
load_limits (MsLoader *loader, guint block, gboolean routed, guint count, MsFeedForward *networks,
             GError **error)
{
  const MsFeedForwardKind *kind = loader->plan->architecture->feed_forward;
  float limit = 0;

  if (kind->limited == NULL)
    return TRUE;
  if (kind->one_limit
      && !ms_loader_float_of_block (loader, "swiglu_clamp_exp", block, &limit, error))
    return FALSE;
  if (!ms_loader_float_of_block (loader, routed ? "swiglu_clamp_exp" : "swiglu_clamp_shexp", block,
                                 &limit, error))
    return FALSE;
  for (guint i = 0; i < MAX (count, 1); i++)
    networks[i].limit = limit > 1e-6f ? limit : 0;
  return TRUE;
}

gboolean
ms_feed_forward_load (MsLoader *loader, guint block, const char *stem, gint64 width, guint count,
                      gboolean optional, MsFeedForward *networks, GError **error)
{
  gint64 sizes[N_SIZES] = { 1, width };
  const MsTensorPlace place = {
    .block = (gint) block, .stem = stem, .sizes = sizes, .count = count, .stride = sizeof *networks
  };
  const MsTensorTable *both;

  if (optional && !has_network (loader, block, stem))
    return TRUE;
  if (!load_limits (loader, block, count > 0 || stem[0] == '.', count, networks, error))
    return FALSE;
  both = find_both (loader, block, stem);
  if (both != NULL)
    return load_both (loader, both, &place, networks, error);
  return ms_tensors_load (loader, &loader->plan->architecture->feed_forward->tensors, &place,
                          networks, error);
}

gboolean
ms_feed_forward_load_experts (MsLoader *loader, guint block, gint64 width, guint n_experts,
                              MsFeedForward *networks, GError **error)
{
  if (has_network (loader, block, "_exps") || !has_network (loader, block, ".0"))
    return ms_feed_forward_load (loader, block, "_exps", width, n_experts, FALSE, networks, error);
  for (guint e = 0; e < n_experts; e++)
    {
      char stem[16];

      g_snprintf (stem, sizeof stem, ".%u", e);
      if (!ms_feed_forward_load (loader, block, stem, width, 0, FALSE, &networks[e], error))
        return FALSE;
      if (networks[e].up.n_rows != networks[0].up.n_rows)
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                                 "block %u: expert %u is %" G_GINT64_FORMAT
                                 " wide and expert 0 %" G_GINT64_FORMAT
                                 "; experts of different widths cannot be run",
                                 block, e, networks[e].up.n_rows, networks[0].up.n_rows);
    }
  return TRUE;
}

/* --- Running --------------------------------------------------------------------------------- */

gsize
ms_feed_forward_batch (const MsPlan *plan, const MsFeedForward *network)
{
  gsize width = 2 * (gsize) plan->width + (gsize) network->up.n_rows;

  return CLAMP (MS_FORWARD_BATCH_BYTES / (width * sizeof (float)), 512, BATCH_MOST);
}

MsProduct
ms_feed_forward_inward (const MsFeedForwardKind *kind, const MsFeedForward *network, MsOperand x,
                        gsize row, gsize rows, MsOperand hidden)
{
  gboolean gated = network->gate.tensor != NULL;

  return (MsProduct){ .kind = MS_PRODUCT_ACTIVATED,
                      .w = gated ? &network->gate : &network->up,
                      .v = gated ? &network->up : NULL,
                      .bias = gated ? network->gate_bias : network->up_bias,
                      .v_bias = gated ? network->up_bias : NULL,
                      .activate = kind->activate,
                      .limited = kind->limited,
                      .limit = network->limit,
                      .x = x,
                      .row = row,
                      .rows = rows,
                      .h = hidden };
}

MsProduct
ms_feed_forward_outward (const MsFeedForward *network, MsOperand hidden, gsize row, gsize rows)
{
  return (MsProduct){
    .w = &network->down, .bias = network->down_bias, .x = hidden, .row = row, .rows = rows
  };
}

void
ms_feed_forward_run (const MsEngine *engine, const MsFeedForward *network, const MsOperand *in,
                     const float *scale)
{
  gsize most = MIN (ms_feed_forward_batch (engine->plan, network), engine->n);
  gsize d = engine->plan->width;
  MsOperand hidden = ms_engine_operand (engine, most, (gsize) network->up.n_rows);

  for (gsize from = 0; from < engine->n; from += most)
    {
      gsize rows = MIN (most, engine->n - from);
      MsOperand x
          = { in->f != NULL ? in->f + from * d : NULL, in->f == NULL ? in->h + from * d : NULL, d };
      MsProduct inward
          = ms_feed_forward_inward (engine->block->feed_forward, network, x, 0, rows, hidden);
      MsProduct outward = ms_feed_forward_outward (network, hidden, 0, rows);

      outward.kind = MS_PRODUCT_ADD;
      outward.factor = ms_engine_factor (engine);
      outward.scale = scale != NULL ? scale + from : NULL;
      outward.y = engine->sum + from * d;
      outward.y_width = d;
      ms_products_run (engine->products, &inward, 1);
      ms_products_run (engine->products, &outward, 1);
    }
}
