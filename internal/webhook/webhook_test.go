package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
)

// quiet takes what servers say of handshakes that are meant to break.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// A receiver answers webhooks and counts the connections made to it.
type receiver struct {
	*httptest.Server
	dialed atomic.Int64
}

func start(t *testing.T, secure bool, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{Server: httptest.NewUnstartedServer(answer)}
	r.Config.ErrorLog = quiet
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.dialed.Add(1)
		}
	}
	if secure {
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(r.Close)
	return r
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, text)
	}
}

func send(t *testing.T, o Options, to string) error {
	t.Helper()
	message := Message{ID: vectorID, At: vectorTime, Body: []byte(vectorBody)}
	return New(o).Send(t.Context(), to, parse(t, vectorSecret), message)
}

func loopback() Options { return Options{AllowPrivate: true} }

func TestSend(t *testing.T) {
	type request struct {
		method, path, body string
		header             http.Header
	}
	got := make(chan request, 1)
	r := start(t, false, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method, r.URL.String(), string(body), r.Header}
		w.WriteHeader(http.StatusAccepted)
	})
	if err := send(t, loopback(), r.URL+"/a?b=c"); err != nil {
		t.Fatal(err)
	}
	sent := <-got
	if sent.method != "POST" || sent.path != "/a?b=c" || sent.body != vectorBody {
		t.Errorf("got %s %s %s, want POST /a?b=c %s", sent.method, sent.path, sent.body, vectorBody)
	}
	want := http.Header{
		"Content-Length": {"20"}, "Content-Type": {"application/json"}, "User-Agent": {defaultUserAgent},
		"Webhook-Id": {vectorID}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {vectorSignature},
	}
	if got, want := fmt.Sprint(sent.header), fmt.Sprint(want); got != want {
		t.Errorf("got headers %s, want %s", got, want)
	}
}

