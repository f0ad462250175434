package h1

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// A handover is the listener of net/http: it "accepts" the connections that this
// package leaves to it.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give hands a connection over, or closes it where nobody takes it any more.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		c.Close()
	}
}

// Accept is net.Listener's.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is net.Listener's.
func (h *handover) Addr() net.Addr { return h.addr }

// A begun connection is one of which some has been read, which is read again.
type begun struct {
	net.Conn

	unread []byte
}

func (b *begun) Read(to []byte) (int, error) {
	if len(b.unread) == 0 {
		return b.Conn.Read(to)
	}
	n := copy(to, b.unread)
	if b.unread = b.unread[n:]; len(b.unread) == 0 {
		b.unread = nil
	}
	return n, nil
}

// CloseWrite is how net/http ends a connection whose sender still sends.
func (b *begun) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// A begunTLS tells net/http how it is secured.
type begunTLS struct{ begun }

// ConnectionState is what net/http asks for.
func (b *begunTLS) ConnectionState() tls.ConnectionState {
	return b.Conn.(*tls.Conn).ConnectionState()
}
