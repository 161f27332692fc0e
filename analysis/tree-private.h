/* A tree of items from their distances: average linkage (UPGMA), as scipy's linkage writes it. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint a, b; /* a < b; items are 0..n-1, the cluster of join i is n + i */
  double distance;
  guint size; /* items in the new cluster */
} MsJoin;

/* Joins (n - 1) in order of distance from distances (n, n), symmetric.  The distance of two clusters is the
 * mean over their members' pairs; of equal distances the first pair in index order is joined. */
void ms_tree_join (const double *distances, guint n, MsJoin *joins);
/* Cophenetic distances (n, n): that of the join which first unites two items. */
void ms_tree_heights (const MsJoin *joins, guint n, double *heights);
/* The items (n) from left to right as a dendrogram draws them: of two branches the one with the lower item
 * comes first. */
void ms_tree_order (const MsJoin *joins, guint n, guint *order);
/* The names of the items of join i, separated by spaces (newly allocated). */
char *ms_tree_members (const MsJoin *joins, guint n, guint join, char **names);

G_END_DECLS
