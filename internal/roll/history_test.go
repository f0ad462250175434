package roll_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func reasons(list []rollcall.EndedSession) string {
	text := ""
	for _, e := range list {
		text += string(e.Reason) + ","
	}
	return text
}

// A member's sessions, live and ended, newest first and page by page.
func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		w.run(t)
		expired := w.play(t)
		time.Sleep(90 * time.Second)
		left := w.play(t)
		w.end(t, left.ID)
		w.play(t)
		must(t, w.KickMember(ctx, w.caller(t), "player001"))
		w.play(t)
		synctest.Wait()
		all, err := w.Timeline(ctx, "a1", "player001", "", 10)
		must(t, err)
		if got, want := reasons(all), ",kicked,left,expired,"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if last := all[3]; last.ID != expired.ID || !last.EndedAt.Equal(expired.ExpiresAt) || last.By != "rollcall" {
			t.Errorf("got %+v, want one that ended with its lease", last)
		}
		var paged []rollcall.EndedSession
		for before := ""; ; before = paged[len(paged)-1].ID {
			page, err := w.Timeline(ctx, "a1", "player001", before, 3)
			must(t, err)
			if paged = append(paged, page...); len(page) < 3 {
				break
			}
		}
		if got := reasons(paged); got != reasons(all) {
			t.Errorf("by pages: %s", got)
		}
	})
}

// What a game server says of the settlement is in the history, also of a session
// that had ended by itself, or by a kick.
func TestSettlementNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(t)
		expired := w.play(t)
		time.Sleep(90*time.Second + time.Second)
		kicked := w.play(t)
		must(t, w.KickMember(t.Context(), w.caller(t), "player001"))
		other := w.server(t, "s2")
		for _, e := range []roll.SessionEnd{{ID: expired.ID, Note: "paid 1"}, {ID: kicked.ID, Note: "paid 2"}, {ID: kicked.ID, Note: "paid 3"}} {
			if _, err := w.End(t.Context(), other, roll.SessionEnd{ID: e.ID, Note: "not mine"}); err != nil {
				t.Error(err)
			}
			was, err := w.End(t.Context(), w.s1, e)
			must(t, err)
			if was {
				t.Errorf("%s was active", e.ID)
			}
		}
		past, err := w.Timeline(t.Context(), "a1", "player001", "", 10)
		must(t, err)
		if len(past) != 2 || past[0].Note != "paid 2" || past[1].Note != "paid 1" || past[0].SettledAt.IsZero() {
			t.Errorf("got %+v", past)
		}
	})
}

// Who was online at a moment: those that had begun and had not ended.
func TestOnlineAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		start := time.Now()
		a := w.play(t)
		time.Sleep(10 * time.Second)
		b := w.play(t)
		time.Sleep(10 * time.Second)
		w.end(t, a.ID)
		time.Sleep(10 * time.Second)
		c := w.play(t)
		rows := []struct {
			after time.Duration
			want  []string
		}{
			{-1, nil},
			{0, []string{a.ID}},
			{10 * time.Second, []string{a.ID, b.ID}},
			{20*time.Second - 1, []string{a.ID, b.ID}},
			{20 * time.Second, []string{b.ID}},
			{30 * time.Second, []string{b.ID, c.ID}},
		}
		for _, row := range rows {
			for _, size := range []int{1, 10} {
				var got []string
				for after := ""; ; after = got[len(got)-1] {
					page, err := w.OnlineAt(ctx, start.Add(row.after), rollcall.SessionFilter{AgentID: "a1"}, after, size)
					must(t, err)
					for _, e := range page {
						got = append(got, e.ID)
					}
					if len(page) < size {
						break
					}
				}
				if !slices.Equal(got, row.want) {
					t.Errorf("%s after, pages of %d: got %v, want %v", row.after, size, got, row.want)
				}
			}
		}
		_, err := w.OnlineAt(ctx, time.Now().Add(1), rollcall.SessionFilter{}, "", 1)
		wantErr(t, err, rollcall.ErrInvalid)
	})
}

// What is older than it is to be kept goes.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *roll.Options) { o.EventRetention, o.SessionRetention = 5*time.Minute, 10*time.Minute })
		ctx := t.Context()
		w.run(t)
		w.play(t)
		must(t, w.KickMember(ctx, w.caller(t), "player001"))
		kicks, err := w.Kicks(ctx, "", 1)
		must(t, err)
		time.Sleep(7 * time.Minute)
		_, err = w.KickOf(ctx, kicks[0].ID)
		wantErr(t, err, rollcall.ErrNotFound)
		past, err := w.Timeline(ctx, "a1", "player001", "", 10)
		must(t, err)
		if len(past) != 1 {
			t.Errorf("after 7 min: %v", past)
		}
		time.Sleep(5 * time.Minute)
		past, err = w.Timeline(ctx, "a1", "player001", "", 10)
		must(t, err)
		if len(past) != 0 {
			t.Errorf("after 12 min: %v", past)
		}
	})
}

// The members who are online, each once, sorted (spec 7.3).
func TestMembersOnline(t *testing.T) {
	w := newWorld(t)
	w.members(t, 20)
	for i := range 20 {
		for range 2 {
			w.play(t, func(p *roll.LaunchParams) { p.Username = fmt.Sprintf("m%d", 19-i) })
		}
	}
	names, err := w.MembersOnline(t.Context(), w.caller(t))
	must(t, err)
	if len(names) != 20 || !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != 20 {
		t.Errorf("got %v", names)
	}
}

func TestRegisterMember(t *testing.T) {
	w := newWorld(t)
	must(t, w.RegisterMember(t.Context(), w.caller(t), "new1", "site1"))
	wantErr(t, w.RegisterMember(t.Context(), w.caller(t), "new1", ""), rollcall.ErrMemberExists)
	m, err := w.Member(t.Context(), "a1", "new1")
	must(t, err)
	if m.SiteID != "site1" || m.Currency != "THB" {
		t.Errorf("got %+v", m)
	}
	_, err = w.ChangeAgent(t.Context(), "test", "a1", func(a *rollcall.Agent) { a.BranchID = "" })
	must(t, err)
	wantErr(t, w.RegisterMember(t.Context(), w.caller(t), "new2", ""), rollcall.ErrBranchNotConfigured)
}
