package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// lossSeen is how long a process may be of the old epoch.
const lossSeen = 2 * epochEvery

// An engine that is emptied begins an epoch, for all: who meets it in a change at
// once. What game servers hold comes back by their announcements, but for who was
// kicked since.
func TestFlushed(t *testing.T) {
	engine := enginetest.Redis(t)
	o := fresh()
	a, b := open(t, engine.URL(), o), open(t, engine.URL(), o)
	list := []rollcall.Session{a.start("player1"), a.start("player2"), a.start("player3")}
	before := a.epoch()
	engine.CLI("FLUSHALL")

	within(t, lossSeen, "to see the loss", func() { b.waitEpoch(before) })
	within(t, lossSeen, "to see the loss", func() { a.waitEpoch(before) })
	if a.epoch() != b.epoch() || !a.epoch().BeganAt.After(list[2].StartedAt) {
		t.Errorf("epochs %v and %v, after %v", a.epoch(), b.epoch(), list[2].StartedAt)
	}
	a.boot("s1", "b1")
	a.kick("player2")
	if refused := a.announce(list...); len(refused) != 1 || !strings.Contains(refused[list[1].ID], "kicked") {
		t.Errorf("refused: %v, want player2's", refused)
	}
	b.kick("player3")
	if refused := b.announce(list...); len(refused) != 2 {
		t.Errorf("refused: %v, want those of player2 and player3", refused)
	}
	if a.of("player1") != list[0].ID || a.of("player2") != "" || a.of("player3") != "" {
		t.Errorf("there are [%s] [%s] [%s], want only player1's", a.of("player1"), a.of("player2"), a.of("player3"))
	}
}

// Who meets a loss first, by a change, a check or a heartbeat, knows of it when
// that is answered.
func TestFlushedAtOnce(t *testing.T) {
	engine := enginetest.Redis(t)
	for name, meet := range map[string]func(n *node, s rollcall.Session){
		"change": func(n *node, _ rollcall.Session) { n.kick("player2") },
		"check": func(n *node, s rollcall.Session) {
			if got := n.of("player1"); got != "" {
				n.t.Errorf("[%s] is there after the loss", got)
			}
		},
		"heartbeat": func(n *node, s rollcall.Session) {
			unknown, err := n.sessions.Heartbeat(n.t.Context(), "s1", []string{s.ID}, n.Now())
			if must(n.t, err); len(unknown) != 1 {
				n.t.Errorf("unknown %v, want %s", unknown, s.ID)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := open(t, engine.URL(), fresh())
			s := n.start("player1")
			before := n.epoch()
			engine.CLI("FLUSHALL")
			meet(n, s)
			if n.epoch().ID == before.ID {
				t.Error("the epoch is the same")
			}
		})
	}
}

// Of one part of a Cluster that was emptied only the sessions may be announced.
func TestFlushedPart(t *testing.T) {
	t.Parallel() // it waits most of the time
	cluster := enginetest.Cluster(t)
	n := open(t, cluster.URL(), fresh())
	var all []rollcall.Session
	for i := range 60 {
		all = append(all, n.start(fmt.Sprint("player", i)))
	}
	before, parts := n.epoch(), n.epochs.parts
	lost := cluster.MasterOf(n.keys().server("s1").boot())
	lost.CLI("FLUSHALL")
	n.waitEpoch(before)
	isLost := func(p *part) bool { return cluster.MasterOf(p.tag) == lost }
	var refused, kept int
	for i := range n.keys().parts {
		p := &n.keys().parts[i]
		if changed := n.epochs.of(p) != parts[i]; changed != isLost(p) {
			t.Errorf("partition %d: lost %t, its epoch changed: %t", i, isLost(p), changed)
		}
	}
	n.boot("s1", "b1")
	for _, s := range all[30:] {
		_, err := n.sessions.End(t.Context(), []string{s.ID}, roll.Ending{At: n.Now(), Reason: rollcall.EndLeft})
		must(t, err)
	}
	for _, s := range all {
		p := n.keys().of(roll.HomeOf("a1", s.Username))
		switch why := n.announce(s)[s.ID]; {
		case slices.Contains(idsAfter(all, 30), s.ID) && !isLost(p):
			if why == "" {
				t.Errorf("%s has ended and was not lost, and came back", s.ID)
			}
			refused++
		case why != "":
			t.Errorf("%s was refused: %s", s.ID, why)
		default:
			kept++
		}
	}
	if refused == 0 || kept < 31 {
		t.Errorf("refused %d, kept %d: the test has met too few", refused, kept)
	}
}

