package h1

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// seen is what a handler was called with, as it answers.
type seen struct {
	Method, Path, Query, URI, Host, Proto string
	Header                                http.Header
	Length                                int64
	Body                                  []byte
	Error                                 string
}

// byH1 is the header that tells in tests who has served: it stands in no answer of
// net/http's.
const byH1 = "X-By-H1"

// echo answers with what it sees.
func echo(w http.ResponseWriter, r *http.Request) {
	s := seen{r.Method, r.URL.Path, r.URL.RawQuery, r.RequestURI, r.Host, r.Proto, r.Header, r.ContentLength, nil, ""}
	var err error
	if s.Body, err = io.ReadAll(r.Body); err != nil {
		s.Error = err.Error()
	}
	if _, here := w.(*reply); here {
		w.Header().Set(byH1, "yes")
	}
	text, _ := json.Marshal(s)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // net/http would send it in chunks
	w.Write(text)
}

func newWeb(h http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

// A lane is a listener whose connections are pipes: what one end writes the other
// has read when Write returns.
type lane struct{ *handover }

func newLane() lane { return lane{newHandover(&net.TCPAddr{})} }

// dial returns a client's end, whose server's end is accepted.
func (l lane) dial() net.Conn {
	client, server := net.Pipe()
	l.give(closeWriter{server})
	return client
}

// A closeWriter has what net/http asks of a TCP connection.
type closeWriter struct{ net.Conn }

func (closeWriter) CloseWrite() error { return nil }

// serve runs a Server over pipes until the test ends.
func serve(t testing.TB, h http.HandlerFunc) (*Server, lane) {
	t.Helper()
	s, l := New(newWeb(h)), newLane()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s, l
}

func post(body string) string {
	return fmt.Sprintf("POST /v2/a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// An answerSeen is an answer as it is compared.
type answerSeen struct {
	Status int
	Header http.Header
	Body   string
}

// answers reads all answers of a conversation.
func answers(from io.Reader) (all []answerSeen, err error) {
	text := bufio.NewReader(from)
	for {
		if _, err := text.Peek(1); errors.Is(err, io.EOF) {
			return all, nil
		}
		r, err := http.ReadResponse(text, nil)
		if err != nil {
			return all, err
		}
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return all, err
		}
		r.Header.Del("Date")
		r.Header.Del(byH1)
		if r.Close { // ReadResponse takes it out
			r.Header.Set("Connection", "close")
		}
		all = append(all, answerSeen{r.StatusCode, r.Header, string(body)})
		if r.Close {
			return all, nil // what may come behind it is none
		}
	}
}

// ask sends one request and reads its answer.
func ask(t testing.TB, c net.Conn, text string) (head, seen) {
	t.Helper()
	go c.Write([]byte(text))
	return read(t, c)
}

func read(t testing.TB, c net.Conn) (head, seen) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var s seen
	_ = json.Unmarshal(body, &s) // of some tests it is none
	return head{r.Header, r.Close, r.Header.Get(byH1) != ""}, s
}

// A head is that of an answer.
type head struct {
	http.Header

	last bool // the connection ends with it
	here bool // it is not net/http's
}
