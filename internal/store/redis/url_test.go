package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url, addrs, user, password, master string
		db                                 int
		tls                                bool
	}{
		{url: "redis://h", addrs: "h:6379"},
		{url: "redis://h:1/3", addrs: "h:1", db: 3},
		{url: "redis://[::1]:1", addrs: "[::1]:1"},
		{url: "redis://[::1]", addrs: "[::1]:6379"},
		{url: "valkey://u:p%40%2F%23@h:1", addrs: "h:1", user: "u", password: "p@/#"},
		{url: "redis://:p@h", addrs: "h:6379", password: "p"},
		{url: "rediss://h:1", addrs: "h:1", tls: true},
		{url: "valkeys+cluster://u:p@a:1,b,c:3", addrs: "a:1 b:6379 c:3", user: "u", password: "p", tls: true},
		{url: "redis+cluster://a:1", addrs: "a:1"},
		{url: "redis+sentinel://u:p@a,b:2/m?sentinel-user=x&sentinel-password=y", addrs: "a:26379 b:2", user: "u", password: "p", master: "m"},
		{url: "rediss+sentinel://a/m/4", addrs: "a:26379", master: "m", db: 4, tls: true},
		{url: "unix:///run/redis.sock?db=2", addrs: "/run/redis.sock", db: 2},
		{url: "unix://u:p@/run/redis.sock", addrs: "/run/redis.sock", user: "u", password: "p"},
	} {
		o, err := parseURL(c.url)
		got := strings.Join(o.InitAddress, " ")
		if err != nil || got != c.addrs || o.Username != c.user || o.Password != c.password || o.SelectDB != c.db ||
			o.Sentinel.MasterSet != c.master || (o.TLSConfig != nil) != c.tls {
			t.Errorf("%s: got %s %s %s %d %s %v, error %v", c.url, got, o.Username, o.Password, o.SelectDB, o.Sentinel.MasterSet, o.TLSConfig != nil, err)
		}
	}
}

func TestWrongURL(t *testing.T) {
	const secret = "s3cret"
	for _, url := range []string{
		"", "h:6379", "http://u:s3cret@h", "redis:u:s3cret@h", "redis://", "redis://u:s3cret@", "redis://u:s3cret@a,b",
		"redis://u:s3cret@h/x", "redis://u:s3cret@h/-1", "redis+cluster://u:s3cret@h/1", "redis+sentinel://u:s3cret@h", "redis+sentinel://u:s3cret@h/",
		"redis+other://u:s3cret@h", "unix://u:s3cret@", "unix://u:s3cret@/x?db=x", "redis://u:s3cret@h:port", "redis://u:s3cret%zz@h",
		// A password that is not escaped ends up elsewhere.
		"redis://u:12/s3cret@h:6379", "redis://u:12#s3cret@h:6379", "redis://u:12?s3cret@h:6379", "redis://u:s3cret/x@h", "redis://:12/s3cret@h",
		// A parameter that is not known would be ignored.
		"redis://u:s3cret@h?ca=/etc/ca.pem", "rediss://u:s3cret@h?cafile=/etc/ca.pem", "redis://u:s3cret@h?s3cret", "rediss://u:s3cret@h?sentinel-password=s3cret",
		"redis://h:1?db=1", "unix:///run/redis.sock?ca=x", "rediss+cluster://h?servername=x",
		"rediss://u:s3cret@h?ca=/none/of/this", "rediss://u:s3cret@h?cert=/none", "rediss+sentinel://u:s3cret@h/m?ca=/none&sentinel-password=s3cret",
	} {
		s, err := Open(t.Context(), url, Options{})
		switch {
		case err == nil:
			t.Errorf("%s was opened", url)
			must(t, s.Close())
		case strings.Contains(err.Error(), secret), strings.Contains(err.Error(), "12"):
			t.Errorf("the error repeats the password: %v", err)
		case errors.Is(err, rollcall.ErrUnavailable):
			t.Errorf("%s: got an outage, want that it is wrong: %v", url, err)
		}
	}
}
