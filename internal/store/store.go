// Package store opens the backends that a configuration names and ties them into
// one roll.Stores. It decides nothing about what they hold; what moves from some
// stores to others is in dump.
//
//	sessions    directory   nodes
//	embedded    embedded    one
//	embedded    PostgreSQL  one, on the machine that holds the sessions
//	Redis       embedded    one, on the machine that holds the directory
//	Redis       PostgreSQL  any number
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/postgres"
	"github.com/rollcall-server/rollcall/internal/store/redis"
	"github.com/rollcall-server/rollcall/internal/store/sqlite"
)

// A Use is what stores are opened for, and so who may have them open too.
type Use int

const (
	// UseBeside is beside anybody whom the stores let in, to look or to prepare.
	UseBeside Use = iota
	// UseServe is to serve from them: beside other servers where the stores are
	// for many, else alone.
	UseServe
	// UseAlone is to move what they hold: beside no server.
	UseAlone
)

// Options say which backends to open. Data is required where Sessions or
// Directory is empty; all else may be zero.
type Options struct {
	// Sessions is the URL of the Redis or Valkey that holds sessions, nonces and
	// limits; "": the embedded backend in Data.
	Sessions string
	// Directory is the URL of the PostgreSQL that holds directory and history;
	// "": the embedded backend in Data.
	Directory string
	// Data is the embedded backend's directory.
	Data string

	// Use says what for.
	Use Use
	// Begun has stores refused that have no admin token: nobody has made them, so
	// another name was meant.
	Begun bool
	// MaxClockSkew sets how long nonces are remembered; 0: 5 min.
	MaxClockSkew time.Duration
	// Sync is the embedded backend's; "": full.
	Sync string
	// RedisPrefix begins every key; "": rc. RedisTimeout bounds a call; 0: 3 s.
	RedisPrefix  string
	RedisTimeout time.Duration
	// RedisReplicas is how many replicas have to have a change before it is
	// answered.
	RedisReplicas int
	// DirectoryMaxStale is how long what was read of PostgreSQL is answered from
	// while it does not answer; 0: 5 s.
	DirectoryMaxStale time.Duration
	// NoMigrate has a database that is older than this program refused.
	NoMigrate bool
	// Salvage has the embedded backend opened without what of its log is damaged.
	Salvage bool
	// Now is this machine's clock; nil: time.Now.
	Now func() time.Time
	// OnCommit, if set, is told of each group commit of the embedded backend.
	OnCommit func(took time.Duration, changes int)
	// Log is told what no caller is; nil: slog.Default.
	Log *slog.Logger

	// moved says that what comes next was in other stores until now: an epoch
	// begins, and requests that were signed before are refused.
	moved bool
}

