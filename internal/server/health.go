package server

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
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
	if store, err := s.pingStores(r.Context()); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "store": store, "error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// pingStores returns the first store that does not answer, and why.
func (s *Server) pingStores(ctx context.Context) (store string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	pings := []struct {
		store string
		ping  func(context.Context) error
	}{
		{"directory", s.o.Stores.Directory.Ping},
		{"sessions", s.o.Stores.Sessions.Ping},
		{"nonces", s.o.Stores.Nonces.Ping},
		{"history", s.o.Stores.History.Ping},
	}
	errs := make([]error, len(pings))
	var group errgroup.Group
	for i, p := range pings {
		group.Go(func() error {
			errs[i] = p.ping(ctx)
			return nil
		})
	}
	_ = group.Wait()
	for i, err := range errs {
		if err != nil {
			return pings[i].store, err
		}
	}
	return "", nil
}
