package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// load fills a Book, and returns the last Seq that was given and what the log has.
func load(ctx context.Context, db *database, book *live.Book, now time.Time) (seq int64, size logSize, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT max(meta.seq, (SELECT coalesce(max(seq), 0) FROM receipts)) FROM meta`).Scan(&seq)
	if err != nil {
		return 0, logSize{}, outage("load seq", err)
	}
	logged, size, err := replayed(ctx, db, book, now)
	if err != nil {
		return 0, logSize{}, err
	}
	seq = max(seq, logged)
	book.SetLast(seq)
	for _, some := range []func(context.Context, *database, *live.Book, time.Time) error{loadEvents, loadBoots} {
		if err := some(ctx, db, book, now); err != nil {
			return 0, logSize{}, err
		}
	}
	return seq, size, nil
}

// loadEvents reads the receipts that may still change, and the kicks that Announce
// asks for.
func loadEvents(ctx context.Context, db *database, book *live.Book, now time.Time) error {
	var step live.Step
	err := docs(ctx, db, "load events", decoded(func(_ int64, r rollcall.Receipt) { step.Receipts = append(step.Receipts, r) }),
		`SELECT seq, doc FROM receipts WHERE open = 1 ORDER BY seq`)
	if err != nil {
		return err
	}
	err = docs(ctx, db, "load kicks", decoded(func(_ int64, k rollcall.Kick) { step.Kicks = append(step.Kicks, k) }),
		`SELECT 0, doc FROM kicks WHERE at >= $1 OR running = 1`, nanos(now.Add(-roll.MaxLifetime)))
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
