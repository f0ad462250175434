package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (s *sessions) hasKick(id string) bool {
	_, have := s.kicks[id]
	return have
}

func (s *sessions) AddKick(_ context.Context, k rollcall.Kick) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hasKick(k.ID) {
		s.apply(live.Step{Kicks: []rollcall.Kick{k}})
	}
	return nil
}

func (s *sessions) FinishKick(_ context.Context, id string, state rollcall.KickState, now time.Time) (rollcall.Kick, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, have := s.kicks[id]
	if !have {
		return k, rollcall.ErrNotFound
	}
	if k.State == rollcall.KickRunning {
		k.State, k.FinishedAt = state, now
		s.apply(live.Step{Kicks: []rollcall.Kick{k}})
	}
	return k, nil
}

func (s *sessions) KickState(_ context.Context, id string) (rollcall.KickState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, have := s.kicks[id]
	if !have {
		return "", rollcall.ErrNotFound
	}
	return k.State, nil
}

// progress counts a kick's receipts. The store is locked.
func (s *sessions) progress(kickID string) (p rollcall.KickProgress) {
	for _, r := range s.receipts {
		if r.KickID != kickID {
			continue
		}
		p.Ended++
		p.Delivered += one(r.DeliveredAt)
		p.Acknowledged += one(r.AcknowledgedAt)
		p.Settled += one(r.EndedAt)
	}
	return p
}

func one(at time.Time) int {
	if at.IsZero() {
		return 0
	}
	return 1
}

func (s *sessions) Kick(_ context.Context, id string) (rollcall.Kick, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, have := s.kicks[id]
	if !have {
		return k, rollcall.ErrNotFound
	}
	k.Progress = s.progress(id)
	return k, nil
}

func (s *sessions) Kicks(_ context.Context, before string, running bool, limit int) ([]rollcall.Kick, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kicks := []rollcall.Kick{}
	for _, k := range s.kicks {
		if (before == "" || k.ID < before) && (!running || k.State == rollcall.KickRunning) {
			if !running {
				k.Progress = s.progress(k.ID)
			}
			kicks = append(kicks, k)
		}
	}
	slices.SortFunc(kicks, func(a, b rollcall.Kick) int { return strings.Compare(b.ID, a.ID) })
	return kicks[:min(limit, len(kicks))], nil
}

func (s *sessions) Receipts(_ context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	receipts := []rollcall.Receipt{}
	for _, r := range s.receipts {
		if kickID != "" && r.KickID == kickID && r.Seq > after {
			receipts = append(receipts, r)
		}
	}
	slices.SortFunc(receipts, func(a, b rollcall.Receipt) int { return cmp.Compare(a.Seq, b.Seq) })
	return receipts[:min(limit, len(receipts))], nil
}

func (s *sessions) PruneEvents(_ context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pruned := prune(s.receipts, limit, func(r rollcall.Receipt) bool { return r.QueuedAt.Before(before) })
	pruned += prune(s.kicks, limit-pruned, func(k rollcall.Kick) bool {
		return k.At.Before(before) && k.State != rollcall.KickRunning
	})
	if pruned < limit { // none is left
		s.book.ForgetBefore(before, s.now().Add(-roll.MaxLifetime))
	}
	return pruned, nil
}
