package main

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// far is an address behind which another one is some time away.
type far struct {
	address string
	delay   atomic.Int64 // of each direction, in ns
}

// newFar passes connections on until ctx ends.
func newFar(ctx context.Context, to string) (*far, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &far{address: l.Addr().String()}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := dialer.DialContext(ctx, "tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go f.pass(in, out)
			go f.pass(out, in)
		}
	}()
	return f, nil
}

// A packet is on its way until its time.
type packet struct {
	data []byte
	at   time.Time
}

// pass carries what comes from one side to the other, each piece for as long as
// the delay says, and any number at a time.
func (f *far) pass(from, to net.Conn) {
	way := make(chan packet, 4096)
	go func() {
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.at))
			if _, err := to.Write(p.data); err != nil {
				return
			}
		}
	}()
	defer close(way)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		way <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(time.Duration(f.delay.Load()))}
	}
}
