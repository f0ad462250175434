package roll_test

import (
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (w *world) game(t *testing.T, code string, modes ...rollcall.Mode) {
	t.Helper()
	_, err := w.CreateGame(t.Context(), "test", rollcall.Game{Code: code, Modes: modes})
	must(t, err)
}

// A launch becomes a session with all that was asked for (spec 7.2).
func TestStartFillsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := launch()
		p.LobbyURL = "https://lobby.example/"
		s, heartbeat, err := w.Start(t.Context(), w.s1, "boot1", w.token(t, p))
		must(t, err)
		now := time.Now()
		want := rollcall.Session{
			ID: s.ID, AgentID: "a1", Username: "player001", GameCode: "g1", Mode: rollcall.ModeReal, GameServer: "s1", BootID: "boot1",
			Device: rollcall.DeviceMobile, IP: p.IP.Unmap(), Lang: "en", Launch: rollcall.LaunchBoth,
			Currency: "THB", BrandCurrency: "USD", Wallet: rollcall.WalletSeamless, LobbyURL: p.LobbyURL, LeaseSeconds: 90,
			StartedAt: s.StartedAt, SeenAt: s.SeenAt, ExpiresAt: s.ExpiresAt, EndsAt: s.EndsAt,
		}
		if s != want || heartbeat != 30*time.Second {
			t.Errorf("got %+v, beat %s; want %+v, 30s", s, heartbeat, want)
		}
		if !s.StartedAt.Equal(now) || !s.ExpiresAt.Equal(now.Add(90*time.Second)) || !s.EndsAt.Equal(now.Add(12*time.Hour)) {
			t.Errorf("times: %+v", s)
		}
		if n := w.active(t); n != 1 {
			t.Errorf("a check shows %d sessions, want 1", n)
		}
	})
}

// A game's own times beat the service's.
func TestGameTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, err := w.ChangeGame(t.Context(), "test", "g1", func(g *rollcall.Game) {
			g.LeaseSeconds, g.LifetimeSeconds, g.LaunchURL = 15, 40, "http://own.example/g"
		})
		must(t, err)
		to, _, err := w.OpenGame(t.Context(), w.caller(t), launch())
		must(t, err)
		u, err := url.Parse(to)
		must(t, err)
		if u.Host != "own.example" || u.Query().Get("token") == "" {
			t.Errorf("got %s, want the game's own URL with a token", to)
		}
		s, heartbeat, err := w.Start(t.Context(), w.s1, "boot1", u.Query().Get("token"))
		must(t, err)
		if heartbeat != 5*time.Second || s.ExpiresAt.Sub(s.StartedAt) != 15*time.Second || s.EndsAt.Sub(s.StartedAt) != 40*time.Second {
			t.Errorf("beat %s, %+v", heartbeat, s)
		}
		for range 3 {
			time.Sleep(12 * time.Second)
			w.beat(t, s.ID)
		}
		time.Sleep(4 * time.Second)
		if n := w.active(t); n != 0 {
			t.Errorf("a check shows %d sessions after the game's lifetime", n)
		}
	})
}

