package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// nonces is roll.Nonces: a key for each, which the engine forgets. They are in
// parts; beside each is the part's window, which says of what time its nonces are
// all there.
//
// Where a window is gone, or was another server's, some nonces may be gone too.
// Who finds that begins a window that opens a little later: until then nothing is
// claimed, and each process sees to it that what it has claimed before, of
// timestamps still to come, is before the window. A server that takes over does
// not know the script of the windows that it was given, so no claim is made
// there before somebody has looked.
type nonces struct {
	engine *engine
	keys   *keys
	now    func() time.Time
	keep   time.Duration
	log    *slog.Logger
	self   string // begins the value of a claim

	keepMillis string // keep

	looks   *looks
	mu      sync.RWMutex
	windows [partitions]*window
	opened  bool       // all have been looked at; of who looks
	first   *time.Time // since when a window of Open is; of who looks

	claims atomic.Int64 // of this process
	latest atomic.Int64 // timestamp that it has claimed, Unix µs
	recent [2]atomic.Int64
	turned atomic.Int64 // when recent was, Unix µs
}

// A window is kept as ID, Since, Opens and Server with blanks between.
type window struct {
	id     string
	since  int64 // of nonces with a timestamp before it nothing is known; Unix µs
	opens  int64 // before it none is claimed; Unix µs
	server string

	text   string
	script *script
}

// windowRest is how long a window takes to open: all processes look within.
const windowRest = 2 * epochEvery

//nolint:gochecknoglobals // the text of a file
var claimText = loadScript("claim.lua").text

func (w window) String() string {
	return fmt.Sprint(w.id, " ", w.since, " ", w.opens, " ", w.server)
}

// parseWindow returns nil where there is none.
func parseWindow(text string) *window {
	f := strings.Fields(text)
	if len(f) != 4 {
		return nil
	}
	// The script is another for each ID, so that a server knows only those that
	// it was asked about.
	return &window{id: f[0], since: number(f[1]), opens: number(f[2]), server: f[3], text: text, script: newScript("-- " + f[0] + "\n" + claimText)}
}

func openNonces(ctx context.Context, e *engine, k *keys, now func() time.Time, o *Options) (*nonces, error) {
	n := &nonces{
		engine: e, keys: k, now: now, log: o.Log, looks: newLooks(),
		// A request may come MaxClockSkew before its timestamp, and again
		// MaxClockSkew after it; the rest is for clocks that drift.
		keep: 2*o.MaxClockSkew + time.Minute,
		self: string(randomBytes(6)),
	}
	n.keepMillis = millis(n.keep)
	if born := time.UnixMicro(1); o.New && !o.Moved {
		n.first = &born
	}
	if !o.Moved {
		return n, n.look(ctx)
	}
	return n, errors.Join(n.moved(ctx), n.look(ctx))
}

// moved closes the windows that there are: nonces were used elsewhere since.
func (n *nonces) moved(ctx context.Context) error {
	commands := make([]command, partitions)
	for i := range commands {
		commands[i] = write("DEL", n.keys.born(i))
	}
	_, err := n.engine.do(ctx, "open nonces", commands...)
	return err
}

// errForgotten says that a nonce may have been claimed, but nobody knows. Who
// signs anew is answered.
var errForgotten = errors.New("the nonces of that time were lost")

func (n *nonces) Claim(ctx context.Context, agentID, nonce string, at time.Time) (bool, error) {
	return n.begin(ctx, agentID, nonce, at).Wait(ctx)
}

// Begin is Claim for who asks for something else before it waits: that goes to the
// engine together with the claim.
func (n *nonces) Begin(ctx context.Context, agentID, nonce string, at time.Time) roll.Claiming {
	c := n.begin(ctx, agentID, nonce, at)
	if c.asked.bundle == nil {
		c.done = make(chan struct{})
		go func() {
			defer close(c.done)
			c.fresh, c.err = n.claim(ctx, c)
		}()
	}
	return c
}

