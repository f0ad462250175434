package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall/internal/arcade"
)

func newSandbox() *cobra.Command {
	box := sandbox{config: &config{}}
	settings := box.config.flags()
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a whole server with generated keys and a known cast, to try things on",
		Long: `Sandbox runs a whole server on the embedded store, or on those of --sessions and
--directory, with generated keys and this cast:

  agent (role)                    wallet    branch
  integratorNBTest04 (primary)    transfer  THB
  integratorNBTest05 (other)      seamless  THB
  integratorNoBranch (no-branch)  transfer  none: code 81
  integratorBlocked (blocked)     transfer  THB, and may not call
  integratorHMAC (hmac)           transfer  THB; signs by HMAC, may offer VP_230001_1 alone
  integratorTwoKeys (two-keys)    transfer  THB; has two API keys

  game         modes
  VP_230001_1  real, demo
  VP_230002_1  real
  VP_230003_1  real, demo
  VP_230004_1  demo

  member of primary  active sessions
  player001          one: real, PC, the protocol's example
  player002          none
  player003          two: real on mobile, and demo
  suspended1         none, and may not play
  members of other   player001 and other001, without a session

  game server  games
  sandbox      all: an arcade, whose page a launched game opens
  spare        all: nobody, for you to boot as

The keys are in the credentials file. The cast's sessions begin as true ones do:
the agent launches a game over the v2 API, the arcade starts it over the game
servers' API and keeps it alive. On data of an earlier run they begin anew.

The data are a temporary directory's if --data names none. With --directory the
database outlives the sandbox, so its master key and credentials do too: they are
in a directory of your cache that belongs to that database.

At its start it makes one real check over HTTP and shows every byte of it, then
serves until Ctrl-C.`,
		Example: `  rollcall sandbox
  rollcall sandbox --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --credentials c.json
  rollcall sandbox --sessions redis://127.0.0.1 --directory postgres://127.0.0.1/sandbox

In another terminal, with a browser:
  rollcall launch player002 VP_230001_1 --credentials c.json
  rollcall check player002 --credentials c.json
  rollcall logout player002 --credentials c.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return box.run(cmd.Context(), settings, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addFlags(cmd, settings, "listen", "admin-listen", "data", "sessions", "directory", "redis-prefix", "insecure-http", "log-level",
		"rate-limit", "rate-burst", "address-rate", "address-burst", "trusted-proxies", "max-concurrent")
	settings.Lookup("data").Usage = "`directory` of the stores; the same one again goes on where it was (default: a temporary one)"
	cmd.Flags().StringVar(&box.credentials, "credentials", "", "`file` for the addresses and keys, mode 0600 (default DATA/"+sandboxCredentials+")")
	cmd.Flags().BoolVar(&box.once, "once", false, "exit after the first check's answer")
	return cmd
}

// sandboxCredentials is where a sandbox keeps its cast's keys, to find them
// again on the same data.
const sandboxCredentials = "credentials.json"

// A sandbox is one run of the command.
type sandbox struct {
	config      *config
	credentials string
	once        bool
}

func (b *sandbox) run(ctx context.Context, settings *pflag.FlagSet, stdout, stderr io.Writer) (err error) {
	remove, err := b.makeData()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	pages, err := listenArcade(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = pages.Close() }() // closed already by the arcade's Run
	b.config.LaunchURL = "http://" + pages.Addr().String() + arcade.Path
	if err := b.settle(settings); err != nil {
		return err
	}
	if err := createMasterKey(ctx, b.config); err != nil {
		return err
	}
	log := newLog(stderr, b.config)
	n, err := openNode(ctx, b.config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	credentials, err := b.prepare(ctx, n)
	if err != nil {
		return err
	}
	h, err := newHouse(credentials, log)
	if err != nil {
		return err
	}
	return b.serve(ctx, n, h, pages, credentials, stdout)
}

// makeData makes the directory of the data where none is named, and returns what
// removes it.
func (b *sandbox) makeData() (remove func() error, err error) {
	keep := func() error { return nil }
	switch {
	case b.config.Data != "":
		return keep, nil
	case b.config.Directory != "":
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w: name a directory with --data", err)
		}
		sum := sha256.Sum256([]byte(b.config.Directory))
		b.config.Data = filepath.Join(cache, "rollcall-sandbox", hex.EncodeToString(sum[:8]))
		return keep, os.MkdirAll(b.config.Data, 0o700)
	}
	b.config.Data, err = os.MkdirTemp("", "rollcall-sandbox-")
	return func() error { return os.RemoveAll(b.config.Data) }, err
}

// listenArcade takes a free port, which launch URLs name: they live for minutes.
func listenArcade(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// settle takes the settings that only serve needs from their defaults, and none
// from the environment: a sandbox is alike everywhere.
func (b *sandbox) settle(settings *pflag.FlagSet) error {
	if !settings.Changed("log-level") {
		b.config.LogLevel = "warn"
	}
	b.config.DrainDelay, b.config.sandbox = 0, true
	b.config.WebhookAllowPrivate = true // receivers are tried on this machine too
	if err := errors.Join(b.config.check()...); err != nil {
		return usageError{err}
	}
	return nil
}

// prepare makes the cast, or finds it on data that has one, and writes the
// credentials.
func (b *sandbox) prepare(ctx context.Context, n *node) (Credentials, error) {
	own := filepath.Join(b.config.Data, sandboxCredentials)
	c, err := readCredentials(own)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		c, err = makeCast(ctx, n.service, c)
	}
	if err != nil {
		return c, fmt.Errorf("cast: %w", err)
	}
	c.BaseURL, c.GameURL, c.AdminURL = n.baseURL, n.gameURL, n.adminURL
	if b.credentials == "" {
		b.credentials = own
	}
	return c, writeCredentials(own, c)
}

// serve runs the node and the arcade, shows the first check, and waits for ctx.
func (b *sandbox) serve(ctx context.Context, n *node, h *house, pages net.Listener, c Credentials, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var served, played error
	running.Go(func() {
		served = n.Run(ctx)
		stop()
	})
	running.Go(func() {
		played = h.arcade.Run(ctx, pages)
		stop()
	})
	err := b.begin(ctx, h, c, stdout)
	switch {
	case ctx.Err() != nil:
		err = nil // it was told to stop, or what served and played say
	case err != nil || b.once:
		stop()
	default:
		b.tell(c, stdout)
	}
	running.Wait()
	return errors.Join(err, served, played)
}

// begin begins the cast's sessions, and makes one real check and shows it.
func (b *sandbox) begin(ctx context.Context, h *house, c Credentials, stdout io.Writer) error {
	if err := h.open(ctx); err != nil {
		return fmt.Errorf("cast: %w", err)
	}
	// Who waits for the file finds the cast playing.
	if err := writeCredentials(b.credentials, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Fprint(stdout, "A check as an integrator makes it: which active sessions has player001?\n")
	caller, err := newCaller(c, c.Agents[0], showExchange(stdout, c.Agents[0].Signature))
	if err != nil {
		return err
	}
	if _, err := caller.CheckSessions(ctx, "player001"); err != nil {
		return fmt.Errorf("first check: %w", err)
	}
	return nil
}

func (b *sandbox) tell(c Credentials, stdout io.Writer) {
	fmt.Fprintf(stdout, `
v2 API       %s
game API     %s
admin API    %s
credentials  %s
data         %s

Try, in another terminal, with a browser:
  rollcall launch player002 VP_230001_1 --credentials %[4]s   (open the URL)
  rollcall check player002 --credentials %[4]s
  rollcall logout player002 --credentials %[4]s               (and look at the page)
Ctrl-C ends the sandbox.
`, c.BaseURL, c.GameURL, c.AdminURL, b.credentials, b.config.Data)
}
