package memory

import (
	"context"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

type sessions struct{ index *live.Index }

func (s *sessions) Start(_ context.Context, session rollcall.Session) (rollcall.Session, error) {
	held, _ := s.index.Add(session)
	return held, nil
}

func (s *sessions) Heartbeat(_ context.Context, gameServer string, ids []string, now time.Time, lease time.Duration) ([]string, error) {
	var unknown []string
	for _, id := range ids {
		if !s.index.Renew(id, gameServer, now, lease) {
			unknown = append(unknown, id)
		}
	}
	return unknown, nil
}

func (s *sessions) End(_ context.Context, id string, now time.Time) (rollcall.Session, error) {
	if _, active := s.index.Get(id, now); active {
		if session, ok := s.index.Remove(id); ok {
			return session, nil
		}
	}
	return rollcall.Session{}, rollcall.ErrNotFound
}

func (s *sessions) EndMember(_ context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	removed := s.index.RemoveMember(agentID, username)
	return slices.DeleteFunc(removed, func(r rollcall.Session) bool { return !r.ActiveAt(now) }), nil
}

func (s *sessions) Expire(_ context.Context, now time.Time, limit int) ([]rollcall.Session, error) {
	expired := s.index.Expired(now, limit)
	return slices.DeleteFunc(expired, func(e rollcall.Session) bool {
		_, ok := s.index.Remove(e.ID)
		return !ok
	}), nil
}

func (s *sessions) OfMember(_ context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	return s.index.OfMember(agentID, username, now), nil
}

func (s *sessions) Get(_ context.Context, id string, now time.Time) (rollcall.Session, error) {
	session, ok := s.index.Get(id, now)
	if !ok {
		return session, rollcall.ErrNotFound
	}
	return session, nil
}

func (s *sessions) List(_ context.Context, agentID, after string, limit int, now time.Time) ([]rollcall.Session, error) {
	list := s.index.List(agentID, now)
	list = slices.DeleteFunc(list, func(l rollcall.Session) bool { return l.ID <= after })
	return list[:min(limit, len(list))], nil
}

func (s *sessions) Counts(context.Context) ([]rollcall.SessionCount, error) {
	return s.index.Counts(), nil
}

func (s *sessions) Ping(ctx context.Context) error { return ctx.Err() }
