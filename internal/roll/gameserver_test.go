package roll_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// The next boot frees the members of the one before at once, and not when the
// leases end.
func TestBootEndsEarlierBoots(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s2 := w.server(t, "s2")
	w.play(t)
	w.play(t)
	kept, _, err := w.Start(ctx, s2, "boot1", w.token(t, launch()))
	must(t, err)
	again, err := w.Boot(ctx, w.s1, "boot1")
	must(t, err)
	if again.Ended != 0 {
		t.Errorf("the same boot again ended %d", again.Ended)
	}
	info, err := w.Boot(ctx, w.s1, "boot2")
	must(t, err)
	if info.Ended != 2 || info.Lease != 90*time.Second || info.Heartbeat != 30*time.Second || info.Epoch == "" {
		t.Errorf("got %+v, want 2 ended", info)
	}
	sessions, err := w.CheckSessions(ctx, w.caller(t), "player001")
	must(t, err)
	if len(sessions) != 1 || sessions[0].ID != kept.ID {
		t.Errorf("got %v, want the other server's", sessions)
	}
	past, err := w.Timeline(ctx, "a1", "player001", "", 10)
	must(t, err)
	for _, p := range past {
		if p.ID != kept.ID && (p.Reason != rollcall.EndServerLost || p.By != "game server s1") {
			t.Errorf("got %+v, want server-lost", p)
		}
	}
	_, err = w.Heartbeat(ctx, w.s1, "boot1", nil, nil)
	wantErr(t, err, rollcall.ErrStaleBoot)
	_, err = w.Boot(ctx, w.s1, "a boot")
	wantErr(t, err, rollcall.ErrInvalid)
}

// A heartbeat says what is gone and what is to be ended, and takes ends along.
func TestHeartbeatAnswers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	kept, left, kicked := w.play(t), w.play(t), w.play(t)
	_, err := w.Kick(ctx, "ann", roll.KickParams{Filter: rollcall.SessionFilter{SessionID: kicked.ID}, Message: "go home"})
	must(t, err)
	beat, err := w.Heartbeat(ctx, w.s1, "boot1", []string{kept.ID, kicked.ID, "none"}, []roll.SessionEnd{
		{ID: left.ID, Note: "paid out"}, {ID: "none"},
	})
	must(t, err)
	if fmt.Sprint(beat.Unknown) != "[none]" {
		t.Errorf("unknown: %v, want [none]", beat.Unknown)
	}
	if len(beat.End) != 1 || beat.End[0].SessionID != kicked.ID || beat.End[0].Message != "go home" || beat.End[0].Type != rollcall.EventKicked {
		t.Errorf("to be ended: %+v", beat.End)
	}
	past, err := w.Timeline(ctx, "a1", "player001", "", 10)
	must(t, err)
	got := ""
	for _, p := range past {
		got += fmt.Sprintf("%s:%s:%s ", p.Reason, p.By, p.Note)
	}
	if want := "kicked:ann: left:game server s1:paid out :: "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []roll.SessionEnd{{ID: "x", Reason: "bored"}, {ID: "x", Reason: rollcall.EndDisplaced}, {ID: "x", Note: strings.Repeat("n", 1001)}} {
		_, err := w.Heartbeat(ctx, w.s1, "boot1", nil, []roll.SessionEnd{bad})
		wantErr(t, err, rollcall.ErrInvalid)
	}
}

// A kick's event comes until it is acknowledged, and the end of the game is on
// its receipt.
func TestEventsToReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		a, b := w.play(t), w.play(t)
		caller := w.caller(t)
		caller.LogUUID = "019aa0b2-7d1e-7c3e-9b1a-3f0e5d2c1b0a"
		_, more, err := w.Events(ctx, "s1", "", 10)
		must(t, err)
		must(t, w.KickMember(ctx, caller, "player001"))
		select {
		case <-more:
		default:
			t.Fatal("who waits for events was not told")
		}
		events, _, err := w.Events(ctx, "s1", "", 10)
		must(t, err)
		if len(events) != 2 || events[0].SessionID != a.ID || events[1].SessionID != b.ID || events[0].By != "agent a1" {
			t.Fatalf("got %+v", events)
		}
		must(t, w.Delivered(ctx, "s1", []string{events[0].ID, events[1].ID}))
		behind, _, err := w.Events(ctx, "s1", events[0].ID, 10)
		must(t, err)
		if len(behind) != 1 || behind[0].ID != events[1].ID {
			t.Errorf("behind the first: %+v", behind)
		}
		all, _, err := w.Events(ctx, "s1", "another-epoch-7", 10)
		must(t, err)
		if len(all) != 2 {
			t.Errorf("behind an event of another epoch: %+v, want all", all)
		}
		time.Sleep(time.Second)
		n, err := w.Acknowledge(ctx, "s1", []string{events[0].ID, "nonsense"})
		must(t, err)
		if n != 1 {
			t.Errorf("acknowledged %d, want 1", n)
		}
		time.Sleep(time.Second)
		if was, err := w.End(ctx, w.s1, roll.SessionEnd{ID: b.ID, Note: "settled"}); err != nil || was {
			t.Errorf("end after the kick: %v %v", was, err)
		}
		rest, _, err := w.Events(ctx, "s1", "", 10)
		must(t, err)
		if len(rest) != 0 {
			t.Errorf("acknowledged by ack and by end, and still there: %+v", rest)
		}
		kick, err := w.KickOf(ctx, caller.LogUUID)
		must(t, err)
		if kick.Matched != 2 || kick.Progress != (rollcall.KickProgress{Ended: 2, Delivered: 2, Acknowledged: 2, Settled: 1}) || kick.State != rollcall.KickDone {
			t.Errorf("got %+v", kick)
		}
		receipts, err := w.Receipts(ctx, kick.ID, 0, 10)
		must(t, err)
		if len(receipts) != 2 || receipts[1].Note != "settled" || receipts[1].EndedAt.Sub(receipts[1].QueuedAt) != 2*time.Second ||
			receipts[0].AcknowledgedAt.Sub(receipts[0].DeliveredAt) != time.Second || !receipts[0].EndedAt.IsZero() {
			t.Errorf("got %+v", receipts)
		}
	})
}

