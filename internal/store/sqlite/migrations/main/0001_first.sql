-- +goose Up
-- The directory: each sort of thing a table of JSON documents by key, so that
-- a new field needs no migration. Keys are compared by bytes (BINARY).
CREATE TABLE agents       (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE branches     (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE games        (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE members      (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE admin_tokens (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE token_keys   (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;

-- Times are Unix ms. AUTOINCREMENT never gives a seq twice.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
);

-- The live sessions, for a restart; they are read from memory.
CREATE TABLE sessions (id TEXT PRIMARY KEY, agent TEXT NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_by_agent ON sessions (agent, id);

-- One row, which a ping writes.
CREATE TABLE ping (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT INTO ping VALUES (1, 0);
