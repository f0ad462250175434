package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// holding is what a Book holds of what the log keeps. Leases are no part of it.
type holding struct {
	Sessions []rollcall.Session
	Launches map[string]roll.Launch
	Outbox   []roll.Change
}

func holdingOf(book *live.Book, keys []string) holding {
	h := holding{Launches: make(map[string]roll.Launch), Outbox: book.Changes(nil, 1<<30)}
	h.Sessions = book.List(rollcall.SessionFilter{}, "", 1<<30, longAgo)
	for i := range h.Sessions {
		h.Sessions[i].SeenAt, h.Sessions[i].ExpiresAt = time.Time{}, time.Time{}
	}
	for _, key := range keys {
		if l, err := book.Launch(key); err == nil {
			h.Launches[key] = l
		}
	}
	return h
}

// A mess makes changes of all sorts.
type mess struct {
	s      *Store
	clock  *clock
	random *rand.Rand
	keys   []string
	ids    []string
}

func (m *mess) username() string { return fmt.Sprint("player", m.random.IntN(40)) }

func (m *mess) change(ctx context.Context) error {
	now := m.clock.Now()
	switch n := m.random.IntN(20); {
	case n < 6:
		return m.launch(ctx, now)
	case n < 12 && len(m.keys) > 0:
		return m.start(ctx, now)
	case n < 14 && len(m.ids) > 0:
		id := m.ids[m.random.IntN(len(m.ids))]
		_, err := m.s.sessions.End(ctx, []string{id, newID()}, roll.Ending{At: now, Reason: rollcall.EndLeft, Note: "paid"})
		return err
	case n < 15:
		e := roll.Ending{At: now, Reason: rollcall.EndKicked, By: "an operator", KickID: newID()}
		_, err := m.s.sessions.EndMember(ctx, "a1", m.username(), e, &rollcall.Kick{ID: e.KickID, At: now})
		return err
	case n < 16:
		m.clock.add(time.Duration(m.random.IntN(60)) * time.Second)
		_, err := m.s.sessions.Expire(ctx, m.clock.Now(), 3)
		return err
	case n < 17 && len(m.ids) > 0:
		ended := []roll.MarkEnded{{SessionID: m.ids[m.random.IntN(len(m.ids))], Note: "settled"}}
		_, err := m.s.sessions.Mark(ctx, "s1", roll.Marks{At: now, Ended: ended})
		return err
	case n < 18:
		changes := m.s.sessions.book.Changes(nil, 1+m.random.IntN(3))
		if len(changes) == 0 {
			return nil
		}
		return m.s.sessions.Forget(ctx, roll.Position(nil).Past(changes))
	}
	_, err := m.s.sessions.Heartbeat(ctx, "s1", m.ids, now)
	return err
}

func (m *mess) launch(ctx context.Context, now time.Time) error {
	l := roll.Launch{Key: newID(), Session: session(m.username()), CreatedAt: now, ExpiresAt: now.Add(roll.LaunchTTL)}
	l.Session.ID, l.Session.GameServer = "", ""
	m.keys = append(m.keys, l.Key)
	return m.s.sessions.AddLaunch(ctx, l)
}

func (m *mess) start(ctx context.Context, now time.Time) error {
	key := m.keys[m.random.IntN(len(m.keys))]
	l, err := m.s.sessions.Launch(ctx, key)
	if errors.Is(err, rollcall.ErrLaunchUnknown) { // it is forgotten
		return nil
	}
	s := session(l.Session.Username)
	s.LeaseSeconds = 90 + 3600*m.random.IntN(2) // some outlast a pass of folding
	s.StartedAt, s.SeenAt, s.ExpiresAt, s.EndsAt = now, now, now.Add(s.Lease()), now.Add(2*time.Hour)
	m.ids = append(m.ids, s.ID)
	_, err = m.s.sessions.Start(ctx, roll.Start{
		LaunchKey: key, Session: s, Tell: m.random.IntN(2) == 0,
		Limits: rollcall.SessionLimits{PerMember: 2, Policy: rollcall.LimitDisplaceOldest},
	})
	if errors.Is(err, rollcall.ErrLaunchUsed) || errors.Is(err, rollcall.ErrLaunchVoided) || errors.Is(err, rollcall.ErrLaunchExpired) {
		return nil
	}
	return err
}

