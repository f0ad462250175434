package server

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// An exchange is one v2 request on its way.
type exchange struct {
	turn
	scratch
}

// A turn is what an exchange knows of its request. The next one begins with nothing
// of it.
type turn struct {
	address netip.Addr
	record  rollcall.RequestRecord
	calls   *calls
	sent    auth.Request
	hasBody bool // it was read
	// refused is why it was refused though it may be right, and retryAfter when it
	// may come again.
	refused    string
	retryAfter time.Duration
	// partial says that the answer may lack sessions.
	partial bool
	// broken says that something of the request may still be at work.
	broken bool
}

// A scratch is memory that one exchange after the other uses. What of it a request
// has is what that has written itself: each slice is as long as that, and whoever
// keeps something of it copies it.
type scratch struct {
	trail  *roll.Trail
	body   []byte
	room   [512]byte // the plaintext
	req    any       // the last request that was read, of the type of its endpoint
	answer []byte    // the envelope, as far as it is made
	// random are bytes for logUUIDs that nobody has used.
	random randomBytes
	// shown are logUUIDs as headers have them. The headers are sent when the exchange
	// is another's: so each has a place of its own here, and never anything else.
	shown []string
}

const (
	// mostKept is how much memory of a kind an exchange keeps for the next. net/http
	// copies what of an answer is not longer: of a longer one HTTP/2 may still read
	// when its connection is lost.
	mostKept = 4 << 10
	// shownAtOnce is for how many logUUIDs room is made.
	shownAtOnce = 64
)

var exchanges = sync.Pool{New: func() any {
	return &exchange{scratch: scratch{trail: roll.NewTrail(), body: make([]byte, 0, 512), answer: make([]byte, 0, 1024)}}
}}

func (s *Server) newExchange(r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.trail.Begin()
	now := s.now()
	address, remote := s.proxies.remote(r)
	x.turn = turn{
		address: address,
		calls:   s.o.Metrics.others,
		record: rollcall.RequestRecord{
			LogUUID:  s.recorder.ids.next(now, &x.random),
			At:       now,
			Endpoint: otherEndpoint,
			Remote:   remote,
		},
	}
	x.sent.Room, x.sent.Trail = x.room[:0], x.trail
	x.body, x.answer = x.body[:0], x.answer[:0]
	return x
}

// free gives the exchange to a later request; nothing may use it any more.
func (x *exchange) free() {
	if x.broken || cap(x.body) > mostKept || cap(x.answer) > mostKept {
		return
	}
	clear(x.room[:])
	exchanges.Put(x)
}

// asked returns the request to be read into, which holds nothing.
func asked[T any, R request[T]](x *exchange) R {
	req, ok := x.req.(R)
	if !ok {
		req = new(T)
		x.req = req
		return req
	}
	*req = *new(T)
	return req
}

// keepAgentID makes the record's a text of its own. That of the header may be a part
// of the whole head, which would stay as long as the record does.
func (x *exchange) keepAgentID() { x.record.AgentID = strings.Clone(x.record.AgentID) }

// read reads the body.
func (x *exchange) read(r *http.Request) (err error) {
	if x.body, err = readAtMost(x.body, r.Body, r.ContentLength, maxBody+1); err != nil {
		return fmt.Errorf("%w: body: %w", rollcall.ErrParameters, err)
	}
	if len(x.body) > maxBody {
		// What cannot be drained is cut off when the answer has been sent.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		return transportError(http.StatusRequestEntityTooLarge)
	}
	x.hasBody = true
	return nil
}

// readAtMost reads a body of a length that is told, or of another (-1), and no more
// than most bytes of it; into room, if it fits.
func readAtMost(room []byte, body io.Reader, length int64, most int) ([]byte, error) {
	const trusted = 4 << 10 // for more, room is made as it comes: who only says so must not fill memory
	if length < 0 || length > trusted {
		return io.ReadAll(io.LimitReader(body, int64(most)))
	}
	if int64(cap(room)) < length {
		room = make([]byte, length)
	}
	room = room[:length]
	_, err := io.ReadFull(body, room)
	return room, err
}

// say makes the answer of code 0 up to its data.
func say[D wire.Data](x *exchange, data D) {
	x.answer = wire.AppendCode(x.answer[:0], wire.CodeOK)
	if any(data) != nil {
		x.answer = wire.AppendData(x.answer, data)
	}
}

// end ends the answer of code 0.
func (x *exchange) end() { x.answer = wire.AppendLogUUID(x.answer, x.record.LogUUID) }

var jsonType = []string{"application/json"}

// send writes the answer.
func (x *exchange) send(w http.ResponseWriter, status int) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h[wire.HeaderLogUUID] = x.show()
	h["Content-Length"] = lengthText(len(x.answer))
	if x.partial {
		h[wire.HeaderPartial] = []string{"true"}
	}
	setStatusHeaders(h, status, x.retryAfter)
	w.WriteHeader(status)
	w.Write(x.answer)
}

// show returns the logUUID as a header's value.
func (x *exchange) show() []string {
	if len(x.shown) == cap(x.shown) {
		x.shown = make([]string, 0, shownAtOnce)
	}
	n := len(x.shown)
	x.shown = append(x.shown, x.record.LogUUID)
	return x.shown[n : n+1 : n+1]
}

// lengths are the values of usual Content-Lengths.
var lengths = func() (texts [1024]string) {
	for n := range texts {
		texts[n] = strconv.Itoa(n)
	}
	return texts
}()

func lengthText(n int) []string {
	if n < len(lengths) {
		return lengths[n : n+1 : n+1]
	}
	return []string{strconv.Itoa(n)}
}
