package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// What is asked of many sessions is read from the indexes, a bounded part at a
// time, and never by a scan of the engine's keys.
const (
	indexSome = 1000 // entries of an index at once
	homesSome = 500  // homes at once
	scanParts = 8    // partitions at once
	scanSome  = 10_000
)

func (s *sessions) Counts(ctx context.Context) ([]rollcall.SessionCount, error) {
	commands := make([]command, partitions)
	for n := range commands {
		p := &s.keys.parts[n]
		commands[n] = countsScript.on([]string{p.combos()}, p.index(""))
	}
	got, err := s.engine.do(ctx, "count sessions", commands...)
	if err != nil {
		return nil, err
	}
	sums := make(map[combo]int)
	for n := range got {
		list, err := got[n].ToArray()
		if err != nil {
			return nil, outage("count sessions", err)
		}
		for i := 0; i+1 < len(list); i += 2 {
			name, _ := text(list[i])
			count, _ := list[i+1].AsInt64()
			sums[combo(name)] += int(count)
		}
	}
	counts := make([]rollcall.SessionCount, 0, len(sums))
	for c, n := range sums {
		if like, ok := c.fields(); ok && n > 0 {
			counts = append(counts, rollcall.SessionCount{
				AgentID: like.AgentID, GameCode: like.GameCode, Mode: like.Mode, Currency: like.Currency,
				Device: like.Device, GameServer: like.GameServer, Count: n,
			})
		}
	}
	return counts, nil
}

// An indexed is an entry of an index.
type indexed struct {
	id       string
	home     roll.Home
	username string
}

func entryOf(text string) (e indexed, ok bool) {
	if len(text) < len(uuid.UUID{}) {
		return e, false
	}
	e.id, e.username = uuid.UUID([]byte(text[:16])).String(), text[16:]
	e.home, ok = roll.HomeOfSession(e.id)
	return e, ok
}

// An index is one to be read: a partition and a combo.
type index struct {
	part  *part
	combo combo
}

// indexes returns those of partitions whose combos filter may pick.
func (s *sessions) indexes(ctx context.Context, parts []part, filter rollcall.SessionFilter) ([]index, error) {
	commands := make([]command, len(parts))
	for n := range parts {
		commands[n] = read("ZRANGE", parts[n].combos(), "0", "-1")
	}
	got, err := s.engine.do(ctx, "list combos", commands...)
	if err != nil {
		return nil, err
	}
	var list []index
	for n := range got {
		for _, name := range texts(got[n]) {
			if c := combo(name); c.picks(filter) {
				list = append(list, index{&parts[n], c})
			}
		}
	}
	return list, nil
}

// A cursor is how far an index is read: by score and not by place, since an entry
// that is renewed meanwhile moves behind all others, and as many as do would be
// passed over.
type cursor struct {
	index

	from  string // the score
	limit int
}

func (c *cursor) command() command {
	return read("ZRANGE", c.part.index(string(c.combo)), c.from, "+inf", "BYSCORE", "LIMIT", "0", strconv.Itoa(c.limit), "WITHSCORES")
}

// past moves c to the last of entries, which is read once more with all that
// share its score, and reports whether there may be more.
func (c *cursor) past(entries []rueidis.ZScore) (more bool) {
	if len(entries) < c.limit {
		return false
	}
	last := strconv.FormatFloat(entries[len(entries)-1].Score, 'f', -1, 64)
	if last == c.from {
		c.limit *= 2
	} else {
		c.from, c.limit = last, indexSome
	}
	return true
}

