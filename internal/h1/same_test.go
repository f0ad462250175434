package h1

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// requests are single ones, and whether they are served here.
var requests = []struct {
	text string
	here bool
}{
	{post("{}"), true},
	{post(""), true},
	{post(strings.Repeat("x", 7000)), true},
	{post(strings.Repeat("x", 9000)), false}, // no room
	{"POST /v2/members/sessions/check HTTP/1.1\r\nhost: a.example:8080\r\ncontent-type: application/json\r\nCONTENT-LENGTH: 2\r\nx-agentid: a1\r\nX-NONCE: n\r\naccept: */*\r\n\r\n{}", true},
	{"POST /a HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For:5.6.7.8\t \r\n\r\n{}", true},
	{"POST /a/../b//c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nEmpty:\r\n\r\n", true},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", true},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: keep-alive\r\nConnection: Close\r\n\r\n{}", true},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close, x-a\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\nConnection: upgrade\r\n\r\n{}", false},
	{"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST http://other/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST //other/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST * HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}", false},
	{"POST /a HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", true},
	{"POST /a HTTP/1.2\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nPragma: no-cache\r\n\r\n{}", false},
	{"\r\n\r\n\r\n" + post("{}"), false},
	{"POST  /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a  HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1 \r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"post /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost:\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost: h/\r\nContent-Length: 0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0x2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\n Content-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\n Host: h\r\nContent-Length: 2\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nFolded: a\r\n b\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nNo colon\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n: none\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nA: b\x00c\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nA: b\rc\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nA: \xff\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nA\xff: b\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\nHost: h\nContent-Length: 2\n\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\nTransfer-Encoding: chunked\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: miracles\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n{}", false},
	{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}", false}, // and hangs up
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
	{"\r\n\r\n" + post("{}"), false},
	{"\x16\x03\x01\x02\x00", false},
	{"P", false},
	{"POST /a", false},
	{"", false},
}

// Whatever a client sends, it is answered as by net/http: what is plain, and what
// is handed over, at each place of a conversation.
func TestSameAsNetHTTP(t *testing.T) {
	p := newPair(t)
	for _, r := range requests {
		t.Run(fmt.Sprintf("%.60q", r.text), func(t *testing.T) {
			for _, text := range []string{r.text, post("first") + r.text, r.text + post("last"), post("a") + r.text + post("b")} {
				p.compare(t, []byte(text))
			}
			p.here = false
			p.compare(t, []byte(r.text))
			if p.here != r.here {
				t.Errorf("served here: %t, want %t", p.here, r.here)
			}
		})
	}
}

// FuzzSameAsNetHTTP looks for bytes that are understood here as net/http does not.
func FuzzSameAsNetHTTP(f *testing.F) {
	for _, r := range requests {
		f.Add([]byte(r.text))
		f.Add([]byte(post("{}") + r.text))
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 32<<10 {
			t.Skip() // as long as a socket takes without being read
		}
		p.compare(t, text)
	})
}

// A pair is a Server and an http.Server with the same handler.
type pair struct {
	ours, theirs string
	here         bool // some request was served here
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{}
	h := func(w http.ResponseWriter, r *http.Request) {
		if _, here := w.(*reply); here {
			p.here = true
		}
		echo(w, r)
	}
	ours, theirs := New(newWeb(h)), newWeb(h)
	p.ours, p.theirs = listen(t, ours.Serve), listen(t, theirs.Serve)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return p
}

func listen(t testing.TB, serve func(net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s")) // TCP would run out of ports
	if err != nil {
		t.Fatal(err)
	}
	go serve(l)
	return l.Addr().String()
}

// compare sends a text to both, hangs up, and wants the same answers.
func (p *pair) compare(t *testing.T, text []byte) {
	t.Helper()
	want, wantErr := converse(t, p.theirs, text)
	got, gotErr := converse(t, p.ours, text)
	if errors.Is(gotErr, syscall.ECONNRESET) || errors.Is(wantErr, syscall.ECONNRESET) {
		return // hung up on before all was read, by which answers may be lost on the way
	}
	if n := len(want); n > 0 && len(got) == n+1 && got[n].Status == http.StatusBadRequest {
		got = got[:n] // net/http says nothing to a rest of less than four bytes
	}
	if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Errorf("%.300q is answered\n%.2000v %v\nand by net/http\n%.2000v %v", text, fmt.Sprint(got), gotErr, fmt.Sprint(want), wantErr)
	}
}

func converse(t *testing.T, address string, text []byte) ([]answerSeen, error) {
	t.Helper()
	c, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(text) // where it fails, the server has had enough
	c.(*net.UnixConn).CloseWrite()
	return answers(c)
}
