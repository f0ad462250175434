package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	maxSilence = 45 * time.Second // the service says something each 15 s
	maxUnacked = 2 * wire.MaxBatch
)

// tellEnds tells the events of a heartbeat, for who has filled g.telling, and
// empties it.
func (g *GameServer) tellEnds(ctx context.Context, ends []ending) error {
	defer func() { <-g.telling }()
	var errs []error
	for _, e := range ends {
		_, err := g.tell(ctx, e.epoch, e.event, true) // whatever its type says
		errs = append(errs, err)
	}
	return errors.Join(append(errs, g.acknowledge(ctx))...)
}

// tell has OnEvent take an event over if it has not yet, and notes that it is to
// be acknowledged; ends says that it ends its session. fresh reports whether
// OnEvent took it over now. g.telling is full.
func (g *GameServer) tell(ctx context.Context, epoch string, e rollcall.Event, ends bool) (fresh bool, err error) {
	if err := checkEvent(&e); err != nil {
		return false, err
	}
	n := notice{epoch, e.ID}
	if fresh = g.toTell(n, e.SessionID, ends); fresh {
		if g.onEvent == nil {
			return false, fmt.Errorf("event %s: %w option OnEvent: nil", e.ID, rollcall.ErrInvalid)
		}
		if err := guard(func() error { return g.onEvent(ctx, e) }); err != nil {
			return false, fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	if ends {
		g.drop(e.SessionID)
	}
	g.note(n)
	return fresh, nil
}

// endsSession reports whether events of type t end their session.
func endsSession(t rollcall.EventType) bool {
	switch t {
	case rollcall.EventKicked, rollcall.EventDisplaced, rollcall.EventAgentBlocked:
		return true
	}
	return false
}

// checkEvent refuses an event that cannot be told apart from others, or ends no
// session that anybody could name.
func checkEvent(e *rollcall.Event) error {
	switch {
	case !validEventID(e.ID):
		return fmt.Errorf("%w event: ID", rollcall.ErrInvalid)
	case endsSession(e.Type) && e.SessionID == "":
		return fmt.Errorf("%w event %s: no session", rollcall.ErrInvalid, e.ID)
	}
	return nil
}

// guard calls what others have written. A panic in it is an error, since one
// event must not end all the other sessions with their process.
func guard(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return call()
}

// toTell reports whether OnEvent has to be called for n: it was not yet, or the
// session that n ends is held. That one was told while its Start was under way,
// when nobody knew it.
func (g *GameServer) toTell(n notice, sessionID string, ends bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, lately := g.told[n]
	_, before := g.before[n]
	_, held := g.held[sessionID]
	return !lately && !before || ends && held
}

// note remembers n among the last ones, which are at least wire.MaxBatch.
func (g *GameServer) note(n notice) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.told) >= wire.MaxBatch {
		g.told, g.before = map[notice]struct{}{}, g.told
	}
	g.told[n] = struct{}{}
	// One that finds no room is told again, and acknowledged then.
	if n.epoch == g.epoch && len(g.unacked) < maxUnacked {
		g.unacked[n.id] = struct{}{}
	}
}

// acknowledge acknowledges all events that were taken over; those that it cannot
// are left for the next time.
func (g *GameServer) acknowledge(ctx context.Context) error {
	g.mu.Lock()
	ids := slices.Sorted(maps.Keys(g.unacked))
	g.mu.Unlock()
	for some := range slices.Chunk(ids, wire.MaxBatch) {
		err := g.post(ctx, wire.PathGameAck, wire.AckRequest{IDs: some}, &wire.AckResponse{})
		if unreached(err) || final(err) {
			return fmt.Errorf("acknowledge: %w", err)
		}
		g.mu.Lock()
		for _, id := range some {
			delete(g.unacked, id)
		}
		g.mu.Unlock()
		if err != nil { // it would be refused again
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	return nil
}

// keepListening opens the event stream again and again, until ctx ends or an
// error is final.
func (g *GameServer) keepListening(ctx context.Context) error {
	var wait backoff
	for ctx.Err() == nil {
		begun := g.now()
		took, err := g.listen(ctx)
		if final(err) {
			return err
		}
		if took || g.now().Sub(begun) > maxBackoff {
			wait = 0
		}
		g.warn(ctx, "event stream", err)
		_ = pause(ctx, wait.after(err))
	}
	return nil
}

// listen opens the event stream and has its events taken over, until one is not
// or the stream ends. The error says why and is never nil; took reports whether
// an event was taken over that had not been before.
func (g *GameServer) listen(ctx context.Context) (took bool, err error) {
	stream, end := context.WithCancelCause(ctx)
	defer end(nil)
	g.mu.Lock()
	epoch, cursor := g.epoch, g.cursor
	g.restart = end
	g.mu.Unlock()
	alive := time.AfterFunc(maxSilence, func() { end(fmt.Errorf("nothing was said for %s", maxSilence)) })
	defer alive.Stop()
	body, err := g.openStream(stream, cursor)
	if err != nil {
		return false, cmp.Or(context.Cause(stream), err)
	}
	defer body.Close()
	messages := newMessages(watched{body, alive})
	for {
		m, err := messages.next()
		if err != nil {
			return took, cmp.Or(context.Cause(stream), err)
		}
		fresh, err := g.hear(ctx, epoch, m)
		took = took || fresh
		if err != nil {
			return took, err
		}
	}
}

// openStream asks for the events behind cursor.
func (g *GameServer) openStream(ctx context.Context, cursor string) (io.ReadCloser, error) {
	req, err := g.request(ctx, http.MethodGet, wire.PathGameEvents, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if validEventID(cursor) { // else no stream would open ever again
		req.Header.Set(wire.HeaderLastEventID, cursor)
	}
	res, err := g.streams.Do(req)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return res.Body, nil
	}
	defer res.Body.Close()
	err = readFault(res)
	return nil, fmt.Errorf("GET %s: %w", wire.PathGameEvents, err)
}

// hear has the event of a message taken over and acknowledges it; fresh is as
// tell says. An error means that the stream is to begin again, behind the last one
// that was taken over.
func (g *GameServer) hear(ctx context.Context, epoch string, m message) (fresh bool, err error) {
	select {
	case g.telling <- struct{}{}:
		defer func() { <-g.telling }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if len(m.data) > 0 {
		e, err := m.event()
		if err != nil {
			// It would be the same again. If it ends a session, a heartbeat says so.
			g.warn(ctx, "event not understood", err)
		} else if fresh, err = g.tell(ctx, epoch, e, endsSession(e.Type)); err != nil {
			return false, errors.New(err.Error()) // a sentinel in OnEvent's error is not the service's
		}
	}
	g.mu.Lock()
	if m.id != "" && g.epoch == epoch {
		g.cursor = m.id
	}
	g.mu.Unlock()
	err = g.acknowledge(ctx)
	if final(err) {
		return fresh, err
	}
	g.warn(ctx, "event", err) // it goes with the next event or heartbeat
	return fresh, nil
}
