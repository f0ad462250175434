package memory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (h *history) AddDeliveries(_ context.Context, deliveries []rollcall.WebhookDelivery) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range deliveries {
		if _, have := h.sends[d.ID]; !have {
			h.sends[d.ID] = copied(d)
		}
	}
	return nil
}

func copied(d rollcall.WebhookDelivery) rollcall.WebhookDelivery {
	d.Body = slices.Clone(d.Body)
	return d
}

func (h *history) ClaimDeliveries(_ context.Context, c roll.DeliveryClaim) ([]rollcall.WebhookDelivery, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := h.pickDeliveries(func(d *rollcall.WebhookDelivery) bool {
		return d.DeadAt.IsZero() && !d.NextAt.After(c.Now) && !slices.Contains(c.Except, d.AgentID)
	})
	slices.SortStableFunc(due, func(a, b rollcall.WebhookDelivery) int { return a.NextAt.Compare(b.NextAt) })
	claimed, of := []rollcall.WebhookDelivery{}, make(map[string]int)
	for _, d := range due {
		if of[d.AgentID] == c.PerAgent || len(claimed) >= c.Limit {
			continue
		}
		of[d.AgentID]++
		d.NextAt = c.Until
		h.sends[d.ID] = d
		claimed = append(claimed, copied(d))
	}
	return claimed, nil
}

func (h *history) PutDelivery(_ context.Context, d rollcall.WebhookDelivery) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, have := h.sends[d.ID]; have {
		h.sends[d.ID] = copied(d)
	}
	return nil
}

func (h *history) DropDelivery(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sends, id)
	return nil
}

func (h *history) Delivery(_ context.Context, id string) (rollcall.WebhookDelivery, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, have := h.sends[id]
	if !have {
		return d, rollcall.ErrNotFound
	}
	return copied(d), nil
}

func (h *history) DeliveriesOf(_ context.Context, agentID string, dead bool, after string, limit int) ([]rollcall.WebhookDelivery, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.pickDeliveries(func(d *rollcall.WebhookDelivery) bool {
		return (agentID == "" || d.AgentID == agentID) && d.DeadAt.IsZero() != dead && d.ID > after
	})
	return list[:min(limit, len(list))], nil
}

// pickDeliveries returns those that which is true of, by ID. The history is
// locked.
func (h *history) pickDeliveries(which func(*rollcall.WebhookDelivery) bool) []rollcall.WebhookDelivery {
	list := []rollcall.WebhookDelivery{}
	for _, d := range h.sends {
		if which(&d) {
			list = append(list, copied(d))
		}
	}
	slices.SortFunc(list, func(a, b rollcall.WebhookDelivery) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (h *history) PruneDeliveries(_ context.Context, before time.Time, limit int) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return prune(h.sends, limit, func(d rollcall.WebhookDelivery) bool {
		return !d.DeadAt.IsZero() && d.CreatedAt.Before(before)
	}), nil
}
