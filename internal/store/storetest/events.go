package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofEvents = map[string]func(*testing.T, *fixture){
	"Tell":         testTell,
	"TellReceipts": testTellReceipts,
	"Pending":      testPending,
	"PendingOf":    testPendingOf,
	"Await":        testAwait,
	"Mark":         testMark,
	"MarkEnded":    testMarkEnded,
	"BootEvents":   testBootEvents,
	"KickByFilter": testKickByFilter,
	"Receipts":     testReceipts,
	"PruneEvents":  testPruneEvents,
	"EventsReopen": testEventsReopen,
}

// kicked starts n sessions of s1 and ends them, and returns them.
func (f *fixture) kicked(t *testing.T, n int, kickID string) []rollcall.Session {
	t.Helper()
	var list []rollcall.Session
	for i := range n {
		list = append(list, f.start(t, f.session(fmt.Sprintf("player%03d", i))))
	}
	e := roll.Ending{At: f.now, Reason: rollcall.EndKicked, By: "an operator", KickID: kickID}
	_, err := f.Sessions.End(t.Context(), strings.Fields(ids(list)), e)
	must(t, err)
	return list
}

func (f *fixture) mark(t *testing.T, server string, m roll.Marks, want int) {
	t.Helper()
	m.At = f.now
	got, err := f.Sessions.Mark(t.Context(), server, m)
	must(t, err)
	if got != want {
		t.Errorf("acknowledged %d, want %d", got, want)
	}
}

func (f *fixture) cursor(t *testing.T) int64 {
	t.Helper()
	seq, err := f.Sessions.Cursor(t.Context(), "s1")
	must(t, err)
	return seq
}

func seqs(list []rollcall.Receipt) []int64 {
	var seqs []int64
	for i := range list {
		seqs = append(seqs, list[i].Seq)
	}
	return seqs
}

func testTell(t *testing.T, f *fixture) {
	drain := rollcall.Receipt{Event: rollcall.Event{Type: rollcall.EventDrain, By: "an operator", QueuedAt: f.now.Add(time.Microsecond)}, GameServer: "s1"}
	must(t, f.Sessions.Tell(t.Context(), drain))
	got := f.pending(t, "s1", 0, 10)
	if len(got) != 1 || got[0].Seq <= 0 {
		t.Fatalf("pending: %+v", got)
	}
	drain.Seq = got[0].Seq
	wantSame(t, "event", got[0], drain)
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(got)}, 1)
	if got := f.pending(t, "s1", 0, 10); len(got) != 0 {
		t.Errorf("pending after its acknowledgement: %+v", got)
	}
}

func testPending(t *testing.T, f *fixture) {
	if got := f.pending(t, "s1", 0, 10); len(got) != 0 {
		t.Errorf("pending: %+v", got)
	}
	list := f.kicked(t, 5, "k1")
	all := f.pending(t, "s1", 0, 10)
	if !slices.IsSorted(seqs(all)) || !slices.Equal(receiptIDs(all), strings.Fields(ids(list))) {
		t.Fatalf("pending: %+v, want the five by Seq", all)
	}
	for limit := range 7 {
		if got := f.pending(t, "s1", 0, limit); !slices.Equal(seqs(got), seqs(all)[:min(5, limit)]) {
			t.Errorf("at most %d: %v of %v", limit, seqs(got), seqs(all))
		}
	}
	for i, r := range all {
		for after, want := range map[int64][]int64{r.Seq: seqs(all[i+1:]), r.Seq - 1: seqs(all[i:])} {
			if got := f.pending(t, "s1", after, 10); !slices.Equal(seqs(got), want) {
				t.Errorf("behind %d: %v, want %v", after, seqs(got), want)
			}
		}
	}
	f.mark(t, "s1", roll.Marks{Acknowledged: []int64{all[1].Seq, all[3].Seq}}, 2)
	if got := f.pending(t, "s1", 0, 2); !slices.Equal(seqs(got), []int64{all[0].Seq, all[2].Seq}) {
		t.Errorf("pending: %v of %v, want the first and third", seqs(got), seqs(all))
	}
	if got := f.pending(t, "s2", 0, 10); len(got) != 0 {
		t.Errorf("another game server's: %+v", got)
	}
}

