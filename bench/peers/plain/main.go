// Command plain is the endpoint "get member sessions" as one would write it by
// hand in Go: net/http, encoding/json, golang-jwt, a cipher made for each request
// and a map behind a sync.RWMutex. It is a peer of the benchmark: it makes the
// same checks and gives the same answer as Rollcall, and keeps all that it knows
// in memory.
//
//	plain CONFIG.json
//
// The configuration: {"agentId", "apiKey", "tokenKey", "members": {username: [session…]}}.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want the name of a configuration, got %q", args)
	}
	s, err := load(args[0])
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving %s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/members/sessions/check", s.serve)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type config struct {
	AgentID  string               `json:"agentId"`
	APIKey   string               `json:"apiKey"`
	TokenKey string               `json:"tokenKey"`
	Members  map[string][]session `json:"members"`
}

// load reads the configuration and makes the server of it.
func load(name string) (*server, error) {
	text, err := os.ReadFile(name) //nolint:gosec // G703: who starts it names the file
	if err != nil {
		return nil, err
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	s := &server{agents: map[string]agent{}, members: c.Members, nonces: map[string]time.Time{}}
	key, err := hex.DecodeString(c.APIKey)
	if err != nil {
		return nil, err
	}
	s.agents[c.AgentID] = agent{apiKey: key}
	s.tokenKey, err = hex.DecodeString(c.TokenKey)
	return s, err
}
