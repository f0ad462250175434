package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// note writes what a Step says of sessions, launches and outbox, and returns how many
// entries that makes. Where it fails it has written nothing.
func (s *sheet) note(step *live.Step, book *live.Book) (entries int, err error) {
	before := s.mark()
	for i := range step.Changes {
		err = errors.Join(err, s.change(&step.Changes[i]))
	}
	for i := range step.Sessions {
		err = errors.Join(err, s.session(&step.Sessions[i]))
	}
	for i := range step.Launches {
		l := &step.Launches[i]
		if _, unknown := book.Launch(l.Key); unknown == nil {
			s.remark(l) // nothing else of it ever changes
		} else {
			err = errors.Join(err, s.launch(l))
		}
	}
	for _, key := range step.Forgotten {
		s.forget(key)
	}
	if step.Through > 0 {
		s.through(step.Through)
	}
	if err != nil {
		s.back(before)
	}
	return s.entries - before.entries, err
}

// A bookmark is where a sheet was.
type bookmark struct {
	size, entries, texts int
	last                 int64
}

func (s *sheet) mark() bookmark { return bookmark{len(s.to), s.entries, len(s.texts), s.last} }

// back takes a sheet back to where it was.
func (s *sheet) back(to bookmark) {
	s.to, s.entries, s.last, s.usually = s.to[:to.size], to.entries, to.last, [sessionTexts]usual{}
	maps.DeleteFunc(s.texts, func(_ string, number int) bool { return number >= len(s.known)+to.texts })
}

// A logSize is how much there is in the log, and how much of it counts.
type logSize struct {
	last           int64 // the last id; 0: it is empty
	bytes          int64
	entries, alive int64
}

// A replay fills a Book with what the log says.
type replay struct {
	book     *live.Book
	now      time.Time
	launches map[string]roll.Launch
	outbox   []roll.Change
	held     int64
	seq      int64
	size     logSize
}

// replayed replays the log, and returns what there is in it and the last Seq.
func replayed(ctx context.Context, db *database, book *live.Book, now time.Time) (seq int64, size logSize, err error) {
	r := &replay{book: book, now: now, launches: make(map[string]roll.Launch)}
	if err := eachSheet(ctx, db.read, "load the log", r.sheet); err != nil {
		return 0, logSize{}, err
	}
	r.end()
	return r.seq, r.size, nil
}

const sheetsText = `SELECT id, entries FROM log ORDER BY id`

// eachSheet calls do with each sheet, in order; it is do's until it returns.
func eachSheet(ctx context.Context, on querier, doing string, do func(id int64, sheet []byte) error) error {
	return docsOn(ctx, on, doing, func(id int64, sheet []byte) error {
		if err := do(id, sheet); err != nil {
			return fmt.Errorf("row %d of log: %w", id, err)
		}
		return nil
	}, sheetsText)
}

func (r *replay) sheet(id int64, sheet []byte) error {
	r.size.last, r.size.bytes = id, r.size.bytes+int64(len(sheet))
	seq, err := readSheet(sheet, func(e *entry) error {
		r.size.entries++
		r.entry(e)
		return nil
	})
	r.seq = max(r.seq, seq)
	return err
}

func (r *replay) entry(e *entry) {
	switch e.sort {
	case entrySession:
		revive(&e.session, r.now)
		if _, added := r.book.Add(e.session); added {
			r.held++
		}
	case entryChange:
		r.outbox = append(r.outbox, e.change)
		if e.change.Reason != "" {
			if _, held := r.book.Remove(e.change.ID); held {
				r.held--
			}
		}
	case entryLaunch:
		r.launches[e.launch.Key] = e.launch
	case entryMarks:
		// One that is not there is folded, and said anew further on.
		if l, there := r.launches[e.launch.Key]; there {
			l.Voided, l.StartedID, l.StartedBy = e.launch.Voided, e.launch.StartedID, e.launch.StartedBy
			r.launches[l.Key] = l
		}
	case entryForget:
		delete(r.launches, e.launch.Key)
	case entryThrough:
		r.outbox = slices.DeleteFunc(r.outbox, func(c roll.Change) bool { return c.Seq <= e.through })
	}
}

// end shows launches in the order of their ends, and the outbox in its own: what
// was folded comes later in the log.
func (r *replay) end() {
	step := live.Step{Launches: make([]roll.Launch, 0, len(r.launches)), Changes: r.outbox}
	for _, l := range r.launches {
		step.Launches = append(step.Launches, l)
	}
	slices.SortFunc(step.Launches, func(a, b roll.Launch) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.Key, b.Key))
	})
	slices.SortFunc(step.Changes, func(a, b roll.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	r.size.alive = r.held + int64(len(step.Launches)+len(step.Changes))
	r.book.Apply(&step)
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
