package roll

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Timeline returns at most limit sessions of a member, ended and live ones, with
// an ID below before ("": the newest), newest first.
func (s *Service) Timeline(ctx context.Context, agentID, username, before string, limit int) ([]rollcall.EndedSession, error) {
	// Live ones first: one that ends meanwhile is then in both, never in none.
	active, err := s.sessions.OfMember(ctx, agentID, username, s.now())
	if err != nil {
		return nil, err
	}
	if err := s.handOnSoon(ctx); err != nil {
		return nil, err
	}
	ended, err := s.history.EndedOf(ctx, agentID, username, before, limit)
	if err != nil {
		return nil, err
	}
	active = slices.DeleteFunc(active, func(l rollcall.Session) bool { return before != "" && l.ID >= before })
	all := merged(ended, active, func(a, b string) int { return cmp.Compare(b, a) })
	return all[:min(limit, len(all))], nil
}

// OnlineAt returns at most limit sessions that were, or are, live at a moment
// and that filter picks, with an ID above after, by ID.
func (s *Service) OnlineAt(ctx context.Context, at time.Time, filter rollcall.SessionFilter, after string, limit int) ([]rollcall.EndedSession, error) {
	now := s.now()
	if at.After(now) {
		return nil, invalid("at", "a moment that has been")
	}
	active, err := s.liveSince(ctx, at, filter, after, limit)
	if err != nil {
		return nil, err
	}
	if err := s.handOnSoon(ctx); err != nil {
		return nil, err
	}
	ended, err := s.history.EndedAround(ctx, at, filter, after, limit)
	if err != nil {
		return nil, err
	}
	all := merged(ended, active, cmp.Compare[string])
	return all[:min(limit, len(all))], nil
}

// liveSince returns live sessions that had begun at a moment. Their IDs sort by
// their start, to the millisecond.
func (s *Service) liveSince(ctx context.Context, at time.Time, filter rollcall.SessionFilter, after string, limit int) ([]rollcall.Session, error) {
	list, err := s.Sessions(ctx, filter, after, limit)
	return slices.DeleteFunc(list, func(l rollcall.Session) bool { return l.StartedAt.After(at) }), err
}

// merged returns ended and live sessions in one order of their IDs. Of one that
// is in both the ended one counts.
func merged(ended []rollcall.EndedSession, active []rollcall.Session, order func(a, b string) int) []rollcall.EndedSession {
	all := slices.Clone(ended)
	for i := range active {
		id := active[i].ID
		if !slices.ContainsFunc(ended, func(e rollcall.EndedSession) bool { return e.ID == id }) {
			all = append(all, rollcall.EndedSession{Session: active[i]})
		}
	}
	slices.SortFunc(all, func(a, b rollcall.EndedSession) int { return order(a.ID, b.ID) })
	return all
}

const (
	handOnEvery = 250 * time.Millisecond
	handOnLimit = 500
	// outboxMemory is how long the outbox remembers what it has handed on, so
	// that Announce, which asks the history first, finds an end in one or the
	// other.
	outboxMemory = 15 * time.Second
)

// A handover takes changes from the outbox to the history and to the webhooks.
type handover struct {
	room   chan struct{} // holds an element while somebody is at it
	after  Position
	passed []passed
}

// passed is how far the outbox was handed on, and when.
type passed struct {
	to Position
	at time.Time
}

// handOnPatience is how long an operator's query waits for what has just ended to
// be in the history: an answer that lacks the last moments is better than none.
const handOnPatience = 2 * time.Second

// handOnSoon hands on what is in the outbox, as far as that goes fast.
func (s *Service) handOnSoon(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, handOnPatience)
	defer cancel()
	if err := s.handOn(soon); err != nil && soon.Err() == nil {
		return err
	}
	return ctx.Err()
}

// handOn hands on what is in the outbox. It may be repeated: what is there
// already is dropped.
func (s *Service) handOn(ctx context.Context) error {
	h := &s.handover
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for ctx.Err() == nil {
		changes, err := s.sessions.Changes(ctx, h.after, handOnLimit)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return s.forgetPassed(ctx)
		}
		if err := s.handOnSome(ctx, changes); err != nil {
			return err
		}
		h.after = h.after.Past(changes)
		h.passed = append(h.passed, passed{h.after, s.now()})
		if err := s.forgetPassed(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// HandOver hands on what is in the outbox to the history and the webhooks, as Run
// does, until nothing is left there.
func (s *Service) HandOver(ctx context.Context) error { return s.handOn(ctx) }

func (s *Service) handOnSome(ctx context.Context, changes []Change) error {
	var ended, settled []rollcall.EndedSession
	for i := range changes {
		switch c := &changes[i]; {
		case c.Reason != "":
			ended = append(ended, c.EndedSession)
		case !c.SettledAt.IsZero():
			settled = append(settled, c.EndedSession)
		}
	}
	if err := s.history.AddEnded(ctx, ended); err != nil {
		return err
	}
	if err := s.history.Settle(ctx, settled); err != nil {
		return err
	}
	deliveries, err := s.deliveriesOf(ctx, changes)
	if err != nil || len(deliveries) == 0 {
		return err
	}
	return s.history.AddDeliveries(ctx, deliveries)
}

// forgetPassed has the outbox forget what was handed on long enough ago.
func (s *Service) forgetPassed(ctx context.Context) error {
	h := &s.handover
	var through Position
	n := 0
	for n < len(h.passed) && s.now().Sub(h.passed[n].at) >= outboxMemory {
		through = h.passed[n].to
		n++
	}
	if n == 0 {
		return nil
	}
	if err := s.sessions.Forget(ctx, through); err != nil {
		return err
	}
	h.passed = slices.Delete(h.passed, 0, n)
	return nil
}

// runHandover hands on what ends until ctx does.
func (s *Service) runHandover(ctx context.Context) {
	for pause(ctx, handOnEvery) {
		if !s.leads(ctx, "handover", leadFor) {
			continue
		}
		if err := s.handOn(ctx); err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "history: sessions wait in the outbox", slog.Any("error", err))
			pause(ctx, sweepAgain)
		}
	}
}
