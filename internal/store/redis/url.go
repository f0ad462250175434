package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
)

// parseURL reads where an engine is:
//
//	redis://[USER:PASSWORD@]HOST:PORT[/DB]      one server
//	redis+sentinel://…@HOST:PORT,…/NAME[/DB]    the master NAME of some sentinels
//	redis+cluster://…@HOST:PORT,…               a Cluster, by some of its nodes
//	unix://[USER:PASSWORD@]/PATH[?db=DB]        one server, by its socket
//
// rediss in place of redis uses TLS, with ?ca=FILE for another authority than
// the system's; ?cert=FILE and ?key=FILE for a client's certificate;
// ?server-name=NAME for what the certificate says; ?sentinel-user= and
// ?sentinel-password= for the sentinels. valkey and valkeys are other names of
// redis and rediss.
func parseURL(text string) (o rueidis.ClientOption, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return o, errors.New("it is no URL") // the error would repeat it
	}
	if strangeAt(u) {
		return o, errors.New("an @ is where none belongs: in a password %2F stands for /, %23 for #, %3F for ? and %40 for @")
	}
	scheme, mode, _ := strings.Cut(u.Scheme, "+")
	query := u.Query()
	if err := knownParameters(query, scheme, mode); err != nil {
		return o, err
	}
	if u.User != nil {
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	switch scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		if o.TLSConfig, err = tlsConfig(query); err != nil {
			return o, err
		}
	case "unix":
		if o.SelectDB, err = database(query.Get("db")); err == nil && u.Path == "" {
			err = errors.New("want unix:///path/of/the/socket")
		}
		o.InitAddress, o.ForceSingleClient, o.DialCtxFn = []string{u.Path}, true, dialUnix
		return o, err
	default:
		return o, fmt.Errorf("scheme %q: want redis, rediss, redis+sentinel, redis+cluster or unix", u.Scheme)
	}
	if o.InitAddress, err = addresses(u.Host, mode); err != nil {
		return o, err
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch mode {
	case "":
		o.ForceSingleClient = true
		o.SelectDB, err = database(path[0])
	case "cluster":
		if path[0] != "" {
			err = errors.New("a Cluster has no databases")
		}
	case "sentinel":
		o.Sentinel.MasterSet, o.Sentinel.TLSConfig = path[0], o.TLSConfig
		o.Sentinel.Username, o.Sentinel.Password = query.Get("sentinel-user"), query.Get("sentinel-password")
		if path[0] == "" {
			err = errors.New("want the master's name behind the sentinels: redis+sentinel://HOST:PORT/NAME")
		} else if len(path) > 1 {
			o.SelectDB, err = database(path[1])
		}
	default:
		err = fmt.Errorf("scheme %q: want redis, rediss, redis+sentinel, redis+cluster or unix", u.Scheme)
	}
	return o, err
}

// knownParameters refuses what would be ignored: a misspelt ca is no TLS as it was
// meant. An unknown name is not repeated, since it may be a part of a password.
func knownParameters(query url.Values, scheme, mode string) error {
	var known []string
	if scheme == "rediss" || scheme == "valkeys" {
		known = append(known, "ca", "cert", "key", "server-name")
	}
	if mode == "sentinel" {
		known = append(known, "sentinel-user", "sentinel-password")
	}
	if scheme == "unix" {
		known = append(known, "db")
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is an unknown parameter behind ?: want %s", cmp.Or(strings.Join(known, ", "), "none with this scheme"))
		}
	}
	return nil
}

// CheckURL reports what is wrong with a URL, without connecting.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// notConnected says in plain words that an engine lets nobody in. Later on such
// an error is an outage like any.
func notConnected(err error) error {
	if r, ok := rueidis.IsRedisErr(err); ok {
		switch word, _, _ := strings.Cut(r.Error(), " "); word {
		case "WRONGPASS", "NOAUTH":
			return fmt.Errorf("redis: connect: %w: the password or user is wrong (%s)", rollcall.ErrInvalid, word)
		}
	}
	return outage("connect", err)
}

func dialUnix(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return dialer.DialContext(ctx, "unix", path)
}

func database(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("database %q: want a number", text)
	}
	return n, nil
}

func addresses(hosts, mode string) ([]string, error) {
	port := "6379"
	if mode == "sentinel" {
		port = "26379"
	}
	var list []string
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return nil, errors.New("want the address of the engine: redis://HOST:PORT")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		list = append(list, host)
	}
	if mode == "" && len(list) > 1 {
		return nil, errors.New("several addresses: say redis+sentinel or redis+cluster")
	}
	return list, nil
}

func tlsConfig(query url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: query.Get("server-name")}
	if file := query.Get("ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", file)
		}
	}
	if query.Get("cert") != "" || query.Get("key") != "" {
		pair, err := tls.LoadX509KeyPair(query.Get("cert"), query.Get("key"))
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// redacted returns a URL without its secrets: its scheme and hosts, and nothing
// at all where an @ stands behind those, since a password with a / or a # in it
// seems to be a host and what follows.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil || strangeAt(u) {
		return "the URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// strangeAt reports whether an @ stands where none belongs.
func strangeAt(u *url.URL) bool {
	return u.Opaque != "" || strings.Contains(u.Path+u.Fragment+u.RawQuery, "@") || u.User != nil && strings.Contains(u.User.Username(), "/")
}
