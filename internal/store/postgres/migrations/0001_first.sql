-- +goose Up
-- The directory: each sort of thing a table of JSON documents by key, so that a
-- new field needs no migration. Keys are compared by bytes.
CREATE TABLE agents       (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE branches     (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE games        (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE members      (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE game_servers (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE admin_tokens (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);
CREATE TABLE token_keys   (key text COLLATE "C" PRIMARY KEY, doc text NOT NULL);

-- How often each of the tables that nodes keep in memory has changed, and what
-- the last changes were of. Who changes one holds its row until the commit, so
-- that revisions become visible in their order, without a gap.
CREATE TABLE revisions (name text COLLATE "C" PRIMARY KEY, rev bigint NOT NULL);
INSERT INTO revisions VALUES ('agents', 0), ('branches', 0), ('games', 0), ('game_servers', 0), ('admin_tokens', 0), ('token_keys', 0);
CREATE TABLE changes (
    name text COLLATE "C" NOT NULL,
    rev  bigint NOT NULL,
    key  text COLLATE "C" NOT NULL,
    PRIMARY KEY (name, rev)
);

-- All times are Unix us; 0 is none.
CREATE TABLE audit (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      bigint NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL
);

-- What grows without end is partitioned by its ID, a version 7 UUID that begins
-- with the time: a day is a range of IDs. So an ID names its partition, it is
-- unique over all of them, and a day goes by dropping a table. What has no such
-- ID, or one of a time far off, is in the partition _rest.
CREATE TABLE requests (
    id  text COLLATE "C" NOT NULL PRIMARY KEY,
    at  bigint NOT NULL,
    doc text NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX requests_by_time ON requests (at);
CREATE TABLE requests_rest PARTITION OF requests DEFAULT;

-- span sorts sessions by how long they were: see spans.go. note and settled are
-- not in doc: they come later.
CREATE TABLE ended (
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    agent       text COLLATE "C" NOT NULL,
    username    text COLLATE "C" NOT NULL,
    game        text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    game_server text COLLATE "C" NOT NULL,
    span        smallint NOT NULL,
    started     bigint NOT NULL,
    ended       bigint NOT NULL,
    settled     bigint NOT NULL,
    note        text NOT NULL,
    doc         text NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX ended_by_member ON ended (agent, username, id);
CREATE INDEX ended_by_span ON ended (span, started, ended, id);
CREATE INDEX ended_by_end ON ended (ended);
CREATE TABLE ended_rest PARTITION OF ended DEFAULT;

-- Webhooks on their way. next is when one is due, and counts, not that of doc;
-- dead when it was given up.
CREATE TABLE deliveries (
    id      text COLLATE "C" PRIMARY KEY,
    agent   text COLLATE "C" NOT NULL,
    next    bigint NOT NULL,
    dead    bigint NOT NULL,
    created bigint NOT NULL,
    doc     text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX deliveries_due ON deliveries (agent, next, id) WHERE dead = 0;
CREATE INDEX deliveries_by_agent ON deliveries (agent, id) WHERE dead = 0;
CREATE INDEX deliveries_dead_by_agent ON deliveries (agent, id) WHERE dead > 0;
CREATE INDEX deliveries_dead_by_id ON deliveries (id) WHERE dead > 0;
CREATE INDEX deliveries_dead_by_time ON deliveries (created) WHERE dead > 0;

-- One row, which a ping writes.
CREATE TABLE ping (id int PRIMARY KEY CHECK (id = 1), count bigint NOT NULL);
INSERT INTO ping VALUES (1, 0);
