package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
)

// A history keeps request records, ended sessions and webhooks. Batches are
// sorted by key, so that two that have keys in common do not lock each other out.
type history struct {
	db, bulk, slow         *database
	requestDays, endedDays *days
	spare                  sync.Pool // of *records
}

func newHistory(db *database, o *Options) *history {
	h := &history{db: db, bulk: db.slow(3), slow: db.slow(10)}
	h.spare.New = func() any { return &records{} }
	h.requestDays = newDays(db, "requests", "at", o)
	h.endedDays = newDays(db, "ended", "ended", o)
	return h
}

const addRequestsText = `INSERT INTO requests (id, at, doc) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT DO NOTHING`

// records are columns of a batch of request records.
type records struct {
	order         []int // of the records, by LogUUID
	ids           []string
	texts, at, of array // the IDs, the moments and the documents
}

func (h *history) AddRequests(ctx context.Context, list []rollcall.RequestRecord) error {
	if len(list) == 0 {
		return nil
	}
	c := h.spare.Get().(*records)
	defer h.spare.Put(c)
	if err := c.fill(list); err != nil {
		return err
	}
	h.requestDays.ready(ctx, c.ids)
	return outage("add request records", h.bulk.execArrays(ctx, addRequestsText, &c.texts, &c.at, &c.of))
}

func (c *records) fill(list []rollcall.RequestRecord) (err error) {
	c.order, c.ids = c.order[:0], c.ids[:0]
	for i := range list {
		c.order = append(c.order, i)
	}
	slices.SortStableFunc(c.order, func(a, b int) int { return cmp.Compare(list[a].LogUUID, list[b].LogUUID) })
	c.texts.texts()
	c.at.bigints()
	c.of.texts()
	for _, i := range c.order {
		r := &list[i]
		c.ids = append(c.ids, plain(r.LogUUID))
		c.texts.addText(c.ids[len(c.ids)-1])
		c.at.addBigint(micros(r.At))
		c.of.begin()
		if c.of.bytes, err = appendRecord(c.of.bytes, r); err != nil {
			return fmt.Errorf("postgres: request record %s: %w", r.LogUUID, err)
		}
		c.of.end()
	}
	return nil
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
