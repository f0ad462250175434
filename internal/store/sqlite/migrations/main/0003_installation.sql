-- +goose Up
-- What tells this installation from all others, wherever its files are put.
-- Sessions in Redis are of one installation.
ALTER TABLE meta ADD COLUMN installation TEXT NOT NULL DEFAULT '';
UPDATE meta SET installation = lower(hex(randomblob(16)));
