package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// What a step in a partition has others told of lies in the partition's journal
// until it is where it belongs: events in the queues of game servers, kicks among
// the kicks. Who made the step carries it there at once; where that fails, or the
// process dies, another one does.

// carry carries on what steps have put into the journal. That it fails is no
// fault of the change, which is made.
func (s *sessions) carry(ctx context.Context, pages ...*page) {
	var receipts []rollcall.Receipt
	var kicks []rollcall.Kick
	var drop []command
	for _, g := range pages {
		receipts = append(receipts, g.step.Receipts...)
		kicks = append(kicks, g.step.Kicks...)
		if len(g.journal) > 0 {
			drop = append(drop, write("XDEL", g.part.journal(), g.journal...))
		}
	}
	if len(drop) == 0 {
		return
	}
	// Who has gone away does not keep others from being told; the time that the
	// call may take does, since another process carries on then.
	deadline, bound := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if bound {
		within, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		ctx = within
	}
	if err := s.carryOn(ctx, kicks, receipts, drop); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "redis: events wait in the journal", slog.Any("error", err))
	}
}

func (s *sessions) carryOn(ctx context.Context, kicks []rollcall.Kick, receipts []rollcall.Receipt, drop []command) error {
	for i := range kicks {
		if err := s.AddKick(ctx, kicks[i]); err != nil {
			return err
		}
	}
	if err := s.deliver(ctx, receipts); err != nil {
		return err
	}
	_, err := s.engine.do(ctx, "clear the journal", drop...)
	return err
}

const (
	journalEvery = 500 * time.Millisecond
	// journalRest is how long an entry is left to whoever made it.
	journalRest = 2 * time.Second
	journalSome = 64
)

// runJournal carries on what others have left.
func (s *sessions) runJournal(ctx context.Context) {
	for wait(ctx, journalEvery) {
		leads, err := s.Lead(ctx, "journal", 4*journalEvery)
		if err == nil && leads {
			err = s.carryLeft(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "redis: journal", slog.Any("error", err))
			wait(ctx, time.Second)
		}
	}
}

func (s *sessions) carryLeft(ctx context.Context) error {
	_, err := s.carryOlder(ctx, s.clock.ofEngine().Add(-journalRest))
	return err
}

// carryOlder carries on some of what is older, and returns of how many partitions.
func (s *sessions) carryOlder(ctx context.Context, old time.Time) (int, error) {
	commands := make([]command, partitions)
	for n := range commands {
		commands[n] = read("XRANGE", s.keys.parts[n].journal(), "-", "+", "COUNT", strconv.Itoa(journalSome))
	}
	got, err := s.engine.do(ctx, "read the journal", commands...)
	if err != nil {
		return 0, err
	}
	left := &leftover{old: old}
	for n := range got {
		if err := left.add(s.keys.parts[n].journal(), got[n]); err != nil {
			return 0, err
		}
	}
	if len(left.drop) == 0 {
		return 0, nil
	}
	return len(left.drop), s.carryOn(ctx, left.kicks, left.receipts, left.drop)
}

// CarryOn carries all that is in the journals to where it belongs. Nothing else
// may use the store meanwhile: what others are about to carry, it carries too.
func (s *Store) CarryOn(ctx context.Context) error {
	for {
		n, err := s.sessions.carryOlder(ctx, s.clock.ofEngine().Add(time.Hour))
		if err != nil || n == 0 {
			return err
		}
	}
}

// A leftover is what was found in journals.
type leftover struct {
	old      time.Time
	kicks    []rollcall.Kick
	receipts []rollcall.Receipt
	drop     []command
}

func (l *leftover) add(key string, m rueidis.RedisMessage) error {
	entries, err := m.AsXRange()
	if err != nil {
		return outage("read the journal", err)
	}
	var ids []string
	for _, e := range entries {
		if time.UnixMilli(streamSeq(e.ID) >> streamBits).After(l.old) {
			continue
		}
		if err := l.entry(e); err != nil {
			return err
		}
		ids = append(ids, e.ID)
	}
	if len(ids) > 0 {
		l.drop = append(l.drop, write("XDEL", key, ids...))
	}
	return nil
}

// entry takes what an entry is about.
func (l *leftover) entry(e rueidis.XRangeEntry) error {
	if doc, ok := e.FieldValues["k"]; ok {
		k, err := decodeKick(doc)
		if err != nil {
			return err
		}
		l.kicks = append(l.kicks, k)
	}
	if doc, ok := e.FieldValues["r"]; ok {
		r, err := decodeReceipt(doc)
		if err != nil {
			return err
		}
		l.receipts = append(l.receipts, r)
	}
	return nil
}

// A stream's ID is Unix ms and a count within it. As a Seq the count has the
// lower bits.
const streamBits = 20

func streamSeq(id string) int64 {
	var at, n int64
	if _, err := fmt.Sscanf(id, "%d-%d", &at, &n); err != nil {
		return 0
	}
	return at<<streamBits | n
}

func streamID(seq int64) string {
	return strconv.FormatInt(seq>>streamBits, 10) + "-" + strconv.FormatInt(seq&(1<<streamBits-1), 10)
}

// leastOfLane is how many changes a lane gives at a time at least: most lanes
// have few.
const leastOfLane = 16

func (s *sessions) Changes(ctx context.Context, after roll.Position, limit int) ([]roll.Change, error) {
	commands := make([]command, partitions)
	count := strconv.Itoa(max(leastOfLane, limit/partitions))
	for n := range commands {
		commands[n] = read("XRANGE", s.keys.parts[n].outbox(), "("+streamID(after.Of(n)), "+", "COUNT", count)
	}
	got, err := s.engine.do(ctx, "read the outbox", commands...)
	if err != nil {
		return nil, err
	}
	changes := []roll.Change{}
	for n := range got {
		entries, err := got[n].AsXRange()
		if err != nil {
			return nil, outage("read the outbox", err)
		}
		for _, e := range entries {
			c := roll.Change{Seq: streamSeq(e.ID), Lane: n}
			if err := json.Unmarshal([]byte(e.FieldValues["c"]), &c.EndedSession); err != nil {
				return nil, fmt.Errorf("redis: a stored change: %w", err)
			}
			changes = append(changes, c)
		}
	}
	return changes, nil
}

func (s *sessions) Forget(ctx context.Context, through roll.Position) error {
	var commands []command
	for lane := range through {
		if seq := through.Of(lane); seq > 0 && lane < partitions {
			commands = append(commands, write("XTRIM", s.keys.parts[lane].outbox(), "MINID", streamID(seq+1)))
		}
	}
	if len(commands) == 0 {
		return nil
	}
	_, err := s.engine.do(ctx, "forget changes", commands...)
	return err
}
