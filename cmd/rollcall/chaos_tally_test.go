package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// A chaosTally counts what clients saw.
type chaosTally struct {
	mu       sync.Mutex
	checks   int
	failures map[string]int // of checks, by what they were
	good     time.Time      // when the last check went well
	gap      time.Duration
	partial  int
	counts   map[string]int // of all else
}

func newChaosTally() *chaosTally {
	return &chaosTally{failures: make(map[string]int), counts: make(map[string]int), good: time.Now()}
}

func (c *chaosTally) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// checked counts a check; failure is "" where it went well.
func (c *chaosTally) checked(failure string, partial bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks++
	if failure != "" {
		c.failures[failure]++
		return
	}
	now := time.Now()
	c.gap = max(c.gap, now.Sub(c.good))
	c.good = now
	if partial {
		c.partial++
	}
}

// kindOf says what a call came to: "" where it went well, and whether that may
// be while something is down.
func kindOf(err error) (kind string, allowed bool) {
	var answer *wire.Error
	var fault *wire.FaultError
	switch {
	case err == nil:
		return "", true
	case errors.As(err, &answer):
		kind = fmt.Sprintf("code %d", answer.Code)
		if errors.Is(err, rollcall.ErrInternal) && client.RetryAfter(err) > 0 {
			return "503", true
		}
		return kind, errors.Is(err, rollcall.ErrTooManyRequests)
	case errors.As(err, &fault):
		return fmt.Sprint(fault.Status), fault.Status == http.StatusServiceUnavailable || fault.Status == http.StatusTooManyRequests
	default:
		return "connection", true
	}
}

// line says it all, for the table of docs/operate.md.
func (c *chaosTally) line() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed, kinds := 0, []string{}
	for _, kind := range slices.Sorted(maps.Keys(c.failures)) {
		failed += c.failures[kind]
		kinds = append(kinds, fmt.Sprintf("%d %s", c.failures[kind], kind))
	}
	var rest []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		rest = append(rest, fmt.Sprintf("%d %s", c.counts[what], what))
	}
	return fmt.Sprintf("checks %d, failed %.2f %% (%s), longest gap %s, partial %d; %s",
		c.checks, 100*float64(failed)/float64(max(1, c.checks)), strings.Join(kinds, ", "), c.gap.Round(10*time.Millisecond), c.partial, strings.Join(rest, ", "))
}
