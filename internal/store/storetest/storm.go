package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A storm is random launches, starts, beats, ends, kicks, boots and expiries from
// many sides. Its clock stands still in each round; after a round all that was
// answered is held against what is there.
type storm struct {
	*fixture

	tick atomic.Int64 // counts the beginnings and ends of calls

	mu       sync.Mutex
	launches []launched
	starts   []startedAt
	kicks    []kickedAt
	beats    []beatAt
	boots    map[string][]bootedAt
	ended    map[string]int       // by session: how often an answer said so
	gone     map[string]span      // by session: an End that said that it is not there
	expires  map[string]time.Time // by session
}

// A span is when a call was made and when it was answered.
type span struct{ begin, end int64 }

// before reports whether a was answered before b was made.
func (a span) before(b span) bool { return a.end < b.begin }

type launched struct {
	span
	launch roll.Launch
}

type startedAt struct {
	span
	launch  launched
	session rollcall.Session // the one that was asked for
	id      string           // the one that was answered, or "" with
	err     error
}

type kickedAt struct {
	span
	id, username string
	ended        []string
}

type beatAt struct {
	span
	id      string
	renewed bool
}

type bootedAt struct {
	span
	boot string
}

// call makes a call and returns when.
func (s *storm) call(do func()) (at span) {
	at.begin = s.tick.Add(1)
	do()
	at.end = s.tick.Add(1)
	return at
}

const (
	stormRounds  = 30
	stormSides   = 8
	stormSteps   = 6
	stormMembers = 5 // player004 is steady
)

func testStorm(t *testing.T, f *fixture) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &storm{
		fixture: f, boots: make(map[string][]bootedAt), ended: make(map[string]int),
		gone: make(map[string]span), expires: make(map[string]time.Time),
	}
	pcg := rand.New(rand.NewPCG(seed, 0))
	for _, server := range []string{"s1", "s2", "s9"} {
		s.bootOne(t, server)
	}
	for round := range stormRounds {
		s.startSteady(t)
		s.round(t, pcg)
		s.check(t)
		if f.Reopen != nil && round%10 == 9 {
			s.restart(t)
			s.check(t)
		}
		if t.Failed() {
			t.Fatalf("in round %d of seed %d", round, seed)
		}
		s.set(s.now.Add(time.Duration(pcg.Int64N(int64(40 * time.Second)))))
	}
	s.checkTrails(t)
}