// A claiming is a claim under way: in a bundle, or made by another goroutine until
// done, or else by who waits.
type claiming struct {
	nonces   *nonces
	key, own string
	part     int
	at       time.Time
	asked    asked

	done  chan struct{}
	fresh bool
	err   error
}

// begin asks for a claim where that can go in a bundle.
func (n *nonces) begin(ctx context.Context, agentID, nonce string, at time.Time) *claiming {
	var room [128]byte
	sum := sha256.Sum256(append(append(append(room[:0], agentID...), 0), nonce...))
	// A claim that is sent again, since no answer came, finds its own value.
	own := strconv.AppendInt(append(room[:0], n.self...), n.claims.Add(1), 36)
	c := &claiming{nonces: n, key: n.keys.nonce([16]byte(sum[:16])), own: string(own), part: int(sum[0]), at: at}
	e := n.engine
	if e.bundles == nil || e.replicas > 0 || ctx.Err() != nil {
		return c
	}
	if w := n.window(c.part); n.closed(w, at) == nil {
		c.asked = e.bundles.ask(e.client.B().Arbitrary("EVALSHA", w.script.sha, "2").
			Keys(c.key, n.keys.born(c.part)).Args(c.own, n.keepMillis, w.text, "").Build())
	}
	return c
}

// Wait makes a claim by itself that did not get through, or that met another window.
func (c *claiming) Wait(ctx context.Context) (bool, error) {
	if c.done != nil {
		<-c.done
		return c.fresh, c.err
	}
	if c.asked.bundle != nil {
		m, again, err := c.nonces.engine.answered(ctx, "claim nonce", c.asked)
		if err != nil {
			return false, err
		}
		if have, same := text(m); same && !again {
			return c.nonces.mine(c, have), nil
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.asked.bundle.deadline)
		defer cancel()
	}
	return c.nonces.claim(ctx, c)
}

// closed is an error where w takes no claim of that time.
func (n *nonces) closed(w *window, at time.Time) error {
	if at.UnixMicro() < w.since || n.now().UnixMicro() < w.opens {
		return outage("claim nonce", errForgotten)
	}
	return nil
}

// mine counts a claim, and reports whether it is the first of its nonce: what was
// there is its own, or nothing.
func (n *nonces) mine(c *claiming, have string) bool {
	if have != "" && have != c.own {
		return false
	}
	n.count(c.at)
	return true
}

// claim makes a claim by itself.
func (n *nonces) claim(ctx context.Context, c *claiming) (bool, error) {
	ctx, cancel := n.engine.within(ctx)
	defer cancel()
	for unknown := ""; ; {
		w := n.window(c.part)
		if err := n.closed(w, c.at); err != nil {
			return false, err
		}
		claim := w.script.on([]string{c.key, n.keys.born(c.part)}, c.own, n.keepMillis, w.text, unknown)
		claim.strict, claim.whole, claim.alone = true, unknown != "", true
		got, err := n.engine.do(ctx, "claim nonce", claim)
		if err != nil {
			return false, err
		}
		if have, same := text(got[0]); same {
			return n.mine(c, have), nil
		}
		// The window is another, or the server does not know it.
		if unknown = ""; noScript(got[0]) {
			unknown = "1"
		}
		if err := n.look(ctx); err != nil {
			return false, err
		}
	}
}

func noScript(m rueidis.RedisMessage) bool {
	r, ok := rueidis.IsRedisErr(m.Error())
	return ok && r.IsNoScript()
}

func (n *nonces) window(part int) *window {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.windows[part]
}

// look learns all windows as they are now, and begins those that have to be.
func (n *nonces) look(ctx context.Context) error {
	ctx, cancel := n.engine.within(ctx)
	defer cancel()
	return n.looks.once(ctx, "look at the nonces", func(ctx context.Context) error {
		parts := make([]int, partitions)
		for i := range parts {
			parts[i] = i
		}
		var err error
		for id := hex.EncodeToString(randomBytes(4)); len(parts) > 0 && err == nil; {
			parts, err = n.settle(ctx, parts, id)
		}
		n.opened = n.opened || err == nil
		return err
	})
}

