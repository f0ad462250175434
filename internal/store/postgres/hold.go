package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
)

// A Hold is how a process keeps others off the database while it has it open.
type Hold int

const (
	// HoldNone keeps nobody off, and opens beside anybody.
	HoldNone Hold = iota
	// HoldShared keeps off who wants to be alone.
	HoldShared
	// HoldAlone keeps off all that hold it.
	HoldAlone
)

// ErrHeld says that another process holds the database.
var ErrHeld = errors.New("a server is running on these stores")

const holdLock = 0x726f6c6c_00000003

// Times of a hold.
const (
	holdWithin = 2 * time.Second // how long one who stops may take to be gone
	holdEvery  = time.Second     // between looks whether it is still held
)

// A holder holds a lock for as long as its connection lives, in a transaction: a
// pooler that gives each transaction another connection leaves that one alone. It
// has no snapshot between statements, so it is in no vacuum's way.
type holder struct {
	config  *pgx.ConnConfig
	hold    Hold
	timeout time.Duration
	log     *slog.Logger

	conn    *pgx.Conn
	stop    context.CancelFunc
	running sync.WaitGroup
}

// holdDatabase takes the lock, and keeps it until close. Of others that hold it
// it waits a moment for one that is about to go.
func holdDatabase(ctx context.Context, config *pgx.ConnConfig, o *Options) (*holder, error) {
	config = config.Copy()
	config.RuntimeParams["application_name"] += " hold"
	h := &holder{config: config, hold: o.Hold, timeout: o.Timeout, log: o.Log}
	waiting, cancel := context.WithTimeout(ctx, holdWithin)
	defer cancel()
	for {
		err := h.take(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrHeld) || !pause(waiting, againSoon) {
			return nil, err
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.running.Go(func() { h.run(running) })
	return h, nil
}

// holdSettings have the server notice soon that this machine is gone, and let the
// transaction wait.
const holdSettings = `SELECT set_config(name, value, true) FROM (VALUES
	('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
	('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3')
	) AS setting (name, value) WHERE current_setting(name, true) IS NOT NULL`

// take connects and takes the lock, or is ErrHeld.
func (h *holder) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	conn, err := dial(ctx, h.config)
	if err != nil {
		return err
	}
	taken := false
	lock := `SELECT pg_try_advisory_xact_lock($1)`
	if h.hold == HoldShared {
		lock = `SELECT pg_try_advisory_xact_lock_shared($1)`
	}
	for _, step := range []func() error{
		func() error { _, err := conn.Exec(ctx, `BEGIN`); return err },
		func() error { _, err := conn.Exec(ctx, holdSettings); return err },
		func() error { return conn.QueryRow(ctx, lock, int64(holdLock)).Scan(&taken) },
	} {
		if err = outage("hold the database", step()); err != nil {
			break
		}
	}
	if err == nil && !taken {
		err = fmt.Errorf("%w: %s", ErrHeld, h.why())
	}
	if err != nil {
		h.close(conn)
		return err
	}
	h.conn = conn
	return nil
}

func (h *holder) why() string {
	if h.hold == HoldShared {
		return "one with embedded sessions, or an export or import, has the database for itself"
	}
	return "the database is held by one or more already, and who has sessions in --data has to be the only one"
}

// run looks whether the lock is still held, and takes it again where it is not.
func (h *holder) run(ctx context.Context) {
	for pause(ctx, holdEvery) {
		if h.conn == nil || !h.holds(ctx) {
			h.again(ctx)
		}
	}
}

func (h *holder) again(ctx context.Context) {
	h.drop()
	err := h.take(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		h.log.LogAttrs(ctx, slog.LevelInfo, "the lock of the database was lost, and is held again")
	case errors.Is(err, ErrHeld):
		h.log.LogAttrs(ctx, slog.LevelError, "another server has taken the database while it was not reached: stop one of the two", slog.Any("error", err))
	default:
		h.log.LogAttrs(ctx, slog.LevelWarn, "the lock of the database is lost", slog.Any("error", err))
	}
}

func (h *holder) holds(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	_, err := h.conn.Exec(ctx, `SELECT 1`)
	return err == nil
}

func (h *holder) drop() {
	if h.conn != nil {
		h.close(h.conn)
		h.conn = nil
	}
}

// close lets go of what a connection holds.
func (h *holder) close(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server ends the transaction with it
}

// end lets the lock go.
func (h *holder) end() {
	h.stop()
	h.running.Wait()
	h.drop()
}

// dial connects outside the pool. Who is not let in is told that plainly.
func dial(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return conn, nil
	}
	if why := refusal(err); why != "" {
		return nil, fmt.Errorf("postgres: connect: %w: %s", rollcall.ErrInvalid, why)
	}
	return nil, outage("connect", err)
}
