package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A flood sends requests at a rate whether they are answered or not, each on a
// connection that has nothing under way. It is one loop over epoll: a goroutine
// for each connection costs more than the server whose limits it should show.
type flood struct {
	address  *unix.SockaddrInet4
	requests [][]byte
	inTime   time.Duration

	epoll int
	conns []floodConn
	byFD  map[int]int // place in conns
	idle  []int       // places
	sent  []floodSent // not yet given up, oldest first

	offered, refused, late int
	times                  []time.Duration // of those that were answered in time
	took                   time.Duration
}

// A floodConn is one connection. At most one request is under way on it.
type floodConn struct {
	fd    int
	seq   int // counts what was sent, so that an old deadline is known for one
	busy  bool
	begun time.Time
	got   []byte
}

type floodSent struct {
	place, seq int
	end        time.Time
}

func newFlood(address string, conns int, requests [][]byte, inTime time.Duration) (*flood, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	f := &flood{
		address: &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, requests: requests, inTime: inTime,
		conns: make([]floodConn, conns), byFD: make(map[int]int, conns),
	}
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for place := range f.conns {
		if err := f.dial(place); err != nil {
			return nil, errors.Join(err, f.close())
		}
		if place%100 == 0 {
			time.Sleep(time.Millisecond) // the server's queue of new ones is short
		}
	}
	return f, nil
}

func (f *flood) close() error {
	for fd := range f.byFD {
		_ = unix.Close(fd)
	}
	return unix.Close(f.epoll)
}

// dial opens a connection, which is idle when epoll says that it is writable.
func (f *flood) dial(place int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f.byFD[fd] = place
	c := &f.conns[place]
	c.fd, c.busy, c.got = fd, false, c.got[:0]
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.Connect(fd, f.address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	return unix.EpollCtl(f.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: int32(fd), Events: unix.EPOLLOUT})
}

// run sends rate requests in a second for some time, and waits for the last.
func (f *flood) run(ctx context.Context, rate float64, d time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	next := start
	events := make([]unix.EpollEvent, 256)
	for now := start; ; now = time.Now() {
		for !next.After(now) && next.Sub(start) < d {
			if err := f.send(next); err != nil {
				return err
			}
			next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second))) //nolint:gosec // no secret
		}
		n, err := unix.EpollWait(f.epoll, events, 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if err := f.hear(e); err != nil {
				return err
			}
		}
		if err := errors.Join(f.giveUp(time.Now()), ctx.Err()); err != nil {
			return err
		}
		if next.Sub(start) >= d && len(f.sent) == 0 {
			f.took = d
			return nil
		}
	}
}

// send sends what is due at a time, late or not.
func (f *flood) send(due time.Time) error {
	f.offered++
	if len(f.idle) == 0 || f.offered > len(f.requests) {
		f.late++ // all clients wait for answers
		return nil
	}
	at := rand.IntN(len(f.idle)) //nolint:gosec // no secret
	place := f.idle[at]
	f.idle[at] = f.idle[len(f.idle)-1]
	f.idle = f.idle[:len(f.idle)-1]
	c := &f.conns[place]
	c.seq, c.busy, c.begun, c.got = c.seq+1, true, due, c.got[:0]
	f.sent = append(f.sent, floodSent{place, c.seq, due.Add(f.inTime)})
	if _, err := unix.Write(c.fd, f.requests[f.offered-1]); err != nil {
		return f.lose(place)
	}
	return nil
}

// hear takes up what a connection has to say.
func (f *flood) hear(e unix.EpollEvent) error {
	place, ok := f.byFD[int(e.Fd)]
	if !ok {
		return nil // closed since
	}
	c := &f.conns[place]
	if e.Events&unix.EPOLLOUT != 0 {
		f.idle = append(f.idle, place)
		return unix.EpollCtl(f.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Fd: e.Fd, Events: unix.EPOLLIN})
	}
	var text [4096]byte
	n, err := unix.Read(c.fd, text[:])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if n <= 0 {
		return f.lose(place)
	}
	if c.got = append(c.got, text[:n]...); c.busy && complete(c.got) {
		f.judge(c)
		c.busy = false
		f.idle = append(f.idle, place)
	}
	return nil
}

func (f *flood) judge(c *floodConn) {
	took := time.Since(c.begun)
	switch {
	case !bytes.HasPrefix(c.got, []byte("HTTP/1.1 200")) || !bytes.Contains(c.got, accepted):
		f.refused++
	case took > f.inTime:
		f.late++
	default:
		f.times = append(f.times, took)
	}
}

// complete reports whether an answer with a Content-Length is there as a whole.
func complete(answer []byte) bool {
	head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !ok {
		return false
	}
	_, rest, _ := bytes.Cut(head, contentLength)
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(value))
	return err == nil && len(body) >= n
}

// giveUp hangs up on what was not answered in time.
func (f *flood) giveUp(now time.Time) error {
	for len(f.sent) > 0 {
		first := f.sent[0]
		c := &f.conns[first.place]
		open := c.busy && c.seq == first.seq
		if open && now.Before(first.end) {
			return nil
		}
		f.sent = f.sent[1:]
		if open {
			if err := f.lose(first.place); err != nil {
				return err
			}
		}
	}
	return nil
}

// lose drops a connection, with what is under way on it, and opens another.
func (f *flood) lose(place int) error {
	c := &f.conns[place]
	if c.busy {
		f.late++
	} else {
		f.idle = remove(f.idle, place)
	}
	delete(f.byFD, c.fd)
	_ = unix.Close(c.fd)
	return f.dial(place)
}

func remove(places []int, place int) []int {
	for i, p := range places {
		if p == place {
			return append(places[:i], places[i+1:]...)
		}
	}
	return places
}