// settle learns the windows of parts, and returns those where another process was
// in the way.
func (n *nonces) settle(ctx context.Context, parts []int, id string) (again []int, err error) {
	commands := make([]command, len(parts))
	for i, part := range parts {
		commands[i] = ownerScript.on([]string{n.keys.born(part)})
	}
	got, err := n.engine.do(ctx, "look at the nonces", commands...)
	if err != nil {
		return nil, err
	}
	var programs []*program
	var changed []int
	var next []*window
	lost := false
	for i, part := range parts {
		pair := texts(got[i])
		if len(pair) != 2 {
			return nil, outage("look at the nonces", errNoOwner)
		}
		have := parseWindow(pair[0])
		w := n.judge(n.window(part), have, id, pair[1])
		if w == have {
			n.learn(part, have)
			continue
		}
		lost = lost || w.id == id
		c := newProgram()
		c.still(n.keys.born(part), pair[0], pair[0] != "")
		c.do(n.keys.born(part), "SET", w.text)
		programs, changed, next = append(programs, c), append(changed, part), append(next, w)
	}
	if lost && (n.opened || n.first == nil) {
		n.log.LogAttrs(ctx, slog.LevelWarn, "redis: nonces may have been lost: requests from before now are refused")
	}
	done, _, err := n.engine.commit(ctx, "look at the nonces", programs...)
	if err != nil {
		return nil, err
	}
	for i, part := range changed {
		if done[i] {
			n.learn(part, next[i])
		} else {
			again = append(again, part)
		}
	}
	return again, nil
}

// judge returns the window that is to be, where known is the one that this
// process knows of, or nil, and have the one that there is, or nil.
func (n *nonces) judge(known, have *window, id, server string) *window {
	latest := n.latest.Load() + 1
	now := n.now().UnixMicro()
	switch {
	case have == nil && !n.opened && n.first != nil:
		return parseWindow(window{id: id, since: n.first.UnixMicro(), server: server}.String())
	case have == nil || have.server != server:
		return parseWindow(window{id: id, since: max(now, latest), opens: now + windowRest.Microseconds(), server: server}.String())
	case known != nil && known.id != have.id && have.since < latest:
		later := *have // another process has begun it, that does not know what this one has claimed
		later.since = latest
		return parseWindow(later.String())
	}
	return have
}

func (n *nonces) learn(part int, w *window) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.windows[part] = w
}

// count notes a claim for Held, and its timestamp.
func (n *nonces) count(at time.Time) {
	for {
		have := n.latest.Load()
		if have >= at.UnixMicro() || n.latest.CompareAndSwap(have, at.UnixMicro()) {
			break
		}
	}
	n.turn()
	n.recent[0].Add(1)
}

// turn begins to count anew when a nonce's time is over.
func (n *nonces) turn() {
	now, turned := n.now().UnixMicro(), n.turned.Load()
	if age := now - turned; age >= n.keep.Microseconds() && n.turned.CompareAndSwap(turned, now) {
		former := n.recent[0].Swap(0)
		if age >= 2*n.keep.Microseconds() {
			former = 0
		}
		n.recent[1].Store(former)
	}
}

// Held counts what this process has claimed.
func (n *nonces) Held(context.Context) (int, error) {
	n.turn()
	return int(n.recent[0].Load() + n.recent[1].Load()), nil
}

func (n *nonces) Ping(ctx context.Context) error {
	_, err := n.engine.do(ctx, "ping", write("SET", n.keys.lead("ping-nonces"), n.self, "PX", "60000"))
	return err
}

// run looks for windows that another process has begun, or that are gone, before
// a claim meets them.
func (n *nonces) run(ctx context.Context) {
	for wait(ctx, epochEvery) {
		commands := make([]command, partitions)
		for i := range commands {
			commands[i] = read("GET", n.keys.born(i))
		}
		got, err := n.engine.strings(ctx, "look at the nonces", commands...)
		if err != nil {
			continue // who claims is told
		}
		for i, text := range got {
			if n.window(i).text != text {
				_ = n.look(ctx)
				break
			}
		}
	}
}
