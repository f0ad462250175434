package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// mostAllocs is how often a check may allocate, beyond what net/http itself does. It
// only goes down.
const mostAllocs = 11

// A check does not allocate more than it did. The server's own garbage is a part of
// what a check costs, and of what all others wait for.
func TestAllocsOfACheck(t *testing.T) {
	w := newWorld(t, nil)
	w.log, w.Server.log = nil, slog.New(slog.DiscardHandler)
	next := w.signedChecks(t, 1200)
	v2, to := w.Server.V2(), &sink{header: http.Header{}}
	for range 100 { // pools fill up
		v2.ServeHTTP(to, next())
	}
	got := testing.AllocsPerRun(1000, func() { v2.ServeHTTP(to, next()) })
	if to.status != http.StatusOK || !bytes.HasPrefix(to.body, []byte(`{"code":0,`)) {
		t.Fatalf("status %d: %s", to.status, to.body)
	}
	if got > mostAllocs {
		t.Errorf("a check allocates %.0f times, want %d at the most", got, mostAllocs)
	}
	t.Logf("%.0f allocations a check", got)
}

// signedChecks returns what returns n requests of an agent's check of a member, one
// after the other.
func (w *world) signedChecks(t *testing.T, n int) func() *http.Request {
	t.Helper()
	ctx := t.Context()
	_, err := w.service.CreateBranch(ctx, "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	must(t, err)
	_, keys, err := w.service.CreateAgent(ctx, "test", rollcall.Agent{ID: "a1", BranchID: "THB", Signature: rollcall.SignaturePlain, Wallet: rollcall.WalletTransfer}, roll.NewKeys{})
	must(t, err)
	_, err = w.service.CreateMember(ctx, "test", "a1", "player001", "")
	must(t, err)
	web := httptest.NewServer(w.Server.V2())
	defer web.Close()
	c, err := client.New(client.Options{BaseURL: web.URL, AgentID: "a1", APIKey: keys.APIKey, SecretKey: keys.SecretKey})
	must(t, err)
	token, err := c.AccessToken(ctx)
	must(t, err)
	key, err := wire.ParseAPIKey(keys.APIKey)
	must(t, err)
	requests := make(chan *http.Request, n)
	for i := range n {
		text := key.Seal([]byte(`{"username":"player001"}`))
		head := wire.Header{AccessToken: token, AgentID: "a1", Timestamp: wire.FormatTimestamp(time.Now()), Nonce: fmt.Sprintf("%032d", i)}
		head.Sign(rollcall.SignaturePlain, key, text)
		r := httptest.NewRequest(http.MethodPost, wire.PathSessionsCheck, http.NoBody)
		body := []byte(`{"cipherText":"` + text + `"}`)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Type", "application/json")
		head.Set(r.Header)
		requests <- r
	}
	return func() *http.Request { return <-requests }
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
