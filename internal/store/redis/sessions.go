package redis

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A sessions store is roll.Sessions.
type sessions struct {
	engine  *engine
	keys    *keys
	epochs  *epochs
	filters *filters
	wakes   *wakes
	log     *slog.Logger
	clock   *clock
	booted  booted
	again   again
	self    string // tells this process from others
}

func newSessions(e *engine, k *keys, c *clock, epochs *epochs, o *Options) *sessions {
	return &sessions{
		engine: e, keys: k, clock: c, epochs: epochs, log: o.Log, self: uuid.NewString(),
		filters: &filters{engine: e, keys: k}, wakes: newWakes(e, k.wake(), o.Log),
	}
}

func (s *sessions) Epoch(context.Context) (roll.Epoch, error) { return s.epochs.all(), nil }

// Ping writes, since an engine whose memory is full, or that is a replica, can
// still be read.
func (s *sessions) Ping(ctx context.Context) error {
	_, err := s.engine.do(ctx, "ping", write("SET", s.keys.lead("ping"), s.self, "PX", "60000"))
	return err
}

var leadScript = newScript(`local have = redis.call('GET', KEYS[1])
if have and have ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

func (s *sessions) Lead(ctx context.Context, work string, d time.Duration) (bool, error) {
	got, err := s.engine.do(ctx, "lead "+work, leadScript.on([]string{s.keys.lead(work)}, s.self, millis(d)))
	if err != nil {
		return false, err
	}
	n, err := got[0].AsInt64()
	return n == 1, outage("lead", err)
}

func (s *sessions) Start(ctx context.Context, start roll.Start) (roll.Started, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	home, ok := roll.HomeOfLaunch(start.LaunchKey)
	own, is := roll.HomeOfSession(start.Session.ID)
	if !ok || !is || home != own {
		return roll.Started{}, rollcall.ErrLaunchUnknown
	}
	g := &page{part: s.keys.of(home), homes: []roll.Home{home}, launches: true, boot: start.Session.GameServer, kicks: true}
	var started roll.Started
	err := s.change(ctx, "start", start.Session.StartedAt, []*page{g}, func(g *page) (err error) {
		g.step, started, err = g.book.PlanStart(&start)
		return err
	})
	if err != nil {
		return roll.Started{}, err
	}
	s.carry(ctx, g)
	return started, nil
}

// pagesOf returns a page for each partition that has some of the IDs, which are
// put in it.
func (s *sessions) pagesOf(ids []string, put func(g *page, id string)) []*page {
	var of [partitions]*page
	var pages []*page
	for _, id := range ids {
		home, ok := roll.HomeOfSession(id)
		if !ok {
			continue
		}
		p := s.keys.of(home)
		if of[p.n] == nil {
			of[p.n] = &page{part: p}
			pages = append(pages, of[p.n])
		}
		if g := of[p.n]; !slices.Contains(g.homes, home) {
			g.homes = append(g.homes, home)
		}
		put(of[p.n], id)
	}
	return pages
}

func (s *sessions) End(ctx context.Context, ids []string, e roll.Ending) ([]rollcall.EndedSession, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	of := make(map[*page][]string)
	pages := s.pagesOf(ids, func(g *page, id string) {
		g.kicks = e.IfRunning
		of[g] = append(of[g], id)
	})
	ended := make(map[*page][]rollcall.EndedSession, len(pages))
	err := s.change(ctx, "end", e.At, pages, func(g *page) error {
		g.step, ended[g] = g.book.PlanEnd(of[g], &e)
		if len(ended[g]) < len(of[g]) && g.hasExpired(of[g], e.At) {
			return s.noGap(ctx, "end")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.carry(ctx, pages...)
	return inOrder(ids, ended), nil
}

// inOrder returns what has ended in the order of ids.
func inOrder(ids []string, ended map[*page][]rollcall.EndedSession) []rollcall.EndedSession {
	place := make(map[string]int, len(ids))
	for i, id := range slices.Backward(ids) {
		place[id] = i
	}
	all := []rollcall.EndedSession{}
	for _, some := range ended {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b rollcall.EndedSession) int { return place[a.ID] - place[b.ID] })
	return all
}

func (s *sessions) EndMember(ctx context.Context, agentID, username string, e roll.Ending, kick *rollcall.Kick) ([]rollcall.EndedSession, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	home := roll.HomeOf(agentID, username)
	g := &page{part: s.keys.of(home), homes: []roll.Home{home}, launches: true}
	var ended []rollcall.EndedSession
	err := s.change(ctx, "end the sessions of a member", e.At, []*page{g}, func(g *page) error {
		g.step, ended = g.book.PlanEndMember(agentID, username, &e, kick)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.carry(ctx, g)
	return ended, nil
}

func (s *sessions) Announce(ctx context.Context, gameServer, bootID string, list []rollcall.Session, now time.Time) (map[string]string, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	if current, err := s.CurrentBoot(ctx, gameServer); err != nil {
		return nil, err
	} else if bootID == "" || current != bootID {
		return nil, rollcall.ErrStaleBoot
	}
	ids := make([]string, len(list))
	byID := make(map[string]rollcall.Session, len(list))
	for i := range list {
		ids[i] = list[i].ID
		byID[ids[i]] = list[i]
	}
	events, err := s.PendingOf(ctx, gameServer, ids)
	if err != nil {
		return nil, err
	}
	of := make(map[*page][]rollcall.Session)
	pages := s.pagesOf(ids, func(g *page, id string) {
		own := byID[id]
		g.boot, g.kicks, g.announces = gameServer, true, events
		g.gone = append(g.gone, id)
		if m := (member{own.AgentID, own.Username}); !slices.Contains(g.marks, m) {
			g.marks = append(g.marks, m)
		}
		of[g] = append(of[g], own)
	})
	refused := make(map[*page]map[string]string)
	err = s.change(ctx, "announce", now, pages, func(g *page) (err error) {
		g.step, refused[g], err = g.book.PlanAnnounce(gameServer, bootID, of[g], now)
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for _, id := range ids {
		if _, ok := roll.HomeOfSession(id); !ok {
			all[id] = "not one that Start gave"
		}
	}
	for _, some := range refused {
		maps.Copy(all, some)
	}
	return all, nil
}

func (s *sessions) Heartbeat(ctx context.Context, gameServer string, ids []string, now time.Time) ([]string, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	of := make(map[*page][]string)
	pages := s.pagesOf(ids, func(g *page, id string) { of[g] = append(of[g], id) })
	if len(pages) < 1 {
		return ids, nil
	}
	var commands []command
	for _, g := range pages {
		commands = append(commands, beat(g, gameServer, of[g], now), read("GET", g.part.epoch()))
	}
	got, err := s.engine.do(ctx, "renew leases", commands...)
	if err != nil {
		return nil, err
	}
	renewed := make(map[string]bool, len(ids))
	var asked []*part
	moved := false
	for i, g := range pages {
		for _, id := range of[g] {
			renewed[id] = true
		}
		unknown, _ := got[2*i].AsIntSlice()
		for _, n := range unknown {
			renewed[of[g][n-1]] = false
		}
		if len(unknown) > 0 {
			asked = append(asked, g.part)
		}
		epoch, _ := text(got[2*i+1])
		moved = moved || !s.epochs.is(g.part, epoch)
	}
	unknown := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return renewed[id] })
	if len(unknown) == 0 {
		return nil, nil
	}
	// What is unknown may have been lost a moment ago: whoever hears of it is to
	// hear of the new epoch too.
	if moved {
		err = s.epochs.check(ctx)
	} else {
		err = s.epochs.fresh(ctx, asked)
	}
	if err != nil {
		return nil, err
	}
	if err := s.noGap(ctx, "renew leases"); err != nil {
		return nil, err
	}
	return unknown, nil
}

func beat(g *page, gameServer string, ids []string, now time.Time) command {
	return beatScript.ofSessions(g.part, ids, micros(now), gameServer, g.part.index(""))
}

// ofSessions makes a command that takes, behind args, sessions of a partition: of
// each the number of its home's key, and its ID.
func (s *script) ofSessions(p *part, ids []string, args ...string) command {
	keys := make([]string, 0, len(ids))
	numbers := make(map[roll.Home]string, len(ids))
	args = slices.Grow(args, 2*len(ids))
	for _, text := range ids {
		home, _ := roll.HomeOfSession(text)
		if numbers[home] == "" {
			keys = append(keys, p.sessions(home))
			numbers[home] = strconv.Itoa(len(keys))
		}
		id := uuid.MustParse(text)
		args = append(args, numbers[home], string(id[:]))
	}
	return s.on(keys, args...)
}

// held reads the sessions of a home, in one look, and whether they may have been
// lost a moment ago.
func (s *sessions) held(ctx context.Context, doing string, home roll.Home) ([]rollcall.Session, error) {
	p := s.keys.of(home)
	got, err := s.pair(ctx, doing, p.sessions(home), p.epoch())
	if err != nil {
		return nil, err
	}
	pair, err := got.ToArray()
	if err != nil || len(pair) != 2 {
		return nil, outage(doing, errRecord)
	}
	value, _ := text(pair[0])
	if epoch, _ := text(pair[1]); !s.epochs.is(p, epoch) {
		if err := s.epochs.check(ctx); err != nil {
			return nil, err
		}
	}
	list, err := unpackAll(value)
	return list, outage(doing, err)
}

// pair reads two strings of a partition.
func (s *sessions) pair(ctx context.Context, doing, one, other string) (rueidis.RedisMessage, error) {
	e := s.engine
	if e.bundles != nil && ctx.Err() == nil {
		a := e.bundles.ask(e.client.B().Arbitrary("MGET").Keys(one, other).Build())
		m, again, err := e.answered(ctx, doing, a)
		if !again {
			return m, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, a.bundle.deadline)
		defer cancel()
	}
	again := readAll(one, other)
	again.alone = true
	got, err := e.do(ctx, doing, again)
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	return got[0], nil
}

func (s *sessions) OfMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	list, err := s.held(ctx, "sessions of a member", roll.HomeOf(agentID, username))
	if len(list) == 0 {
		return []rollcall.Session{}, err
	}
	return slices.DeleteFunc(list, func(l rollcall.Session) bool {
		return l.Username != username || l.AgentID != agentID || !l.ActiveAt(now)
	}), err
}

func (s *sessions) Get(ctx context.Context, id string, now time.Time) (rollcall.Session, error) {
	home, ok := roll.HomeOfSession(id)
	if !ok {
		return rollcall.Session{}, rollcall.ErrNotFound
	}
	list, err := s.held(ctx, "get session", home)
	if err != nil {
		return rollcall.Session{}, err
	}
	i := slices.IndexFunc(list, func(l rollcall.Session) bool { return l.ID == id && l.ActiveAt(now) })
	if i < 0 {
		return rollcall.Session{}, rollcall.ErrNotFound
	}
	return list[i], nil
}

func (s *sessions) AddLaunch(ctx context.Context, l roll.Launch) error {
	home, ok := roll.HomeOfLaunch(l.Key)
	if !ok {
		return outage("add launch", errRecord)
	}
	g := &page{part: s.keys.of(home), homes: []roll.Home{home}, launches: true}
	return s.change(ctx, "add launch", l.CreatedAt, []*page{g}, func(g *page) error {
		g.step = g.book.PlanLaunch(&l)
		return nil
	})
}

func (s *sessions) Launch(ctx context.Context, key string) (roll.Launch, error) {
	home, ok := roll.HomeOfLaunch(key)
	if !ok {
		return roll.Launch{}, rollcall.ErrLaunchUnknown
	}
	g := &page{part: s.keys.of(home), homes: []roll.Home{home}, launches: true}
	if err := s.load(ctx, "get launch", []*page{g}); err != nil {
		return roll.Launch{}, err
	}
	return g.book.Launch(key)
}
