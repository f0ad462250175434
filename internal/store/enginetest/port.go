package enginetest

import (
	"fmt"
	"math/rand/v2"
	"syscall"
)

// A port that an engine is to listen on is held by a socket that is bound and
// never listens. Nobody else is given it then, also not while the engine is
// down: neither another test, nor another test binary, nor a connection that
// leaves the machine. The engine itself may have it beside, since it sets
// SO_REUSEADDR, as we do; but we do so only after bind, which had to fail where
// anything was there. Other systems than Linux do not share so; there the port is
// let go, and has to be lucky.
type port struct{ number, socket int }

// Ports are taken from below those that Linux gives to outgoing connections, and
// so that a Redis Cluster's bus, at its port + busOffset, is below them too.
const (
	firstPort = 12_000
	busOffset = 10_000
	lastPort  = 32_767 - busOffset
)

// freePort takes a free port, and the one for its bus.
func freePort() (*port, *port, error) {
	var err error
	for range 100 {
		var client, bus *port
		//nolint:gosec // a port is no secret
		if client, err = takePort(firstPort + rand.IntN(lastPort-firstPort+1)); err != nil {
			continue
		}
		if bus, err = takePort(client.number + busOffset); err == nil {
			return client, bus, nil
		}
		client.free()
	}
	return nil, nil, fmt.Errorf("find a free port: %w", err)
}

func takePort(number int) (*port, error) {
	syscall.ForkLock.RLock()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	p := &port{number, socket}
	err = syscall.Bind(socket, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}
	if err != nil || !isLinux {
		p.free()
	}
	return p, err
}

// free lets the port go; it may be called again.
func (p *port) free() {
	if p.socket >= 0 {
		_ = syscall.Close(p.socket)
		p.socket = -1
	}
}
