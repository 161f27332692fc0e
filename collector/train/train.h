/* Training the reference model: a small MoE decoder, from text files to a GGUF file.
 *
 * Same options, same corpus, same seed: same file, bit for bit, for any number of threads and however
 * often the run was interrupted.  (Another matrix product backend gives other last bits.) */
#pragma once

#include "collector.h"

G_BEGIN_DECLS

typedef enum
{
  MS_TRAIN_Q8_0, /* matrices in Q8_0; norms, routers and biases float32 */
  MS_TRAIN_F16,
  MS_TRAIN_F32,
} MsTrainStore;

/* One measured point of the run. */
typedef struct
{
  gint64 step, tokens;
  double loss;      /* mean since the last point, nats per token, without auxiliary losses */
  double auxiliary; /* the same of the auxiliary losses */
  double violation; /* largest load / mean load - 1 of an expert, mean over layers, this step */
  double rate;      /* learning rate */
  double held_out;  /* nats per token of held-out text; NaN where it was not measured */
} MsTrainPoint;

typedef struct
{
  gint64 step, steps;
  double loss; /* of this step */
  double violation;
  double tokens_per_second, seconds_left; /* of this sitting */
  const char *doing;                      /* "learning the tokenizer", "training", ... */
} MsTrainProgress;
typedef void (*MsTrainProgressFunc) (const MsTrainProgress *progress, gpointer data);

typedef struct
{
  const char *const
      *corpus; /* NULL-terminated paths of UTF-8 text; a form feed begins a document */
  const char *const *held_out; /* the same for evaluation, or NULL */
  const char *output;          /* MODEL.gguf; the state lies beside it as MODEL.gguf.state */
  const char *name;            /* general.name, NULL = from output */
  const char *router;          /* "softmax", "sigmoid" */
  guint layers, experts, top_k;
  gint shared; /* shared experts; -1 = as the architecture of the router needs */
  guint width, heads, head_width, expert_width;
  gint kv_heads; /* -1 = as the architecture needs */
  guint vocabulary, context;
  guint batch; /* sequences per step */
  gint64 steps, warm_up,
      cool_down;            /* the rate rises, is flat, then falls over the last cool_down */
  double rate, decay, clip; /* peak learning rate, weight decay, largest gradient norm */
  double balance, z_loss;   /* weights of the auxiliary losses */
  double bias_rate;         /* of the selection bias */
  guint64 seed;
  guint threads;           /* 0 = all */
  gint64 checkpoint_every; /* steps between MODEL-stepNNNNNN.gguf, 0 = none */
  gint64 evaluate_every;   /* steps between held-out evaluations, 0 = only at the end */
  MsTrainStore store;
  gboolean restart;             /* ignore a state left by an interrupted run */
  MsTrainProgressFunc progress; /* may be NULL; called from the calling thread */
  gpointer progress_data;
} MsTrainOptions;

/* A sample-sized model: 8 layers of 16 experts, 2 chosen, width 192. */
void ms_train_options_init (MsTrainOptions *options);

typedef struct
{
  gint64 steps, parameters, active; /* done in all; parameters, and those one token uses */
  gint64 corpus_tokens, corpus_bytes;
  gint64 held_out_tokens;                               /* evaluated */
  double held_out_bytes;                                /* that these tokens stand for */
  double loss, held_out, unigram, bigram, bigram_prior; /* nats per token; NaN without held_out */
  double seconds;                                       /* of this sitting */
  gboolean resumed, stopped; /* stopped: cancelled, the state was saved */
  const char *architecture;  /* of the file */
  GArray *points;            /* of MsTrainPoint */
} MsTrainSummary;

/* Trains and writes options->output.  Cancelling saves the state and is no error: the same call goes on
 * from there, also with other steps or cool_down, as long as the rate had not begun to fall.  The state is
 * removed when the model is done. */
gboolean ms_train (const MsTrainOptions *options, MsTrainSummary *summary, GCancellable *cancel,
                   GError **error);
void ms_train_summary_clear (MsTrainSummary *summary);

G_END_DECLS
