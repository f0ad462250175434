package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A config is everything that can be set about a server. Each field is a flag,
// an environment variable and a key of the configuration file by one name:
// --admin-listen, ROLLCALL_ADMIN_LISTEN, admin-listen. The flag beats the
// environment, and that the file.
type config struct {
	Listen              string
	GameListen          string
	AdminListen         string
	Data                string
	Sessions            string
	Directory           string
	RedisPrefix         string
	RedisTimeout        time.Duration
	RedisReplicas       int
	DirectoryMaxStale   time.Duration
	NoMigrate           bool
	ClockOffset         time.Duration
	MasterKeyFile       string
	Sync                string
	TLSCert             string
	TLSKey              string
	GameTLSCert         string
	GameTLSKey          string
	AdminTLSCert        string
	AdminTLSKey         string
	InsecureHTTP        bool
	MaxClockSkew        time.Duration
	LeaseTTL            time.Duration
	HeartbeatEvery      time.Duration
	SessionLifetime     time.Duration
	LaunchURL           string
	RequestRetention    time.Duration
	SessionHistory      time.Duration
	EventRetention      time.Duration
	WebhookAllowPrivate bool
	WebhookAllow        string
	RateLimit           int
	RateBurst           int
	AddressRate         int
	AddressBurst        int
	TrustedProxies      string
	MaxConcurrent       int
	DrainDelay          time.Duration
	DrainTimeout        time.Duration
	LogLevel            string
	LogFormat           string

	// masterKey is from the environment only: a flag would show it in ps, and
	// the file is often less secret than it.
	masterKey string
	// sandbox serves from stores that nobody has made: it puts its cast there.
	sandbox bool
}

const (
	defaultListen      = "127.0.0.1:7401"
	defaultAdminListen = "127.0.0.1:7402"
	envPrefix          = "ROLLCALL_"
	envMasterKey       = envPrefix + "MASTER_KEY"
)

// flags declares the settings with their defaults.
func (c *config) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	c.listenFlags(f)
	c.storeFlags(f)
	c.secretFlags(f)
	c.sessionFlags(f)
	c.limitFlags(f)
	c.processFlags(f)
	return f
}

func (c *config) secretFlags(f *pflag.FlagSet) {
	f.StringVar(&c.GameListen, "game-listen", "", "`address` of the game servers' API (default: shared with --listen)")
	f.StringVar(&c.MasterKeyFile, "master-key-file", "", "`file` with the master key (default DATA/master.key; "+envMasterKey+" beats it)")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM `file` of the v2 listener's certificate; read again when it changes")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM `file` of the certificate's key")
	f.StringVar(&c.GameTLSCert, "game-tls-cert", "", "PEM `file` of the certificate of --game-listen")
	f.StringVar(&c.GameTLSKey, "game-tls-key", "", "PEM `file` of that certificate's key")
	f.StringVar(&c.AdminTLSCert, "admin-tls-cert", "", "PEM `file` of the admin listener's certificate")
	f.StringVar(&c.AdminTLSKey, "admin-tls-key", "", "PEM `file` of that certificate's key")
	f.BoolVar(&c.InsecureHTTP, "insecure-http", false, "allow plain HTTP beyond loopback, for a server behind a proxy that does TLS")
	f.DurationVar(&c.MaxClockSkew, "max-clock-skew", 5*time.Minute, "how far x-timestamp may be from the clock")
}

func (c *config) sessionFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Sync, "sync", "full", "durability of a session's start: full survives loss of power, normal survives the death of the process and commits faster")
	f.DurationVar(&c.LeaseTTL, "lease-ttl", 90*time.Second, "how long a session lives without a heartbeat, in whole seconds")
	f.DurationVar(&c.HeartbeatEvery, "heartbeat-every", 30*time.Second, "how often game servers are to renew sessions; a third of lease-ttl at the most")
	f.DurationVar(&c.SessionLifetime, "session-lifetime", 12*time.Hour, "how long a session lives at the most")
	f.StringVar(&c.LaunchURL, "launch-url", "", "`URL` where members are sent to play games that have none of their own")
	f.DurationVar(&c.RequestRetention, "request-retention", 7*24*time.Hour, "how long request records are kept")
	f.DurationVar(&c.SessionHistory, "session-history", 90*24*time.Hour, "how long ended sessions are kept")
	f.DurationVar(&c.EventRetention, "event-retention", 7*24*time.Hour, "how long kicks, their receipts and webhooks that were given up are kept")
	f.BoolVar(&c.WebhookAllowPrivate, "webhook-allow-private", false, "let webhooks go to loopback and private addresses, over http too")
	f.StringVar(&c.WebhookAllow, "webhook-allow", "", "`networks` that webhooks may go to, such as 10.1.0.0/16, with commas")
}

