package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const maxURL = 2048

// global is what may be dialed at all: of IPv6 the one block that IANA gives to
// global unicast, which leaves out loopback, ULA, link-local, site-local,
// multicast, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), discard (100::/64),
// v4-compatible addresses and whatever comes next.
var global = prefixes("0.0.0.0/0", "2000::/3")

// special is what is not globally routable unicast within global, by the
// special-purpose registries of IANA (RFC 6890 and later).
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, and the metadata of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"2001::/23",       // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4, which leads to any v4 address
	"3fff::/20",       // documentation
)

// private is what AllowPrivate opens: a machine's and an organisation's own
// networks. Link-local and carrier-grade NAT stay shut.
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")

// metadata are the services of clouds that stand outside of link-local and give
// credentials or configuration to who asks: shut even where private is open.
var metadata = prefixes("168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128")

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func within(all []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// A policy says which addresses webhooks may go to.
type policy struct {
	private bool
	allowed []netip.Prefix
}

// judge returns nil where addr may be dialed, else an ErrTarget that names it.
// Without TLS it takes more than being public: the operator has to have opened it.
func (p policy) judge(addr netip.Addr, secure bool) error {
	// A zone would keep every prefix from matching.
	switch plain := addr.Unmap().WithZone(""); {
	case p.opened(plain), secure && isPublic(plain):
		return nil
	case isPublic(plain):
		return fmt.Errorf("%w: %s over http, want https", ErrTarget, addr)
	}
	return fmt.Errorf("%w: address %s is not public", ErrTarget, addr)
}

func (p policy) opened(addr netip.Addr) bool {
	return within(p.allowed, addr) || p.private && within(private, addr) && !within(metadata, addr)
}

func isPublic(addr netip.Addr) bool {
	return within(global, addr) && !within(special, addr) && !within(metadata, addr)
}

// control returns the hook of a dialer that judges the address really dialed:
// it comes after DNS, so no name, and no name that changes, leads around it.
func (p policy) control(secure bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: address %q", ErrTarget, address)
		}
		return p.judge(target.Addr(), secure)
	}
}

// CheckURL reports what keeps webhooks from being sent to raw, as an ErrTarget;
// nil is no promise, since the address that its name leads to is judged at each
// Send. It asks for an absolute https URL of at most 2048 bytes, without userinfo
// and fragment; http is for targets that the options open. The error does not
// repeat raw, that may hold credentials.
func (s *Sender) CheckURL(raw string) error {
	_, err := s.policy.parse(raw)
	return err
}

func (p policy) parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%w: URL of %d bytes, want at most %d", ErrTarget, len(raw), maxURL)
	}
	target, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrTarget) // url's error has the userinfo
	}
	if err := checkForm(target, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	if err := p.checkHost(target.Hostname(), target.Scheme == "https"); err != nil {
		return nil, err
	}
	return target, nil
}

func checkForm(target *url.URL, raw string) error {
	switch {
	case target.Scheme != "https" && target.Scheme != "http":
		return errors.New("URL is not https")
	case target.User != nil:
		return errors.New("URL with userinfo")
	case strings.Contains(raw, "#"):
		return errors.New("URL with a fragment")
	case target.Hostname() == "":
		return errors.New("URL without a host")
	case !isPort(target.Port()):
		return errors.New("URL whose port is not 1 to 65535")
	}
	return nil
}

// isPort takes "" too: the scheme's own.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && port > 0
}

// checkHost judges what can be judged without DNS.
func (p policy) checkHost(host string, secure bool) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.judge(addr, secure)
	}
	if !secure && !p.private && len(p.allowed) == 0 {
		return fmt.Errorf("%w: URL is not https", ErrTarget)
	}
	return nil
}
