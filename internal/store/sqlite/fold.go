package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A folding keeps the log from growing for ever. When it has twice the bytes that
// the last pass has left, a pass begins, over all sheets that there are then. It goes
// on with the commits: for each byte that they write, two of the oldest sheets go, in
// the same transaction, and what of these is still so is said anew, as the Book has it
// before the commit, in a sheet in front of the commit's own.
//
// So at any time the log that is there replays to the same: a sheet that goes is the
// first, and what comes behind it says nothing that needs it. An end or marks of
// what is not there do nothing, and what is there comes with all marks that it has.
type folding struct {
	size    logSize
	least   int64 // bytes that are worth a pass
	through int64 // the last sheet of the pass; 0: there is none
	due     int64 // bytes at which one begins
	credit  int64 // bytes that may go
	said    int64 // bytes that the pass has said anew

	// Of the step under way.
	sheet  *sheet
	sealed []byte
	upTo   int64 // the last sheet that goes
	gone   int64 // bytes that go
}

const (
	// foldLeast is how many bytes of log are worth a pass, and foldStep how many are
	// worth a step of it.
	foldLeast = 8 << 20
	foldStep  = 64 << 10
)

func newFolding(size logSize, least int64) *folding {
	f := &folding{sheet: newSheet(), size: size, least: least}
	f.settle(size.bytes / max(1, size.entries) * size.alive)
	return f
}

// settle ends a pass by which so many bytes of the log still count.
func (f *folding) settle(left int64) { f.through, f.due = 0, max(2*left, f.least) }

// giveUp ends a pass that failed, and has the next begin only when as much is written
// as is worth one.
func (f *folding) giveUp(log *slog.Logger, err error) {
	log.LogAttrs(context.Background(), slog.LevelError, "the log is not folded", slog.Any("error", err))
	f.through, f.due = 0, f.size.bytes+f.least
}

// wanted reports whether a step is worth its while.
func (f *folding) wanted() bool { return f.through > 0 && f.credit >= min(foldStep, f.least) }

var errEnough = errors.New("enough")

// read reads the oldest sheets, as many as may go, and writes what is still so on
// its own.
func (f *folding) read(ctx context.Context, on querier, book *live.Book) error {
	f.sheet.clear()
	f.upTo, f.gone = 0, 0
	err := eachSheet(ctx, on, "fold the log", func(id int64, sheet []byte) error {
		if id > f.through || f.gone >= f.credit {
			return errEnough
		}
		f.upTo, f.gone = id, f.gone+int64(len(sheet))
		_, err := readSheet(sheet, func(e *entry) error { return f.sheet.again(e, book) })
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

// again writes what an entry says where that is still so.
func (s *sheet) again(e *entry, book *live.Book) error {
	switch e.sort {
	case entrySession:
		if session, held := book.Get(e.session.ID, longAgo); held {
			// Heartbeats are not kept: a restart is to find the same, folded or not.
			session.SeenAt, session.ExpiresAt = e.session.SeenAt, e.session.ExpiresAt
			return s.session(&session)
		}
	case entryChange:
		if some := book.Changes(roll.Position{e.change.Seq - 1}, 1); len(some) == 1 && some[0].Seq == e.change.Seq {
			return s.change(&some[0])
		}
	case entryLaunch:
		if l, err := book.Launch(e.launch.Key); err == nil {
			return s.launch(&l)
		}
	}
	return nil
}

// longAgo is when every session that is held was active, one too that has expired
// and whose end is not written yet.
var longAgo = time.Unix(0, math.MinInt64)

// write lets the folded sheets go, and has the step's own in their place.
func (f *folding) write(b *batch, l *logged) error {
	if err := b.exec(row{dropSheets, []any{f.upTo}}); err != nil || f.sheet.entries == 0 {
		return err
	}
	return l.add(f.sealed, b.exec)
}

// done notes what a commit has done.
func (f *folding) done(l *logged) {
	f.size.last = l.last
	f.size.bytes += l.bytes
	if l.folded {
		f.size.bytes -= f.gone
		f.credit -= f.gone
		// What was written meanwhile does not count as left: it may be garbage by now,
		// and then it would let the log grow from pass to pass.
		if f.said += l.bytes - l.own; f.upTo >= f.through {
			f.settle(f.said)
		}
	}
	switch {
	case f.through > 0:
		f.credit = min(f.credit+2*l.own, max(4*foldStep, 2*l.own))
	case f.size.bytes >= f.due:
		f.through, f.credit, f.said = f.size.last, 0, 0
	}
}

// foldable prepares a step of folding. What cannot be read is told and left where it
// is: memory has it.
func (w *writer) foldable(ctx context.Context) bool {
	err := w.fold.read(ctx, w.db.read, w.book)
	if err != nil {
		w.fold.giveUp(w.log, err)
		return false
	}
	w.fold.sealed = w.fold.sheet.seal(w.seq)
	return true
}
