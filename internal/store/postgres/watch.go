package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// A watch keeps the caches true. It hears of changes by notifications, on a
// connection of its own, and asks for the revisions every pollEvery as well: a
// notification may be lost, a pooler passes none on, and only an answer proves
// that the copies are still true.
type watch struct {
	config    *pgx.ConnConfig
	caches    []follower
	pollEvery time.Duration
	maxStale  time.Duration
	timeout   time.Duration
	now       func() time.Time
	log       *slog.Logger
	deaf      bool

	began time.Time
	// certain is when the last poll that went well was begun, from began on.
	certain atomic.Int64
	// backend is the server process of the watch's own connection.
	backend atomic.Uint32
}

// A follower is a cache.
type follower interface {
	table() string
	isAt(rev int64) bool
	catchUp(ctx context.Context, on executor, whole bool) error
}

func newWatch(config *pgx.ConnConfig, o *Options) *watch {
	config = config.Copy()
	config.RuntimeParams["application_name"] += " watch"
	return &watch{
		config: config, pollEvery: o.PollEvery, maxStale: o.MaxStale, timeout: min(o.Timeout, o.MaxStale/2),
		now: o.Now, log: o.Log, deaf: o.deaf, began: o.Now(),
	}
}

// age is how long ago the copies were certain.
func (w *watch) age() time.Duration {
	return w.now().Sub(w.began) - time.Duration(w.certain.Load())
}

// pollWithin is how long a poll may take before another connection is tried: a
// change is to be known within a second.
const pollWithin = 500 * time.Millisecond

// Between attempts to connect.
const (
	againSoon = 50 * time.Millisecond
	againLate = time.Second
)

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	again := againSoon
	for ctx.Err() == nil {
		polled, err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if polled {
			again = againSoon
		}
		w.log.LogAttrs(ctx, slog.LevelWarn, "the directory's changes cannot be followed",
			slog.Any("error", err), slog.Duration("age", w.age()), slog.Duration("again", again))
		pause(ctx, again)
		again = min(2*again, againLate)
	}
}

// follow watches on one connection until it breaks, and reports whether any poll
// went well. On a new connection the tables are read whole: the server may be
// another one, which does not know all that the former knew.
func (w *watch) follow(ctx context.Context) (polled bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, w.config)
	if err != nil {
		return false, outage("connect", err)
	}
	defer func() { w.close(ctx, conn) }()
	w.backend.Store(conn.PgConn().PID())
	if !w.deaf {
		if _, err := conn.Exec(connecting, `LISTEN `+channel); err != nil {
			return false, outage("listen", err)
		}
	}
	for _, c := range w.caches {
		if err := c.catchUp(connecting, conn, true); err != nil {
			return false, err
		}
	}
	for {
		if err := w.poll(ctx, conn); err != nil {
			return polled, err
		}
		polled = true
		if err := w.wait(ctx, conn); err != nil {
			return polled, outage("wait for changes", err)
		}
	}
}

func (w *watch) close(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is under way on it
}

// wait returns nil at a notification, or when it is time for a poll.
func (w *watch) wait(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, w.pollEvery)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err != nil && errors.Is(waiting.Err(), context.DeadlineExceeded) && !conn.IsClosed() {
		return nil
	}
	return err
}

// poll has the caches catch up, at the cost of reading six numbers where nothing
// has changed.
func (w *watch) poll(ctx context.Context, on executor) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	asked := w.now().Sub(w.began)
	revs := make(map[string]int64)
	asking, stop := context.WithTimeout(ctx, pollWithin)
	defer stop()
	err := each(asking, on, func(rows pgx.Rows) error {
		var name string
		var rev int64
		err := rows.Scan(&name, &rev)
		revs[name] = rev
		return err
	}, `SELECT name, rev FROM revisions`)
	if err != nil {
		return outage("read revisions", err)
	}
	for _, c := range w.caches {
		if c.isAt(revs[c.table()]) {
			continue
		}
		if err := c.catchUp(ctx, on, false); err != nil {
			return err
		}
	}
	w.certain.Store(int64(asked))
	return nil
}

// pause waits, or until ctx ends, when it returns false.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
