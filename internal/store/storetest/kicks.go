package storetest

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofKicks = map[string]func(*testing.T, *fixture){
	"Kicks":        testKicks,
	"FinishKick":   testFinishKick,
	"KickProgress": testKickProgress,
}

func kickIDs(list []rollcall.Kick) []string {
	texts := []string{}
	for _, k := range list {
		texts = append(texts, k.ID)
	}
	return texts
}

func testKicks(t *testing.T, f *fixture) {
	_, err := f.Sessions.Kick(t.Context(), "none")
	wantErr(t, err, rollcall.ErrNotFound)
	var want []string
	for i := range 5 {
		k, _ := f.kick("")
		k.Filter = rollcall.SessionFilter{AgentID: "a1", GameCode: "g1"}
		k.PerSecond, k.Matched = 10, 100+i
		if i%2 == 0 {
			k.State, k.FinishedAt = rollcall.KickRunning, time.Time{}
		}
		must(t, f.Sessions.AddKick(t.Context(), *k))
		got, err := f.Sessions.Kick(t.Context(), k.ID)
		must(t, err)
		wantSame(t, "kick", got, *k)
		want = append([]string{k.ID}, want...)
		again := *k
		again.By, again.State = "another", rollcall.KickRunning
		must(t, f.Sessions.AddKick(t.Context(), again))
		got, err = f.Sessions.Kick(t.Context(), k.ID)
		must(t, err)
		wantSame(t, "kick", got, *k)
	}
	list := func(before string, running bool, limit int, want ...string) {
		t.Helper()
		got, err := f.Sessions.Kicks(t.Context(), before, running, limit)
		must(t, err)
		wantSame(t, "kicks", kickIDs(got), append([]string{}, want...))
	}
	list("", false, 10, want...)
	list("", false, 2, want[:2]...)
	list(want[1], false, 2, want[2:4]...)
	list("", true, 10, want[0], want[2], want[4])
	list(want[0], true, 1, want[2])
	list(want[4], false, 10)
}

// A kick by a filter voids the launches from before it that it picks, and no
// others; an aborted one voids none. End asks in the same step whether it runs.
func testKickByFilter(t *testing.T, f *fixture) {
	k, ending := f.kick("")
	k.Filter, k.State, k.FinishedAt = rollcall.SessionFilter{GameCode: "g1"}, rollcall.KickRunning, time.Time{}
	session := f.start(t, f.session("player001"))
	picked, other := f.session("player001"), f.session("player001")
	other.GameCode = "g2"
	first, second := f.launch(t, picked), f.launch(t, other)
	must(t, f.Sessions.AddKick(t.Context(), *k))
	begin := func(key string, s rollcall.Session) error {
		_, err := f.Sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: s})
		return err
	}
	if f.Reopen != nil {
		f.reopen(t)
	}
	wantErr(t, begin(first, picked), rollcall.ErrLaunchVoided)
	must(t, begin(second, other))
	f.set(f.now.Add(time.Second))
	later := f.session("player001")
	must(t, begin(f.launch(t, later), later))
	ending.IfRunning, ending.KickID = true, "none"
	end := func(id string, want int) {
		t.Helper()
		ended, err := f.Sessions.End(t.Context(), []string{id}, ending)
		must(t, err)
		if len(ended) != want {
			t.Errorf("ended %v, want %d", ended, want)
		}
	}
	ending.At = f.now
	end(session.ID, 0)
	ending.KickID = k.ID
	end(session.ID, 1)
	_, err := f.Sessions.FinishKick(t.Context(), k.ID, rollcall.KickAborted, f.now)
	must(t, err)
	end(later.ID, 0)
	must(t, begin(first, picked))
}

func testFinishKick(t *testing.T, f *fixture) {
	_, err := f.Sessions.FinishKick(t.Context(), "none", rollcall.KickDone, f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	k, _ := f.kick("")
	k.State, k.FinishedAt, k.Filter.AgentID, k.Matched = rollcall.KickRunning, time.Time{}, "a1", 2
	f.kicked(t, 2, k.ID)
	must(t, f.Sessions.AddKick(t.Context(), *k))
	want := *k
	want.State, want.FinishedAt = rollcall.KickAborted, f.now
	_, err = f.Sessions.KickState(t.Context(), "none")
	wantErr(t, err, rollcall.ErrNotFound)
	running, err := f.Sessions.Kicks(t.Context(), "", true, 10)
	must(t, err)
	wantSame(t, "running", running, []rollcall.Kick{*k}) // what it has ended is not counted
	state, err := f.Sessions.KickState(t.Context(), k.ID)
	must(t, err)
	wantSame(t, "state", state, rollcall.KickRunning)
	for _, state := range []rollcall.KickState{rollcall.KickAborted, rollcall.KickDone} { // the second finds it finished
		got, err := f.Sessions.FinishKick(t.Context(), k.ID, state, f.now)
		must(t, err)
		wantSame(t, "finished", got, want)
		f.set(f.now.Add(time.Second))
		if f.Reopen != nil {
			f.reopen(t)
		}
	}
	if state, err = f.Sessions.KickState(t.Context(), k.ID); err != nil || state != rollcall.KickAborted {
		t.Errorf("state %s %v", state, err)
	}
	got, err := f.Sessions.Kick(t.Context(), k.ID)
	must(t, err)
	want.Progress.Ended = 2
	wantSame(t, "kick", got, want)
	running, err = f.Sessions.Kicks(t.Context(), "", true, 10)
	must(t, err)
	if len(running) != 0 {
		t.Errorf("running: %+v", running)
	}
}

func testKickProgress(t *testing.T, f *fixture) {
	k, _ := f.kick("")
	list := f.kicked(t, 5, k.ID)
	f.kicked(t, 2, "another") // not its own
	must(t, f.Sessions.AddKick(t.Context(), *k))
	progress := func(want rollcall.KickProgress) {
		t.Helper()
		got, err := f.Sessions.Kick(t.Context(), k.ID)
		must(t, err)
		all, err := f.Sessions.Kicks(t.Context(), "", false, 10)
		must(t, err)
		if got.Progress != want || len(all) != 1 || all[0].Progress != want {
			t.Errorf("progress %+v and %+v, want %+v", got.Progress, all, want)
		}
	}
	progress(rollcall.KickProgress{Ended: 5})
	some := seqs(f.pending(t, "s1", 0, 5))
	f.mark(t, "s1", roll.Marks{Delivered: some[:4], Acknowledged: some[:3]}, 3)
	progress(rollcall.KickProgress{Ended: 5, Delivered: 4, Acknowledged: 3})
	f.mark(t, "s1", roll.Marks{Ended: []roll.MarkEnded{{SessionID: list[0].ID}, {SessionID: list[4].ID}}}, 1)
	progress(rollcall.KickProgress{Ended: 5, Delivered: 5, Acknowledged: 4, Settled: 2})
}
