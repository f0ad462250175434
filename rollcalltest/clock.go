package rollcalltest

import (
	"context"
	"sync"
	"time"
)

// begin is what a Server's clock shows at first.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Now is what the Server's clock shows. It fits a client's option Now.
func (s *Server) Now() time.Time { return s.clock.now() }

// Advance moves the clock on. What ends by then has ended when it returns: a
// session lives for 90 s without a heartbeat, an access token for an hour and a
// minute of leeway.
func (s *Server) Advance(d time.Duration) { s.clock.advance(d) }

// SetNow has the clock show t, and stand still there.
func (s *Server) SetNow(t time.Time) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.at = t
}

// sleep moves the clock on instead of waiting.
func (s *Server) sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.clock.advance(d)
	return nil
}
