package h1

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// room is the longest request, head and body, that is served here.
	room = 8 << 10
	// patience is how long the rest of a request may take that has begun.
	patience = time.Second
)

// A conn is a connection with what it has for each of its requests in turn.
type conn struct {
	s     *Server
	rwc   net.Conn
	armed *pulse // whose deadlines are set; nil: others are
	late  bool   // the server is to end, and waits for the rest of the request

	buf []byte // of room bytes
	n   int    // how many of them are read and not served
	// bodyAt is where the body of the request begins that is served.
	bodyAt int
	clean  http.Request
	call   call
	reply  reply
}

func (c *conn) serve() {
	defer c.free()
	t, secured := c.rwc.(*tls.Conn)
	if secured && !c.s.handshake(t) {
		c.s.rest.give(t)
		return
	}
	c.prepare(t)
	if c.serveRequests() {
		c.rwc.Close()
		return
	}
	unread := bytes.Clone(c.buf[:c.n])
	if secured {
		c.s.rest.give(&begunTLS{begun{t, unread}})
		return
	}
	c.s.rest.give(&begun{c.rwc, unread})
}

// prepare makes what all requests of the connection have in common.
func (c *conn) prepare(t *tls.Conn) {
	c.clean = *c.s.common
	c.clean.RemoteAddr = c.rwc.RemoteAddr().String()
	if t != nil {
		state := t.ConnectionState()
		c.clean.TLS = &state
	}
}

// conns are such as are over. Many clients make a connection for each request.
var conns = sync.Pool{New: func() any {
	return &conn{
		buf:   make([]byte, room),
		call:  call{header: make(http.Header, 16)},
		reply: reply{header: make(http.Header, 8)},
	}
}}

func newConn(s *Server, rwc net.Conn) *conn {
	c := conns.Get().(*conn)
	c.s, c.rwc, c.armed, c.late, c.n = s, rwc, nil, false, 0
	return c
}

// free gives the conn to a later connection, with nothing of this one.
func (c *conn) free() {
	c.s.forget(c)
	clear(c.buf)
	c.call.forget()
	c.reply.forget()
	c.s, c.rwc, c.armed, c.clean = nil, nil, nil, http.Request{}
	conns.Put(c)
}

// serveRequests reports whether the connection has come to its end; where it has
// not, it is net/http's to go on with.
func (c *conn) serveRequests() (ended bool) {
	for again := false; ; again = true {
		if c.n == 0 && !c.await() {
			return true
		}
		if again && c.dropLineEnds() {
			continue
		}
		length, whole := c.gather()
		if !whole {
			return false
		}
		if !c.answer(length) {
			return true
		}
		c.drop(length)
	}
}

func (c *conn) drop(n int) { c.n = copy(c.buf, c.buf[n:c.n]) }

// dropLineEnds drops those that some send behind a body, as net/http does (RFC
// 9112, 2.2). It reports whether nothing is left.
func (c *conn) dropLineEnds() bool {
	n := 0
	for n < min(c.n, 4) && (c.buf[n] == '\r' || c.buf[n] == '\n') {
		n++
	}
	if n > 0 {
		c.drop(n)
	}
	return c.n == 0
}

// await waits for the first bytes of a request.
func (c *conn) await() bool {
	c.arm()
	if c.s.draining.Load() {
		return false // wake may have been before the deadline was set
	}
	n, _ := c.rwc.Read(c.buf)
	c.n = n
	return n > 0
}

// arm sets the deadlines where those that are set are of an earlier pulse.
func (c *conn) arm() {
	if now := c.s.pulse.Load(); c.armed != now {
		c.armed = now
		_ = c.rwc.SetReadDeadline(now.reads) // where it fails, so will Read
		_ = c.rwc.SetWriteDeadline(now.writes)
	}
}

// wake lets a connection look whether it is to end.
func (c *conn) wake() { _ = c.rwc.SetReadDeadline(time.Unix(1, 0)) }

// gather reads on until a request is whole, and returns its length. It is false
// where the request is not to be served here.
func (c *conn) gather() (length int, whole bool) {
	head := bytes.Index(c.buf[:c.n], blankLine)
	for ; head < 0; head = bytes.Index(c.buf[:c.n], blankLine) {
		if !mayBecomePlain(c.buf[:c.n]) || !c.readOn() {
			return 0, false
		}
	}
	if !c.call.parse(string(c.buf[:head])) {
		return 0, false
	}
	c.bodyAt = head + len(blankLine)
	length = c.bodyAt + c.call.length
	for c.n < length {
		if length > room || !c.readOn() {
			return 0, false
		}
	}
	return length, true
}

// readOn reads some more of a request, for which there is room and time.
func (c *conn) readOn() bool {
	if c.armed != nil {
		c.within(patience)
	}
	n, err := c.rwc.Read(c.buf[c.n:])
	c.n += n
	if err != nil && c.s.draining.Load() && !c.late {
		// It was wake, or patience is at its end: but net/http drops, when it is to
		// end, what it has not begun.
		c.late = true
		c.within(c.s.web.ReadTimeout)
		return c.readOn()
	}
	return err == nil && c.n < room
}

// within sets a deadline for reading that is no pulse's.
func (c *conn) within(d time.Duration) {
	c.armed = nil
	_ = c.rwc.SetReadDeadline(time.Now().Add(d)) //nolint:forbidigo // sockets go by no other clock
}

// answer serves the request of the first length bytes. It is false where the
// connection is to end.
func (c *conn) answer(length int) (goOn bool) {
	defer func() {
		if p := recover(); p != nil {
			goOn = false
			if p != http.ErrAbortHandler { //nolint:errorlint // it is that very value
				c.s.logf("panic serving %s: %v\n%s", c.clean.RemoteAddr, p, debug.Stack())
			}
		}
	}()
	c.reply.reset()
	c.s.web.Handler.ServeHTTP(&c.reply, c.call.request(&c.clean, c.buf[c.bodyAt:length]))
	c.arm()
	text, last := c.reply.text(c.armed.date, c.call.last || c.s.draining.Load())
	_, err := c.rwc.Write(text)
	return err == nil && !last
}
