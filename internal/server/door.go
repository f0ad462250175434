package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall/wire"
)

// A door turns v2 requests away before net/http has looked at them, while the
// server is overloaded. That costs a fifth of what an answer costs that goes through
// net/http, and is why many times of what the server can answer does not keep it from
// answering. It is for plain HTTP; with TLS there is only the gate.
//
// A request is turned away if its server's gate is closed, or if goroutines have to
// wait for their turn: then the queue is the scheduler's, which no gate sees.
type door struct {
	gate  *gate
	now   func() time.Time
	count func() // is told of each that is turned away

	open   atomic.Int64 // connections
	passed atomic.Int64 // requests that have come, turned away or not
	share  atomic.Int32 // of a thousand requests, how many are turned away for goroutines that wait for long
}

// listener returns l with the door in front of its connections.
func (d *door) listener(l net.Listener) net.Listener {
	if d.gate == nil {
		return l
	}
	return doorListener{l, d}
}

type doorListener struct {
	net.Listener

	door *door
}

// Accept returns a connection through the door.
func (l doorListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if _, sealed := c.(*tls.Conn); err != nil || sealed {
		return c, err
	}
	guarded := &guardedConn{Conn: c, door: l.door}
	guarded.fresh.Store(true)
	l.door.open.Add(1)
	return guarded, nil
}

// noteState is http.Server.ConnState: what comes on an idle connection begins a
// request.
func noteState(c net.Conn, state http.ConnState) {
	if g, ok := c.(*guardedConn); ok && state == http.StateIdle {
		g.fresh.Store(true)
	}
}

// A guardedConn is a connection through a door.
type guardedConn struct {
	net.Conn

	door   *door
	fresh  atomic.Bool // what is read next begins a request
	closed atomic.Bool
}

// Close closes the connection.
func (c *guardedConn) Close() error {
	if !c.closed.Swap(true) {
		c.door.open.Add(-1)
	}
	return c.Conn.Close()
}

// Read reads what is for net/http.
func (c *guardedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n == 0 || !c.fresh.Load() {
			return n, err
		}
		c.door.passed.Add(1)
		if err != nil || !c.door.shut() || !c.turnAway(p[:n]) {
			c.fresh.Store(false)
			return n, err
		}
	}
}

// CloseWrite is what net/http looks for, to let a client read an answer before its
// connection ends.
func (c *guardedConn) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// shut reports whether the next request is to be turned away.
func (d *door) shut() bool {
	return d.gate.full.Load() || rand.Int32N(1000) < d.share.Load() //nolint:gosec // no secret
}

// turnAway answers a request and reports whether it did: it has to be a whole one.
func (c *guardedConn) turnAway(text []byte) bool {
	if !isWholeRequest(text) {
		return false
	}
	c.door.count()
	now := c.door.now()
	// Those that net/http has set are of the request before.
	_ = c.SetWriteDeadline(now.Add(slowest))
	_ = c.SetReadDeadline(now.Add(idleTimeout))
	_, err := c.Write(awayAnswer())
	return err == nil // else net/http finds out, and hangs up
}

// isWholeRequest reports whether text is one v2 request as its clients send them,
// from its first byte to its last and nothing more. Whatever is not quite so is for
// net/http: to see a request's end where another reader does not would be worse than
// overload.
func isWholeRequest(text []byte) bool {
	head, body, found := bytes.Cut(text, []byte("\r\n\r\n"))
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if !found || !bytes.HasPrefix(line, []byte("POST /v2/")) || !bytes.HasSuffix(line, []byte(" HTTP/1.1")) {
		return false
	}
	length := -1
	for field := range bytes.SplitSeq(fields, []byte("\r\n")) {
		name, value, _ := bytes.Cut(field, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")) && length < 0:
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
			if err != nil {
				return false
			}
			length = int(n)
		case isSpecial(name):
			return false
		}
	}
	return length == len(body)
}

// isSpecial reports whether a field may change where a request ends, or what is to
// become of its connection.
func isSpecial(name []byte) bool {
	for _, special := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade"} {
		if bytes.EqualFold(bytes.TrimSpace(name), []byte(special)) {
			return true
		}
	}
	return false
}

// awayAnswer is the answer to an overload (spec 1.6), with a logUUID of its own.
func awayAnswer() []byte {
	id := uuid.Must(uuid.NewV7()).String()
	body := wire.AppendReply(make([]byte, 0, 128), wire.CodeInternal, nil, id)
	text := make([]byte, 0, 384)
	text = append(text, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"+wire.HeaderLogUUID+": "...)
	text = append(text, id...)
	text = append(text, "\r\nContent-Length: "...)
	text = strconv.AppendInt(text, int64(len(body)), 10)
	return append(append(text, "\r\n\r\n"...), body...)
}

const (
	// probeEvery is how often it is looked how long goroutines wait for their turn,
	// and tooLate how long that may be.
	probeEvery = 20 * time.Millisecond
	tooLate    = 50 * time.Millisecond
	// Where it is more, the share that is turned away grows by shareUp each time, and
	// else goes down by shareDown: in a second from all to none.
	shareUp, shareDown, mostShare = 100, 20, 950
)

// crowded reports whether more requests can come at a time than the gate has places
// for, inside and in its queue. With fewer connections the gate is enough, and who
// waits for the processor waits for other programs.
func (d *door) crowded() bool { return d.open.Load() > int64(d.gate.room)*(1+queueFactor) }

// run looks how long goroutines wait for their turn, until ctx ends. That it wakes
// up late means overload only if requests were at work meanwhile; it may also be
// that others have the processor.
func (d *door) run(ctx context.Context) {
	if d.gate == nil {
		return
	}
	timer := time.NewTimer(probeEvery)
	defer timer.Stop()
	for slept, before := d.now(), d.passed.Load(); ; slept, before = d.now(), d.passed.Load() {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		share := d.share.Load() - shareDown
		if d.now().Sub(slept)-probeEvery >= tooLate && d.passed.Load()-before >= int64(d.gate.room) && d.crowded() {
			share += shareDown + shareUp
		}
		d.share.Store(min(max(share, 0), mostShare))
		timer.Reset(probeEvery)
	}
}
