package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

// A life is the sessions of one game server, each of a member of one agent, from
// their launches to their ends.
type life struct {
	*node

	agent  *signer
	token  string // the game server's
	names  []string
	tokens []string // of launches
	ids    []string
	kicked []string // of which the game server has not said yet that the game has ended
	beaten time.Time
}

// lifeFigures are those of each of lifeSteps.
type lifeFigures struct {
	measured [][]sample
	rounds   int
	sessions int
}

// measureLife measures what a session costs from its launch to its end.
func measureLife(ctx context.Context, o options, dir string) (_ report, err error) {
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	l := &life{node: n}
	for i := range max(o.n/8*8, 8) {
		l.names = append(l.names, fmt.Sprintf("player%07d", i))
	}
	if err := n.furnish(ctx, 0); err != nil {
		return nil, err
	}
	if l.agent, err = n.agent(ctx, "agent"); err != nil {
		return nil, err
	}
	if l.token, err = n.gameServer(ctx, "games"); err != nil {
		return nil, err
	}
	made, err := n.members(ctx, "agent", l.names)
	if err != nil {
		return nil, err
	}
	o.tell("%d members made, %.0f/s", len(l.names), made.perSecond())
	measured := make([][]sample, len(lifeSteps))
	for round := range o.rounds + 1 {
		for i, step := range lifeSteps {
			s, err := l.settled(ctx, func() (sample, error) { return step.do(l, ctx) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", step.name, err)
			}
			if round > 0 {
				measured[i] = append(measured[i], s)
			}
			o.tell("round %d of %d: %-60s %8.0f/s, %6.2f µs CPU each", round, o.rounds, step.name, s.perSecond(), s.micros())
		}
	}
	return &lifeFigures{measured, o.rounds, len(l.names)}, nil
}

// lifeSteps is a round. An eighth of the sessions is logged out, an eighth ends,
// a quarter ends in heartbeats, and the other half is kicked at once.
var lifeSteps = []struct {
	name string
	do   func(l *life, ctx context.Context) (sample, error)
}{
	{"launch (v2 opengame), 64 connections", (*life).launch},
	{"start, 64 connections", func(l *life, ctx context.Context) (sample, error) {
		l.ids = nil
		return l.start(ctx, 0, len(l.names)/2, 64)
	}},
	{"start, 256 connections", func(l *life, ctx context.Context) (sample, error) {
		return l.start(ctx, len(l.names)/2, len(l.names), 256)
	}},
	{"heartbeat, in batches of 10,000", func(l *life, ctx context.Context) (sample, error) {
		return l.beat(ctx, max(1, 1_000_000/len(l.ids)))
	}},
	{"end, one a call, 64 connections", (*life).end},
	{"end, in heartbeats of 10,000", (*life).endInBeats},
	{"kick (v2 logout), 64 connections", (*life).logout},
	{"kick by a filter, all that are left", (*life).kickAll},
	{"settlement of those kicked, in heartbeats of 10,000", (*life).settle},
}

// settled counts what the server does behind an answer, such as the history, to
// the CPU of a step.
func (l *life) settled(ctx context.Context, do func() (sample, error)) (s sample, err error) {
	all, err := watched(l.process, 0, func() error {
		if s, err = do(); err != nil {
			return err
		}
		return l.until(ctx, "quiet", 0, func() (bool, error) {
			some, err := watched(l.process, 0, func() error {
				time.Sleep(400 * time.Millisecond)
				return nil
			})
			return some.cpu <= 20*time.Millisecond, err
		})
	})
	s.cpu = all.cpu
	return s, err
}

// launch launches the game for each member.
func (l *life) launch(ctx context.Context) (sample, error) {
	requests, err := l.agent.signAll(len(l.names), wire.PathOpenGame, func(i int) any { return launch(l.names[i]) })
	if err != nil {
		return sample{}, err
	}
	l.tokens = make([]string, len(requests))
	return load(ctx, l.process, job{address: l.address, requests: requests, conns: 64, take: func(i int, body []byte) (err error) {
		l.tokens[i], err = launchToken(body)
		return err
	}})
}

// start starts sessions of some launches.
func (l *life) start(ctx context.Context, from, to, conns int) (sample, error) {
	requests := make([][]byte, to-from)
	for i := range requests {
		requests[i] = post(wire.PathGameSessions, l.address, l.token, wire.StartRequest{BootID: boot, LaunchToken: l.tokens[from+i]})
	}
	ids := make([]string, len(requests))
	s, err := load(ctx, l.process, job{address: l.address, requests: requests, conns: conns, take: func(i int, body []byte) error {
		var answer struct{ Session struct{ ID string } }
		err := json.Unmarshal(body, &answer)
		ids[i] = answer.Session.ID
		return err
	}})
	l.ids = append(l.ids, ids...)
	return s, err
}

// beats returns a heartbeat of sessions, in batches.
func (l *life) beats(ids []string) (requests [][]byte) {
	for some := range slices.Chunk(ids, wire.MaxBatch) {
		requests = append(requests, post(wire.PathGameHeartbeats, l.address, l.token, wire.HeartbeatRequest{BootID: boot, IDs: some}))
	}
	return requests
}

// renewed is a load's take that holds every session to be renewed.
func renewed(_ int, body []byte) error {
	var answer wire.HeartbeatResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if n := len(answer.Unknown) + len(answer.End); n > 0 {
		return fmt.Errorf("%d sessions of a heartbeat were not renewed", n)
	}
	return nil
}

// beat renews all sessions so many times.
func (l *life) beat(ctx context.Context, times int) (sample, error) {
	requests := slices.Repeat(l.beats(l.ids), times)
	s, err := load(ctx, l.process, job{address: l.address, requests: requests, conns: 2, take: renewed})
	return s.of(times * len(l.ids)), err
}

// off takes a part of the sessions away, for a step that ends them.
func (l *life) off(part int) (ids, names []string) {
	ids, l.ids = l.ids[:part], l.ids[part:]
	at := len(l.names) - len(l.ids) - part
	return ids, l.names[at : at+part]
}

func (l *life) end(ctx context.Context) (sample, error) {
	ids, _ := l.off(len(l.names) / 8)
	requests := make([][]byte, len(ids))
	for i, id := range ids {
		requests[i] = post(wire.PathGameEnd(id), l.address, l.token, wire.EndRequest{})
	}
	return load(ctx, l.process, job{address: l.address, requests: requests, conns: 64})
}

func (l *life) endInBeats(ctx context.Context) (sample, error) {
	ids, _ := l.off(len(l.names) / 4)
	return l.tellEnds(ctx, ids)
}

func (l *life) settle(ctx context.Context) (sample, error) {
	ids := l.kicked
	l.kicked = nil
	return l.tellEnds(ctx, ids)
}

// tellEnds says in heartbeats that sessions have ended.
func (l *life) tellEnds(ctx context.Context, ids []string) (sample, error) {
	var requests [][]byte
	for some := range slices.Chunk(ids, wire.MaxBatch) {
		r := wire.HeartbeatRequest{BootID: boot, IDs: []string{}}
		for _, id := range some {
			r.Ended = append(r.Ended, wire.SessionEnd{ID: id})
		}
		requests = append(requests, post(wire.PathGameHeartbeats, l.address, l.token, r))
	}
	s, err := load(ctx, l.process, job{address: l.address, requests: requests, conns: 2, take: renewed})
	return s.of(len(ids)), err
}

func (l *life) logout(ctx context.Context) (sample, error) {
	ids, names := l.off(len(l.names) / 8)
	l.kicked = append(l.kicked, ids...)
	requests, err := l.agent.signAll(len(names), wire.PathSessionsLogout, func(i int) any { return wire.MemberRequest{Username: names[i]} })
	if err != nil {
		return sample{}, err
	}
	return load(ctx, l.process, job{address: l.address, requests: requests, conns: 64})
}

// kickAll kicks all sessions of the game server that are left, and waits until
// they have ended.
func (l *life) kickAll(ctx context.Context) (sample, error) {
	l.kicked = append(l.kicked, l.ids...)
	l.ids = nil
	var k rollcall.Kick
	s, err := watched(l.process, 0, func() error {
		var made admin.KickCreated
		in := admin.KickCreate{Filter: rollcall.SessionFilter{GameServer: "games"}, Why: "bench"}
		if err := l.create(ctx, "/kicks", in, &made); err != nil {
			return err
		}
		// Each look at the kick counts what it has ended; the counts cost nothing.
		err := l.until(ctx, "kicked", 20*time.Millisecond, func() (bool, error) {
			var counts admin.Page[rollcall.SessionCount]
			err := l.admin.Do(ctx, http.MethodGet, admin.Path("session-counts")+"?by=gameServer", nil, &counts)
			if err != nil || len(counts.Items) == 0 {
				return true, err
			}
			return false, l.whileKicked(ctx)
		})
		if err != nil {
			return err
		}
		return l.until(ctx, "done", 20*time.Millisecond, func() (bool, error) {
			var shown admin.KickShown
			err := l.admin.Do(ctx, http.MethodGet, admin.Path("kicks", made.Kick.ID)+"?limit=1", nil, &shown)
			k = shown.Kick
			return k.State == rollcall.KickDone, err
		})
	})
	if err == nil && k.Progress.Ended != k.Matched {
		err = fmt.Errorf("%d of %d sessions ended", k.Progress.Ended, k.Matched)
	}
	s.took = k.FinishedAt.Sub(k.At)
	return s.of(k.Matched), err
}

// whileKicked renews those of a long kick that are left, as they would expire.
// It ends them in no order, so all are named.
func (l *life) whileKicked(ctx context.Context) error {
	if time.Since(l.beaten) < 20*time.Second {
		return nil
	}
	l.beaten = time.Now()
	_, err := load(ctx, l.process, job{address: l.address, requests: l.beats(l.kicked), conns: 1})
	return err
}

func (f *lifeFigures) write(out io.Writer) {
	var rows [][]string
	for i, step := range lifeSteps {
		samples := f.measured[i]
		p99 := medianTime(samples, func(s sample) time.Duration { return s.p99 }).String()
		if samples[0].p99 == 0 { // it is no call that is waited for
			p99 = "–"
		}
		rows = append(rows, []string{
			step.name, figureOf(samples, sample.perSecond).show(0), figureOf(samples, sample.micros).show(1), p99,
		})
	}
	table(out, "what|sessions/s|server CPU µs a session|p99 of a call", rows...)
	fmt.Fprintf(out, "\nMedian (and extremes) of %d rounds of %d sessions, `--sync full`, server on one core.\n", f.rounds, f.sessions)
}
