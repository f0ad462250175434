// Package postgres keeps the directory and the history in PostgreSQL, for any
// number of nodes. It knows nothing of live sessions, which are elsewhere.
//
// Each node holds the small tables of the directory in memory and follows their
// changes (see cache and watch); members and history are read by their keys.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// Options configure a Store. The zero value works.
type Options struct {
	// NoMigrate has Open refuse a database that is not at this program's version,
	// where else it brings an older one to it.
	NoMigrate bool
	// Hold keeps others off the database; an Open that is kept off is ErrHeld.
	Hold Hold
	// MaxConns bounds the connections of the pool; 0: pool_max_conns of the URL,
	// else 16. There is one more that follows the directory's changes, and one for
	// Hold.
	MaxConns int
	// Timeout bounds each call, whatever its context allows; 0: 3 s. Adding to
	// the history may take thrice, pruning it ten times as long.
	Timeout time.Duration
	// PollEvery is how often a node looks for changes of the directory of which
	// no notification has come; 0: 250 ms.
	PollEvery time.Duration
	// MaxStale is for how long a node answers from its copy of the directory
	// without having heard that it is still true, which it mostly hears every
	// PollEvery. After that the answer is rollcall.ErrUnavailable, so that an
	// agent who is blocked is not served by a node that is cut off; 0: 5 s.
	MaxStale time.Duration
	// Now is the clock, for the age of the copy and for today's date; nil:
	// time.Now.
	Now func() time.Time
	// Log is told what no caller is; nil: slog.Default.
	Log *slog.Logger

	deaf bool // for tests: hear of no notifications
}

func (o *Options) complete() {
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.PollEvery = cmp.Or(o.PollEvery, 250*time.Millisecond)
	o.MaxStale = cmp.Or(o.MaxStale, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
}

// A Store is a database that is open. It is safe for concurrent use.
type Store struct {
	db        *database
	directory *directory
	history   *history
	watch     *watch
	hold      *holder
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// Open opens the database at a postgres:// URL. Unless o.NoMigrate it brings an
// older database to this program's version first, one process at a time; one of a
// newer rollcall is an error that says so. Errors do not hold the URL's password;
// an engine that does not answer is rollcall.ErrUnavailable.
func Open(ctx context.Context, url string, o Options) (_ *Store, err error) {
	o.complete()
	config, err := parse(url, &o)
	if err != nil {
		return nil, err
	}
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if o.Hold != HoldNone {
		if s.hold, err = holdDatabase(ctx, config.ConnConfig, &o); err != nil {
			return nil, err
		}
	}
	if o.NoMigrate {
		err = checkVersion(ctx, config.ConnConfig)
	} else {
		err = migrate(ctx, config.ConnConfig, func(string) {})
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	if s.db, err = openDatabase(ctx, config, o.Timeout); err != nil {
		return nil, err
	}
	s.watch = newWatch(config.ConnConfig, &o)
	s.directory = newDirectory(s.db, s.watch)
	s.history = newHistory(s.db, &o)
	if err := s.watch.poll(ctx, s.db.pool); err != nil {
		return nil, err
	}
	s.run()
	return s, nil
}

// run starts what goes on until Close.
func (s *Store) run() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.watch.run(ctx) })
	for _, d := range []*days{s.history.requestDays, s.history.endedDays} {
		s.running.Go(func() { d.run(ctx) })
	}
}

// Directory returns the Store as a Directory.
func (s *Store) Directory() roll.Directory { return s.directory }

// History returns the Store as a History.
func (s *Store) History() roll.History { return s.history }

// Installation returns what tells the installation from all others that is in the
// database.
func (s *Store) Installation(ctx context.Context) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.db.timeout)
	defer cancel()
	err = s.db.pool.QueryRow(ctx, `SELECT id FROM installation`).Scan(&id)
	return id, outage("read the installation", err)
}

// CacheAge returns how long ago it was certain that this node's copy of the
// directory is true. Beyond MaxStale it is not answered from.
func (s *Store) CacheAge() time.Duration { return s.watch.age() }

// Close frees the connections. Nothing may be called after it, or be under way.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	if s.db != nil {
		s.db.pool.Close()
	}
	if s.hold != nil { // last: then nothing is written any more
		s.hold.end()
	}
	return nil
}
