/* A model file under inspection, and what its parts (inspect.c, inspect-routing.c) share. */
#pragma once

#include "plan-private.h"

G_BEGIN_DECLS

typedef struct
{
  const MsGguf *gguf;
  MsInspection *found;
  const MsArchitecture *architecture; /* NULL: none of the table */
  guint n_blocks, n_further; /* all of them; those at the end that predict further tokens */
  guint k;                   /* of most blocks, 0: not told */
} MsInspector;

/* Adds a fact.  Takes the source and a floating value. */
void ms_inspector_fact (MsInspector *inspector, MsFactSection section, const char *name,
                        GVariant *value, char *source);
/* Adds a warning. */
void ms_inspector_warn (MsInspector *inspector, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* "ARCHITECTURE.name".  (transfer full) */
char *ms_inspector_key (const MsInspector *inspector, const char *name);
/* The number of that key, of the first block where it holds one per block; FALSE: not there, or no number. */
gboolean ms_inspector_number (const MsInspector *inspector, const char *name, guint *value);
/* The key's value as a fact, whatever its type: numbers, truth, text; one number per block as "LEAST to MOST".
 * FALSE: not there, or nothing of these. */
gboolean ms_inspector_add_key (MsInspector *inspector, MsFactSection section, const char *name,
                               const char *key_name);
/* Tensor "blk.BLOCK.name", or NULL. */
const MsTensor *ms_inspector_find (const MsInspector *inspector, guint block, const char *name);

/* Facts of the routing; returns how logits become scores. */
MsScoring ms_inspector_tell_routing (MsInspector *inspector);
/* Warns of what makes the file route otherwise than its authors or readers think. */
void ms_inspector_check_routing (MsInspector *inspector, MsScoring scoring);

G_END_DECLS
