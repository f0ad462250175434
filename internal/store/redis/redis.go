// Package redis is the backend for what changes from moment to moment beyond one
// machine: roll.Sessions, roll.Nonces and roll.Limits in Redis 7.0 or later, or
// Valkey, alone, with Sentinel or as a Cluster. Any number of processes share
// it.
//
// What is decided is decided by live.Book, as in the other backends: what a
// change is about is read into a page of a Book, the Book plans a step, and a
// script makes the step if what was read is still there; else it is planned
// anew. Members are spread over partitions (see keys), each in one slot of a
// Cluster; what one change of a member touches is in one partition. What has to
// go elsewhere, events and kicks, is put into the partition's journal in the same
// step, and carried on from there.
//
// Of a Cluster that loses one part, or an engine that comes back without all that
// it had, the epoch says so (see epochs), and game servers announce again.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Options configure a Store. The zero value works.
type Options struct {
	// MaxClockSkew sets how long nonces are remembered: twice as long at least;
	// 0: 5 min (spec 2).
	MaxClockSkew time.Duration
	// Prefix begins every key, so that several stores may share an engine; "":
	// rc.
	Prefix string
	// Timeout bounds how long a call waits for the engine, a failover included;
	// 0: 3 s.
	Timeout time.Duration
	// Replicas is how many replicas have to have a change before it is answered,
	// so that no failover loses it; 0: none. It is for one server with replicas,
	// Sentinel or a Cluster, and costs each change a round trip of theirs.
	Replicas int
	// New says that no nonce can have been used before the store was made. Else
	// a store without any may have lost them, and refuses requests from before.
	New bool
	// Moved says that what comes next was in another store until now: an epoch
	// begins, so that sessions from before can be announced, and requests that
	// were signed before are refused. Nobody else may use the store meanwhile.
	Moved bool
	// Installation tells whose the store is: an engine that holds another's under
	// the same prefix is refused. "": whoever's.
	Installation string
	// Now is the clock; nil: the engine's, as it is measured each second.
	Now func() time.Time
	// Log is told what no caller is; nil: slog.Default.
	Log *slog.Logger

	lookEvery time.Duration // for tests; 0: lookAgainEvery
}

func (o *Options) complete() {
	o.MaxClockSkew = cmp.Or(o.MaxClockSkew, 5*time.Minute)
	o.Prefix = cmp.Or(o.Prefix, "rc")
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	o.lookEvery = cmp.Or(o.lookEvery, lookAgainEvery)
}

// A Store is a connection to an engine. It is safe for concurrent use.
type Store struct {
	engine   *engine
	clock    *clock
	epochs   *epochs
	sessions *sessions
	nonces   *nonces
	limits   *limits
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// Open connects to the engine of a URL (see parseURL). It refuses an engine that
// would throw keys away when its memory is full.
func Open(ctx context.Context, url string, o Options) (_ *Store, err error) {
	o.complete()
	s := &Store{stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("redis: open %s: %w", redacted(url), err), s.Close())
		}
	}()
	if s.engine, err = connect(url, &o); err != nil {
		return nil, err
	}
	if err := s.engine.checkSettings(ctx); err != nil {
		return nil, err
	}
	k := newKeys(o.Prefix)
	if s.clock, err = newClock(ctx, s.engine, k.kick(""), &o); err != nil {
		return nil, err
	}
	if err := s.engine.claim(ctx, k, o.Installation); err != nil {
		return nil, err
	}
	if o.Moved {
		if err := s.engine.endEpochs(ctx, k); err != nil {
			return nil, err
		}
	}
	if s.epochs, err = openEpochs(ctx, s.engine, k, s.clock.Now, o.Log); err != nil {
		return nil, err
	}
	s.sessions = newSessions(s.engine, k, s.clock, s.epochs, &o)
	if s.nonces, err = openNonces(ctx, s.engine, k, s.clock.Now, &o); err != nil {
		return nil, err
	}
	// A replica that has all that there is takes no write until now.
	if err := s.sessions.Ping(ctx); err != nil {
		return nil, err
	}
	s.limits = newLimits(s.engine.client, o.Prefix, o.Now)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, run := range []func(context.Context){s.clock.run, s.epochs.run, s.sessions.wakes.run, s.sessions.runJournal, s.sessions.runAgain, s.nonces.run, s.lookOver(k, &o)} {
		s.running.Go(func() { run(running) })
	}
	select { // who opens misses no event
	case <-s.sessions.wakes.ready:
	case <-time.After(o.Timeout):
		return nil, outage("subscribe", context.DeadlineExceeded)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s, nil
}

// endEpochs ends the epoch of every partition, as a loss does.
func (e *engine) endEpochs(ctx context.Context, k *keys) error {
	commands := make([]command, partitions)
	for n := range commands {
		commands[n] = write("DEL", k.parts[n].epoch())
	}
	_, err := e.do(ctx, "end the epoch", commands...)
	return err
}

// Sessions returns the Store as that contract.
func (s *Store) Sessions() roll.Sessions { return s.sessions }

// Nonces returns the Store as that contract.
func (s *Store) Nonces() roll.Nonces { return s.nonces }

// Limits returns the Store as that contract.
func (s *Store) Limits() roll.Limits { return s.limits }

// Now is the engine's time: all processes that share it see sessions by one
// clock, whatever their own say.
func (s *Store) Now() time.Time { return s.clock.Now() }

// Close disconnects. Nothing may be called after it, or be under way.
func (s *Store) Close() error {
	s.stop()
	if s.engine != nil {
		s.engine.client.Close()
	}
	s.running.Wait()
	return nil
}

// lookAgainEvery is how often settings are looked at that may be changed while
// the engine runs.
const lookAgainEvery = 30 * time.Second

// lookOver says in the log what Open would have refused: settings are changed
// while an engine runs, and one that was emptied may be another's now.
func (s *Store) lookOver(k *keys, o *Options) func(context.Context) {
	return func(ctx context.Context) {
		for wait(ctx, o.lookEvery) {
			err := errors.Join(s.engine.checkSettings(ctx), s.engine.claim(ctx, k, o.Installation))
			if errors.Is(err, rollcall.ErrInvalid) && ctx.Err() == nil { // of an outage others tell
				o.Log.LogAttrs(ctx, slog.LevelError, "redis: the engine is not as it has to be", slog.Any("error", err))
			}
		}
	}
}

// checkSettings looks at what would lose data without a word. Who may not ask
// (a managed engine, an ACL), or is not answered, takes the engine at its word.
func (e *engine) checkSettings(ctx context.Context) error {
	ctx, cancel := e.within(ctx)
	defer cancel()
	for addr, node := range e.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			continue // a replica may be down, and of a master what follows tells
		}
		if policy := field(info, "maxmemory_policy"); policy != "" && policy != "noeviction" && field(info, "maxmemory") != "0" {
			return fmt.Errorf("%w: engine %s has maxmemory-policy %s and would throw sessions away: set noeviction", rollcall.ErrInvalid, addr, policy)
		}
	}
	return nil
}

// field returns a field of an INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
