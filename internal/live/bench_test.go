package live_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A crowd is an Index of many sessions as they are, each of a member of its own.
type crowd struct {
	index *live.Index
	now   time.Time
	ids   []string
	names []string
}

var agents, servers = texts("agent", 10), texts("games-", 4)

func texts(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(prefix, i))
	}
	return list
}

var crowdStart = time.UnixMilli(1_770_000_000_000).UTC()

func newCrowd(n int) *crowd {
	c := &crowd{index: live.NewIndex(), now: crowdStart}
	for i := range n {
		s := crowdSession(i, agents[i%10])
		c.ids, c.names = append(c.ids, s.ID), append(c.names, s.Username)
		c.index.Add(s)
	}
	return c
}

func crowdSession(i int, agent string) rollcall.Session {
	username := fmt.Sprintf("player%07d", i)
	at := crowdStart.Add(time.Duration(i) * time.Microsecond)
	return rollcall.Session{
		ID: roll.NewSessionID(at, roll.HomeOf(agent, username)), AgentID: agent, Username: username,
		GameCode: fmt.Sprint("game", i%50), Mode: rollcall.ModeReal, GameServer: servers[i%4], BootID: "d8f1b0e2c3",
		Device: rollcall.DeviceMobile, IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Lang: "th",
		Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletSeamless,
		LobbyURL: "https://lobby.example/" + agent, LeaseSeconds: 90, StartedAt: at, SeenAt: at,
		ExpiresAt: at.Add(90 * time.Second), EndsAt: at.Add(12 * time.Hour),
	}
}

// appendName appends the name of a member of a crowd.
func appendName(to []byte, i int) []byte {
	to = append(to, "player"...)
	for unit := 1_000_000; unit > 0; unit /= 10 {
		to = append(to, byte('0'+i/unit%10))
	}
	return to
}

// crowds runs a benchmark with few sessions and with many.
func crowds(b *testing.B, run func(b *testing.B, c *crowd)) {
	for _, n := range []int{1000, 1_000_000} {
		var c *crowd
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if c == nil {
				c = newCrowd(n)
			}
			b.ReportAllocs()
			run(b, c)
		})
	}
}

// BenchmarkCheck is the read of every check, of members at random.
func BenchmarkCheck(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		random, room := rand.New(rand.NewPCG(1, 2)), make([]byte, 0, 16)
		for b.Loop() {
			i := random.IntN(len(c.ids))
			name := appendName(room[:0], i) // those of the crowd would be read from memory first
			if len(c.index.OfMember(agents[i%10], string(name), c.now)) != 1 {
				b.Fatal("not found")
			}
		}
	})
}

// BenchmarkBeat is a Heartbeat of 10,000 sessions.
func BenchmarkBeat(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		now := c.now
		for b.Loop() {
			now = now.Add(time.Millisecond)
			for i := range 10_000 {
				i := i * 7919 % len(c.ids)
				if !c.index.Renew(c.ids[i], servers[i%4], now) {
					b.Fatal("not renewed")
				}
			}
		}
	})
}

func BenchmarkCounts(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		for b.Loop() {
			c.index.Counts()
		}
	})
}

func BenchmarkOnline(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		for b.Loop() {
			c.index.Online("agent3", c.now)
		}
	})
}

// BenchmarkList is a page of a filter.
func BenchmarkList(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		for b.Loop() {
			c.index.List(rollcall.SessionFilter{AgentID: "agent3", GameCode: "game3"}, c.ids[len(c.ids)/2], 500, c.now)
		}
	})
}

// BenchmarkScan looks for all sessions of a filter.
func BenchmarkScan(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		book := live.NewBook(roll.Epoch{})
		book.Index = c.index
		for b.Loop() {
			for from := "-"; from != ""; {
				if from == "-" {
					from = ""
				}
				_, from = book.Scan(rollcall.SessionFilter{GameServer: "games-1"}, from, c.now)
			}
		}
	})
}

// BenchmarkSweep finds nothing.
func BenchmarkSweep(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		for b.Loop() {
			c.index.Expired(c.now, 1000)
		}
	})
}

// BenchmarkChurn is a Start and an End.
func BenchmarkChurn(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		random := rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			i := random.IntN(len(c.ids))
			s, ok := c.index.Remove(c.ids[i])
			if _, added := c.index.Add(s); !ok || !added {
				b.Fatal("not there")
			}
		}
	})
}

// BenchmarkMark is a collection of garbage.
func BenchmarkMark(b *testing.B) {
	crowds(b, func(b *testing.B, c *crowd) {
		c.ids, c.names = nil, nil
		for b.Loop() {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB")
		runtime.KeepAlive(c)
	})
}

// BenchmarkPage is an Index of one change with one session.
func BenchmarkPage(b *testing.B) {
	s := crowdSession(1, "a1")
	b.ReportAllocs()
	for b.Loop() {
		book := live.NewPage(roll.Epoch{})
		book.Apply(&live.Step{Sessions: []rollcall.Session{s}})
		if len(book.OfMember("a1", s.Username, crowdStart)) != 1 {
			b.Fatal("not there")
		}
	}
}
