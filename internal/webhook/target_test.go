package webhook

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	const ( // who may dial it
		everyone = iota
		withPrivate
		nobody
	)
	rows := []struct {
		addr string
		want int
	}{
		{"1.1.1.1", everyone},
		{"100.63.255.255", everyone},
		{"100.128.0.0", everyone},
		{"172.15.255.255", everyone},
		{"172.32.0.0", everyone},
		{"192.0.1.0", everyone},
		{"198.17.255.255", everyone},
		{"198.20.0.0", everyone},
		{"223.255.255.255", everyone},
		{"2001:200::1", everyone},
		{"2606:4700:4700::1111", everyone},
		{"2a00::1%eth0", everyone},
		{"::ffff:1.1.1.1", everyone},

		{"127.0.0.1", withPrivate},
		{"127.255.255.255", withPrivate},
		{"10.0.0.1", withPrivate},
		{"172.16.0.1", withPrivate},
		{"172.31.255.255", withPrivate},
		{"192.168.1.1", withPrivate},
		{"::1", withPrivate},
		{"fc00::1", withPrivate},
		{"fdff::1", withPrivate},
		{"::ffff:127.0.0.1", withPrivate},
		{"::ffff:10.0.0.1", withPrivate},

		{"0.0.0.0", nobody},
		{"0.1.2.3", nobody},
		{"100.64.0.0", nobody},
		{"100.127.255.255", nobody},
		{"168.63.129.16", nobody},
		{"169.254.169.254", nobody},
		{"192.0.0.1", nobody},
		{"192.0.2.1", nobody},
		{"192.88.99.1", nobody},
		{"198.18.0.1", nobody},
		{"198.19.255.255", nobody},
		{"198.51.100.1", nobody},
		{"203.0.113.1", nobody},
		{"224.0.0.1", nobody},
		{"239.255.255.255", nobody},
		{"240.0.0.1", nobody},
		{"255.255.255.255", nobody},
		{"::", nobody},
		{"::ffff:169.254.169.254", nobody},
		{"::7f00:1", nobody}, // v4-compatible
		{"64:ff9b::7f00:1", nobody},
		{"64:ff9b:1::a00:1", nobody},
		{"100::1", nobody},
		{"2001::1", nobody},       // Teredo
		{"2001:2::1", nobody},     // benchmarks
		{"2001:20::1", nobody},    // ORCHID
		{"2001:db8::1", nobody},   // documentation
		{"2002:7f00:1::", nobody}, // 6to4
		{"3fff::1", nobody},       // documentation
		{"5f00::1", nobody},       // segment routing
		{"fe80::1", nobody},
		{"fe80::1%eth0", nobody},
		{"febf::1", nobody},
		{"fec0::1", nobody},
		{"ff02::1", nobody},
		{"fd00:ec2::254", nobody},
		{"fd20:ce::254", nobody},
		{"fd00:c1::a9fe:a9fe", nobody},
	}
	for _, row := range rows {
		addr := netip.MustParseAddr(row.addr)
		whole := netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen())
		for _, got := range []struct {
			name         string
			policy       policy
			https, plain bool
		}{
			{"default", policy{}, row.want == everyone, false},
			{"AllowPrivate", policy{private: true}, row.want != nobody, row.want == withPrivate},
			{"AllowPrefixes", policy{allowed: []netip.Prefix{whole}}, true, true},
		} {
			checkJudged(t, got.name+" https "+row.addr, addr, got.policy.judge(addr, true), got.https)
			checkJudged(t, got.name+" http "+row.addr, addr, got.policy.judge(addr, false), got.plain)
			dialed := got.policy.control(true)("tcp", netip.AddrPortFrom(addr, 443).String(), nil)
			checkJudged(t, got.name+" dialed "+row.addr, addr, dialed, got.https)
		}
	}
}

func checkJudged(t *testing.T, name string, addr netip.Addr, err error, ok bool) {
	t.Helper()
	switch {
	case ok && err != nil:
		t.Errorf("%s: got %v, want it allowed", name, err)
	case !ok && (!errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), addr.String())):
		t.Errorf("%s: got %v, want ErrTarget with the address", name, err)
	}
}

func TestControlUnreadable(t *testing.T) {
	for _, address := range []string{"", "localhost:443", "1.1.1.1", "/run/socket"} {
		if err := (policy{private: true}).control(true)("unix", address, nil); !errors.Is(err, ErrTarget) {
			t.Errorf("%q: got %v, want ErrTarget", address, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	closed := New(Options{})
	private := New(Options{AllowPrivate: true})
	prefix := New(Options{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	long := "https://hooks.example/" + strings.Repeat("a", maxURL)
	rows := []struct {
		sender *Sender
		url    string
		ok     bool
	}{
		{closed, "https://hooks.example", true},
		{closed, "HTTPS://hooks.example:8443/a?token=b", true},
		{closed, "https://1.1.1.1:1/", true},
		{closed, "https://[2606:4700::1]:65535/", true},
		{closed, long[:maxURL], true},
		{closed, long[:maxURL+1], false},
		{closed, "", false},
		{closed, "hooks.example", false},
		{closed, "//hooks.example/", false},
		{closed, "https:hooks.example", false},
		{closed, "https:///path", false},
		{closed, "https://:443/", false},
		{closed, "https://hooks.example:0/", false},
		{closed, "https://hooks.example:65536/", false},
		{closed, "https://hooks.example:x/", false},
		{closed, "https://hooks.example/#part", false},
		{closed, "https://hooks.example/#", false},
		{closed, "https://pass-word@hooks.example/", false},
		{closed, "https://user:pass-word@hooks.example/", false},
		{closed, "https://user:pass-word@hooks.example:x/", false},
		{closed, "https://@hooks.example/", false},
		{closed, "https://hooks.example/\n", false},
		{closed, "ftp://hooks.example/", false},
		{closed, "file:///etc/passwd", false},
		{closed, "http://hooks.example/", false},
		{closed, "http://1.1.1.1/", false},
		{closed, "https://127.0.0.1/", false},
		{closed, "https://[::ffff:127.0.0.1]/", false},
		{closed, "https://[fe80::1%25eth0]/", false},
		{private, "http://hooks.example/", true}, // judged when dialed
		{private, "http://127.0.0.1:8080/", true},
		{private, "http://1.1.1.1/", false},
		{private, "https://1.1.1.1/", true},
		{private, "http://169.254.169.254/", false},
		{prefix, "http://hooks.example/", true},
		{prefix, "http://198.51.100.7/", true},
		{prefix, "https://198.51.100.7/", true},
		{prefix, "http://127.0.0.1/", false},
	}
	for _, row := range rows {
		err := row.sender.CheckURL(row.url)
		if row.ok && err != nil || !row.ok && !errors.Is(err, ErrTarget) {
			t.Errorf("%s: got %v, want ok: %v, else ErrTarget", row.url, err, row.ok)
		}
		if err != nil && strings.Contains(err.Error(), "pass-word") {
			t.Errorf("%s: got %v, want no userinfo", row.url, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://hooks.example:1/a?b", "https://u:p@h/#", "http://[::1%25a]:2", "https://127.1"} {
		f.Add(seed)
	}
	sender := New(Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		err := sender.CheckURL(raw)
		if err != nil && !errors.Is(err, ErrTarget) {
			t.Errorf("got %v, want ErrTarget", err)
		}
		if err == nil && !strings.EqualFold(raw[:min(len(raw), 8)], "https://") {
			t.Errorf("got %q accepted, want https only", raw)
		}
	})
}
