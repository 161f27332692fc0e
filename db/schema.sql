-- The moescope file, version 1.  Plain STRICT tables that any SQLite tool reads; only the blobs are
-- ours, and the virtual table routing() of the extension shows them as rows.  Numbers in blobs are
-- little-endian.  "layer" is always the model's block number, "block" a run of 4096 tokens of a
-- corpus.  Every crc is XXH3 (64 bits, as a signed integer).

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE model (
  model INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,          -- of name, architecture, fingerprint, router and geometry
  name TEXT NOT NULL,
  architecture TEXT NOT NULL,         -- 'imported' for traces
  fingerprint TEXT,                   -- of the model file
  router TEXT,                        -- the gating recipe in words
  blocks INTEGER NOT NULL,            -- all blocks, dense ones too
  shared INTEGER NOT NULL,            -- shared experts per MoE layer
  width INTEGER NOT NULL,             -- hidden size, 0 = unknown
  expert_bytes INTEGER NOT NULL,      -- of one expert in the model file, 0 = unknown
  weight_scale REAL NOT NULL,         -- factor applied to the combine weights
  details TEXT                        -- JSON
) STRICT;

CREATE TABLE layer (                  -- the MoE layers
  model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  experts INTEGER NOT NULL,           -- routed experts
  k INTEGER NOT NULL,                 -- slots of a token
  groups INTEGER NOT NULL,            -- expert groups, 0 = none
  PRIMARY KEY (model, layer)
) STRICT, WITHOUT ROWID;

CREATE TABLE corpus (
  corpus INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,          -- of token ids, documents and tokenizer
  name TEXT NOT NULL,
  tokenizer TEXT,
  n_tokens INTEGER NOT NULL,
  ids_known INTEGER NOT NULL          -- 0: imported without token ids, token_block is empty
) STRICT;

CREATE TABLE document (
  corpus INTEGER NOT NULL REFERENCES corpus ON DELETE CASCADE,
  document INTEGER NOT NULL,          -- 0, 1, ... in token order, without gaps
  name TEXT NOT NULL,
  language TEXT,
  domain TEXT,
  parallel TEXT,                      -- same key = translations of each other
  phase TEXT,                         -- 'prefill' or 'decode'
  first_token INTEGER NOT NULL,
  n_tokens INTEGER NOT NULL,
  PRIMARY KEY (corpus, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE token_block (
  corpus INTEGER NOT NULL REFERENCES corpus ON DELETE CASCADE,
  block INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  ids BLOB NOT NULL,                  -- int32
  PRIMARY KEY (corpus, block)
) STRICT;

CREATE TABLE piece (                  -- the text of the ids that occur
  corpus INTEGER NOT NULL REFERENCES corpus ON DELETE CASCADE,
  id INTEGER NOT NULL,
  bytes BLOB NOT NULL,                -- not always UTF-8
  PRIMARY KEY (corpus, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
  run INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  model INTEGER NOT NULL REFERENCES model,
  corpus INTEGER NOT NULL REFERENCES corpus,
  started TEXT NOT NULL,              -- ISO 8601, UTC
  finished TEXT,                      -- NULL while unfinished
  precision TEXT NOT NULL,
  collector TEXT NOT NULL,
  command TEXT,
  storage TEXT NOT NULL CHECK (storage IN ('compact', 'exact')),
  columns TEXT NOT NULL,              -- of every chunk, separated by spaces
  probabilities INTEGER NOT NULL,     -- 1: the logits column holds probabilities
  predictions INTEGER NOT NULL        -- 1: the prediction table has the run
) STRICT;
CREATE INDEX run_model ON run (model);
CREATE INDEX run_corpus ON run (corpus);

-- T tokens, K slots: experts (T, K) first, so that counting reads nothing else.
CREATE TABLE chunk (
  chunk INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  block INTEGER NOT NULL,
  layer INTEGER NOT NULL,
  first_token INTEGER NOT NULL,
  n_tokens INTEGER NOT NULL,
  k INTEGER NOT NULL,
  id_bytes INTEGER NOT NULL,          -- 1 for up to 255 experts, else 2; all ones = unused slot
  scale REAL NOT NULL,                -- compact: weight = uint16 / 65535 * scale
  crc INTEGER NOT NULL,               -- of experts, seeded with block << 32 | layer
  values_crc INTEGER NOT NULL,        -- of scale, weights, entropy, margin
  experts BLOB NOT NULL,
  weights BLOB NOT NULL,              -- (T, K) compact uint16, exact float32
  entropy BLOB,                       -- (T) compact uint16 / 65534 * ln E, 65535 = undefined; exact float32
  margin BLOB,                        -- (T) compact float16, exact float32
  UNIQUE (run, block, layer)
) STRICT;

CREATE TABLE chunk_column (           -- columns that few runs have
  chunk INTEGER NOT NULL REFERENCES chunk ON DELETE CASCADE,
  name TEXT NOT NULL,                 -- logits (T, E), norms, peaks (T, K), similarity (T): float32;
  crc INTEGER NOT NULL,               -- dropped (T, K): bytes
  data BLOB NOT NULL,
  PRIMARY KEY (chunk, name)
) STRICT;

CREATE TABLE prediction (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  block INTEGER NOT NULL,
  crc INTEGER NOT NULL,               -- of ids, then loss
  ids BLOB,                           -- int32, the predicted next token, -1 = none
  loss BLOB,                          -- float32, nats; NaN = undefined
  PRIMARY KEY (run, block)
) STRICT;

CREATE TABLE result (                 -- rows of the tables <analysis>_<table> refer to it
  result INTEGER PRIMARY KEY,
  analysis TEXT NOT NULL,
  version INTEGER NOT NULL,
  run INTEGER REFERENCES run ON DELETE CASCADE,
  other_run INTEGER REFERENCES run ON DELETE CASCADE,
  selection TEXT NOT NULL,
  params TEXT NOT NULL,               -- JSON
  summary TEXT,
  created TEXT NOT NULL,
  seconds REAL
) STRICT;
CREATE INDEX result_run ON result (run);
CREATE INDEX result_other_run ON result (other_run);
