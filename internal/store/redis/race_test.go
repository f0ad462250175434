package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// hold stores n sessions of members of one partition, past the rules: as many as
// no test could start.
func (n *node) hold(members []string) []rollcall.Session {
	n.t.Helper()
	began := n.epoch().BeganAt.Add(-time.Second)
	var list []rollcall.Session
	for _, username := range members {
		s := n.session(username)
		s.StartedAt = began
		list = append(list, s)
	}
	if refused := n.announce(list...); len(refused) > 0 {
		n.t.Fatalf("refused: %v", refused)
	}
	return list
}

// A kick that goes through all sessions meets each, also where their leases are
// renewed meanwhile, which moves them in the index.
func TestScanWhileRenewed(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	n.boot("s1", "b1")
	list := n.hold(members(indexSome+500, func(p *part) bool { return p.n == 7 }))
	p := &n.keys().parts[7]
	now := n.Now()
	for i, s := range list { // as of heartbeats one after the other
		_, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, now.Add(time.Duration(i)*time.Millisecond))
		must(t, err)
	}
	seen := make(map[string]bool)
	renewed := false
	err := n.sessions.entries(t.Context(), []index{{p, comboOf(&list[0])}}, now, func(e indexed) {
		seen[e.id] = true
		if renewed {
			return
		}
		renewed = true
		for _, s := range list[:400] { // those at the front
			_, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, now.Add(time.Minute))
			must(t, err)
		}
	})
	must(t, err)
	if len(seen) != len(list) {
		t.Errorf("%d of %d sessions were met", len(seen), len(list))
	}
}

// Sessions that share the end of their lease, as after one heartbeat of all, are
// all met too, and not for ever.
func TestScanOfOneEnd(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	n.boot("s1", "b1")
	list := n.hold(members(2*indexSome+3, func(p *part) bool { return p.n == 7 }))
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	if unknown, err := n.sessions.Heartbeat(t.Context(), "s1", ids, n.Now()); err != nil || len(unknown) > 0 {
		t.Fatalf("unknown %d, %v", len(unknown), err)
	}
	some, next, err := n.sessions.Scan(t.Context(), rollcall.SessionFilter{GameServer: "s1"}, "", n.Now())
	all := append([]rollcall.Session(nil), some...)
	for must(t, err); next != ""; {
		some, next, err = n.sessions.Scan(t.Context(), rollcall.SessionFilter{GameServer: "s1"}, next, n.Now())
		must(t, err)
		all = append(all, some...)
	}
	seen := make(map[string]bool)
	for i := range all {
		seen[all[i].ID] = true
	}
	if len(seen) != len(list) || len(all) != len(list) {
		t.Errorf("%d sessions came, %d of them once, want %d", len(all), len(seen), len(list))
	}
	names, err := n.sessions.Online(t.Context(), "a1", n.Now())
	if must(t, err); len(names) != len(list) {
		t.Errorf("%d online, want %d", len(names), len(list))
	}
	// And all of them end in one call, though they are in one partition.
	ended, err := n.sessions.End(t.Context(), ids, roll.Ending{At: n.Now(), Reason: rollcall.EndKicked})
	if must(t, err); len(ended) != len(list) || len(n.pending()) != len(list) {
		t.Errorf("%d ended, %d are pending, want %d", len(ended), len(n.pending()), len(list))
	}
	if left := n.engineKeys("i"); len(left) > 0 {
		t.Errorf("indexes are left: %q", left)
	}
}

// engineKeys returns the partitions' keys of a sort.
func (n *node) engineKeys(sort string) (list []string) {
	n.t.Helper()
	for i := range n.keys().parts {
		tag := n.keys().parts[i].tag
		got, err := n.engine.client.Do(n.t.Context(), n.engine.client.B().Keys().Pattern(tag+sort+"*").Build()).AsStrSlice()
		must(n.t, err)
		list = append(list, got...)
	}
	return list
}