func testPendingOf(t *testing.T, f *fixture) {
	list := f.kicked(t, 3, "k1")
	of := func(server string, ids []string, want ...string) {
		t.Helper()
		got, err := f.Sessions.PendingOf(t.Context(), server, ids)
		must(t, err)
		have := receiptIDs(got)
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("of %v: got %v, want %v", ids, have, want)
		}
	}
	some := []string{list[2].ID, "none", list[0].ID}
	of("s1", some, list[0].ID, list[2].ID)
	of("s2", some)
	of("s1", nil)
	f.mark(t, "s1", roll.Marks{Ended: []roll.MarkEnded{{SessionID: list[0].ID}}}, 1)
	of("s1", some, list[2].ID)
	if f.Reopen != nil {
		f.reopen(t)
		of("s1", some, list[2].ID)
	}
}

func testAwait(t *testing.T, f *fixture) {
	closed := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	first, second, other := f.Sessions.Await("s1"), f.Sessions.Await("s1"), f.Sessions.Await("s2")
	if closed(first) || closed(second) || closed(other) {
		t.Error("woken before there was an event")
	}
	f.kicked(t, 1, "k1")
	if !closed(first) || !closed(second) {
		t.Error("not all who wait were woken")
	}
	if closed(other) {
		t.Error("another game server was woken")
	}
	again := f.Sessions.Await("s1")
	if closed(again) && !f.Engine { // an engine's message may come late
		t.Error("woken by an event from before")
	}
	f.mark(t, "s1", roll.Marks{Delivered: seqs(f.pending(t, "s1", 0, 1))}, 0)
	if closed(again) && !f.Engine {
		t.Error("woken by a mark")
	}
	must(t, f.Sessions.Tell(t.Context(), rollcall.Receipt{Event: rollcall.Event{Type: rollcall.EventDrain, QueuedAt: f.now}, GameServer: "s1"}))
	if !closed(again) {
		t.Error("not woken by the second event")
	}
}

func testMark(t *testing.T, f *fixture) {
	f.kicked(t, 4, "k1")
	all := f.pending(t, "s1", 0, 10)
	if got := f.cursor(t); got >= all[0].Seq {
		t.Errorf("cursor %d, want it before %d", got, all[0].Seq)
	}
	first := f.now
	f.mark(t, "s1", roll.Marks{Delivered: seqs(all)[:2]}, 0)
	f.set(first.Add(time.Second))
	f.mark(t, "s1", roll.Marks{Delivered: seqs(all)[:3], Acknowledged: []int64{all[0].Seq, all[2].Seq, 9999}}, 2)
	f.set(first.Add(2 * time.Second))
	f.mark(t, "s1", roll.Marks{Delivered: seqs(all), Acknowledged: []int64{all[0].Seq}}, 0) // what is marked stays
	f.mark(t, "s2", roll.Marks{Acknowledged: seqs(all)}, 0)                                 // another's
	if got := f.cursor(t); got < all[0].Seq || got >= all[1].Seq {
		t.Errorf("cursor %d, want it between %d and %d", got, all[0].Seq, all[1].Seq)
	}
	want := slices.Clone(all)
	want[0].DeliveredAt, want[0].AcknowledgedAt = first, first.Add(time.Second)
	want[1].DeliveredAt = first
	want[2].DeliveredAt, want[2].AcknowledgedAt = first.Add(time.Second), first.Add(time.Second)
	want[3].DeliveredAt = first.Add(2 * time.Second)
	check := func() {
		t.Helper()
		got, err := f.Sessions.Receipts(t.Context(), "k1", 0, 10)
		must(t, err)
		wantSame(t, "receipts", got, want)
		wantSame(t, "pending", f.pending(t, "s1", 0, 10), []rollcall.Receipt{want[1], want[3]})
	}
	check()
	if f.Reopen != nil {
		f.reopen(t)
		check()
	}
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(all)}, 2)
	if got := f.cursor(t); got < all[3].Seq {
		t.Errorf("cursor %d, want it at %d or behind", got, all[3].Seq)
	}
	f.kicked(t, 1, "k2")
	if got := f.pending(t, "s1", f.cursor(t), 10); len(got) != 1 {
		t.Errorf("behind the cursor: %+v, want the one that is new", got)
	}
}

