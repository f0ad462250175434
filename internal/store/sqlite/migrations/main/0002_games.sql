-- +goose Up
CREATE TABLE game_servers (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;

-- What follows is, as the sessions are, answered from memory, but for kicks and
-- receipts of the past: only what a reader of the file or a restart looks for
-- has an index. Times are Unix ns, 0 for none.

-- Sessions are no more listed from here.
DROP INDEX sessions_by_agent;
ALTER TABLE sessions DROP COLUMN agent;

CREATE TABLE launches (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;

-- The current boot of each game server.
CREATE TABLE boots (game_server TEXT PRIMARY KEY, boot TEXT NOT NULL) WITHOUT ROWID;

-- Events for game servers and what became of them. The flags say what of the doc
-- is counted; open ones may still change.
CREATE TABLE receipts (
    seq          INTEGER PRIMARY KEY,
    kick         TEXT NOT NULL,
    queued       INTEGER NOT NULL,
    delivered    INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    open         INTEGER NOT NULL,
    doc          TEXT NOT NULL
);
CREATE INDEX receipts_open ON receipts (seq) WHERE open = 1;
CREATE INDEX receipts_by_kick ON receipts (kick, seq) WHERE kick > '';
CREATE INDEX receipts_counted ON receipts (kick, delivered, acknowledged, ended) WHERE kick > '';
CREATE INDEX receipts_by_time ON receipts (queued);

CREATE TABLE kicks (id TEXT PRIMARY KEY, at INTEGER NOT NULL, running INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX kicks_running ON kicks (id) WHERE running = 1;
CREATE INDEX kicks_by_time ON kicks (at);

-- What has begun and ended, on its way to history.db.
CREATE TABLE outbox (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL);

-- One row: the epoch, the run that wrote last, and the highest seq of a receipt
-- or of the outbox that may be no more there.
CREATE TABLE meta (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    began INTEGER NOT NULL,
    run   TEXT NOT NULL,
    seq   INTEGER NOT NULL
);
INSERT INTO meta VALUES (1, '', 0, '', 0);
