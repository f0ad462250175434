package roll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/vault"
)

// Options configure a Service. The zero values of all but Stores and Vault work.
type Options struct {
	Stores Stores
	Vault  *vault.Vault
	// LeaseTTL is how long a session lives without a Heartbeat; 0: 90 s.
	LeaseTTL time.Duration
	// Lifetime is how long a session lives at the most; 0: 12 h.
	Lifetime time.Duration
	// RequestRetention is how long request records are kept; 0: 7 days.
	RequestRetention time.Duration
	// Now is the clock; nil: time.Now.
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
	lease     time.Duration
	lifetime  time.Duration
	retention time.Duration
	now       func() time.Time
	log       *slog.Logger
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		directory: o.Stores.Directory,
		sessions:  o.Stores.Sessions,
		history:   o.Stores.History,
		vault:     o.Vault,
		lease:     orDefault(o.LeaseTTL, 90*time.Second),
		lifetime:  orDefault(o.Lifetime, 12*time.Hour),
		retention: orDefault(o.RequestRetention, 7*24*time.Hour),
		now:       o.Now,
		log:       o.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

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
}

const (
	// sweepEvery also bounds how long a lease has ended in memory before it has
	// in the store: a server that is killed in between shows the session once
	// more.
	sweepEvery = 100 * time.Millisecond
	// sweepAgain is when a sweep that failed is tried again.
	sweepAgain = time.Second
	sweepLimit = 1000
	pruneEvery = time.Minute
	pruneLimit = 5000
)

// Run removes what has expired, sessions within 2 s and request records within
// minutes, until ctx ends. Readers never see an expired session, swept or not.
func (s *Service) Run(ctx context.Context) {
	sweep, prune := time.NewTicker(sweepEvery), time.NewTicker(pruneEvery)
	defer sweep.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			next := sweepEvery
			if !s.repeat(ctx, "expire sessions", sweepLimit, s.expireSome) {
				next = sweepAgain
			}
			sweep.Reset(next)
		case <-prune.C:
			s.repeat(ctx, "prune request records", pruneLimit, s.pruneSome)
		}
	}
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
	for i := range ended {
		s.logEnd(ctx, &ended[i], rollcall.EndExpired)
	}
	return len(ended), err
}

func (s *Service) pruneSome(ctx context.Context) (int, error) {
	return s.history.Prune(ctx, s.now().Add(-s.retention), pruneLimit)
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