// round runs steps on all sides, and readers beside them.
func (s *storm) round(t *testing.T, pcg *rand.Rand) {
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() { s.read(t, stop) })
	for side := range stormSides {
		r := rand.New(rand.NewPCG(pcg.Uint64(), 0))
		writers.Go(func() {
			if side < 2 && r.IntN(3) == 0 { // of each game server one side boots
				s.bootOne(t, fmt.Sprint("s", 1+side))
			}
			for range stormSteps {
				s.step(t, r)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func (s *storm) step(t *testing.T, r *rand.Rand) {
	username := fmt.Sprintf("player%03d", r.IntN(stormMembers-1))
	switch r.IntN(24) {
	default:
		s.launchOne(t, username)
	case 6, 7, 8, 9, 10, 11, 12, 13:
		s.startOne(t, r)
	case 14, 15, 16, 17:
		s.beatSome(t, r)
	case 18, 19, 20:
		s.endOne(t, r)
	case 21:
		s.kickOne(t, username)
	case 22:
		s.expire(t)
	}
}

func (s *storm) launchOne(t *testing.T, username string) launched {
	l := launched{launch: launchOf(s.session(username), s.now)}
	l.span = s.call(func() {
		if err := s.Sessions.AddLaunch(context.Background(), l.launch); err != nil {
			t.Error(err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.launches = append(s.launches, l)
	return l
}

// startOne starts a session of a recent launch; others may do so meanwhile.
func (s *storm) startOne(t *testing.T, r *rand.Rand) {
	s.mu.Lock()
	if len(s.launches) == 0 {
		s.mu.Unlock()
		return
	}
	from := s.launches[max(0, len(s.launches)-1-r.IntN(20))]
	server := fmt.Sprint("s", 1+r.IntN(2))
	boots := s.boots[server]
	boot := boots[max(0, len(boots)-1-r.IntN(4)/3)].boot // seldom the one before
	s.mu.Unlock()
	if from.launch.Session.Username != steady {
		s.startFrom(t, from, server, boot)
	}
}

const steady = "player004"

// startSteady keeps a member who always has one session: each start displaces
// the one before, and nothing else ends it.
func (s *storm) startSteady(t *testing.T) {
	t.Helper()
	l := s.launchOne(t, steady)
	s.startFrom(t, l, "s9", s.boots["s9"][0].boot)
}

func (s *storm) startFrom(t *testing.T, from launched, server, boot string) {
	at := startedAt{launch: from, session: s.session(from.launch.Session.Username)}
	at.session.GameServer, at.session.BootID = server, boot
	var got roll.Started
	at.span = s.call(func() {
		got, at.err = s.Sessions.Start(context.Background(), roll.Start{
			LaunchKey: from.launch.Key, Session: at.session, Limits: stormLimits(at.session.Username), Tell: true,
		})
	})
	at.id = got.Session.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, at)
	if at.err == nil && at.id == at.session.ID {
		s.expires[at.id] = got.Session.ExpiresAt
	}
	s.note(got.Displaced)
	if at.err != nil && !isAnswer(at.err) {
		t.Errorf("start: %v", at.err)
	}
}

func isAnswer(err error) bool {
	return slices.ContainsFunc([]error{
		rollcall.ErrLaunchUsed, rollcall.ErrLaunchExpired, rollcall.ErrLaunchVoided, rollcall.ErrStaleBoot,
		rollcall.ErrSessionLimit, rollcall.ErrLaunchUnknown,
	}, func(answer error) bool { return errors.Is(err, answer) })
}

func stormLimits(username string) rollcall.SessionLimits {
	if username == steady {
		return rollcall.SessionLimits{PerMember: 1, Policy: rollcall.LimitDisplaceOldest}
	}
	return limitsOf(username)
}

// note counts ends. The storm is locked.
func (s *storm) note(ended []rollcall.EndedSession) {
	for i := range ended {
		s.ended[ended[i].ID]++
	}
}

// some returns an ID of a session of the last that were started, but not the
// steady one's.
func (s *storm) some(r *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.starts[max(0, len(s.starts)-1-r.IntN(30))]; at.id != "" && at.session.Username != steady {
		return at.id
	}
	return "none"
}

func (s *storm) beatSome(t *testing.T, r *rand.Rand) {
	ids, server := []string{s.some(r), s.some(r), s.some(r)}, fmt.Sprint("s", 1+r.IntN(2))
	var unknown []string
	at := s.call(func() {
		var err error
		if unknown, err = s.Sessions.Heartbeat(context.Background(), server, ids, s.now); err != nil {
			t.Error(err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, start := range s.starts {
		own := start.session
		if start.err != nil || own.ID != start.id || own.GameServer != server || !slices.Contains(ids, own.ID) {
			continue
		}
		renewed := !slices.Contains(unknown, own.ID)
		s.beats = append(s.beats, beatAt{at, own.ID, renewed})
		if fresh := s.now.Add(lease); renewed && fresh.After(s.expires[own.ID]) {
			s.expires[own.ID] = fresh
		}
	}
}

func (s *storm) endOne(t *testing.T, r *rand.Rand) {
	s.end(t, []string{s.some(r), s.some(r)}, s.left())
}

func (s *storm) end(t *testing.T, ids []string, e roll.Ending) {
	var ended []rollcall.EndedSession
	at := s.call(func() {
		var err error
		if ended, err = s.Sessions.End(context.Background(), ids, e); err != nil {
			t.Error(err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(ended)
	for _, id := range ids {
		s.gone[id] = at
	}
}

func (s *storm) kickOne(t *testing.T, username string) {
	kick, ending := s.kick(username)
	k := kickedAt{id: kick.ID, username: username}
	var ended []rollcall.EndedSession
	k.span = s.call(func() {
		var err error
		if ended, err = s.Sessions.EndMember(context.Background(), "a1", username, ending, kick); err != nil {
			t.Error(err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	k.ended = endedIDs(ended)
	s.kicks = append(s.kicks, k)
	s.note(ended)
}

func (s *storm) expire(t *testing.T) {
	ended, err := s.Sessions.Expire(context.Background(), s.now, 100)
	if err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(ended)
}

// bootOne begins a boot and ends the sessions of those before, as the service
// does: a Start of an older boot that succeeds has to be there by then.
func (s *storm) bootOne(t *testing.T, server string) {
	boot := bootedAt{boot: newID()}
	boot.span = s.call(func() {
		if err := s.Sessions.Boot(context.Background(), server, boot.boot, s.now); err != nil {
			t.Error(err)
		}
	})
	s.mu.Lock()
	s.boots[server] = append(s.boots[server], boot)
	s.mu.Unlock()
	list, err := s.Sessions.List(context.Background(), rollcall.SessionFilter{GameServer: server}, "", 1000, s.now)
	if err != nil {
		t.Error(err)
	}
	var old []string
	for _, l := range list {
		if l.BootID != boot.boot {
			old = append(old, l.ID)
		}
	}
	s.end(t, old, roll.Ending{At: s.now, Reason: rollcall.EndServerLost})
}

// read looks on until stop: limits hold at each moment, and who always has a
// session is never seen without.
func (s *storm) read(t *testing.T, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		username := fmt.Sprintf("player%03d", i%stormMembers)
		list, err := s.Sessions.OfMember(context.Background(), "a1", username, s.now)
		if err != nil {
			t.Error(err)
		}
		if limit := stormLimits(username).PerMember; limit > 0 && len(list) > limit {
			t.Errorf("%s has %d sessions, want %d at the most", username, len(list), limit)
		}
		if username == steady && len(list) != 1 {
			t.Errorf("%s has %d sessions, want 1", username, len(list))
		}
	}
}

// restart reopens the backend after a sweep; leases begin afresh.
func (s *storm) restart(t *testing.T) {
	t.Helper()
	s.expire(t)
	s.reopen(t)
	if s.Engine {
		return
	}
	for id, at := range s.expires {
		if fresh := s.now.Add(lease); fresh.After(at) && s.now.Before(at) {
			s.expires[id] = fresh
		}
	}
}
