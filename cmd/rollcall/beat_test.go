package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	beatSessions = 1000
	beatMembers  = 100
	beatKicked   = 20 // members
	beatGame     = "beat_1"
)

// A server that is killed while 1,000 sessions beat has lost none of them when it
// is back, kicks nobody, and delivers the kicks that were not acknowledged.
func TestKillWhileSessionsBeat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	b := newBeater(t, c)
	b.begin(t)
	kicked := b.kick(t)
	p.kill()
	p, c = startSandbox(t, dir)
	back := time.Now()
	b.point(t, c)
	b.accept.Store(true)
	eventually(t, "every kick told", func() bool { return b.toldOf(kicked) })
	eventually(t, "every other session has beaten", func() bool {
		live := b.live(t)
		return len(live) == beatSessions-len(kicked) && !slices.ContainsFunc(live, func(s rollcall.Session) bool { return s.SeenAt.Before(back) })
	})
	eventually(t, "the game server holds just those", func() bool { return len(b.server.Sessions()) == beatSessions-len(kicked) })
	if n := b.lost.Load(); n != 0 {
		t.Errorf("%d sessions were given up as lost", n)
	}
	eventually(t, "every receipt is complete", func() bool { return b.acknowledged(t) == len(kicked) })
	b.stop()
	p.stop(t)
}

// A beater is a game server with many sessions. It reaches rollcall through a
// proxy, so that rollcall may come back at another address.
type beater struct {
	c      Credentials
	agent  *client.Client
	server *client.GameServer
	to     atomic.Pointer[url.URL]
	accept atomic.Bool // events are taken over
	lost   atomic.Int64
	stop   func()

	mu   sync.Mutex
	told map[string]bool // sessions
}

func newBeater(t *testing.T, c Credentials) *beater {
	t.Helper()
	b := &beater{told: make(map[string]bool)}
	b.point(t, c)
	web := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(b.to.Load()) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	})
	t.Cleanup(web.Close)
	primary := c.role(t, rolePrimary)
	var err error
	if b.agent, err = client.New(client.Options{BaseURL: web.URL, AgentID: primary.AgentID, APIKey: primary.APIKey, SecretKey: primary.Secret}); err != nil {
		t.Fatal(err)
	}
	var made admin.GameServerCreated
	b.admin(t, http.MethodPost, "/game-servers", admin.GameServerCreate{ID: "beater"}, &made)
	b.admin(t, http.MethodPost, "/games", admin.GameCreate{
		Code: beatGame, Modes: []rollcall.Mode{rollcall.ModeReal}, LeaseSeconds: 6, HeartbeatSeconds: 1,
	}, nil)
	b.server, err = client.NewGameServer(client.GameServerOptions{
		BaseURL: web.URL, Token: made.Token, OnEvent: b.hear, OnLost: func(rollcall.Session, string) { b.lost.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(b.stop)
	go func() {
		defer close(done)
		if err := b.server.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return b
}

// point says where rollcall is now.
func (b *beater) point(t *testing.T, c Credentials) {
	t.Helper()
	to, err := url.Parse(c.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	b.c = c
	b.to.Store(to)
}

func (b *beater) hear(_ context.Context, e rollcall.Event) error {
	if !b.accept.Load() {
		return errors.New("not now")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[e.SessionID] = true
	return nil
}

func (b *beater) toldOf(ids []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { return !b.told[id] })
}

func (b *beater) admin(t *testing.T, method, path string, in, out any) {
	t.Helper()
	status, err := b.c.admin(t.Context(), http.DefaultClient, method, admin.Prefix+path, in, out)
	if err != nil || status >= 300 {
		t.Fatalf("%s %s: status %d, %v", method, path, status, err)
	}
}

func beatMember(i int) string { return fmt.Sprintf("beat%03d", i%beatMembers) }

// begin starts the sessions, and returns when each has beaten.
func (b *beater) begin(t *testing.T) {
	t.Helper()
	if _, err := b.server.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range beatMembers {
		if err := b.agent.CreateMember(t.Context(), beatMember(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	next := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range next {
				if err := b.startOne(t, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range beatSessions {
		next <- i
	}
	close(next)
	all.Wait()
	begun := time.Now()
	eventually(t, "every session has beaten", func() bool {
		live := b.live(t)
		return len(live) == beatSessions && !slices.ContainsFunc(live, func(s rollcall.Session) bool { return s.SeenAt.Before(begun) })
	})
}

func (b *beater) startOne(t *testing.T, i int) error {
	opened, err := b.agent.OpenGame(t.Context(), wire.OpenGameRequest{
		IPAddress: "192.0.2.1", Lang: "en", GameCode: beatGame, Username: beatMember(i),
	})
	if err != nil {
		return err
	}
	to, err := url.Parse(opened.GameLaunchURL)
	if err != nil {
		return err
	}
	_, err = b.server.Start(t.Context(), to.Query().Get("token"))
	return err
}

// live lists the beater's live sessions.
func (b *beater) live(t *testing.T) []rollcall.Session {
	t.Helper()
	var page admin.Page[rollcall.Session]
	b.admin(t, http.MethodGet, "/sessions?gameServer=beater&limit=1000", nil, &page)
	return page.Items
}

// kick kicks some members and returns the IDs of their sessions.
func (b *beater) kick(t *testing.T) (ids []string) {
	t.Helper()
	for _, s := range b.live(t) {
		if s.Username < beatMember(beatKicked) {
			ids = append(ids, s.ID)
		}
	}
	for i := range beatKicked {
		if err := b.agent.KickMember(t.Context(), beatMember(i)); err != nil {
			t.Fatal(err)
		}
	}
	if want := beatKicked * beatSessions / beatMembers; len(ids) != want {
		t.Fatalf("%d sessions to kick, want %d", len(ids), want)
	}
	return ids
}

// acknowledged counts the receipts of the kicks that are.
func (b *beater) acknowledged(t *testing.T) int {
	t.Helper()
	var page admin.Page[rollcall.Kick]
	b.admin(t, http.MethodGet, "/kicks?limit=1000", nil, &page)
	sum := 0
	for _, k := range page.Items {
		sum += k.Progress.Acknowledged
	}
	return sum
}
