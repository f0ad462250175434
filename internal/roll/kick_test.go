package roll_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (w *world) members(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		_, err := w.CreateMember(t.Context(), "test", "a1", fmt.Sprintf("m%d", i), "")
		must(t, err)
	}
}

// However a Start and a kick interleave, no session outlives a kick that was
// answered after it began.
func TestStartRacesKick(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		token, started := w.token(t, launch()), make(chan error)
		go func() {
			_, _, err := w.Start(context.Background(), w.s1, "boot1", token)
			started <- err
		}()
		must(t, w.KickMember(t.Context(), w.caller(t), "player001"))
		if err := <-started; err != nil && !errors.Is(err, rollcall.ErrLaunchVoided) {
			t.Fatal(err)
		}
		if n := w.active(t); n != 0 {
			t.Fatalf("%d sessions outlive the kick", n)
		}
	}
}

func TestKickOfAMember(t *testing.T) {
	w := newWorld(t)
	must(t, w.KickMember(t.Context(), w.caller(t), "player001")) // none: fine too
	wantErr(t, w.KickMember(t.Context(), w.caller(t), "nobody"), rollcall.ErrMemberNotFound)
	w.play(t)
	k, err := w.Kick(t.Context(), "ann", roll.KickParams{
		Filter: rollcall.SessionFilter{AgentID: "a1", Username: "player001"}, Why: "fraud", Message: "bye",
	})
	must(t, err)
	if k.State != rollcall.KickDone || k.Matched != 1 || k.By != "ann" || w.active(t) != 0 {
		t.Errorf("got %+v, %d active", k, w.active(t))
	}
	kicks, err := w.Kicks(t.Context(), "", 10)
	must(t, err)
	if len(kicks) != 2 || kicks[0].ID != k.ID || kicks[0].Why != "fraud" || kicks[1].By != "agent a1" {
		t.Errorf("got %+v", kicks)
	}
	entries, err := w.Audit(t.Context(), 0, 1)
	must(t, err)
	if entries[0].Action != "session.kick" || entries[0].Detail != "agent a1, member player001, because fraud" {
		t.Errorf("got %+v", entries[0])
	}
}

func TestKickRefuses(t *testing.T) {
	w := newWorld(t)
	rows := []struct {
		p    roll.KickParams
		want error
	}{
		{roll.KickParams{}, rollcall.ErrInvalid},
		{roll.KickParams{All: true, Filter: rollcall.SessionFilter{AgentID: "a1"}}, rollcall.ErrInvalid},
		{roll.KickParams{Filter: rollcall.SessionFilter{Username: "player001"}}, rollcall.ErrInvalid},
		{roll.KickParams{All: true, PerSecond: -1}, rollcall.ErrInvalid},
		{roll.KickParams{Filter: rollcall.SessionFilter{AgentID: "a1", Username: "nobody"}}, rollcall.ErrNotFound},
		{roll.KickParams{Filter: rollcall.SessionFilter{SessionID: "none"}}, rollcall.ErrNotFound},
	}
	for _, row := range rows {
		_, err := w.Kick(t.Context(), "ann", row.p)
		wantErr(t, err, row.want)
	}
	_, err := w.AbortKick(t.Context(), "ann", "none")
	wantErr(t, err, rollcall.ErrNotFound)
}

// A kick by filter says before how many it means, keeps its rate, ends only what
// was live when it began, and stops when it is told.
func TestKickByFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		w.game(t, "g2", rollcall.ModeReal)
		w.members(t, 40)
		for i := range 40 {
			w.play(t, func(p *roll.LaunchParams) { p.Username = fmt.Sprintf("m%d", i) })
		}
		other := w.play(t, func(p *roll.LaunchParams) { p.GameCode = "g2" })
		w.run(t)
		params := roll.KickParams{Filter: rollcall.SessionFilter{AgentID: "a1", GameCode: "g1"}, PerSecond: 10}
		n, err := w.PreviewKick(ctx, params)
		must(t, err)
		k, err := w.Kick(ctx, "ann", params)
		must(t, err)
		if n != 40 || k.Matched != 40 {
			t.Errorf("preview %d, matched %d, want 40", n, k.Matched)
		}
		time.Sleep(1050 * time.Millisecond)
		late := w.play(t) // began after the kick
		synctest.Wait()
		now, err := w.KickOf(ctx, k.ID)
		must(t, err)
		if got := now.Progress.Ended; now.State != rollcall.KickRunning || got < 10 || got > 12 {
			t.Errorf("after 1 s: %+v, want about 10 ended", now)
		}
		_, err = w.AbortKick(ctx, "ben", k.ID)
		must(t, err)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		now, err = w.KickOf(ctx, k.ID)
		must(t, err)
		if now.State != rollcall.KickAborted || now.Progress.Ended > 13 || now.FinishedAt.IsZero() {
			t.Errorf("after the abort: %+v", now)
		}
		again, err := w.AbortKick(ctx, "ben", k.ID)
		must(t, err)
		if !again.FinishedAt.Equal(now.FinishedAt) {
			t.Errorf("a second abort has changed the kick: %+v", again)
		}
		params.PerSecond = 0
		k, err = w.Kick(ctx, "ann", params)
		must(t, err)
		synctest.Wait()
		now, err = w.KickOf(ctx, k.ID)
		must(t, err)
		if now.State != rollcall.KickDone || now.Progress.Ended != k.Matched {
			t.Errorf("without a rate: %+v", now)
		}
		list, err := w.Sessions(ctx, rollcall.SessionFilter{}, "", 100)
		must(t, err)
		if len(list) != 1 || list[0].ID != other.ID {
			t.Errorf("left: %v, want the other game's; %s began before the second kick", list, late.ID)
		}
	})
}

