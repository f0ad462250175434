package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// A sessions store answers from an index in memory, which shows just what is
// durable: every change is committed first and then shown. See writer.
type sessions struct {
	db     *database
	index  *live.Index
	writer *writer
}

func openSessions(ctx context.Context, db *database, o Options) (*sessions, error) {
	s := &sessions{db: db, index: live.NewIndex()}
	if err := s.load(ctx, o.Now()); err != nil {
		return nil, err
	}
	var err error
	s.writer, err = startWriter(ctx, db, o)
	return s, err
}

func (s *sessions) close() { s.writer.stop() }

// load fills the index. A lease that may have been renewed since it was stored,
// while nobody could renew it now, begins afresh.
func (s *sessions) load(ctx context.Context, now time.Time) error {
	rows, err := s.db.read.QueryContext(ctx, `SELECT doc FROM sessions`)
	if err != nil {
		return outage("load sessions", err)
	}
	defer rows.Close()
	for rows.Next() {
		var doc sql.RawBytes
		if err := rows.Scan(&doc); err != nil {
			return outage("load sessions", err)
		}
		var session rollcall.Session
		if err := json.Unmarshal(doc, &session); err != nil {
			return fmt.Errorf("sqlite: a stored session: %w", err)
		}
		fresh := now.Add(session.ExpiresAt.Sub(session.SeenAt))
		if fresh.After(session.ExpiresAt) {
			session.ExpiresAt = fresh
		}
		if session.ExpiresAt.After(session.EndsAt) {
			session.ExpiresAt = session.EndsAt
		}
		s.index.Add(session)
	}
	return outage("load sessions", rows.Err())
}

// The changes below hand their result over in a variable of their own, which is
// read only when the change is done: one that the caller has given up may still
// be made.

func (s *sessions) Start(ctx context.Context, session rollcall.Session) (rollcall.Session, error) {
	doc, err := json.Marshal(session)
	if err != nil {
		return rollcall.Session{}, fmt.Errorf("sqlite: a session's document: %w", err)
	}
	var held rollcall.Session
	err = s.writer.do(ctx, "start session", []string{touching(session.AgentID, session.Username)}, func(b *batch) (func(), error) {
		if err := b.insert(session.ID, session.AgentID, string(doc)); err != nil {
			return nil, err
		}
		// An ID that is there already has changed no row, and Add returns it.
		return func() { held, _ = s.index.Add(session) }, nil
	})
	if err != nil {
		return rollcall.Session{}, err
	}
	return held, nil
}

func (s *sessions) End(ctx context.Context, id string, now time.Time) (rollcall.Session, error) {
	session, ok := s.index.Get(id, now)
	if !ok {
		return rollcall.Session{}, rollcall.ErrNotFound
	}
	var ended rollcall.Session
	err := s.writer.do(ctx, "end session", []string{touching(session.AgentID, session.Username)}, func(b *batch) (func(), error) {
		if _, ok := s.index.Get(id, now); !ok {
			return nil, rollcall.ErrNotFound // ended since
		}
		if err := b.remove(id); err != nil {
			return nil, err
		}
		return func() { ended, _ = s.index.Remove(id) }, nil
	})
	if err != nil {
		return rollcall.Session{}, err
	}
	return ended, nil
}

func (s *sessions) EndMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	var ended []rollcall.Session
	err := s.writer.do(ctx, "end member's sessions", []string{touching(agentID, username)}, func(b *batch) (func(), error) {
		// Those whose lease has ended go too, as their rows are there still.
		for _, id := range s.index.IDsOfMember(agentID, username) {
			if err := b.remove(id); err != nil {
				return nil, err
			}
		}
		return func() {
			ended = s.index.RemoveMember(agentID, username)
			ended = slices.DeleteFunc(ended, func(e rollcall.Session) bool { return !e.ActiveAt(now) })
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func (s *sessions) Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.Session, error) {
	expired := s.index.Expired(now, limit)
	if len(expired) == 0 {
		return nil, nil
	}
	touched := make([]string, len(expired))
	for i, e := range expired {
		touched[i] = touching(e.AgentID, e.Username)
	}
	removed := make([]rollcall.Session, 0, len(expired))
	err := s.writer.do(ctx, "expire sessions", touched, func(b *batch) (func(), error) {
		for _, e := range expired {
			if err := b.remove(e.ID); err != nil {
				return nil, err
			}
		}
		return func() {
			for _, e := range expired {
				if _, ok := s.index.Remove(e.ID); ok {
					removed = append(removed, e)
				}
			}
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return removed, nil
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

// List takes the order from the file and the sessions from the index, page by
// page until limit are found that are active.
func (s *sessions) List(ctx context.Context, agentID, after string, limit int, now time.Time) ([]rollcall.Session, error) {
	list := []rollcall.Session{}
	for {
		ids, err := s.ids(ctx, agentID, after, limit)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if session, ok := s.index.Get(id, now); ok && len(list) < limit {
				list = append(list, session)
			}
		}
		if len(ids) < limit || len(list) == limit {
			return list, nil
		}
		after = ids[len(ids)-1]
	}
}

func (s *sessions) ids(ctx context.Context, agentID, after string, limit int) ([]string, error) {
	query := `SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2`
	args := []any{after, limit}
	if agentID != "" {
		query = `SELECT id FROM sessions WHERE agent = $1 AND id > $2 ORDER BY id LIMIT $3`
		args = []any{agentID, after, limit}
	}
	rows, err := s.db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, outage("list sessions", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, outage("list sessions", err)
		}
		ids = append(ids, id)
	}
	return ids, outage("list sessions", rows.Err())
}

func (s *sessions) Counts(context.Context) ([]rollcall.SessionCount, error) {
	return s.index.Counts(), nil
}

// Ping goes the way of every change.
func (s *sessions) Ping(ctx context.Context) error {
	return s.writer.do(ctx, "ping", nil, func(b *batch) (func(), error) {
		_, err := b.tx.ExecContext(b.ctx, `UPDATE ping SET count = count + 1`)
		return func() {}, err
	})
}

// touching names a member for the writer.
func touching(agentID, username string) string { return agentID + "/" + username }
