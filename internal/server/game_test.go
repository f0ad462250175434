package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/wire"
)

// A parlour is a world over HTTP with an agent's client and a game server.
type parlour struct {
	*world

	agent *client.Client
	token string // the game server's
	url   string
}

func newParlour(t *testing.T) *parlour {
	t.Helper()
	w := newWorld(t, nil)
	_, err := w.service.CreateGame(t.Context(), "test", rollcall.Game{Code: "g1", Modes: []rollcall.Mode{rollcall.ModeReal}, LaunchURL: "https://g.example/"})
	must(t, err)
	_, token, err := w.service.CreateGameServer(t.Context(), "test", rollcall.GameServer{ID: "s1"})
	must(t, err)
	p := &parlour{world: w, token: token}
	p.agent, _ = newCaller(t, w, rollcall.SignaturePlain, nil)
	web := httptest.NewServer(w.Public(true))
	t.Cleanup(web.Close)
	p.url = web.URL
	return p
}

// gameServer makes a client whose events come out of the channel.
func (p *parlour) gameServer(t *testing.T) (*client.GameServer, <-chan rollcall.Event) {
	t.Helper()
	events := make(chan rollcall.Event, 100)
	g, err := client.NewGameServer(client.GameServerOptions{
		BaseURL: p.url, Token: p.token, BootID: "boot1",
		OnEvent: func(_ context.Context, e rollcall.Event) error {
			events <- e
			return nil
		},
	})
	must(t, err)
	return g, events
}

// launch opens a game for player001 and returns the launch token.
func (p *parlour) launch(t *testing.T) string {
	t.Helper()
	opened, err := p.agent.OpenGame(t.Context(), wire.OpenGameRequest{
		DeviceType: 1, IPAddress: "192.0.2.1", Lang: "en", GameCode: "g1", Username: "player001",
	})
	must(t, err)
	_, token, _ := strings.Cut(opened.GameLaunchURL, "?token=")
	return token
}

func await(t *testing.T, events <-chan rollcall.Event) rollcall.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event within 20 s")
		return rollcall.Event{}
	}
}

// The whole life of a session over HTTP, by the clients that users have.
func TestSessionLife(t *testing.T) {
	p := newParlour(t)
	ctx, stop := context.WithCancel(t.Context())
	g, events := p.gameServer(t)
	ran := make(chan error, 1)
	go func() { ran <- g.Run(ctx) }()
	defer func() {
		stop()
		must(t, <-ran)
	}()
	_, err := g.Boot(ctx)
	must(t, err)
	must(t, p.agent.CreateMember(ctx, "player002", "site1"))
	if err := p.agent.CreateMember(ctx, "player002", ""); !errors.Is(err, rollcall.ErrMemberExists) {
		t.Errorf("got %v, want ErrMemberExists", err)
	}
	token := p.launch(t)
	if sessions, err := p.agent.CheckSessions(ctx, "player001"); err != nil || len(sessions.Active) != 0 {
		t.Errorf("a launch is listed: %v %v", sessions, err)
	}
	s, err := g.Start(ctx, token)
	must(t, err)
	sessions, err := p.agent.CheckSessions(ctx, "player001")
	must(t, err)
	if len(sessions.Active) != 1 || sessions.Active[0].Info.DeviceType != 2 {
		t.Fatalf("got %+v, want one on mobile", sessions)
	}
	online, err := p.agent.Online(ctx)
	must(t, err)
	if len(online.Usernames) != 1 || online.Usernames[0] != "player001" {
		t.Errorf("online: %+v", online)
	}
	must(t, g.Heartbeat(ctx))
	must(t, p.agent.KickMember(ctx, "player001"))
	if sessions, err = p.agent.CheckSessions(ctx, "player001"); err != nil || len(sessions.Active) != 0 {
		t.Errorf("after the kick: %v %v", sessions, err)
	}
	if e := await(t, events); e.Type != rollcall.EventKicked || e.SessionID != s.ID || e.Username != "player001" {
		t.Errorf("got %+v", e)
	}
	must(t, g.End(ctx, s.ID, wire.EndRequest{Note: "won 12.50"}))
	kicks, err := p.service.Kicks(ctx, "", 1)
	must(t, err)
	if got := kicks[0].Progress; got != (rollcall.KickProgress{Ended: 1, Delivered: 1, Acknowledged: 1, Settled: 1}) {
		t.Errorf("got %+v", kicks[0])
	}
	past, err := p.service.Timeline(ctx, "a1", "player001", "", 10)
	must(t, err)
	if len(past) != 1 || past[0].Reason != rollcall.EndKicked || past[0].KickID != kicks[0].ID {
		t.Errorf("got %+v", past)
	}
}

