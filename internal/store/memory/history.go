package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

type history struct {
	mu    sync.Mutex
	of    map[string]rollcall.RequestRecord
	ended map[string]rollcall.EndedSession
	sends map[string]rollcall.WebhookDelivery
}

func (h *history) AddRequests(_ context.Context, records []rollcall.RequestRecord) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		if _, have := h.of[r.LogUUID]; !have {
			r.Checks, r.Findings = slices.Clone(r.Checks), slices.Clone(r.Findings)
			h.of[r.LogUUID] = r
		}
	}
	return nil
}

func (h *history) Request(_ context.Context, logUUID string) (rollcall.RequestRecord, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, have := h.of[logUUID]
	if !have {
		return r, rollcall.ErrNotFound
	}
	r.Checks, r.Findings = slices.Clone(r.Checks), slices.Clone(r.Findings)
	return r, nil
}

func (h *history) RequestsAfter(_ context.Context, after string, limit int) ([]rollcall.RequestRecord, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []rollcall.RequestRecord{}
	for id, r := range h.of {
		if id > after {
			r.Checks, r.Findings = slices.Clone(r.Checks), slices.Clone(r.Findings)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b rollcall.RequestRecord) int { return cmp.Compare(a.LogUUID, b.LogUUID) })
	return list[:min(limit, len(list))], nil
}

func (h *history) Prune(_ context.Context, before time.Time, limit int) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return prune(h.of, limit, func(r rollcall.RequestRecord) bool { return r.At.Before(before) }), nil
}

// prune removes at most limit values that are old and returns how many.
func prune[K comparable, V any](from map[K]V, limit int, old func(V) bool) (pruned int) {
	for key, value := range from {
		if pruned < limit && old(value) {
			delete(from, key)
			pruned++
		}
	}
	return pruned
}

func (h *history) Ping(ctx context.Context) error { return ctx.Err() }

func (h *history) AddEnded(_ context.Context, ended []rollcall.EndedSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range ended {
		if _, have := h.ended[e.ID]; !have {
			h.ended[e.ID] = e
		}
	}
	return nil
}

func (h *history) Settle(_ context.Context, settled []rollcall.EndedSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range settled {
		if e, have := h.ended[s.ID]; have && e.GameServer == s.GameServer && e.Note == "" && e.SettledAt.IsZero() {
			e.Note, e.SettledAt = s.Note, s.SettledAt
			h.ended[s.ID] = e
		}
	}
	return nil
}

func (h *history) Ended(_ context.Context, ids []string) ([]rollcall.EndedSession, error) {
	return h.pick(func(e *rollcall.EndedSession) bool { return slices.Contains(ids, e.ID) }), nil
}

func (h *history) EndedOf(_ context.Context, agentID, username, before string, limit int) ([]rollcall.EndedSession, error) {
	list := h.pick(func(e *rollcall.EndedSession) bool {
		return e.AgentID == agentID && e.Username == username && (before == "" || e.ID < before)
	})
	slices.Reverse(list)
	return list[:min(limit, len(list))], nil
}

func (h *history) EndedAround(_ context.Context, at time.Time, filter rollcall.SessionFilter, after string, limit int) ([]rollcall.EndedSession, error) {
	list := h.pick(func(e *rollcall.EndedSession) bool {
		return !e.StartedAt.After(at) && e.EndedAt.After(at) && filter.Picks(&e.Session) && e.ID > after
	})
	return list[:min(limit, len(list))], nil
}

func (h *history) EndedAfter(_ context.Context, after string, limit int) ([]rollcall.EndedSession, error) {
	list := h.pick(func(e *rollcall.EndedSession) bool { return e.ID > after })
	return list[:min(limit, len(list))], nil
}

// pick returns those that which is true of, by ID.
func (h *history) pick(which func(*rollcall.EndedSession) bool) []rollcall.EndedSession {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []rollcall.EndedSession{}
	for _, e := range h.ended {
		if which(&e) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b rollcall.EndedSession) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (h *history) PruneEnded(_ context.Context, before time.Time, limit int) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return prune(h.ended, limit, func(e rollcall.EndedSession) bool { return e.EndedAt.Before(before) }), nil
}
