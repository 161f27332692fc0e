/* Numeric arrays as they lie in npy, npz, safetensors and torch files: a shape, a type of element, bytes. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define MS_ARRAY_DIMS 6

typedef enum
{
  MS_ELEMENT_SIGNED,
  MS_ELEMENT_UNSIGNED, /* bool, too */
  MS_ELEMENT_FLOAT,    /* 2, 4 or 8 bytes */
  MS_ELEMENT_BFLOAT,   /* 2 bytes */
} MsElement;

typedef struct
{
  char *name;
  MsElement element;
  guint size; /* bytes of an element */
  gboolean swapped;
  guint n_dims;
  guint64 shape[MS_ARRAY_DIMS];
  gint64 strides[MS_ARRAY_DIMS]; /* in elements */
  guint64 n;                     /* elements */
  const guint8 *data; /* of element 0, ...: borrowed; every element lies within the file */
  GBytes *bytes;      /* what holds it, NULL = somebody else */
} MsArray;

void ms_array_free (MsArray *array);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsArray, ms_array_free)

/* Element at an offset in elements; of whole numbers those that fit. */
gint64 ms_array_whole (const MsArray *array, gint64 offset);
double ms_array_real (const MsArray *array, gint64 offset);

/* A .npy file: name is copied; `bytes` is kept.  BAD_VALUE names `file`. */
MsArray *ms_array_from_npy (const char *file, const char *name, GBytes *bytes, GError **error);
/* All arrays of a safetensors file, by name; *about is its metadata as "key=value" texts.  (element-type MsArray) */
GPtrArray *ms_arrays_from_safetensors (const char *file, GBytes *bytes, GError **error);

/* The parts of a zip archive, stored or deflated. */
typedef struct
{
  char *name;
  GBytes *bytes; /* unpacked */
} MsZipPart;

void ms_zip_part_free (MsZipPart *part);
/* (element-type MsZipPart) in the order of the directory.  BAD_VALUE for what is no zip, encrypted, or would unpack
 * to more than `most` bytes. */
GPtrArray *ms_zip_read (const char *file, GBytes *bytes, guint64 most, GError **error);

/* --- Values of a torch file ------------------------------------------------------------------ */

typedef enum
{
  MS_PICKLE_NONE,
  MS_PICKLE_INT,
  MS_PICKLE_REAL,
  MS_PICKLE_TEXT,
  MS_PICKLE_LIST,   /* list, tuple or set */
  MS_PICKLE_DICT,   /* items: key, value, key, value, ... */
  MS_PICKLE_ARRAY,  /* a tensor */
  MS_PICKLE_GLOBAL, /* a name of the closed set, or a call of one: only inside the reader */
} MsPickleKind;

typedef struct _MsPickle MsPickle;
struct _MsPickle
{
  guint refs;
  guint depth;        /* of what is in it */
  gboolean contained; /* is in something: complete */
  MsPickleKind kind;
  gint64 whole;
  double real;
  char *text;
  GPtrArray *items; /* of MsPickle */
  MsArray *array;
};

void ms_pickle_unref (MsPickle *value);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPickle, ms_pickle_unref)
/* The value of a torch.save file (a zip): dict, list, tuple, int, float, bool, text, None and tensors, and nothing else:
 * it is never executed.  BAD_VALUE names what else is in it. */
MsPickle *ms_torch_read (const char *file, GBytes *bytes, GError **error);
/* The value of a dict's key; NULL = none. */
const MsPickle *ms_pickle_get (const MsPickle *dict, const char *key);

G_END_DECLS
