/* MsRunItem reads a run, its model and its corpus once, in a worker; from then on nothing of it changes, so
 * the main thread may look at it without SQL.  A run that grows is read into another item. */
#include "run-item-private.h"

#include "analysis.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <time.h>

/* Seconds after a change within which an unfinished run counts as being collected. */
#define WRITTEN_SECONDS 120

struct _MsRunItem
{
  GObject parent_instance;
  MsRun *run;
  MsModel *model;
  MsCorpus *corpus;
  MsRunState state;
};

G_DEFINE_FINAL_TYPE (MsRunItem, ms_run_item, G_TYPE_OBJECT)

static void
run_item_finalize (GObject *object)
{
  MsRunItem *self = MS_RUN_ITEM (object);

  g_clear_pointer (&self->run, ms_run_free);
  g_clear_pointer (&self->model, ms_model_free);
  g_clear_pointer (&self->corpus, ms_corpus_free);
  G_OBJECT_CLASS (ms_run_item_parent_class)->finalize (object);
}

static void
ms_run_item_class_init (MsRunItemClass *class)
{
  G_OBJECT_CLASS (class)->finalize = run_item_finalize;
}

static void
ms_run_item_init (MsRunItem *self)
{
}

const MsRun *
ms_run_item_run (MsRunItem *self)
{
  return self->run;
}

const MsModel *
ms_run_item_model (MsRunItem *self)
{
  return self->model;
}

const MsCorpus *
ms_run_item_corpus (MsRunItem *self)
{
  return self->corpus;
}

char *
ms_run_item_dup_title (MsRunItem *self)
{
  return g_strdup_printf ("%s / %s", self->model->name, self->corpus->name);
}

char *
ms_run_item_dup_label (MsRunItem *self)
{
  return ms_run_label (self->run);
}

MsRunState
ms_run_item_get_state (MsRunItem *self)
{
  return self->state;
}

double
ms_run_item_get_progress (MsRunItem *self)
{
  if (self->run->finished != NULL || self->corpus->n_tokens == 0)
    return 1;
  return (double) self->run->n_tokens / (double) self->corpus->n_tokens;
}

/* What is worth knowing before the facts; NULL of a complete run. */
static char *
dup_state (MsRunItem *self)
{
  double percent = 100 * ms_run_item_get_progress (self);

  switch (self->state)
    {
    case MS_RUN_COLLECTING:
      return g_strdup_printf (_ ("collecting %.0f %%"), percent);
    case MS_RUN_STOPPED:
      return g_strdup_printf (_ ("stopped at %.0f %%"), percent);
    case MS_RUN_BROKEN:
      return g_strdup (_ ("broken: tokens are missing"));
    case MS_RUN_COMPLETE:
    default:
      return NULL;
    }
}

char *
ms_run_item_dup_subtitle (MsRunItem *self)
{
  char tokens[MS_NUMBER_SIZE];
  g_autofree char *state = dup_state (self);
  g_autoptr (GString) text = g_string_new (state);

  if (state != NULL)
    g_string_append (text, " · ");
  ms_number_grouped (tokens, self->run->n_tokens);
  g_string_append_printf (text, _ ("%s tokens"), tokens);
  if (self->model->n_layers > 0)
    g_string_append_printf (text, " · %u × %u", self->model->n_layers,
                            self->model->layers[0].gate.n_experts);
  if (state == NULL)
    g_string_append_printf (text, " · %.10s", self->run->finished);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

gboolean
ms_run_item_equals (MsRunItem *a, MsRunItem *b)
{
  return a->run->id == b->run->id && a->run->n_tokens == b->run->n_tokens && a->state == b->state;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* Whether the file, or what is about to go into it, changed lately: a block of tokens may take long. */
static gboolean
is_written (const char *path)
{
  static const char *const endings[] = { "", "-wal", "-journal" };
  time_t now = time (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *name = g_strconcat (path, endings[i], NULL);
      GStatBuf facts;

      if (g_stat (name, &facts) == 0 && now - facts.st_mtime < WRITTEN_SECONDS)
        return TRUE;
    }
  return FALSE;
}

/* items: newest first.  Of the unfinished runs only the newest can be the one that is collected. */
static void
find_states (GPtrArray *items, const char *path)
{
  gboolean written = is_written (path);

  for (guint i = 0; i < items->len; i++)
    {
      MsRunItem *item = g_ptr_array_index (items, i);

      if (item->run->finished != NULL)
        item->state
            = item->run->n_tokens < item->corpus->n_tokens ? MS_RUN_BROKEN : MS_RUN_COMPLETE;
      else
        {
          item->state = written ? MS_RUN_COLLECTING : MS_RUN_STOPPED;
          written = FALSE;
        }
    }
}

static MsRunItem *
read_item (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (MsRunItem) item = g_object_new (MS_TYPE_RUN_ITEM, NULL);

  item->run = ms_db_load_run (db, id, error);
  if (item->run == NULL)
    return NULL;
  item->model = ms_db_load_model (db, item->run->model, error);
  if (item->model == NULL)
    return NULL;
  item->corpus = ms_db_load_corpus (db, item->run->corpus, error);
  return item->corpus != NULL ? g_steal_pointer (&item) : NULL;
}

GPtrArray *
ms_run_items_read (const char *path, char **damaged, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, error);
  g_autoptr (GError) first = NULL;
  g_autoptr (GPtrArray) runs = NULL;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);

  if (db == NULL)
    return NULL;
  runs = ms_db_list_runs (db, error);
  if (runs == NULL)
    return NULL;
  for (guint i = runs->len; i > 0; i--)
    {
      const MsRun *listed = g_ptr_array_index (runs, i - 1);
      g_autoptr (GError) failure = NULL;
      MsRunItem *item = read_item (db, listed->id, &failure);

      if (item != NULL)
        g_ptr_array_add (items, item);
      else if (first == NULL)
        first = g_steal_pointer (&failure);
    }
  if (first != NULL && items->len == 0)
    {
      g_propagate_error (error, g_steal_pointer (&first));
      return NULL;
    }
  *damaged = first != NULL ? g_strdup (first->message) : NULL;
  find_states (items, path);
  return g_steal_pointer (&items);
}