func idsAfter(list []rollcall.Session, n int) []string { return strings.Fields(idsOf(list[n:])) }

// What was claimed before a loss is refused after it, by whoever is asked, and
// new requests are served soon.
func TestNoncesLost(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, lose := range map[string]func(engine *enginetest.RedisServer){
		"flushed":   func(engine *enginetest.RedisServer) { engine.CLI("FLUSHALL") },
		"restarted": func(engine *enginetest.RedisServer) { engine.CLI("FLUSHALL"); engine.Kill(); engine.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.Redis(t)
			o := fresh()
			a, b := open(t, engine.URL(), o), open(t, engine.URL(), o)
			type used struct {
				nonce string
				at    time.Time
			}
			var list []used
			for i := range 200 {
				u := used{uuid.NewString(), a.Now().Add(time.Duration(i-150) * time.Second / 30)} // up to 1.6 s early
				if ok, err := a.nonces.Claim(t.Context(), "a1", u.nonce, u.at); err != nil || !ok {
					t.Fatalf("a new nonce was refused: %v", err)
				}
				list = append(list, u)
			}
			lose(engine)
			for _, u := range list {
				ok, err := b.nonces.Claim(t.Context(), "a1", u.nonce, u.at)
				if err != nil {
					wantUnavailable(t, "claim", err)
				}
				if ok {
					t.Fatalf("a nonce of %v before the loss was claimed again", b.Now().Sub(u.at))
				}
			}
			eventually(t, func() error {
				at := b.Now()
				if ok, err := b.nonces.Claim(t.Context(), "a1", uuid.NewString(), at); err != nil || !ok {
					return errors.Join(errors.New("new requests are refused"), err)
				}
				return nil
			})
			for _, u := range list { // again, when all have settled
				if ok, _ := a.nonces.Claim(t.Context(), "a1", u.nonce, u.at); ok {
					t.Fatalf("a nonce of %v before the loss was claimed again", a.Now().Sub(u.at))
				}
			}
		})
	}
}

// A replica that has not all takes over: an epoch begins, what it had is there,
// and what it had not may be announced.
func TestFailover(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, start := range map[string]func(t *testing.T) failing{"Cluster": ofCluster, "Sentinel": ofSentinel} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			n := open(t, f.url, fresh())
			n.boot("s1", "b1")
			names := members(20, func(p *part) bool { return f.fails(n.keys().parts[p.n].tag) })
			var had, lost []rollcall.Session
			for _, username := range names[:10] {
				had = append(had, n.start(username))
			}
			f.sync()
			before := n.epoch()
			f.part() // from here on the replicas hear nothing
			for _, username := range names[10:] {
				lost = append(lost, n.start(username))
			}
			spent := n.spend(50)
			f.kill()
			calls := n.run(4)
			replays := n.replay(spent)
			f.takeOver()
			n.waitEpoch(before)
			calls.more(40)
			replays.end()
			calls.check()
			for i := range had {
				if n.of(had[i].Username) != had[i].ID {
					t.Errorf("%s, which the replica had, is gone", had[i].ID)
				}
				if n.of(lost[i].Username) != "" {
					t.Errorf("%s was not lost: the test loses nothing", lost[i].ID)
				}
			}
			if boot, err := n.sessions.CurrentBoot(t.Context(), "s1"); boot != "b1" || err != nil {
				t.Errorf("current boot %q, %v, want b1", boot, err)
			}
			if refused := n.announce(append(had, lost...)...); len(refused) > 0 {
				t.Errorf("refused: %v", refused)
			}
			for _, s := range append(had, lost...) {
				if n.of(s.Username) != s.ID {
					t.Errorf("%s is not there after its announcement", s.ID)
				}
			}
			t.Logf("a call took %v at the most, %d found the engine out", calls.longest, calls.failed)
		})
	}
}

