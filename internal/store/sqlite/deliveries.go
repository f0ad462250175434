package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (h *history) AddDeliveries(ctx context.Context, deliveries []rollcall.WebhookDelivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	return outage("add webhooks", h.db.changeSynced(ctx, h.sync, func(tx *sql.Tx) error {
		for i := range deliveries {
			d := &deliveries[i]
			doc, err := json.Marshal(d)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx,
				`INSERT INTO deliveries (id, agent, next, dead, created, doc) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
				d.ID, d.AgentID, nanos(d.NextAt), nanos(d.DeadAt), nanos(d.CreatedAt), string(doc))
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// claimText steps from agent to agent, and takes of each the few that are due
// longest: an agent with a million waiting costs no more than others.
const claimText = `
	WITH RECURSIVE waiting (agent) AS (
		SELECT min(agent) FROM deliveries WHERE dead = 0
		UNION ALL
		SELECT (SELECT min(agent) FROM deliveries WHERE dead = 0 AND agent > waiting.agent) FROM waiting WHERE agent IS NOT NULL)
	SELECT 0, d.doc FROM waiting JOIN deliveries d ON d.rowid IN (
		SELECT rowid FROM deliveries WHERE dead = 0 AND agent = waiting.agent AND next <= $1 ORDER BY next, id LIMIT $2)
	WHERE waiting.agent NOT IN (SELECT value FROM json_each($3)) ORDER BY d.next, d.id LIMIT $4`

func (h *history) ClaimDeliveries(ctx context.Context, c roll.DeliveryClaim) (due []rollcall.WebhookDelivery, err error) {
	if c.Except == nil {
		c.Except = []string{}
	}
	except, err := json.Marshal(c.Except)
	if err != nil {
		return nil, err
	}
	args := []any{nanos(c.Now), max(0, c.PerAgent), string(except), max(0, c.Limit)}
	// Mostly nothing is due, which reading finds out without holding up a writer.
	if due, err = h.deliveries(ctx, h.db.read, "look for webhooks", claimText, args...); err != nil || len(due) == 0 {
		return due, err
	}
	err = h.db.change(ctx, func(tx *sql.Tx) error {
		if due, err = h.deliveries(ctx, tx, "claim webhooks", claimText, args...); err != nil {
			return err
		}
		for i := range due {
			due[i].NextAt = c.Until
			if err := putDelivery(ctx, tx, &due[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, outage("claim webhooks", err)
	}
	return due, nil
}

// An executor is a *sql.DB or a *sql.Tx.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func putDelivery(ctx context.Context, on executor, d *rollcall.WebhookDelivery) error {
	doc, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = on.ExecContext(ctx, `UPDATE deliveries SET agent = $1, next = $2, dead = $3, created = $4, doc = $5 WHERE id = $6`,
		d.AgentID, nanos(d.NextAt), nanos(d.DeadAt), nanos(d.CreatedAt), string(doc), d.ID)
	return err
}

func (h *history) PutDelivery(ctx context.Context, d rollcall.WebhookDelivery) error {
	return outage("put webhook", putDelivery(ctx, h.db.write, &d))
}

func (h *history) DropDelivery(ctx context.Context, id string) error {
	_, err := h.db.write.ExecContext(ctx, `DELETE FROM deliveries WHERE id = $1`, id)
	return outage("drop webhook", err)
}

func (h *history) Delivery(ctx context.Context, id string) (d rollcall.WebhookDelivery, err error) {
	var doc string
	err = h.db.read.QueryRowContext(ctx, `SELECT doc FROM deliveries WHERE id = $1`, id).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return d, rollcall.ErrNotFound
	}
	if err != nil {
		return d, outage("get webhook", err)
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return d, fmt.Errorf("sqlite: webhook %s: %w", id, err)
	}
	return d, nil
}

func (h *history) DeliveriesOf(ctx context.Context, agentID string, dead bool, after string, limit int) ([]rollcall.WebhookDelivery, error) {
	text, args := `SELECT 0, doc FROM deliveries WHERE id > $1 AND (dead > 0) = $2 ORDER BY id LIMIT $3`, []any{after, dead, max(0, limit)}
	if agentID != "" {
		text = `SELECT 0, doc FROM deliveries WHERE id > $1 AND (dead > 0) = $2 AND agent = $4 ORDER BY id LIMIT $3`
		args = append(args, agentID)
	}
	return h.deliveries(ctx, h.db.read, "list webhooks", text, args...)
}

func (h *history) deliveries(ctx context.Context, on querier, doing, text string, args ...any) ([]rollcall.WebhookDelivery, error) {
	list := []rollcall.WebhookDelivery{}
	err := docsOn(ctx, on, doing, decoded(func(_ int64, d rollcall.WebhookDelivery) { list = append(list, d) }), text, args...)
	return list, err
}

func (h *history) PruneDeliveries(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := removed(h.db.write.ExecContext(ctx,
		`DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries WHERE dead > 0 AND created < $1 ORDER BY created LIMIT $2)`,
		nanos(before), max(0, limit)))
	return n, outage("prune webhooks", err)
}
