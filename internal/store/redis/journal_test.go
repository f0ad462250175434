package redis

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// kicked makes the change of a kick as a process that dies before it has carried
// on what the change has others told of.
func (n *node) kicked(t *testing.T, username string) *page {
	t.Helper()
	k, e := n.kickOf(username)
	home := roll.HomeOf("a1", username)
	g := &page{part: n.keys().of(home), homes: []roll.Home{home}, launches: true}
	must(t, n.sessions.change(t.Context(), "test", e.At, []*page{g}, func(g *page) error {
		g.step, _ = g.book.PlanEndMember("a1", username, &e, &k)
		return nil
	}))
	if len(g.step.Receipts) != 1 || len(g.step.Kicks) != 1 || len(g.journal) != 2 {
		t.Fatalf("the step has %d receipts and %d kicks, the journal %v", len(g.step.Receipts), len(g.step.Kicks), g.journal)
	}
	return g
}

// journal counts what lies in all journals.
func (n *node) journal() (left int) {
	n.t.Helper()
	for i := range n.keys().parts {
		got, err := n.engine.do(n.t.Context(), "test", read("XLEN", n.keys().parts[i].journal()))
		must(n.t, err)
		count, err := got[0].AsInt64()
		must(n.t, err)
		left += int(count)
	}
	return left
}

func TestJournal(t *testing.T) {
	t.Parallel() // it waits most of the time
	url := enginetest.Redis(t).URL()
	for name, test := range map[string]func(t *testing.T, o Options){
		"DiedBeforeItCarried": func(t *testing.T, o Options) { testDied(t, url, o) },
		"CarriedByMany":       func(t *testing.T, o Options) { testCarriedByMany(t, url, o) },
		"LongJournal":         func(t *testing.T, o Options) { testLongJournal(t, url, o) },
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh()) })
	}
}

func testDied(t *testing.T, url string, o Options) {
	a := openOnly(t, url, o)
	s := a.start("player1")
	g := a.kicked(t, "player1")
	if a.of("player1") != "" {
		t.Error("a kick that was made is not seen")
	}
	must(t, a.Close())
	b := open(t, url, o)
	eventually(t, func() error {
		if left := b.journal(); left > 0 {
			return fmt.Errorf("%d entries are left in the journal", left)
		}
		return nil
	})
	if got := b.pending(); !slices.Equal(got, []string{s.ID}) {
		t.Errorf("pending are %v, want %s", got, s.ID)
	}
	k, err := b.sessions.Kick(t.Context(), g.step.Kicks[0].ID)
	if must(t, err); k.Matched != 1 || k.Progress != (rollcall.KickProgress{Ended: 1}) {
		t.Errorf("the kick is %+v", k)
	}
}

// However often and by how many something is carried on, it is there once, also
// when it was acknowledged meanwhile.
func testCarriedByMany(t *testing.T, url string, o Options) {
	a, b := open(t, url, o), open(t, url, o)
	s := a.start("player1")
	g := a.kicked(t, "player1")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { []*node{a, b}[i%2].sessions.carry(t.Context(), g) })
	}
	all.Wait()
	if got := a.pending(); !slices.Equal(got, []string{s.ID}) {
		t.Errorf("pending are %v, want %s once", got, s.ID)
	}
	list, err := a.sessions.Pending(t.Context(), "s1", 0, 10)
	must(t, err)
	n, err := a.sessions.Mark(t.Context(), "s1", roll.Marks{At: a.Now(), Acknowledged: []int64{list[0].Seq}})
	if must(t, err); n != 1 {
		t.Errorf("acknowledged %d, want 1", n)
	}
	b.sessions.carry(t.Context(), g)
	if got := a.pending(); len(got) > 0 {
		t.Errorf("pending is %v again", got)
	}
	got, err := a.sessions.Receipts(t.Context(), g.step.Kicks[0].ID, 0, 10)
	if must(t, err); len(got) != 1 || got[0].AcknowledgedAt.IsZero() {
		t.Errorf("the kick's receipts are %+v", got)
	}
	if left := a.journal(); left > 0 {
		t.Errorf("%d entries are left in the journal", left)
	}
}

// More than is carried at a time goes too, in its order, and entries that are not
// carried yet stay.
func testLongJournal(t *testing.T, url string, o Options) {
	a := openOnly(t, url, o)
	a.boot("s1", "b1")
	var want []string
	for _, username := range members(journalSome+20, func(p *part) bool { return p.n == 7 }) {
		want = append(want, a.start(username).ID)
		a.kicked(t, username)
	}
	must(t, a.Close())
	b := open(t, url, o)
	eventually(t, func() error {
		if left := b.journal(); left > 0 {
			return fmt.Errorf("%d entries are left in the journal", left)
		}
		return nil
	})
	if got := b.pending(); !slices.Equal(got, want) {
		t.Errorf("pending are %d, want %d in their order", len(got), len(want))
	}
	if _, err := b.sessions.Kick(t.Context(), "none"); !errors.Is(err, rollcall.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
