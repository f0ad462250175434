package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
)

// A history keeps request records, ended sessions and webhooks. Batches are
// sorted by key, so that two that have keys in common do not lock each other out.
type history struct {
	db, bulk, slow         *database
	requestDays, endedDays *days
}

func newHistory(db *database, o *Options) *history {
	h := &history{db: db, bulk: db.slow(3), slow: db.slow(10)}
	h.requestDays = newDays(db, "requests", "at", o)
	h.endedDays = newDays(db, "ended", "ended", o)
	return h
}

const addRequestsText = `INSERT INTO requests (id, at, doc) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT DO NOTHING`

func (h *history) AddRequests(ctx context.Context, records []rollcall.RequestRecord) error {
	if len(records) == 0 {
		return nil
	}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b rollcall.RequestRecord) int { return cmp.Compare(a.LogUUID, b.LogUUID) })
	ids, at, docs := make([]string, len(records)), make([]int64, len(records)), make([]string, len(records))
	var doc []byte
	for i := range records {
		var err error
		if doc, err = appendRecord(doc[:0], &records[i]); err != nil {
			return fmt.Errorf("postgres: request record %s: %w", records[i].LogUUID, err)
		}
		ids[i], at[i], docs[i] = plain(records[i].LogUUID), micros(records[i].At), string(doc)
	}
	h.requestDays.ready(ctx, ids)
	_, err := h.bulk.exec(ctx, addRequestsText, ids, at, docs)
	return outage("add request records", err)
}

const (
	requestText       = `SELECT doc FROM requests WHERE id = $1`
	requestsAfterText = `SELECT doc FROM requests WHERE id > $1 ORDER BY id LIMIT $2`
)

func (h *history) Request(ctx context.Context, logUUID string) (rollcall.RequestRecord, error) {
	list, err := h.requests(ctx, "get request record", requestText, logUUID)
	if err == nil && len(list) == 0 {
		return rollcall.RequestRecord{}, rollcall.ErrNotFound
	}
	if err != nil {
		return rollcall.RequestRecord{}, err
	}
	return list[0], nil
}

func (h *history) RequestsAfter(ctx context.Context, after string, limit int) ([]rollcall.RequestRecord, error) {
	return h.requests(ctx, "list request records", requestsAfterText, after, max(0, limit))
}

func (h *history) requests(ctx context.Context, doing, text, id string, args ...any) ([]rollcall.RequestRecord, error) {
	list := []rollcall.RequestRecord{}
	if !storable(id) {
		return list, nil
	}
	err := h.db.each(ctx, func(rows pgx.Rows) error {
		var doc string
		var r rollcall.RequestRecord
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(doc), &r)
		list = append(list, r)
		return err
	}, text, append([]any{id}, args...)...)
	if err != nil {
		return nil, outage(doing, err)
	}
	return list, nil
}

func (h *history) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := h.requestDays.prune(ctx, before, limit)
	return n, outage("prune request records", err)
}

func (h *history) Ping(ctx context.Context) error { return h.db.ping(ctx) }