// Whatever is done, and wherever folding is, the log replays to what is held: so it
// does for who opens what the death of the process has left at that moment.
func TestLogReplaysToWhatIsHeld(t *testing.T) {
	for _, least := range []int64{1, 2000, foldLeast} {
		t.Run(fmt.Sprint(least), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			c := &clock{now: time.UnixMilli(1_770_000_000_000)}
			o, dir := Options{Now: c.Now, Sync: SyncNormal, foldLeast: least}, t.TempDir()
			m := &mess{s: open(t, dir, o), clock: c, random: rand.New(rand.NewPCG(seed, 0))}
			defer func() { must(t, m.s.Close()) }()
			boot(t, m.s)
			for n := range 600 {
				must(t, m.change(t.Context()))
				want := holdingOf(m.s.sessions.book, m.keys)
				again := live.NewBook(roll.Epoch{})
				_, size, err := replayed(t.Context(), m.s.main, again, c.Now())
				must(t, err)
				if d := cmp.Diff(want, holdingOf(again, m.keys), byValue); d != "" {
					t.Fatalf("after %d changes (-held +replayed):\n%s", n+1, d)
				}
				if fold := m.s.sessions.writer.fold.size; size.last != fold.last || size.bytes != fold.bytes {
					t.Fatalf("after %d changes: the log is %+v, folding knows %+v", n+1, size, fold)
				}
				if n%100 == 99 {
					died := open(t, snapshot(t, dir), o)
					if d := cmp.Diff(want, holdingOf(died.sessions.book, m.keys), byValue); d != "" {
						t.Fatalf("after %d changes and a death (-held +opened):\n%s", n+1, d)
					}
					must(t, died.Close())
				}
			}
		})
	}
}

// What ends in the group that is on the disk is not said anew by what the next one
// folds.
func TestFoldAfterAnEnd(t *testing.T) {
	s := open(t, t.TempDir(), Options{foldLeast: 1})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	ended, err := start(t.Context(), s, session("player001"))
	must(t, err)
	fold := s.sessions.writer.fold
	old := fold.size.last
	fold.through, fold.credit = old, 0 // the End earns what the next may fold
	free := onDisk(t, s, func() error {
		_, err := s.sessions.End(context.Background(), []string{ended.ID}, left())
		return err
	})
	launched := make(chan error)
	go func() {
		_, err := launch(context.Background(), s, session("player002"))
		launched <- err
	}()
	until(func() bool { return gathered(s) == 1 })
	free()
	must(t, <-launched)
	var first int64
	must(t, s.main.read.QueryRow(`SELECT min(id) FROM log`).Scan(&first))
	if first <= old {
		t.Fatal("nothing was folded")
	}
	must(t, s.sessions.Forget(t.Context(), roll.Position{s.sessions.writer.seq})) // or the outbox would end it again
	again := live.NewBook(roll.Epoch{})
	_, _, err = replayed(t.Context(), s.main, again, time.Now())
	must(t, err)
	if d := cmp.Diff(holdingOf(s.sessions.book, nil), holdingOf(again, nil), byValue); d != "" {
		t.Errorf("(-held +replayed):\n%s", d)
	}
}

// A log grows with what is held, not with what has been.
func TestLogIsFolded(t *testing.T) {
	const least, bound = 20_000, 3 * 20_000
	dir := t.TempDir()
	o := Options{Sync: SyncNormal, foldLeast: least}
	s := open(t, dir, o)
	boot(t, s)
	kept := session("player001")
	kept.ExpiresAt = kept.EndsAt
	_, err := start(t.Context(), s, kept)
	must(t, err)
	written, most := int64(0), int64(0)
	for n := range 1000 {
		live, err := start(t.Context(), s, session("player002"))
		must(t, err)
		_, err = s.sessions.End(t.Context(), []string{live.ID}, left())
		must(t, err)
		must(t, s.sessions.Forget(t.Context(), roll.Position{s.sessions.writer.seq}))
		_, err = s.sessions.Expire(t.Context(), time.Now().Add(roll.LaunchTTL+roll.LaunchMemory+time.Second), 100)
		must(t, err)
		most = max(most, s.sessions.writer.fold.size.bytes)
		if n%100 == 99 { // as often as that it begins anew
			written += s.sessions.writer.fold.size.last
			must(t, s.Close())
			s = open(t, dir, o)
			boot(t, s)
		}
	}
	defer func() { must(t, s.Close()) }()
	t.Logf("of %d sheets at most %d bytes", written, most)
	if most > bound {
		t.Errorf("at most %d bytes, want at most %d", most, bound)
	}
	if _, err := s.sessions.Get(t.Context(), kept.ID, time.Now()); err != nil {
		t.Error(err)
	}
}

