package roll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/internal/webhook"
)

// Options configure a Service. The zero values of all but Stores and Vault work.
type Options struct {
	Stores Stores
	Vault  *vault.Vault
	// LeaseTTL is how long a session lives without a Heartbeat, in whole seconds;
	// 0: 90 s.
	LeaseTTL time.Duration
	// Heartbeat is how often game servers are asked to renew sessions; 0: 30 s,
	// and never less often than three times in a lease.
	Heartbeat time.Duration
	// Lifetime is how long a session lives at the most, MaxLifetime or less; 0:
	// 12 h.
	Lifetime time.Duration
	// LaunchURL is where members are sent to play games without one of their own;
	// empty: such games cannot be launched.
	LaunchURL string
	// RequestRetention is how long request records are kept; 0: 7 days.
	// SessionRetention is how long ended sessions are; 0: 90 days.
	// EventRetention is how long kicks, their receipts, events that nobody has
	// acknowledged and webhooks that were given up are; 0: 7 days.
	RequestRetention, SessionRetention, EventRetention time.Duration
	// Webhooks sends webhooks; nil: one that sends to public addresses only.
	Webhooks *webhook.Sender
	// Now is the clock; nil: that of the Stores.
	Now func() time.Time
	// Log gets what no caller is told; nil: slog.Default.
	Log *slog.Logger
}

// A Service applies the rules. It is safe for concurrent use; any number of
// Services may share stores.
type Service struct {
	directory Directory
	sessions  Sessions
	history   History
	vault     *vault.Vault
	webhooks  *webhook.Sender
	lease     time.Duration
	heartbeat time.Duration
	lifetime  time.Duration
	launchURL string
	retention struct{ requests, sessions, events time.Duration }
	now       func() time.Time
	log       *slog.Logger

	online   sync.Map      // of *onlineList by agent
	kicks    chan struct{} // has an element where a kick is to be run
	handover handover
	lastID   atomic.Int64 // Unix µs, see idTime
	whole    atomic.Int64 // Unix ns at which an epoch began that has nothing left to be announced
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		directory: o.Stores.Directory,
		sessions:  o.Stores.Sessions,
		history:   o.Stores.History,
		vault:     o.Vault,
		lease:     orDefault(o.LeaseTTL, 90*time.Second),
		heartbeat: orDefault(o.Heartbeat, 30*time.Second),
		lifetime:  orDefault(o.Lifetime, 12*time.Hour),
		launchURL: o.LaunchURL,
		webhooks:  o.Webhooks,
		log:       o.Log,
		kicks:     make(chan struct{}, 1),
		handover:  handover{room: make(chan struct{}, 1)},
	}
	s.heartbeat = wholeSeconds(min(s.heartbeat, s.lease/3))
	s.retention.requests = orDefault(o.RequestRetention, 7*day)
	s.retention.sessions = orDefault(o.SessionRetention, 90*day)
	s.retention.events = orDefault(o.EventRetention, 7*day)
	if s.webhooks == nil {
		s.webhooks = webhook.New(webhook.Options{})
	}
	if o.Now == nil {
		o.Now = o.Stores.Clock()
	}
	s.now = func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) } // as it is stored and shown
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

const day = 24 * time.Hour

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// A Caller is an agent that has proved who it is, and the trail on which the
// checks of its request are noted.
type Caller struct {
	Agent *Agent
	Trail *Trail
	// LogUUID is of the answer; empty: there is none.
	LogUUID string
}

const (
	// sweepEvery also bounds how long a lease has ended in memory before it has
	// in the store: a server that is killed in between shows the session once
	// more.
	sweepEvery = 100 * time.Millisecond
	// sweepAgain is when a sweep that failed is tried again.
	sweepAgain = time.Second
	sweepLimit = 4000
	// leadFor is how long a process that died holds up work that one does for
	// all.
	leadFor    = 3 * time.Second
	pruneEvery = time.Minute
	pruneLimit = 5000
)

// Run does what nobody waits for, until ctx ends: it removes sessions that have
// expired, within 2 s, and what is older than it is to be kept, within minutes;
// goes on with kicks; hands ended sessions to the history; and sends webhooks.
// Readers never see an expired session, swept or not.
func (s *Service) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { s.runSweep(ctx) })
	all.Go(func() { s.runPrune(ctx) })
	all.Go(func() { s.runKicks(ctx) })
	all.Go(func() { s.runHandover(ctx) })
	all.Go(func() { s.runWebhooks(ctx) })
	all.Wait()
}

func (s *Service) runSweep(ctx context.Context) {
	for next := sweepEvery; pause(ctx, next); {
		next = sweepEvery
		if s.leads(ctx, "sweep", leadFor) && !s.repeat(ctx, "expire sessions", sweepLimit, s.expireSome) {
			next = sweepAgain
		}
	}
}

func (s *Service) runPrune(ctx context.Context) {
	tasks := []struct {
		what string
		keep time.Duration
		some func(ctx context.Context, before time.Time, limit int) (int, error)
	}{
		{"prune request records", s.retention.requests, s.history.Prune},
		{"prune ended sessions", s.retention.sessions, s.history.PruneEnded},
		{"prune events", s.retention.events, s.sessions.PruneEvents},
		{"prune webhooks", s.retention.events, s.history.PruneDeliveries},
	}
	for pause(ctx, pruneEvery) {
		if !s.leads(ctx, "prune", 2*pruneEvery) {
			continue
		}
		for _, t := range tasks {
			s.repeat(ctx, t.what, pruneLimit, func(ctx context.Context) (int, error) {
				return t.some(ctx, pruneBefore(s.now(), t.keep), pruneLimit)
			})
		}
	}
}

// pruneBefore returns before when things go that are kept for a time. What is
// kept for days goes by whole days, which a store may keep apart.
func pruneBefore(now time.Time, keep time.Duration) time.Time {
	before := now.Add(-keep)
	if keep >= 2*day {
		before = before.Truncate(day)
	}
	return before
}

// leads reports whether this process is to do work that one does for all.
func (s *Service) leads(ctx context.Context, work string, d time.Duration) bool {
	leads, err := s.sessions.Lead(ctx, work, d)
	if err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelError, "sweep", slog.String("task", "lead "+work), slog.Any("error", err))
		pause(ctx, sweepAgain)
	}
	return leads
}

// repeat calls some until it has less to do than it may do at once, and reports
// whether all went well.
func (s *Service) repeat(ctx context.Context, what string, limit int, some func(context.Context) (int, error)) bool {
	for ctx.Err() == nil {
		n, err := some(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "sweep", slog.String("task", what), slog.Any("error", err))
		}
		if err != nil || n < limit {
			return err == nil
		}
	}
	return true
}

func (s *Service) expireSome(ctx context.Context) (int, error) {
	ended, err := s.sessions.Expire(ctx, s.now(), sweepLimit)
	s.logEnds(ctx, ended)
	return len(ended), err
}

// Prepare makes the stores ready to be served from: it makes the first token key
// where there is none, and fails where the vault's master key is not the one
// that the stores were written under.
func (s *Service) Prepare(ctx context.Context) error {
	keys, err := s.directory.TokenKeys().List(ctx, "", "", 1)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		_, err := s.RotateTokenKey(ctx, "rollcall")
		if !errors.Is(err, rollcall.ErrExists) {
			return err
		}
		return nil
	}
	if _, err := s.vault.Open(TokenKeyContext(keys[0].ID), keys[0].Sealed); err != nil {
		return fmt.Errorf("master key does not fit the data: %w", err)
	}
	return nil
}

// newID returns a version 7 UUID, which sorts by time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