func TestOpenGameRefuses(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.game(t, "demo", rollcall.ModeDemo)
	w.game(t, "real", rollcall.ModeReal)
	w.game(t, "other", rollcall.ModeReal)
	_, err := w.ChangeAgent(ctx, "test", "a1", func(a *rollcall.Agent) { a.Games = []string{"g1", "demo", "real"} })
	must(t, err)
	_, err = w.CreateMember(ctx, "test", "a1", "suspended", "")
	must(t, err)
	_, err = w.SetMemberSuspended(ctx, "test", "a1", "suspended", true)
	must(t, err)
	_, err = w.CreateMember(ctx, "test", "a1", "sited", "site1")
	must(t, err)
	rows := []struct {
		name   string
		change func(p *roll.LaunchParams)
		want   error
		mode   rollcall.Mode
	}{
		{"real where the game has it", func(*roll.LaunchParams) {}, nil, rollcall.ModeReal},
		{"else demo", func(p *roll.LaunchParams) { p.GameCode = "demo" }, nil, rollcall.ModeDemo},
		{"demo, nobody", func(p *roll.LaunchParams) { p.Username, p.GameCode, p.Launch = "", "demo", rollcall.LaunchDemo }, nil, rollcall.ModeDemo},
		{"demo of a game without it", func(p *roll.LaunchParams) { p.GameCode, p.Launch = "real", rollcall.LaunchDemo }, rollcall.ErrGameNotFound, ""},
		{"real of a game without it", func(p *roll.LaunchParams) { p.GameCode, p.Launch = "demo", rollcall.LaunchReal }, rollcall.ErrGameNotFound, ""},
		{"game unknown", func(p *roll.LaunchParams) { p.GameCode = "g9" }, rollcall.ErrGameNotFound, ""},
		{"game restricted", func(p *roll.LaunchParams) { p.GameCode = "other" }, rollcall.ErrGameRestricted, ""},
		{"member unknown", func(p *roll.LaunchParams) { p.Username = "nobody" }, rollcall.ErrMemberNotFound, ""},
		{"member suspended", func(p *roll.LaunchParams) { p.Username = "suspended" }, rollcall.ErrMemberSuspended, ""},
		{"site", func(p *roll.LaunchParams) { p.Username, p.SiteID = "sited", "site1" }, nil, rollcall.ModeReal},
		{"another site", func(p *roll.LaunchParams) { p.Username, p.SiteID = "sited", "site2" }, rollcall.ErrSiteMismatch, ""},
		{"site of a member without one", func(p *roll.LaunchParams) { p.SiteID = "site1" }, rollcall.ErrSiteMismatch, ""},
	}
	for _, row := range rows {
		p := launch()
		row.change(&p)
		_, mode, err := w.OpenGame(ctx, w.caller(t), p)
		if !errors.Is(err, row.want) || mode != row.mode {
			t.Errorf("%s: got %q %v, want %q %v", row.name, mode, err, row.mode, row.want)
		}
	}
	_, err = w.ChangeAgent(ctx, "test", "a1", func(a *rollcall.Agent) { a.BranchID = "" })
	must(t, err)
	_, _, err = w.OpenGame(ctx, w.caller(t), launch())
	wantErr(t, err, rollcall.ErrBranchNotConfigured)
}

// A launch alone is no session, and what becomes of its token is told apart.
func TestLaunchTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx := t.Context()
		s2 := w.server(t, "s2")
		start := func(g *roll.GameServer, boot, token string) (rollcall.Session, error) {
			s, _, err := w.Start(ctx, g, boot, token)
			return s, err
		}
		token := w.token(t, launch())
		if n := w.active(t); n != 0 {
			t.Errorf("a launch is shown as %d sessions", n)
		}
		_, err := start(w.s1, "boot2", token)
		wantErr(t, err, rollcall.ErrStaleBoot)
		first, err := start(w.s1, "boot1", token)
		must(t, err)
		again, err := start(w.s1, "boot1", token)
		must(t, err)
		if again.ID != first.ID {
			t.Errorf("the same token and boot got %s, then %s", first.ID, again.ID)
		}
		_, err = start(s2, "boot1", token)
		wantErr(t, err, rollcall.ErrLaunchUsed)
		w.end(t, first.ID)
		_, err = start(w.s1, "boot1", token)
		wantErr(t, err, rollcall.ErrLaunchUsed)
		_, err = start(w.s1, "boot1", "nonsense")
		wantErr(t, err, rollcall.ErrLaunchUnknown)

		late, last := w.token(t, launch()), w.token(t, launch())
		time.Sleep(roll.LaunchTTL - time.Nanosecond)
		_, err = start(w.s1, "boot1", last)
		must(t, err)
		time.Sleep(time.Nanosecond)
		_, err = start(w.s1, "boot1", late)
		wantErr(t, err, rollcall.ErrLaunchExpired)

		voided := w.token(t, launch())
		must(t, w.KickMember(ctx, w.caller(t), "player001"))
		_, err = start(w.s1, "boot1", voided)
		wantErr(t, err, rollcall.ErrLaunchVoided)
		_, err = start(w.s1, "boot1", w.token(t, launch())) // after the kick: a new launch
		must(t, err)
	})
}