// Check reports all that is wrong with the URLs and Data, without opening anything.
func (o *Options) Check() error {
	var errs []error
	if o.Sessions != "" && !isRedis(o.Sessions) {
		errs = append(errs, errors.New("sessions: want redis://HOST:PORT, rediss://, redis+sentinel://HOST:PORT,…/NAME, redis+cluster://HOST:PORT,… or unix:///PATH"))
	} else if o.Sessions != "" {
		errs = append(errs, about("sessions", redis.CheckURL(o.Sessions)))
	}
	if o.Directory != "" && !isPostgres(o.Directory) {
		errs = append(errs, errors.New("directory: want postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
	} else if o.Directory != "" {
		errs = append(errs, about("directory", postgres.CheckURL(o.Directory)))
	}
	if o.Embedded() && o.Data == "" {
		errs = append(errs, errors.New("data: say in which directory the stores are (--data DIR); without one both --sessions and --directory are needed"))
	}
	return errors.Join(errs...)
}

func about(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// Embedded reports whether something is held by the embedded backend.
func (o *Options) Embedded() bool { return o.Sessions == "" || o.Directory == "" }

// Used reports whether the directory holds something already that was written
// under a master key, without opening more than it needs.
func Used(ctx context.Context, o Options) (used bool, err error) {
	if o.Directory == "" {
		_, err := os.Lstat(filepath.Join(o.Data, "rollcall.db"))
		return err == nil, nil
	}
	db, err := postgres.Open(ctx, o.Directory, postgres.Options{NoMigrate: o.NoMigrate, Now: o.Now, Log: o.Log})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys, err := db.Directory().TokenKeys().List(ctx, "", "", 1)
	return len(keys) > 0, err
}

// Stores are the backends that are open. They are safe for concurrent use.
type Stores struct {
	roll.Stores

	options   Options
	embedded  *sqlite.Store
	sessions  *redis.Store
	directory *postgres.Store
}

// Open opens what the options name. Errors hold no secret of a URL; an engine
// that does not answer is rollcall.ErrUnavailable.
func Open(ctx context.Context, o Options) (_ *Stores, err error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", rollcall.ErrInvalid, err)
	}
	s := &Stores{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := o.begun(ctx); err != nil {
		return nil, err
	}
	if o.Embedded() {
		s.embedded, err = sqlite.Open(ctx, o.Data, sqlite.Options{
			MaxClockSkew: o.MaxClockSkew, Sync: sqlite.Sync(o.Sync), Moved: o.moved, Salvage: o.Salvage, Now: o.Now, Log: o.Log, OnCommit: o.OnCommit,
		})
		if err != nil {
			return nil, err
		}
		s.Stores = s.embedded.Stores()
		s.Now = o.Now
	}
	if o.Directory != "" {
		s.directory, err = postgres.Open(ctx, o.Directory, postgres.Options{
			NoMigrate: o.NoMigrate, Hold: o.hold(), MaxStale: o.DirectoryMaxStale, Now: o.Now, Log: o.Log,
		})
		if err != nil {
			return nil, err
		}
		s.Directory, s.History = s.directory.Directory(), s.directory.History()
	}
	if err := s.begun(ctx); err != nil {
		return nil, err
	}
	if o.Sessions != "" {
		err = s.openRedis(ctx, &o)
	}
	return s, err
}

// openRedis comes last: whether nonces can have been used before is in the
// directory.
func (s *Stores) openRedis(ctx context.Context, o *Options) error {
	keys, err := s.Directory.TokenKeys().List(ctx, "", "", 1)
	if err != nil {
		return err
	}
	installation, err := s.installation(ctx)
	if err != nil {
		return err
	}
	s.sessions, err = redis.Open(ctx, o.Sessions, redis.Options{
		MaxClockSkew: o.MaxClockSkew, Prefix: o.RedisPrefix, Timeout: o.RedisTimeout, Replicas: o.RedisReplicas, Log: o.Log,
		Installation: installation,
		New:          len(keys) == 0, Moved: o.moved, // without a token key nobody can have called
	})
	if err != nil {
		return err
	}
	s.Remote = true
	s.Sessions, s.Nonces, s.Limits, s.Now = s.sessions.Sessions(), s.sessions.Nonces(), s.sessions.Limits(), s.sessions.Now
	return nil
}

// quietFor is how long one who stops may take to be gone.
const quietFor = 2 * time.Second

// Quiet reports an error where another process has the stores open. Of the
// embedded backend it is known that none has.
func (s *Stores) Quiet(ctx context.Context) error {
	if s.sessions == nil {
		return nil
	}
	end := time.After(quietFor)
	for {
		others, err := s.sessions.Others(ctx)
		if err != nil || others == 0 {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return fmt.Errorf("%w: stop all servers first", postgres.ErrHeld)
		}
	}
}

// beginMove opens the stores anew for what was in others until now.
func (s *Stores) beginMove(ctx context.Context) error {
	if s.embedded == nil && s.sessions == nil {
		return nil // they are a test's own
	}
	if err := s.Close(); err != nil {
		return err
	}
	o := s.options
	o.moved = true
	fresh, err := Open(ctx, o)
	if err != nil {
		return err
	}
	*s = *fresh
	return nil
}

// carryOn finishes what a server has left half done when it died.
func (s *Stores) carryOn(ctx context.Context) error {
	if s.sessions == nil {
		return nil
	}
	return s.sessions.CarryOn(ctx)
}

// Close frees all of them; a second time it does nothing. Nothing else may be
// called after it, or be under way.
func (s *Stores) Close() error {
	var errs []error
	if s.sessions != nil {
		errs = append(errs, s.sessions.Close())
	}
	if s.directory != nil {
		errs = append(errs, s.directory.Close())
	}
	if s.embedded != nil {
		errs = append(errs, s.embedded.Close())
	}
	s.sessions, s.directory, s.embedded = nil, nil, nil
	return errors.Join(errs...)
}
