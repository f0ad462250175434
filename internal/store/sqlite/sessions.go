package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A sessions store answers from a Book in memory, which shows just what is
// durable: every change is committed first and then shown. See writer.
type sessions struct {
	db     *database
	book   *live.Book
	writer *writer
	run    run
	now    func() time.Time

	starting sync.Pool
	salvaged []int64 // rows of the log
}

func openSessions(ctx context.Context, db *database, dir string, o Options) (*sessions, error) {
	s := &sessions{db: db, run: run{db, filepath.Join(dir, runFile)}, now: o.Now}
	if o.Salvage {
		var err error
		if s.salvaged, err = salvage(ctx, db); err != nil {
			return nil, err
		}
	}
	if o.Moved || len(s.salvaged) > 0 {
		if err := os.Remove(s.run.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	epoch, err := s.run.begin(ctx, o.Now())
	if err != nil {
		return nil, err
	}
	if err := moveTables(ctx, db); err != nil {
		return nil, outage("move sessions into the log", err)
	}
	s.book = live.NewBook(epoch)
	seq, size, err := load(ctx, db, s.book, o.Now())
	if err != nil {
		return nil, err
	}
	s.starting.New = s.newStarting
	s.writer, err = startWriter(ctx, db, s.book, seq, newFolding(size, o.foldLeast), o)
	return s, err
}

func (s *sessions) close() error {
	s.writer.stop()
	return s.run.mark(context.Background())
}

func (s *sessions) Epoch(context.Context) (roll.Epoch, error) { return s.book.Epoch(), nil }

// Ping goes the way of every change.
func (s *sessions) Ping(ctx context.Context) error {
	return s.writer.make(ctx, &change{
		doing: "ping", plan: func() (live.Step, error) { return live.Step{}, nil },
		also: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE ping SET count = count + 1`)
			return err
		},
	})
}

// The changes below hand their result over in a variable of their own, which is
// read only when the change is done: one that the caller has given up may still
// be made.

func (s *sessions) Boot(ctx context.Context, gameServer, bootID string, now time.Time) error {
	return s.writer.do(ctx, "boot", []live.Touch{live.TouchEvents(gameServer)}, func() (live.Step, error) {
		return s.book.PlanBoot(gameServer, bootID, now), nil
	})
}

func (s *sessions) CurrentBoot(_ context.Context, gameServer string) (string, error) {
	return s.book.CurrentBoot(gameServer), nil
}

// A starting is a Start under way. There are many, so they are used again.
type starting struct {
	change

	start   roll.Start
	started roll.Started
}

func (s *sessions) newStarting() any {
	g := &starting{}
	g.change = change{doing: "start session", narrow: true, done: make(chan error, 1), plan: func() (step live.Step, err error) {
		step, g.started, err = s.book.PlanStart(&g.start)
		return step, err
	}}
	return g
}

func (s *sessions) Start(ctx context.Context, start roll.Start) (roll.Started, error) {
	g := s.starting.Get().(*starting)
	g.start = start
	g.touches = append(g.touches[:0], live.TouchLaunch(start.LaunchKey), live.TouchMember(&start.Session))
	if err := s.writer.make(ctx, &g.change); err != nil {
		return roll.Started{}, err // it may still be made: it is not to be used again
	}
	started := g.started
	g.start, g.started, g.step = roll.Start{}, roll.Started{}, live.Step{}
	s.starting.Put(g)
	return started, nil
}

func (s *sessions) Announce(ctx context.Context, gameServer, bootID string, sessions []rollcall.Session, now time.Time) (map[string]string, error) {
	var refused map[string]string
	touches := make([]live.Touch, 0, 2*len(sessions))
	for i := range sessions {
		// Two game servers may announce one session, as of two members.
		touches = append(touches, live.TouchMember(&sessions[i]), live.TouchSession(sessions[i].ID))
	}
	err := s.writer.do(ctx, "announce sessions", touches, func() (step live.Step, err error) {
		step, refused, err = s.book.PlanAnnounce(gameServer, bootID, sessions, now)
		return step, err
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

func (s *sessions) Heartbeat(_ context.Context, gameServer string, ids []string, now time.Time) ([]string, error) {
	return s.book.Beat(gameServer, ids, now), nil
}

func (s *sessions) End(ctx context.Context, ids []string, e roll.Ending) ([]rollcall.EndedSession, error) {
	var touches []live.Touch
	for _, id := range ids {
		if session, ok := s.book.Get(id, e.At); ok {
			touches = append(touches, live.TouchMember(&session))
		}
	}
	ended := []rollcall.EndedSession{}
	if len(touches) == 0 {
		return ended, nil // what is shown is durable, and so is that it is not
	}
	if e.IfRunning {
		touches = append(touches, live.TouchKick(e.KickID))
	}
	err := s.writer.narrow(ctx, "end sessions", touches, func() (step live.Step, err error) {
		step, ended = s.book.PlanEnd(ids, &e)
		return step, nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func (s *sessions) EndMember(ctx context.Context, agentID, username string, e roll.Ending, kick *rollcall.Kick) ([]rollcall.EndedSession, error) {
	var ended []rollcall.EndedSession
	touches := []live.Touch{live.TouchMember(&rollcall.Session{AgentID: agentID, Username: username})}
	if kick != nil {
		touches = append(touches, live.TouchKick(kick.ID))
	}
	err := s.writer.narrow(ctx, "end member's sessions", touches, func() (step live.Step, err error) {
		step, ended = s.book.PlanEndMember(agentID, username, &e, kick)
		return step, nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func (s *sessions) Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.EndedSession, error) {
	expired := s.book.Expired(now, limit)
	ended := []rollcall.EndedSession{}
	if len(expired) == 0 && s.book.Idle(now) {
		return ended, nil
	}
	touches := make([]live.Touch, len(expired))
	for i := range expired {
		touches[i] = live.TouchMember(&expired[i])
	}
	err := s.writer.narrow(ctx, "expire sessions", touches, func() (step live.Step, err error) {
		step, ended = s.book.PlanExpire(expired, now, limit)
		return step, nil
	})
	if err != nil {
		return nil, err
	}
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
