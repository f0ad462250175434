package storetest

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// What comes from another store is there as it was, without an audit entry; what
// is there already stays.
func testRestore(t *testing.T, f *fixture) {
	ctx, keys, members := t.Context(), f.Directory.TokenKeys(), f.Directory.Members()
	must(t, keys.Create(ctx, f.entry("create", "k1"), "k1", roll.TokenKey{ID: "k1", Sealed: []byte("own")}))
	for _, want := range []int{1, 0} {
		added, err := keys.Restore(ctx, map[string]roll.TokenKey{"k1": {ID: "k1", Sealed: []byte("other")}, "k2": {ID: "k2", CreatedAt: f.now}})
		must(t, err)
		if added != want {
			t.Errorf("restored %d, want %d", added, want)
		}
	}
	added, err := members.Restore(ctx, map[string]rollcall.Member{"a1/m1": {AgentID: "a1", Username: "m1", CreatedAt: f.now}})
	must(t, err)
	if added != 1 {
		t.Errorf("restored %d members, want 1", added)
	}
	if f.Reopen != nil {
		f.reopen(t)
		keys, members = f.Directory.TokenKeys(), f.Directory.Members()
	}
	list, err := keys.List(ctx, "", "", 10)
	must(t, err)
	if len(list) != 2 || string(list[0].Sealed) != "own" || !list[1].CreatedAt.Equal(f.now) {
		t.Errorf("got %+v, want the own k1 and the other's k2", list)
	}
	m, err := members.Get(ctx, "a1/m1")
	must(t, err)
	wantSame(t, "member", *m, rollcall.Member{AgentID: "a1", Username: "m1", CreatedAt: f.now})
	audit, err := f.Directory.Audit(ctx, 0, 10)
	must(t, err)
	if len(audit) != 1 {
		t.Errorf("%d audit entries, want that of the creation", len(audit))
	}
}

// Several notes keep their order.
func testNotes(t *testing.T, f *fixture) {
	ctx := t.Context()
	must(t, f.Directory.Note(ctx))
	must(t, f.Directory.Note(ctx, f.entry("z", "1"), f.entry("a", "2"), f.entry("m", "3")))
	audit, err := f.Directory.Audit(ctx, 0, 10)
	must(t, err)
	if len(audit) != 3 || audit[2].Action != "z" || audit[1].Action != "a" || audit[0].Action != "m" {
		t.Errorf("got %+v, want m, a and z", audit)
	}
}

// Receipts of another store are as far as they were there.
func testTellReceipts(t *testing.T, f *fixture) {
	k := rollcall.Kick{ID: newID(), At: f.now, Filter: rollcall.SessionFilter{GameCode: "g"}, Reason: rollcall.EndKicked, State: rollcall.KickDone}
	must(t, f.Sessions.AddKick(t.Context(), k))
	var receipts []rollcall.Receipt
	for i := range 4 {
		r := rollcall.Receipt{
			Event:      rollcall.Event{Type: rollcall.EventKicked, SessionID: f.session("player001").ID, AgentID: "a1", Username: "player001", QueuedAt: f.now},
			GameServer: "s1", BootID: "b1", KickID: k.ID, Seq: int64(77 + i),
		}
		for n, at := range []*time.Time{&r.DeliveredAt, &r.AcknowledgedAt, &r.EndedAt} {
			if n < i {
				*at = f.now.Add(time.Duration(n) * time.Second)
			}
		}
		receipts = append(receipts, r)
	}
	receipts[3].Note = "settled"
	must(t, f.Sessions.Tell(t.Context(), receipts...))
	got, err := f.Sessions.Receipts(t.Context(), k.ID, 0, 10)
	must(t, err)
	pending := f.pending(t, "s1", 0, 10)
	for i := range got {
		got[i].Seq = receipts[min(i, 3)].Seq
	}
	wantSame(t, "receipts", got, receipts)
	if len(pending) != 2 || pending[0].SessionID != receipts[0].SessionID || pending[1].SessionID != receipts[1].SessionID {
		t.Errorf("pending: got %v, want the first two", receiptIDs(pending))
	}
	of, err := f.Sessions.PendingOf(t.Context(), "s1", receiptIDs(receipts))
	must(t, err)
	if len(of) != 3 {
		t.Errorf("%d receipts of sessions whose game has not ended, want 3", len(of))
	}
	have, err := f.Sessions.Kick(t.Context(), k.ID)
	must(t, err)
	if want := (rollcall.KickProgress{Ended: 4, Delivered: 3, Acknowledged: 2, Settled: 1}); have.Progress != want {
		t.Errorf("progress %+v, want %+v", have.Progress, want)
	}
	f.mark(t, "s1", roll.Marks{Acknowledged: seqs(pending)}, 2)
	if left := f.pending(t, "s1", 0, 10); len(left) != 0 {
		t.Errorf("still pending: %v", receiptIDs(left))
	}
}