// A sheet that is damaged is found by who verifies, harms nothing that goes on, and
// keeps the next process from beginning without what it said.
func TestDamagedLog(t *testing.T) {
	for _, least := range []int64{1, foldLeast} {
		dir := t.TempDir()
		var told bytes.Buffer
		s := open(t, dir, Options{foldLeast: least, Log: slog.New(slog.NewTextHandler(&told, nil))})
		boot(t, s)
		kept, err := start(t.Context(), s, session("player001"))
		must(t, err)
		faults, err := s.Check(t.Context())
		must(t, err)
		if len(faults) > 0 {
			t.Errorf("before: %v", faults)
		}
		row := "row " + spoil(t, s) + " of log"
		for range 10 {
			_, err = start(t.Context(), s, session("player002"))
			must(t, err)
		}
		if _, err := s.sessions.Get(t.Context(), kept.ID, time.Now()); err != nil {
			t.Error(err)
		}
		if said := strings.Contains(told.String(), "the log is not folded"); said != (least == 1) {
			t.Errorf("least %d, told: %s", least, told.String())
		}
		faults, err = s.Check(t.Context())
		must(t, err)
		if len(faults) != 1 || !strings.Contains(faults[0], row+": a sheet of the log is damaged") || len(s.Salvaged()) > 0 {
			t.Errorf("got %v", faults)
		}
		must(t, s.Close())
		if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, errSheet) || !strings.Contains(err.Error(), row) {
			t.Errorf("opened: %v", err)
		}
		salvaged(t, dir, row, s)
	}
}

// salvaged opens a directory with one damaged sheet, without what that held, and wants
// game servers to be asked for it.
func salvaged(t *testing.T, dir, row string, before *Store) {
	t.Helper()
	s := open(t, dir, Options{Salvage: true})
	if told := s.Salvaged(); len(told) != 1 || !strings.Contains(told[0], row) {
		t.Errorf("salvaged: %v", told)
	}
	if now, then := s.sessions.book.Epoch(), before.sessions.book.Epoch(); now.ID == then.ID {
		t.Error("no epoch begins, so nobody announces what was lost")
	}
	must(t, s.Close())
	s = open(t, dir, Options{Salvage: true}) // a second time there is nothing to do
	if told := s.Salvaged(); len(told) > 0 {
		t.Errorf("salvaged again: %v", told)
	}
	must(t, s.Close())
}

// However much garbage is written beside sessions that stay, and in whatever pieces,
// the log has no more than twice what counts, and what a pass takes.
func TestLogStaysInBounds(t *testing.T) {
	for _, per := range []int{100, 2000} {
		s := open(t, t.TempDir(), Options{Sync: SyncNormal, foldLeast: 20_000})
		defer func() { must(t, s.Close()) }()
		many := func() (list []rollcall.Session) {
			for range per {
				one := session(newID())
				one.EndsAt = one.StartedAt.Add(12 * time.Hour)
				list = append(list, one)
			}
			return list
		}
		do := func(step live.Step) {
			must(t, s.sessions.writer.narrow(t.Context(), "test", nil, func() (live.Step, error) { return step, nil }))
		}
		for range 4000 / per {
			do(live.Step{Sessions: many()})
		}
		base := s.sessions.writer.fold.size.bytes
		var last []rollcall.Session
		for range 100_000 / per {
			step := live.Step{Sessions: many()}
			for _, one := range last {
				ended := rollcall.EndedSession{Session: one, EndedAt: one.StartedAt, Reason: rollcall.EndLeft}
				step.Changes = append(step.Changes, roll.Change{EndedSession: ended})
			}
			last = step.Sessions
			do(step)
			do(live.Step{Through: s.sessions.writer.seq})
		}
		if got := s.sessions.writer.fold.size.bytes; got > 4*base {
			t.Errorf("in pieces of %d: %d bytes of log where %d count", per, got, base)
		}
	}
}

// Where the log cannot be folded it grows, and nobody else is told.
func TestFoldFails(t *testing.T) {
	var told bytes.Buffer
	s := open(t, t.TempDir(), Options{Sync: SyncNormal, foldLeast: 3000, Log: slog.New(slog.NewTextHandler(&told, nil))})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	_, err := s.main.write.Exec(`CREATE TRIGGER fails BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the page of the old sheet is damaged'); END`)
	must(t, err)
	for n := range 300 {
		if _, err := start(t.Context(), s, session(fmt.Sprint("player", n))); err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
	}
	if !strings.Contains(told.String(), "the log is not folded") || !strings.Contains(told.String(), "the page of the old sheet is damaged") {
		t.Errorf("told: %s", &told)
	}
}

// spoil changes a byte of the oldest sheet, and returns its id.
func spoil(t *testing.T, s *Store) (id string) {
	t.Helper()
	var sheet []byte
	must(t, s.main.read.QueryRow(`SELECT id, entries FROM log ORDER BY id`).Scan(&id, &sheet))
	sheet[len(sheet)/2]++
	_, err := s.main.write.Exec(`UPDATE log SET entries = $1 WHERE id = $2`, sheet, id)
	must(t, err)
	return id
}