func (c *config) processFlags(f *pflag.FlagSet) {
	f.DurationVar(&c.DrainDelay, "drain-delay", time.Second, "at SIGTERM: how long /readyz says no before connections are refused")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", 20*time.Second, "at SIGTERM: how long requests in flight may take")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; debug has a line for each request")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
}

// listenFlags declares those that the sandbox has too.
func (c *config) listenFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Listen, "listen", defaultListen, "`address` of the v2 API; port 0 takes a free one")
	f.StringVar(&c.AdminListen, "admin-listen", defaultAdminListen, "`address` of the admin API, /livez, /readyz and /metrics")
}

// load reads the settings and checks them all. It reports all faults at once, as
// usageErrors.
func (c *config) load(f *pflag.FlagSet, file string, environ []string) (sources map[string]string, err error) {
	sources, err = c.read(f, file, environ)
	return sources, wrongConfig(append(c.check(), err)...)
}

func wrongConfig(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return usageError{fmt.Errorf("the configuration is wrong:\n%w", err)}
	}
	return nil
}

// read fills in what no flag set, from the environment and the file, and returns
// where each value came from.
func (c *config) read(f *pflag.FlagSet, file string, environ []string) (sources map[string]string, err error) {
	fromEnv, envErr := readEnviron(f, environ)
	fromFile, fileErr := readConfigFile(f, file)
	errs := []error{envErr, fileErr}
	sources = make(map[string]string)
	f.VisitAll(func(flag *pflag.Flag) {
		sources[flag.Name] = "default"
		if flag.Changed {
			sources[flag.Name] = "flag"
			return
		}
		for _, from := range []setting{fromEnv[flag.Name], fromFile[flag.Name]} {
			if from.source == "" {
				continue
			}
			sources[flag.Name] = from.source
			if err := f.Set(flag.Name, from.value); err != nil {
				errs = append(errs, fmt.Errorf("%s, from %s: %w", flag.Name, from.source, err))
			}
			return
		}
	})
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); name == envMasterKey {
			c.masterKey = value
		}
	}
	return sources, errors.Join(errs...)
}

// A setting is a value and where it is from.
type setting struct{ value, source string }

// readEnviron returns the settings that are in the environment, by flag name.
func readEnviron(f *pflag.FlagSet, environ []string) (map[string]setting, error) {
	found := make(map[string]setting)
	var errs []error
	for _, pair := range environ {
		env, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(env, envPrefix)
		if !ours || foreignEnv(env) {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		if f.Lookup(name) == nil {
			errs = append(errs, fmt.Errorf("environment variable %s: no such setting", env))
			continue
		}
		found[name] = setting{value, "environment variable " + env}
	}
	return found, errors.Join(errs...)
}

// foreignEnv reports whether a variable of our prefix is not a server's setting:
// those of the other commands, of the tests, and those that Kubernetes sets in
// every pod beside a Service named rollcall or rollcall-something.
func foreignEnv(env string) bool {
	switch env {
	case envMasterKey, envAgentID, envAPIKey, envSecret, envPrefix + "CONFIG", envPrefix + "CREDENTIALS", envPrefix + "ADMIN_URL", envPrefix + "ADMIN_TOKEN":
		return true
	}
	return strings.HasPrefix(env, envPrefix+"TEST_") || strings.HasSuffix(env, "_PORT") ||
		strings.Contains(env, "_SERVICE_") || strings.Contains(env, "_PORT_")
}

// readConfigFile returns the settings of a YAML file of scalars, by flag name;
// none where file is empty.
func readConfigFile(f *pflag.FlagSet, file string) (map[string]setting, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found := make(map[string]setting)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch value := values[name].(type) {
		case string, bool, int:
			found[name] = setting{fmt.Sprint(value), file}
		default:
			errs = append(errs, fmt.Errorf("%s: %s: want a text, a number, true or false", file, name))
		}
		if f.Lookup(name) == nil {
			errs = append(errs, fmt.Errorf("%s: %s: no such setting", file, name))
		}
	}
	return found, errors.Join(errs...)
}

