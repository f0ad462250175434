package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A page is what a change looks at, all of one partition: it is read into a Book,
// and the change is made only if it is still so.
type page struct {
	// What is to be read.
	part      *part
	homes     []roll.Home
	launches  bool     // the homes' launches
	boot      string   // the boot of this game server
	kicks     bool     // the kicks by filter
	marks     []member // whether these were kicked
	gone      []string // whether these sessions have ended
	announces []rollcall.Receipt

	// What was read.
	book  *live.Book
	guard *program
	read  map[roll.Home]*home

	// What became of it.
	step    live.Step
	extra   func(*program)
	journal []string // IDs in the journal
	done    bool
}

type member struct{ agentID, username string }

// A home is what was read of one.
type home struct {
	sessions []rollcall.Session
	launches []roll.Launch
}

// commands reads a page: its strings at one moment, since what is planned by them
// may be an error or nothing, and then no guard is asked; and the boot, if any.
func (g *page) commands() []command {
	list := []command{readAll(g.strings()...)}
	if g.boot != "" {
		list = append(list, read("HGET", g.part.boots(), g.boot))
	}
	return list
}

// strings returns the keys that are read; a reader takes them in this order.
func (g *page) strings() []string {
	list := []string{g.part.epoch()}
	for _, h := range g.homes {
		list = append(list, g.part.sessions(h))
		if g.launches {
			list = append(list, g.part.launches(h))
		}
	}
	if g.kicks {
		list = append(list, g.part.kicks())
	}
	for _, m := range g.marks {
		list = append(list, g.part.mark(m.agentID, m.username))
	}
	for _, id := range g.gone {
		list = append(list, g.part.gone(uuid.MustParse(id)))
	}
	return list
}

// A reader takes the strings of a page one after the other.
type reader struct {
	page    *page
	answers []rueidis.RedisMessage
	boot    rueidis.RedisMessage
	step    live.Step
}

// next returns the next answer, and asks that it stays so.
func (r *reader) next(key string) (value string, there bool) {
	value, there = text(r.answers[0])
	r.answers = r.answers[1:]
	r.page.guard.still(key, value, there)
	return value, there
}

// take fills the page from the answers to its commands. filters are the kicks by
// filter, of the generation that the page has or later.
func (g *page) take(answers []rueidis.RedisMessage, filters func(generation int64) ([]rollcall.Kick, error)) error {
	g.guard, g.read, g.extra = newProgram(), make(map[roll.Home]*home, len(g.homes)), nil
	list, err := answers[0].ToArray()
	if err != nil {
		return outage("read a page", err)
	}
	r := &reader{page: g, answers: list, boot: answers[len(answers)-1]}
	epoch, there := r.next(g.part.epoch())
	fields := strings.Fields(epoch)
	if !there || len(fields) != 3 {
		return errLost
	}
	for _, h := range g.homes {
		if err := r.home(h); err != nil {
			return err
		}
	}
	if err := r.control(filters); err != nil {
		return err
	}
	r.memory()
	r.step.Receipts = append(r.step.Receipts, g.announces...)
	g.book = live.NewPage(roll.Epoch{ID: fields[0], BeganAt: time.UnixMicro(number(fields[1])).UTC()})
	g.book.Apply(&r.step)
	return nil
}

// errLost says that a partition has lost what it had.
var errLost = errors.New("the partition was lost")

func (r *reader) home(h roll.Home) (err error) {
	g, have := r.page, &home{}
	g.read[h] = have
	value, _ := r.next(g.part.sessions(h))
	if have.sessions, err = unpackAll(value); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	r.step.Sessions = append(r.step.Sessions, have.sessions...)
	if !g.launches {
		return nil
	}
	if value, there := r.next(g.part.launches(h)); there {
		if err := json.Unmarshal([]byte(value), &have.launches); err != nil {
			return fmt.Errorf("redis: stored launches: %w", err)
		}
	}
	r.step.Launches = append(r.step.Launches, have.launches...)
	return nil
}

// errNoBoot says that the partition knows no boot of the game server.
var errNoBoot = errors.New("the partition knows no boot")

func (r *reader) control(filters func(int64) ([]rollcall.Kick, error)) error {
	g := r.page
	if g.boot != "" {
		value, there := text(r.boot)
		if !there {
			return errNoBoot
		}
		g.guard.stillField(g.part.boots(), g.boot, value, there)
		_, bootID, _ := strings.Cut(value, " ")
		r.step.Boots = [][2]string{{g.boot, bootID}}
	}
	if !g.kicks {
		return nil
	}
	value, _ := r.next(g.part.kicks())
	kicks, err := filters(number(value))
	r.step.Kicks = append(r.step.Kicks, kicks...)
	return err
}

