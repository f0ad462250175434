package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// Only what is one v2 request beyond doubt is turned away unread.
func TestIsWholeRequest(t *testing.T) {
	const head = "POST /v2/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for text, want := range map[string]bool{
		head + "Content-Length: 2\r\n\r\n{}":                                true,
		head + "content-length:2\r\n\r\n{}":                                 true,
		head + "Content-Length: 0\r\n\r\n":                                  true,
		head + "Content-Length: 2\r\n\r\n{":                                 false, // not there yet
		head + "Content-Length: 2\r\n\r\n{}P":                               false, // the next one has begun
		head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}":           false,
		head + "Content-Length: 2\r\nContent-Length : 2\r\n\r\n{}":          false,
		head + "Content-Length: +2\r\n\r\n{}":                               false,
		head + "Content-Length: 2, 2\r\n\r\n{}":                             false,
		head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}":  false,
		head + "Content-Length: 2\r\nTransfer-Encoding : chunked\r\n\r\n{}": false,
		head + "Content-Length: 2\r\n Transfer-Encoding: chunked\r\n\r\n{}": false,
		head + "Content-Length: 2\r\nConnection: close\r\n\r\n{}":           false,
		head + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}":        false,
		head + "\r\n":                       false,
		head + "Content-Length: 2\r\n":      false,
		"\r\n" + head + "Content-Length: 0": false,
		strings.Replace(head, "1.1", "1.0", 1) + "Content-Length: 0\r\n\r\n":        false,
		strings.Replace(head, "POST", "GET", 1) + "Content-Length: 0\r\n\r\n":       false,
		strings.Replace(head, "/v2/", "/game/v1/", 1) + "Content-Length: 0\r\n\r\n": false,
		"": false,
	} {
		if got := isWholeRequest([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// While the gate is closed a request is answered before net/http sees it, and its
// connection goes on; what is no plain v2 request goes through.
func TestDoor(t *testing.T) {
	p := newParlour(t)
	o := p.o
	o.MaxConcurrent, o.Metrics = 1, NewMetrics()
	p.Server = New(o)
	p.admin = p.Admin()
	ctx, stop := context.WithCancel(t.Context())
	var l Listeners
	for _, to := range []*net.Listener{&l.V2, &l.Admin} {
		var err error
		*to, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, l) }()
	var opened int
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		opened++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	ask := func(method, path string) (status int, header http.Header, text string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.V2.Addr().String()+path, strings.NewReader(`{"bootId":"b1"}`))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+p.token)
		res, err := web.Do(r)
		must(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return res.StatusCode, res.Header, string(body)
	}
	turned := 0
	for round := range 3 {
		p.gates.v2.full.Store(true)
		for range 2 {
			status, header, text := ask(http.MethodPost, wire.PathAuth)
			for range 20 {
				if status == http.StatusServiceUnavailable {
					break
				}
				// It came so soon behind the last answer that net/http was reading still.
				status, header, text = ask(http.MethodPost, wire.PathAuth)
			}
			turned++
			reply, err := wire.ParseReply([]byte(text))
			if status != http.StatusServiceUnavailable || err != nil || reply.Code != 7 || len(reply.LogUUID) != 36 ||
				reply.LogUUID != header.Get(wire.HeaderLogUUID) || header.Get("Retry-After") != "1" || header.Get("Content-Type") != "application/json" {
				t.Fatalf("round %d: got %d %s %v", round, status, text, header)
			}
		}
		if status, _, text := ask(http.MethodGet, wire.PathAuth); status != http.StatusMethodNotAllowed {
			t.Errorf("GET: got %d %s", status, text)
		}
		if status, _, text := ask(http.MethodPost, wire.PathGameBoot); status != http.StatusOK {
			t.Errorf("a game server: got %d %s", status, text)
		}
		p.gates.v2.full.Store(false)
		if status, _, text := ask(http.MethodPost, wire.PathAuth); status != http.StatusOK || !strings.Contains(text, `"code":11`) {
			t.Errorf("with the gate open: got %d %s", status, text)
		}
	}
	if counted := p.door.open.Load(); opened != 1 || counted != 1 {
		t.Errorf("%d connections were opened and %d counted, want 1", opened, counted)
	}
	if text := p.metrics(t); !strings.Contains(text, fmt.Sprintf(`rollcall_refused_total{api="v2",reason="overload"} %d`, turned)) {
		t.Errorf("metrics: %s", grep(text, "refused"))
	}
	web.CloseIdleConnections()
	stop()
	must(t, <-ended)
	if counted := p.door.open.Load(); counted != 0 {
		t.Errorf("%d connections are counted, want 0", counted)
	}
}

// The share that is turned away grows while goroutines wait for long and requests
// come, and only then, and goes down again.
func TestDoorProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Int64 // ns that the door's clock has gained on the timers
		d := &door{gate: newGate(1, time.Now), now: func() time.Time { return time.Now().Add(time.Duration(slow.Load())) }}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.run(ctx)
		tick := func(late time.Duration, requests int64) int32 {
			d.passed.Add(requests)
			slow.Add(int64(late))
			time.Sleep(probeEvery)
			synctest.Wait()
			return d.share.Load()
		}
		d.open.Store(2 + queueFactor)
		tick(0, 0)
		for _, row := range []struct {
			late     time.Duration
			requests int64
			want     int32
		}{{0, 1000, 0}, {time.Second, 0, 0}, {tooLate, 10, shareUp}, {time.Second, 10, 2 * shareUp}, {0, 10, 2*shareUp - shareDown}} {
			if got := tick(row.late, row.requests); got != row.want {
				t.Errorf("%s late, %d requests: got %d, want %d", row.late, row.requests, got, row.want)
			}
		}
		d.open.Add(-1)
		if got := tick(time.Second, 10); got != 2*shareUp-2*shareDown {
			t.Errorf("with no more connections than places: got %d", got)
		}
		d.open.Add(1)
		for range 30 {
			tick(time.Second, 10)
		}
		if got := d.share.Load(); got != mostShare {
			t.Errorf("late for long: got %d, want %d", got, mostShare)
		}
		for range 100 {
			tick(0, 10)
		}
		if got := d.share.Load(); got != 0 {
			t.Errorf("no more: got %d, want 0", got)
		}
	})
}
