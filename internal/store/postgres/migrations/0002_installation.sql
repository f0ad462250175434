-- +goose Up
-- One row: what tells this installation from all others, wherever its database
-- is put. Sessions in Redis are of one installation.
CREATE TABLE installation (one int PRIMARY KEY CHECK (one = 1), id text NOT NULL);
INSERT INTO installation VALUES (1, gen_random_uuid()::text);