func testMarkEnded(t *testing.T, f *fixture) {
	list := f.kicked(t, 3, "k1")
	all := f.pending(t, "s1", 0, 10)
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(all)[:1]}, 1)
	f.set(f.now.Add(time.Second))
	ended := []roll.MarkEnded{{SessionID: list[0].ID, Note: "settled"}, {SessionID: list[1].ID, Note: "also"}, {SessionID: "none"}}
	f.mark(t, "s2", roll.Marks{Ended: ended}, 0) // another's
	f.mark(t, "s1", roll.Marks{Ended: ended}, 1)
	at := f.now
	f.set(f.now.Add(time.Second))
	f.mark(t, "s1", roll.Marks{Ended: []roll.MarkEnded{{SessionID: list[0].ID, Note: "changed"}}}, 0)
	want := slices.Clone(all)
	want[0].AcknowledgedAt, want[0].EndedAt, want[0].Note = at.Add(-time.Second), at, "settled"
	want[1].AcknowledgedAt, want[1].EndedAt, want[1].Note = at, at, "also"
	want[0].DeliveredAt, want[1].DeliveredAt = want[0].AcknowledgedAt, at // who knows it was told
	got, err := f.Sessions.Receipts(t.Context(), "k1", 0, 10)
	must(t, err)
	wantSame(t, "receipts", got, want)
	var settled []string
	for _, c := range f.changes(t, nil) {
		if !c.SettledAt.IsZero() {
			settled = append(settled, c.GameServer+" "+c.ID+" "+c.Note)
		}
	}
	want2 := []string{
		"s2 " + list[0].ID + " settled", "s2 " + list[1].ID + " also",
		"s1 " + list[0].ID + " settled", "s1 " + list[1].ID + " also", "s1 " + list[0].ID + " changed",
	}
	slices.Sort(settled)
	slices.Sort(want2)
	wantSame(t, "settled", settled, want2)
}

// A boot acknowledges the events of sessions of others, and no drain.
func testBootEvents(t *testing.T, f *fixture) {
	f.kicked(t, 2, "k1")
	must(t, f.Sessions.Tell(t.Context(), rollcall.Receipt{Event: rollcall.Event{Type: rollcall.EventDrain, QueuedAt: f.now}, GameServer: "s1"}))
	other := f.session("player001")
	other.GameServer = "s2"
	f.start(t, other)
	_, err := f.Sessions.End(t.Context(), []string{other.ID}, roll.Ending{At: f.now, Reason: rollcall.EndKicked, KickID: "k1"})
	must(t, err)
	f.boot(t, "s1", "b1")
	if got := f.pending(t, "s1", 0, 10); len(got) != 3 {
		t.Errorf("the same boot again: %d events, want 3", len(got))
	}
	f.boot(t, "s1", "b2")
	if got := f.pending(t, "s1", 0, 10); len(got) != 1 || got[0].Type != rollcall.EventDrain {
		t.Errorf("another boot has %+v, want the drain", got)
	}
	if got := f.pending(t, "s2", 0, 10); len(got) != 1 {
		t.Errorf("another game server has %+v, want its own", got)
	}
	receipts, err := f.Sessions.Receipts(t.Context(), "k1", 0, 10)
	must(t, err)
	for _, r := range receipts {
		if r.AcknowledgedAt.IsZero() != (r.GameServer == "s2") {
			t.Errorf("receipt %+v", r)
		}
	}
}

