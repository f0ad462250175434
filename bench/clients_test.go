package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serverOf answers by a function, with a body of a known length.
func serverOf(t *testing.T, answer func() string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer())
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func requests(n int) [][]byte {
	return slices.Repeat([][]byte{[]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")}, n)
}

func TestChase(t *testing.T) {
	var served atomic.Int64
	address := serverOf(t, func() string {
		served.Add(1)
		return `{"code":0,"message":"No error."}`
	})
	times, err := chase(t.Context(), address, 8, requests(500))
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != 500 || slices.Min(times) <= 0 || served.Load() != 500 {
		t.Errorf("got %d times, the least %s, and %d requests served; want 500 of each", len(times), slices.Min(times), served.Load())
	}
}

// What refuses is cheaper than an answer, and must not count as one.
func TestChaseRefused(t *testing.T) {
	address := serverOf(t, func() string { return `{"code":83,"message":"Authentication Failed"}` })
	_, err := chase(t.Context(), address, 2, requests(10))
	var refused refusalError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `"code":83`) {
		t.Errorf("got %v, want the refusal", err)
	}
}

// A server that refuses once is measured again, and one that goes on ends the run.
func TestAgain(t *testing.T) {
	var asked, refuse atomic.Int64
	refuse.Store(1)
	address := serverOf(t, func() string {
		if asked.Add(1) <= refuse.Load() {
			return `{"code":7,"message":"Internal server error"}`
		}
		return `{"code":0,`
	})
	c := &contender{do: func(ctx context.Context, n, conns int) (sample, error) {
		times, err := chase(ctx, address, conns, requests(n))
		return sample{n: n}.timed(times), err
	}}
	l := &lineup{o: &options{progress: io.Discard}}
	repeated := 0
	if s, err := l.again(t.Context(), c, 10, 1, &repeated); err != nil || repeated != 1 || s.p50 <= 0 {
		t.Errorf("got %d repeated, p50 %s, %v; want 1", repeated, s.p50, err)
	}
	refuse.Store(1_000_000)
	if _, err := l.again(t.Context(), c, 10, 1, &repeated); err == nil || repeated != 4 {
		t.Errorf("got %d repeated, %v; want 3 more, and the refusal", repeated, err)
	}
}

func TestChaseEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	address := serverOf(t, func() string {
		stop()
		return `{"code":0,`
	})
	if _, err := chase(ctx, address, 1, requests(1000)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// A server that stands still is not spared what is due meanwhile: each of these
// requests waits, and each counts from when it was due.
func TestFloodCountsFromDue(t *testing.T) {
	const rate, still = 200, 400 * time.Millisecond
	var mu sync.Mutex
	served := 0
	address := serverOf(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		if served++; served == 20 {
			time.Sleep(still) // it stands still: that is what is tested
		}
		return `{"code":0,`
	})
	f, err := newFlood(address, 256, requests(rate), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f.even = true
	if err := errors.Join(f.run(t.Context(), rate, time.Second), f.close()); err != nil {
		t.Fatal(err)
	}
	waited := 0
	for _, took := range f.times {
		if took > still/2 {
			waited++
		}
	}
	if len(f.times) != rate || waited < rate*2/10-2 {
		t.Errorf("got %d answers, %d of which took longer than %s; want %d, and about %d at the least", len(f.times), waited, still/2, rate, rate*2/10)
	}
}

// A load that is late itself is not spared either.
func TestFloodOffersLate(t *testing.T) {
	f, err := newFlood(serverOf(t, func() string { return `{"code":0,` }), 1, requests(1), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	err = errors.Join(f.ready(t.Context()), f.offer(time.Now().Add(-time.Hour)))
	for err == nil && len(f.times) == 0 {
		err = errors.Join(f.wait(100), t.Context().Err())
	}
	if err != nil || f.times[0] < time.Hour {
		t.Errorf("got %s, %v; want an hour, since it was due then", f.times, err)
	}
}

func TestSucceeded(t *testing.T) {
	for answer, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"code\":0,":          true,
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"code\":8,":          false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":                     true,
		"HTTP/1.1 503 Unavailable\r\nContent-Length: 10\r\n\r\n{\"code\":7,": false,
	} {
		if got := succeeded([]byte(answer)); got != want {
			t.Errorf("%q: got %v, want %v", answer, got, want)
		}
	}
}

func TestComplete(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\n\r\nabcd"
	for n := range len(whole) {
		if complete([]byte(whole[:n])) {
			t.Errorf("%q is complete", whole[:n])
		}
	}
	if !complete([]byte(whole)) {
		t.Error("the whole is not complete")
	}
}

func TestTimed(t *testing.T) {
	var times []time.Duration
	for i := range 1000 {
		times = append(times, time.Duration(1000-i)*time.Millisecond)
	}
	s := sample{}.timed(times)
	if s.p50 != 501*time.Millisecond || s.p99 != 991*time.Millisecond || s.p999 != time.Second || s.max != time.Second {
		t.Errorf("got %s, %s, %s, %s", s.p50, s.p99, s.p999, s.max)
	}
}
