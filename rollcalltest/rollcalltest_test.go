package rollcalltest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/rollcalltest"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	player = "player001"
	game   = "VP_230001_1"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// wantSessions checks that player001 has n sessions.
func wantSessions(t *testing.T, c *client.Client, n int) {
	t.Helper()
	sessions, err := c.CheckSessions(t.Context(), player)
	must(t, err)
	if len(sessions.Active) != n {
		t.Errorf("got %d sessions, want %d: %+v", len(sessions.Active), n, sessions)
	}
}

func TestSessionsComeAndGo(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	c := s.Client()
	wantSessions(t, c, 0)
	first := s.Seat(player, game)
	s.Seat(player, "VP_230002_1")
	wantSessions(t, c, 2)
	s.Leave(first)
	wantSessions(t, c, 1)
	s.Kick(player, "maintenance")
	wantSessions(t, c, 0)
	s.Seat(player, game)
	s.Advance(90*time.Second - time.Millisecond)
	wantSessions(t, c, 1)
	s.Advance(time.Millisecond)
	wantSessions(t, c, 0)
}

// The fixed clock and keys: two servers are alike, and apart.
func TestServersAreAlike(t *testing.T) {
	t.Parallel()
	a, b := rollcalltest.New(t), rollcalltest.New(t)
	if a.Agent != b.Agent || !a.Now().Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || !a.Now().Equal(b.Now()) {
		t.Errorf("got agents %s and %s at %s and %s", a.Agent.ID, b.Agent.ID, a.Now(), b.Now())
	}
	if started := a.Seat(player, game).StartedAt; !started.Equal(a.Now()) {
		t.Errorf("the session began at %s, want %s", started, a.Now())
	}
	wantSessions(t, a.Client(), 1)
	wantSessions(t, b.Client(), 0)
	a.Close() // and again by the end of the test
}

// A token is good for an hour, and a client that does not look at the clock finds
// out by the refusal.
func TestTokensExpireByTheClock(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	var tokens int
	o := s.ClientOptions()
	o.Trace = func(x client.Exchange) {
		if strings.HasSuffix(x.URL, wire.PathAuth) {
			tokens++
		}
	}
	c, err := client.New(o)
	must(t, err)
	for _, step := range []struct {
		before func()
		tokens int
	}{
		{func() {}, 1},
		{func() { s.Advance(58 * time.Minute) }, 1},
		{func() { s.Advance(time.Minute) }, 2},
		{s.RevokeTokens, 3},
	} {
		step.before()
		wantSessions(t, c, 0)
		if tokens != step.tokens {
			t.Errorf("%d tokens were asked for, want %d", tokens, step.tokens)
		}
	}
}

func TestClockOfAnother(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	o := s.ClientOptions()
	o.Now = nil
	c, err := client.New(o)
	must(t, err)
	_, err = c.CheckSessions(t.Context(), player)
	wantErr(t, err, rollcall.ErrAuthentication)
	answer, ok := errors.AsType[*wire.Error](err)
	if !ok {
		t.Fatal(err)
	}
	record := s.Request(answer.LogUUID)
	if !slices.ContainsFunc(record.Checks, func(c rollcall.RequestCheck) bool {
		return c.Name == "timestamp" && !c.Passed && strings.Contains(c.Reason, "x-timestamp is")
	}) {
		t.Errorf("the record has %+v", record.Checks)
	}
	s.SetNow(time.Now())
	wantSessions(t, c, 0)
}

func TestAgentIsBlocked(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	c := s.Client()
	s.Seat(player, game)
	wantSessions(t, c, 1)
	s.BlockAgent()
	_, err := c.CheckSessions(t.Context(), player)
	wantErr(t, err, rollcall.ErrAgentRefused) // its token is refused, and it gets no other
	s.UnblockAgent()
	wantSessions(t, c, 0)
}

func TestProfileAndKeys(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	plain := s.Client()
	wantSessions(t, plain, 0)
	s.SetSignature(rollcall.SignatureHMAC)
	_, err := plain.CheckSessions(t.Context(), player)
	wantErr(t, err, rollcall.ErrAuthentication)
	wantSessions(t, s.Client(), 0)

	s.SetSignature(rollcall.SignaturePlain)
	o := s.ClientOptions()
	s.AddAPIKey()
	o.APIKey = s.Agent.NextAPIKey
	next, err := client.New(o)
	must(t, err)
	wantSessions(t, next, 0)
	wantSessions(t, s.Client(), 0)
	s.RetireAPIKey(s.Agent.APIKey)
	wantSessions(t, next, 0)
	_, err = s.Client().CheckSessions(t.Context(), player)
	wantErr(t, err, rollcall.ErrDecryption)
}

// refusals counts the answers of one status.
func refusals(s *rollcalltest.Server, status int) *atomic.Int64 {
	n := &atomic.Int64{}
	s.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&seen{w, func(got int) {
				if got == status && w.Header().Get("Retry-After") == "1" {
					n.Add(1)
				}
			}}, r)
		})
	})
	return n
}

type seen struct {
	http.ResponseWriter

	status func(int)
}

