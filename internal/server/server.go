// Package server answers HTTP: the v2 API for integrators (spec 1–6) on one
// listener; the operators' API, health and metrics on another. It is the only
// place that knows codes and statuses. It knows no store: it asks the rules
// (internal/roll) and who calls (internal/auth).
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Options configure a Server. Service, Auth, Stores and Metrics are required.
type Options struct {
	Service *roll.Service
	Auth    *auth.Authenticator
	// Stores are looked at by /readyz and counted by /metrics; History takes the
	// request records.
	Stores  roll.Stores
	Metrics *Metrics
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

// A Server answers the two APIs.
type Server struct {
	o        Options
	now      func() time.Time
	log      *slog.Logger
	recorder *recorder
	pinger   *pinger
	v2       map[string]endpoint
	draining atomic.Bool
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
	s := &Server{o: o, now: o.Now, log: o.Log}
	s.recorder = newRecorder(o.Stores.History, o.Metrics, o.Log)
	s.pinger = &pinger{stores: o.Stores, now: o.Now, log: o.Log}
	s.v2 = s.endpoints()
	o.Metrics.observe(o.Stores)
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

// Run serves v2 and admin until ctx ends, and then drains: /readyz says no, what
// is in flight is finished, the request records are stored, and the admin
// listener goes last. It closes the listeners. nil is a clean end.
func (s *Server) Run(ctx context.Context, v2, admin net.Listener) error {
	v2Server, adminServer := s.httpServer(s.V2()), s.httpServer(s.Admin())
	var group errgroup.Group
	failed, fail := context.WithCancelCause(ctx)
	serve := func(server *http.Server, l net.Listener) {
		group.Go(func() error {
			err := server.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			fail(err) // one listener that fails ends both
			return err
		})
	}
	recorded := make(chan struct{})
	recordCtx, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(recorded)
		s.recorder.run(recordCtx)
	}()
	serve(v2Server, v2)
	serve(adminServer, admin)
	<-failed.Done()
	err := s.drain(context.WithoutCancel(ctx), v2Server)
	stopRecording()
	<-recorded
	return errors.Join(err, s.closeAdmin(adminServer), group.Wait())
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

func (s *Server) drain(ctx context.Context, v2 *http.Server) error {
	s.draining.Store(true)
	s.log.LogAttrs(ctx, slog.LevelInfo, "draining", slog.Duration("delay", s.o.DrainDelay), slog.Duration("timeout", s.o.DrainTimeout))
	if s.o.DrainDelay > 0 {
		<-time.After(s.o.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.DrainTimeout)
	defer cancel()
	if err := v2.Shutdown(ctx); err != nil {
		return errors.Join(errors.New("requests were cut off: the drain timeout passed"), v2.Close())
	}
	return nil
}
