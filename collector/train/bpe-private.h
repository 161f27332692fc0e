/* Byte-level byte pair encoding, learned from a corpus (Sennrich et al. 2016, as in GPT-2).
 *
 * Text is split by GPT-2's pattern; inside a piece the most frequent pair of neighbours becomes a token,
 * again and again (ties: the pair of lower ids).  Ids 0..255 are the bytes, then the merges in order,
 * then <|endoftext|>.  In a GGUF file this is tokenizer model "gpt2", pre "gpt-2". */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct MsBpe MsBpe;

/* vocabulary in 258..65535.  texts (of GBytes, valid UTF-8) are only read. */
MsBpe *ms_bpe_learn (GPtrArray *texts, guint vocabulary, GCancellable *cancel, GError **error);
void ms_bpe_free (MsBpe *bpe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsBpe, ms_bpe_free)

/* Fewer than asked for when the corpus had no pair left that occurs twice. */
guint ms_bpe_size (const MsBpe *bpe);
guint ms_bpe_end_of_text (const MsBpe *bpe);
/* Appends the ids of text to ids (GArray of guint16). */
void ms_bpe_encode (MsBpe *bpe, const char *text, gsize length, GArray *ids);
/* How many bytes of text the token stands for; <|endoftext|> for none. */
guint ms_bpe_token_bytes (const MsBpe *bpe, guint id);
/* The token as GGUF writes it: each byte as its printable stand-in.  (transfer full) */
char *ms_bpe_token (const MsBpe *bpe, guint id);
/* "LEFT RIGHT" for merge number i of ms_bpe_size - 257.  (transfer full) */
char *ms_bpe_merge (const MsBpe *bpe, guint i);

G_END_DECLS
