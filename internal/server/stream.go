package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	// keepAlive is how often a stream without events says something, so that who
	// hears nothing for three times as long knows that it is dead.
	keepAlive = 15 * time.Second
	// slowest is how long a write to a stream may take. A reader that is slower
	// is cut off, and resumes behind the last event that it has taken over.
	slowest = 10 * time.Second
	// streamBatch is how many events are written at once.
	streamBatch = 256
	// streamRetry tells a browser's EventSource when to come again, in ms.
	streamRetry = 1000
)

// streamEvents tells a game server what it has not acknowledged yet, and what
// comes, as Server-Sent Events: from behind Last-Event-ID, or from the first one
// that it has not acknowledged.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	server, err := s.gameServer(r)
	if err != nil {
		s.refuse(r.Context(), w, err)
		return
	}
	end, err := s.opened.open(server.ID)
	if err != nil {
		s.refuse(r.Context(), w, err)
		return
	}
	defer end()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.streams, func() { cancel(errDraining) })()
	defer s.o.Metrics.stream()()
	st := &stream{s: s, r: r, server: server.ID, after: r.Header.Get(wire.HeaderLastEventID), to: http.NewResponseController(w), w: w}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if err := st.write("retry: " + strconv.Itoa(streamRetry) + "\n\n"); err != nil {
		return
	}
	// Whatever ends the stream, the game server comes again and misses nothing.
	st.run(ctx)
}

var errDraining = errors.New("the server is draining")

// A stream is one game server's.
type stream struct {
	s      *Server
	r      *http.Request
	w      http.ResponseWriter
	to     *http.ResponseController
	server string
	after  string // the ID of the last event that was written
}

// run writes events until ctx ends, the reader is gone or too slow, its token is
// no longer good, or a store does not answer.
func (st *stream) run(ctx context.Context) {
	quiet := time.NewTimer(keepAlive)
	defer quiet.Stop()
	for {
		events, more, err := st.s.o.Service.Events(ctx, st.server, st.after, streamBatch)
		if err == nil {
			err = st.tell(ctx, events)
		}
		if err != nil {
			st.s.log.LogAttrs(ctx, slog.LevelDebug, "event stream ends", slog.String("game_server", st.server), slog.Any("error", err))
			return
		}
		if len(events) > 0 {
			quiet.Reset(keepAlive)
		}
		if len(events) == streamBatch {
			continue
		}
		select {
		case <-more:
		case <-quiet.C:
			if st.write(": still here\n\n") != nil {
				return
			}
			quiet.Reset(keepAlive)
		case <-ctx.Done():
			return
		}
	}
}

// tell writes events and notes that they were delivered.
func (st *stream) tell(ctx context.Context, events []rollcall.Event) error {
	if len(events) == 0 {
		return nil
	}
	var text []byte
	ids := make([]string, len(events))
	for i := range events {
		data, err := json.Marshal(&events[i])
		if err != nil {
			return err
		}
		ids[i] = events[i].ID
		text = append(text, "id: "+ids[i]+"\nevent: "+string(events[i].Type)+"\ndata: "...)
		text = append(append(text, data...), "\n\n"...)
	}
	if err := st.write(string(text)); err != nil {
		return err
	}
	st.after = ids[len(ids)-1]
	return st.s.o.Service.Delivered(ctx, st.server, ids)
}

func (st *stream) write(text string) error {
	if _, err := st.s.gameServer(st.r); err != nil {
		return err // the token was taken away since
	}
	// The deadline is the stream's own: http.Server's WriteTimeout would cut it. It
	// is by the machine's clock, whatever the sessions go by.
	deadline := time.Now().Add(slowest) //nolint:forbidigo // see there
	if err := st.to.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := st.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := st.to.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 a deadline that passes ends the stream even while it is quiet.
	if err := st.to.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
