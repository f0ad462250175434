package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

// A history keeps request records, ended sessions and webhooks in history.db.
// sync is for what comes from the outbox, which forgets it then.
//
// Request records are kept in batches, since a row of its own costs a record ten
// times as much. Records that were there before batches, and those whose logUUID
// is no UUID, are in the table requests, each as a document.
type history struct {
	db   *database
	sync Sync
	// What each batch does.
	overlap, documents, addBatch *sql.Stmt
}

func openHistory(ctx context.Context, db *database, sync Sync) (*history, error) {
	h := &history{db: db, sync: sync}
	for text, stmt := range map[string]**sql.Stmt{overlapText: &h.overlap, documentsText: &h.documents, addBatchText: &h.addBatch} {
		var err error
		if *stmt, err = db.write.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // they are closed with the database
			return nil, outage("prepare", err)
		}
	}
	return h, nil
}

// Request finds a UUID in whatever form it is written.
func (h *history) Request(ctx context.Context, logUUID string) (r rollcall.RequestRecord, err error) {
	var found []rollcall.RequestRecord
	keep := func(r rollcall.RequestRecord) { found = append(found, r) }
	var id []byte
	if u, err := uuid.Parse(logUUID); err == nil {
		id = u[:]
		if err := h.inBatches(ctx, keyFrom(id), keep); err != nil {
			return r, err
		}
	}
	if len(found) == 0 {
		err = docs(ctx, h.db, "get request record", decoded(func(_ int64, r rollcall.RequestRecord) { keep(r) }),
			`SELECT 0, doc FROM requests WHERE log_uuid IN ($1, $2)`, id, logUUID)
	}
	if err == nil && len(found) == 0 {
		err = rollcall.ErrNotFound
	}
	if err != nil {
		return r, err
	}
	return found[0], nil
}

func (h *history) inBatches(ctx context.Context, k key, keep func(rollcall.RequestRecord)) error {
	return query(ctx, h.db.read, "get request record", func(rows *sql.Rows) error {
		_, list, err := batchIn(rows)
		i, ok := slices.BinarySearchFunc(list, k.String(), func(r rollcall.RequestRecord, id string) int { return strings.Compare(r.LogUUID, id) })
		if ok {
			keep(list[i])
		}
		return err
	}, overlapText, k.lessSpan().bytes(), k.bytes(), k.bytes())
}

// batchIn reads a row of first and records.
func batchIn(rows *sql.Rows) (first string, list []rollcall.RequestRecord, err error) {
	var from, packed sql.RawBytes
	if err := rows.Scan(&from, &packed); err != nil {
		return "", nil, err
	}
	list, err = unpack(packed)
	return keyFrom(from).String(), list, err
}

// RequestsAfter has texts that are no UUIDs in front of all that are.
func (h *history) RequestsAfter(ctx context.Context, after string, limit int) ([]rollcall.RequestRecord, error) {
	limit = max(0, limit)
	k, isKey := keyOf(after)
	var from any = after
	if isKey {
		from = k.bytes()
	} else {
		after = ""
	}
	list := []rollcall.RequestRecord{}
	err := docs(ctx, h.db, "list request records", decoded(func(_ int64, r rollcall.RequestRecord) { list = append(list, r) }),
		`SELECT 0, doc FROM requests WHERE log_uuid > $1 ORDER BY log_uuid LIMIT $2`, from, limit)
	if err != nil {
		return nil, err
	}
	batched, err := h.batchedAfter(ctx, k, after, limit)
	if err != nil {
		return nil, err
	}
	list = merge(list, batched)
	return list[:min(limit, len(list))], nil
}

// afterText is the batches that may have keys from $2 on; $1 is $2 less a batch's
// span.
const afterText = `SELECT first, records FROM request_batches WHERE first >= $1 AND last >= $2 ORDER BY first`

// batchedAfter returns those of the batches, from k on, and at least limit of them
// if there are so many. Batches overlap, so it reads on until one begins behind
// what is returned.
func (h *history) batchedAfter(ctx context.Context, k key, after string, limit int) ([]rollcall.RequestRecord, error) {
	rows, err := h.db.read.QueryContext(ctx, afterText, k.lessSpan().bytes(), k.bytes())
	if err != nil {
		return nil, outage("list request records", err)
	}
	defer rows.Close()
	var list []rollcall.RequestRecord
	for rows.Next() {
		first, batch, err := batchIn(rows)
		if err != nil {
			return nil, outage("list request records", err)
		}
		if sortByID(list); len(list) >= limit && (limit == 0 || list[limit-1].LogUUID < first) {
			break
		}
		for i := range batch {
			if batch[i].LogUUID > after {
				list = append(list, batch[i])
			}
		}
	}
	sortByID(list)
	return list, outage("list request records", rows.Err())
}

func sortByID(list []rollcall.RequestRecord) {
	slices.SortFunc(list, func(a, b rollcall.RequestRecord) int { return strings.Compare(a.LogUUID, b.LogUUID) })
}

// merge merges documents, texts that are no UUIDs in front, and records that have
// one each.
func merge(docs, batched []rollcall.RequestRecord) []rollcall.RequestRecord {
	list := make([]rollcall.RequestRecord, 0, len(docs)+len(batched))
	for _, r := range docs {
		if _, isKey := keyOf(r.LogUUID); isKey {
			n, _ := slices.BinarySearchFunc(batched, r.LogUUID, func(b rollcall.RequestRecord, id string) int { return strings.Compare(b.LogUUID, id) })
			list = append(list, batched[:n]...)
			batched = batched[n:]
		}
		list = append(list, r)
	}
	return append(list, batched...)
}

func (h *history) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := removed(h.db.write.ExecContext(ctx,
		`DELETE FROM requests WHERE log_uuid IN (SELECT log_uuid FROM requests WHERE at < $1 ORDER BY at LIMIT $2)`, before.UnixMilli(), max(0, limit)))
	if err != nil {
		return n, outage("prune request records", err)
	}
	err = query(ctx, h.db.write, "prune request records", func(rows *sql.Rows) error {
		var count int
		err := rows.Scan(&count)
		n += count
		return err
	}, pruneText, before.UnixMilli(), max(0, limit-n))
	return n, err
}

// pruneText removes the oldest batches that are older than $1, until these have
// $2 records.
const pruneText = `DELETE FROM request_batches WHERE id IN (SELECT id FROM (
	SELECT id, sum(count) OVER (ORDER BY newest, id) - count AS sooner FROM request_batches WHERE newest < $1 ORDER BY newest, id LIMIT $2
) WHERE sooner < $2) RETURNING count`

func (h *history) Ping(ctx context.Context) error { return h.db.ping(ctx) }
