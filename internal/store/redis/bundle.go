package redis

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// bundles send what many ask at the same time in one piece, which costs both sides
// far less than each by itself. The first who waits for a bundle sends it, but not
// before all others who are about to ask have: to let them go first takes no time
// where there are none, and as long as it pays where there are many. So nobody
// waits for a timer, nor for the bundles before theirs.
//
// They are for one server. Of a Cluster, a node that does not answer would hold up
// who asks the others.
type bundles struct {
	client  rueidis.Client
	timeout time.Duration

	mu   sync.Mutex
	next *bundle // takes more; nil: nobody has asked
}

// A bundle is some commands that go together, and what came of them.
type bundle struct {
	commands []rueidis.Completed
	led      bool          // somebody sends it
	sent     chan struct{} // closed when what follows is there
	results  []rueidis.RedisResult
	deadline time.Time // until when the engine may answer
}

const (
	// bundleUsual is how many commands a bundle has room for from the beginning.
	bundleUsual = 16
	// bundleMost bounds a bundle. One of 2000 would have a connection of its own.
	bundleMost = 1000
	// bundleWords bounds a command in a bundle: what the engine does for long would
	// hold up the others.
	bundleWords = 64
)

// An asked is the place of commands in a bundle. The zero value is none.
type asked struct {
	bundle *bundle
	at, n  int
}

var errNotSent = errors.New("the bundle was not sent")

// ask puts commands into the next bundle, one behind the other.
func (s *bundles) ask(commands ...rueidis.Completed) asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &bundle{sent: make(chan struct{}), commands: make([]rueidis.Completed, 0, bundleUsual)}
	}
	b := s.next
	a := asked{b, len(b.commands), len(commands)}
	if b.commands = append(b.commands, commands...); len(b.commands) >= bundleMost {
		s.next = nil
	}
	return a
}

// wait returns what came of commands. They may be done though ctx ends; who sends
// them does not look at it.
func (s *bundles) wait(ctx context.Context, a asked) ([]rueidis.RedisResult, error) {
	if b := a.bundle; !b.isSent() {
		if s.leads(b) {
			s.send(b)
		} else {
			select {
			case <-b.sent:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	if a.at+a.n > len(a.bundle.results) {
		return nil, errNotSent
	}
	return a.bundle.results[a.at : a.at+a.n], nil
}

func (b *bundle) isSent() bool {
	select {
	case <-b.sent:
		return true
	default:
		return false
	}
}

// leads reports whether the caller is to send a bundle.
func (s *bundles) leads(b *bundle) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	leads := !b.led
	b.led = true
	return leads
}

// send sends a bundle with all that is asked until then. It is no matter whether
// the sender's own caller goes away: others wait for it.
func (s *bundles) send(b *bundle) {
	defer close(b.sent)
	runtime.Gosched()
	s.mu.Lock()
	if s.next == b {
		s.next = nil
	}
	s.mu.Unlock()
	b.deadline = time.Now().Add(s.timeout) //nolint:forbidigo // the monotonic clock
	ctx, cancel := context.WithDeadline(context.Background(), b.deadline)
	defer cancel()
	b.results = s.client.DoMulti(ctx, b.commands...)
}

// bundled reports whether commands may go in a bundle.
func (e *engine) bundled(commands []command, some []int) bool {
	for _, i := range some {
		if c := &commands[i]; c.alone || len(c.keys)+len(c.args) > bundleWords {
			return false
		}
	}
	return e.bundles != nil && e.replicas == 0 && len(some) <= bundleUsual
}

// doMulti sends commands in a bundle.
func (s *bundles) doMulti(ctx context.Context, commands ...rueidis.Completed) []rueidis.RedisResult {
	err := ctx.Err()
	if err == nil {
		var results []rueidis.RedisResult
		if results, err = s.wait(ctx, s.ask(commands...)); err == nil {
			return results
		}
	}
	results := make([]rueidis.RedisResult, len(commands))
	for i := range results {
		results[i] = rueidis.NewErrorResult(err)
	}
	return results
}

// answered returns what came of one command that was asked. again says that it did
// not get through, and may be done anew until the bundle's deadline.
func (e *engine) answered(ctx context.Context, doing string, a asked) (m rueidis.RedisMessage, again bool, err error) {
	results, err := e.bundles.wait(ctx, a)
	if err != nil {
		return m, false, outage(doing, err)
	}
	if m, err = results[0].ToMessage(); err == nil || rueidis.IsRedisNil(err) {
		return m, false, nil
	}
	if !transient(err) {
		return m, false, outage(doing, err)
	}
	return m, true, nil
}