func testReceipts(t *testing.T, f *fixture) {
	list := f.kicked(t, 5, "k1")
	f.kicked(t, 1, "k2")
	f.kicked(t, 1, "")
	receipts := func(kick string, after int64, limit int) []rollcall.Receipt {
		t.Helper()
		got, err := f.Sessions.Receipts(t.Context(), kick, after, limit)
		must(t, err)
		return got
	}
	all := receipts("k1", 0, 100)
	if !slices.Equal(receiptIDs(all), strings.Fields(ids(list))) || !slices.IsSorted(seqs(all)) {
		t.Errorf("receipts %+v, want those of k1 by Seq", all)
	}
	if got := receipts("k1", all[1].Seq, 2); !slices.Equal(seqs(got), seqs(all[2:4])) {
		t.Errorf("the second page: %v of %v", seqs(got), seqs(all))
	}
	if got := len(receipts("none", 0, 10)) + len(receipts("", 0, 10)); got != 0 {
		t.Errorf("%d receipts of no kick", got)
	}
}

func testPruneEvents(t *testing.T, f *fixture) {
	old, _ := f.kick("player001")
	must(t, f.Sessions.AddKick(t.Context(), *old))
	running := *old
	running.ID, running.State = newID(), rollcall.KickRunning
	must(t, f.Sessions.AddKick(t.Context(), running))
	gone := f.kicked(t, 3, old.ID)
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(f.pending(t, "s1", 0, 1))}, 1)
	f.set(f.now.Add(time.Hour))
	young, _ := f.kick("player001")
	must(t, f.Sessions.AddKick(t.Context(), *young))
	f.kicked(t, 1, young.ID)
	kept := f.pending(t, "s1", 0, 10)[2:]
	for _, want := range []int{2, 2, 0} {
		n, err := f.Sessions.PruneEvents(t.Context(), f.now, 2)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	check := func() {
		t.Helper()
		wantSame(t, "pending", f.pending(t, "s1", 0, 10), kept)
		of, err := f.Sessions.PendingOf(t.Context(), "s1", []string{gone[0].ID, gone[1].ID})
		must(t, err)
		receipts, err := f.Sessions.Receipts(t.Context(), old.ID, 0, 10)
		must(t, err)
		if len(of) != 0 || len(receipts) != 0 {
			t.Errorf("left of what is old: %+v, %+v", of, receipts)
		}
		kicks, err := f.Sessions.Kicks(t.Context(), "", false, 10)
		must(t, err)
		wantSame(t, "kicks", kickIDs(kicks), []string{young.ID, running.ID})
	}
	check()
	if f.Reopen != nil {
		f.reopen(t)
		check()
	}
}

// Events and their order outlive the process, and what comes later is later.
func testEventsReopen(t *testing.T, f *fixture) {
	f.kicked(t, 3, "k1")
	all := f.pending(t, "s1", 0, 10)
	f.reopen(t)
	wantSame(t, "pending", f.pending(t, "s1", 0, 10), all)
	if got := f.cursor(t); got >= all[0].Seq {
		t.Errorf("cursor %d, want it before %d", got, all[0].Seq)
	}
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(all)}, 3)
	last := all[2].Seq
	for range 3 {
		_, err := f.Sessions.PruneEvents(t.Context(), f.now.Add(time.Hour), 100) // nothing is left whose Seq could be asked
		must(t, err)
		f.reopen(t)
		if got := f.cursor(t); got < last {
			t.Errorf("cursor %d, want %d or later", got, last)
		}
		f.kicked(t, 1, "k2")
		got := f.pending(t, "s1", 0, 10)
		if len(got) != 1 || got[0].Seq <= last {
			t.Fatalf("got %+v, want one behind %d", got, last)
		}
		last = got[0].Seq
	}
}