func TestDrainTellsTheServer(t *testing.T) {
	w := newWorld(t)
	g, err := w.Drain(t.Context(), "ann", "s1", true)
	must(t, err)
	events, _, err := w.Events(t.Context(), "s1", "", 10)
	must(t, err)
	if !g.Draining || len(events) != 1 || events[0].Type != rollcall.EventDrain || events[0].By != "ann" {
		t.Errorf("got %+v, events %+v", g, events)
	}
	_, err = w.Drain(t.Context(), "ann", "s1", false)
	must(t, err)
	if events, _, err = w.Events(t.Context(), "s1", "", 10); err != nil || len(events) != 0 {
		t.Errorf("after undrain: %+v %v", events, err)
	}
}

func TestGameServerTokens(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, first, err := w.CreateGameServer(ctx, "test", rollcall.GameServer{ID: "s_3", Games: []string{"g1"}})
	must(t, err)
	second, err := w.RotateGameServerToken(ctx, "test", "s_3")
	must(t, err)
	for _, good := range []string{first, second} {
		g, err := w.VerifyGameServer(ctx, good)
		must(t, err)
		if g.ID != "s_3" || !g.Runs("g1") || g.Runs("g2") {
			t.Errorf("got %+v", g)
		}
	}
	third, err := w.RotateGameServerToken(ctx, "test", "s_3")
	must(t, err)
	admin, err := w.CreateAdminToken(ctx, "test", "s_3")
	must(t, err)
	for _, bad := range []string{first, "", "rcg_", admin, third + "x", strings.Replace(third, "s_3", "s1", 1)} {
		_, err := w.VerifyGameServer(ctx, bad)
		wantErr(t, err, rollcall.ErrAuthentication)
	}
	must(t, w.DeleteGameServer(ctx, "test", "s_3"))
	_, err = w.VerifyGameServer(ctx, third)
	wantErr(t, err, rollcall.ErrAuthentication)
	_, _, err = w.CreateGameServer(ctx, "test", rollcall.GameServer{ID: "s 4"})
	wantErr(t, err, rollcall.ErrInvalid)
}

// A store that has lost its data takes sessions back, but not those that it has
// begun or ended itself, or that somebody kicked.
func TestAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newWorld(t)
		kept, kicked, expired := before.play(t), before.play(t), before.play(t)
		other := before.play(t)
		time.Sleep(time.Second)
		w := newWorld(t) // the same house, and nothing left of the sessions
		ctx := t.Context()
		_, err := w.CreateMember(ctx, "test", "a1", "player002", "")
		must(t, err)
		kicked.Username = "player002"
		must(t, w.KickMember(ctx, w.caller(t), "player002"))
		expired.EndsAt = time.Now()
		own := w.play(t)
		w.end(t, own.ID)
		bad := kept
		bad.ID, bad.Lang = other.ID, `e"n`
		announce := func(list ...rollcall.Session) map[string]string {
			t.Helper()
			refused, _, err := w.Announce(ctx, w.s1, "boot1", list)
			must(t, err)
			return refused
		}
		for range 2 { // idempotent
			refused := announce(kept, kicked, expired, own, bad)
			if len(refused) != 4 || refused[kept.ID] != "" {
				t.Errorf("refused %v, want all but %s", refused, kept.ID)
			}
			sessions, err := w.CheckSessions(ctx, w.caller(t), "player001")
			must(t, err)
			if len(sessions) != 1 || sessions[0].ID != kept.ID || !sessions[0].StartedAt.Equal(kept.StartedAt) {
				t.Errorf("got %+v, want the one that was kept", sessions)
			}
		}
		w.end(t, kept.ID)
		if refused := announce(kept); !strings.HasPrefix(refused[kept.ID], "ended") {
			t.Errorf("an ended one was taken back: %v", refused)
		}
		_, _, err = w.Announce(ctx, w.s1, "boot0", nil)
		wantErr(t, err, rollcall.ErrStaleBoot)
	})
}

// Of concurrent Starts of one token one session comes.
func TestStartOnce(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		token := w.token(t, launch())
		got := make(chan string, 8)
		for range 8 {
			go func() {
				s, _, err := w.Start(t.Context(), w.s1, "boot1", token)
				if err != nil {
					t.Error(err)
				}
				got <- s.ID
			}()
		}
		var ids []string
		for range 8 {
			ids = append(ids, <-got)
		}
		if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
			t.Fatalf("one token began %v", ids)
		}
	}
}