// memory reads who was kicked and what has ended.
func (r *reader) memory() {
	for _, m := range r.page.marks {
		if at, there := r.next(r.page.part.mark(m.agentID, m.username)); there {
			r.step.Kicks = append(r.step.Kicks, rollcall.Kick{
				ID: "mark", At: time.UnixMicro(number(at)).UTC(), State: rollcall.KickDone,
				Filter: rollcall.SessionFilter{AgentID: m.agentID, Username: m.username},
			})
		}
	}
	for _, id := range r.page.gone {
		if reason, there := r.next(r.page.part.gone(uuid.MustParse(id))); there {
			ended := rollcall.EndedSession{Session: rollcall.Session{ID: id}, Reason: rollcall.EndReason(reason)}
			r.step.Changes = append(r.step.Changes, roll.Change{Seq: 1, EndedSession: ended})
		}
	}
}

// program is the page's step and the rest of what is to be done, on condition
// that what was read is still there.
func (g *page) program(now time.Time) *program {
	w := &writer{page: g, program: g.guard, now: now, combos: make(map[combo]bool)}
	w.sessions()
	w.launches()
	w.trails()
	if g.extra != nil {
		g.extra(w.program)
	}
	return w.program
}

// A writer makes a step into a program.
type writer struct {
	*program

	page   *page
	now    time.Time
	combos map[combo]bool
}

func (w *writer) sessions() {
	changed := make(map[roll.Home]bool)
	for i := range w.page.step.Changes {
		if c := &w.page.step.Changes[i]; c.Reason != "" {
			w.remove(&c.Session, changed)
			w.remember(c)
		}
	}
	for i := range w.page.step.Sessions {
		w.add(&w.page.step.Sessions[i], changed)
	}
	for h := range changed {
		key := w.page.part.sessions(h)
		if packed := packAll(w.page.read[h].sessions); packed != "" {
			w.do(key, "SET", packed)
		} else {
			w.do(key, "DEL")
		}
	}
	for c := range w.combos {
		w.fix(w.page.part.combos(), w.page.part.index(string(c)), string(c))
	}
}

func (w *writer) remove(s *rollcall.Session, changed map[roll.Home]bool) {
	h, _ := roll.HomeOfSession(s.ID)
	have := w.page.read[h]
	have.sessions = slices.DeleteFunc(have.sessions, func(o rollcall.Session) bool { return o.ID == s.ID })
	changed[h] = true
	c := comboOf(s)
	w.do(w.page.part.index(string(c)), "ZREM", indexEntry(s))
	w.combos[c] = true
}

func (w *writer) add(s *rollcall.Session, changed map[roll.Home]bool) {
	h, _ := roll.HomeOfSession(s.ID)
	w.page.read[h].sessions = append(w.page.read[h].sessions, *s)
	changed[h] = true
	c := comboOf(s)
	w.do(w.page.part.index(string(c)), "ZADD", micros(s.ExpiresAt), indexEntry(s))
	w.combos[c] = true
}

// remember keeps that a session has ended which its game server could announce,
// as it began before the epoch.
func (w *writer) remember(c *roll.Change) {
	if left := c.EndsAt.Sub(w.now); c.StartedAt.Before(w.page.book.Epoch().BeganAt) && left > 0 {
		w.do(w.page.part.gone(uuid.MustParse(c.ID)), "SET", string(c.Reason), "PX", millis(left))
	}
}

// launches writes a home's launches, without those that may be forgotten; the
// engine forgets them all when the last one may be.
func (w *writer) launches() {
	changed := make(map[roll.Home]bool)
	for i := range w.page.step.Launches {
		l := &w.page.step.Launches[i]
		h, _ := roll.HomeOfLaunch(l.Key)
		have := w.page.read[h]
		have.launches = slices.DeleteFunc(have.launches, func(o roll.Launch) bool {
			return o.Key == l.Key || !w.now.Before(o.ExpiresAt.Add(roll.LaunchMemory))
		})
		have.launches = append(have.launches, *l)
		changed[h] = true
	}
	for h := range changed {
		var left time.Duration
		for _, l := range w.page.read[h].launches {
			left = max(left, l.ExpiresAt.Add(roll.LaunchMemory).Sub(w.now))
		}
		w.do(w.page.part.launches(h), "SET", encode(w.page.read[h].launches), "PX", millis(max(left, time.Second)))
	}
}

