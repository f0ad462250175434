package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

// A history keeps request records, ended sessions and webhooks in history.db.
// sync is for what comes from the outbox, which forgets it then.
type history struct {
	db   *database
	sync Sync
}

func (h *history) AddRequests(ctx context.Context, records []rollcall.RequestRecord) error {
	return outage("add request records", h.db.change(ctx, func(tx *sql.Tx) error {
		add, err := tx.PrepareContext(ctx, `INSERT INTO requests (log_uuid, at, doc) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer add.Close()
		for i := range records {
			if err := addRequest(ctx, add, &records[i]); err != nil {
				return err
			}
		}
		return nil
	}))
}

func addRequest(ctx context.Context, add *sql.Stmt, r *rollcall.RequestRecord) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = add.ExecContext(ctx, requestKey(r.LogUUID), r.At.UnixMilli(), string(doc))
	return err
}

// requestKey returns the 16 bytes of a UUID, and any other text as it is: one
// odd record must not keep its whole batch from being stored.
func requestKey(logUUID string) any {
	if id, err := uuid.Parse(logUUID); err == nil {
		return id[:]
	}
	return logUUID
}

func (h *history) Request(ctx context.Context, logUUID string) (r rollcall.RequestRecord, err error) {
	var doc string
	err = h.db.read.QueryRowContext(ctx, `SELECT doc FROM requests WHERE log_uuid = $1`, requestKey(logUUID)).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return r, rollcall.ErrNotFound
	}
	if err != nil {
		return r, outage("get request record", err)
	}
	if err := json.Unmarshal([]byte(doc), &r); err != nil {
		return r, fmt.Errorf("sqlite: request record %s: %w", logUUID, err)
	}
	return r, nil
}

// RequestsAfter has texts that are no UUIDs in front of all that are.
func (h *history) RequestsAfter(ctx context.Context, after string, limit int) ([]rollcall.RequestRecord, error) {
	list := []rollcall.RequestRecord{}
	err := docs(ctx, h.db, "list request records", decoded(func(_ int64, r rollcall.RequestRecord) { list = append(list, r) }),
		`SELECT 0, doc FROM requests WHERE log_uuid > $1 ORDER BY log_uuid LIMIT $2`, requestKey(after), max(0, limit))
	return list, err
}

func (h *history) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := removed(h.db.write.ExecContext(ctx,
		`DELETE FROM requests WHERE log_uuid IN (SELECT log_uuid FROM requests WHERE at < $1 ORDER BY at LIMIT $2)`, before.UnixMilli(), limit))
	return n, outage("prune request records", err)
}

func (h *history) Ping(ctx context.Context) error { return h.db.ping(ctx) }
