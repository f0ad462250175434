package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// clients are connections that send requests to a server, each connection one at
// a time. They are one loop over epoll on one thread: a goroutine for each costs
// more than the server whose limits they should show.
type clients struct {
	address *unix.SockaddrInet4
	epoll   int
	all     []client
	byFD    map[int]int // place in all
	idle    []int       // places
	events  []unix.EpollEvent
	buffer  []byte
	// answered is called when an answer is there as a whole, and lost when a
	// connection broke, before another is opened in its place.
	answered func(*client) error
	lost     func(*client) error
}

// A client is one connection. At most one request is under way on it.
type client struct {
	fd    int
	seq   int // counts what was sent, so that an old deadline is known for one
	busy  bool
	which int // the request under way
	begun time.Time
	got   []byte
}

func newClients(address string, n int) (*clients, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	c := &clients{
		address: &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()},
		all:     make([]client, n), byFD: make(map[int]int, n), events: make([]unix.EpollEvent, 256), buffer: make([]byte, 16<<10),
	}
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for place := range c.all {
		if err := c.dial(place); err != nil {
			return nil, errors.Join(err, c.close())
		}
		if place%100 == 0 {
			time.Sleep(time.Millisecond) // the server's queue of new ones is short
		}
	}
	return c, nil
}

func (c *clients) close() error {
	for fd := range c.byFD {
		_ = unix.Close(fd)
	}
	return unix.Close(c.epoll)
}

// dial opens a connection, which is idle when epoll says that it is writable.
func (c *clients) dial(place int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.byFD[fd] = place
	one := &c.all[place]
	one.fd, one.busy, one.got = fd, false, one.got[:0]
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.Connect(fd, c.address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: int32(fd), Events: unix.EPOLLOUT})
}

// ready waits until all connections are there.
func (c *clients) ready(ctx context.Context) error {
	for end := time.Now().Add(patience); len(c.idle) < len(c.all); {
		if err := errors.Join(c.wait(100), ctx.Err()); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d connections are not there after %s", len(c.all)-len(c.idle), len(c.all), patience)
		}
	}
	return nil
}

// send sends a request on the connection at a place in idle.
func (c *clients) send(at int, request []byte, which int, due time.Time) (place int, err error) {
	place = c.idle[at]
	c.idle[at] = c.idle[len(c.idle)-1]
	c.idle = c.idle[:len(c.idle)-1]
	one := &c.all[place]
	one.seq, one.busy, one.which, one.begun, one.got = one.seq+1, true, which, due, one.got[:0]
	if _, err := unix.Write(one.fd, request); err != nil {
		return place, c.lose(place)
	}
	return place, nil
}

// wait hears what connections have to say, for some milliseconds at the most.
func (c *clients) wait(most int) error {
	n, err := unix.EpollWait(c.epoll, c.events, most)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for _, e := range c.events[:max(n, 0)] {
		if err := c.hear(e); err != nil {
			return err
		}
	}
	return nil
}

// hear takes up what a connection has to say.
func (c *clients) hear(e unix.EpollEvent) error {
	place, ok := c.byFD[int(e.Fd)]
	if !ok {
		return nil // closed since
	}
	one := &c.all[place]
	if e.Events&unix.EPOLLOUT != 0 {
		c.idle = append(c.idle, place)
		return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, one.fd, &unix.EpollEvent{Fd: e.Fd, Events: unix.EPOLLIN})
	}
	n, err := unix.Read(one.fd, c.buffer)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if n <= 0 {
		return c.lose(place)
	}
	one.got = append(one.got, c.buffer[:n]...)
	if !one.busy || !complete(one.got) {
		return nil
	}
	one.busy = false
	c.idle = append(c.idle, place)
	return c.answered(one)
}

// lose drops a connection, with what is under way on it, and opens another.
func (c *clients) lose(place int) error {
	one := &c.all[place]
	if !one.busy {
		c.idle = remove(c.idle, place)
	}
	if err := c.lost(one); err != nil {
		return err
	}
	delete(c.byFD, one.fd)
	_ = unix.Close(one.fd)
	return c.dial(place)
}

func remove(places []int, place int) []int {
	for i, p := range places {
		if p == place {
			return append(places[:i], places[i+1:]...)
		}
	}
	return places
}

var headEnd = []byte("\r\n\r\n")

// complete reports whether a message with a Content-Length is there as a whole.
func complete(message []byte) bool {
	head, body, ok := bytes.Cut(message, headEnd)
	if !ok {
		return false
	}
	_, rest, _ := bytes.Cut(head, contentLength)
	value, _, _ := bytes.Cut(rest, headEnd[:2])
	n, err := strconv.Atoi(string(value))
	return err == nil && len(body) >= n
}

// succeeded reports whether an answer is a success.
func succeeded(answer []byte) bool {
	if !bytes.HasPrefix(answer, statusOK) {
		return false
	}
	_, body, _ := bytes.Cut(answer, headEnd)
	return !bytes.HasPrefix(body, refused) || bytes.HasPrefix(body, accepted)
}

// chase sends the requests, each as soon as a connection is free, and returns how
// long each took. An answer that is no success is an error: it is cheaper, and
// must not count.
func chase(ctx context.Context, address string, conns int, requests [][]byte) (times []time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := newClients(address, conns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	times = make([]time.Duration, len(requests))
	left, next := len(requests), 0
	c.answered = func(one *client) error {
		times[one.which] = time.Since(one.begun)
		left--
		if !succeeded(one.got) {
			return refusalError(fmt.Sprintf("%.600s", one.got))
		}
		return nil
	}
	c.lost = func(*client) error { return errors.New("the server has hung up") }
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	for heard := time.Now(); left > 0; {
		for ; len(c.idle) > 0 && next < len(requests); next++ {
			if _, err := c.send(len(c.idle)-1, requests[next], next, time.Now()); err != nil {
				return nil, err
			}
		}
		before := left
		if err := errors.Join(c.wait(100), ctx.Err()); err != nil {
			return nil, err
		}
		if now := time.Now(); left < before {
			heard = now
		} else if now.Sub(heard) > patience {
			return nil, fmt.Errorf("no answer for %s, %d are missing", patience, left)
		}
	}
	return times, nil
}

// patience is how long the load waits for a server that says nothing.
const patience = 30 * time.Second
