/* The tensors of a kind as a table.
 *
 * A kind (a mixer, a norm, a feed-forward network, the router) lists its tensors once: the name in the
 * file, the shape as a rule, whether it must be there, where it lies in the kind's struct.  Loading,
 * clearing, reading ahead and counting bytes loop over the table, so none of them can forget one. */
#pragma once

#include "plan-private.h"

G_BEGIN_DECLS

/* A plan under construction, and which tensors of the file it has taken. */
typedef struct
{
  const MsGguf *gguf;
  MsPlan *plan;
  GHashTable *used; /* of const MsTensor* */
} MsLoader;

/* --- Keys ------------------------------------------------------------------------------------ */

/* "ARCHITECTURE.name".  (transfer full) */
char *ms_loader_key (const MsLoader *loader, const char *name);
/* As ms_gguf_get_*, of the key "ARCHITECTURE.name". */
gboolean ms_loader_u32 (const MsLoader *loader, const char *name, MsKeyNeed need, guint32 *value,
                        GError **error);
gboolean ms_loader_float (const MsLoader *loader, const char *name, MsKeyNeed need, float *value,
                          GError **error);
/* The block's number where the key holds one per block, or the one for all. */
gboolean ms_loader_of_block (const MsLoader *loader, const char *name, MsKeyNeed need, guint block,
                             gint32 *value, GError **error);
/* The same of floats; *value stays as it is where the key is absent. */
gboolean ms_loader_float_of_block (const MsLoader *loader, const char *name, guint block,
                                   float *value, GError **error);
/* Whether the file has the tensor "blk.BLOCK.tensor". */
gboolean ms_loader_block_has (const MsLoader *loader, guint block, const char *tensor);
/* Sets *error, naming the file, and returns FALSE. */
gboolean ms_loader_refuse (const MsLoader *loader, MsCollectorError code, GError **error,
                           const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Adds to the plan's warnings. */
void ms_loader_warn (const MsLoader *loader, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* --- Tables ---------------------------------------------------------------------------------- */

/* What lies in the struct. */
typedef enum
{
  /* MsMatrix, left in the file: shape (columns, rows).  Where the file has NAME.scale beside NAME.weight,
   * that is its factor: one number, of a stack one each. */
  MS_FORM_MATRIX,
  MS_FORM_VECTOR, /* float *, read at once: shape (n), or (columns, rows) where there is no stack */
  MS_FORM_KERNEL, /* as a vector of shape (columns, rows), or (columns, 1, rows) in the file */
  MS_FORM_NORM, /* MsNorm of the architecture's kind, over n values; the rule's name is its stem */
} MsForm;

/* Dimensions are indices into an array of sizes that the kind fills, this one being 1. */
#define MS_SIZE_ONE 0

typedef struct
{
  const char *name; /* what follows "blk.N."; '*' stands for the place's stem */
  MsForm form;
  guint shape[2];                     /* indices of sizes; of norms the first counts */
  MsSwitches required, taken, unless; /* must be there, may be there, is not looked at: when the
                                       * architecture has any of these */
  gsize offset;                       /* in the kind's struct */
  gboolean unscaled; /* of matrices: NAME.scale beside NAME.weight is something else */
} MsTensorRule;

struct MsTensorTable
{
  const MsTensorRule *rules;
  guint n;
};

/* Where a table's tensors are to be found. */
typedef struct
{
  gint block;       /* its number; -1: tensors of the model as a whole */
  const char *stem; /* may be NULL where no name has a '*' */
  /* 0 means any: the first tensor of such a dimension settles it for the following. */
  gint64 *sizes;
  /* A stack: each tensor has a further dimension of `count` and lies in as many structs, `stride` bytes
   * apart.  count 0: no stack. */
  guint count;
  gsize stride;
  MsSwitches switches; /* that hold here beside the architecture's */
} MsTensorPlace;

/* Fills `base` (zeroed).  Errors: MISSING, UNSUPPORTED, CORRUPT. */
gboolean ms_tensors_load (MsLoader *loader, const MsTensorTable *table, const MsTensorPlace *place,
                          gpointer base, GError **error);
/* Frees what was read. */
void ms_tensors_clear (const MsTensorTable *table, gpointer base);
/* Tells the kernel that the matrices come next (MADV_WILLNEED) or are done with (MADV_DONTNEED). */
void ms_tensors_advise (const MsTensorTable *table, gconstpointer base, int advice);
/* Bytes of the matrices in the file. */
gint64 ms_tensors_bytes (const MsTensorTable *table, gconstpointer base);
/* The most columns of a matrix. */
gsize ms_tensors_widest (const MsTensorTable *table, gconstpointer base);

G_END_DECLS
