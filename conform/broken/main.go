// Command broken is a proxy in front of a right server of the v2 API that gives it
// one fault, of those that are found in servers written by hand. It is there to try
// the conformance kit on: what the kit does not find, it does not test. It holds the
// agents' keys, so that it can change what is sealed and signed. Never run it in
// front of anything but a sandbox.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "broken:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // main
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("broken", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where to serve")
	file := flags.String("credentials", "", "the sandbox's credentials")
	fault := flags.String("fault", "", "one of "+fmt.Sprint(slices.Sorted(maps.Keys(faults))))
	if err := flags.Parse(args); err != nil {
		return err
	}
	target, err := readTarget(*file)
	if err != nil {
		return err
	}
	p, err := newProxy(target, *fault)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(stdout, "fault %q of %s is at http://%s\n", *fault, target.BaseURL, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A target is the part of a credentials file that the proxy needs.
type target struct {
	BaseURL string `json:"baseUrl"`
	Agents  []struct {
		Role, AgentID, APIKey, NextAPIKey, Secret, Signature string
	} `json:"agents"`
}

func readTarget(file string) (target, error) {
	var t target
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}
