package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// A game server's boot is kept at the game server, and in each partition beside
// the sessions, where a Start looks at it in its own step. It is a generation, a
// blank and the boot's ID; a later generation replaces an earlier one everywhere,
// in whatever order they come.

func (s *sessions) Boot(ctx context.Context, gameServer, bootID string, now time.Time) error {
	value, err := s.setBoot(ctx, gameServer, bootID, now)
	if err != nil {
		return err
	}
	s.booted.last(gameServer, value)
	generation, _, _ := strings.Cut(value, " ")
	if err := s.raise(ctx, "boot", (*part).boots, generation, value, gameServer); err != nil {
		return err
	}
	return s.forgetOthers(ctx, gameServer, bootID, now)
}

// setBoot sets the boot at the game server. A generation is later than all before
// even where those were lost.
func (s *sessions) setBoot(ctx context.Context, gameServer, bootID string, now time.Time) (value string, err error) {
	key := s.keys.server(gameServer).boot()
	err = s.engine.swap(ctx, "boot", func(ctx context.Context) (*program, error) {
		got, err := s.engine.strings(ctx, "boot", read("GET", key))
		if err != nil {
			return nil, err
		}
		before := generationOf(s.booted.last(gameServer, got[0]))
		value = strconv.FormatInt(max(before+1, now.UnixMicro()), 10) + " " + bootID
		c := newProgram()
		c.still(key, got[0], got[0] != "")
		c.do(key, "SET", value)
		return c, nil
	})
	return value, err
}

// swap makes what plan plans until nobody was in between.
func (e *engine) swap(ctx context.Context, doing string, plan func(context.Context) (*program, error)) error {
	ctx, cancel := e.within(ctx)
	defer cancel()
	for attempt := 1; ; attempt++ {
		c, err := plan(ctx)
		if err != nil || c == nil || c.empty() {
			return err
		}
		done, _, err := e.commit(ctx, doing, c)
		if err != nil || done[0] {
			return err
		}
		if !wait(ctx, retryDelay(attempt)) {
			return outage(doing, ctx.Err())
		}
	}
}

// raise sets a value of every partition to a later generation.
func (s *sessions) raise(ctx context.Context, doing string, key func(*part) string, generation, value, field string) error {
	commands := make([]command, partitions)
	for n := range commands {
		commands[n] = raiseScript.on([]string{key(&s.keys.parts[n])}, generation, value, field)
	}
	_, err := s.engine.do(ctx, doing, commands...)
	return err
}

// spreadBoot gives a partition the boot of a game server, which it has lost, or
// the last of, and reports whether it had not that. It is rollcall.ErrStaleBoot
// where there is none.
func (s *sessions) spreadBoot(ctx context.Context, p *part, gameServer string) (news bool, err error) {
	value, err := s.boot(ctx, gameServer)
	if err != nil {
		return false, err
	}
	if value == "" {
		return false, rollcall.ErrStaleBoot
	}
	generation, _, _ := strings.Cut(value, " ")
	got, err := s.engine.do(ctx, "spread boot", raiseScript.on([]string{p.boots()}, generation, value, gameServer))
	if err != nil {
		return false, err
	}
	n, err := got[0].AsInt64()
	return n == 1, outage("spread boot", err)
}

func (s *sessions) CurrentBoot(ctx context.Context, gameServer string) (string, error) {
	value, err := s.boot(ctx, gameServer)
	_, bootID, _ := strings.Cut(value, " ")
	return bootID, err
}

// boot returns a game server's boot and its generation. An engine that has lost
// what this process knows of is told: a game server that heard that its boot is
// not the last one would end.
func (s *sessions) boot(ctx context.Context, gameServer string) (value string, err error) {
	key := s.keys.server(gameServer).boot()
	got, err := s.engine.strings(ctx, "get boot", read("GET", key))
	if err != nil {
		return "", err
	}
	known := s.booted.last(gameServer, got[0])
	if known != got[0] {
		generation, _, _ := strings.Cut(known, " ")
		_, err = s.engine.do(ctx, "restore boot", raiseScript.on([]string{key}, generation, known, ""))
	}
	return known, err
}

// booted are the last boots that this process knows of, by game server.
type booted struct {
	mu sync.Mutex
	of map[string]string
}

// last notes a boot and returns it, or the one that is known to be later.
func (b *booted) last(gameServer, value string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.of[gameServer]; generationOf(have) > generationOf(value) {
		return have
	}
	if b.of == nil {
		b.of = make(map[string]string)
	}
	if value != "" {
		b.of[gameServer] = value
	}
	return value
}

func generationOf(value string) int64 {
	generation, _, _ := strings.Cut(value, " ")
	return number(generation)
}

// forgetOthers acknowledges the events of other boots.
func (s *sessions) forgetOthers(ctx context.Context, gameServer, bootID string, now time.Time) error {
	const some = 500
	for after := int64(0); ; {
		pending, err := s.Pending(ctx, gameServer, after, some)
		if err != nil || len(pending) == 0 {
			return err
		}
		after = pending[len(pending)-1].Seq
		pending = slices.DeleteFunc(pending, func(r rollcall.Receipt) bool { return r.SessionID == "" || r.BootID == bootID })
		if len(pending) == 0 {
			continue
		}
		_, err = s.mark(ctx, gameServer, pending, func(b *live.Book) (live.Step, int) {
			return b.PlanBoot(gameServer, bootID, now), 0
		})
		if err != nil {
			return err
		}
	}
}

// filters are the kicks by filter that still matter. Each partition has the
// generation of the last one, which a step that depends on them looks at; the
// kicks themselves are read when it is another than that of before.
type filters struct {
	engine *engine
	keys   *keys

	mu         sync.Mutex
	generation int64
	read       bool
	kicks      []rollcall.Kick
}

// at returns the kicks of a generation, or a later one.
func (f *filters) at(ctx context.Context, generation int64) ([]rollcall.Kick, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read && generation <= f.generation {
		return f.kicks, nil
	}
	// The generation first, and alone: of commands that are sent together one may
	// have to be sent again, and would be of a later moment than the others.
	now, err := f.engine.strings(ctx, "kicks by filter", read("GET", f.keys.kick(kickGeneration)))
	if err != nil {
		return nil, err
	}
	got, err := f.engine.do(ctx, "kicks by filter", read("ZRANGE", f.keys.kick(kickFilters), "0", "-1"))
	if err != nil {
		return nil, err
	}
	kicks, err := readKicks(ctx, f.engine, f.keys, texts(got[0]))
	if err != nil {
		return nil, err
	}
	f.generation, f.kicks, f.read = max(generation, number(now[0])), kicks, true
	return kicks, nil
}
