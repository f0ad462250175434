package main

import (
	"net/netip"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/server"
)

// Defaults that only a flood meets: one core answers some 20,000 checks a second.
const (
	defaultRate        = 10_000
	defaultAddressRate = 50_000
	// concurrentPerCPU lets group commits fill, and keeps a call inside for some
	// 15 ms where all places are taken.
	concurrentPerCPU = 256
)

func (c *config) limitFlags(f *pflag.FlagSet) {
	f.IntVar(&c.RateLimit, "rate-limit", defaultRate, "how many calls of each v2 endpoint an agent has in a second, over all servers; 0: no limit")
	f.IntVar(&c.RateBurst, "rate-burst", 0, "how many at once, after a pause; 0: twice rate-limit")
	f.IntVar(&c.AddressRate, "address-rate", defaultAddressRate, "how many calls one address has in a second, whoever calls, of each server; 0: no limit")
	f.IntVar(&c.AddressBurst, "address-burst", 0, "how many at once, after a pause; 0: twice address-rate")
	f.StringVar(&c.TrustedProxies, "trusted-proxies", "", "`networks` of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, with commas")
	f.IntVar(&c.MaxConcurrent, "max-concurrent", concurrentPerCPU*runtime.GOMAXPROCS(0),
		"how many calls of the v2 API are worked on at a time, and as many of game servers; 0: no bound")
}

// Each is 0 for both numbers, or has a burst.
func (c *config) agentRate() rollcall.RateLimit {
	return rollcall.RateLimit{PerSecond: c.RateLimit, Burst: c.RateBurst}
}

func (c *config) addressRate() rollcall.RateLimit {
	return rollcall.RateLimit{PerSecond: c.AddressRate, Burst: c.AddressBurst}
}

func (c *config) checkLimits(faults *faults) {
	const want = "want %s of 0 to %d, and %s of 0 to %d, and 0 where that is"
	faults.add(c.agentRate().Valid(), want, "rate-limit", rollcall.MaxRate, "rate-burst", rollcall.MaxBurst)
	faults.add(c.addressRate().Valid(), want, "address-rate", rollcall.MaxRate, "address-burst", rollcall.MaxBurst)
	faults.add(c.MaxConcurrent >= 0, "max-concurrent: want 0 or more, got %d", c.MaxConcurrent)
	_, err := c.trustedProxies()
	faults.add(err == nil, "trusted-proxies: %w", err)
}

// trustedProxies returns the networks of that setting.
func (c *config) trustedProxies() ([]netip.Prefix, error) { return networks(c.TrustedProxies) }

// newLimiter makes what bounds the agents' calls. ahead is for how long tokens are
// taken ahead: 0 where the limits are in this process.
func newLimiter(limits roll.Limits, ahead time.Duration, metrics *server.Metrics) *roll.Limiter {
	return roll.NewLimiter(roll.LimiterOptions{
		Limits: limits, Local: live.NewBuckets(time.Now), Near: ahead == 0, Ahead: ahead, OnLocal: metrics.JudgedLocally,
	})
}
