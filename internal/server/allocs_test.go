package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// mostAllocs is how often a check may allocate, beyond what net/http itself does, by
// how many sessions the member has. It only goes down.
var mostAllocs = map[int]float64{0: 3, 1: 4}

// A check does not allocate more than it did. The server's own garbage is a part of
// what a check costs, and of what all others wait for.
func TestAllocsOfACheck(t *testing.T) {
	for sessions, most := range mostAllocs {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			c := newChecks(t, sessions)
			v2, to := c.Server.V2(), &sink{header: http.Header{}}
			for range 100 { // pools fill up
				v2.ServeHTTP(to, c.sign())
			}
			requests := make(chan *http.Request, 1001)
			for range cap(requests) {
				requests <- c.sign()
			}
			got := testing.AllocsPerRun(1000, func() { v2.ServeHTTP(to, <-requests) })
			if to.status != http.StatusOK || !bytes.HasPrefix(to.body, []byte(`{"code":0,`)) || bytes.Count(to.body, []byte(`"gamecode"`)) != sessions {
				t.Fatalf("status %d: %s", to.status, to.body)
			}
			if got > most+forgetful {
				t.Errorf("a check allocates %.0f times, want %.0f at the most", got, most+forgetful)
			}
			t.Logf("%.0f allocations a check", got)
		})
	}
}

// BenchmarkCheck is the check of a member with one session, from the handler on.
func BenchmarkCheck(b *testing.B) {
	const batch = 2048 // are signed at once, beside the clock
	c := newChecks(b, 1)
	v2, to := c.Server.V2(), &sink{header: http.Header{}}
	var requests [batch]*http.Request
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%batch == 0 {
			b.StopTimer()
			for at := range requests {
				requests[at] = c.sign()
			}
			b.StartTimer()
		}
		v2.ServeHTTP(to, requests[i%batch])
	}
	if to.status != http.StatusOK || !bytes.HasPrefix(to.body, []byte(`{"code":0,`)) {
		b.Fatalf("status %d: %s", to.status, to.body)
	}
}

// checks are a server with everything on that a deployed one has, an agent of it,
// and a member with sessions.
type checks struct {
	*world

	key   *wire.APIKey
	token string
	n     atomic.Int64
}

func newChecks(t testing.TB, sessions int) *checks {
	t.Helper()
	ctx, w := t.Context(), newWorld(t, nil)
	w.log, w.Server.log = nil, slog.New(slog.DiscardHandler)
	w.gates.v2 = newGate(256, time.Now)
	w.o.Addresses, w.o.AddressRate = w.stores.Limits, rollcall.RateLimit{PerSecond: rollcall.MaxRate}.Or(rollcall.RateLimit{})
	w.o.Auth = auth.New(auth.Options{
		Directory: w.stores.Directory, Nonces: w.stores.Nonces, Vault: w.vault,
		Limiter: roll.NewLimiter(roll.LimiterOptions{Limits: w.stores.Limits, Local: w.stores.Limits, Near: true}), Rate: w.o.AddressRate,
	})
	_, err := w.service.CreateBranch(ctx, "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	must(t, err)
	_, keys, err := w.service.CreateAgent(ctx, "test", rollcall.Agent{ID: "a1", BranchID: "THB", Signature: rollcall.SignaturePlain, Wallet: rollcall.WalletTransfer}, roll.NewKeys{})
	must(t, err)
	_, err = w.service.CreateMember(ctx, "test", "a1", "player001", "")
	must(t, err)
	web := httptest.NewServer(w.Server.V2())
	defer web.Close()
	agent, err := client.New(client.Options{BaseURL: web.URL, AgentID: "a1", APIKey: keys.APIKey, SecretKey: keys.SecretKey})
	must(t, err)
	c := &checks{world: w}
	c.token, err = agent.AccessToken(ctx)
	must(t, err)
	c.key, err = wire.ParseAPIKey(keys.APIKey)
	must(t, err)
	c.play(t, "player001", sessions)
	return c
}

// play starts sessions of a member, and returns them.
func (c *checks) play(t testing.TB, username string, sessions int) (list []rollcall.Session) {
	t.Helper()
	ctx, clock := t.Context(), c.stores.Clock()
	must(t, c.stores.Sessions.Boot(ctx, "s1", "b1", clock()))
	for range sessions {
		now := clock().UTC().Truncate(time.Microsecond)
		session := rollcall.Session{
			ID: uuid.Must(uuid.NewV7()).String(), AgentID: "a1", Username: username, GameCode: "VP_" + username, Mode: rollcall.ModeReal,
			Device: rollcall.DevicePC, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en", Currency: "THB", BrandCurrency: "THB",
			Wallet: rollcall.WalletTransfer, GameServer: "s1", BootID: "b1", StartedAt: now, SeenAt: now, LeaseSeconds: 3600,
			ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		}
		launch := roll.Launch{Key: session.ID, Session: session, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
		must(t, c.stores.Sessions.AddLaunch(ctx, launch))
		started, err := c.stores.Sessions.Start(ctx, roll.Start{LaunchKey: launch.Key, Session: session})
		must(t, err)
		list = append(list, started.Session)
	}
	return list
}

// sign returns one more request of the agent's check of the member.
func (c *checks) sign() *http.Request {
	text := c.key.Seal([]byte(`{"username":"player001"}`))
	return c.request(wire.PathSessionsCheck, text, `{"cipherText":"`+text+`"}`)
}

// request returns one more request of the agent, with a body that has that cipherText.
func (c *checks) request(url, cipherText, body string) *http.Request {
	head := wire.Header{AccessToken: c.token, AgentID: "a1", Timestamp: wire.FormatTimestamp(time.Now()), Nonce: fmt.Sprintf("%032d", c.n.Add(1))}
	head.Sign(rollcall.SignaturePlain, c.key, cipherText)
	r := httptest.NewRequest(http.MethodPost, url, http.NoBody)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	head.Set(r.Header)
	return r
}

// A sink is a ResponseWriter that allocates nothing.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(b []byte) (int, error) {
	s.body = append(s.body[:0], b...)
	return len(b), nil
}