func (s *seen) WriteHeader(status int) {
	s.status(status)
	s.ResponseWriter.WriteHeader(status)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	wantSessions(t, s.Client(), 0)
	for _, row := range []struct {
		name   string
		refuse func()
		status int
		want   error
	}{
		{"unavailable", func() { s.Unavailable(1) }, http.StatusServiceUnavailable, rollcall.ErrInternal},
		{"rate", func() { s.LimitRate(1, 1); _ = s.Client().KickMember(t.Context(), player) }, http.StatusTooManyRequests, rollcall.ErrTooManyRequests},
	} {
		o := s.ClientOptions()
		o.Attempts = 1
		c, err := client.New(o)
		must(t, err)
		got := refusals(s, row.status)
		row.refuse()
		err = c.KickMember(t.Context(), player)
		wantErr(t, err, row.want)
		if got.Load() != 1 || client.RetryAfter(err) != time.Second {
			t.Errorf("%s: got %d refusals with Retry-After, want 1; %s", row.name, got.Load(), client.RetryAfter(err))
		}
		s.Advance(time.Second)
		must(t, c.KickMember(t.Context(), player))
		row.refuse()
		before := s.Now()
		must(t, s.Client().KickMember(t.Context(), player)) // which waits, by this clock
		if waited := s.Now().Sub(before); waited < time.Second || waited > 2*time.Second {
			t.Errorf("%s: the clock went on by %s, want 1 s", row.name, waited)
		}
		s.LimitRate(0, 0)
	}
}

// A game server of the test's own plays, is kicked, and announces what a store has
// lost.
func TestGameServer(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	kicks := make(chan rollcall.Event, 1)
	o := s.GameServerOptions()
	o.OnEvent = func(_ context.Context, e rollcall.Event) error {
		kicks <- e
		return nil
	}
	g, err := client.NewGameServer(o)
	must(t, err)
	_, err = g.Boot(t.Context())
	must(t, err)
	started, err := g.Start(t.Context(), s.Launch(player, game))
	must(t, err)
	c := s.Client()
	wantSessions(t, c, 1)

	s.LoseSessions()
	wantSessions(t, c, 0)
	must(t, g.Heartbeat(t.Context()))
	wantSessions(t, c, 1)

	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- g.Run(ctx) }()
	s.Kick(player, "See you tomorrow.")
	if e := <-kicks; e.SessionID != started.ID || e.Message != "See you tomorrow." || e.By != "rollcalltest" {
		t.Errorf("got %+v", e)
	}
	stop()
	must(t, <-ended)
	wantSessions(t, c, 0)
}

// Who has lost sessions says so until a lease has passed.
func TestPartial(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	c := s.Client()
	s.Seat(player, game)
	for _, step := range []struct {
		before   func()
		sessions int
		partial  bool
	}{
		{func() {}, 1, false},
		{s.LoseSessions, 0, true},
		{func() { s.Seat(player, game) }, 1, true},
		{func() { s.Advance(91 * time.Second) }, 0, false},
	} {
		step.before()
		sessions, err := c.CheckSessions(t.Context(), player)
		must(t, err)
		online, err := c.Online(t.Context())
		must(t, err)
		if len(sessions.Active) != step.sessions || len(online.Usernames) != step.sessions {
			t.Errorf("got %+v and %+v, want %d", sessions, online, step.sessions)
		}
		if sessions.Partial != step.partial || online.Partial != step.partial {
			t.Errorf("partial is %v and %v, want %v", sessions.Partial, online.Partial, step.partial)
		}
	}
}

func TestOperatorsAPI(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	for path, want := range map[string]int{
		"/admin/v1/agents/" + s.Agent.ID: http.StatusOK,
		"/admin/v1/agents/nobody":        http.StatusNotFound,
		"/readyz":                        http.StatusOK,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.AdminURL+path, http.NoBody)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+s.AdminToken)
		res, err := http.DefaultClient.Do(r)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
}

// What the Server cannot do ends the test, and says why.
func TestFatal(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		do   func(s *rollcalltest.Server)
		want string
	}{
		"no member": {func(s *rollcalltest.Server) { s.Seat("nobody", game) }, "member not found"},
		"no game":   {func(s *rollcalltest.Server) { s.Seat(player, "none") }, "game not found"},
		"no key":    {func(s *rollcalltest.Server) { s.RetireAPIKey("none") }, "not found"},
		"last key":  {func(s *rollcalltest.Server) { s.RetireAPIKey(s.Agent.APIKey) }, "still in use"},
	} {
		fake := &fakeT{done: make(chan struct{})}
		go func() {
			defer close(fake.done)
			row.do(rollcalltest.New(fake))
		}()
		<-fake.done
		if !strings.Contains(fake.fatal, row.want) {
			t.Errorf("%s: got %q, want %q", name, fake.fatal, row.want)
		}
		for _, f := range fake.cleanups {
			f()
		}
	}
}

// fakeT is a test that fails.
type fakeT struct {
	fatal    string
	cleanups []func()
	done     chan struct{}
}

func (f *fakeT) Helper()          {}
func (f *fakeT) Cleanup(g func()) { f.cleanups = append(f.cleanups, g) }

func (f *fakeT) Fatal(args ...any) {
	f.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}
