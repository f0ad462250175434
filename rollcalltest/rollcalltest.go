// Package rollcalltest gives users of the Go SDK a true Rollcall in their own
// process, for their tests: the real rules, authentication, HTTP and stores, with
// known keys, on a clock that the test moves, at a free port of the loopback. It
// decides nothing of its own.
//
//	func TestLobby(t *testing.T) {
//		s := rollcalltest.New(t)
//		s.Seat("player001", "VP_230001_1") // plays from now on
//		lobby := NewLobby(s.Client())      // the code under test, on a client.Client
//		if err := lobby.SendHome(t.Context(), "player001"); err != nil {
//			t.Fatal(err)
//		}
//		sessions, err := s.Client().CheckSessions(t.Context(), "player001")
//		if err != nil || len(sessions.Active) != 0 {
//			t.Errorf("got %+v, %v; want no session", sessions, err)
//		}
//	}
//
// A Server has one agent, of a branch in THB, with the members player001 and
// player002; the games VP_230001_1 (real and demo) and VP_230002_1 (real); and one
// game server, which may run both. What else an operator can do goes over the
// operators' API (docs/admin-api.md).
//
// Its clock stands still at 2026-01-02 03:04:05 UTC until the test moves it:
// access tokens, leases and rate limits go by it. A client that has another clock,
// such as the machine's, is refused: give it Now, or have the Server go by the
// present with SetNow(time.Now()).
package rollcalltest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/vault"
)

// T is what New needs of a test: *testing.T, *testing.B and *testing.F have it.
type T interface {
	Helper()
	Cleanup(f func())
	Fatal(args ...any)
}

// An Agent is who calls the v2 API. NextAPIKey is the key that AddAPIKey adds.
type Agent struct{ ID, APIKey, NextAPIKey, SecretKey string }

// A GameServer is who reports sessions.
type GameServer struct{ ID, Token string }

// A Server is a Rollcall in this process. It is safe for concurrent use. A method
// that cannot do what it is asked to ends the test by Fatal, so it is to be called
// from the test's own goroutine.
type Server struct {
	// URL is where /v2 and /game/v1 begin, AdminURL where /admin/v1 does.
	URL, AdminURL string
	// Agent is the one agent, with the keys that it has at the beginning; they are
	// the same in each Server.
	Agent Agent
	// GameServer is the one for the test to play.
	GameServer GameServer
	// AdminToken is an operator's.
	AdminToken string

	t      T
	vault  *vault.Vault
	nonces *outage
	clock  clock
	public *httptest.Server
	admin  *httptest.Server

	mu      sync.RWMutex // guards what follows
	now     *generation
	wrap    func(http.Handler) http.Handler
	profile rollcall.SignatureProfile
	keys    map[string]string // ID of each API key, by its text
}

// New starts a Server, which ends with the test.
func New(t T) *Server {
	t.Helper()
	s := start(t)
	t.Cleanup(s.Close)
	return s
}

// Start starts a Server for who has no test, such as an Example, and has to Close
// it. Where a method of its cannot do what it is asked to, it panics.
func Start() *Server { return start(nobodys{}) }

// nobodys is the T of a Server without a test.
type nobodys struct{}

func (nobodys) Helper()           {}
func (nobodys) Cleanup(func())    {}
func (nobodys) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func start(t T) *Server {
	t.Helper()
	s := &Server{t: t, profile: rollcall.SignaturePlain, keys: make(map[string]string)}
	s.clock.at = begin
	s.open()
	s.public = httptest.NewServer(http.HandlerFunc(s.servePublic))
	s.admin = httptest.NewServer(http.HandlerFunc(s.serveAdmin))
	s.URL, s.AdminURL = s.public.URL, s.admin.URL
	s.fill()
	return s
}

// Close ends the Server, which one that New has made does by itself. It waits for
// calls that are under way; a second time it does nothing.
func (s *Server) Close() {
	s.generation().stop() // first, since it ends event streams
	s.public.Close()
	s.admin.Close()
}

// Wrap puts a handler of the test's own around the v2 API and that of game servers: to count calls, to hold
// them up, or to lose the answer of one that was carried out. Each Wrap takes the
// place of the one before; nil takes it away. A game server's event stream needs
// its http.ResponseWriter as it is, or with an Unwrap.
func (s *Server) Wrap(around func(http.Handler) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrap = around
}

func (s *Server) servePublic(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	h, wrap := s.now.public, s.wrap
	s.mu.RUnlock()
	if wrap != nil {
		h = wrap(h)
	}
	h.ServeHTTP(w, r)
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	s.generation().admin.ServeHTTP(w, r)
}

func (s *Server) generation() *generation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now
}

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal("rollcalltest: " + what + ": " + err.Error())
	}
}
