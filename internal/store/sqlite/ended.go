package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (h *history) AddEnded(ctx context.Context, ended []rollcall.EndedSession) error {
	if len(ended) == 0 {
		return nil
	}
	return outage("add ended sessions", h.db.changeSynced(ctx, h.sync, func(tx *sql.Tx) error {
		add, err := tx.PrepareContext(ctx, `INSERT INTO ended (id, agent, username, game, currency, game_server, started, ended, doc)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer add.Close()
		for i := range ended {
			if err := addEnded(ctx, add, &ended[i]); err != nil {
				return err
			}
		}
		return nil
	}))
}

func addEnded(ctx context.Context, add *sql.Stmt, e *rollcall.EndedSession) error {
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = add.ExecContext(ctx, e.ID, e.AgentID, e.Username, e.GameCode, e.Currency, e.GameServer, nanos(e.StartedAt), nanos(e.EndedAt), string(doc))
	return err
}

func (h *history) Settle(ctx context.Context, settled []rollcall.EndedSession) error {
	if len(settled) == 0 {
		return nil
	}
	return outage("settle ended sessions", h.db.changeSynced(ctx, h.sync, func(tx *sql.Tx) error {
		for i := range settled {
			if err := settle(ctx, tx, &settled[i]); err != nil {
				return err
			}
		}
		return nil
	}))
}

func settle(ctx context.Context, tx *sql.Tx, s *rollcall.EndedSession) error {
	var doc string
	err := tx.QueryRowContext(ctx, `SELECT doc FROM ended WHERE id = $1`, s.ID).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	var e rollcall.EndedSession
	if err := errors.Join(err, json.Unmarshal([]byte(doc), &e)); err != nil {
		return err
	}
	if e.GameServer != s.GameServer || e.Note != "" || !e.SettledAt.IsZero() {
		return nil
	}
	e.Note, e.SettledAt = s.Note, s.SettledAt
	text, err := json.Marshal(&e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE ended SET doc = $1 WHERE id = $2`, string(text), s.ID)
	return err
}

func (h *history) Ended(ctx context.Context, ids []string) ([]rollcall.EndedSession, error) {
	if len(ids) == 0 {
		return []rollcall.EndedSession{}, nil
	}
	list, err := json.Marshal(ids) // SQLite bounds the parameters
	if err != nil {
		return nil, err
	}
	return h.ended(ctx, "get ended sessions", `SELECT 0, doc FROM ended WHERE id IN (SELECT value FROM json_each($1))`, string(list))
}

func (h *history) EndedOf(ctx context.Context, agentID, username, before string, limit int) ([]rollcall.EndedSession, error) {
	if before == "" {
		before = above
	}
	return h.ended(ctx, "list a member's ended sessions",
		`SELECT 0, doc FROM ended WHERE agent = $1 AND username = $2 AND id < $3 ORDER BY id DESC LIMIT $4`, agentID, username, before, max(0, limit))
}

func (h *history) EndedAfter(ctx context.Context, after string, limit int) ([]rollcall.EndedSession, error) {
	return h.ended(ctx, "list ended sessions", `SELECT 0, doc FROM ended WHERE id > $1 ORDER BY id LIMIT $2`, after, max(0, limit))
}

// aroundText finds who was live at $1 among the starts since $2. The || keeps
// SQLite from walking all IDs instead, which it thinks cheaper for a short page.
const aroundText = `SELECT 0, doc FROM ended WHERE started <= $1 AND started > $2 AND ended > $1 AND id > $3
	AND $4 IN ('', id) AND $5 IN ('', agent) AND $6 IN ('', username)
	AND $7 IN ('', game) AND $8 IN ('', currency) AND $9 IN ('', game_server)
	ORDER BY id || '' LIMIT $10`

func (h *history) EndedAround(ctx context.Context, at time.Time, f rollcall.SessionFilter, after string, limit int) ([]rollcall.EndedSession, error) {
	return h.ended(ctx, "list ended sessions of a moment", aroundText, nanos(at), nanos(at.Add(-roll.MaxLifetime)), after,
		f.SessionID, f.AgentID, f.Username, f.GameCode, f.Currency, f.GameServer, max(0, limit))
}

func (h *history) ended(ctx context.Context, doing, text string, args ...any) ([]rollcall.EndedSession, error) {
	list := []rollcall.EndedSession{}
	err := docs(ctx, h.db, doing, decoded(func(_ int64, e rollcall.EndedSession) { list = append(list, e) }), text, args...)
	return list, err
}

func (h *history) PruneEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := removed(h.db.write.ExecContext(ctx,
		`DELETE FROM ended WHERE rowid IN (SELECT rowid FROM ended WHERE ended < $1 ORDER BY ended LIMIT $2)`, nanos(before), max(0, limit)))
	return n, outage("prune ended sessions", err)
}
