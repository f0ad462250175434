package memory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A sessions store is a live.Book, one change at a time, and what the Book need
// not know: the receipts and kicks of the past.
type sessions struct {
	book *live.Book

	mu       sync.Mutex // of changing, and of what follows
	receipts map[int64]rollcall.Receipt
	kicks    map[string]rollcall.Kick
	seq      int64
	now      func() time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{
		now:      now,
		book:     live.NewBook(roll.Epoch{ID: uuid.NewString(), BeganAt: now()}),
		receipts: make(map[int64]rollcall.Receipt),
		kicks:    make(map[string]rollcall.Kick),
	}
}

// apply gives Seqs and does what a step says. The store is locked.
func (s *sessions) apply(step live.Step) {
	for i := range step.Changes {
		step.Changes[i].Seq = s.next(step.Changes[i].Seq)
	}
	for i := range step.Receipts {
		r := &step.Receipts[i]
		r.Seq = s.next(r.Seq)
		s.receipts[r.Seq] = *r
	}
	for _, k := range step.Kicks {
		s.kicks[k.ID] = k
	}
	s.book.Apply(&step)
}

func (s *sessions) next(seq int64) int64 {
	if seq == 0 {
		s.seq++
		return s.seq
	}
	return seq
}

func (s *sessions) Epoch(context.Context) (roll.Epoch, error) { return s.book.Epoch(), nil }

func (s *sessions) Boot(_ context.Context, gameServer, bootID string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(s.book.PlanBoot(gameServer, bootID, now))
	return nil
}

func (s *sessions) CurrentBoot(_ context.Context, gameServer string) (string, error) {
	return s.book.CurrentBoot(gameServer), nil
}

func (s *sessions) Start(_ context.Context, start roll.Start) (roll.Started, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, started, err := s.book.PlanStart(&start)
	if err == nil {
		s.apply(step)
	}
	return started, err
}

func (s *sessions) Announce(_ context.Context, gameServer, bootID string, sessions []rollcall.Session, now time.Time) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, refused, err := s.book.PlanAnnounce(gameServer, bootID, sessions, now)
	if err == nil {
		s.apply(step)
	}
	return refused, err
}

func (s *sessions) Heartbeat(_ context.Context, gameServer string, ids []string, now time.Time) ([]string, error) {
	return s.book.Beat(gameServer, ids, now), nil
}

func (s *sessions) End(_ context.Context, ids []string, e roll.Ending) ([]rollcall.EndedSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, ended := s.book.PlanEnd(ids, &e)
	s.apply(step)
	return ended, nil
}

func (s *sessions) EndMember(_ context.Context, agentID, username string, e roll.Ending, kick *rollcall.Kick) ([]rollcall.EndedSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kick != nil && s.hasKick(kick.ID) {
		kick = nil
	}
	step, ended := s.book.PlanEndMember(agentID, username, &e, kick)
	s.apply(step)
	return ended, nil
}

func (s *sessions) Expire(_ context.Context, now time.Time, limit int) ([]rollcall.EndedSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, ended := s.book.PlanExpire(s.book.Expired(now, limit), now, limit)
	s.apply(step)
	return ended, nil
}

func (s *sessions) OfMember(_ context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	return s.book.OfMember(agentID, username, now), nil
}

func (s *sessions) Get(_ context.Context, id string, now time.Time) (rollcall.Session, error) {
	session, ok := s.book.Get(id, now)
	if !ok {
		return session, rollcall.ErrNotFound
	}
	return session, nil
}

func (s *sessions) List(_ context.Context, filter rollcall.SessionFilter, after string, limit int, now time.Time) ([]rollcall.Session, error) {
	return s.book.List(filter, after, limit, now), nil
}

func (s *sessions) Scan(_ context.Context, filter rollcall.SessionFilter, from string, now time.Time) ([]rollcall.Session, string, error) {
	some, next := s.book.Scan(filter, from, now)
	return some, next, nil
}

// Lead says yes: no other process shares the store.
func (s *sessions) Lead(ctx context.Context, _ string, _ time.Duration) (bool, error) {
	return ctx.Err() == nil, ctx.Err()
}

func (s *sessions) Online(_ context.Context, agentID string, now time.Time) ([]string, error) {
	return s.book.Online(agentID, now), nil
}

func (s *sessions) Counts(context.Context) ([]rollcall.SessionCount, error) {
	return s.book.Counts(), nil
}

func (s *sessions) AddLaunch(_ context.Context, l roll.Launch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(s.book.PlanLaunch(&l))
	return nil
}

func (s *sessions) Launch(_ context.Context, key string) (roll.Launch, error) {
	return s.book.Launch(key)
}

func (s *sessions) Tell(_ context.Context, receipts ...rollcall.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(live.NewReceipts(receipts))
	return nil
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

func (s *sessions) Mark(_ context.Context, gameServer string, m roll.Marks) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, acknowledged := s.book.PlanMark(gameServer, &m)
	s.apply(step)
	return acknowledged, nil
}

func (s *sessions) Changes(_ context.Context, after roll.Position, limit int) ([]roll.Change, error) {
	return s.book.Changes(after, limit), nil
}

func (s *sessions) Forget(_ context.Context, through roll.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(live.Step{Through: through.Of(0)})
	return nil
}

func (s *sessions) Ping(ctx context.Context) error { return ctx.Err() }
