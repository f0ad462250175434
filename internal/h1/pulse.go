package h1

import (
	"context"
	"net/http"
	"time"
)

// A pulse is what connections share of the clock, so that a request need not set
// deadlines of its own, nor write the time.
type pulse struct {
	at            time.Time
	date          string
	reads, writes time.Time     // deadlines of who waits from now on; zero: none
	common        *http.Request // what all requests have in common
}

const pulseEvery = time.Second

// keepBeating goes on until all connections are gone.
func (s *Server) keepBeating() {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.gone:
			return
		case <-tick.C: // its time is when it was due, which may be long ago
			s.beat()
		}
	}
}

func (s *Server) beat() {
	now := time.Now() //nolint:forbidigo // sockets go by no other clock
	ctx := context.WithValue(context.Background(), http.ServerContextKey, s.web)
	if limit := s.web.WriteTimeout; limit > 0 {
		ended, end := context.WithCancelCause(ctx)
		time.AfterFunc(limit+pulseEvery, func() { end(context.DeadlineExceeded) })
		ctx = ended
	}
	s.pulse.Store(&pulse{
		at: now, date: now.UTC().Format(http.TimeFormat),
		reads: after(now, s.web.IdleTimeout), writes: after(now, s.web.WriteTimeout),
		common: (&http.Request{Method: http.MethodPost, ProtoMajor: 1}).WithContext(ctx),
	})
}

// after is now and a limit, which pulses may make shorter by their distance.
func after(now time.Time, limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return now.Add(limit + pulseEvery)
}

// current returns the last pulse. Where the process stood still, as one that is
// stopped and continued, that may be long ago, and its deadlines have passed.
func (s *Server) current() *pulse {
	p := s.pulse.Load()
	if time.Since(p.at) > 2*pulseEvery {
		s.beat()
		p = s.pulse.Load()
	}
	return p
}
