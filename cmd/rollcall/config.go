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
)

// A config is everything that can be set about a server. Each field is a flag,
// an environment variable and a key of the configuration file by one name:
// --admin-listen, ROLLCALL_ADMIN_LISTEN, admin-listen. The flag beats the
// environment, and that the file.
type config struct {
	Listen           string
	AdminListen      string
	Data             string
	MasterKeyFile    string
	Sync             string
	TLSCert          string
	TLSKey           string
	AdminTLSCert     string
	AdminTLSKey      string
	InsecureHTTP     bool
	MaxClockSkew     time.Duration
	LeaseTTL         time.Duration
	SessionLifetime  time.Duration
	RequestRetention time.Duration
	DrainDelay       time.Duration
	DrainTimeout     time.Duration
	LogLevel         string
	LogFormat        string

	// masterKey is from the environment only: a flag would show it in ps, and
	// the file is often less secret than it.
	masterKey string
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
	f.StringVar(&c.MasterKeyFile, "master-key-file", "", "`file` with the master key (default DATA/master.key; "+envMasterKey+" beats it)")
	f.StringVar(&c.Sync, "sync", "full", "durability of a session's start: full survives loss of power, normal survives the death of the process and commits faster")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM `file` of the v2 listener's certificate; read again when it changes")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM `file` of the certificate's key")
	f.StringVar(&c.AdminTLSCert, "admin-tls-cert", "", "PEM `file` of the admin listener's certificate")
	f.StringVar(&c.AdminTLSKey, "admin-tls-key", "", "PEM `file` of that certificate's key")
	f.BoolVar(&c.InsecureHTTP, "insecure-http", false, "allow plain HTTP beyond loopback, for a server behind a proxy that does TLS")
	f.DurationVar(&c.MaxClockSkew, "max-clock-skew", 5*time.Minute, "how far x-timestamp may be from the clock")
	f.DurationVar(&c.LeaseTTL, "lease-ttl", 90*time.Second, "how long a session lives without a heartbeat")
	f.DurationVar(&c.SessionLifetime, "session-lifetime", 12*time.Hour, "how long a session lives at the most")
	f.DurationVar(&c.RequestRetention, "request-retention", 7*24*time.Hour, "how long request records are kept")
	f.DurationVar(&c.DrainDelay, "drain-delay", time.Second, "at SIGTERM: how long /readyz says no before connections are refused")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", 20*time.Second, "at SIGTERM: how long requests in flight may take")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; debug has a line for each request")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
	return f
}

// listenFlags declares those that the sandbox has too.
func (c *config) listenFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Listen, "listen", defaultListen, "`address` of the v2 API; port 0 takes a free one")
	f.StringVar(&c.AdminListen, "admin-listen", defaultAdminListen, "`address` of the admin API, /livez, /readyz and /metrics")
	f.StringVar(&c.Data, "data", "", "`directory` of the stores")
}

// load fills in what no flag set, from the environment and the file, and returns
// where each value came from. It reports all faults at once, as usageErrors.
func (c *config) load(f *pflag.FlagSet, file string, environ []string) (sources map[string]string, err error) {
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
	if err := errors.Join(append(errs, c.check()...)...); err != nil {
		return nil, usageError{fmt.Errorf("the configuration is wrong:\n%w", err)}
	}
	return sources, nil
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
	case envMasterKey, envPrefix + "CONFIG", envPrefix + "CREDENTIALS", envPrefix + "ADMIN_URL", envPrefix + "ADMIN_TOKEN":
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
	text, err := os.ReadFile(file)
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
	var errs []error
	add := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Data != "", "data: say in which directory the stores are (--data DIR)")
	add(c.Sync == "full" || c.Sync == "normal", "sync: want full or normal, got %q", c.Sync)
	add(c.LogFormat == "text" || c.LogFormat == "json", "log-format: want text or json, got %q", c.LogFormat)
	add(c.MaxClockSkew >= time.Second && c.MaxClockSkew <= time.Hour, "max-clock-skew: want 1s to 1h, got %s", c.MaxClockSkew)
	add(c.LeaseTTL >= time.Second, "lease-ttl: want at least 1s, got %s", c.LeaseTTL)
	add(c.SessionLifetime >= c.LeaseTTL, "session-lifetime: want at least lease-ttl, got %s", c.SessionLifetime)
	add(c.RequestRetention >= time.Minute, "request-retention: want at least 1m, got %s", c.RequestRetention)
	add(c.DrainDelay >= 0, "drain-delay: want 0 or more, got %s", c.DrainDelay)
	add(c.DrainTimeout > 0, "drain-timeout: want more than 0, got %s", c.DrainTimeout)
	var level slog.Level
	add(level.UnmarshalText([]byte(c.LogLevel)) == nil, "log-level: want debug, info, warn or error, got %q", c.LogLevel)
	errs = append(errs, c.checkListener("listen", c.Listen, c.TLSCert, c.TLSKey))
	return append(errs, c.checkListener("admin-listen", c.AdminListen, c.AdminTLSCert, c.AdminTLSKey))
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
