package server

import (
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// newCaller makes an agent with one member and a client for it; the client's
// calls by path are counted.
func newCaller(t *testing.T, w *world, profile rollcall.SignatureProfile, now func() time.Time) (*client.Client, func(path string) int) {
	t.Helper()
	ctx := t.Context()
	_, err := w.service.CreateBranch(ctx, "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	must(t, err)
	_, keys, err := w.service.CreateAgent(ctx, "test", rollcall.Agent{ID: "a1", BranchID: "THB", Signature: profile, Wallet: rollcall.WalletTransfer}, roll.NewKeys{})
	must(t, err)
	_, err = w.service.CreateMember(ctx, "test", "a1", "player001", "")
	must(t, err)
	web := httptest.NewServer(w.v2)
	t.Cleanup(web.Close)
	var mu sync.Mutex
	calls := make(map[string]int)
	c, err := client.New(client.Options{
		BaseURL: web.URL + "/", AgentID: "a1", APIKey: keys.APIKey, SecretKey: keys.SecretKey, Signature: profile, Now: now,
		Trace: func(x client.Exchange) {
			mu.Lock()
			defer mu.Unlock()
			calls[strings.TrimPrefix(x.URL, web.URL)]++
		},
	})
	must(t, err)
	return c, func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return calls[path]
	}
}

func TestClientChecks(t *testing.T) {
	for _, profile := range []rollcall.SignatureProfile{rollcall.SignaturePlain, rollcall.SignatureHMAC} {
		c, _ := newCaller(t, newWorld(t, nil), profile, nil)
		sessions, err := c.CheckSessions(t.Context(), "player001")
		must(t, err)
		if sessions.Active == nil || len(sessions.Active) != 0 || sessions.LogUUID == "" {
			t.Errorf("%s: got %+v, want an empty slice and a logUUID", profile, sessions)
		}
		_, err = c.CheckSessions(t.Context(), "nobody")
		answer, ok := errors.AsType[*wire.Error](err)
		if !errors.Is(err, rollcall.ErrMemberNotFound) || !ok || answer.Code != 8 || answer.LogUUID == "" {
			t.Errorf("%s: got %v, want ErrMemberNotFound with code and logUUID", profile, err)
		}
	}
}

// One token serves all goroutines, and is fetched again before it expires.
func TestClientSharesItsToken(t *testing.T) {
	c := &struct {
		mu  sync.Mutex
		now time.Time
	}{now: time.Now()}
	now := func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}
	caller, calls := newCaller(t, newWorld(t, nil), rollcall.SignaturePlain, now)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := caller.CheckSessions(t.Context(), "player001"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, checks := calls(wire.PathAuth), calls(wire.PathSessionsCheck); got != 1 || checks != 16 {
		t.Errorf("%d tokens for %d checks, want 1 for 16", got, checks)
	}
	c.mu.Lock()
	c.now = c.now.Add(wire.AccessTokenLifetime - time.Minute)
	c.mu.Unlock()
	// The server's clock has not moved, so it refuses the timestamp: what counts
	// here is that the client asked for a token first.
	if _, err := caller.CheckSessions(t.Context(), "player001"); !errors.Is(err, rollcall.ErrAuthentication) || !strings.Contains(err.Error(), "access token:") {
		t.Errorf("got %v", err)
	}
	if got := calls(wire.PathAuth); got != 2 {
		t.Errorf("%d tokens were asked for, want 2", got)
	}
}

func TestClientOptions(t *testing.T) {
	_, key := wire.NewAPIKey()
	good := client.Options{BaseURL: "http://127.0.0.1:1", AgentID: "a1", APIKey: key, SecretKey: "s"}
	for name, change := range map[string]func(*client.Options){
		"BaseURL":    func(o *client.Options) { o.BaseURL = "" },
		"AgentID":    func(o *client.Options) { o.AgentID = "a 1" },
		"APIKey":     func(o *client.Options) { o.APIKey = "abc" },
		"NextAPIKey": func(o *client.Options) { o.NextAPIKey = strings.ToUpper(key) },
		"SecretKey":  func(o *client.Options) { o.SecretKey = "" },
		"Signature":  func(o *client.Options) { o.Signature = "md5" },
		"Attempts":   func(o *client.Options) { o.Attempts = -1 },
	} {
		o := good
		change(&o)
		if _, err := client.New(o); !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), strings.ToUpper(key)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c, err := client.New(good)
	must(t, err)
	if _, err := c.CheckSessions(t.Context(), "player001"); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("nobody listens: %v", err)
	}
}
