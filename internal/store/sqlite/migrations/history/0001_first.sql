-- +goose Up
-- Request records. The key is the UUID's 16 bytes, whose beginning is the time:
-- new rows go to the end of the tree. at is Unix ms.
CREATE TABLE requests (log_uuid BLOB PRIMARY KEY, at INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at);

CREATE TABLE ping (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT INTO ping VALUES (1, 0);
