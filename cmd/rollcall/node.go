package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/server"
	"github.com/rollcall-server/rollcall/internal/store"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/internal/webhook"
)

const masterKeyName = "master.key"

// A node is one server with its stores open and its listeners bound.
type node struct {
	service *roll.Service
	stores  *store.Stores
	server  *server.Server

	v2, admin net.Listener
	// game is the game servers' listener; nil: they use v2.
	game                       net.Listener
	baseURL, gameURL, adminURL string
}

// openNode wires a server top to bottom. What it opened before an error is
// closed again.
func openNode(ctx context.Context, c *config, log *slog.Logger) (_ *node, err error) {
	metrics := server.NewMetrics()
	n := &node{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	keys, err := openVault(c)
	if err != nil {
		return nil, err
	}
	if n.stores, err = openServed(ctx, c, log, metrics.Commit); err != nil {
		return nil, err
	}
	stores, ahead := n.stores.Stores, time.Duration(0)
	if stores.Remote {
		ahead = roll.DefaultAhead
	}
	n.service = newService(c, stores, keys, log)
	if err := n.service.Prepare(ctx); err != nil {
		return nil, err
	}
	callers := auth.New(auth.Options{
		Directory: stores.Directory, Nonces: stores.Nonces, Vault: keys, MaxClockSkew: c.MaxClockSkew,
		Limiter: newLimiter(stores.Limits, ahead, metrics), Rate: c.agentRate(), Now: stores.Clock(),
	})
	trusted, _ := c.trustedProxies() // checked before
	n.server = server.New(server.Options{
		Service: n.service, Auth: callers, Stores: stores, Metrics: metrics, Log: log,
		Addresses: live.NewBuckets(time.Now), AddressRate: c.addressRate().Or(c.addressRate()), TrustedProxies: trusted, MaxConcurrent: c.MaxConcurrent,
		DrainDelay: c.DrainDelay, DrainTimeout: c.DrainTimeout, Version: version(), Now: stores.Clock(),
	})
	return n, n.listen(ctx, c, log)
}

func newService(c *config, stores roll.Stores, keys *vault.Vault, log *slog.Logger) *roll.Service {
	allow, _ := c.webhookAllow() // checked before
	return roll.New(roll.Options{
		Stores: stores, Vault: keys, Log: log,
		LeaseTTL: c.LeaseTTL, Heartbeat: c.HeartbeatEvery, Lifetime: c.SessionLifetime, LaunchURL: c.LaunchURL,
		RequestRetention: c.RequestRetention, SessionRetention: c.SessionHistory, EventRetention: c.EventRetention,
		Webhooks: webhook.New(webhook.Options{
			AllowPrivate: c.WebhookAllowPrivate, AllowPrefixes: allow, UserAgent: "rollcall/" + version(),
		}),
	})
}

// openVault reads the master key, from the environment or its file.
func openVault(c *config) (*vault.Vault, error) {
	if c.masterKey != "" {
		keys, err := vault.New(c.masterKey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envMasterKey, err)
		}
		return keys, nil
	}
	file := c.masterKeyFile()
	if file == "" {
		return nil, errNoMasterKey
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		hint := ""
		if c.Data != "" {
			hint = " --data " + c.Data
		}
		return nil, fmt.Errorf("%w in %s: make one with 'rollcall init%s', or set %s", errNoKeyFile, file, hint, envMasterKey)
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key %s can be read by others (mode %04o): chmod 600 it", file, info.Mode().Perm())
	}
	keys, err := vault.New(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

var errNoKeyFile = errors.New("no master key")

var errNoMasterKey = errors.New("no master key: without --data say where it is, with --master-key-file or " + envMasterKey)

// masterKeyFile returns "" where there can be none.
func (c *config) masterKeyFile() string {
	if c.MasterKeyFile != "" || c.Data == "" {
		return c.MasterKeyFile
	}
	return filepath.Join(c.Data, masterKeyName)
}

// createMasterKey makes a random key in its file, and leaves one that is there.
// Data without its key gets none: a new one would not open it, and stand in the
// way of the old one.
func createMasterKey(ctx context.Context, c *config) error {
	file := c.masterKeyFile()
	if _, err := os.Lstat(file); c.masterKey != "" || err == nil {
		return nil
	}
	if file == "" {
		return errNoMasterKey
	}
	used, err := store.Used(ctx, c.storeOptions(nil))
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("%s has data but no master key in %s: put the key back that it was written under", c.where(), file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return writeSecretFile(file, []byte(vault.NewKey()+"\n"))
}

func (n *node) listen(ctx context.Context, c *config, log *slog.Logger) (err error) {
	if n.v2, n.baseURL, err = listen(ctx, c.Listen, c.TLSCert, c.TLSKey, log); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	n.gameURL = n.baseURL
	if c.GameListen != "" {
		if n.game, n.gameURL, err = listen(ctx, c.GameListen, c.GameTLSCert, c.GameTLSKey, log); err != nil {
			return fmt.Errorf("game-listen: %w", err)
		}
	}
	if n.admin, n.adminURL, err = listen(ctx, c.AdminListen, c.AdminTLSCert, c.AdminTLSKey, log); err != nil {
		return fmt.Errorf("admin-listen: %w", err)
	}
	return nil
}

func listen(ctx context.Context, address, cert, key string, log *slog.Logger) (net.Listener, string, error) {
	config, err := tlsConfig(cert, key, log)
	if err != nil {
		return nil, "", err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	if config == nil {
		return l, "http://" + l.Addr().String(), nil
	}
	return tls.NewListener(l, config), "https://" + l.Addr().String(), nil
}

// tlsConfig returns nil where no certificate is set.
func tlsConfig(cert, key string, log *slog.Logger) (*tls.Config, error) {
	if cert == "" {
		return nil, nil
	}
	return server.TLSConfig(cert, key, time.Now, log)
}

// Run serves until ctx ends and everything is drained.
func (n *node) Run(ctx context.Context) error {
	sweepCtx, stop := context.WithCancel(ctx)
	var sweeping sync.WaitGroup
	sweeping.Go(func() { n.service.Run(sweepCtx) })
	defer sweeping.Wait()
	defer stop()
	return n.server.Run(ctx, server.Listeners{V2: n.v2, Game: n.game, Admin: n.admin})
}

// Close frees what Run left: the stores, and the listeners where Run was not
// called.
func (n *node) Close() error {
	for _, l := range []net.Listener{n.v2, n.game, n.admin} {
		if l != nil {
			_ = l.Close() // closed already by Run
		}
	}
	if n.stores == nil {
		return nil
	}
	return n.stores.Close()
}

// newLog makes the logger that a config asks for.
func newLog(w io.Writer, c *config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked before
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
