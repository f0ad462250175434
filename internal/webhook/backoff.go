package webhook

import (
	"math/rand/v2"
	"time"
)

// MaxAttempts is how often a message is sent before it is given up. With the
// pauses of Backoff between them, the last is some 32 hours after the first.
const MaxAttempts = 12

var pauses = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// Backoff returns how long to wait after the attempt of this number failed; the
// first is 1, and less counts as 1. It grows from 5 seconds to 8 hours, where it
// stays. Up to a fifth is added or taken at random, so that the messages of one
// outage do not come back all at once.
func Backoff(attempt int) time.Duration {
	pause := pauses[min(max(attempt, 1), len(pauses))-1]
	jitter := 0.8 + 0.4*rand.Float64() //nolint:gosec // jitter is no secret
	return time.Duration(float64(pause) * jitter)
}
