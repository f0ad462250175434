package redis

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// A crowd is many sessions of one member each, as they are where 10 agents share
// 20 games on 5 game servers.
type crowd struct {
	*node

	engine *enginetest.RedisServer
	boots  [5]string
	list   []rollcall.Session
	bytes  float64 // of the engine's memory, for each
}

func newCrowd(b *testing.B, count int) *crowd {
	b.Helper()
	engine := enginetest.Redis(b)
	o := fresh()
	o.Timeout = time.Minute
	c := &crowd{node: open(b, engine.URL(), o), engine: engine}
	for i := range c.boots {
		c.boots[i] = uuid.NewString()
		c.boot(c.server(i), c.boots[i])
	}
	before := c.memory()
	c.list = c.people(count)
	c.bring(c.list)
	c.bytes = float64(c.memory()-before) / float64(count)
	return c
}

func (c *crowd) server(i int) string { return fmt.Sprintf("gs-%02d", i%5) }

func (c *crowd) people(count int) []rollcall.Session {
	began := c.epoch().BeganAt.Add(-time.Minute)
	list := make([]rollcall.Session, count)
	for i := range list {
		list[i] = c.one(len(c.list)+i, began)
	}
	return list
}

func (c *crowd) one(i int, began time.Time) rollcall.Session {
	agent, username := fmt.Sprintf("agent%02d", i%10), fmt.Sprintf("player%07d", i)
	now := began.Add(time.Duration(i) * time.Microsecond)
	return rollcall.Session{
		ID: roll.NewSessionID(now, roll.HomeOf(agent, username)), AgentID: agent, Username: username, GameCode: fmt.Sprintf("game%02d", i/50%20),
		Mode: rollcall.ModeReal, GameServer: c.server(i), BootID: c.boots[i%5], Device: rollcall.DeviceType(1 + i%2), Lang: "en",
		IP:     netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}),
		Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletSeamless, LeaseSeconds: 90,
		StartedAt: now, SeenAt: c.Now(), ExpiresAt: c.Now().Add(90 * time.Second).Truncate(time.Microsecond), EndsAt: now.Add(12 * time.Hour),
	}
}

// batches splits sessions into batches of 10,000 of one game server.
func (c *crowd) batches(list []rollcall.Session) (batches [][]rollcall.Session) {
	for i := range c.boots {
		var of []rollcall.Session
		for k := range list {
			if list[k].GameServer == c.server(i) {
				of = append(of, list[k])
			}
		}
		for len(of) > 0 {
			n := min(len(of), 10_000)
			batches, of = append(batches, of[:n]), of[n:]
		}
	}
	return batches
}

func (c *crowd) bring(list []rollcall.Session) {
	c.t.Helper()
	for _, some := range c.batches(list) {
		refused, err := c.sessions.Announce(c.t.Context(), some[0].GameServer, some[0].BootID, some, c.Now())
		if must(c.t, err); len(refused) > 0 {
			c.t.Fatalf("%d refused", len(refused))
		}
	}
}

func (c *crowd) memory() int { return c.info("memory", "used_memory:") }

func (c *crowd) info(section, name string) int {
	_, rest, _ := strings.Cut(c.engine.CLI("INFO", section), name)
	text, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.ParseFloat(text, 64)
	must(c.t, err)
	return int(n)
}

// cpu is what the engine has used.
func (c *crowd) cpu() time.Duration {
	sum := time.Duration(0)
	for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
		_, rest, _ := strings.Cut(c.engine.CLI("INFO", "cpu"), name)
		text, _, _ := strings.Cut(rest, "\r")
		d, err := time.ParseDuration(text + "s")
		must(c.t, err)
		sum += d
	}
	return sum
}

