package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofEnds = map[string]func(*testing.T, *fixture){
	"End":              testEnd,
	"EndOfOneServer":   testEndOfOneServer,
	"EndReasons":       testEndReasons,
	"EndOneWinner":     testEndOneWinner,
	"EndMember":        testEndMember,
	"EndMemberLaunch":  testEndMemberLaunches,
	"EndMemberKick":    testEndMemberKick,
	"KickAgainstStart": testKickAgainstStart,
}

func testEnd(t *testing.T, f *fixture) {
	s, other := f.start(t, f.session("player001")), f.start(t, f.session("player001"))
	end := func(ids []string, want ...rollcall.Session) {
		t.Helper()
		got, err := f.Sessions.End(t.Context(), ids, f.left())
		must(t, err)
		wantEnded(t, got, want...)
		if got == nil {
			t.Error("End returned nil, want an empty slice")
		}
	}
	end(nil)
	end([]string{"none"})
	end([]string{s.ID, "none", s.ID}, s)
	end([]string{s.ID})
	wantIDs(t, f.of(t, "player001"), other)
	f.beat(t, "s1", []string{s.ID}, s.ID)
	if list := f.changes(t, nil); len(list) != 1 {
		t.Errorf("the outbox has %d ends, want 1", len(list))
	}
	third := f.start(t, f.session("player002"))
	end([]string{third.ID, other.ID}, other, third)
}

// An End of a game server's own ends no other's sessions, and tells it of none.
func testEndOfOneServer(t *testing.T, f *fixture) {
	mine, other := f.start(t, f.session("player001")), f.session("player001")
	other.GameServer = "s2"
	f.start(t, other)
	got, err := f.Sessions.End(t.Context(), []string{mine.ID, other.ID}, roll.Ending{At: f.now, Reason: rollcall.EndKicked, GameServer: "s1"})
	must(t, err)
	wantEnded(t, got, mine)
	wantIDs(t, f.of(t, "player001"), other)
	if list := append(f.pending(t, "s1", 0, 10), f.pending(t, "s2", 0, 10)...); len(list) != 0 {
		t.Errorf("events %+v, want none", list)
	}
}

// Each end is in the outbox, and an event where the reason has one.
func testEndReasons(t *testing.T, f *fixture) {
	var ended, told int
	for _, reason := range []rollcall.EndReason{
		rollcall.EndLeft, rollcall.EndKicked, rollcall.EndDisplaced, rollcall.EndExpired, rollcall.EndServerLost, rollcall.EndAgentBlocked,
	} {
		s := f.start(t, f.session("player001"))
		e := roll.Ending{At: f.now.Add(123), Reason: reason, By: "an operator", KickID: "k1", Message: "bye", Note: "a note"}
		got, err := f.Sessions.End(t.Context(), []string{s.ID}, e)
		must(t, err)
		want := rollcall.EndedSession{Session: s, EndedAt: e.At, Reason: reason, By: e.By, KickID: e.KickID, Note: e.Note}
		wantSame(t, string(reason), got, []rollcall.EndedSession{want})
		changes := f.changes(t, nil)
		if ended++; len(changes) != ended {
			t.Fatalf("%s: %d ends in the outbox, want %d", reason, len(changes), ended)
		}
		wantSame(t, string(reason), changes[ended-1].EndedSession, want)
		events := f.pending(t, "s1", 0, 100)
		if rollcall.EventOf(reason) != "" {
			told++
		}
		if len(events) != told {
			t.Fatalf("%s: %d events, want %d", reason, len(events), told)
		}
		if rollcall.EventOf(reason) == "" {
			continue
		}
		event := rollcall.Receipt{
			Event: rollcall.Event{
				Type: rollcall.EventOf(reason), SessionID: s.ID, AgentID: "a1", Username: "player001", GameCode: "g1",
				By: e.By, Message: e.Message, QueuedAt: e.At,
			},
			Seq: events[told-1].Seq, GameServer: "s1", BootID: "b1", KickID: "k1",
		}
		wantSame(t, string(reason), events[told-1], event)
	}
}

