package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofOutbox = map[string]func(*testing.T, *fixture){
	"Changes":          testChanges,
	"ChangesConcurent": testChangesConcurrent,
}

// bySeq sorts changes by lane and Seq.
func bySeq(list []roll.Change) []roll.Change {
	slices.SortFunc(list, func(a, b roll.Change) int { return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Seq, b.Seq)) })
	return list
}

func testChanges(t *testing.T, f *fixture) {
	end := func(n int) {
		t.Helper()
		for i := range n {
			s := f.start(t, f.session(fmt.Sprintf("player%03d", i)))
			_, err := f.Sessions.End(t.Context(), []string{s.ID}, f.left())
			must(t, err)
		}
	}
	if list := f.changes(t, nil); len(list) != 0 {
		t.Errorf("an empty store has %+v", list)
	}
	end(5)
	all := bySeq(f.changes(t, nil))
	if len(all) != 5 || all[0].Seq <= 0 {
		t.Fatalf("changes %+v, want five", all)
	}
	for i := range all {
		wantSame(t, fmt.Sprint("behind ", i), bySeq(f.changes(t, roll.Position(nil).Past(all[:i+1]))), all[i+1:])
	}
	forget := func(through roll.Position) {
		t.Helper()
		must(t, f.Sessions.Forget(t.Context(), through))
	}
	forget(roll.Position(nil).Past(all[:2]))
	forget(roll.Position(nil).Past(all[:1])) // it is gone already
	forget(nil)
	wantSame(t, "changes", bySeq(f.changes(t, nil)), all[2:])
	if f.Reopen == nil {
		return
	}
	f.reopen(t)
	wantSame(t, "changes", bySeq(f.changes(t, nil)), all[2:])
	last := roll.Position(nil).Past(all)
	for range 3 {
		forget(last)
		f.reopen(t)
		back, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
		must(t, err)
		wantIDs(t, back) // what has ended does not come back with what knew of it gone
		end(1)
		got := f.changes(t, nil)
		if len(got) != 1 || got[0].Seq <= last.Of(got[0].Lane) {
			t.Fatalf("got %+v, want one behind %v", got, last)
		}
		last = last.Past(got)
	}
}

// Who reads the outbox page by page, while others end sessions, misses none.
func testChangesConcurrent(t *testing.T, f *fixture) {
	const n = 60
	want := make(map[string]bool)
	var all sync.WaitGroup
	for i := range n {
		s := f.start(t, f.session(fmt.Sprintf("player%03d", i%7)))
		want[s.ID] = true
		all.Go(func() {
			if _, err := f.Sessions.End(t.Context(), []string{s.ID}, f.left()); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	var after roll.Position
	read := func() {
		page := f.changes(t, after)
		for i := range page {
			if page[i].Seq <= after.Of(page[i].Lane) || !want[page[i].ID] {
				t.Errorf("change %+v behind %v", page[i], after)
			}
			delete(want, page[i].ID)
			after = after.Past(page[i : i+1])
		}
	}
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		default:
		}
		read()
	}
	if read(); len(want) != 0 {
		t.Errorf("%d ends were not in the outbox", len(want))
	}
}
