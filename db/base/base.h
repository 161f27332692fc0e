/* Small things every folder needs: threads in a fixed order, an arena, numbers as text, half floats.
 *
 * Uses GLib alone.  Nothing here prints, knows a file format or a widget. */
#pragma once

#include <glib.h>
#include <gio/gio.h>

G_BEGIN_DECLS

/* --- Threads ------------------------------------------------------------------------------- */

/* One task of ms_parallel: `index` in 0..n_tasks-1, `worker` in 0..threads-1 (for private scratch). */
typedef void (*MsTask) (guint index, guint worker, gpointer data);

/* Runs n_tasks tasks on up to `threads` threads (0 = all cores) and returns when all are done.
 * Tasks are handed out in index order; which worker runs which task is not fixed, so results that
 * must not depend on the thread count go to slots indexed by task and are merged afterwards. */
void ms_parallel (guint threads, guint n_tasks, MsTask task, gpointer data);

/* The number of threads that `threads` means: itself, or the number of usable cores for 0. */
guint ms_threads (guint threads);

/* --- Arena --------------------------------------------------------------------------------- */

/* A bump allocator: allocations are 64-byte aligned, live until reset or free, and never fail
 * (GLib aborts when memory runs out).  Not thread-safe: one arena per worker. */
typedef struct MsArena MsArena;

MsArena *ms_arena_new (gsize first_bytes);
void ms_arena_free (MsArena *arena);
/* Forgets every allocation but keeps the memory. */
void ms_arena_reset (MsArena *arena);
gpointer ms_arena_alloc (MsArena *arena, gsize bytes);
gpointer ms_arena_alloc0 (MsArena *arena, gsize bytes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsArena, ms_arena_free)

#define ms_arena_array(arena, type, n)                                                             \
  ((type *) ms_arena_alloc ((arena), (gsize) (n) * sizeof (type)))

/* Heap memory aligned to 64 bytes, for vectors too large or too long-lived for an arena.
 * Free with ms_aligned_free.  Aborts when memory runs out. */
gpointer ms_aligned_alloc (gsize bytes);
void ms_aligned_free (gpointer memory);

/* --- Numbers ------------------------------------------------------------------------------- */

/* IEEE 754 half precision, round to nearest even. */
guint16 ms_half_from_float (float value);
float ms_half_to_float (guint16 half);

/* SplitMix64: advances *state and returns 64 random bits.  The only random numbers moescope uses, so
 * that a seed means the same everywhere. */
guint64 ms_random_next (guint64 *state);
/* Uniform in [0, 1) with 53 bits. */
double ms_random_double (guint64 *state);
/* Uniform in 0..n-1 without bias, n > 0. */
guint64 ms_random_below (guint64 *state, guint64 n);

/* --- Text ---------------------------------------------------------------------------------- */

/* For people: "%.6g" in the C locale, whole numbers in full, "" for NaN, "inf".  Writes to `buffer`, returns it. */
#define MS_NUMBER_SIZE 40
char *ms_number_short (char buffer[MS_NUMBER_SIZE], double value);
/* For exchange: the shortest decimal that reads back as the same double; "" for NaN. */
char *ms_number_exact (char buffer[MS_NUMBER_SIZE], double value);
/* The same for a float: the shortest decimal that reads back as the same float, up to 9 digits. */
char *ms_number_float (char buffer[MS_NUMBER_SIZE], float value);
/* "1234567" -> "1,234,567". */
char *ms_number_grouped (char buffer[MS_NUMBER_SIZE], gint64 value);

/* A newly allocated copy of `bytes` that is valid UTF-8 without anything that a terminal, a layout or an XML
 * parser acts on: bytes of controls (C1 too), of marks that turn the direction of writing around and invalid
 * ones become "\xHH".  For showing text of unknown origin in messages, documents and views. */
char *ms_text_printable (const char *bytes, gssize length);
/* Puts that copy in the place of an allocated text; NULL stays. */
void ms_text_make_printable (char **text);
/* A newly allocated copy of a text in JSON with the same characters as \u escapes: the values stay what they
 * are, except that invalid bytes become U+FFFD. */
char *ms_text_safe_json (const char *json);

/* The word of `words` (NULL-terminated) that `word` is most likely a slip of, for "did you mean";
 * NULL when none is near (more than a third of its letters differ). */
const char *ms_text_nearest (const char *word, const char *const *words);

/* Why text is not one value of strict JSON, nested no deeper than `depth` (at most 64), that every parser
 * reads alike: comments, single quotes, a second value, NUL characters and whole numbers beyond 64 bits are
 * objected to.  NULL when it can be given to a parser; else a clause (static). */
const char *ms_json_objection (const char *text, gsize length, guint depth);

/* A word of a command line as a shell reads it: bare when nothing in it needs quotes (newly allocated). */
char *ms_word_quote (const char *word);

/* --- Files --------------------------------------------------------------------------------- */

/* Opens a file to write a whole new one in its place; a file or an address of GIO.  Permissions of an old
 * file and symbolic links to it stay.  Fails with EXISTS when the old file is a database or a model. */
GOutputStream *ms_stream_replace (const char *path, GError **error);
/* The same for a model, which may take an old one's place: training that goes on after an interruption, or is
 * done again, writes its checkpoints anew. */
GOutputStream *ms_stream_replace_model (const char *path, GError **error);
/* Closes a stream.  Of these only with `whole`, when all was written, does the new file take
 * the place of what was there before; otherwise that stays, no part of the new one is left, and an error
 * already set is told with the file's name.  TRUE when it did. */
gboolean ms_stream_close (GOutputStream *stream, gboolean whole, GError **error);
/* Removes the parts of all files that are being written, from any thread, before the program is ended: no stream
 * may be closed any more. */
void ms_streams_abandon (void);
/* Both at once, with all of the file's bytes. */
gboolean ms_file_replace (const char *path, const void *data, gsize size, GError **error);

G_END_DECLS
