package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (s *sessions) AddLaunch(ctx context.Context, l roll.Launch) error {
	touches := []live.Touch{live.TouchLaunch(l.Key)}
	if l.Session.Username != "" { // many at once are no clash with each other
		touches = append(touches, live.TouchMember(&l.Session).Shared())
	}
	return s.writer.narrow(ctx, "add launch", touches, func() (live.Step, error) { return s.book.PlanLaunch(&l), nil })
}

func (s *sessions) Launch(_ context.Context, key string) (roll.Launch, error) {
	return s.book.Launch(key)
}

func (s *sessions) Tell(ctx context.Context, receipts ...rollcall.Receipt) error {
	return s.writer.do(ctx, "queue event", nil, func() (live.Step, error) { return live.NewReceipts(receipts), nil })
}

func (s *sessions) Pending(_ context.Context, gameServer string, after int64, limit int) ([]rollcall.Receipt, error) {
	return s.book.Pending(gameServer, after, limit), nil
}

func (s *sessions) PendingOf(_ context.Context, gameServer string, sessionIDs []string) ([]rollcall.Receipt, error) {
	return s.book.PendingOf(gameServer, sessionIDs), nil
}

func (s *sessions) Await(gameServer string) <-chan struct{} { return s.book.Await(gameServer) }

func (s *sessions) Cursor(_ context.Context, gameServer string) (int64, error) {
	return s.book.Cursor(gameServer), nil
}

func (s *sessions) Mark(ctx context.Context, gameServer string, m roll.Marks) (int, error) {
	acknowledged := 0
	touches := []live.Touch{live.TouchEvents(gameServer).Shared()}
	for _, seqs := range [][]int64{m.Delivered, m.Acknowledged, s.book.SeqsOf(m.Ended)} {
		for _, seq := range seqs {
			touches = append(touches, live.TouchEvent(seq))
		}
	}
	err := s.writer.do(ctx, "mark events", touches, func() (step live.Step, err error) {
		step, acknowledged = s.book.PlanMark(gameServer, &m)
		return step, nil
	})
	if err != nil {
		return 0, err
	}
	return acknowledged, nil
}

func (s *sessions) AddKick(ctx context.Context, k rollcall.Kick) error {
	return s.writer.do(ctx, "add kick", []live.Touch{live.TouchKick(k.ID)}, func() (live.Step, error) {
		return live.Step{Kicks: []rollcall.Kick{k}}, nil
	})
}

func (s *sessions) FinishKick(ctx context.Context, id string, state rollcall.KickState, now time.Time) (rollcall.Kick, error) {
	var finished rollcall.Kick
	err := s.writer.do(ctx, "finish kick", []live.Touch{live.TouchKick(id)}, func() (live.Step, error) {
		k, err := s.bareKick(context.Background(), id) // the caller's may end, and then spares nothing
		if err != nil || k.State != rollcall.KickRunning {
			finished = k
			return live.Step{}, err
		}
		k.State, k.FinishedAt = state, now
		finished = k
		return live.Step{Kicks: []rollcall.Kick{k}}, nil
	})
	if err != nil {
		return rollcall.Kick{}, err
	}
	return finished, nil
}

func (s *sessions) KickState(ctx context.Context, id string) (rollcall.KickState, error) {
	k, err := s.bareKick(ctx, id)
	return k.State, err
}

// bareKick returns a kick without its progress, which takes counting.
func (s *sessions) bareKick(ctx context.Context, id string) (k rollcall.Kick, err error) {
	err = rollcall.ErrNotFound
	scanErr := docs(ctx, s.db, "get kick", decoded(func(_ int64, have rollcall.Kick) { k, err = have, nil }),
		`SELECT 0, doc FROM kicks WHERE id = $1`, id)
	if scanErr != nil {
		err = scanErr
	}
	return k, err
}

func (s *sessions) Kick(ctx context.Context, id string) (rollcall.Kick, error) {
	kicks, err := s.kicks(ctx, "get kick", `SELECT id, doc FROM kicks WHERE id = $1`, id)
	if err == nil && len(kicks) == 0 {
		err = rollcall.ErrNotFound
	}
	if err != nil {
		return rollcall.Kick{}, err
	}
	return kicks[0], nil
}