// A kick that was under way when the process died goes on in the next.
func TestKickGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.play(t)
		k, err := w.Kick(t.Context(), "ann", roll.KickParams{All: true})
		must(t, err)
		if k.State != rollcall.KickRunning || w.active(t) != 1 {
			t.Fatalf("nothing runs, and got %+v", k)
		}
		w.run(t)
		synctest.Wait()
		now, err := w.KickOf(t.Context(), k.ID)
		must(t, err)
		if now.State != rollcall.KickDone || w.active(t) != 0 {
			t.Errorf("got %+v, %d active", now, w.active(t))
		}
	})
}

// Blocking an agent ends its sessions, and its game servers are told why.
func TestBlockEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(t)
		s := w.play(t)
		_, err := w.SetAgentStatus(t.Context(), "ann", "a1", rollcall.AgentBlocked)
		must(t, err)
		synctest.Wait()
		events, _, err := w.Events(t.Context(), "s1", "", 10)
		must(t, err)
		if len(events) != 1 || events[0].Type != rollcall.EventAgentBlocked || events[0].SessionID != s.ID {
			t.Errorf("got events %+v", events)
		}
		past, err := w.Timeline(t.Context(), "a1", "player001", "", 10)
		must(t, err)
		if len(past) != 1 || past[0].Reason != rollcall.EndAgentBlocked || past[0].By != "ann" {
			t.Errorf("got %+v", past)
		}
	})
}

// A process that dies right after an agent was blocked ends its sessions later.
func TestBlockIsFinishedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.play(t)
		_, err := w.stores.Directory.Agents().Update(t.Context(), rollcall.AuditEntry{}, "a1", func(a *roll.Agent) error {
			a.Status = rollcall.AgentBlocked
			return nil
		})
		must(t, err)
		w.run(t)
		synctest.Wait()
		if n := w.active(t); n != 0 {
			t.Errorf("%d sessions of a blocked agent", n)
		}
	})
}

// Who tries again finishes what was left when a deletion was done by half.
func TestDeletedHalf(t *testing.T) {
	w := newWorld(t)
	s := w.play(t)
	must(t, w.stores.Directory.Members().Delete(t.Context(), rollcall.AuditEntry{}, roll.MemberKey("a1", "player001")))
	_, err := w.Kick(t.Context(), "ann", roll.KickParams{Filter: rollcall.SessionFilter{AgentID: "a1", Username: "player001"}})
	must(t, err)
	if _, err := w.Session(t.Context(), s.ID); !errors.Is(err, rollcall.ErrNotFound) {
		t.Errorf("a kick of a member that was deleted: %v", err)
	}
	_, err = w.CreateMember(t.Context(), "test", "a1", "player001", "")
	must(t, err)
	s = w.play(t)
	must(t, w.stores.Directory.Members().Delete(t.Context(), rollcall.AuditEntry{}, roll.MemberKey("a1", "player001")))
	wantErr(t, w.DeleteMember(t.Context(), "test", "a1", "player001"), rollcall.ErrNotFound)
	if _, err := w.Session(t.Context(), s.ID); !errors.Is(err, rollcall.ErrNotFound) {
		t.Errorf("a second deletion has left the session: %v", err)
	}
}

// When an abort is answered, nothing ends any more.
func TestAbortIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.play(t)
		k, err := w.Kick(t.Context(), "ann", roll.KickParams{All: true})
		must(t, err)
		_, err = w.AbortKick(t.Context(), "ann", k.ID)
		must(t, err)
		w.run(t)
		time.Sleep(time.Minute)
		if n := w.active(t); n != 1 {
			t.Errorf("%d sessions, want the one that was spared", n)
		}
	})
}
