package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
)

const addEndedText = `
	INSERT INTO ended (id, agent, username, game, currency, game_server, span, started, ended, settled, note, doc)
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
		$7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[]) ON CONFLICT DO NOTHING`

func (h *history) AddEnded(ctx context.Context, ended []rollcall.EndedSession) error {
	if len(ended) == 0 {
		return nil
	}
	ended = slices.Clone(ended)
	slices.SortStableFunc(ended, func(a, b rollcall.EndedSession) int { return cmp.Compare(a.ID, b.ID) })
	var c endedColumns
	for i := range ended {
		if err := c.add(&ended[i]); err != nil {
			return fmt.Errorf("postgres: ended session %s: %w", ended[i].ID, err)
		}
	}
	h.endedDays.ready(ctx, c.texts[0])
	_, err := h.bulk.exec(ctx, addEndedText, c.texts[0], c.texts[1], c.texts[2], c.texts[3], c.texts[4], c.texts[5],
		c.spans, c.started, c.ended, c.settled, c.notes, c.docs)
	return outage("add ended sessions", err)
}

// endedColumns are rows of the table ended, a slice each column.
type endedColumns struct {
	texts                   [6][]string // id, agent, username, game, currency, game server
	spans                   []int16
	started, ended, settled []int64
	notes, docs             []string
}

func (c *endedColumns) add(e *rollcall.EndedSession) error {
	for i, text := range []string{e.ID, e.AgentID, e.Username, e.GameCode, e.Currency, e.GameServer} {
		c.texts[i] = append(c.texts[i], plain(text))
	}
	c.spans = append(c.spans, spanOf(e.StartedAt, e.EndedAt))
	c.started = append(c.started, micros(e.StartedAt))
	c.ended = append(c.ended, micros(e.EndedAt))
	c.settled = append(c.settled, micros(e.SettledAt))
	c.notes = append(c.notes, plain(e.Note))
	own := *e
	own.Note, own.SettledAt = "", time.Time{}
	doc, err := json.Marshal(&own)
	c.docs = append(c.docs, string(doc))
	return err
}

const settleText = `UPDATE ended SET note = $1, settled = $2 WHERE id = $3 AND game_server = $4 AND note = '' AND settled = 0`

func (h *history) Settle(ctx context.Context, settled []rollcall.EndedSession) error {
	settled = slices.Clone(settled)
	slices.SortStableFunc(settled, func(a, b rollcall.EndedSession) int { return cmp.Compare(a.ID, b.ID) })
	var batch pgx.Batch
	for i := range settled {
		s := &settled[i]
		if storable(s.ID, s.GameServer) {
			batch.Queue(settleText, plain(s.Note), micros(s.SettledAt), s.ID, s.GameServer)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.bulk.timeout)
	defer cancel()
	return outage("settle ended sessions", h.db.pool.SendBatch(ctx, &batch).Close())
}

// endedText is answered an ID at a time, each from the one partition that the ID
// names.
const (
	endedText = `SELECT e.settled, e.note, e.doc FROM unnest($1::text[]) AS k(id)
		CROSS JOIN LATERAL (SELECT settled, note, doc FROM ended WHERE id = k.id LIMIT 1) e`
	endedOfText = `SELECT settled, note, doc FROM ended WHERE agent = $1 AND username = $2 AND id < $3 ORDER BY id DESC LIMIT $4`
	endedAfter  = `SELECT settled, note, doc FROM ended WHERE id > $1 ORDER BY id LIMIT $2`
)

// aboveAll is above all IDs.
const aboveAll = "\x7f"

func (h *history) Ended(ctx context.Context, ids []string) ([]rollcall.EndedSession, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	slices.Sort(ids)
	return h.endedOn(ctx, h.bulk, "get ended sessions", endedText, slices.Compact(ids))
}

func (h *history) EndedOf(ctx context.Context, agentID, username, before string, limit int) ([]rollcall.EndedSession, error) {
	if before == "" {
		before = aboveAll
	}
	if !storable(agentID, username, before) {
		return []rollcall.EndedSession{}, nil
	}
	return h.endedOn(ctx, h.db, "list a member's ended sessions", endedOfText, agentID, username, before, max(0, limit))
}

func (h *history) EndedAfter(ctx context.Context, after string, limit int) ([]rollcall.EndedSession, error) {
	if !storable(after) {
		return []rollcall.EndedSession{}, nil
	}
	return h.endedOn(ctx, h.db, "list ended sessions", endedAfter, after, max(0, limit))
}

func (h *history) EndedAround(ctx context.Context, at time.Time, f rollcall.SessionFilter, after string, limit int) ([]rollcall.EndedSession, error) {
	text, args, ok := aroundQuery(at, &f, after, limit)
	if !ok {
		return []rollcall.EndedSession{}, nil
	}
	return h.endedOn(ctx, h.bulk, "list ended sessions of a moment", text, args...)
}

// aroundQuery looks into each span by itself, by ranges of ended_by_span. It
// names only what the filter does, so that a filter by member may be answered
// from that index instead.
func aroundQuery(at time.Time, f *rollcall.SessionFilter, after string, limit int) (text string, args []any, ok bool) {
	spans, starts := spansAt(at)
	args = []any{spans, starts, micros(at), after, max(0, limit)}
	var filter strings.Builder
	for _, c := range [][2]string{
		{"id", f.SessionID},
		{"agent", f.AgentID},
		{"username", f.Username},
		{"game", f.GameCode},
		{"currency", f.Currency},
		{"game_server", f.GameServer},
	} {
		if c[1] == "" {
			continue
		}
		args = append(args, c[1])
		filter.WriteString(" AND " + c[0] + " = $" + strconv.Itoa(len(args)))
		if !storable(c[1]) {
			return "", nil, false
		}
	}
	return `SELECT e.settled, e.note, e.doc FROM unnest($1::smallint[], $2::bigint[]) AS s(span, after)
		CROSS JOIN LATERAL (
			SELECT id, settled, note, doc FROM ended
			WHERE span = s.span AND started > s.after AND started <= $3 AND ended > $3 AND id > $4` + filter.String() + `
			ORDER BY id LIMIT $5) e
		ORDER BY e.id LIMIT $5`, args, storable(after)
}

func (h *history) endedOn(ctx context.Context, db *database, doing, text string, args ...any) ([]rollcall.EndedSession, error) {
	list := []rollcall.EndedSession{}
	err := db.each(ctx, func(rows pgx.Rows) error {
		var e rollcall.EndedSession
		var settled int64
		var note, doc string
		if err := rows.Scan(&settled, &note, &doc); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(doc), &e)
		e.Note, e.SettledAt = note, timeOf(settled)
		list = append(list, e)
		return err
	}, text, args...)
	if err != nil {
		return nil, outage(doing, err)
	}
	return list, nil
}

func (h *history) PruneEnded(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := h.endedDays.prune(ctx, before, limit)
	return n, outage("prune ended sessions", err)
}