// check returns every fault of the values themselves.
func (c *config) check() []error {
	var faults faults
	c.checkStores(&faults)
	faults.add(c.LogFormat == "text" || c.LogFormat == "json", "log-format: want text or json, got %q", c.LogFormat)
	faults.add(c.MaxClockSkew >= time.Second && c.MaxClockSkew <= time.Hour, "max-clock-skew: want 1s to 1h, got %s", c.MaxClockSkew)
	c.checkSessions(&faults)
	c.checkLimits(&faults)
	faults.add(c.DrainDelay >= 0, "drain-delay: want 0 or more, got %s", c.DrainDelay)
	faults.add(c.DrainTimeout > 0, "drain-timeout: want more than 0, got %s", c.DrainTimeout)
	var level slog.Level
	faults.add(level.UnmarshalText([]byte(c.LogLevel)) == nil, "log-level: want debug, info, warn or error, got %q", c.LogLevel)
	faults.add(c.GameListen != "" || c.GameTLSCert == "" && c.GameTLSKey == "", "game-tls-cert: there is no game-listen that it is for")
	faults = append(faults, c.checkListener("listen", c.Listen, c.TLSCert, c.TLSKey))
	if c.GameListen != "" {
		faults = append(faults, c.checkListener("game-listen", c.GameListen, c.GameTLSCert, c.GameTLSKey))
	}
	return append(faults, c.checkListener("admin-listen", c.AdminListen, c.AdminTLSCert, c.AdminTLSKey))
}

// faults are what is wrong, nil where an entry is right.
type faults []error

func (f *faults) add(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

// minLease lets three heartbeats into a lease, which are in whole seconds.
const minLease = 3 * time.Second

func (c *config) checkSessions(faults *faults) {
	faults.add(c.Sync == "full" || c.Sync == "normal", "sync: want full or normal, got %q", c.Sync)
	faults.add(c.LeaseTTL >= minLease && whole(c.LeaseTTL), "lease-ttl: want whole seconds, at least %s, got %s", minLease, c.LeaseTTL)
	faults.add(c.HeartbeatEvery >= time.Second && whole(c.HeartbeatEvery), "heartbeat-every: want whole seconds, at least 1s, got %s", c.HeartbeatEvery)
	faults.add(c.SessionLifetime >= c.LeaseTTL && c.SessionLifetime <= roll.MaxLifetime,
		"session-lifetime: want lease-ttl to %s, got %s", roll.MaxLifetime, c.SessionLifetime)
	faults.add(c.LaunchURL == "" || rollcall.ValidLaunchURL(c.LaunchURL), "launch-url: want an http or https URL without a fragment, got %q", c.LaunchURL)
	faults.add(c.RequestRetention >= time.Minute, "request-retention: want at least 1m, got %s", c.RequestRetention)
	// A session that a game server announces after a loss of data is compared
	// with those that have ended, and with the kicks, since it began.
	faults.add(c.SessionHistory >= roll.MaxLifetime, "session-history: want at least %s, got %s", roll.MaxLifetime, c.SessionHistory)
	faults.add(c.EventRetention >= roll.MaxLifetime, "event-retention: want at least %s, got %s", roll.MaxLifetime, c.EventRetention)
	_, err := c.webhookAllow()
	faults.add(err == nil, "webhook-allow: %w", err)
}

func whole(d time.Duration) bool { return d%time.Second == 0 }

// webhookAllow returns the networks of the setting webhook-allow.
func (c *config) webhookAllow() ([]netip.Prefix, error) { return networks(c.WebhookAllow) }

// networks reads a list of networks with commas.
func networks(list string) (all []netip.Prefix, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() {
			return nil, fmt.Errorf("want networks such as 10.1.0.0/16 or fd00::/8 with commas, got %q", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// checkListener refuses what would send tokens over a network in the clear.
func (c *config) checkListener(name, address, cert, key string) error {
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return fmt.Errorf("%s: want HOST:PORT, got %q", name, address)
	case (cert == "") != (key == ""):
		return fmt.Errorf("%s: a TLS certificate and its key go together", name)
	case cert == "" && !loopback(host) && !c.InsecureHTTP:
		return fmt.Errorf("%s: %s is reachable from other machines in plain HTTP: give a TLS certificate, or --insecure-http behind a proxy that does TLS", name, address)
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
