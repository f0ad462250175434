-- +goose Up
-- The log of sessions, launches and outbox: each commit adds a row, in the form of
-- sheet.go. Its rows, in the order of id, make what the process holds in memory.
-- Versions before kept the same in the tables sessions, launches and outbox: what
-- is in these is moved here when the file is opened.
CREATE TABLE log (id INTEGER PRIMARY KEY, entries BLOB NOT NULL);
