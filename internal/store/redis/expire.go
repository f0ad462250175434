package redis

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A lapse is an index of which sessions have expired.
type lapse struct {
	index

	entries []string
}

func (s *sessions) Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.EndedSession, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	if err := s.overGap(ctx, now); err != nil {
		return nil, err
	}
	if err := s.forgetFilters(ctx, now); err != nil {
		return nil, err
	}
	due, err := s.due(ctx, now, limit)
	if err != nil {
		return nil, err
	}
	of := make(map[*part]*page)
	ids := make(map[*page]map[string]bool)
	var pages []*page
	for _, l := range due {
		g := of[l.part]
		if g == nil {
			g = &page{part: l.part}
			of[l.part], ids[g] = g, make(map[string]bool)
			pages = append(pages, g)
		}
		for _, text := range l.entries {
			if e, ok := entryOf(text); ok {
				ids[g][e.id] = true
				if !slices.Contains(g.homes, e.home) {
					g.homes = append(g.homes, e.home)
				}
			}
		}
	}
	ended := make(map[*page][]rollcall.EndedSession)
	err = s.change(ctx, "expire sessions", now, pages, func(g *page) error {
		var expired []rollcall.Session
		for _, h := range g.read {
			for _, held := range h.sessions {
				if ids[g][held.ID] && !held.ActiveAt(now) {
					expired = append(expired, held)
				}
			}
		}
		g.step, ended[g] = g.book.PlanExpire(expired, now, limit)
		g.step.Forgotten = nil // the engine forgets launches
		g.extra = func(c *program) { mend(c, g, due) }
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := []rollcall.EndedSession{}
	for _, g := range pages {
		all = append(all, ended[g]...)
	}
	return all, s.noteSweep(ctx)
}

// due returns indexes with at most limit sessions that have expired, and those
// whose place among the combos is too early, without any.
func (s *sessions) due(ctx context.Context, now time.Time, limit int) ([]lapse, error) {
	commands := make([]command, partitions)
	for n := range commands {
		commands[n] = read("ZRANGE", s.keys.parts[n].combos(), "-inf", micros(now), "BYSCORE")
	}
	got, err := s.engine.do(ctx, "look for expired sessions", commands...)
	if err != nil {
		return nil, err
	}
	var list []lapse
	commands = nil
	for n := range got {
		for _, name := range texts(got[n]) {
			x := index{&s.keys.parts[n], combo(name)}
			list = append(list, lapse{index: x})
			commands = append(commands, read("ZRANGE", x.part.index(name), "-inf", micros(now), "BYSCORE", "LIMIT", "0", strconv.Itoa(limit)))
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	if got, err = s.engine.do(ctx, "look for expired sessions", commands...); err != nil {
		return nil, err
	}
	for i := range list {
		entries := texts(got[i])
		list[i].entries = entries[:min(limit, len(entries))]
		limit -= len(list[i].entries)
	}
	return list, nil
}

// mend makes the indexes of a page true: each gets its place among the combos,
// and an entry that stands for no session that is there goes.
func mend(c *program, g *page, due []lapse) {
	for _, l := range due {
		if l.part != g.part {
			continue
		}
		for _, text := range l.entries {
			e, ok := entryOf(text)
			if held := g.holds(e.id, e.home); !ok || held == nil {
				c.do(l.part.index(string(l.combo)), "ZREM", text)
			} else if comboOf(held) == l.combo {
				c.do(l.part.index(string(l.combo)), "ZADD", micros(held.ExpiresAt), text)
			}
		}
		c.fix(l.part.combos(), l.part.index(string(l.combo)), string(l.combo))
	}
}

// holds returns the session that the page holds after its step, or nil.
func (g *page) holds(id string, home roll.Home) *rollcall.Session {
	h := g.read[home]
	if h == nil {
		return nil
	}
	i := slices.IndexFunc(h.sessions, func(l rollcall.Session) bool { return l.ID == id })
	if i < 0 {
		return nil
	}
	return &h.sessions[i]
}