// Between launch and start much can change.
func TestStartRefuses(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.game(t, "g2", rollcall.ModeReal)
	start := func(token string) error {
		_, _, err := w.Start(ctx, w.s1, "boot1", token)
		return err
	}
	ofG2 := launch()
	ofG2.GameCode = "g2"
	_, err := w.ChangeGameServer(ctx, "test", "s1", func(g *rollcall.GameServer) { g.Games = []string{"g1"} })
	must(t, err)
	w.s1 = w.server(t, "s1")
	wantErr(t, start(w.token(t, ofG2)), rollcall.ErrGameNotRun)

	token := w.token(t, launch())
	_, err = w.Drain(ctx, "test", "s1", true)
	must(t, err)
	w.s1 = w.server(t, "s1")
	wantErr(t, start(token), rollcall.ErrDraining)
	_, err = w.Drain(ctx, "test", "s1", false)
	must(t, err)
	w.s1 = w.server(t, "s1")

	_, err = w.SetMemberSuspended(ctx, "test", "a1", "player001", true)
	must(t, err)
	wantErr(t, start(token), rollcall.ErrMemberSuspended)
	_, err = w.SetMemberSuspended(ctx, "test", "a1", "player001", false)
	must(t, err)
	wantErr(t, start(token), rollcall.ErrLaunchVoided) // by the suspension

	token = w.token(t, launch())
	_, err = w.SetAgentStatus(ctx, "test", "a1", rollcall.AgentBlocked)
	must(t, err)
	wantErr(t, start(token), rollcall.ErrAgentRefused)
	_, err = w.SetAgentStatus(ctx, "test", "a1", rollcall.AgentActive)
	must(t, err)
	must(t, w.DeleteGame(ctx, "test", "g1"))
	wantErr(t, start(token), rollcall.ErrGameNotFound)
	if n := w.active(t); n != 0 {
		t.Errorf("a check shows %d sessions, want 0", n)
	}
}

// Limits are kept by the oldest or the newest session, per member and per game.
func TestSessionLimits(t *testing.T) {
	w := newWorld(t)
	w.game(t, "g2", rollcall.ModeReal)
	limit := func(l rollcall.SessionLimits) {
		t.Helper()
		_, err := w.ChangeAgent(t.Context(), "test", "a1", func(a *rollcall.Agent) { a.Limits = l })
		must(t, err)
	}
	start := func(code string) (rollcall.Session, error) {
		p := launch()
		p.GameCode = code
		s, _, err := w.Start(t.Context(), w.s1, "boot1", w.token(t, p))
		return s, err
	}
	ids := func() string {
		t.Helper()
		sessions, err := w.CheckSessions(t.Context(), w.caller(t), "player001")
		must(t, err)
		text := ""
		for _, s := range sessions {
			text += s.ID + " "
		}
		return text
	}
	limit(rollcall.SessionLimits{PerMember: 2})
	a, err := start("g1")
	must(t, err)
	b, err := start("g1")
	must(t, err)
	_, err = start("g2")
	wantErr(t, err, rollcall.ErrSessionLimit)

	limit(rollcall.SessionLimits{PerMember: 2, PerGame: 2, Policy: rollcall.LimitDisplaceOldest})
	c, err := start("g2")
	must(t, err)
	if got, want := ids(), b.ID+" "+c.ID+" "; got != want {
		t.Errorf("got %s, want the oldest displaced: %s", got, want)
	}
	events, _, err := w.Events(t.Context(), "s1", "", 10)
	must(t, err)
	if len(events) != 1 || events[0].Type != rollcall.EventDisplaced || events[0].SessionID != a.ID {
		t.Errorf("got events %+v, want one of the displaced session", events)
	}
	limit(rollcall.SessionLimits{PerGame: 1, Policy: rollcall.LimitDisplaceOldest})
	d, err := start("g1")
	must(t, err)
	if got, want := ids(), c.ID+" "+d.ID+" "; got != want {
		t.Errorf("got %s, want the one of the game displaced: %s", got, want)
	}
	_, err = w.ChangeAgent(t.Context(), "test", "a1", func(a *rollcall.Agent) { a.Limits.Policy = "never" })
	wantErr(t, err, rollcall.ErrInvalid)
}

// Demos without a member are sessions of the game server, and of no member.
func TestDemoOfNobody(t *testing.T) {
	w := newWorld(t)
	w.game(t, "demo", rollcall.ModeDemo)
	for range 2 {
		w.play(t, func(p *roll.LaunchParams) { p.Username, p.GameCode, p.Launch = "", "demo", rollcall.LaunchDemo })
	}
	names, err := w.MembersOnline(t.Context(), w.caller(t))
	must(t, err)
	counts, err := w.Counts(t.Context(), "mode", "device")
	must(t, err)
	if len(names) != 0 {
		t.Errorf("online: %v", names)
	}
	if len(counts) != 1 || counts[0] != (rollcall.SessionCount{Mode: rollcall.ModeDemo, Device: rollcall.DeviceMobile, Count: 2}) {
		t.Errorf("got counts %+v, want 2 demos on mobile", counts)
	}
}