func testEndOneWinner(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			kick, ending := f.kick("player001")
			var ended []rollcall.EndedSession
			var err error
			if i%2 == 0 {
				ended, err = f.Sessions.End(context.Background(), []string{s.ID}, f.left())
			} else {
				ended, err = f.Sessions.EndMember(context.Background(), "a1", "player001", ending, kick)
			}
			if err != nil {
				t.Error(err)
			}
			won.Add(int64(len(ended)))
		})
	}
	all.Wait()
	if won.Load() != 1 || len(f.changes(t, nil)) != 1 {
		t.Errorf("%d of 16 ends of one session won, and the outbox has %d; want 1", won.Load(), len(f.changes(t, nil)))
	}
}

func testEndMember(t *testing.T, f *fixture) {
	kick, ending := f.kick("player001")
	none, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, nil)
	must(t, err)
	if none == nil || len(none) != 0 {
		t.Errorf("ended %v of a member without sessions, want an empty slice", none)
	}
	lapsed := f.session("player001")
	lapsed.ExpiresAt = f.now
	f.start(t, lapsed)
	first, second, other := f.start(t, f.session("player001")), f.start(t, f.session("player001")), f.start(t, f.session("player002"))
	elsewhere := f.at("a2", f.session("player001"))
	f.start(t, elsewhere)
	ended, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
	must(t, err)
	if !slices.Equal(endedIDs(ended), []string{first.ID, second.ID}) {
		t.Errorf("ended %v, want those that were active, oldest first", endedIDs(ended))
	}
	wantIDs(t, f.of(t, "player001"))
	wantIDs(t, f.of(t, "player002"), other)
	left, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
	must(t, err)
	wantIDs(t, left, other, elsewhere)
	counts, err := f.Sessions.Counts(t.Context())
	must(t, err)
	if len(counts) != 2 || counts[0].Count != 1 || counts[1].Count != 1 {
		t.Errorf("counts %+v, want 2 sessions", counts)
	}
	if got := receiptIDs(f.pending(t, "s1", 0, 10)); !slices.Equal(got, []string{first.ID, second.ID}) {
		t.Errorf("events of %v, want of those that were active", got)
	}
	reasons := make(map[string]rollcall.EndReason)
	for _, c := range f.changes(t, nil) {
		reasons[c.ID] = c.Reason
	}
	wantSame(t, "the outbox", reasons, map[string]rollcall.EndReason{
		lapsed.ID: rollcall.EndExpired, first.ID: rollcall.EndKicked, second.ID: rollcall.EndKicked,
	})
}

// A member who is ended cannot come back by a launch of before, whether a kick
// is stored or not.
func testEndMemberLaunches(t *testing.T, f *fixture) {
	for _, stored := range []bool{true, false} {
		mine, demo, other := f.launch(t, f.session("player001")), f.launch(t, f.session("")), f.launch(t, f.session("player002"))
		kick, ending := f.kick("player001")
		if !stored {
			kick = nil
		}
		_, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
		must(t, err)
		for key, want := range map[string]bool{mine: true, demo: false, other: false, f.launch(t, f.session("player001")): false} {
			l, err := f.Sessions.Launch(t.Context(), key)
			must(t, err)
			if l.Voided != want {
				t.Errorf("launch %+v is voided: %v, want %v", l, l.Voided, want)
			}
		}
	}
}

func testEndMemberKick(t *testing.T, f *fixture) {
	f.start(t, f.session("player001"))
	f.start(t, f.session("player001"))
	kick, ending := f.kick("player001")
	_, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
	must(t, err)
	want := *kick
	want.Matched, want.Progress.Ended = 2, 2
	for range 2 {
		got, err := f.Sessions.Kick(t.Context(), kick.ID)
		must(t, err)
		wantSame(t, "kick", got, want)
		// The same call made again ends nothing more, and takes nothing back.
		_, err = f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
		must(t, err)
		if f.Reopen != nil {
			f.reopen(t)
		}
	}
}

// A kick that was answered leaves no session that a launch of before it could
// start, however they meet.
func testKickAgainstStart(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	for range 30 {
		s := f.session("player001")
		key := f.launch(t, s)
		var both sync.WaitGroup
		both.Go(func() {
			_, err := f.Sessions.Start(context.Background(), roll.Start{LaunchKey: key, Session: s})
			if err != nil {
				wantErr(t, err, rollcall.ErrLaunchVoided)
			}
		})
		both.Go(func() {
			kick, ending := f.kick("player001")
			if _, err := f.Sessions.EndMember(context.Background(), "a1", "player001", ending, kick); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if list := f.of(t, "player001"); len(list) != 0 {
			t.Fatalf("a session is there after the kick: %+v", list)
		}
	}
}
