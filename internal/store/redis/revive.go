package redis

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
)

// While the engine does not answer, or no server of ours runs, no lease can be
// renewed. Who sweeps notes when; where that was long ago, the leases that ran out
// since then begin afresh, as they do after a restart of the embedded store, and
// are not swept. Until that is done no heartbeat is told that it knows of a session
// which nobody else does.

// sweptGap is how long nobody may have swept. A process that sweeps and dies is
// replaced sooner.
const sweptGap = 5 * time.Second

//nolint:gochecknoglobals // as the other scripts
var reviveScript = loadScript("revive.lua")

func (s *sessions) swept() string { return s.keys.lead("swept") }

// gap returns how long nobody has swept; 0: not for long, or never.
func (s *sessions) gap(ctx context.Context) (time.Duration, error) {
	got, err := s.engine.strings(ctx, "when was swept", read("GET", s.swept()))
	if err != nil || got[0] == "" {
		return 0, err
	}
	gap := s.clock.ofEngine().Sub(time.UnixMicro(number(got[0])))
	if gap < sweptGap {
		return 0, nil
	}
	return gap, nil
}

func (s *sessions) noteSweep(ctx context.Context) error {
	_, err := s.engine.do(ctx, "note the sweep", write("SET", s.swept(), micros(s.clock.ofEngine())))
	return err
}

var errGap = errors.New("leases that nobody could renew are about to begin afresh")

// noGap is an error while leases are about to begin afresh: a session that has
// expired is going to be there again.
func (s *sessions) noGap(ctx context.Context, doing string) error {
	if gap, err := s.gap(ctx); err != nil || gap > 0 {
		return outage(doing, errors.Join(errGap, err))
	}
	return nil
}

// overGap gives leases afresh where nobody has swept for long.
func (s *sessions) overGap(ctx context.Context, now time.Time) error {
	gap, err := s.gap(ctx)
	if err != nil || gap == 0 {
		return err
	}
	revived, err := s.revive(ctx, now.Add(-gap), now)
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "redis: leases begin afresh that nobody could renew",
		slog.Int("sessions", revived), slog.Duration("outage", gap.Round(time.Millisecond)))
	return s.noteSweep(ctx)
}

// revive renews the sessions whose lease ended after since and by now.
func (s *sessions) revive(ctx context.Context, since, now time.Time) (revived int, err error) {
	list, err := s.indexes(ctx, s.keys.parts[:], rollcall.SessionFilter{})
	if err != nil {
		return 0, err
	}
	over := make(map[index]int) // entries of an index whose session cannot be revived
	for len(list) > 0 {
		var left []index
		for some := range slices.Chunk(list, partitions) {
			n, more, err := s.reviveSome(ctx, some, over, since, now)
			if err != nil {
				return revived, err
			}
			revived, left = revived+n, append(left, more...)
		}
		list = left
	}
	return revived, nil
}

// reviveSome does a part of some indexes, and returns those that have more.
func (s *sessions) reviveSome(ctx context.Context, some []index, over map[index]int, since, now time.Time) (revived int, more []index, err error) {
	commands := make([]command, len(some))
	for i, x := range some {
		commands[i] = read("ZRANGE", x.part.index(string(x.combo)), "("+micros(since), micros(now), "BYSCORE",
			"LIMIT", strconv.Itoa(over[x]), strconv.Itoa(indexSome))
	}
	got, err := s.engine.do(ctx, "read an index", commands...)
	if err != nil {
		return 0, nil, err
	}
	commands = nil
	var of []index
	var sizes []int
	for i, x := range some {
		if entries := texts(got[i]); len(entries) > 0 {
			commands = append(commands, reviving(x.part, entries, now))
			of, sizes = append(of, x), append(sizes, len(entries))
		}
	}
	if len(commands) == 0 {
		return 0, nil, nil
	}
	if got, err = s.engine.do(ctx, "renew leases", commands...); err != nil {
		return 0, nil, err
	}
	for i, x := range of {
		n, _ := got[i].AsInt64()
		revived += int(n)
		over[x] += sizes[i] - int(n)
		if sizes[i] == indexSome {
			more = append(more, x)
		}
	}
	return revived, more, nil
}

func reviving(p *part, entries []string, now time.Time) command {
	var ids []string
	for _, text := range entries {
		if e, ok := entryOf(text); ok {
			ids = append(ids, e.id)
		}
	}
	return reviveScript.ofSessions(p, ids, micros(now), p.index(""))
}
