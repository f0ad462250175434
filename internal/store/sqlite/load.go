package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// load fills a Book, and returns the last Seq that was given.
func load(ctx context.Context, db *database, book *live.Book, now time.Time) (seq int64, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT max(meta.seq, (SELECT coalesce(max(seq), 0) FROM receipts), (SELECT coalesce(max(seq), 0) FROM outbox)) FROM meta`).Scan(&seq)
	if err != nil {
		return 0, outage("load seq", err)
	}
	book.SetLast(seq)
	for _, some := range []func(context.Context, *database, *live.Book, time.Time) error{
		loadSessions, loadLaunches, loadEvents, loadBoots,
	} {
		if err := some(ctx, db, book, now); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// loadChunk is how many documents one worker decodes at a time.
const loadChunk = 500

// loadSessions reads on one side and decodes on all processors: decoding is most
// of the time.
func loadSessions(ctx context.Context, db *database, book *live.Book, now time.Time) error {
	work, ctx := errgroup.WithContext(ctx)
	chunks := make(chan [][]byte, runtime.GOMAXPROCS(0))
	work.Go(func() error {
		defer close(chunks)
		return readSessions(ctx, db, chunks)
	})
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() error {
			for chunk := range chunks {
				if err := addSessions(book, chunk, now); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

func readSessions(ctx context.Context, db *database, chunks chan<- [][]byte) error {
	chunk := make([][]byte, 0, loadChunk)
	flush := func() error {
		select {
		case chunks <- chunk:
			chunk = make([][]byte, 0, loadChunk)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := docs(ctx, db, "load sessions", func(_ int64, doc []byte) error {
		if chunk = append(chunk, slices.Clone(doc)); len(chunk) < loadChunk {
			return nil
		}
		return flush()
	}, `SELECT 0, doc FROM sessions`)
	if err != nil {
		return err
	}
	return flush()
}

func addSessions(book *live.Book, chunk [][]byte, now time.Time) error {
	for _, doc := range chunk {
		var session rollcall.Session
		if err := json.Unmarshal(doc, &session); err != nil {
			return fmt.Errorf("sqlite: a stored session: %w", err)
		}
		revive(&session, now)
		book.Add(session)
	}
	return nil
}

// revive gives a session that was stored a whole lease afresh: the one that it
// had may have been renewed since, while nobody could renew it now. Sessions of a
// version that stored no lease were stored as they began.
func revive(s *rollcall.Session, now time.Time) {
	if s.LeaseSeconds == 0 {
		lease := s.ExpiresAt.Sub(s.SeenAt) + time.Second - 1
		s.LeaseSeconds = max(1, int(lease/time.Second))
	}
	if fresh := now.Add(s.Lease()); fresh.After(s.ExpiresAt) {
		s.ExpiresAt = fresh
	}
	if s.ExpiresAt.After(s.EndsAt) {
		s.ExpiresAt = s.EndsAt
	}
}

// loadLaunches reads launches in the order of their ends.
func loadLaunches(ctx context.Context, db *database, book *live.Book, _ time.Time) error {
	var step live.Step
	err := docs(ctx, db, "load launches", decoded(func(_ int64, l roll.Launch) { step.Launches = append(step.Launches, l) }),
		`SELECT 0, doc FROM launches`)
	slices.SortFunc(step.Launches, func(a, b roll.Launch) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.Key, b.Key))
	})
	book.Apply(&step)
	return err
}

// loadEvents reads the receipts that may still change, the kicks that Announce
// asks for, and the outbox.
func loadEvents(ctx context.Context, db *database, book *live.Book, now time.Time) error {
	var step live.Step
	err := docs(ctx, db, "load events", decoded(func(_ int64, r rollcall.Receipt) { step.Receipts = append(step.Receipts, r) }),
		`SELECT seq, doc FROM receipts WHERE open = 1 ORDER BY seq`)
	if err != nil {
		return err
	}
	err = docs(ctx, db, "load kicks", decoded(func(_ int64, k rollcall.Kick) { step.Kicks = append(step.Kicks, k) }),
		`SELECT 0, doc FROM kicks WHERE at >= $1 OR running = 1`, nanos(now.Add(-roll.MaxLifetime)))
	if err != nil {
		return err
	}
	err = docs(ctx, db, "load outbox", decoded(func(seq int64, c roll.Change) {
		c.Seq = seq
		step.Changes = append(step.Changes, c)
	}), `SELECT seq, doc FROM outbox ORDER BY seq`)
	book.Apply(&step)
	return err
}

func loadBoots(ctx context.Context, db *database, book *live.Book, _ time.Time) error {
	var step live.Step
	err := query(ctx, db.read, "load boots", func(rows *sql.Rows) error {
		var boot [2]string
		err := rows.Scan(&boot[0], &boot[1])
		step.Boots = append(step.Boots, boot)
		return err
	}, `SELECT game_server, boot FROM boots`)
	book.Apply(&step)
	return err
}

// decoded is a docs' do for documents of one sort.
func decoded[T any](do func(number int64, value T)) func(int64, []byte) error {
	return func(number int64, doc []byte) error {
		var value T
		if err := json.Unmarshal(doc, &value); err != nil {
			return fmt.Errorf("a stored %T: %w", value, err)
		}
		do(number, value)
		return nil
	}
}

// docs calls do with each row of a query of a number and a document, which is
// do's until it returns.
func docs(ctx context.Context, db *database, doing string, do func(number int64, doc []byte) error, text string, args ...any) error {
	return docsOn(ctx, db.read, doing, do, text, args...)
}

func docsOn(ctx context.Context, on querier, doing string, do func(number int64, doc []byte) error, text string, args ...any) error {
	return query(ctx, on, doing, func(rows *sql.Rows) error {
		var number int64
		var doc sql.RawBytes
		if err := rows.Scan(&number, &doc); err != nil {
			return err
		}
		return do(number, doc)
	}, text, args...)
}

// A querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query calls do at each row.
func query(ctx context.Context, on querier, doing string, do func(*sql.Rows) error, text string, args ...any) error {
	rows, err := on.QueryContext(ctx, text, args...)
	if err != nil {
		return outage(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return outage(doing, err)
		}
	}
	return outage(doing, rows.Err())
}
