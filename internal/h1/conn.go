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
	s      *Server
	rwc    net.Conn
	remote string
	tls    *tls.ConnectionState
	armed  *pulse // whose deadlines are set; nil: others are
	hasty  bool   // patience with the request that is being read has been set
	late   bool   // the server is to end, and waits for the rest of the request

	n      int // how many bytes of buf are read and not served
	bodyAt int // where in buf the body of the request begins that is served

	memory
}

// A memory is what one connection after the other uses. Many clients make a
// connection for each request.
type memory struct {
	buf   []byte // of room bytes
	call  call
	reply reply
}

var conns = sync.Pool{New: func() any {
	return &conn{memory: memory{
		buf:   make([]byte, room),
		call:  call{header: make(http.Header, 16)},
		reply: reply{header: make(http.Header, 8)},
	}}
}}

func newConn(s *Server, rwc net.Conn) *conn {
	c := conns.Get().(*conn)
	c.s, c.rwc = s, rwc
	return c
}

// free gives the memory to a later connection, with nothing of this one.
func (c *conn) free() {
	clear(c.buf)
	c.call.forget()
	c.reply.forget()
	*c = conn{memory: c.memory}
	conns.Put(c)
}

func (c *conn) serve() {
	s, done := c.s, false
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // it is that very value
				s.logf("panic serving %s: %v\n%s", c.rwc.RemoteAddr(), p, debug.Stack())
			}
			c.rwc.Close()
		}
		s.forget(c)
		if done { // and not where it panicked: who did so may use something still
			c.free()
		}
	}()
	t, secured := c.rwc.(*tls.Conn)
	switch {
	case secured && !s.handshake(t):
		s.rest.give(t)
	case c.begin(t):
		c.rwc.Close()
	case secured:
		s.rest.give(&begunTLS{begun{t, bytes.Clone(c.buf[:c.n])}})
	default:
		s.rest.give(&begun{c.rwc, bytes.Clone(c.buf[:c.n])})
	}
	done = true
}

// begin is serveRequests of a connection by TLS, or where t is nil by none.
func (c *conn) begin(t *tls.Conn) (ended bool) {
	c.remote = c.rwc.RemoteAddr().String()
	if t != nil {
		state := t.ConnectionState()
		c.tls = &state
	}
	c.within(c.s.web.ReadHeaderTimeout) // who has not said anything is not idle yet
	return !c.await() || c.serveRequests()
}

// serveRequests reports whether the connection has come to its end; where it has
// not, it is net/http's to go on with.
func (c *conn) serveRequests() (ended bool) {
	for {
		length, whole := c.gather()
		if !whole {
			return c.late // net/http begins nothing any more
		}
		if !c.answer(length) {
			return true
		}
		c.drop(length)
		if !c.next() {
			return true
		}
	}
}

func (c *conn) drop(n int) { c.n = copy(c.buf, c.buf[n:c.n]) }

// next waits for the next request, and overlooks up to four bytes of line ends
// before it, as net/http does (RFC 9112, 2.2).
func (c *conn) next() bool {
	for most := 4; ; {
		if c.n == 0 {
			if c.arm(c.s.pulse.Load()); !c.await() {
				return false
			}
		}
		n := 0
		for n < min(c.n, most) && (c.buf[n] == '\r' || c.buf[n] == '\n') {
			n++
		}
		if most -= n; n > 0 {
			c.drop(n)
		}
		if c.n > 0 {
			return true
		}
	}
}

// await waits for the first bytes of something.
func (c *conn) await() bool {
	if c.s.draining.Load() {
		return false // wake may have been before the deadline was set
	}
	n, _ := c.rwc.Read(c.buf)
	c.n = n
	return n > 0
}

// arm sets a pulse's deadlines, where those that are set are not its.
func (c *conn) arm(now *pulse) {
	if c.armed != now {
		c.armed = now
		_ = c.rwc.SetReadDeadline(now.reads) // where it fails, so will Read
		_ = c.rwc.SetWriteDeadline(now.writes)
	}
}

// within sets a deadline for reading that is no pulse's; 0: none.
func (c *conn) within(d time.Duration) {
	c.armed = nil
	deadline := time.Time{}
	if d > 0 {
		deadline = time.Now().Add(d) //nolint:forbidigo // sockets go by no other clock
	}
	_ = c.rwc.SetReadDeadline(deadline)
}

// wake lets a connection look whether it is to end.
func (c *conn) wake() { _ = c.rwc.SetReadDeadline(time.Unix(1, 0)) }

// gather reads on until a request is whole, and returns its length. It is false
// where the request is not to be served here.
func (c *conn) gather() (length int, whole bool) {
	c.hasty = false
	head := bytes.Index(c.buf[:c.n], blankLine)
	for ; head < 0; head = bytes.Index(c.buf[:c.n], blankLine) {
		if !mayBecomePlain(c.buf[:c.n]) || !c.readOn(c.s.web.ReadHeaderTimeout) {
			return 0, false
		}
	}
	if !c.call.parse(string(c.buf[:head])) {
		return 0, false
	}
	c.bodyAt = head + len(blankLine)
	length = c.bodyAt + c.call.length
	for c.n < length {
		if length > room || !c.readOn(c.s.web.ReadTimeout) {
			return 0, false
		}
	}
	return length, true
}

// readOn reads some more of a request, for which there is room and patience. When
// the server is to end it has more patience: net/http would have none.
func (c *conn) readOn(atEnd time.Duration) bool {
	if !c.hasty {
		c.hasty = true
		c.within(patience)
	}
	n, err := c.rwc.Read(c.buf[c.n:])
	c.n += n
	if err != nil && c.s.draining.Load() && !c.late {
		c.late = true // it was wake, or is not here yet
		c.within(atEnd)
		return c.readOn(atEnd)
	}
	return err == nil && c.n < room
}

// answer serves the request of the first length bytes. It is false where the
// connection is to end.
func (c *conn) answer(length int) (goOn bool) {
	now := c.s.current()
	c.arm(now)
	r := c.call.request(now.common, c.buf[c.bodyAt:length])
	r.RemoteAddr, r.TLS = c.remote, c.tls
	c.reply.begin(r.ProtoMinor)
	c.s.web.Handler.ServeHTTP(&c.reply, r)
	text, last := c.reply.text(now.date, c.call.last || c.s.draining.Load())
	_, err := c.rwc.Write(text)
	c.reply.trim()
	return err == nil && !last
}