func (s *sessions) Kicks(ctx context.Context, before string, running bool, limit int) ([]rollcall.Kick, error) {
	before = cmp.Or(before, above)
	if !running {
		return s.kicks(ctx, "list kicks", `SELECT id, doc FROM kicks WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, max(0, limit))
	}
	kicks := []rollcall.Kick{}
	err := docs(ctx, s.db, "list running kicks", decoded(func(_ int64, k rollcall.Kick) { kicks = append(kicks, k) }),
		`SELECT 0, doc FROM kicks WHERE id < $1 AND running = 1 ORDER BY id DESC LIMIT $2`, before, max(0, limit))
	return kicks, err
}

// above is beyond every ID, which is ASCII.
const above = "\x7f"

// kicks returns the kicks that a query picks, newest first, with their progress.
func (s *sessions) kicks(ctx context.Context, doing, which string, args ...any) ([]rollcall.Kick, error) {
	kicks := []rollcall.Kick{}
	err := query(ctx, s.db.read, doing, func(rows *sql.Rows) error {
		var k rollcall.Kick
		var doc string
		var p rollcall.KickProgress
		if err := rows.Scan(&doc, &p.Ended, &p.Delivered, &p.Acknowledged, &p.Settled); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(doc), &k); err != nil {
			return fmt.Errorf("a stored kick: %w", err)
		}
		k.Progress = p
		kicks = append(kicks, k)
		return nil
	}, `SELECT k.doc, count(r.seq), coalesce(sum(r.delivered), 0), coalesce(sum(r.acknowledged), 0), coalesce(sum(r.ended), 0)
		FROM (`+which+`) k LEFT JOIN receipts r ON r.kick = k.id AND r.kick > '' GROUP BY k.id ORDER BY k.id DESC`, args...)
	return kicks, err
}

func (s *sessions) Receipts(ctx context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error) {
	receipts := []rollcall.Receipt{}
	err := docs(ctx, s.db, "list receipts", decoded(func(_ int64, r rollcall.Receipt) { receipts = append(receipts, r) }),
		`SELECT seq, doc FROM receipts WHERE kick = $1 AND kick > '' AND seq > $2 ORDER BY seq LIMIT $3`, kickID, after, max(0, limit))
	return receipts, err
}

// PruneEvents lets the Book forget when nothing is left that is so old: until
// then it shows a little more than there is.
func (s *sessions) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	pruned := 0
	err := s.writer.make(ctx, &change{
		doing: "prune events", plan: func() (live.Step, error) { return live.Step{}, nil },
		also: func(ctx context.Context, tx *sql.Tx) (err error) {
			pruned, err = s.prune(ctx, tx, before, limit)
			return err
		},
		shown: func() {
			if pruned < limit {
				s.book.ForgetBefore(before, s.now().Add(-roll.MaxLifetime))
			}
		},
	})
	if err != nil {
		return 0, err
	}
	return pruned, nil
}

// prune is for the writer, whose Seq it keeps: that of a receipt that goes is not
// to be given again.
func (s *sessions) prune(ctx context.Context, tx *sql.Tx, before time.Time, limit int) (int, error) {
	receipts, err := removed(tx.ExecContext(ctx,
		`DELETE FROM receipts WHERE seq IN (SELECT seq FROM receipts WHERE queued < $1 ORDER BY queued LIMIT $2)`, nanos(before), max(0, limit)))
	if err != nil {
		return 0, err
	}
	kicks, err := removed(tx.ExecContext(ctx,
		`DELETE FROM kicks WHERE id IN (SELECT id FROM kicks WHERE at < $1 AND running = 0 ORDER BY at LIMIT $2)`, nanos(before), max(0, limit-receipts)))
	if err != nil || receipts+kicks == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, statementTexts[keepSeq], s.writer.seq)
	return receipts + kicks, err
}

// removed returns how many rows a statement has changed.
func removed(done sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	return int(n), err
}

func (s *sessions) Changes(_ context.Context, after roll.Position, limit int) ([]roll.Change, error) {
	return s.book.Changes(after, limit), nil
}

func (s *sessions) Forget(ctx context.Context, through roll.Position) error {
	return s.writer.do(ctx, "forget changes", []live.Touch{live.TouchOutbox()}, func() (live.Step, error) {
		return live.Step{Through: through.Of(0)}, nil
	})
}
