package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/redis"
	"github.com/rollcall-server/rollcall/wire"
)

// engineFigures are of checks of nodes that share engines.
type engineFigures struct {
	shared []houseFigures // one node and three, on one Redis and on a Cluster
	filled []houseFigures // one node, with more and more sessions in Redis
}

// houseFigures are one measurement of checks.
type houseFigures struct {
	what             string
	samples          []sample // with the CPU of the engine
	commands, trips  float64  // of a check alone; trips is 0 where it is not known
	bytes, announced float64  // of a session in Redis; sessions announced in a second
}

// measureEngines measures checks of nodes that share Redis and PostgreSQL: one
// node and three, on one Redis and on a Cluster; and one node with few sessions
// and with many.
func measureEngines(ctx context.Context, o options, dir string) (report, error) {
	all := &engineFigures{}
	for _, kind := range []string{"Redis", "Cluster"} {
		for _, nodes := range []int{1, 3} {
			err := in(func(b *bed) (err error) {
				h, err := newHouse(ctx, b, o, dir, kind, nodes)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, h.stop()) }()
				f, err := h.checks(ctx, 1000)
				f.what = fmt.Sprintf("%s, %d node(s)", kind, nodes)
				all.shared = append(all.shared, f)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, in(func(b *bed) error { return all.fill(ctx, b, o, dir) })
}

// fill measures a check with more and more sessions in one Redis.
func (all *engineFigures) fill(ctx context.Context, b *bed, o options, dir string) (err error) {
	h, err := newHouse(ctx, b, o, dir, "Redis", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	for _, n := range []int{10_000, 1_000_000, 5_000_000} {
		if n > o.n {
			break
		}
		before, err := h.usedMemory()
		if err != nil {
			return err
		}
		took, err := h.fill(ctx, n)
		if err != nil {
			return err
		}
		after, err := h.usedMemory()
		if err != nil {
			return err
		}
		f, err := h.checks(ctx, n)
		if err != nil {
			return err
		}
		f.what, f.bytes, f.announced = number(float64(n), 0), float64(after-before)/float64(took.n), took.perSecond()
		all.filled = append(all.filled, f)
	}
	return nil
}

const checkColumns = "checks/s|CPU µs of a node|CPU µs of the engine|commands, alone|round trips, alone|p50|p99"

func (all *engineFigures) write(out io.Writer) {
	var rows [][]string
	for _, f := range all.shared {
		rows = append(rows, f.row())
	}
	table(out, "engine and nodes|"+checkColumns, rows...)
	fmt.Fprintf(out, "\nRound trips are what a check alone waits longer where Redis is %s away, by that.\n\n", 2*away)
	rows = nil
	for _, f := range all.filled {
		rows = append(rows, append(f.row(), number(f.bytes, 0), number(f.announced, 0)))
	}
	table(out, "live sessions|"+checkColumns+"|bytes a session|announced/s", rows...)
}

func (f *houseFigures) row() []string {
	trips := "–"
	if f.trips > 0 {
		trips = number(f.trips, 2)
	}
	return []string{
		f.what,
		figureOf(f.samples, sample.perSecond).show(0), figureOf(f.samples, sample.micros).show(1), figureOf(f.samples, sample.engineMicros).show(1),
		number(f.commands, 1), trips,
		medianTime(f.samples, func(s sample) time.Duration { return s.p50 }).String(),
		medianTime(f.samples, func(s sample) time.Duration { return s.p99 }).String(),
	}
}

// A house is some nodes that share engines.
type house struct {
	o      options
	url    string
	nodes  []*node
	agents []*signer // one a node
	token  string    // of the game server
	redis  []*enginetest.RedisServer
	far    *far // what one Redis is behind, for nodes that are to wait
	filled int
	keys   *struct{ APIKey, SecretKey string } // the agent's
}

func newHouse(ctx context.Context, b *bed, o options, dir, kind string, nodes int) (*house, error) {
	h := &house{o: o, keys: &struct{ APIKey, SecretKey string }{}}
	if kind == "Cluster" {
		c := enginetest.Cluster(b)
		h.url = c.URL()
		for i := range 3 {
			h.redis = append(h.redis, c.Node(i))
		}
	} else {
		h.redis = []*enginetest.RedisServer{enginetest.Redis(b)}
		h.url = h.redis[0].URL()
		ctx, stop := context.WithCancel(ctx)
		b.Cleanup(stop)
		var err error
		if h.far, err = newFar(ctx, h.redis[0].Addr()); err != nil {
			return nil, err
		}
	}
	database := enginetest.OwnPostgres(b).Database(b)
	flags := []string{"--sessions", h.url, "--directory", database}
	own, err := os.MkdirTemp(dir, "house")
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(dir, "rollcall"), filepath.Join(own, "rollcall")); err != nil {
		return nil, err
	}
	token, err := initStores(ctx, own, flags...)
	if err != nil {
		return nil, err
	}
	for range nodes {
		n := &node{o: o, dir: own, sync: "normal", extra: flags, token: token, born: time.Now()}
		if err := n.serve(ctx); err != nil {
			return nil, errors.Join(err, h.stop())
		}
		h.nodes = append(h.nodes, n)
	}
	if err := leaveCore(o.core); err != nil {
		return nil, err
	}
	return h, h.furnish(ctx)
}

// furnish makes an agent with 1,000 members, each of whom plays.
func (h *house) furnish(ctx context.Context) error {
	first := h.nodes[0]
	if err := first.furnish(ctx, 3600); err != nil {
		return err
	}
	if err := first.create(ctx, "/agents", map[string]any{"id": agentID, "branchId": branch, "wallet": "transfer"}, h.keys); err != nil {
		return err
	}
	var err error
	for _, n := range h.nodes {
		err := n.until(ctx, "known", 10*time.Millisecond, func() (bool, error) {
			a, err := newSigner(ctx, n.address, agentID, h.keys.APIKey, h.keys.SecretKey)
			if err == nil {
				h.agents = append(h.agents, a)
			}
			return err == nil, nil
		})
		if err != nil {
			return err
		}
	}
	if h.token, err = first.gameServer(ctx, "games"); err != nil {
		return err
	}
	_, err = h.fill(ctx, 1000)
	return err
}

const agentID = "agent"

func memberName(i int) string { return fmt.Sprintf("player%07d", i) }

// fill has sessions announced until there are n, past the nodes and straight into
// the store, since who is asked for sessions need not be a member otherwise.
func (h *house) fill(ctx context.Context, n int) (s sample, err error) {
	store, err := redis.Open(ctx, h.url, redis.Options{Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	sessions := store.Sessions()
	epoch, err := sessions.Epoch(ctx)
	if err != nil {
		return s, err
	}
	begun, from := time.Now(), h.filled
	began := epoch.BeganAt.Add(-time.Second)
	for h.filled < n {
		to := min(h.filled+wire.MaxBatch, n)
		list := make([]rollcall.Session, 0, to-h.filled)
		for i := h.filled; i < to; i++ {
			list = append(list, h.session(i, began, store.Now()))
		}
		refused, err := sessions.Announce(ctx, "games", boot, list, store.Now())
		if err != nil {
			return s, err
		}
		for id, why := range refused {
			return s, fmt.Errorf("session %s was not taken: %s", id, why)
		}
		if h.filled = to; to%500_000 == 0 {
			h.o.tell("%d sessions", to)
		}
	}
	return sample{n: n - from, took: time.Since(begun)}, nil
}

func (h *house) session(i int, began, now time.Time) rollcall.Session {
	name := memberName(i)
	return rollcall.Session{
		ID: roll.NewSessionID(began, roll.HomeOf(agentID, name)), AgentID: agentID, Username: name,
		GameCode: fmt.Sprintf("VP_2300%02d_1", i%20), Mode: rollcall.ModeReal, GameServer: "games", BootID: boot,
		Device: rollcall.DevicePC, IP: netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), Lang: "en",
		Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletTransfer, LeaseSeconds: 80_000,
		StartedAt: began, SeenAt: now, ExpiresAt: began.Add(11 * time.Hour), EndsAt: began.Add(11 * time.Hour),
	}
}

// checks measures checks of n members on all nodes at once, and the round trips
// of one alone.
func (h *house) checks(ctx context.Context, n int) (f houseFigures, err error) {
	if f.commands, err = h.alone(ctx); err != nil {
		return f, err
	}
	if h.far != nil {
		if f.trips, err = h.trips(ctx); err != nil {
			return f, err
		}
	}
	for round := range h.o.rounds + 1 {
		before, err := h.engineCPU()
		if err != nil {
			return f, err
		}
		s, err := h.all(ctx, n, h.o.requests/len(h.nodes))
		if err != nil {
			return f, err
		}
		after, err := h.engineCPU()
		if err != nil {
			return f, err
		}
		s.engine = after - before
		h.o.tell("round %d of %d: %6.0f checks/s, %5.1f µs CPU of nodes, %5.1f of the engine", round, h.o.rounds, s.perSecond(), s.micros(), s.engineMicros())
		if round > 0 {
			f.samples = append(f.samples, s)
		}
	}
	return f, nil
}

// all sends checks to every node at once.
func (h *house) all(ctx context.Context, members, each int) (sum sample, err error) {
	samples, errs := make([]sample, len(h.nodes)), make([]error, len(h.nodes))
	requests := make([][][]byte, len(h.nodes))
	for i, a := range h.agents {
		requests[i], err = a.signAll(each, wire.PathSessionsCheck, func(k int) any {
			return wire.MemberRequest{Username: memberName((k*7919 + i) % members)}
		})
		if err != nil {
			return sum, err
		}
	}
	begun := time.Now()
	var all sync.WaitGroup
	for i, n := range h.nodes {
		all.Go(func() {
			samples[i], errs[i] = load(ctx, n.process, job{address: n.address, requests: requests[i], conns: max(1, h.o.conns/len(h.nodes))})
		})
	}
	all.Wait()
	for _, s := range samples {
		sum.n, sum.cpu = sum.n+s.n, sum.cpu+s.cpu
		sum.p50, sum.p99 = max(sum.p50, s.p50), max(sum.p99, s.p99)
	}
	sum.took = time.Since(begun)
	return sum, errors.Join(errs...)
}

// one sends n checks to a node, one after the other.
func (h *house) one(ctx context.Context, n int, to *node, agent *signer) (sample, error) {
	requests, err := agent.signAll(n, wire.PathSessionsCheck, func(k int) any {
		return wire.MemberRequest{Username: memberName(k % 1000)}
	})
	if err != nil {
		return sample{}, err
	}
	return load(ctx, to.process, job{address: to.address, requests: requests, conns: 1})
}

// alone counts the engine's commands of a check where nobody else calls. What
// nodes do on their own in the same time is taken off.
func (h *house) alone(ctx context.Context) (commands float64, err error) {
	const n = 2000
	var counts [3]float64
	begun := time.Now()
	if counts[0], err = h.engineCommands(); err != nil {
		return 0, err
	}
	if _, err := h.one(ctx, n, h.nodes[0], h.agents[0]); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if counts[1], err = h.engineCommands(); err != nil {
		return 0, err
	}
	time.Sleep(took)
	counts[2], err = h.engineCommands()
	return (counts[1] - counts[0] - (counts[2] - counts[1])) / n, err
}

// away is how far Redis is, in one direction, from the node of trips.
const away = 5 * time.Millisecond

// trips returns how many times the way to the engine and back a check waits.
func (h *house) trips(ctx context.Context) (n float64, err error) {
	first := h.nodes[0]
	remote := &node{o: h.o, dir: first.dir, sync: first.sync, token: first.token, born: first.born}
	remote.extra = append([]string{"--sessions", "redis://" + h.far.address}, first.extra[2:]...)
	h.far.delay.Store(0)
	if err := remote.serve(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remote.stop()) }()
	agent, err := newSigner(ctx, remote.address, agentID, h.keys.APIKey, h.keys.SecretKey)
	if err != nil {
		return 0, err
	}
	near, err := h.one(ctx, 500, remote, agent)
	if err != nil {
		return 0, err
	}
	h.far.delay.Store(int64(away))
	defer h.far.delay.Store(0)
	distant, err := h.one(ctx, 200, remote, agent)
	return float64(distant.p50-near.p50) / float64(2*away), err
}

// info sums a field of INFO over the engine's masters.
func (h *house) info(section string, fields ...string) (float64, error) {
	sum := 0.0
	for _, r := range h.redis {
		text := r.CLI("INFO", section)
		for _, field := range fields {
			_, rest, ok := strings.Cut(text, field+":")
			value, _, _ := strings.Cut(rest, "\n")
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !ok {
				return 0, fmt.Errorf("INFO %s has no %s: %w", section, field, err)
			}
			sum += n
		}
	}
	return sum, nil
}

func (h *house) engineCPU() (time.Duration, error) {
	seconds, err := h.info("cpu", "used_cpu_user", "used_cpu_sys")
	return time.Duration(seconds * float64(time.Second)), err
}

func (h *house) usedMemory() (int, error) {
	n, err := h.info("memory", "used_memory")
	return int(n), err
}

func (h *house) engineCommands() (float64, error) { return h.info("stats", "total_commands_processed") }

func (h *house) stop() error {
	var errs []error
	for _, n := range h.nodes {
		errs = append(errs, n.stop())
	}
	return errors.Join(errs...)
}
