package redis

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// What was ended may come undone: a replica that takes over may lack the last
// moments, and who was kicked would play on. So each process remembers for a
// while what it has ended, and where a partition's epoch has become another, it
// ends that again. What has begun needs no memory: game servers announce it.
type again struct {
	mu sync.Mutex
	of [partitions][]lately
}

// A lately is what one step has ended.
type lately struct {
	epoch    string // of the partition, then
	at       time.Time
	changes  []roll.Change
	voided   []string // keys of launches
	receipts []rollcall.Receipt
	kicks    []rollcall.Kick
}

const (
	againEvery = 250 * time.Millisecond
	// againFor is how far a replica may be behind. It counts between steps of a
	// partition, since there are none while it is down.
	againFor    = 5 * time.Second
	againForget = time.Minute
	againMost   = 256 // steps of a partition, which bounds the memory
)

// keep remembers what the step of a page has ended.
func (a *again) keep(g *page) {
	l := lately{epoch: g.book.Epoch().ID, at: time.Now(), receipts: g.step.Receipts, kicks: g.step.Kicks} //nolint:forbidigo // the monotonic clock
	for i := range g.step.Changes {
		// What has expired does so again, unless its lease has begun afresh.
		if r := g.step.Changes[i].Reason; r != "" && r != rollcall.EndExpired {
			l.changes = append(l.changes, g.step.Changes[i])
		}
	}
	for i := range g.step.Launches {
		if g.step.Launches[i].Voided {
			l.voided = append(l.voided, g.step.Launches[i].Key)
		}
	}
	a.add(g.part, l)
}

func (a *again) add(p *part, l lately) {
	if len(l.changes)+len(l.voided)+len(l.receipts)+len(l.kicks) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.DeleteFunc(a.of[p.n], func(o lately) bool { return l.at.Sub(o.at) > againFor })
	a.of[p.n] = append(list[max(0, len(list)-againMost+1):], l)
}

// settled remembers what game servers have said of ends.
func (a *again) settled(p *part, epoch string, c roll.Change) {
	a.add(p, lately{epoch: epoch, at: time.Now(), changes: []roll.Change{c}}) //nolint:forbidigo // as above
}

// undone takes what was ended in a partition under another epoch than now.
func (a *again) undone(p *part, now string) (list []lately) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[p.n] = slices.DeleteFunc(a.of[p.n], func(l lately) bool {
		if l.epoch != now {
			list = append(list, l)
		}
		return l.epoch != now || time.Since(l.at) > againForget
	})
	return list
}

// runAgain looks whether epochs have become others.
func (s *sessions) runAgain(ctx context.Context) {
	for wait(ctx, againEvery) {
		for n := range s.keys.parts {
			p := &s.keys.parts[n]
			list := s.again.undone(p, s.epochs.of(p).ID)
			if len(list) == 0 {
				continue
			}
			if err := s.endAgain(ctx, p, list); err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelWarn, "redis: what was ended before a loss is to be ended again", slog.Any("error", err))
				for _, l := range list {
					s.again.add(p, l)
				}
			}
		}
	}
}

// endAgain ends what is there again, and says what was lost of the ends: to the
// outbox, to game servers, and to who announces. Whatever of it was not lost is
// the same as before.
func (s *sessions) endAgain(ctx context.Context, p *part, list []lately) error {
	var all lately
	for _, l := range list {
		all.changes = append(all.changes, l.changes...)
		all.voided = append(all.voided, l.voided...)
		all.receipts = append(all.receipts, l.receipts...)
		all.kicks = append(all.kicks, l.kicks...)
	}
	now := s.clock.Now()
	g := &page{part: p, homes: all.homes(), launches: true}
	err := s.change(ctx, "end again", now, []*page{g}, func(g *page) error {
		g.step = all.step(g.book)
		g.extra = func(c *program) { all.extra(c, p, now) }
		return nil
	})
	if err != nil {
		return err
	}
	return s.carryOn(ctx, all.kicks, all.receipts, nil)
}

func (l *lately) homes() (homes []roll.Home) {
	for i := range l.changes {
		if h, ok := roll.HomeOfSession(l.changes[i].ID); ok {
			homes = append(homes, h)
		}
	}
	for _, key := range l.voided {
		if h, ok := roll.HomeOfLaunch(key); ok {
			homes = append(homes, h)
		}
	}
	slices.Sort(homes)
	return slices.Compact(homes)
}

// step ends what is there and should not be. Its events are those of before, which
// go to their queues by themselves.
func (l *lately) step(b *live.Book) (step live.Step) {
	for i := range l.changes {
		c := &l.changes[i]
		if c.Reason == "" {
			continue // of one that had ended before
		}
		one, _ := b.PlanEnd([]string{c.ID}, &roll.Ending{At: c.EndedAt, Reason: c.Reason, By: c.By, KickID: c.KickID, Note: c.Note})
		step.Changes = append(step.Changes, one.Changes...)
	}
	for _, key := range l.voided {
		if open, err := b.Launch(key); err == nil && !open.Voided && open.StartedID == "" {
			open.Voided = true
			step.Launches = append(step.Launches, open)
		}
	}
	return step
}

// extra has the ends handed on once more, and kept from who announces.
func (l *lately) extra(c *program, p *part, now time.Time) {
	for i := range l.changes {
		e := &l.changes[i]
		c.do(p.outbox(), "XADD", "*", "c", encode(*e))
		if e.Reason != "" && e.EndsAt.After(now) {
			c.do(p.gone(uuid.MustParse(e.ID)), "SET", string(e.Reason), "PX", millis(e.EndsAt.Sub(now)+time.Millisecond))
		}
	}
}