// What game servers do wrong is told apart, by code and status.
func TestGameFaults(t *testing.T) {
	p := newParlour(t)
	call := func(method, path, token, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		p.game.ServeHTTP(res, r)
		return res
	}
	if res := call("POST", wire.PathGameBoot, p.token, `{"bootId":"boot1"}`); res.Code != 200 {
		t.Fatal(res.Body)
	}
	used := p.launch(t)
	if res := call("POST", wire.PathGameSessions, p.token, `{"bootId":"boot1","launchToken":"`+used+`"}`); res.Code != 201 {
		t.Fatal(res.Body)
	}
	_, other, err := p.service.CreateGameServer(t.Context(), "test", rollcall.GameServer{ID: "s2", Games: []string{"g2"}})
	must(t, err)
	many := strings.TrimSuffix(strings.Repeat(`"x",`, wire.MaxBatch+1), ",")
	rows := []struct {
		method, path, token, body string
		status                    int
		code                      string
	}{
		{"POST", wire.PathGameBoot, "", `{"bootId":"b"}`, 401, "unauthorized"},
		{"POST", wire.PathGameBoot, p.world.token, `{"bootId":"b"}`, 401, "unauthorized"},
		{"POST", wire.PathGameBoot, p.token, `{"bootId":"a boot"}`, 400, "invalid"},
		{"POST", wire.PathGameBoot, p.token, `{"bootID":"b"}`, 400, "invalid"},
		{"GET", wire.PathGameBoot, p.token, ``, 405, "method_not_allowed"},
		{"GET", "/game/v1/none", p.token, ``, 404, "not_found"},
		{"POST", wire.PathGameSessions, p.token, `{"bootId":"boot9","launchToken":"x"}`, 409, "stale_boot"},
		{"POST", wire.PathGameSessions, p.token, `{"bootId":"boot1","launchToken":"x"}`, 404, "launch_unknown"},
		{"POST", wire.PathGameSessions, other, `{"bootId":"b","launchToken":"` + used + `"}`, 403, "game_not_run"},
		{"POST", wire.PathGameHeartbeats, p.token, `{"bootId":"boot1","ids":[` + many + `]}`, 400, "invalid"},
		{"POST", wire.PathGameHeartbeats, p.token, `{"bootId":"boot1","ids":[],"ended":[{"id":"x","reason":"bored"}]}`, 400, "invalid"},
		{"POST", wire.PathGameHeartbeats, p.token, `{"bootId":"boot9","ids":[]}`, 409, "stale_boot"},
		{"POST", wire.PathGameAnnounce, p.token, `{"bootId":"boot9","sessions":[]}`, 409, "stale_boot"},
		{"POST", wire.PathGameAck, p.token, `{"ids":["nonsense"]}`, 200, ""},
		{"POST", wire.PathGameEnd("none"), p.token, `{}`, 200, ""},
		{"POST", wire.PathGameEnd("none"), p.token, strings.Repeat(" ", maxGameBody+1), 413, "too_large"},
		{"GET", wire.PathGameEvents, "x", ``, 401, "unauthorized"},
	}
	for _, row := range rows {
		res := call(row.method, row.path, row.token, row.body)
		if text := res.Body.String(); res.Code != row.status || row.code != "" && !strings.Contains(text, `{"error":{"code":"`+row.code+`"`) {
			t.Errorf("%s %s %.60s: got %d %.200s, want %d %s", row.method, row.path, row.body, res.Code, text, row.status, row.code)
		}
	}
	if text := p.want(t, "GET", "/metrics", "", 200, ""); !strings.Contains(text, `rollcall_game_calls_total{call="/sessions",status="404"} 1`) {
		t.Error("the calls are not counted")
	}
}

