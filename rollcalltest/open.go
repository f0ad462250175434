package rollcalltest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/server"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/vault"
)

// launchURL is where games are said to be. Nobody is there.
const launchURL = "https://games.example.com/play"

// A generation is what serves from one set of stores.
type generation struct {
	stores        roll.Stores
	service       *roll.Service
	public, admin http.Handler
	stop          func() // ends it and waits for that; once
}

// open makes the stores and what serves from them.
func (s *Server) open() {
	keys, err := vault.New(repeated("5a", 64))
	s.must("master key", err)
	s.vault = keys
	stores := memory.New(memory.Options{MaxClockSkew: auth.DefaultMaxClockSkew, Now: s.Now}).Stores()
	stores.Now = s.Now
	s.nonces = &outage{Nonces: stores.Nonces}
	stores.Nonces = s.nonces
	s.now = s.serve(stores)
}

// serve wires a server top to bottom, as cmd/rollcall does.
func (s *Server) serve(stores roll.Stores) *generation {
	log := slog.New(slog.DiscardHandler)
	service := roll.New(roll.Options{Stores: stores, Vault: s.vault, LaunchURL: launchURL, Log: log})
	s.must("stores", service.Prepare(context.Background()))
	limiter := roll.NewLimiter(roll.LimiterOptions{Limits: stores.Limits, Local: live.NewBuckets(s.Now), Now: s.Now})
	web := server.New(server.Options{
		Service: service, Stores: stores, Metrics: server.NewMetrics(), Version: "rollcalltest", Now: s.Now, Log: log,
		Auth: auth.New(auth.Options{Directory: stores.Directory, Nonces: stores.Nonces, Vault: s.vault, Limiter: limiter, Now: s.Now}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { service.Run(ctx) })
	// Requests come by the Server's own listeners, which outlive a generation. Run
	// stores their records, and ends event streams.
	all.Go(func() { _ = web.Run(ctx, server.Listeners{V2: newNowhere(), Admin: newNowhere()}) })
	return &generation{
		stores: stores, service: service, public: web.Public(true), admin: web.Admin(),
		stop: sync.OnceFunc(func() {
			cancel()
			all.Wait()
		}),
	}
}

// LoseSessions has the store lose its sessions, launches and kicks, as an engine
// without persistence does when it crashes. Agents, members and keys are kept.
// Answers are partial until the lease of a session has passed; game servers
// announce what they hold. The clock goes on by a second.
func (s *Server) LoseSessions() {
	s.Advance(time.Second)
	s.mu.Lock()
	before := s.now
	stores := before.stores
	stores.Sessions = memory.New(memory.Options{Now: s.Now}).Stores().Sessions
	s.now = s.serve(stores)
	s.mu.Unlock()
	before.stop() // and with it the event streams
}

// Unavailable has the next calls of the v2 API find a store that does not answer,
// n of them: code 7 with HTTP 503 and Retry-After.
func (s *Server) Unavailable(n int) {
	s.nonces.mu.Lock()
	defer s.nonces.mu.Unlock()
	s.nonces.calls = n
}

// An outage is a store that does not answer, for so many calls.
type outage struct {
	roll.Nonces

	mu    sync.Mutex
	calls int
}

// Claim is rollcall.ErrUnavailable as long as the outage lasts.
func (o *outage) Claim(ctx context.Context, agentID, nonce string, at time.Time) (bool, error) {
	o.mu.Lock()
	down := o.calls > 0
	if down {
		o.calls--
	}
	o.mu.Unlock()
	if down {
		return false, rollcall.ErrUnavailable
	}
	return o.Nonces.Claim(ctx, agentID, nonce, at)
}

// nowhere is a listener to which nobody can connect.
type nowhere struct {
	closed chan struct{}
	close  func()
}

func newNowhere() nowhere {
	closed := make(chan struct{})
	return nowhere{closed, sync.OnceFunc(func() { close(closed) })}
}

func (n nowhere) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}

func (n nowhere) Close() error {
	n.close()
	return nil
}

func (n nowhere) Addr() net.Addr { return &net.TCPAddr{} }
