package redis

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"crypto/sha1" //nolint:gosec // EVALSHA names scripts so

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
)

//go:embed *.lua
var scriptFiles embed.FS

// A script is one of the files beside this, whose head says what it takes.
type script struct{ text, sha string }

func loadScript(name string) *script {
	text, err := scriptFiles.ReadFile(name)
	if err != nil {
		panic(err) // a name that is wrong here
	}
	return newScript(string(text))
}

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // as above
	return &script{text, hex.EncodeToString(sum[:])}
}

var (
	commitScript = loadScript("commit.lua")
	beatScript   = loadScript("beat.lua")
	countsScript = loadScript("counts.lua")
	raiseScript  = loadScript("raise.lua")
	queueScript  = loadScript("queue.lua")
)

// A command is one to the engine: may be repeated where it is not known whether
// it was done, as all of this package may.
type command struct {
	script *script
	name   []string // of one that is no script
	keys   []string
	args   []string
	read   bool

	strict bool // that the engine does not know the script is an answer
	whole  bool // the script is sent with its text
	alone  bool // it goes in no bundle, which has a time of its own
}

// read makes a command that changes nothing; its name may be several words.
func read(name, key string, args ...string) command {
	return command{name: strings.Fields(name), keys: []string{key}, args: args, read: true}
}

// readAll reads the strings at keys.
func readAll(keys ...string) command {
	return command{name: []string{"MGET"}, keys: keys, read: true}
}

func write(name, key string, args ...string) command {
	return command{name: strings.Fields(name), keys: []string{key}, args: args}
}

func (s *script) on(keys []string, args ...string) command {
	return command{script: s, keys: keys, args: args}
}

// An engine is a connection to one server or several.
type engine struct {
	client   rueidis.Client
	timeout  time.Duration
	replicas int
	cluster  bool
	bundles  *bundles // nil: of a Cluster
}

func connect(url string, o *Options) (*engine, error) {
	options, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	cluster := strings.Contains(url, "+cluster:")
	options.ClientName = "rollcall"
	if cluster {
		// What many ask at the same time goes together, which halves what it costs
		// both sides. Elsewhere bundles see to that, without a timer.
		options.MaxFlushDelay = 100 * time.Microsecond
	}
	options.DisableCache = true
	options.ConnWriteTimeout = o.Timeout
	options.Dialer.Timeout = o.Timeout / 2 // who meets a broken connection waits for the next as well
	options.Sentinel.Dialer.Timeout = o.Timeout
	options.Sentinel.TopologyRefreshInterval = 5 * time.Second
	options.ClusterOption.ShardsRefreshInterval = 5 * time.Second
	options.RetryDelay = func(attempts int, _ rueidis.Completed, _ error) time.Duration { return retryDelay(attempts) }
	client, err := rueidis.NewClient(options)
	if err != nil {
		return nil, notConnected(err)
	}
	e := &engine{client: client, timeout: o.Timeout, replicas: o.Replicas, cluster: cluster}
	if !cluster {
		e.bundles = &bundles{client: client, timeout: o.Timeout}
	}
	return e, nil
}

// retryDelay is how long to wait before another try: up to 100 ms, and random, so
// that those who were in each other's way are not again.
func retryDelay(attempts int) time.Duration {
	most := min(time.Millisecond<<min(attempts, 10), 100*time.Millisecond)
	return time.Duration(rand.Int64N(int64(most))) //nolint:gosec // no secret
}

// build makes what the client takes. What it may repeat by itself it would until the
// time is up, for whom it concerns.
func (c *command) build(b rueidis.Builder, whole, repeat bool) rueidis.Completed {
	a := b.Arbitrary(c.name...)
	if s := c.script; s != nil {
		which := []string{"EVALSHA", s.sha}
		if whole || c.whole {
			which = []string{"EVAL", s.text}
		}
		a = b.Arbitrary(which[0]).Args(which[1], strconv.Itoa(len(c.keys)))
	}
	a = a.Keys(c.keys...).Args(c.args...)
	if c.read && repeat {
		return a.ReadOnly()
	}
	return a.Build()
}

// do sends commands together, and again those that found the engine changing
// over, until they are done or the time is up.
func (e *engine) do(ctx context.Context, doing string, commands ...command) ([]rueidis.RedisMessage, error) {
	ctx, cancel := e.within(ctx)
	defer cancel()
	results := make([]rueidis.RedisMessage, len(commands))
	left, whole := make([]int, len(commands)), false
	for i := range left {
		left[i] = i
	}
	for attempt := 1; len(left) > 0; attempt++ {
		var err error
		if left, whole, err = e.some(ctx, commands, left, whole, results); err == nil {
			continue
		}
		if !transient(err) || !wait(ctx, retryDelay(attempt)) {
			return nil, outage(doing, err)
		}
		commands = slices.Clone(commands)
		for i := range commands {
			commands[i].alone = true
		}
	}
	return results, nil
}

// some sends those commands that are left, and returns those that still are, and
// the worst of their errors. That a script is not known is no error the first
// time.
func (e *engine) some(ctx context.Context, commands []command, left []int, whole bool, results []rueidis.RedisMessage) (again []int, unknown bool, worst error) {
	todo := make([]command, len(left))
	for i, n := range left {
		todo[i] = commands[n]
	}
	for i, answer := range e.send(ctx, todo, whole) {
		err := answer.err
		if err == nil || rueidis.IsRedisNil(err) {
			results[left[i]] = answer.message
			continue
		}
		r, ok := rueidis.IsRedisErr(err)
		noScript := ok && r.IsNoScript() && !whole
		if noScript && commands[left[i]].strict {
			results[left[i]] = answer.message
			continue
		}
		if again = append(again, left[i]); noScript {
			unknown = true
		} else if worst == nil || !transient(err) {
			worst = err
		}
	}
	return again, unknown, worst
}

// transient reports whether an error is of an engine that may be well again soon.
func transient(err error) bool {
	r, ok := rueidis.IsRedisErr(err)
	if !ok {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, rueidis.ErrClosing)
	}
	word, _, _ := strings.Cut(r.Error(), " ")
	switch word {
	case "LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "MOVED", "ASK", "UNBLOCKED", "BUSY", "NOREPLICAS", "NOSCRIPT":
		return true
	}
	// From within a script; the second of one whose slot is moving.
	return strings.Contains(r.Error(), "READONLY") || strings.Contains(r.Error(), "attempted to access a non local key")
}

// wait waits for d and reports whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// strings is do for commands that read a string each; "" is none.
func (e *engine) strings(ctx context.Context, doing string, commands ...command) ([]string, error) {
	got, err := e.do(ctx, doing, commands...)
	list := make([]string, len(got))
	for i := range got {
		list[i], _ = text(got[i])
	}
	return list, err
}

// within bounds a call of several steps by the time that one of them has.
func (e *engine) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.timeout)
}

// outage makes an error of the engine a rollcall.ErrUnavailable, and leaves nil
// nil.
func outage(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s: %w: %w", doing, rollcall.ErrUnavailable, err)
}

// text returns a string that was read; ok is false where there was none.
func text(m rueidis.RedisMessage) (value string, ok bool) {
	value, err := m.ToString()
	return value, err == nil
}

// texts returns a list of strings that was read; what was not there is "".
func texts(m rueidis.RedisMessage) []string {
	list, _ := m.AsStrSlice() // none is nil
	return list
}
