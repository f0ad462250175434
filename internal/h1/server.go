// Package h1 answers the common request of an API, a POST in HTTP/1.1 whose body
// is short and of a told length, at half of what net/http takes for it.
//
// It stands before net/http and not in its place. What it reads it serves only
// where the bytes can mean but one thing: an absolute path of plain letters, one
// Host, one Content-Length, lines that end in CRLF. The first request of a
// connection that is anything else, right or wrong, goes to net/http together with
// its connection and every byte that was read of it: other methods, HTTP/2, bodies
// in chunks or of many bytes, Expect, Upgrade, senders who take their time, and
// everything that is refused. So there is one place that judges what is unusual,
// and it is not here.
//
// A handler is called as by net/http, with these differences. The whole body is
// there before it is called. The request and its header are used again when it has
// returned, so it must keep neither. The context does not end when the client hangs
// up. Answers are sent when the handler returns, and their writer is no
// http.Flusher and no http.Hijacker.
package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Server is an *http.Server that answers plain requests by itself.
type Server struct {
	web      *http.Server
	rest     *handover     // the connections that web serves
	common   *http.Request // what all requests have in common
	pulse    atomic.Pointer[pulse]
	draining atomic.Bool

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	empty    chan struct{} // set by who waits until there are no conns; closed then
}

// New returns a Server with the handler, the limits and the log of web, which
// serves what the Server does not, and is to be used for nothing else.
func New(web *http.Server) *Server {
	s := &Server{web: web, conns: make(map[*conn]struct{})}
	s.common = (&http.Request{Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).
		WithContext(context.WithValue(context.Background(), http.ServerContextKey, web))
	s.beat(time.Now()) //nolint:forbidigo // sockets' deadlines go by no other clock
	return s
}

// Serve answers the connections that l accepts, which it closes in the end. Where l
// is of TLS, its connections have to be *tls.Conn. It is to be called once, and
// returns http.ErrServerClosed after Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }() // drain may have
	s.mu.Lock()
	s.listener, s.rest = l, newHandover(l.Addr())
	s.mu.Unlock()
	if s.draining.Load() {
		return http.ErrServerClosed
	}
	beating, stop := context.WithCancel(context.Background())
	defer stop()
	go s.keepBeating(beating)
	served := make(chan error, 1)
	go func() { served <- s.web.Serve(s.rest) }()
	err := s.accept(l)
	if !s.draining.Load() {
		_ = s.rest.Close() // cannot fail
	}
	return errors.Join(err, unlessClosed(<-served))
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept goes on after failures that may pass, as want of file descriptors.
func (s *Server) accept(l net.Listener) error {
	const first, most = 5 * time.Millisecond, time.Second
	pause := first
	for {
		rwc, err := l.Accept()
		switch failure, ok := errors.AsType[net.Error](err); {
		case err == nil:
			pause = first
			s.start(rwc)
		case s.draining.Load():
			return http.ErrServerClosed
		case ok && failure.Temporary(): //nolint:staticcheck // what it is for, says its deprecation
			s.logf("accept: %v; trying again in %v", err, pause)
			time.Sleep(pause)
			pause = min(2*pause, most)
		default:
			return err
		}
	}
}

func (s *Server) start(rwc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		rwc.Close()
		return
	}
	c := newConn(s, rwc)
	s.conns[c] = struct{}{}
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Shutdown accepts no more connections, closes those that are idle, and waits until
// the requests in flight are answered, or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.web.SetKeepAlivesEnabled(false)
	select {
	case <-s.drain():
	case <-ctx.Done():
		return ctx.Err()
	}
	// Not before: a connection may have been on its way to web.
	return s.web.Shutdown(ctx)
}

// drain returns what is closed when all conns are gone.
func (s *Server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	if s.listener != nil {
		_ = s.listener.Close() // accept tells
	}
	gone := make(chan struct{})
	if len(s.conns) == 0 {
		close(gone)
		return gone
	}
	s.empty = gone
	for c := range s.conns {
		c.wake()
	}
	return gone
}

// Close cuts all connections off.
func (s *Server) Close() error {
	s.drain()
	s.mu.Lock()
	for c := range s.conns {
		c.rwc.Close()
	}
	s.mu.Unlock()
	return s.web.Close()
}

func (s *Server) logf(format string, args ...any) {
	if s.web.ErrorLog != nil {
		s.web.ErrorLog.Printf(format, args...)
	}
}

// A pulse is what connections share of the clock, so that a request need not look
// at it: the header Date, and the deadlines of who waits from now on.
type pulse struct {
	date          string
	reads, writes time.Time // zero: none
}

const pulseEvery = time.Second

func (s *Server) keepBeating(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.beat(now)
		}
	}
}

func (s *Server) beat(now time.Time) {
	s.pulse.Store(&pulse{
		date:   now.UTC().Format(http.TimeFormat),
		reads:  after(now, s.web.IdleTimeout),
		writes: after(now, s.web.WriteTimeout),
	})
}

// after is now and a limit, which pulses may make shorter by their distance.
func after(now time.Time, limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return now.Add(limit + pulseEvery)
}

// handshake is that of TLS. It reports whether the connection then speaks HTTP/1;
// whatever else came out of it is for net/http, which comes to the same.
func (s *Server) handshake(t *tls.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.web.ReadHeaderTimeout)
	defer cancel()
	return t.HandshakeContext(ctx) == nil && t.ConnectionState().NegotiatedProtocol != "h2"
}
