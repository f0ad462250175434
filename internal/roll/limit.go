package roll

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Limits are token buckets, which all nodes share that share the store. Nothing
// of them has to survive anything: a bucket that was forgotten is full.
type Limits interface {
	// Take takes up to n tokens, which is 1 or more, from the bucket of key, and
	// returns how many it got. A bucket holds l.Burst at the most, which is 1 or
	// more, gets l.PerSecond in a second, steadily and to the µs by the store's
	// own clock, and is full when it is first asked for. No two Takes get the same
	// token. A clock that is set back gives none twice.
	//
	// Of none, retryAfter is when there is one, if no other comes first; else it is
	// 0. A bucket whose limit is another than before keeps what it holds, as far as
	// that goes into the new one.
	Take(ctx context.Context, key string, l rollcall.RateLimit, n int) (granted int, retryAfter time.Duration, err error)
}

// A RateError is a rollcall.ErrTooManyRequests that knows when to come again.
type RateError struct {
	// Of is what was called too often.
	Of         string
	Limit      rollcall.RateLimit
	RetryAfter time.Duration
}

// Error says which limit it was, for the request's record.
func (e *RateError) Error() string {
	return fmt.Sprintf("%v: %s: %d in a second are allowed, and %d at once; there is room in %s",
		rollcall.ErrTooManyRequests, e.Of, e.Limit.PerSecond, e.Limit.Burst, e.RetryAfter.Round(time.Millisecond))
}

// Unwrap returns rollcall.ErrTooManyRequests.
func (e *RateError) Unwrap() error { return rollcall.ErrTooManyRequests }
