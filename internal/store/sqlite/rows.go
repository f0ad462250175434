package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// A statement is one of those by which a Step is written.
type statement int

const (
	addSheet statement = iota
	dropSheets
	putBoot
	addReceipt
	setReceipt
	putKick
	keepSeq
	statements // how many there are
)

// What is added and is there already stays: an ID is given once, so it is the
// same. Of kicks only a running one changes, into one that runs no more.
var statementTexts = [statements]string{
	addSheet:   `INSERT INTO log (id, entries) VALUES ($1, $2)`,
	dropSheets: `DELETE FROM log WHERE id <= $1`,
	putBoot:    `INSERT INTO boots (game_server, boot) VALUES ($1, $2) ON CONFLICT DO UPDATE SET boot = excluded.boot`,
	addReceipt: `INSERT INTO receipts (seq, kick, queued, delivered, acknowledged, ended, open, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
	setReceipt: `UPDATE receipts SET delivered = $1, acknowledged = $2, ended = $3, open = $4, doc = $5 WHERE seq = $6`,
	putKick: `INSERT INTO kicks (id, at, running, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO UPDATE SET running = 0, doc = excluded.doc WHERE kicks.running = 1 AND excluded.running = 0`,
	keepSeq: `UPDATE meta SET seq = $1`,
}

// A row is one statement and what it is about.
type row struct {
	statement statement
	args      []any
}

// rows collects what a Step writes, or the first document that cannot be made.
type rows struct {
	list []row
	err  error
}

func (r *rows) add(s statement, args ...any) { r.list = append(r.list, row{s, args}) }

func (r *rows) doc(value any) string {
	doc, err := json.Marshal(value)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("sqlite: a document: %w", err)
	}
	return string(doc)
}

// rowsOf returns the rows to write of a Step, beside what its sheet says, and gives
// new receipts their Seqs by next.
func rowsOf(s *live.Step, next func() int64) ([]row, error) {
	r := &rows{}
	r.receipts(s.Receipts, next)
	for i := range s.Kicks {
		k := &s.Kicks[i]
		r.add(putKick, k.ID, nanos(k.At), k.State == rollcall.KickRunning, r.doc(k))
	}
	for _, boot := range s.Boots {
		r.add(putBoot, boot[0], boot[1])
	}
	return r.list, r.err
}

func (r *rows) receipts(receipts []rollcall.Receipt, next func() int64) {
	for i := range receipts {
		c := &receipts[i]
		isNew := c.Seq == 0
		if isNew {
			c.Seq = next()
		}
		flags := []any{!c.DeliveredAt.IsZero(), !c.AcknowledgedAt.IsZero(), !c.EndedAt.IsZero(), mayChange(c), r.doc(c)}
		if isNew {
			r.add(addReceipt, append([]any{c.Seq, c.KickID, nanos(c.QueuedAt)}, flags...)...)
		} else {
			r.add(setReceipt, append(flags, c.Seq)...)
		}
	}
}

// mayChange reports whether a receipt may still change.
func mayChange(r *rollcall.Receipt) bool {
	return r.AcknowledgedAt.IsZero() || r.SessionID != "" && r.EndedAt.IsZero()
}

// nanos returns Unix ns, and 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// A batch is the transaction of one group. The statements are the
// transaction's own, made when they are first needed.
type batch struct {
	ctx      context.Context
	tx       *sql.Tx
	prepared *[statements]*sql.Stmt
	own      [statements]*sql.Stmt
}

func (b *batch) exec(r row) error {
	if b.own[r.statement] == nil {
		b.own[r.statement] = b.tx.StmtContext(b.ctx, b.prepared[r.statement])
	}
	_, err := b.own[r.statement].ExecContext(b.ctx, r.args...)
	return err
}
