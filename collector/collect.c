/* ms_collect: inputs to waves, waves through the forward pass, decisions to the writer block by block. */
#include "collector.h"

#include "findings-private.h"
#include "gemm.h"
#include "intervene-private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tokens of a wave when memory would hold more.  Larger ones multiply no faster and lose more when
 * stopped; only a model that does not stay in memory between waves gains from fewer of them. */
#define WAVE_TOKENS 16384

typedef struct
{
  guint first, n; /* documents */
} Span;

typedef struct
{
  const MsCollectOptions *options;
  MsCollectSummary *summary;
  GCancellable *cancel;
  GTimer *timer;
  MsGguf *gguf;
  MsPlan *plan;
  MsChanges *changes; /* NULL: the model runs as it is */
  MsModel *model;
  MsTokenizer *tokenizer; /* may be NULL for token ids */
  MsCorpus *corpus;
  gint32 *ids;
  MsForwardOptions forward;
  MsRun *run;
  MsWriter *writer;
  gint64 recorded;
  MsSpelled spelled;
  MsTies ties;
  gint64 wave_first, wave_tokens; /* the wave under way */
} Collection;

static void
report (const Collection *c, guint block, const char *doing)
{
  gint64 total = c->corpus != NULL ? c->corpus->n_tokens : 0;
  guint n_blocks = c->plan != NULL ? c->plan->n_blocks : 0;
  double passed
      = (double) c->wave_first + (double) c->wave_tokens * (double) block / MAX (n_blocks, 1);
  MsCollectProgress progress = { c->recorded,
                                 total,
                                 block,
                                 n_blocks,
                                 total > 0 ? passed / (double) total : 0,
                                 g_timer_elapsed (c->timer, NULL),
                                 doing };

  if (c->options->progress != NULL)
    c->options->progress (&progress, c->options->progress_data);
}

static gboolean
begin_block (guint block, gpointer data)
{
  const Collection *c = data;
  g_autofree char *doing = g_strdup_printf ("layer %u of %u", block + 1, c->plan->n_blocks);

  if (g_cancellable_is_cancelled (c->cancel))
    return FALSE;
  report (c, block, doing);
  return TRUE;
}

/* --- Waves ---------------------------------------------------------------------------------- */

/* Bytes that programs can still get, or 0 when the system does not tell. */
static gsize
available_memory (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL))
    return 0;
  line = strstr (text, "MemAvailable:");
  return line != NULL ? (gsize) g_ascii_strtoull (line + strlen ("MemAvailable:"), NULL, 10) * 1024
                      : 0;
}

static gsize
model_bytes (const MsGguf *gguf)
{
  gsize bytes = 0;

  for (guint i = 0; i < ms_gguf_n_tensors (gguf); i++)
    bytes += ms_gguf_tensor (gguf, i)->size;
  return bytes;
}

static gint64
longest_document (const MsCorpus *corpus, const MsDocument **longest)
{
  *longest = NULL;
  for (guint i = 0; i < corpus->n_documents; i++)
    if (*longest == NULL || corpus->documents[i].n_tokens > (*longest)->n_tokens)
      *longest = &corpus->documents[i];
  return *longest != NULL ? (*longest)->n_tokens : 0;
}

/* Documents from `first` on that must be in one wave. */
static guint
unit_of (const Collection *c, guint first)
{
  guint batch = c->changes != NULL ? ms_changes_batch (c->changes) : 1;
  guint left = c->corpus->n_documents - first;

  return batch == 0 ? left : MIN (batch, left);
}

static gsize
tokens_of (const MsCorpus *corpus, guint first, guint n)
{
  gsize tokens = 0;

  for (guint i = first; i < first + n; i++)
    tokens += (gsize) corpus->documents[i].n_tokens;
  return tokens;
}

/* The most tokens that must be in one wave. */
static gsize
most_together (const Collection *c)
{
  gsize most = 0;

  for (guint d = 0; d < c->corpus->n_documents; d += unit_of (c, d))
    most = MAX (most, tokens_of (c->corpus, d, unit_of (c, d)));
  return most;
}

