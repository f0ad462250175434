package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// A clock tells the engine's time without asking each time: between two looks it
// goes by the process's monotonic clock, which nobody sets.
type clock struct {
	engine *engine
	key    string // any one of the node that is asked
	fixed  func() time.Time
	last   atomic.Pointer[reading]
}

// A reading is the engine's time at a moment.
type reading struct {
	at     time.Time // monotonic
	engine time.Time
	took   time.Duration
}

const (
	clockEvery = time.Second
	// clockForget is how fast an exact reading grows old: a later one may be as
	// much less exact for each second.
	clockForget = 200 * time.Microsecond
)

func newClock(ctx context.Context, e *engine, key string, o *Options) (*clock, error) {
	c := &clock{engine: e, key: key, fixed: o.Now}
	return c, c.read(ctx)
}

// Now returns the engine's time, or what the options have in its place.
func (c *clock) Now() time.Time {
	if c.fixed != nil {
		return c.fixed()
	}
	return c.ofEngine()
}

// ofEngine returns the engine's time, by which its streams are numbered.
func (c *clock) ofEngine() time.Time {
	r := c.last.Load()
	return r.engine.Add(time.Since(r.at))
}

var timeScript = newScript(`return redis.call('TIME')`)

// read looks at the engine's clock. The moment is taken to be the middle of the
// look; one that took long is less sure and does not replace a better one.
func (c *clock) read(ctx context.Context) error {
	ask := timeScript.on([]string{c.key})
	ask.alone = true
	begun := time.Now() //nolint:forbidigo // this is the clock
	got, err := c.engine.do(ctx, "ask for the time", ask)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	parts, err := got[0].AsStrSlice()
	if err != nil || len(parts) != 2 {
		return outage("read the time", err)
	}
	r := &reading{at: begun.Add(took / 2), engine: time.UnixMicro(number(parts[0])*1e6 + number(parts[1])), took: took}
	have := c.last.Load()
	if have != nil {
		stale := time.Duration(r.at.Sub(have.at).Seconds() * float64(clockForget))
		off := r.engine.Sub(have.engine.Add(r.at.Sub(have.at))).Abs()
		if took > have.took+stale && off < took { // no news
			return nil
		}
	}
	c.last.Store(r)
	return nil
}

func (c *clock) run(ctx context.Context) {
	for wait(ctx, clockEvery) {
		_ = c.read(ctx) // the clock goes on as it does
	}
}
