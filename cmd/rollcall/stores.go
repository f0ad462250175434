package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall/internal/store"
)

// storeFlags declares where things are kept.
func (c *config) storeFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", "", "`directory` of the embedded stores; not needed where both --sessions and --directory are set")
	f.StringVar(&c.Sessions, "sessions", "", "`URL` of the Redis or Valkey for sessions, nonces and limits: redis://, rediss://, redis+sentinel://H:P,…/NAME, redis+cluster://H:P,…, unix:/// (default: embedded, in --data)")
	f.StringVar(&c.Directory, "directory", "", "`URL` of the PostgreSQL for directory and history: postgres://USER:PASSWORD@HOST/DATABASE (default: embedded, in --data, for one server only)")
	f.StringVar(&c.RedisPrefix, "redis-prefix", "rc", "`text` in front of every key in Redis, so that several installations may share one")
	f.DurationVar(&c.RedisTimeout, "redis-timeout", 3*time.Second, "how long a call waits for Redis, a failover included")
	f.IntVar(&c.RedisReplicas, "redis-replicas", 0, "how many replicas have to have a change before it is answered, so that no failover loses it")
	f.DurationVar(&c.DirectoryMaxStale, "directory-max-stale", 30*time.Second, "how long a server that cannot reach PostgreSQL goes on with what it knew, blocked agents included")
	f.BoolVar(&c.NoMigrate, "no-migrate", false, "refuse a PostgreSQL database of an older version, and leave it to 'rollcall migrate'")
	f.DurationVar(&c.ClockOffset, "clock-offset", 0, "for tests: how far this server's own clock is off")
	_ = f.MarkHidden("clock-offset") // it is there
}

// storeOptions are what the settings say about stores.
func (c *config) storeOptions(log *slog.Logger) store.Options {
	o := store.Options{
		Sessions: c.Sessions, Directory: c.Directory, Data: c.Data,
		MaxClockSkew: c.MaxClockSkew, Sync: c.Sync, RedisPrefix: c.RedisPrefix, RedisTimeout: c.RedisTimeout,
		RedisReplicas: c.RedisReplicas, DirectoryMaxStale: c.DirectoryMaxStale,
		NoMigrate: c.NoMigrate, Log: log,
	}
	if c.ClockOffset != 0 {
		o.Now = c.clock()
	}
	return o
}

// clock is this machine's, as far off as a test wants it.
func (c *config) clock() func() time.Time {
	return func() time.Time { return time.Now().Add(c.ClockOffset) }
}

// openStores opens them for a command that may run beside servers, or for UseAlone; with
// salvage without what of an embedded log is damaged.
func openStores(ctx context.Context, c *config, use store.Use, salvage bool) (*store.Stores, error) {
	o := c.storeOptions(slog.New(slog.DiscardHandler))
	o.Use, o.Salvage = use, salvage
	return store.Open(ctx, o)
}

// openServed opens them for a server. But for a sandbox they have to have been
// made by 'rollcall init' or an import.
func openServed(ctx context.Context, c *config, log *slog.Logger, onCommit func(time.Duration, int)) (*store.Stores, error) {
	o := c.storeOptions(log)
	o.Use, o.Begun, o.OnCommit = store.UseServe, !c.sandbox, onCommit
	return store.Open(ctx, o)
}

func (c *config) checkStores(faults *faults) {
	o := c.storeOptions(nil)
	*faults = append(*faults, o.Check())
	faults.add(c.RedisPrefix != "" && len(c.RedisPrefix) <= 64 && plainPrefix(c.RedisPrefix),
		"redis-prefix: want letters, digits and _.:- and at most 64 of them, got %q", c.RedisPrefix)
	faults.add(c.RedisReplicas >= 0 && c.RedisReplicas <= 8, "redis-replicas: want 0 to 8, got %d", c.RedisReplicas)
	faults.add(c.DirectoryMaxStale >= time.Second, "directory-max-stale: want 1s or more, got %s", c.DirectoryMaxStale)
	faults.add(c.RedisTimeout >= 100*time.Millisecond && c.RedisTimeout <= time.Minute, "redis-timeout: want 100ms to 1m, got %s", c.RedisTimeout)
}

// plainPrefix reports whether a prefix is plain: no brace, which would move all
// keys of a Cluster into one slot.
func plainPrefix(text string) bool {
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == ':', r == '-':
		default:
			return false
		}
	}
	return true
}

// where says in a few words where the stores are, without secrets.
func (c *config) where() string {
	text := c.Data
	if c.Directory != "" {
		text = store.Redacted(c.Directory)
	}
	if c.Sessions != "" {
		text += " and " + store.Redacted(c.Sessions)
	} else if c.Directory != "" {
		text += " and " + c.Data
	}
	return text
}

// shown is a setting's value without secrets.
func shown(f *pflag.Flag) string {
	if f.Name == "sessions" || f.Name == "directory" {
		return store.Redacted(f.Value.String())
	}
	return f.Value.String()
}
