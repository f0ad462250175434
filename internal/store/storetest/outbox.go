package storetest

import (
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

func changeSeqs(list []roll.Change) []int64 {
	var seqs []int64
	for i := range list {
		seqs = append(seqs, list[i].Seq)
	}
	return seqs
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
	if list := f.changes(t, 0, 10); len(list) != 0 {
		t.Errorf("an empty store has %+v", list)
	}
	end(5)
	all := f.changes(t, 0, 10)
	if len(all) != 5 || all[0].Seq <= 0 || !slices.IsSorted(changeSeqs(all)) {
		t.Fatalf("changes %+v, want five by Seq", all)
	}
	for i := range all {
		if got := f.changes(t, all[i].Seq, 2); !slices.Equal(changeSeqs(got), changeSeqs(all[i+1:min(5, i+3)])) {
			t.Errorf("behind %d: %v of %v", all[i].Seq, changeSeqs(got), changeSeqs(all))
		}
	}
	must(t, f.Sessions.Forget(t.Context(), all[1].Seq))
	must(t, f.Sessions.Forget(t.Context(), all[0].Seq)) // it is gone already
	must(t, f.Sessions.Forget(t.Context(), 0))
	wantSame(t, "changes", f.changes(t, 0, 10), all[2:])
	if f.Reopen == nil {
		return
	}
	f.reopen(t)
	wantSame(t, "changes", f.changes(t, 0, 10), all[2:])
	last := all[4].Seq
	for range 3 {
		must(t, f.Sessions.Forget(t.Context(), last))
		f.reopen(t)
		back, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
		must(t, err)
		wantIDs(t, back) // what has ended does not come back with what knew of it gone
		end(1)
		got := f.changes(t, 0, 10)
		if len(got) != 1 || got[0].Seq <= last {
			t.Fatalf("got %+v, want one behind %d", got, last)
		}
		last = got[0].Seq
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
	var after int64
	read := func() {
		for {
			page := f.changes(t, after, 5)
			if len(page) == 0 {
				return
			}
			for i := range page {
				if page[i].Seq <= after || !want[page[i].ID] {
					t.Errorf("change %+v behind %d", page[i], after)
				}
				delete(want, page[i].ID)
				after = page[i].Seq
			}
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
