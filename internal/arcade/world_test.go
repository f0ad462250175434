package arcade

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/server"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/wire"
)

// A world is a true Rollcall in this process, an agent that launches games, and
// an arcade.
type world struct {
	t       *testing.T
	service *roll.Service
	agent   *client.Client
	options Options
	arcade  *Arcade
	url     string
	stop    func() // ends the arcade, once
}

// newWorld makes a world; change, if not nil, changes its options first.
func newWorld(t *testing.T, change func(*roll.Options, *Options)) *world {
	t.Helper()
	w := &world{t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	keys, err := vault.New(vault.NewKey())
	w.must(err)
	stores := memory.New(memory.Options{MaxClockSkew: auth.DefaultMaxClockSkew}).Stores()
	w.url = "http://" + l.Addr().String() + Path
	o := roll.Options{Stores: stores, Vault: keys, LaunchURL: w.url, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o, &w.options)
	}
	w.service = roll.New(o)
	w.must(w.service.Prepare(t.Context()))
	w.runInBackground(w.service.Run)
	public := server.New(server.Options{
		Service: w.service, Stores: stores, Metrics: server.NewMetrics(), Log: o.Log,
		Auth: auth.New(auth.Options{Directory: stores.Directory, Nonces: stores.Nonces, Vault: keys}),
	}).Public(true)
	web := httptest.NewServer(public)
	t.Cleanup(web.Close)
	w.options.BaseURL = web.URL
	w.fill(web.URL)
	w.arcade, err = New(w.options)
	w.must(err)
	w.must(w.arcade.Boot(t.Context()))
	w.stop = w.runInBackground(func(ctx context.Context) {
		if err := w.arcade.Run(ctx, l); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

// runInBackground runs f until the test ends, or the function is called that it
// returns.
func (w *world) runInBackground(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { f(ctx) })
	stop = func() {
		cancel()
		all.Wait()
	}
	w.t.Cleanup(stop)
	return stop
}

// fill makes a branch, an agent, a member, two games and the game server.
func (w *world) fill(baseURL string) {
	ctx := w.t.Context()
	_, err := w.service.CreateBranch(ctx, "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	w.must(err)
	_, keys, err := w.service.CreateAgent(ctx, "test", rollcall.Agent{
		ID: "a1", BranchID: "THB", Signature: rollcall.SignaturePlain, Wallet: rollcall.WalletTransfer,
	}, roll.NewKeys{})
	w.must(err)
	_, err = w.service.CreateMember(ctx, "test", "a1", "player001", "")
	w.must(err)
	for _, code := range []string{"G1", "G2"} {
		_, err = w.service.CreateGame(ctx, "test", rollcall.Game{Code: code, Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}})
		w.must(err)
	}
	_, w.options.Token, err = w.service.CreateGameServer(ctx, "test", rollcall.GameServer{ID: "arcade", Games: []string{"G1"}})
	w.must(err)
	w.agent, err = client.New(client.Options{
		BaseURL: baseURL, AgentID: "a1", APIKey: keys.APIKey, SecretKey: keys.SecretKey,
		HTTPClient: &http.Client{}, // whose idle connections a test can close
	})
	w.must(err)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// launch launches a game for player001 and returns the token.
func (w *world) launch(game string) string {
	w.t.Helper()
	opened, err := w.agent.OpenGame(w.t.Context(), wire.OpenGameRequest{Username: "player001", GameCode: game, IPAddress: "127.0.0.1", Lang: "en"})
	w.must(err)
	u, err := url.Parse(opened.GameLaunchURL)
	w.must(err)
	return u.Query().Get("token")
}

// An answer is what a page gets.
type answer struct {
	view

	Problem *problem `json:"problem"`
}

// call does what a page's script does.
func (w *world) call(path, token, page string) (status int, a answer) {
	w.t.Helper()
	body, err := json.Marshal(pageCall{token, page})
	w.must(err)
	res, err := http.Post(w.url+path, "application/json", bytes.NewReader(body))
	w.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	w.must(err)
	if len(text) > 0 && json.Unmarshal(text, &a) != nil {
		w.t.Fatalf("%s: status %d: %s", path, res.StatusCode, text)
	}
	return res.StatusCode, a
}

// begin starts a game, which has to go well.
func (w *world) begin(token, page string) answer {
	w.t.Helper()
	status, a := w.call("/start", token, page)
	if status != http.StatusOK || a.Problem != nil || a.Over != nil || a.Session == "" {
		w.t.Fatalf("start: status %d, %+v", status, a)
	}
	return a
}

func (w *world) sessions() []wire.Session {
	w.t.Helper()
	sessions, err := w.agent.CheckSessions(w.t.Context(), "player001")
	w.must(err)
	return sessions.Active
}

func (w *world) kick(message string) rollcall.Kick {
	w.t.Helper()
	kick, err := w.service.Kick(w.t.Context(), "ann", roll.KickParams{Filter: rollcall.SessionFilter{AgentID: "a1"}, Message: message})
	w.must(err)
	return kick
}

// eventually calls ok until it is true.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			w.t.Fatalf("after 20 s still not: %s", what)
		case <-tick.C:
		}
	}
}