// failing is an engine with a master whose replicas can be kept from hearing.
type failing struct {
	url                        string
	fails                      func(key string) bool
	sync, part, kill, takeOver func()
}

func ofCluster(t *testing.T) failing {
	c := enginetest.Cluster(t)
	master, replica := c.Node(0), c.Node(3)
	return failing{
		url:      c.URL(),
		fails:    func(key string) bool { return slotOf(key) < 16384/3 },
		sync:     func() { waitReplicas(t, master, replica) },
		part:     func() { replica.Pause(); cut(t, master) },
		kill:     func() { master.Kill(); replica.Resume() },
		takeOver: c.WaitOK,
	}
}

func ofSentinel(t *testing.T) failing {
	s := enginetest.Sentinel(t)
	master := s.Master()
	var replicas []*enginetest.RedisServer
	for _, one := range s.Servers() {
		if one != master {
			replicas = append(replicas, one)
		}
	}
	each := func(do func(*enginetest.RedisServer)) {
		for _, one := range replicas {
			do(one)
		}
	}
	return failing{
		url:      s.URL(),
		fails:    func(string) bool { return true },
		sync:     func() { waitReplicas(t, master, replicas...) },
		part:     func() { each((*enginetest.RedisServer).Pause); cut(t, master) },
		kill:     func() { master.Kill(); each((*enginetest.RedisServer).Resume) },
		takeOver: func() { s.WaitFailover(master) },
	}
}

// cut breaks a master's connections to its replicas: what is on its way in them
// would still arrive.
func cut(t *testing.T, master *enginetest.RedisServer) {
	t.Helper()
	if n := master.CLI("CLIENT", "KILL", "TYPE", "replica"); n == "0" {
		t.Fatal("the master has no replicas to cut off")
	}
}

// waitReplicas returns when replicas have all that their master has.
func waitReplicas(t *testing.T, master *enginetest.RedisServer, replicas ...*enginetest.RedisServer) {
	t.Helper()
	offset := func(s *enginetest.RedisServer, name string) int64 {
		return number(field(s.CLI("INFO", "replication"), name))
	}
	want := offset(master, "master_repl_offset")
	for _, replica := range replicas {
		eventually(t, func() error {
			if have := offset(replica, "slave_repl_offset"); have < want {
				return fmt.Errorf("a replica has %d of %d", have, want)
			}
			return nil
		})
	}
}

// A server that comes back from its disk begins an epoch too.
func TestRestarted(t *testing.T) {
	t.Parallel() // it waits most of the time
	engine := enginetest.Redis(t)
	n := open(t, engine.URL(), fresh())
	s := n.start("player1")
	before := n.epoch()
	engine.Stop()
	within(t, n.engine.timeout+time.Second, "a call to nobody", func() {
		_, err := n.sessions.OfMember(t.Context(), "a1", "player1", n.Now())
		wantUnavailable(t, "check", err)
	})
	engine.Restart()
	n.waitEpoch(before)
	if refused := n.announce(s); len(refused) > 0 || n.of("player1") != s.ID {
		t.Errorf("refused: %v, there is [%s]", refused, n.of("player1"))
	}
}

// spend claims nonces.
func (n *node) spend(count int) map[string]time.Time {
	n.t.Helper()
	spent := make(map[string]time.Time)
	for range count {
		nonce := uuid.NewString()
		spent[nonce] = n.Now()
		if ok, err := n.nonces.Claim(n.t.Context(), "a1", nonce, spent[nonce]); err != nil || !ok {
			n.t.Fatalf("a new nonce was refused: %v", err)
		}
	}
	return spent
}

// replay claims nonces that are spent, again and again; none may be claimed.
func (n *node) replay(spent map[string]time.Time) *load {
	ctx, stop := context.WithCancel(n.t.Context())
	l := &load{n: n, stop: stop}
	for nonce, at := range spent {
		l.running.Go(func() {
			for ctx.Err() == nil {
				ok, err := n.nonces.Claim(context.WithoutCancel(ctx), "a1", nonce, at)
				if err != nil {
					wantUnavailable(n.t, "claim", err)
				}
				if ok {
					n.t.Errorf("a nonce was claimed twice")
				}
				wait(ctx, 10*time.Millisecond)
			}
		})
	}
	n.t.Cleanup(l.end)
	return l
}
