-- +goose Up
-- Ended sessions. What is asked for stands beside the document: who was live at a
-- moment, as a range of starts; a member's timeline; and what is old. Times are
-- Unix ns.
CREATE TABLE ended (
    id          TEXT NOT NULL UNIQUE,
    agent       TEXT NOT NULL,
    username    TEXT NOT NULL,
    game        TEXT NOT NULL,
    currency    TEXT NOT NULL,
    game_server TEXT NOT NULL,
    started     INTEGER NOT NULL,
    ended       INTEGER NOT NULL,
    doc         TEXT NOT NULL
);
CREATE INDEX ended_by_member ON ended (agent, username, id);
CREATE INDEX ended_by_start ON ended (started, ended, id);
CREATE INDEX ended_by_end ON ended (ended);

-- Webhooks on their way. next is when one is due, dead when it was given up; 0:
-- it was not.
CREATE TABLE deliveries (
    id      TEXT NOT NULL UNIQUE,
    agent   TEXT NOT NULL,
    next    INTEGER NOT NULL,
    dead    INTEGER NOT NULL,
    created INTEGER NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (agent, next, id) WHERE dead = 0;
CREATE INDEX deliveries_dead ON deliveries (created) WHERE dead > 0;
CREATE INDEX deliveries_by_agent ON deliveries (agent, id);
