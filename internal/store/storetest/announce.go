package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofAnnounce = map[string]func(*testing.T, *fixture){
	"Announce":        testAnnounce,
	"AnnounceRefused": testAnnounceRefused,
	"AnnounceKicked":  testAnnounceKicked,
	"AnnounceReopen":  testAnnounceReopen,
}

// lost makes a session that began before the store's epoch.
func (f *fixture) lost(t *testing.T, username string) rollcall.Session {
	t.Helper()
	epoch, err := f.Sessions.Epoch(t.Context())
	must(t, err)
	s := f.session(username)
	s.StartedAt = epoch.BeganAt.Add(-time.Minute)
	return s
}

// announce announces what is of boot b1 of s1; want is why each is refused, or
// "" where it is not.
func (f *fixture) announce(t *testing.T, s rollcall.Session, want string) {
	t.Helper()
	refused, err := f.Sessions.Announce(t.Context(), "s1", "b1", []rollcall.Session{s}, f.now)
	must(t, err)
	why, no := refused[s.ID]
	if no != (want != "") || !strings.Contains(why, want) {
		t.Errorf("refused: %q (%v), want %q", why, no, want)
	}
}

func testAnnounce(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	list := []rollcall.Session{f.lost(t, "player001"), f.lost(t, "player001"), f.lost(t, "")}
	list[2].Mode = rollcall.ModeDemo
	for range 2 { // the second finds them held
		refused, err := f.Sessions.Announce(t.Context(), "s1", "b1", list, f.now)
		must(t, err)
		if len(refused) != 0 {
			t.Errorf("refused %v", refused)
		}
		got, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
		must(t, err)
		wantSame(t, "held", got, list)
		if f.Reopen != nil {
			f.reopen(t)
		}
	}
	f.beat(t, "s1", []string{list[0].ID})
	if changes := f.changes(t, nil); len(changes) != 0 {
		t.Errorf("the outbox: %+v", changes)
	}
	ended, err := f.Sessions.End(t.Context(), []string{list[0].ID}, f.left())
	must(t, err)
	wantEnded(t, ended, list[0])
}

func testAnnounceRefused(t *testing.T, f *fixture) {
	s := f.lost(t, "player001")
	_, err := f.Sessions.Announce(t.Context(), "s1", "b1", []rollcall.Session{s}, f.now)
	wantErr(t, err, rollcall.ErrStaleBoot)
	_, err = f.Sessions.Announce(t.Context(), "s1", "", []rollcall.Session{s}, f.now)
	wantErr(t, err, rollcall.ErrStaleBoot)
	f.boot(t, "s1", "b1")

	epoch, err := f.Sessions.Epoch(t.Context())
	must(t, err)
	later := f.session("player001")
	later.StartedAt = epoch.BeganAt
	f.announce(t, later, "ended") // what began in the epoch has not been lost
	later.StartedAt = epoch.BeganAt.Add(-time.Microsecond)
	f.announce(t, later, "")

	lapsed := f.lost(t, "player001")
	lapsed.ExpiresAt = f.now
	f.announce(t, lapsed, "expired")

	left, kicked := f.lost(t, "player001"), f.lost(t, "player002")
	for e, s := range map[rollcall.EndReason]rollcall.Session{rollcall.EndLeft: left, rollcall.EndKicked: kicked} {
		f.announce(t, s, "")
		_, err = f.Sessions.End(t.Context(), []string{s.ID}, roll.Ending{At: f.now, Reason: e})
		must(t, err)
		f.announce(t, s, "ended: "+string(e))
	}
	changes := f.changes(t, nil)
	must(t, f.Sessions.Forget(t.Context(), roll.Position(nil).Past(changes)))
	f.announce(t, kicked, "ended: kicked") // whose game server has not said yet that the game has ended

	elsewhere := f.lost(t, "player003")
	elsewhere.GameServer, elsewhere.BootID = "s2", "b2"
	f.boot(t, "s2", "b2")
	_, err = f.Sessions.Announce(t.Context(), "s2", "b2", []rollcall.Session{elsewhere}, f.now)
	must(t, err)
	mine := elsewhere
	mine.GameServer, mine.BootID = "s1", "b1"
	f.announce(t, mine, "another game server")
	got, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
	must(t, err)
	wantIDs(t, got, later, elsewhere)
}

// Nobody comes back who was kicked, whether the store held the session then or
// not.
func testAnnounceKicked(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	kick, ending := f.kick("player001")
	_, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
	must(t, err)
	f.announce(t, f.lost(t, "player001"), "kicked")
	f.announce(t, f.lost(t, "player002"), "")

	game := func(username, code string) rollcall.Session {
		s := f.lost(t, username)
		s.GameCode = code
		return s
	}
	add := func(filter rollcall.SessionFilter) string {
		k, _ := f.kick("")
		k.Filter, k.State, k.FinishedAt = filter, rollcall.KickRunning, time.Time{}
		must(t, f.Sessions.AddKick(t.Context(), *k))
		return k.ID
	}
	done := add(rollcall.SessionFilter{GameCode: "g2"})
	f.announce(t, game("player002", "g2"), "kicked")
	_, err = f.Sessions.FinishKick(t.Context(), done, rollcall.KickDone, f.now)
	must(t, err)
	f.announce(t, game("player002", "g2"), "kicked")

	aborted := add(rollcall.SessionFilter{GameCode: "g3"})
	_, err = f.Sessions.FinishKick(t.Context(), aborted, rollcall.KickAborted, f.now)
	must(t, err)
	f.announce(t, game("player002", "g3"), "")

	add(rollcall.SessionFilter{AgentID: "a1", Username: "player004", GameCode: "g4"})
	f.announce(t, game("player004", "g4"), "kicked")
	f.announce(t, game("player004", "g1"), "") // of the member, but not meant
}

// A restart forgets neither what has ended nor who was kicked.
func testAnnounceReopen(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	left, told := f.lost(t, "player001"), f.lost(t, "player002")
	f.announce(t, left, "")
	f.announce(t, told, "")
	_, err := f.Sessions.End(t.Context(), []string{left.ID}, f.left())
	must(t, err)
	_, err = f.Sessions.End(t.Context(), []string{told.ID}, roll.Ending{At: f.now, Reason: rollcall.EndKicked})
	must(t, err)
	kick, ending := f.kick("player003")
	_, err = f.Sessions.EndMember(t.Context(), "a1", "player003", ending, kick)
	must(t, err)
	f.reopen(t)
	f.announce(t, left, "ended: left")
	f.announce(t, told, "ended: kicked")
	f.announce(t, f.lost(t, "player003"), "kicked")
	f.announce(t, f.lost(t, "player004"), "")
}