func TestSendOptions(t *testing.T) {
	got := make(chan http.Header, 1)
	r := start(t, false, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	o := Options{
		AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		UserAgent:     "hooks/1", Now: func() time.Time { return vectorTime },
	}
	err := New(o).Send(t.Context(), r.URL, parse(t, vectorSecret), Message{ID: vectorID, Body: []byte(vectorBody)})
	if err != nil {
		t.Fatal(err)
	}
	header := <-got
	if agent, signature := header.Get("User-Agent"), header.Get("Webhook-Signature"); agent != "hooks/1" || signature != vectorSignature {
		t.Errorf("got %s and %s, want hooks/1 and %s", agent, signature, vectorSignature)
	}
}

// TestSendRefused: each way to loopback that the options do not open ends before
// a connection is made.
func TestSendRefused(t *testing.T) {
	plain, secure := start(t, false, status(200, "")), start(t, true, status(200, ""))
	other := Options{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	byName := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	rows := []struct {
		name    string
		options Options
		url     string
	}{
		{"http", Options{}, plain.URL},
		{"https", Options{}, secure.URL},
		{"https by name", Options{}, byName(secure.URL)},
		{"http, other prefix", other, plain.URL},
		{"http by name, other prefix", other, byName(plain.URL)},
		{"https by name, other prefix", other, byName(secure.URL)},
		{"userinfo", loopback(), strings.Replace(plain.URL, "//", "//user:pass-word@", 1)},
	}
	for _, row := range rows {
		err := send(t, row.options, row.url)
		if !errors.Is(err, ErrTarget) || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("%s: got %v, want ErrTarget without userinfo", row.name, err)
		}
		if strings.Contains(row.name, "by name") && !strings.Contains(err.Error(), "127.0.0.1") && !strings.Contains(err.Error(), "::1") {
			t.Errorf("%s: got %v, want the address", row.name, err)
		}
	}
	if n := plain.dialed.Load() + secure.dialed.Load(); n != 0 {
		t.Errorf("got %d connections, want none", n)
	}
	if err := send(t, loopback(), byName(plain.URL)); err != nil { // else the rows above prove nothing
		t.Errorf("got %v, want it reached by name", err)
	}
}

// TestSendPublic: a name that leads to a public address is dialed for https, and
// not for http, opened as other addresses may be. Dialing UDP sends nothing.
func TestSendPublic(t *testing.T) {
	s := New(loopback())
	for scheme, want := range map[string]bool{"http": true, "https": false} {
		conn, err := s.through(scheme).DialContext(t.Context(), "udp", "1.1.1.1:443")
		if got := errors.Is(err, ErrTarget); got != want {
			t.Errorf("%s: got %v, want ErrTarget: %v", scheme, err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestSendTLS(t *testing.T) {
	modern, old := start(t, true, status(200, "")), httptest.NewUnstartedServer(status(200, ""))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = quiet
	old.StartTLS()
	t.Cleanup(old.Close)
	known := loopback()
	known.rootCAs = x509.NewCertPool()
	known.rootCAs.AddCert(modern.Certificate())
	known.rootCAs.AddCert(old.Certificate())

	if err := send(t, known, modern.URL); err != nil {
		t.Errorf("got %v, want success", err)
	}
	if err := send(t, loopback(), modern.URL); !errors.As(err, new(*tls.CertificateVerificationError)) {
		t.Errorf("got %v, want the certificate refused", err)
	}
	if err := send(t, known, old.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v, want TLS 1.1 refused", err)
	}
}

// TestNoProxy looks at the field: the environment is read once in a process, so
// setting it here would prove nothing.
func TestNoProxy(t *testing.T) {
	s := New(Options{})
	if s.secure.Proxy != nil || s.opened.Proxy != nil {
		t.Error("got a proxy, want none")
	}
}

func TestSendAnswers(t *testing.T) {
	long := strings.Repeat("é", 5000)
	rows := []struct {
		code       int
		said, want string
	}{
		{200, "no matter", ""},
		{204, "", ""},
		{299, "", ""},
		{304, "", `304 Not Modified: ""`},
		{400, "bad\x00\x1b[31m\u202e\xff\nbody", `400 Bad Request: "bad  [31m   body"`},
		{404, "", `404 Not Found: ""`},
		{410, "bye", `410 Gone: "bye"`},
		{500, long, `500 Internal Server Error: "` + long[:maxExcerpt] + `"`},
		{500, "x" + long, `500 Internal Server Error: "x` + long[:maxExcerpt-2] + `"`}, // not half a character
		{500, "key=" + vectorSecret, `500 Internal Server Error: "key=whsec_` + hidden + `"`},
		{599, "", `599 : ""`},
	}
	for _, row := range rows {
		r := start(t, false, status(row.code, row.said))
		err := send(t, loopback(), r.URL)
		if got := fmt.Sprint(err); row.want == "" && err != nil || row.want != "" && !strings.HasSuffix(got, "answered "+row.want) {
			t.Errorf("%d: got %v, want %s", row.code, err, row.want)
		}
		if got := errors.Is(err, ErrGone); got != (row.code == http.StatusGone) {
			t.Errorf("%d: got ErrGone %v, want it for 410 only", row.code, got)
		}
	}
}

func TestSendRedirect(t *testing.T) {
	other := start(t, false, status(200, ""))
	for _, code := range []int{301, 302, 303, 307, 308} {
		first := start(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(code)
		})
		if err := send(t, loopback(), first.URL); err == nil || !strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("%d: got %v, want an error with the status", code, err)
		}
	}
	if n := other.dialed.Load(); n != 0 {
		t.Errorf("got %d connections to where it redirects, want none", n)
	}
}

// TestSendCookie: what one answer sets is not sent with the next webhook, over
// one connection as over two.
func TestSendCookie(t *testing.T) {
	cookies := make(chan string, 2)
	r := start(t, false, func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	})
	s := New(loopback())
	for range 2 {
		if err := s.Send(t.Context(), r.URL, parse(t, vectorSecret), Message{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		if got := <-cookies; got != "" {
			t.Errorf("got the cookie %s, want none", got)
		}
	}
	if n := r.dialed.Load(); n != 1 {
		t.Errorf("got %d connections, want the first used again", n)
	}
}

// TestSendEndless: an answer without end is not read to its end. The receiver
// writes until the connection breaks, so Send would never return.
func TestSendEndless(t *testing.T) {
	for _, code := range []int{200, 500} {
		written := make(chan int, 1)
		r := start(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			total, chunk := 0, []byte(strings.Repeat("a", 64<<10))
			for {
				n, err := w.Write(chunk)
				if total += n; err != nil {
					break
				}
			}
			written <- total
		})
		o := loopback()
		o.Timeout = time.Minute
		err := send(t, o, r.URL)
		if (err == nil) != (code == 200) || errors.Is(err, context.DeadlineExceeded) || len(fmt.Sprint(err)) > 300 {
			t.Errorf("%d: got %v, want what the status says, in short", code, err)
		}
		if n := <-written; n > 64<<20 { // what fits in the buffers between us
			t.Errorf("%d: got %d bytes taken, want the connection closed early", code, n)
		}
	}
}

// TestSendFloods: neither headers nor a first line that is no HTTP fill memory
// or the log.
func TestSendFloods(t *testing.T) {
	for _, said := range []string{
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"HTTP/1.1 " + strings.Repeat("nonsense\x1b", 1<<10) + " OK\r\n\r\n",
	} {
		r := start(t, false, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, said)
				conn.Close()
			}
		})
		err := send(t, loopback(), r.URL)
		text := fmt.Sprint(err)
		if err == nil || len(text) > maxCause+100 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("got %q, want a short error", text)
		}
	}
}