// entries calls each with every entry of indexes that is active at now. An entry
// may come twice.
func (s *sessions) entries(ctx context.Context, list []index, now time.Time, each func(indexed)) error {
	left := make([]*cursor, len(list))
	for i := range list {
		left[i] = &cursor{list[i], "(" + micros(now), indexSome}
	}
	for len(left) > 0 {
		var more []*cursor
		for some := range slices.Chunk(left, partitions) {
			commands := make([]command, len(some))
			for i, c := range some {
				commands[i] = c.command()
			}
			got, err := s.engine.do(ctx, "read an index", commands...)
			if err != nil {
				return err
			}
			for i, c := range some {
				entries, err := got[i].AsZScores()
				if err != nil {
					return outage("read an index", err)
				}
				for _, entry := range entries {
					if e, ok := entryOf(entry.Member); ok {
						each(e)
					}
				}
				if c.past(entries) {
					more = append(more, c)
				}
			}
		}
		left = more
	}
	return nil
}

func (s *sessions) Online(ctx context.Context, agentID string, now time.Time) ([]string, error) {
	list, err := s.indexes(ctx, s.keys.parts[:], rollcall.SessionFilter{AgentID: agentID})
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	names := []string{}
	err = s.entries(ctx, list, now, func(e indexed) {
		if e.username != "" && !seen[e.username] {
			seen[e.username] = true
			names = append(names, e.username)
		}
	})
	return names, err
}

func (s *sessions) Scan(ctx context.Context, filter rollcall.SessionFilter, from string, now time.Time) (some []rollcall.Session, next string, err error) {
	at := int(number(from))
	for at < partitions && len(some) < scanSome {
		to := min(at+scanParts, partitions)
		list, err := s.indexes(ctx, s.keys.parts[at:to], filter)
		if err != nil {
			return nil, "", err
		}
		var ids []string
		if err := s.entries(ctx, list, now, func(e indexed) { ids = append(ids, e.id) }); err != nil {
			return nil, "", err
		}
		found, err := s.get(ctx, ids, filter, now)
		if err != nil {
			return nil, "", err
		}
		some, at = append(some, found...), to
	}
	if at < partitions {
		next = strconv.Itoa(at)
	}
	return some, next, nil
}

// get returns those of some sessions that are active and that filter picks, each
// once, by ID.
func (s *sessions) get(ctx context.Context, ids []string, filter rollcall.SessionFilter, now time.Time) ([]rollcall.Session, error) {
	want := make(map[string]bool, len(ids))
	homes := make(map[roll.Home]bool, len(ids))
	var commands []command
	for _, id := range ids {
		want[id] = true
		if home, _ := roll.HomeOfSession(id); !homes[home] {
			homes[home] = true
			commands = append(commands, read("GET", s.keys.of(home).sessions(home)))
		}
	}
	found := []rollcall.Session{}
	for some := range slices.Chunk(commands, homesSome) {
		got, err := s.engine.strings(ctx, "get sessions", some...)
		if err != nil {
			return nil, err
		}
		for _, value := range got {
			list, err := unpackAll(value)
			if err != nil {
				return nil, outage("get sessions", err)
			}
			for i := range list {
				if l := &list[i]; want[l.ID] && l.ActiveAt(now) && filter.Picks(l) {
					found = append(found, *l)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b rollcall.Session) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// List reads the entries of all indexes that filter may pick, since they are not
// by ID, and of the sessions those that it returns.
func (s *sessions) List(ctx context.Context, filter rollcall.SessionFilter, after string, limit int, now time.Time) ([]rollcall.Session, error) {
	if limit <= 0 {
		return []rollcall.Session{}, nil
	}
	list, err := s.indexes(ctx, s.keys.parts[:], filter)
	if err != nil {
		return nil, err
	}
	var ids []string
	err = s.entries(ctx, list, now, func(e indexed) {
		picked := (filter.Username == "" || filter.Username == e.username) && (filter.SessionID == "" || filter.SessionID == e.id)
		if e.id > after && picked {
			ids = append(ids, e.id)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := []rollcall.Session{}
	for some := range slices.Chunk(ids, limit) { // one that has ended meanwhile leaves room
		more, err := s.get(ctx, some, filter, now)
		if err != nil {
			return nil, err
		}
		if found = append(found, more...); len(found) >= limit {
			return found[:limit], nil
		}
	}
	return found, nil
}
