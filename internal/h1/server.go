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
// there before it is called. The request, its header and its body are used again
// when it has returned, so it must keep none of them. The context ends when nobody
// can be answered any more, which is after WriteTimeout, and not when the client
// hangs up; of net/http's values it has http.ServerContextKey. Answers are sent when
// the handler returns, always with a Content-Length; their writer is no http.Flusher
// and no http.Hijacker, and informational answers are not sent. Of http.Server's
// hooks BaseContext, ConnContext and ConnState know only of net/http's connections.
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
	web   *http.Server
	rest  *handover // the connections that web serves
	pulse atomic.Pointer[pulse]

	draining atomic.Bool
	gone     chan struct{} // closed when it is draining and there are no conns

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	over     bool // gone is closed
}

// New returns a Server with the handler, the limits and the log of web, which
// serves what the Server does not, and is to be used for nothing else.
func New(web *http.Server) *Server {
	s := &Server{web: web, gone: make(chan struct{}), conns: make(map[*conn]struct{})}
	s.beat()
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
	s.beat()
	go s.keepBeating()
	go func() {
		// What it accepts is what rest is given, so it fails only at the end.
		_ = s.web.Serve(s.rest)
	}()
	return s.accept(l)
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
	s.end()
}

// end tells who waits for it that there are no conns any more. s is locked.
func (s *Server) end() {
	if s.draining.Load() && len(s.conns) == 0 && !s.over {
		s.over = true
		close(s.gone)
	}
}

// Shutdown accepts no more connections, closes those that are idle, and waits until
// the requests in flight are answered, or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	rest := make(chan error, 1)
	go func() { rest <- s.web.Shutdown(ctx) }()
	select {
	case <-s.gone:
		return <-rest
	case <-ctx.Done():
		return errors.Join(ctx.Err(), <-rest) // who heeds ctx too
	}
}

func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	if s.listener != nil {
		_ = s.listener.Close() // accept tells
	}
	for c := range s.conns {
		c.wake()
	}
	s.end()
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

// handshake is that of TLS. It reports whether the connection then speaks HTTP/1;
// whatever else came out of it is for net/http, which comes to the same.
func (s *Server) handshake(t *tls.Conn) bool {
	ctx := context.Background()
	if limit := s.web.ReadHeaderTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return t.HandshakeContext(ctx) == nil && t.ConnectionState().NegotiatedProtocol != "h2"
}
