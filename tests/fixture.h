/* Small traces for tests: written through MsWriter into a temporary file. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

/* The decision of one token at one layer, to be filled in: arrays of one row, which start as: no expert,
 * zeros. */
typedef MsDecisions MsFixtureToken;

typedef struct
{
  const char *name; /* of the run, NULL = "test" */
  guint n_layers;
  const MsLayer *layers; /* (n_layers) */
  guint n_documents;
  const MsDocument *documents; /* (n_documents); first_token is computed, a NULL name is "dI" */
  guint columns;               /* MsChunkColumns besides experts and weights */
  gboolean unknown_gates;      /* scorings that are not given stay unknown; else they are softmax */
  gboolean probabilities;
  gboolean predictions; /* predicted id and loss are then pseudo-random */
  /* Fills one decision; `layer` is an index, `position` counts the tokens of the corpus. */
  void (*fill) (guint layer, gint64 position, MsFixtureToken *token, gpointer data);
  gint32 (*token_id) (gint64 position, gpointer data); /* NULL = position modulo 97 */
  /* The number that is written for expert e of a layer, a permutation; NULL = its own. */
  guint16 (*relabel) (guint layer, guint e);
  gpointer data;
} MsFixture;

/* Writes the fixture to `path` (a further run when the file exists), or to a new temporary file when
 * path is NULL.  Values are stored exactly.  Returns the path; aborts the test on failure. */
char *ms_fixture_write (const MsFixture *fixture, const char *path);
/* Deletes the file and frees the path. */
void ms_fixture_remove (char *path);

/* A trace that has everything: two layers of 8 experts (2 chosen) and one of 12 (3 chosen), 24 documents
 * of 150 to 265 tokens in two blocks, three languages, two domains, four texts in three translations,
 * both phases, every column, a few tokens with fewer experts or none.  `noise` differs between
 * otherwise equal runs: 0 = none.  Written as ms_fixture_write does. */
char *ms_fixture_rich (const char *path, double noise);
/* The same with `skew` added to the logit of every expert above that of the one before it, so that few loads
 * are equal, and with other numbers for the experts (see MsFixture). */
char *ms_fixture_skewed (const char *path, double noise, double skew,
                         guint16 (*relabel) (guint layer, guint e));

G_END_DECLS
