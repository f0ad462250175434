package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

var ofHistory = map[string]func(*testing.T, *fixture){
	"History":      testHistory,
	"HistoryPrune": testHistoryPrune,
	"HistoryPages": testHistoryPages,
	"Ended":        testEnded,
	"EndedOf":      testEndedOf,
	"EndedAround":  testEndedAround,
	"EndedPrune":   testEndedPrune,
	"Settle":       testSettle,
	"EndedReopen":  testEndedReopen,
}

func (f *fixture) record(username string) rollcall.RequestRecord {
	return rollcall.RequestRecord{
		LogUUID: newID(), At: f.now, Endpoint: "/v2/members/sessions/check", AgentID: "a1", Username: username,
		Remote: "127.0.0.1", Code: 83, Status: 200, TookNanos: 12345,
		Checks:   []rollcall.RequestCheck{{Name: "agent", Passed: true, TookNanos: 1}, {Name: "token", Reason: "expired"}},
		Findings: []rollcall.RequestFinding{{Code: "token-expired", Value: 61000}, {Code: "tag-behind"}},
	}
}

func testHistory(t *testing.T, f *fixture) {
	ctx := t.Context()
	_, err := f.History.Request(ctx, uuid.NewString())
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = f.History.Request(ctx, "no UUID")
	wantErr(t, err, rollcall.ErrNotFound)
	var records []rollcall.RequestRecord
	for i := range 1000 {
		records = append(records, f.record(fmt.Sprintf("player%03d", i)))
	}
	must(t, f.History.AddRequests(ctx, records))
	again := records[1]
	again.Username = "changed"
	must(t, f.History.AddRequests(ctx, []rollcall.RequestRecord{again, f.record("last")}))
	must(t, f.History.AddRequests(ctx, nil))
	for _, want := range []rollcall.RequestRecord{records[0], records[1], records[999]} {
		got, err := f.History.Request(ctx, want.LogUUID)
		must(t, err)
		if !got.At.Equal(want.At) {
			t.Errorf("got %s, want %s", got.At, want.At)
		}
		got.At = want.At
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Who moves a history reads it page by page, to the end.
func testHistoryPages(t *testing.T, f *fixture) {
	ctx := t.Context()
	var records []rollcall.RequestRecord
	var all []rollcall.EndedSession
	for i := range 7 {
		records = append(records, f.record(fmt.Sprint("player", i)))
		all = append(all, f.ended(fmt.Sprint("player", i), time.Duration(-i)*time.Hour, 0))
	}
	must(t, f.History.AddRequests(ctx, []rollcall.RequestRecord{records[4], records[0], records[6], records[2]}))
	must(t, f.History.AddRequests(ctx, records))
	must(t, f.History.AddEnded(ctx, []rollcall.EndedSession{all[5], all[1]}))
	must(t, f.History.AddEnded(ctx, all))
	for _, page := range []struct{ after, limit, from, to int }{
		{-1, 3, 0, 3}, {2, 3, 3, 6}, {5, 3, 6, 7}, {6, 3, 7, 7}, {-1, 0, 0, 0}, {-1, 100, 0, 7},
	} {
		afterRecord, afterEnded := "", ""
		if page.after >= 0 {
			afterRecord, afterEnded = records[page.after].LogUUID, all[page.after].ID
		}
		gotRecords, err := f.History.RequestsAfter(ctx, afterRecord, page.limit)
		must(t, err)
		wantSame(t, fmt.Sprintf("records %+v", page), gotRecords, append([]rollcall.RequestRecord{}, records[page.from:page.to]...))
		gotEnded, err := f.History.EndedAfter(ctx, afterEnded, page.limit)
		must(t, err)
		wantSame(t, fmt.Sprintf("ended %+v", page), gotEnded, append([]rollcall.EndedSession{}, all[page.from:page.to]...))
	}
}

func testHistoryPrune(t *testing.T, f *fixture) {
	ctx := t.Context()
	old, young := f.record("old"), f.record("young")
	older := f.record("older")
	older.At = f.now.Add(-time.Hour)
	young.At = f.now.Add(time.Hour)
	must(t, f.History.AddRequests(ctx, []rollcall.RequestRecord{old, young, older}))
	for _, want := range []int{1, 1, 0} {
		n, err := f.History.Prune(ctx, f.now.Add(time.Millisecond), 1)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	_, err := f.History.Request(ctx, old.LogUUID)
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = f.History.Request(ctx, young.LogUUID)
	must(t, err)
}

// ended makes a session of a member that was live from start to end, by
// the fixture's clock.
func (f *fixture) ended(username string, start, end time.Duration) rollcall.EndedSession {
	s := f.session(username)
	s.StartedAt = f.now.Add(start)
	return rollcall.EndedSession{
		Session: s, EndedAt: f.now.Add(end), Reason: rollcall.EndKicked, By: "an operator", KickID: "k1", Note: "a note",
	}
}

func testEnded(t *testing.T, f *fixture) {
	ctx := t.Context()
	var all []rollcall.EndedSession
	for range 1000 {
		all = append(all, f.ended("player001", -time.Hour, 1))
	}
	must(t, f.History.AddEnded(ctx, all))
	must(t, f.History.AddEnded(ctx, nil))
	again := all[0]
	again.Reason = rollcall.EndLeft
	must(t, f.History.AddEnded(ctx, []rollcall.EndedSession{again, f.ended("player002", 0, 1)}))
	got, err := f.History.Ended(ctx, []string{all[0].ID, "none", all[999].ID})
	must(t, err)
	slices.SortFunc(got, func(a, b rollcall.EndedSession) int { return strings.Compare(a.ID, b.ID) })
	wantSame(t, "ended", got, []rollcall.EndedSession{all[0], all[999]})
	got, err = f.History.Ended(ctx, endedIDs(all))
	must(t, err)
	if len(got) != 1000 {
		t.Errorf("got %d, want 1000", len(got))
	}
	for _, none := range [][]string{nil, {"none"}} {
		got, err = f.History.Ended(ctx, none)
		must(t, err)
		if len(got) != 0 {
			t.Errorf("of %v: %+v", none, got)
		}
	}
}

func testEndedOf(t *testing.T, f *fixture) {
	ctx := t.Context()
	var mine []rollcall.EndedSession
	for i := range 5 {
		e := f.ended("player001", time.Duration(-i)*time.Hour, 1) // the ID is the order
		other, another := f.ended("player0012", 0, 1), f.ended("player001", 0, 1)
		another.AgentID = "a2"
		must(t, f.History.AddEnded(ctx, []rollcall.EndedSession{other, e, another}))
		mine = append([]rollcall.EndedSession{e}, mine...)
	}
	of := func(before string, limit int, want []rollcall.EndedSession) {
		t.Helper()
		got, err := f.History.EndedOf(ctx, "a1", "player001", before, limit)
		must(t, err)
		wantSame(t, "ended", endedIDs(got), endedIDs(want))
	}
	of("", 100, mine)
	of("", 2, mine[:2])
	of(mine[1].ID, 2, mine[2:4])
	of(mine[4].ID, 2, nil)
	of("", 0, nil)
}

func testEndedAround(t *testing.T, f *fixture) {
	ctx := t.Context()
	all := []rollcall.EndedSession{
		f.ended("player001", 0, time.Microsecond), // just then
		f.ended("player001", -time.Hour, time.Hour),
		f.ended("player002", -time.Hour, time.Hour),
		f.ended("player001", -24*time.Hour+time.Second, time.Microsecond), // as long as may be
		f.ended("player001", -time.Hour, 0),                               // ended at that very moment
		f.ended("player001", time.Microsecond, time.Hour),                 // began just after
		f.ended("player001", -2*time.Hour, -time.Hour),
	}
	all[2].GameCode, all[2].Currency, all[2].GameServer, all[2].AgentID = "g2", "EUR", "s2", "a2"
	must(t, f.History.AddEnded(ctx, all))
	around := func(filter rollcall.SessionFilter, after string, limit int, want ...rollcall.EndedSession) {
		t.Helper()
		got, err := f.History.EndedAround(ctx, f.now, filter, after, limit)
		must(t, err)
		wantSame(t, fmt.Sprintf("%+v", filter), endedIDs(got), endedIDs(want))
	}
	none := rollcall.SessionFilter{}
	around(none, "", 100, all[:4]...)
	around(none, "", 2, all[:2]...)
	around(none, all[1].ID, 2, all[2:4]...)
	around(none, all[3].ID, 2)
	around(rollcall.SessionFilter{AgentID: "a1"}, "", 100, all[0], all[1], all[3])
	around(rollcall.SessionFilter{AgentID: "a1"}, all[0].ID, 1, all[1])
	for _, filter := range []rollcall.SessionFilter{
		{AgentID: "a2", Username: "player002"}, {GameCode: "g2"}, {Currency: "EUR"}, {GameServer: "s2"}, {SessionID: all[2].ID},
	} {
		around(filter, "", 100, all[2])
	}
	around(rollcall.SessionFilter{GameCode: "g2", AgentID: "a1"}, "", 100)
}

// The first note of the session's own game server is kept, and one that came with
// the end.
func testSettle(t *testing.T, f *fixture) {
	ctx := t.Context()
	open, noted := f.ended("player001", -time.Hour, 0), f.ended("player001", -time.Hour, 0)
	open.Note, noted.Note = "", "with the end"
	must(t, f.History.AddEnded(ctx, []rollcall.EndedSession{open, noted}))
	settle := func(id, server, note string) {
		t.Helper()
		must(t, f.History.Settle(ctx, []rollcall.EndedSession{{Session: rollcall.Session{ID: id, GameServer: server}, SettledAt: f.now, Note: note}}))
	}
	settle(open.ID, "another", "not mine")
	settle("none", open.GameServer, "of nothing")
	settle(open.ID, open.GameServer, "paid")
	settle(open.ID, open.GameServer, "paid twice")
	settle(noted.ID, noted.GameServer, "later")
	must(t, f.History.Settle(ctx, nil))
	open.Note, open.SettledAt = "paid", f.now
	got, err := f.History.EndedOf(ctx, "a1", "player001", "", 10)
	must(t, err)
	wantSame(t, "ended", got, []rollcall.EndedSession{noted, open})
}

func testEndedPrune(t *testing.T, f *fixture) {
	ctx := t.Context()
	kept := f.ended("player001", -time.Hour, 0)
	must(t, f.History.AddEnded(ctx, []rollcall.EndedSession{
		f.ended("player001", -time.Hour, -time.Microsecond), kept, f.ended("player001", -time.Hour, -time.Minute), f.ended("player001", -time.Hour, -time.Hour),
	}))
	for _, want := range []int{2, 1, 0} {
		n, err := f.History.PruneEnded(ctx, f.now, 2)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	left, err := f.History.EndedOf(ctx, "a1", "player001", "", 10)
	must(t, err)
	wantSame(t, "left", left, []rollcall.EndedSession{kept})
}

func testEndedReopen(t *testing.T, f *fixture) {
	e, d := f.ended("player001", -time.Hour, 123*time.Microsecond), f.delivery("a1", 0)
	must(t, f.History.AddEnded(t.Context(), []rollcall.EndedSession{e}))
	must(t, f.History.AddDeliveries(t.Context(), []rollcall.WebhookDelivery{d}))
	f.reopen(t)
	got, err := f.History.EndedOf(t.Context(), "a1", "player001", "", 10)
	must(t, err)
	wantSame(t, "ended", got, []rollcall.EndedSession{e})
	delivery, err := f.History.Delivery(t.Context(), d.ID)
	must(t, err)
	wantSame(t, "delivery", delivery, d)
}