/* Says what does not fit: the longest document, or documents that must be together. */
static gboolean
refuse_size (const MsDocument *longest, gsize tokens, gsize budget, gsize needed, GError **error)
{
  g_autofree char *has = g_format_size (budget);
  g_autofree char *needs = g_format_size (needed);

  if (longest == NULL || (gsize) longest->n_tokens < tokens)
    g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                 "documents that share the slots of experts have %" G_GSIZE_FORMAT
                 " tokens together, which take %s at once, and %s may be used; allow more memory "
                 "(--memory) or let fewer share them (--capacity-batch)",
                 tokens, needs, has);
  else
    g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                 "document '%s' has %" G_GSIZE_FORMAT
                 " tokens, which take %s at once, and %s may be used; allow more memory "
                 "(--memory) or cut documents (--max-tokens)",
                 longest->name, tokens, needs, has);
  return FALSE;
}

/* The most tokens of a wave.  FALSE when the longest document does not fit. */
static gboolean
size_waves (const Collection *c, gsize *wave_tokens, GError **error)
{
  const MsDocument *document;
  gsize longest = (gsize) longest_document (c->corpus, &document), together = most_together (c);
  gsize available = available_memory (), budget = c->options->memory, wanted = WAVE_TOKENS;
  gsize per_token = ms_forward_token_bytes (c->plan, &c->forward)
                    + ms_rows_bytes (c->plan, c->run->columns, c->run->predictions);
  gsize fixed = ms_forward_fixed_bytes (c->plan, &c->forward, longest)
                + MS_BLOCK_TOKENS * ms_rows_bytes (c->plan, c->run->columns, c->run->predictions);
  gsize fitting;

  if (budget == 0)
    budget = available > 0 ? available / 2 : (gsize) 4 << 30;
  fitting = budget > fixed ? (budget - fixed) / per_token : 0;
  if (fitting < MAX (together, 1))
    return refuse_size (document, MAX (together, 1), budget, fixed + MAX (together, 1) * per_token,
                        error);
  if (available > 0 && model_bytes (c->gguf) > available / 2)
    wanted = fitting;
  if (c->options->wave_tokens > 0)
    wanted = c->options->wave_tokens;
  *wave_tokens = MIN (wanted, fitting);
  return TRUE;
}

/* The documents of the wave that begins with `first`: as many as fit, at least one (or those that must be
 * together). */
static Span
next_wave (const Collection *c, guint first, gsize wave_tokens, gsize *n_tokens)
{
  Span span = { first, 0 };

  *n_tokens = 0;
  while (first + span.n < c->corpus->n_documents)
    {
      guint n = unit_of (c, first + span.n);
      gsize more = tokens_of (c->corpus, first + span.n, n);

      if (span.n > 0 && *n_tokens + more > wave_tokens)
        break;
      *n_tokens += more;
      span.n += n;
    }
  return span;
}

/* --- Recording ------------------------------------------------------------------------------ */

/* Puts every complete block of the first n rows (at the corpus's end, also the last, shorter one) and
 * moves what is left to the front; *n becomes its number. */
static gboolean
record (Collection *c, MsRows *rows, gsize *n, GError **error)
{
  g_autofree MsDecisions *layers = g_new (MsDecisions, c->plan->n_moe);
  gdouble begun = g_timer_elapsed (c->timer, NULL);
  gsize from = 0;

  for (;;)
    {
      gint64 left = c->corpus->n_tokens - c->recorded;
      gsize size = (gsize) MIN (left, MS_BLOCK_TOKENS);

      if (size == 0 || *n - from < size)
        break;
      ms_rows_view (rows, from, layers);
      if (!ms_writer_put_block (c->writer, layers,
                                rows->predicted != NULL ? rows->predicted + from : NULL,
                                rows->loss != NULL ? rows->loss + from : NULL, error))
        return FALSE;
      ms_ties_count (&c->ties, rows, from, size);
      from += size;
      c->recorded += (gint64) size;
    }
  if (from > 0)
    ms_rows_keep (rows, from, *n - from);
  *n -= from;
  c->summary->recording_seconds += g_timer_elapsed (c->timer, NULL) - begun;
  return TRUE;
}

/* Says what broke the wave and where. */
static gboolean
fail_broken (const Collection *c, const MsWave *wave, guint first_document, const MsBroken *broken,
             GError **error)
{
  guint i = 0;

  while (i + 1 < wave->n_documents && wave->starts[i + 1] <= broken->token)
    i++;
  ms_findings_broken (c->plan, c->gguf, broken->block,
                      c->corpus->documents[first_document + i].name,
                      (gint64) (broken->token - wave->starts[i]), error);
  return FALSE;
}

