-- +goose Up
-- Request records, many in a row, in the form of pack.go. first and last are the
-- least and the greatest of their UUIDs, as 16 bytes. They are seconds apart at
-- most (batchSpan), so who looks for one UUID looks at a short range of first.
-- newest is the time of the youngest, in Unix ms, count how many there are.
--
-- The table requests keeps those that are in it until they are old; what comes
-- into it are records whose logUUID is no UUID.
CREATE TABLE request_batches (
    id      INTEGER PRIMARY KEY,
    first   BLOB NOT NULL,
    last    BLOB NOT NULL,
    newest  INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    records BLOB NOT NULL
);
CREATE INDEX request_batches_by_key ON request_batches (first, last);
CREATE INDEX request_batches_by_time ON request_batches (newest, count);
