-- The moescope file, version 2.  Plain STRICT tables that any SQLite tool reads; only the blobs are
-- ours, and the virtual table routing() of the extension shows them as rows.  Numbers in blobs are
-- little-endian.  "layer" is a layer's number, "block" (but in the table layer) a run of 4096 tokens of a
-- corpus.  Every crc is XXH3 (64 bits, as a signed integer).

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE model (
  model INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,          -- of all that follows but the details, of layers and destinations
  name TEXT NOT NULL,
  architecture TEXT NOT NULL,         -- 'imported' for traces
  fingerprint TEXT,                   -- of the model file
  blocks INTEGER NOT NULL,            -- all blocks, dense ones too
  shared INTEGER NOT NULL,            -- shared experts per MoE layer
  width INTEGER NOT NULL,             -- hidden size, 0 = unknown
  expert_bytes INTEGER NOT NULL,      -- of one expert in the model file, 0 = unknown
  details TEXT                        -- JSON
) STRICT;

CREATE TABLE layer (                  -- the stages that route: MoE layers, or rounds, pools, levels
  model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
  layer INTEGER NOT NULL,             -- its number, which chunks and SQL use
  block INTEGER,                      -- of the model, NULL = it belongs to none
  name TEXT,                          -- NULL = the layer itself
  experts INTEGER NOT NULL,           -- routed experts
  k INTEGER NOT NULL,                 -- slots of a token
  scoring TEXT NOT NULL,              -- the gate: 'softmax', 'sigmoid', 'softmax-selected', ..., 'unknown'
  renormalise INTEGER NOT NULL,       -- 1: the weights are divided by their sum
  scale REAL NOT NULL,                -- factor of the weights
  groups INTEGER NOT NULL,            -- expert groups, 0 = none
  groups_used INTEGER NOT NULL,       -- of which the best so many stay
  group_rule TEXT NOT NULL,           -- what a group is worth: 'best-two' (sum of two scores) or 'best'
  biased INTEGER NOT NULL,            -- 1: a bias is added for choosing
  selection_bias BLOB,                -- (E) float32; NULL = not recorded
  PRIMARY KEY (model, layer)
) STRICT, WITHOUT ROWID;

CREATE TABLE destination (            -- experts that are more than a number; no row = an ordinary one
  model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  expert INTEGER NOT NULL,
  name TEXT,
  kind TEXT NOT NULL,                 -- 'routed', 'shared', 'null', 'skip', 'head', 'adapter', 'model', ...
  owner TEXT,                         -- what it belongs to: another layer, a device, a team
  cost REAL,                          -- of one unit going there, NULL = unknown
  PRIMARY KEY (model, layer, expert)
) STRICT, WITHOUT ROWID;

CREATE TABLE corpus (
  corpus INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,          -- of unit, token ids, documents, labels and tokenizer
  name TEXT NOT NULL,
  tokenizer TEXT,
  unit TEXT NOT NULL DEFAULT 'token', -- what is routed: token, patch, frame, query, step, ...
  n_tokens INTEGER NOT NULL,          -- units; padding is none
  ids_known INTEGER NOT NULL          -- 0: imported without token ids, token_block is empty
) STRICT;

CREATE TABLE document (
  corpus INTEGER NOT NULL REFERENCES corpus ON DELETE CASCADE,
  document INTEGER NOT NULL,          -- 0, 1, ... in token order, without gaps
  name TEXT NOT NULL,
  first_token INTEGER NOT NULL,
  n_tokens INTEGER NOT NULL,
  PRIMARY KEY (corpus, document)
) STRICT, WITHOUT ROWID;

-- Known names: language, domain, parallel (same value = translations of each other), phase ('prefill' or
-- 'decode').  In our console and extension the table document shows these four as columns.
CREATE TABLE document_label (
  corpus INTEGER NOT NULL,
  document INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (corpus, document, name),
  FOREIGN KEY (corpus, document) REFERENCES document ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE token_label (            -- labels of ranges of tokens, such as a phase that changes
  corpus INTEGER NOT NULL REFERENCES corpus ON DELETE CASCADE,
  name TEXT NOT NULL,
  first_token INTEGER NOT NULL,
  n_tokens INTEGER NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (corpus, name, first_token)
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
  scores TEXT,                        -- what the column logits holds: 'logits', 'probabilities', NULL = nothing
  outcome TEXT,                       -- what the column outcome holds: 'quality', 'cost', 'loss', NULL = nothing
  step INTEGER,                       -- of training, NULL = not of a series
  intervention TEXT,                  -- JSON: what was changed in the model while it ran
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
  name TEXT NOT NULL,                 -- logits, outcome (T, E), norms, peaks (T, K), similarity (T): float32;
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

CREATE TABLE finding (                -- what the data says against its reading
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  code TEXT NOT NULL,                 -- 'repeated-rows', 'constant-start', ...
  severity TEXT NOT NULL,             -- 'note', 'doubt' or 'fault'
  count INTEGER NOT NULL,             -- how often
  place TEXT,                         -- the first, as a selection: 'layer=3 token=17'
  text TEXT NOT NULL,                 -- a sentence
  PRIMARY KEY (run, code)
) STRICT, WITHOUT ROWID;

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