static gboolean
run_waves (Collection *c, GError **error)
{
  const MsCorpus *corpus = c->corpus;
  g_autoptr (MsRows) rows = NULL;
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (gsize));
  gsize wave_tokens, most = 0, held = 0;
  guint document = 0;

  if (!size_waves (c, &wave_tokens, error))
    return FALSE;
  /* A resumed run begins with the document of the first missing token, from its start. */
  while (document < corpus->n_documents
         && corpus->documents[document].first_token + corpus->documents[document].n_tokens
                <= c->recorded)
    document++;
  if (document < corpus->n_documents)
    document -= unit_of (c, 0) > 0 ? document % unit_of (c, 0) : 0;
  for (guint i = document; i < corpus->n_documents;)
    {
      gsize n;

      i += next_wave (c, i, wave_tokens, &n).n;
      most = MAX (most, n);
    }
  rows = ms_rows_new (c->plan, c->run->columns, c->run->predictions, most + MS_BLOCK_TOKENS);
  while (document < corpus->n_documents)
    {
      gsize n, done;
      Span span = next_wave (c, document, wave_tokens, &n);
      gint64 first = corpus->documents[span.first].first_token;
      MsWave wave = { c->ids + first, NULL, span.n };
      MsForwardEnd end;
      MsBroken broken;

      g_array_set_size (starts, 0);
      for (guint i = 0; i <= span.n; i++)
        {
          gsize start
              = i < span.n ? (gsize) (corpus->documents[span.first + i].first_token - first) : n;

          g_array_append_val (starts, start);
        }
      wave.starts = (const gsize *) (gconstpointer) starts->data;
      if (c->changes != NULL && !ms_changes_begin_wave (c->changes, first, span.first, n, error))
        return FALSE;
      c->wave_first = first;
      c->wave_tokens = (gint64) n;
      end = ms_forward_run (c->plan, &c->forward, &wave, rows, held, begin_block, c, &broken);
      if (!ms_gguf_check (c->gguf, error))
        return FALSE;
      if (end == MS_FORWARD_BROKEN)
        return fail_broken (c, &wave, span.first, &broken, error);
      if (end == MS_FORWARD_STOPPED)
        {
          c->summary->stopped = TRUE;
          return TRUE;
        }
      /* Rows of this wave that an earlier session has recorded. */
      done = (gsize) MAX (c->recorded + (gint64) held - first, 0);
      held += n;
      if (done > 0)
        ms_rows_keep (rows, done, held -= done);
      report (c, c->plan->n_blocks, "recording");
      if (!record (c, rows, &held, error))
        return FALSE;
      document = span.first + span.n;
    }
  return TRUE;
}

/* --- Beginning and end ---------------------------------------------------------------------- */

static const guint8 *
piece (gint32 id, gsize *length, gpointer data)
{
  return ms_tokenizer_piece (data, id, length);
}

static gboolean
load_inputs (Collection *c, GError **error)
{
  const MsCollectOptions *options = c->options;
  g_autoptr (GError) no_tokenizer = NULL;
  MsInputOptions input = { .paths = options->inputs,
                           .kind = options->kind,
                           .n_vocabulary = c->plan->vocabulary,
                           .max_tokens = options->max_tokens,
                           .add_bos = options->add_bos,
                           .parse_special = options->parse_special,
                           .threads = options->threads,
                           .cancel = c->cancel };

  report (c, 0, "reading inputs");
  c->tokenizer = ms_tokenizer_load (options->model, NULL, &no_tokenizer);
  if (c->tokenizer == NULL && options->kind != MS_INPUT_TOKEN_IDS)
    {
      g_propagate_error (error, g_steal_pointer (&no_tokenizer));
      return FALSE;
    }
  if (c->tokenizer == NULL)
    g_ptr_array_add (c->summary->warnings,
                     g_strdup_printf ("tokens have no text: %s", no_tokenizer->message));
  input.tokenizer = c->tokenizer;
  c->corpus = ms_documents_load (&input, &c->ids, &c->spelled, error);
  return c->corpus != NULL;
}

static char *
run_name (const Collection *c)
{
  g_autofree char *base = g_path_get_basename (c->options->model);

  if (c->options->name != NULL)
    return g_strdup (c->options->name);
  if (g_str_has_suffix (base, ".gguf"))
    base[strlen (base) - strlen (".gguf")] = '\0';
  if (c->changes != NULL)
    {
      g_autofree char *words = ms_changes_words (c->changes);

      return g_strdup_printf ("%s on %s, %s", base, c->corpus->name, words);
    }
  return g_strdup_printf ("%s on %s", base, c->corpus->name);
}

