package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

func (h *history) AddRequests(ctx context.Context, records []rollcall.RequestRecord) error {
	if len(records) == 0 {
		return nil
	}
	list, odd := byKey(records)
	return outage("add request records", h.db.change(ctx, func(tx *sql.Tx) error {
		for _, r := range odd {
			if err := addOdd(ctx, tx, r); err != nil {
				return err
			}
		}
		list, err := h.fresh(ctx, tx, list)
		for err == nil && len(list) > 0 {
			n, newest := batchOf(list)
			err = h.putBatch(ctx, tx, list[:n], newest)
			list = list[n:]
		}
		return err
	}))
}

func addOdd(ctx context.Context, tx *sql.Tx, r *rollcall.RequestRecord) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO requests (log_uuid, at, doc) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		r.LogUUID, r.At.UnixMilli(), string(doc))
	return err
}

const addBatchText = `INSERT INTO request_batches (first, last, newest, count, records) VALUES ($1, $2, $3, $4, $5)`

func (h *history) putBatch(ctx context.Context, tx *sql.Tx, records []keyed, newest int64) error {
	packed, err := pack(records)
	if err != nil {
		return err
	}
	first, last := records[0].key, records[len(records)-1].key
	add := tx.StmtContext(ctx, h.addBatch) //nolint:sqlclosecheck // it is closed with the transaction
	_, err = add.ExecContext(ctx, first.bytes(), last.bytes(), newest, len(records), packed)
	return err
}

const (
	// overlapText is the batches that may have keys from $2 to $3; $1 is $2 less a
	// batch's span.
	overlapText   = `SELECT first, records FROM request_batches WHERE first >= $1 AND first <= $3 AND last >= $2 ORDER BY first`
	documentsText = `SELECT log_uuid FROM requests WHERE log_uuid >= $1 AND log_uuid <= $2`
)

// fresh returns those that are not there yet. They are in the order of their keys.
func (h *history) fresh(ctx context.Context, tx *sql.Tx, list []keyed) ([]keyed, error) {
	if len(list) == 0 {
		return list, nil
	}
	there := make(map[key]bool)
	have := func(k key) {
		if _, found := slices.BinarySearchFunc(list, k, func(r keyed, k key) int { return r.key.compare(k) }); found {
			there[k] = true
		}
	}
	first, last := list[0].key, list[len(list)-1].key
	err := errors.Join(
		query(ctx, prepared{tx.StmtContext(ctx, h.overlap)}, "look for request records", func(rows *sql.Rows) error {
			var from, packed sql.RawBytes
			if err := rows.Scan(&from, &packed); err != nil {
				return err
			}
			keys, err := unpackKeys(packed)
			for _, k := range keys {
				have(k)
			}
			return err
		}, "", first.lessSpan().bytes(), first.bytes(), last.bytes()),
		query(ctx, prepared{tx.StmtContext(ctx, h.documents)}, "look for request records", func(rows *sql.Rows) error {
			var id sql.RawBytes
			err := rows.Scan(&id)
			if len(id) == len(uuid.UUID{}) {
				have(keyFrom(id))
			}
			return err
		}, "", first.bytes(), last.bytes()),
	)
	if len(there) == 0 || err != nil {
		return list, err
	}
	return slices.DeleteFunc(list, func(r keyed) bool { return there[r.key] }), nil
}

// prepared is a querier that knows its query.
type prepared struct{ *sql.Stmt }

// QueryContext ignores the query that it is given.
func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.Stmt.QueryContext(ctx, args...)
}