// A stream that breaks is resumed behind what was taken over, and nothing is lost.
func TestStreamResumes(t *testing.T) {
	p := newParlour(t)
	g, _ := p.gameServer(t)
	info, err := g.Boot(t.Context())
	must(t, err)
	kick := func() string {
		t.Helper()
		s, err := g.Start(t.Context(), p.launch(t))
		must(t, err)
		must(t, p.agent.KickMember(t.Context(), "player001"))
		return s.ID
	}
	first := kick()
	st := p.open(t, info.Cursor)
	got := st.next(t)
	if got.SessionID != first {
		t.Errorf("got %+v, want the kick of %s", got, first)
	}
	second := kick()
	if e := st.next(t); e.SessionID != second {
		t.Errorf("got %+v, want the kick of %s", e, second)
	}
	st.close()
	third := kick()
	st = p.open(t, got.ID)
	if e := st.next(t); e.SessionID != second {
		t.Errorf("resumed: got %+v, want the kick of %s again", e, second)
	}
	if e := st.next(t); e.SessionID != third {
		t.Errorf("resumed: got %+v, want the kick of %s", e, third)
	}
	st.close()
	if st = p.open(t, ""); st.next(t).SessionID != first {
		t.Error("from the beginning: the first one is not told again")
	}
	p.endStreams() // as at a shutdown
	for range 2 {  // it may have written the others
		_, err = st.read()
	}
	if _, last := st.read(); err == nil && last == nil {
		t.Error("while draining the stream goes on")
	}
	st.close()
}

// An sse is an event stream as it comes over the wire.
type sse struct {
	lines *bufio.Scanner
	close func()
}

func (p *parlour) open(t *testing.T, after string) *sse {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+wire.PathGameEvents, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+p.token)
	if after != "" {
		r.Header.Set(wire.HeaderLastEventID, after)
	}
	res, err := http.DefaultClient.Do(r) //nolint:bodyclose // sse.close does
	must(t, err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", res.StatusCode, res.Header)
	}
	return &sse{bufio.NewScanner(res.Body), func() { res.Body.Close() }}
}

func (s *sse) next(t *testing.T) rollcall.Event {
	t.Helper()
	e, err := s.read()
	must(t, err)
	return e
}

func (s *sse) read() (e rollcall.Event, err error) {
	for s.lines.Scan() {
		switch name, value, _ := strings.Cut(s.lines.Text(), ": "); name {
		case "id":
			e.ID = value
		case "data":
			_, rest, _ := strings.Cut(value, `"sessionId":"`)
			e.SessionID, _, _ = strings.Cut(rest, `"`)
		case "":
			if e.ID != "" {
				return e, nil
			}
		}
	}
	return e, fmt.Errorf("the stream ended: %w", errors.Join(s.lines.Err(), errors.New("EOF")))
}

// A service that comes back without its sessions gets them again from the game
// servers that hold them, by themselves.
func TestLostStoreIsAnnounced(t *testing.T) {
	p := newParlour(t)
	var now atomic.Pointer[world]
	now.Store(p.world)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().game.ServeHTTP(w, r) }))
	defer web.Close()
	var lost atomic.Int64
	g, err := client.NewGameServer(client.GameServerOptions{
		BaseURL: web.URL, Token: p.token, OnEvent: func(context.Context, rollcall.Event) error { return nil },
		OnLost: func(rollcall.Session, string) { lost.Add(1) },
	})
	must(t, err)
	_, err = g.Boot(t.Context())
	must(t, err)
	var held []rollcall.Session
	for range 3 {
		s, err := g.Start(t.Context(), p.launch(t))
		must(t, err)
		held = append(held, s)
	}
	after := p.withoutSessions(t)
	now.Store(after)
	must(t, g.Heartbeat(t.Context()))
	for _, want := range held {
		got, err := after.service.Session(t.Context(), want.ID)
		must(t, err)
		if !got.StartedAt.Equal(want.StartedAt) || got.Username != "player001" {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if lost.Load() != 0 {
		t.Errorf("%d sessions were given up", lost.Load())
	}
	must(t, g.Heartbeat(t.Context()))
}

// withoutSessions is the world with a new session store, as after a flush.
func (p *parlour) withoutSessions(t *testing.T) *world {
	t.Helper()
	stores := p.stores
	stores.Sessions = memory.New(memory.Options{}).Stores().Sessions
	w := &world{t: t, vault: p.vault, stores: stores, log: p.log}
	w.service = roll.New(roll.Options{Stores: stores, Vault: p.vault})
	w.Server = New(Options{
		Service: w.service, Stores: stores, Metrics: NewMetrics(),
		Auth: auth.New(auth.Options{Directory: stores.Directory, Nonces: stores.Nonces, Vault: p.vault}),
	})
	w.game = w.Game()
	return w
}

// A stream that is quiet outlives the deadline of its last write, over HTTP/2 too.
// It takes 16 s: until the first sign of life.
func TestQuietStream(t *testing.T) {
	t.Parallel()
	p := newParlour(t)
	web := httptest.NewUnstartedServer(p.game)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+wire.PathGameEvents, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+p.token)
	res, err := web.Client().Do(r)
	must(t, err)
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("got %s, want HTTP/2", res.Proto)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ": still here") {
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}