static gboolean
open_writer (Collection *c, MsDb *db, GError **error)
{
  c->writer = ms_writer_new (db, c->model, c->corpus, c->ids, c->run,
                             c->tokenizer != NULL ? piece : NULL, c->tokenizer, error);
  if (c->writer == NULL)
    return FALSE;
  c->recorded
      = MIN ((gint64) ms_writer_next_block (c->writer) * MS_BLOCK_TOKENS, c->corpus->n_tokens);
  return TRUE;
}

static gboolean
begin_run (Collection *c, MsDb *db, GError **error)
{
  const MsCollectOptions *options = c->options;
  MsRun *run = c->run = g_new0 (MsRun, 1);

  run->name = run_name (c);
  run->precision = g_strdup (options->precision == MS_PRECISION_FAST ? "fast" : "reference");
  run->collector = g_strdup ("moescope " MS_VERSION);
  run->command = g_strdup (options->command);
  run->storage = options->storage;
  run->predictions = options->predict;
  run->intervention = c->changes != NULL ? ms_changes_tell (c->changes) : NULL;
  run->columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN
                 | (options->scores ? MS_CHUNK_LOGITS : 0)
                 | (c->changes != NULL ? ms_changes_columns (c->changes) : 0)
                 | (options->norms ? MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY : 0);
  if (!open_writer (c, db, error))
    return FALSE;
  if (options->restart && c->recorded > 0)
    {
      g_clear_pointer (&c->writer, ms_writer_free);
      return ms_db_remove_run (db, run->id, NULL, error) && open_writer (c, db, error);
    }
  c->summary->resumed = c->recorded > 0;
  return TRUE;
}

/* Perplexity of each document: e to the mean loss of its tokens.  NaN where none has a loss. */
static gboolean
measure_perplexity (const Collection *c, GError **error)
{
  g_autoptr (MsReader) reader = ms_reader_new (c->options->output, c->run->id, error);
  g_autofree gint32 *predicted = g_new (gint32, MS_BLOCK_TOKENS);
  g_autofree float *loss = g_new (float, MS_BLOCK_TOKENS);

  if (reader == NULL)
    return FALSE;
  for (guint i = 0; i < c->corpus->n_documents; i++)
    {
      const MsDocument *document = &c->corpus->documents[i];
      MsPerplexity perplexity = { g_strdup (document->name), document->n_tokens, 0 };
      double sum = 0;
      gint64 counted = 0;

      for (gint64 from = 0; from < document->n_tokens; from += MS_BLOCK_TOKENS)
        {
          gint64 n = MIN (document->n_tokens - from, MS_BLOCK_TOKENS);

          if (!ms_reader_predictions (reader, document->first_token + from, n, predicted, loss,
                                      error))
            {
              g_free (perplexity.document);
              return FALSE;
            }
          for (gint64 t = 0; t < n; t++)
            if (!isnan (loss[t]))
              {
                sum += (double) loss[t];
                counted++;
              }
        }
      perplexity.value = counted > 0 ? exp (sum / (double) counted) : NAN;
      g_array_append_val (c->summary->perplexities, perplexity);
    }
  return TRUE;
}

static gboolean
store_remarks (const Collection *c, GError **error)
{
  const GPtrArray *remarks = c->summary->remarks;

  for (guint i = 0; i < remarks->len; i++)
    if (!ms_writer_add_remark (c->writer, g_ptr_array_index (remarks, i), error))
      return FALSE;
  return TRUE;
}