// What a failover may have lost of a boot, in a partition or at the game server,
// is put right by who knows better, before a game server is told that it is of
// an old boot.
func TestBootRestored(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	n.boot("s1", "b0")
	old, err := n.engine.strings(t.Context(), "test", read("GET", n.keys().server("s1").boot()))
	must(t, err)
	n.boot("s1", "b1")
	s := n.session("player1")
	p := n.keys().of(roll.HomeOf("a1", "player1"))
	set := func(c command) {
		_, err := n.engine.do(t.Context(), "test", c)
		must(t, err)
	}
	set(write("HSET", p.boots(), "s1", old[0]))
	must(t, n.begin(t.Context(), s))
	set(write("HSET", p.boots(), "s1", old[0]))
	if refused := n.announce(s); len(refused) > 0 {
		t.Errorf("refused: %v", refused)
	}
	set(write("HDEL", p.boots(), "s1"))
	must(t, n.begin(t.Context(), n.session("player1")))
	for _, lost := range []command{write("SET", n.keys().server("s1").boot(), old[0]), write("DEL", n.keys().server("s1").boot())} {
		set(lost)
		if boot, err := n.sessions.CurrentBoot(t.Context(), "s1"); boot != "b1" || err != nil {
			t.Errorf("current boot %q, %v, want b1", boot, err)
		}
	}
	s.BootID = "b0"
	if err := n.begin(t.Context(), s); !errors.Is(err, rollcall.ErrStaleBoot) {
		t.Errorf("a Start of the old boot: got %v, want ErrStaleBoot", err)
	}
}

// A damaged value is an error and no endless loop in the engine.
func TestDamaged(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	s := n.start("player1")
	p, home := n.keys().of(roll.HomeOf("a1", "player1")), roll.HomeOf("a1", "player1")
	for _, value := range []string{strings.Repeat("\x00", 100), "\x00\x05abc", "x"} {
		_, err := n.engine.do(t.Context(), "test", write("SET", p.sessions(home), value))
		must(t, err)
		unknown, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, n.Now())
		if err == nil && len(unknown) != 1 {
			t.Errorf("a session was renewed in %q", value)
		}
		if _, err := n.sessions.OfMember(t.Context(), "a1", "player1", n.Now()); err == nil {
			t.Errorf("%q was read", value)
		}
	}
}

// Who looks while another does waits for no longer than a call may take, and a
// look that began later counts for all who asked before.
func TestLooks(t *testing.T) {
	l := newLooks()
	var made atomic.Int64
	begun, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		must(t, l.once(t.Context(), "look", func(context.Context) error { close(begun); <-goOn; return nil }))
	})
	<-begun
	for range 50 {
		all.Go(func() {
			must(t, l.once(t.Context(), "look", func(context.Context) error { made.Add(1); return nil }))
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(t, "whose time is up", l.once(ended, "look", func(context.Context) error { return nil }))
	close(goOn)
	all.Wait()
	if n := made.Load(); n < 1 || n > 50 {
		t.Errorf("%d looks, want at least one more", n)
	}
	asked := made.Load()
	must(t, l.once(t.Context(), "look", func(context.Context) error { made.Add(1); return nil }))
	if made.Load() != asked+1 {
		t.Error("an old look was taken for a new one")
	}
}

// Close ends all that Open began.
func TestCloseLeavesNothing(t *testing.T) {
	url := enginetest.Redis(t).URL()
	must(t, openOnly(t, url, fresh()).Close()) // what is made once
	before := runtime.NumGoroutine()
	for range 3 {
		n := openOnly(t, url, fresh())
		n.start("player1")
		n.sessions.Await("s1")
		must(t, n.Close())
	}
	eventually(t, func() error {
		if now := runtime.NumGoroutine(); now > before {
			stacks := make([]byte, 1<<16)
			return fmt.Errorf("%d goroutines, there were %d:\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
		}
		return nil
	})
}
