package h1

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// A request costs one allocation, the text of its head, which the values of the
// header are parts of and which handlers may keep.
func TestAllocs(t *testing.T) {
	c := newConn(New(newWeb(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = r.Header["Content-Type"]
		w.Write(answerText)
	})), nowhere{})
	text := "POST /v2/members/sessions/check HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nx-agentid: a1\r\nx-nonce: n\r\nContent-Length: 2\r\n\r\n{}"
	got := testing.AllocsPerRun(100, func() {
		c.n = copy(c.buf, text)
		length, whole := c.gather()
		if !whole || !c.answer(length) {
			t.Fatal("not served")
		}
		c.drop(length)
	})
	if got > 1 {
		t.Errorf("a request allocates %.0f times, want once", got)
	}
}

var answerText = []byte(`{"code":0}`)

// A nowhere is a connection that takes all.
type nowhere struct{ net.Conn }

func (nowhere) Write(text []byte) (int, error)   { return len(text), nil }
func (nowhere) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (nowhere) SetReadDeadline(time.Time) error  { return nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }
