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
	"github.com/rollcall-server/rollcall/internal/roll"
)

const addDeliveriesText = `INSERT INTO deliveries (id, agent, next, dead, created, doc)
	SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) ON CONFLICT DO NOTHING`

func (h *history) AddDeliveries(ctx context.Context, deliveries []rollcall.WebhookDelivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	deliveries = slices.Clone(deliveries)
	slices.SortStableFunc(deliveries, func(a, b rollcall.WebhookDelivery) int { return cmp.Compare(a.ID, b.ID) })
	var ids, agents, docs []string
	var next, dead, created []int64
	for i := range deliveries {
		d := &deliveries[i]
		doc, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("postgres: webhook %s: %w", d.ID, err)
		}
		ids, agents, docs = append(ids, plain(d.ID)), append(agents, plain(d.AgentID)), append(docs, string(doc))
		next, dead, created = append(next, micros(d.NextAt)), append(dead, micros(d.DeadAt)), append(created, micros(d.CreatedAt))
	}
	_, err := h.bulk.exec(ctx, addDeliveriesText, ids, agents, next, dead, created, docs)
	return outage("add webhooks", err)
}

// dueText steps from agent to agent, and takes of each the few that are due
// longest: an agent with a million waiting costs no more than others. claimText
// moves them on. What another claim has in hand is passed over.
const (
	dueText = `
	WITH RECURSIVE waiting (agent) AS (
		(SELECT agent FROM deliveries WHERE dead = 0 ORDER BY agent LIMIT 1)
		UNION ALL
		SELECT (SELECT agent FROM deliveries WHERE dead = 0 AND agent > waiting.agent ORDER BY agent LIMIT 1)
		FROM waiting WHERE waiting.agent IS NOT NULL)
	SELECT d.place, d.id, d.next FROM waiting CROSS JOIN LATERAL (
		SELECT ctid AS place, id, next FROM deliveries WHERE dead = 0 AND agent = waiting.agent AND next <= $1
		ORDER BY next, id LIMIT $2 FOR UPDATE SKIP LOCKED) d
	WHERE waiting.agent <> ALL ($3::text[]) ORDER BY d.next, d.id LIMIT $4`
	claimText = `
	WITH due AS (` + dueText + `),
		claimed AS (UPDATE deliveries SET next = $5 WHERE ctid = ANY (ARRAY(SELECT place FROM due)) RETURNING id, next, doc)
	SELECT c.next, c.doc FROM claimed c JOIN due USING (id) ORDER BY due.next, due.id`
)

func (h *history) ClaimDeliveries(ctx context.Context, c roll.DeliveryClaim) ([]rollcall.WebhookDelivery, error) {
	if c.Except == nil {
		c.Except = []string{}
	}
	return h.deliveries(ctx, "claim webhooks", claimText, micros(c.Now), max(0, c.PerAgent), c.Except, max(0, c.Limit), micros(c.Until))
}

const putDeliveryText = `UPDATE deliveries SET agent = $1, next = $2, dead = $3, created = $4, doc = $5 WHERE id = $6`

func (h *history) PutDelivery(ctx context.Context, d rollcall.WebhookDelivery) error {
	doc, err := json.Marshal(&d)
	if err != nil {
		return fmt.Errorf("postgres: webhook %s: %w", d.ID, err)
	}
	if !storable(d.ID) {
		return nil
	}
	_, err = h.db.exec(ctx, putDeliveryText, plain(d.AgentID), micros(d.NextAt), micros(d.DeadAt), micros(d.CreatedAt), string(doc), d.ID)
	return outage("put webhook", err)
}

func (h *history) DropDelivery(ctx context.Context, id string) error {
	if !storable(id) {
		return nil
	}
	_, err := h.db.exec(ctx, `DELETE FROM deliveries WHERE id = $1`, id)
	return outage("drop webhook", err)
}

func (h *history) Delivery(ctx context.Context, id string) (d rollcall.WebhookDelivery, err error) {
	if !storable(id) {
		return d, rollcall.ErrNotFound
	}
	list, err := h.deliveries(ctx, "get webhook", `SELECT next, doc FROM deliveries WHERE id = $1`, id)
	if err != nil {
		return d, err
	}
	if len(list) == 0 {
		return d, rollcall.ErrNotFound
	}
	return list[0], nil
}

// deliveriesText is the query of a page. What it asks of dead are the words of
// the partial indexes.
func deliveriesText(dead, ofAgent bool) string {
	text := `SELECT next, doc FROM deliveries WHERE id > $1 AND dead = 0`
	if dead {
		text = `SELECT next, doc FROM deliveries WHERE id > $1 AND dead > 0`
	}
	if ofAgent {
		text += ` AND agent = $3`
	}
	return text + ` ORDER BY id LIMIT $2`
}

func (h *history) DeliveriesOf(ctx context.Context, agentID string, dead bool, after string, limit int) ([]rollcall.WebhookDelivery, error) {
	if !storable(agentID, after) {
		return []rollcall.WebhookDelivery{}, nil
	}
	args := []any{after, max(0, limit)}
	if agentID != "" {
		args = append(args, agentID)
	}
	return h.deliveries(ctx, "list webhooks", deliveriesText(dead, agentID != ""), args...)
}

func (h *history) deliveries(ctx context.Context, doing, text string, args ...any) ([]rollcall.WebhookDelivery, error) {
	list := []rollcall.WebhookDelivery{}
	err := h.db.each(ctx, func(rows pgx.Rows) error {
		var d rollcall.WebhookDelivery
		var next int64
		var doc string
		if err := rows.Scan(&next, &doc); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(doc), &d)
		d.NextAt = timeOf(next)
		list = append(list, d)
		return err
	}, text, args...)
	if err != nil {
		return nil, outage(doing, err)
	}
	return list, nil
}

const pruneDeliveriesText = `DELETE FROM deliveries WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM deliveries WHERE dead > 0 AND created < $1 ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED))`

func (h *history) PruneDeliveries(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := h.slow.exec(ctx, pruneDeliveriesText, micros(before), max(0, limit))
	return n, outage("prune webhooks", err)
}
