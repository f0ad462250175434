package h1

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// With TLS, HTTP/1 is served here, HTTP/2 and who speaks no TLS by net/http.
func TestTLS(t *testing.T) {
	like := httptest.NewUnstartedServer(nil)
	like.StartTLS()
	defer like.Close()
	config := like.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	s := New(newWeb(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("the request does not say that it came by TLS")
		}
		echo(w, r)
	}))
	defer s.Close()
	address := listen(t, func(l net.Listener) error { return s.Serve(tls.NewListener(l, config)) })
	for _, by2 := range []bool{false, true} {
		transport := like.Client().Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = by2
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}
		c := &http.Client{Transport: transport}
		for range 2 {
			r, err := c.Post(like.URL+"/a", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if (r.Header.Get(byH1) != "") == by2 || (r.ProtoMajor == 2) != by2 {
				t.Errorf("HTTP/2 %t: %s, served here %t", by2, r.Proto, r.Header.Get(byH1) != "")
			}
		}
		r, err := c.Get(like.URL + "/a")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	got, err := converse(t, address, []byte(post("{}")))
	if len(got) != 1 || got[0].Status != http.StatusBadRequest {
		t.Errorf("who speaks no TLS is answered %+v, %v", got, err)
	}
}

// A handshake that panics costs its own connection, and one may take any time where
// there is no limit.
func TestHandshakes(t *testing.T) {
	like := httptest.NewUnstartedServer(nil)
	like.StartTLS()
	defer like.Close()
	config := like.TLS.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello.ServerName == "panic.example" {
			panic("the certificate's")
		}
		return nil, nil
	}
	web := newWeb(echo)
	web.ReadHeaderTimeout, web.ErrorLog = 0, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s := New(web)
	defer s.Close()
	address := listen(t, func(l net.Listener) error { return s.Serve(tls.NewListener(l, config)) })
	for name, want := range map[string]bool{"panic.example": false, "example.com": true} {
		raw, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		roots := like.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		if err := tls.Client(raw, &tls.Config{ServerName: name, RootCAs: roots}).Handshake(); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// HTTP/2's clients hear at once that the server is to end, whoever else is in flight.
func TestShutdownTellsHTTP2(t *testing.T) {
	like := httptest.NewUnstartedServer(nil)
	like.StartTLS()
	defer like.Close()
	config := like.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	goOn, stuck := make(chan struct{}), make(chan struct{})
	s := New(newWeb(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			close(stuck)
			<-goOn
		}
	}))
	address := listen(t, func(l net.Listener) error { return s.Serve(tls.NewListener(l, config)) })
	dial := func(protocol string) *tls.Conn {
		raw, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	}
	busy, two := dial("http/1.1"), dial("h2")
	defer busy.Close()
	defer two.Close()
	busy.Write([]byte(post("{}")))
	<-stuck
	two.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // with empty SETTINGS
	frame := make([]byte, 9)
	for frame[3] != 4 || frame[4] != 1 { // until ours are acknowledged
		if err := readFrame(two, frame); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	var err error
	for err == nil && frame[3] != 7 { // until GOAWAY, or the end at once
		err = readFrame(two, frame)
	}
	close(goOn)
	two.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func readFrame(from io.Reader, head []byte) error {
	if _, err := io.ReadFull(from, head); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, from, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
	return err
}