// trails writes outbox, journal and marks.
func (w *writer) trails() {
	p, step := w.page.part, &w.page.step
	for i := range step.Receipts {
		w.do(p.journal(), "XADD", "*", "r", encode(step.Receipts[i]))
	}
	for i := range step.Kicks {
		k := &step.Kicks[i]
		w.do(p.journal(), "XADD", "*", "k", encode(*k))
		w.do(p.mark(k.Filter.AgentID, k.Filter.Username), "SET", micros(k.At), "PX", millis(roll.MaxLifetime))
	}
	for i := range step.Changes {
		w.do(p.outbox(), "XADD", "*", "c", encode(step.Changes[i]))
	}
}

// hasExpired reports whether some of ids are there and not active.
func (g *page) hasExpired(ids []string, now time.Time) bool {
	for _, h := range g.read {
		for i := range h.sessions {
			if held := &h.sessions[i]; !held.ActiveAt(now) && slices.Contains(ids, held.ID) {
				return true
			}
		}
	}
	return false
}

// indexEntry is what stands for a session in its index.
func indexEntry(s *rollcall.Session) string {
	id := uuid.MustParse(s.ID)
	return string(id[:]) + s.Username
}

func micros(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// encode makes a document of a value that always has one.
func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// change reads pages, plans each and makes their steps, and does it again with
// those whose ground was moved meanwhile. plan may be called several times of a
// page and sets its step; its error ends the change.
func (s *sessions) change(ctx context.Context, doing string, now time.Time, pages []*page, plan func(*page) error) error {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	left := slices.Clone(pages)
	for attempt := 1; len(left) > 0; attempt++ {
		if err := s.load(ctx, doing, left); err != nil {
			return err
		}
		programs, changed, err := s.plan(ctx, now, left, plan)
		if err != nil {
			return err
		}
		done, added, err := s.engine.commit(ctx, doing, programs...)
		if err != nil {
			return err
		}
		for i, g := range changed {
			if g.done = done[i]; g.done {
				g.journal = added[i][:len(g.step.Receipts)+len(g.step.Kicks)]
				s.again.keep(g)
			}
		}
		left = slices.DeleteFunc(left, func(g *page) bool { return g.done })
		if len(left) > 0 && !wait(ctx, retryDelay(attempt)) {
			return outage(doing, fmt.Errorf("others changed the same all the while: %w", ctx.Err()))
		}
	}
	return nil
}

// plan returns the programs of those pages that have something to do, and notes
// that the others are done, but those that have to be read again.
func (s *sessions) plan(ctx context.Context, now time.Time, pages []*page, plan func(*page) error) (programs []*program, changed []*page, err error) {
	for _, g := range pages {
		err := plan(g)
		if errors.Is(err, rollcall.ErrStaleBoot) {
			// It may be the partition that has lost the last boot.
			news, failed := s.spreadBoot(ctx, g.part, g.boot)
			if failed != nil || !news {
				return nil, nil, cmp.Or(failed, err)
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		p := g.program(now)
		if p.empty() && s.engine.replicas > 0 {
			// What it finds done may be a change that no replica has yet. This comes
			// behind that, and is waited for.
			p.do(g.part.barrier(), "SET", "", "PX", "1000")
		}
		if p.empty() {
			g.done = true
		} else {
			programs, changed = append(programs, p), append(changed, g)
		}
	}
	return programs, changed, nil
}

// load reads pages. What a partition has lost of its epoch and boots is mended
// first.
func (s *sessions) load(ctx context.Context, doing string, pages []*page) error {
	for range 3 {
		var all []command
		sizes := make([]int, len(pages))
		for i, g := range pages {
			own := g.commands()
			all, sizes[i] = append(all, own...), len(own)
		}
		answers, err := s.engine.do(ctx, doing, all...)
		if err != nil {
			return err
		}
		again := false
		for i, g := range pages {
			err := g.take(answers[:sizes[i]], func(generation int64) ([]rollcall.Kick, error) { return s.filters.at(ctx, generation) })
			answers = answers[sizes[i]:]
			switch {
			case errors.Is(err, errLost):
				again, err = true, s.epochs.check(ctx)
			case errors.Is(err, errNoBoot):
				again = true
				_, err = s.spreadBoot(ctx, g.part, g.boot)
			}
			if err != nil {
				return err
			}
		}
		if !again {
			return nil
		}
	}
	return outage(doing, errLost)
}
