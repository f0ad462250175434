package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// startFloor runs this very program as the floor, with an answer. raw is one
// without HTTP, which shows what the load could do.
func startFloor(ctx context.Context, dir string, core int, raw bool, answer []byte) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "answer.json")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		return nil, err
	}
	args := []string{self, "-floor", file}
	if raw {
		args = append(args, "-raw")
	}
	return serves(ctx, "floor", core, args...)
}

// serveFloor serves the bytes of file to every request until ctx ends.
func serveFloor(ctx context.Context, file string, raw bool, out io.Writer) error {
	answer, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving %s\n", l.Addr())
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	if raw {
		return serveRaw(ctx, l, answer)
	}
	return serveHTTP(ctx, l, answer)
}

// serveHTTP answers as rollcall does, with the same headers.
func serveHTTP(ctx context.Context, l net.Listener, answer []byte) error {
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				return
			}
			h := w.Header()
			h["Content-Type"] = []string{"application/json"}
			h["Content-Length"] = []string{strconv.Itoa(len(answer))}
			h[wire.HeaderLogUUID] = []string{"955585ed-adeb-436e-8be0-ebf2b81b7d15"}
			_, _ = w.Write(answer)
		}),
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// serveRaw answers whatever is a message as a whole, and looks at nothing in it.
func serveRaw(ctx context.Context, l net.Listener, answer []byte) error {
	whole := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	context.AfterFunc(ctx, func() { _ = l.Close() })
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answerRaw(conn, whole)
	}
}

func answerRaw(conn net.Conn, answer []byte) {
	defer conn.Close()
	message, buffer := []byte(nil), make([]byte, 16<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if message = append(message, buffer[:n]...); !complete(message) {
			continue
		}
		message = message[:0]
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