func TestSendTimeout(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		io.ReadAll(r.Body) // else the server does not see the sender go
		<-r.Context().Done()
	}
	o := loopback()
	o.Timeout = 50 * time.Millisecond
	r := start(t, false, silent)
	err := send(t, o, r.URL+"/path-token?query-token")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline exceeded", err)
	}
	if strings.Contains(fmt.Sprint(err), "-token") {
		t.Errorf("got %v, want no more of the URL than its host", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(loopback()).Send(ctx, r.URL, parse(t, vectorSecret), Message{ID: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestSendDrips: a body that never ends does not undo the status before it.
func TestSendDrips(t *testing.T) {
	o := loopback()
	o.Timeout = 200 * time.Millisecond
	for _, code := range []int{200, 410} {
		r := start(t, false, func(w http.ResponseWriter, r *http.Request) {
			io.ReadAll(r.Body)
			w.WriteHeader(code)
			io.WriteString(w, "begun")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		if err := send(t, o, r.URL); (err == nil) != (code == 200) || errors.Is(err, ErrGone) != (code == 410) {
			t.Errorf("%d: got %v, want what the status says", code, err)
		}
	}
}

func TestSendMessage(t *testing.T) {
	r := start(t, false, status(200, ""))
	secret := parse(t, vectorSecret)
	rows := []struct {
		secret Secret
		id     string
		ok     bool
	}{
		{secret, "a", true},
		{secret, strings.Repeat("a", maxID), true},
		{Secret{}, "a", false},
		{secret, "", false},
		{secret, strings.Repeat("a", maxID+1), false},
		{secret, "a.b", false},
		{secret, "a b", false},
		{secret, "a\r\nb: c", false},
		{secret, "é", false},
	}
	for _, row := range rows {
		if err := New(loopback()).Send(t.Context(), r.URL, row.secret, Message{ID: row.id}); (err == nil) != row.ok {
			t.Errorf("%q: got %v, want ok: %v", row.id, err, row.ok)
		}
	}
}

// TestErrorsHide holds every kind of error to keep the secret to itself.
func TestErrorsHide(t *testing.T) {
	echo := start(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		io.WriteString(w, strings.TrimPrefix(vectorSecret, secretPrefix))
	})
	shut := httptest.NewServer(nil)
	shut.Close()
	for _, to := range []string{echo.URL, shut.URL, "https://127.0.0.1:x/", "http://1.1.1.1/"} {
		err := send(t, loopback(), to)
		if err == nil {
			t.Errorf("%s: got success, want an error", to)
		}
		checkHides(t, fmt.Sprintf("%v %+v %#v %q", err, err, err, err))
	}
}
