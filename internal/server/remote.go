package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks whose X-Forwarded-For is believed.
type proxies []netip.Prefix

// remote returns the address that r is from: the connection's, or where that is a
// proxy's, the last one of X-Forwarded-For that is none. What stands in front of it
// its sender may have made up. The text is for people, and the same where the
// address is none that could be read.
func (p proxies) remote(r *http.Request) (address netip.Addr, text string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err = netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, host
	}
	if address = address.Unmap(); !p.contain(address) {
		return address, host
	}
	for _, hop := range slices.Backward(strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")) {
		from, err := addressOf(strings.TrimSpace(hop))
		if err != nil {
			break // the proxy before it is the last that is known
		}
		if address = from.Unmap(); !p.contain(address) {
			break
		}
	}
	return address, address.String()
}

// addressOf reads an address, which some proxies write with a port.
func addressOf(text string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr(), nil
	}
	return netip.ParseAddr(strings.Trim(text, "[]"))
}

func (p proxies) contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// neighbourhood is how much of an IPv6 address a household has for itself.
const neighbourhood = 64

// keyOf returns the text under which an address is counted: of IPv6 the /64.
func keyOf(address netip.Addr, text string) string {
	if !address.Is6() {
		return text
	}
	prefix, _ := address.WithZone("").Prefix(neighbourhood) // it is within 128
	return prefix.String()
}
