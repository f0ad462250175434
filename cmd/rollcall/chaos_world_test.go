package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// A bed is the engines that the worlds of a test share, one after the other.
type bed struct {
	sessions string // URL
	pg       *enginetest.PostgresServer
	redis    *enginetest.RedisServer // or
	sentinel *enginetest.RedisSentinel
	cluster  *enginetest.RedisCluster
}

// A chaosFault is something that goes wrong under load.
type chaosFault struct {
	name  string
	nodes int           // 0: 2
	lease time.Duration // 0: 9 s
	// strike brings it about, and returns when it is over.
	strike func(c *chaos)
	// forgets says that the engine may lose its last moments, or all. No session
	// that was started may be lost by that, and no kick undone.
	forgets bool
	of      func(i int) []string // further settings of nodes
}

// A chaos is a world: nodes on engines, game servers and integrators under load,
// and what they were answered.
type chaos struct {
	*testing.T
	*bed

	fault   chaosFault
	lease   time.Duration
	fleet   *fleet
	creds   AgentCredentials
	token   string // an operator's
	agent   *client.Client
	servers []*chaosServer
	book    *chaosBook
	tally   *chaosTally
	replays replays

	struck, over time.Time // when the fault began and ended
	unwrote      int       // sessions that the history may lack

	load, life context.Context //nolint:containedctx // of all that goes on in the world
	endLoad    func()
	endLife    func()
	working    sync.WaitGroup
}

// A chaosServer is a game server.
type chaosServer struct {
	*client.GameServer

	name string
	log  *chaosLog
}

// A chaosLog keeps a log for a test that fails.
type chaosLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *chaosLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

const chaosAgent = "chaosAgent"

func chaosMover(i int) string  { return fmt.Sprintf("mover%02d", i) }
func chaosStayer(i int) string { return fmt.Sprintf("stayer%02d", i) }

var chaosWorlds int // of which each has keys of its own in a shared Redis

// newChaos makes a world, without load.
func newChaos(t *testing.T, b *bed, f *chaosFault) *chaos {
	t.Helper()
	lease := cmp.Or(f.lease, 9*time.Second)
	c := &chaos{T: t, bed: b, fault: *f, lease: lease, book: newChaosBook(lease, f.forgets)}
	chaosWorlds++
	file := filepath.Join(t.TempDir(), "admin.json")
	stores := []string{
		"--sessions", b.sessions, "--directory", b.pg.Database(t), "--redis-prefix", "c" + strconv.Itoa(chaosWorlds),
		"--master-key-file", filepath.Join(t.TempDir(), "master.key"),
	}
	mustRun(t, nil, append([]string{"init", "--credentials", file}, stores...)...)
	made, err := readCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	c.token = made.AdminToken
	of := f.of
	if of == nil {
		of = func(int) []string { return nil }
	}
	c.fleet = newFleet(t, cmp.Or(f.nodes, 2), append(stores,
		"--rate-limit", "0", "--address-rate", "0", "--lease-ttl", lease.String(), "--heartbeat-every", "2s", "--launch-url", "https://play.test"), of)
	c.load, c.endLoad = context.WithCancel(context.Background())
	c.life, c.endLife = context.WithCancel(context.Background())
	t.Cleanup(func() {
		c.endLoad()
		c.endLife()
		c.working.Wait()
		c.showLogs()
	})
	c.populate()
	return c
}

// populate makes the agent, its members, the game and the game servers.
func (c *chaos) populate() {
	c.Helper()
	var agent admin.AgentCreated
	c.make("/branches", admin.BranchCreate{ID: "THB", Currency: "THB"}, nil)
	c.make("/agents", admin.AgentCreate{ID: chaosAgent, BranchID: "THB", Wallet: rollcall.WalletSeamless}, &agent)
	c.creds = AgentCredentials{AgentID: chaosAgent, APIKey: agent.APIKey, Secret: agent.SecretKey}
	c.agent = c.client(nil)
	c.make("/games", admin.GameCreate{Code: chaosGame, Modes: []rollcall.Mode{rollcall.ModeReal}}, nil)
	for i := range chaosMovers {
		c.make("/agents/"+chaosAgent+"/members", admin.MemberCreate{Username: chaosMover(i)}, nil)
	}
	for i := range chaosStayers {
		c.make("/agents/"+chaosAgent+"/members", admin.MemberCreate{Username: chaosStayer(i)}, nil)
	}
	tokens := make([]string, 3)
	for i := range tokens {
		var made admin.GameServerCreated
		c.make("/game-servers", admin.GameServerCreate{ID: fmt.Sprint("gs", i)}, &made)
		tokens[i] = made.Token
	}
	c.spread()
	for i, token := range tokens {
		c.addServer(fmt.Sprint("gs", i), token)
	}
}

