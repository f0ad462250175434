package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newSandbox() *cobra.Command {
	box := sandbox{config: &config{}}
	settings := box.config.flags()
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a whole server with generated keys and a known cast, to try things on",
		Long: `Sandbox runs a whole server on the embedded store, with generated keys and this
cast:

  agent (role)                    wallet    branch
  integratorNBTest04 (primary)    transfer  THB
  integratorNBTest05 (other)      seamless  THB
  integratorNoBranch (no-branch)  transfer  none: code 81
  integratorBlocked (blocked)     transfer  THB, and may not call

  game         modes
  VP_230001_1  real, demo
  VP_230002_1  real
  VP_230003_1  real, demo

  member of primary  active sessions
  player001          one: real, PC, the protocol's example
  player002          none
  player003          two: real on mobile, and demo
  member of other    player001, without a session

The keys are in the credentials file. At its start it makes one real check over
HTTP and shows every byte of it, then serves until Ctrl-C.`,
		Example: `  rollcall sandbox
  rollcall sandbox --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --credentials c.json
  rollcall check player003 --credentials c.json      (in another terminal)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return box.run(cmd.Context(), settings, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	for _, flag := range []string{"listen", "admin-listen", "data", "insecure-http", "log-level"} {
		cmd.Flags().AddFlag(settings.Lookup(flag))
	}
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
	if b.config.Data == "" {
		if b.config.Data, err = os.MkdirTemp("", "rollcall-sandbox-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.config.Data)) }()
	}
	if err := b.settle(settings); err != nil {
		return err
	}
	if err := createMasterKey(b.config); err != nil {
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
	return b.serve(ctx, n, log, credentials, stdout)
}

// settle takes the settings that only serve needs from their defaults, and none
// from the environment: a sandbox is alike everywhere.
func (b *sandbox) settle(settings *pflag.FlagSet) error {
	if !settings.Changed("log-level") {
		b.config.LogLevel = "warn"
	}
	b.config.DrainDelay = 0
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
	if errors.Is(err, fs.ErrNotExist) {
		c, err = createCast(ctx, n.service)
	}
	if err != nil {
		return c, fmt.Errorf("cast: %w", err)
	}
	c.BaseURL, c.AdminURL = n.baseURL, n.adminURL
	if err := writeCredentials(own, c); err != nil {
		return c, err
	}
	if b.credentials == "" {
		b.credentials = own
		return c, nil
	}
	return c, writeCredentials(b.credentials, c)
}

// serve runs the node and its cast, shows the first check, and waits for ctx.
func (b *sandbox) serve(ctx context.Context, n *node, log *slog.Logger, c Credentials, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cast := keeper{service: n.service, log: log}
	if err := cast.start(ctx); err != nil {
		return fmt.Errorf("cast: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { cast.run(ctx) })
	var served error
	running.Go(func() {
		served = n.Run(ctx)
		stop()
	})
	err := b.firstCheck(ctx, c, stdout)
	if err != nil || b.once {
		stop()
	} else {
		b.tell(c, stdout)
	}
	running.Wait()
	return errors.Join(err, served)
}

// firstCheck makes one real check and shows it.
func (b *sandbox) firstCheck(ctx context.Context, c Credentials, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Fprint(stdout, "A check as an integrator makes it: which active sessions has player001?\n")
	_, err := checkSessions(ctx, c, c.Agents[0], "player001", showExchange(stdout))
	if err != nil {
		return fmt.Errorf("first check: %w", err)
	}
	return nil
}

func (b *sandbox) tell(c Credentials, stdout io.Writer) {
	fmt.Fprintf(stdout, `
v2 API       %s
admin API    %s
credentials  %s
data         %s

Try, in another terminal:
  rollcall check player003 --credentials %[3]s
  rollcall session list --credentials %[3]s
Ctrl-C ends the sandbox.
`, c.BaseURL, c.AdminURL, b.credentials, b.config.Data)
}
