package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// readyTimeout is how long a store may take to say that it is there.
const readyTimeout = 2 * time.Second

// live says that the process serves, and nothing of its stores: a restart would
// not mend those.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": s.o.Version})
}

// ready says whether requests can be answered: 503 while draining and while a
// store does not answer.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "draining"})
		return
	}
	if store := s.pinger.down(r.Context()); store != "" {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "store": store})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// pingEvery bounds how often the stores are written to for the sake of /readyz,
// which anyone can ask who reaches the listener.
const pingEvery = time.Second

// A pinger asks the stores whether they are there, and remembers the answer for
// a moment.
type pinger struct {
	stores roll.Stores
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	asked  time.Time
	answer string
}

// down returns the name of a store that does not answer; "" where all do.
func (p *pinger) down(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.asked) >= pingEvery || now.Before(p.asked) {
		// The answer serves others too, so it must not hang on this caller's
		// patience.
		p.answer = p.ask(context.WithoutCancel(ctx))
		p.asked = p.now()
	}
	return p.answer
}

func (p *pinger) ask(ctx context.Context) (down string) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	pings := []struct {
		store string
		ping  func(context.Context) error
	}{
		{"directory", p.stores.Directory.Ping},
		{"sessions", p.stores.Sessions.Ping},
		{"nonces", p.stores.Nonces.Ping},
		{"history", p.stores.History.Ping},
	}
	for _, store := range pings {
		if err := store.ping(ctx); err != nil {
			p.log.LogAttrs(ctx, slog.LevelError, "not ready", slog.String("store", store.store), slog.Any("error", err))
			return store.store
		}
	}
	return ""
}