// spread waits until all nodes know what an operator has made at one, which they
// do a moment later.
func (c *chaos) spread() {
	c.Helper()
	for _, n := range c.fleet.nodes {
		for _, path := range []string{"/agents/" + chaosAgent, "/games/" + chaosGame, "/game-servers/gs2"} {
			eventually(c.T, path+" is known everywhere", func() bool {
				status, err := call(c.life, http.DefaultClient, http.MethodGet, n.at.Load().admin+admin.Prefix+path, c.token, nil, nil)
				return err == nil && status == http.StatusOK
			})
		}
	}
}

func (c *chaos) addServer(name, token string) {
	c.Helper()
	s := &chaosServer{name: name, log: &chaosLog{}}
	var err error
	s.GameServer, err = client.NewGameServer(client.GameServerOptions{
		BaseURL: fleetV2, Token: token, HTTPClient: c.fleet.client(), Log: slog.New(slog.NewTextHandler(s.log, nil)),
		OnEvent: func(_ context.Context, e rollcall.Event) error { c.book.hear(e.SessionID); return nil },
		OnLost:  func(s rollcall.Session, why string) { c.book.lose(s.ID, why) },
	})
	if err != nil {
		c.Fatal(err)
	}
	if _, err := s.Boot(c.life); err != nil {
		c.Fatal(err)
	}
	c.servers = append(c.servers, s)
	c.working.Go(func() {
		if err := s.Run(c.life); err != nil {
			c.book.note("game server gave up", "%s: %v", name, err)
		}
	})
}

// client makes an integrator's client, which repeats nothing by itself: each failure
// is counted.
func (c *chaos) client(trace func(client.Exchange)) *client.Client {
	made, err := client.New(client.Options{
		BaseURL: fleetV2, AgentID: c.creds.AgentID, APIKey: c.creds.APIKey, SecretKey: c.creds.Secret, Attempts: 1, HTTPClient: c.fleet.client(), Trace: trace,
	})
	if err != nil {
		panic(err) // options that are wrong here
	}
	return made
}

// make has the operators' API make something.
func (c *chaos) make(path string, in, out any) {
	c.Helper()
	if err := c.operate(http.MethodPost, path, in, out); err != nil {
		c.Fatal(err)
	}
}

func (c *chaos) operate(method, path string, in, out any) error {
	status, err := call(context.Background(), c.fleet.client(), method, fleetAdmin+admin.Prefix+path, c.token, in, out)
	if err == nil && status >= 300 {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// chaosLoad is how long a world is under load: ROLLCALL_TEST_CHAOS=1m for figures.
func chaosLoad(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("ROLLCALL_TEST_CHAOS")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal("ROLLCALL_TEST_CHAOS:", err)
	}
	return d
}

// run puts the world under load, strikes, and holds what was answered against
// what is there.
func (c *chaos) run() {
	c.Helper()
	length := chaosLoad(c.T)
	c.tally = newChaosTally()
	c.underLoad()
	pass(c.load, max(2*time.Second, length/4))
	c.struck = time.Now()
	c.fault.strike(c)
	c.over = time.Now()
	c.Logf("struck at %s for %s", c.struck.Format("05.000"), c.over.Sub(c.struck).Round(10*time.Millisecond))
	pass(c.load, max(3*time.Second, length-length/4-c.over.Sub(c.struck)))
	c.endLoad()
	c.verify()
}

// underLoad begins the load.
func (c *chaos) underLoad() {
	for i := range chaosStayers * chaosStays {
		c.working.Go(func() { c.play(chaosStayer(i%chaosStayers), false) })
	}
	for i := range chaosMovers {
		c.working.Go(func() { c.play(chaosMover(i), true) })
	}
	for range chaosCheckers {
		c.working.Go(c.check)
	}
	c.working.Go(c.kick)
	c.working.Go(c.replay)
}

// showLogs writes to ROLLCALL_TEST_CHAOS_LOGS what game servers and nodes of a
// failed test said.
func (c *chaos) showLogs() {
	dir := os.Getenv("ROLLCALL_TEST_CHAOS_LOGS")
	if !c.Failed() || dir == "" {
		return
	}
	for _, s := range c.servers {
		_ = os.WriteFile(filepath.Join(dir, c.fault.name+"-"+s.name+".log"), s.log.text.Bytes(), 0o600)
	}
	for i, n := range c.fleet.nodes {
		if at := n.at.Load(); at != nil {
			at.kill()
			_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-node%d.log", c.fault.name, i)), at.stderr.Bytes(), 0o600)
		}
	}
}
