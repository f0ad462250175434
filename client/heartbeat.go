package client

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// maxLarge is how many sessions, or ends with notes, one call names: a service
// bounds the bytes of a body too, and 10,000 long ones would be more.
const maxLarge = 1000

// Heartbeat renews all sessions that are held, tells of ends that were kept, and
// does what the answer asks: it announces the sessions to a service that has lost
// them, and calls OnLost and OnEvent. The error joins those of OnEvent.
func (g *GameServer) Heartbeat(ctx context.Context) error {
	ends, err := g.beat(ctx)
	select {
	case g.telling <- struct{}{}:
		return errors.Join(err, g.tellEnds(ctx, ends))
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// An ending is an event that a heartbeat's answer told.
type ending struct {
	epoch string
	event rollcall.Event
}

// beat does one heartbeat and returns what is left to tell. A request that is
// refused does not keep the others from renewing their sessions.
func (g *GameServer) beat(ctx context.Context) (ends []ending, err error) {
	g.beating.Lock()
	defer g.beating.Unlock()
	var errs []error
	for _, r := range g.beats() {
		a, err := g.renew(ctx, r)
		if unreached(err) || final(err) {
			return ends, errors.Join(append(errs, err)...)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		announced, err := g.follow(ctx, a.Epoch)
		if err != nil {
			return ends, errors.Join(append(errs, err)...)
		}
		for _, id := range a.Unknown {
			if !announced {
				g.lose(ctx, id, "the service does not know it")
			}
		}
		for _, e := range a.End {
			ends = append(ends, ending{a.Epoch, e})
		}
	}
	return ends, errors.Join(errs...)
}

// renew does one request of a heartbeat.
func (g *GameServer) renew(ctx context.Context, r wire.HeartbeatRequest) (a wire.HeartbeatResponse, err error) {
	err = g.post(ctx, wire.PathGameHeartbeats, r, &a)
	if err == nil && a.Epoch == "" {
		err = errNoEpoch(wire.PathGameHeartbeats)
	}
	if !unreached(err) && !final(err) {
		g.forget(r.Ended) // refused ends too: they would be again
	}
	return a, err
}

// beats returns the requests of one heartbeat: at least one, since the answer
// has the epoch. Ends go apart: were they refused, the leases would run out.
func (g *GameServer) beats() (all []wire.HeartbeatRequest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(g.held)), wire.MaxBatch) {
		all = append(all, wire.HeartbeatRequest{BootID: g.bootID, IDs: ids})
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(g.ended)), maxLarge) {
		r := wire.HeartbeatRequest{BootID: g.bootID, IDs: []string{}}
		for _, id := range ids {
			r.Ended = append(r.Ended, g.ended[id])
		}
		all = append(all, r)
	}
	if all == nil {
		all = []wire.HeartbeatRequest{{BootID: g.bootID, IDs: []string{}}}
	}
	return all
}

// forget forgets ends that were told, but not what End has said since.
func (g *GameServer) forget(ended []wire.SessionEnd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range ended {
		if g.ended[e.ID] == e {
			delete(g.ended, e.ID)
		}
	}
}

// follow announces all sessions if the epoch is another than before, and reports
// whether it did. After an error the epoch is still another.
func (g *GameServer) follow(ctx context.Context, epoch string) (announced bool, err error) {
	g.mu.Lock()
	same := epoch == g.epoch
	g.mu.Unlock()
	if same {
		return false, nil
	}
	for sessions := range slices.Chunk(g.Sessions(), maxLarge) {
		var a wire.AnnounceResponse
		r := wire.AnnounceRequest{BootID: g.bootID, Sessions: sessions}
		if err := g.post(ctx, wire.PathGameAnnounce, r, &a); err != nil {
			return false, err
		}
		refused := make(map[string]bool, len(a.Refused))
		for _, r := range a.Refused {
			refused[r.ID] = true
			g.lose(ctx, r.ID, r.Why)
		}
		g.endDropped(ctx, slices.DeleteFunc(sessions, func(s rollcall.Session) bool { return refused[s.ID] }))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.adopt(epoch, "")
	return true, nil
}

// endDropped ends those of sessions that were announced and have ended meanwhile:
// the service, which had lost them, did not know what it was told to end.
func (g *GameServer) endDropped(ctx context.Context, sessions []rollcall.Session) {
	for i := range sessions {
		g.mu.Lock()
		_, held := g.held[sessions[i].ID]
		_, kept := g.ended[sessions[i].ID]
		g.mu.Unlock()
		if !held && !kept {
			g.warn(ctx, "end of a session that was announced", g.End(ctx, sessions[i].ID, EndRequest{}))
		}
	}
}

// keepBeating does heartbeats until ctx ends or an error is final. OnEvent never
// holds one up: it is called aside, and what cannot be told now, the next answer
// has again.
func (g *GameServer) keepBeating(ctx context.Context, aside *sync.WaitGroup) error {
	var wait backoff
	for ctx.Err() == nil {
		begun := g.now()
		ends, err := g.beat(ctx)
		select {
		case g.telling <- struct{}{}:
			aside.Go(func() { g.warn(ctx, "events of a heartbeat", g.tellEnds(ctx, ends)) })
		default:
		}
		if final(err) {
			return err
		}
		g.warn(ctx, "heartbeat", err)
		if err != nil {
			_ = pause(ctx, min(wait.after(err), g.interval()))
			continue
		}
		wait = 0
		g.awaitBeat(ctx, begun)
	}
	return nil
}

// awaitBeat waits until the heartbeat after that of begun is due, which a new
// session may bring forward.
func (g *GameServer) awaitBeat(ctx context.Context, begun time.Time) {
	early := 1 - rand.Float64()/5 //nolint:gosec // jitter is no secret
	for {
		every := time.Duration(early * float64(g.interval()))
		// A clock that was set back does not hold it up.
		t := time.NewTimer(min(begun.Add(every).Sub(g.now()), every))
		select {
		case <-g.sooner:
			t.Stop()
			continue
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		return
	}
}

// interval is the shortest of what Boot and the Starts of the sessions asked for.
func (g *GameServer) interval() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.every
	for _, h := range g.held {
		if h.every > 0 {
			d = min(d, h.every)
		}
	}
	return d
}
