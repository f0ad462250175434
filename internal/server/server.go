// Package server answers HTTP: the v2 API for integrators (spec 1–7) and the
// game servers' API on one listener or two; the operators' API, health and
// metrics on another. It is the only
// place that knows codes and statuses. It knows no store: it asks the rules
// (internal/roll) and who calls (internal/auth).
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/h1"
	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// Options configure a Server. Service, Auth, Stores and Metrics are required.
type Options struct {
	Service *roll.Service
	Auth    *auth.Authenticator
	// Stores are looked at by /readyz and counted by /metrics; History takes the
	// request records.
	Stores  roll.Stores
	Metrics *Metrics
	// Addresses bounds by AddressRate how often one address calls the v2 API and
	// that of game servers, whoever it may be; nil: nothing does.
	Addresses   roll.Limits
	AddressRate rollcall.RateLimit
	// TrustedProxies are networks whose X-Forwarded-For says where a call is from.
	TrustedProxies []netip.Prefix
	// MaxConcurrent is how many calls of the v2 API are worked on at a time, and as
	// many of game servers; 0: no bound.
	MaxConcurrent int
	// DrainDelay is how long /readyz says no before connections are refused, so
	// that load balancers notice; 0: not at all.
	DrainDelay time.Duration
	// DrainTimeout is how long requests in flight may take to finish; 0: 20 s.
	DrainTimeout time.Duration
	// Version is what /livez tells.
	Version string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log is where faults go; nil: slog.Default.
	Log *slog.Logger
}

// A Server answers the three APIs.
type Server struct {
	o        Options
	now      func() time.Time
	log      *slog.Logger
	recorder *recorder
	pinger   *pinger
	v2       map[string]endpoint
	draining atomic.Bool

	proxies  proxies
	gates    struct{ v2, game *gate } // apart: what floods one leaves the other
	refusals samples
	opened   streamCounts
	// diagnoses picks the refused requests that are looked into.
	diagnoses struct{ each, all samples }

	// streams ends when the event streams are to.
	streams    context.Context
	endStreams context.CancelFunc
}

// New makes a Server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 20 * time.Second
	}
	s := &Server{o: o, now: func() time.Time { return o.Now().UTC() }, log: o.Log}
	s.recorder = newRecorder(o.Stores.History, o.Metrics, o.Log)
	s.pinger = &pinger{stores: o.Stores, now: o.Now, log: o.Log}
	s.v2 = s.endpoints()
	s.proxies = o.TrustedProxies
	s.gates.v2, s.gates.game = newGate(o.MaxConcurrent, o.Now), newGate(o.MaxConcurrent, o.Now)
	s.recorder.diagnose = s.diagnose
	s.refusals = samples{most: keptRefusals, now: o.Now}
	s.diagnoses.each, s.diagnoses.all = samples{most: diagnosesPerAddress, now: o.Now}, samples{most: diagnosesPerSecond, now: o.Now}
	s.opened.of = make(map[string]int)
	s.streams, s.endStreams = context.WithCancel(context.Background())
	o.Metrics.observe(o.Stores, o.Service)
	o.Metrics.watch("v2", s.gates.v2)
	o.Metrics.watch("game", s.gates.game)
	return s
}

// Limits of both listeners. A client that sends its headers or its body more
// slowly is cut off.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// A webServer is an *http.Server, or one that has more speed.
type webServer interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// Listeners are where a Server listens. Game may be nil: then V2 serves the game
// servers' API too.
type Listeners struct{ V2, Game, Admin net.Listener }

// Run serves until ctx ends, and then drains: /readyz says no, event streams are
// ended, what is in flight is finished, the request records are stored, and the
// admin listener goes last. It closes the listeners. nil is a clean end.
func (s *Server) Run(ctx context.Context, l Listeners) error {
	var group errgroup.Group
	failed, fail := context.WithCancelCause(ctx)
	start := func(server webServer, l net.Listener) {
		group.Go(func() error {
			err := server.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			fail(err) // one listener that fails ends all
			return err
		})
	}
	recorded := make(chan struct{})
	recordCtx, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(recorded)
		s.recorder.run(recordCtx)
	}()
	public := []webServer{h1.New(s.httpServer(s.Public(l.Game == nil)))}
	start(public[0], l.V2)
	if l.Game != nil {
		public = append(public, h1.New(s.httpServer(s.Game())))
		start(public[1], l.Game)
	}
	admin := s.httpServer(s.Admin())
	start(admin, l.Admin)
	<-failed.Done()
	err := s.drain(context.WithoutCancel(ctx), public)
	stopRecording()
	<-recorded
	return errors.Join(err, s.closeAdmin(admin), group.Wait())
}

// Public returns the handler of the v2 API and of its description, and with games
// that of the game servers' API on its own paths.
func (s *Server) Public(games bool) http.Handler {
	v2, game := s.V2(), s.Game()
	described := s.guard(s.addressed(s.describe(openapi.Integrators)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case games && strings.HasPrefix(path, wire.GamePrefix+"/"):
			game.ServeHTTP(w, r)
		case strings.HasPrefix(path, openapi.Prefix):
			described.ServeHTTP(w, r)
		default:
			v2.ServeHTTP(w, r)
		}
	})
}

// adminPatience is how long operators' calls in flight may take at the end.
const adminPatience = 2 * time.Second

func (s *Server) closeAdmin(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close() // a profile, or somebody who never ends
	}
	return nil
}

func (s *Server) drain(ctx context.Context, servers []webServer) error {
	s.draining.Store(true)
	s.log.LogAttrs(ctx, slog.LevelInfo, "draining", slog.Duration("delay", s.o.DrainDelay), slog.Duration("timeout", s.o.DrainTimeout))
	if s.o.DrainDelay > 0 {
		<-time.After(s.o.DrainDelay)
	}
	s.endStreams()
	ctx, cancel := context.WithTimeout(ctx, s.o.DrainTimeout)
	defer cancel()
	var group errgroup.Group
	for _, server := range servers {
		group.Go(func() error {
			if err := server.Shutdown(ctx); err != nil {
				return errors.Join(errors.New("requests were cut off: the drain timeout passed"), server.Close())
			}
			return nil
		})
	}
	return group.Wait()
}
