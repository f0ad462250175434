package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// moveTables moves what versions before the log have left in tables to its end, all
// of it in one transaction.
func moveTables(ctx context.Context, db *database) error {
	var there bool
	err := db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sessions) OR EXISTS (SELECT 1 FROM launches) OR EXISTS (SELECT 1 FROM outbox)`).Scan(&there)
	if err != nil || !there {
		return err
	}
	return db.change(ctx, func(tx *sql.Tx) error {
		m := &mover{ctx: ctx, tx: tx, sheet: newSheet()}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM log`).Scan(&m.last); err != nil {
			return err
		}
		return m.all()
	})
}

// A mover writes sheets of what it reads in tables.
type mover struct {
	ctx   context.Context
	tx    *sql.Tx
	sheet *sheet
	last  int64 // id of a sheet
	seq   int64 // the highest that was seen
}

// moveCount is how many entries a sheet of a mover has.
const moveCount = 1000

func (m *mover) all() error {
	moveSession := moved(m, func(_ int64, s *rollcall.Session) error { return m.sheet.session(s) })
	moveLaunch := moved(m, func(_ int64, l *roll.Launch) error { return m.sheet.launch(l) })
	moveChange := moved(m, func(seq int64, c *roll.Change) error {
		c.Seq, m.seq = seq, max(m.seq, seq)
		return m.sheet.change(c)
	})
	for _, table := range []struct {
		name, number string
		do           func(int64, []byte) error
	}{{"sessions", "0", moveSession}, {"launches", "0", moveLaunch}, {"outbox", "seq", moveChange}} {
		if err := docsOn(m.ctx, m.tx, "read "+table.name, table.do, `SELECT `+table.number+`, doc FROM `+table.name); err != nil {
			return err
		}
		if _, err := m.tx.ExecContext(m.ctx, `DELETE FROM `+table.name); err != nil {
			return err
		}
	}
	return m.flush()
}

// moved is a docs' do that writes one entry.
func moved[T any](m *mover, write func(number int64, value *T) error) func(int64, []byte) error {
	return func(number int64, doc []byte) error {
		var value T
		if err := json.Unmarshal(doc, &value); err != nil {
			return fmt.Errorf("a stored %T: %w", value, err)
		}
		if err := write(number, &value); err != nil {
			return err
		}
		return m.flushFull()
	}
}

// flushFull flushes a sheet that has as many entries as it may.
func (m *mover) flushFull() error {
	if m.sheet.entries < moveCount {
		return nil
	}
	return m.flush()
}

func (m *mover) flush() error {
	if m.sheet.entries == 0 {
		return nil
	}
	m.last++
	_, err := m.tx.ExecContext(m.ctx, statementTexts[addSheet], m.last, m.sheet.seal(m.seq))
	m.sheet.clear()
	return err
}