// own is what the process has used.
func own(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// measure tells how much of the engine's time, and of the process's, n things took.
func (c *crowd) measure(b *testing.B, n int, do func()) {
	b.Helper()
	before, ownBefore := c.cpu(), own(b)
	b.ResetTimer()
	do()
	b.StopTimer()
	b.ReportMetric(float64((own(b)-ownBefore).Nanoseconds())/1e3/float64(n), "own-µs/each")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/each")
	b.ReportMetric(float64((c.cpu()-before).Nanoseconds())/1e3/float64(n), "engine-µs/each")
}

func BenchmarkCrowd(b *testing.B) {
	c := newCrowd(b, 100_000)
	b.Run("Memory", func(b *testing.B) {
		b.ReportMetric(c.bytes, "bytes/session")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("OfMember", func(b *testing.B) {
		c.measure(b, b.N, func() {
			c.parallel(b, func(i int) error {
				s := &c.list[i%len(c.list)]
				_, err := c.sessions.OfMember(b.Context(), s.AgentID, s.Username, c.Now())
				return err
			})
		})
	})
	b.Run("Check", func(b *testing.B) { // what one asks the engine
		b.ReportAllocs()
		c.measure(b, b.N, func() {
			c.parallel(b, func(i int) error {
				s := &c.list[i%len(c.list)]
				claiming := c.nonces.Begin(b.Context(), s.AgentID, strconv.Itoa(i), c.Now())
				_, err := c.sessions.OfMember(b.Context(), s.AgentID, s.Username, c.Now())
				_, claimErr := claiming.Wait(b.Context())
				return errors.Join(err, claimErr)
			})
		})
	})
	b.Run("Heartbeat10000", func(b *testing.B) {
		batches, total := c.batches(c.list), 0
		c.measure(b, b.N*10_000, func() {
			for i := range b.N {
				some := batches[i%len(batches)]
				ids := make([]string, len(some))
				for k := range some {
					ids[k] = some[k].ID
				}
				unknown, err := c.sessions.Heartbeat(b.Context(), some[0].GameServer, ids, c.Now())
				if must(b, err); len(unknown) > 0 {
					b.Fatalf("%d unknown", len(unknown))
				}
				total += len(some)
			}
		})
	})
	var ids []string
	b.Run("Start", func(b *testing.B) {
		starts := make([]roll.Start, b.N)
		now := c.Now().Truncate(time.Microsecond)
		for i := range starts {
			s := c.one(1_000_000+len(ids), now)
			ids = append(ids, s.ID)
			n := node{c.Store, b}
			key, err := n.launch(b.Context(), s)
			must(b, err)
			starts[i] = roll.Start{LaunchKey: key, Session: s, Tell: true}
		}
		c.measure(b, b.N, func() {
			c.parallel(b, func(i int) error { _, err := c.sessions.Start(b.Context(), starts[i]); return err })
		})
	})
	b.Run("End", func(b *testing.B) {
		some := c.list
		c.measure(b, b.N, func() {
			c.parallel(b, func(i int) error {
				_, err := c.sessions.End(b.Context(), []string{some[i].ID}, roll.Ending{At: c.Now(), Reason: rollcall.EndLeft})
				return err
			})
		})
		c.list = some[b.N:]
	})
	b.Run("Announce", func(b *testing.B) {
		c.measure(b, b.N*10_000, func() {
			for range b.N {
				list := c.people(50_000)[:10_000]
				c.list = append(c.list, list...)
				c.bring(list)
			}
		})
	})
	b.Run("Claim", func(b *testing.B) {
		c.measure(b, b.N, func() {
			c.parallel(b, func(int) error { _, err := c.nonces.Claim(b.Context(), "a1", uuid.NewString(), c.Now()); return err })
		})
	})
	b.Run("Counts", func(b *testing.B) {
		c.measure(b, b.N, func() {
			for range b.N {
				_, err := c.sessions.Counts(b.Context())
				must(b, err)
			}
		})
	})
	b.Run("List100", func(b *testing.B) {
		c.measure(b, b.N, func() {
			for range b.N {
				_, err := c.sessions.List(b.Context(), rollcall.SessionFilter{}, "", 100, c.Now())
				must(b, err)
			}
		})
	})
}

func (c *crowd) parallel(b *testing.B, do func(i int) error) { c.parallelOf(b.N, b, do) }

// parallelOf does n things, 64 at a time.
func (c *crowd) parallelOf(n int, b *testing.B, do func(i int) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