/* What is changed in the routing, held against the model. */
static gboolean
load_changes (Collection *c, GError **error)
{
  g_autoptr (GError) failure = NULL;

  c->changes = ms_changes_new (c->options->interventions, &failure);
  if (failure != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  return c->changes == NULL || ms_changes_fit (c->changes, c->plan, error);
}

static gboolean
collect (Collection *c, GError **error)
{
  const MsCollectOptions *options = c->options;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (GError) failure = NULL;
  gboolean done;

  c->gguf = ms_gguf_open (options->model, error);
  if (c->gguf == NULL)
    return FALSE;
  c->plan = ms_plan_new (c->gguf, error);
  if (c->plan == NULL)
    return FALSE;
  if (options->predict && c->plan->output_norm.kind == NULL)
    {
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_MISSING,
                   "%s: there is no output_norm.weight, so no token can be predicted; collect "
                   "without --predict",
                   options->model);
      return FALSE;
    }
  for (guint i = 0; i < c->plan->warnings->len; i++)
    g_ptr_array_add (c->summary->warnings, g_strdup (g_ptr_array_index (c->plan->warnings, i)));
  if (!load_changes (c, error))
    return FALSE;
  c->model = ms_plan_model (c->plan, c->gguf, options->model);
  c->forward.changes = c->changes;
  c->forward.threads = ms_threads (options->threads);
  c->forward.bf16 = options->precision == MS_PRECISION_FAST && ms_gemm_has_bf16 ();
  if (options->precision == MS_PRECISION_FAST && !c->forward.bf16)
    g_ptr_array_add (c->summary->warnings,
                     g_strdup ("this processor has no bfloat16 products: fast is as reference"));
  if (!load_inputs (c, &failure))
    {
      c->summary->stopped = g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      if (!c->summary->stopped)
        g_propagate_error (error, g_steal_pointer (&failure));
      return c->summary->stopped;
    }
  if (!ms_gguf_check (c->gguf, error)
      || (c->changes != NULL && !ms_changes_match (c->changes, c->corpus, c->ids, error)))
    return FALSE;
  ms_findings_routers (c->plan, c->summary->remarks);
  ms_findings_context (c->plan, c->corpus, c->summary->remarks);
  ms_findings_spelled (&c->spelled, c->summary->remarks);
  c->ties.ties = g_new0 (gint64, c->plan->n_moe);
  db = ms_db_open (options->output, MS_DB_CREATE, error);
  if (db == NULL || !begin_run (c, db, error))
    return FALSE;
  done = run_waves (c, error);
  ms_findings_ties (c->plan, &c->ties, c->summary->remarks);
  if (done && !c->summary->stopped)
    done = store_remarks (c, error) && ms_writer_finish (c->writer, error);
  /* The changes may read a run of the same file, whose log is folded in when nobody else reads it. */
  g_clear_pointer (&c->changes, ms_changes_free);
  g_clear_pointer (&c->writer, ms_writer_free);
  if (c->recorded == 0)
    c->run->id = 0; /* the writer has removed it */
  return done && (!options->predict || c->summary->stopped || measure_perplexity (c, error));
}

static void
clear_perplexity (gpointer data)
{
  g_free (((MsPerplexity *) data)->document);
}

gboolean
ms_collect (const MsCollectOptions *options, MsCollectSummary *summary, GCancellable *cancel,
            GError **error)
{
  MsCollectSummary result
      = { .warnings = g_ptr_array_new_with_free_func (g_free),
          .remarks = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_remark_free),
          .perplexities = g_array_new (FALSE, FALSE, sizeof (MsPerplexity)) };
  Collection c = { .options = options, .summary = &result, .cancel = cancel };
  gboolean done;

  g_array_set_clear_func (result.perplexities, clear_perplexity);
  c.timer = g_timer_new ();
  done = collect (&c, error);
  if (done)
    {
      result.run = c.run != NULL ? c.run->id : 0;
      result.tokens = c.recorded;
      result.documents = c.corpus != NULL ? c.corpus->n_documents : 0;
      for (guint i = 0; i < c.model->n_layers; i++)
        result.decisions += c.recorded * c.model->layers[i].gate.k;
      result.seconds = g_timer_elapsed (c.timer, NULL);
      *summary = result;
    }
  else
    ms_collect_summary_clear (&result);
  g_timer_destroy (c.timer);
  ms_run_free (c.run);
  g_free (c.ids);
  g_free (c.ties.ties);
  ms_corpus_free (c.corpus);
  ms_tokenizer_free (c.tokenizer);
  ms_model_free (c.model);
  ms_changes_free (c.changes);
  ms_plan_free (c.plan);
  ms_gguf_close (c.gguf);
  return done;
}

void
ms_collect_summary_clear (MsCollectSummary *summary)
{
  g_clear_pointer (&summary->warnings, g_ptr_array_unref);
  g_clear_pointer (&summary->remarks, g_ptr_array_unref);
  g_clear_pointer (&summary->perplexities, g_array_unref);
}

MsModel *
ms_model_describe (const char *path, GPtrArray **warnings, GError **error)
{
  g_autoptr (MsGguf) gguf = ms_gguf_open (path, error);
  g_autoptr (MsPlan) plan = gguf != NULL ? ms_plan_new (gguf, error) : NULL;

  g_autoptr (MsModel) model = plan != NULL ? ms_plan_model (plan, gguf, path) : NULL;

  if (model == NULL || !ms_gguf_check (gguf, error))
    return NULL;
  if (warnings != NULL)
    *warnings = g_ptr_array_ref (plan->warnings);
  return g_steal_pointer (&model);
}
