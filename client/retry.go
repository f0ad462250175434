package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	minBackoff = 100 * time.Millisecond // before the first repetition
	maxBackoff = 10 * time.Second
	// maxWait is the longest wait before a call is repeated. Who asks for more is
	// told so at once, and may have better to do.
	maxWait = 10 * time.Second
)

// A repeater makes calls again.
type repeater struct {
	attempts int
	sleep    func(context.Context, time.Duration) error
	log      *slog.Logger
}

// do calls try until it succeeds, or may not be called again, or has been often
// enough. The error is the last one of try.
func (r *repeater) do(ctx context.Context, path string, try func() (again bool, err error)) error {
	var wait backoff
	for n := 1; ; n++ {
		again, err := try()
		if err == nil {
			return nil
		}
		d := wait.after(err)
		if n >= r.attempts || !again || RetryAfter(err) > maxWait || !outlives(ctx, d) {
			return afterAttempts(n, err)
		}
		r.log.WarnContext(ctx, "call is repeated", slog.String("path", path), slog.Int("attempt", n), slog.Duration("wait", d), slog.Any("error", err))
		if ended := r.sleep(ctx, d); ended != nil {
			return fmt.Errorf("%w, while waiting to repeat it: %w", afterAttempts(n, err), ended)
		}
	}
}

func afterAttempts(n int, err error) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("after %d attempts: %w", n, err)
}

// call does one call that may be repeated whether or not it was carried out.
func (c *Client) call(ctx context.Context, path string, request, data any) (a answer, err error) {
	err = c.again.do(ctx, path, func() (bool, error) {
		a, _, err = c.attempt(ctx, path, request, data)
		return passing(err), err
	})
	return a, err
}

// callOnce does one call that is to be carried out once at the most.
func (c *Client) callOnce(ctx context.Context, path string, request any) error {
	return c.again.do(ctx, path, func() (bool, error) {
		_, sent, err := c.attempt(ctx, path, request, nil)
		return passing(err) && (!sent || untouched(err)), err
	})
}

// attempt does one call with an access token. Where one that was fetched before is
// refused, it does the call, of which nothing was carried out, again with another.
// sent reports whether an error is of the call itself, and not of the token's.
func (c *Client) attempt(ctx context.Context, path string, request, data any) (a answer, sent bool, err error) {
	token, fresh, err := c.accessToken(ctx, "")
	if err != nil {
		return a, false, err
	}
	a, err = c.exchange(ctx, path, token, request, data)
	if fresh || !errors.Is(err, rollcall.ErrAuthentication) {
		return a, true, err
	}
	if token, _, err = c.accessToken(ctx, token); err != nil {
		return a, false, err
	}
	a, err = c.exchange(ctx, path, token, request, data)
	return a, true, err
}

// passing reports whether err may be gone at another attempt: no answer came, or
// one that asks to come again.
func passing(err error) bool {
	if _, ok := errors.AsType[*unanswered](err); ok {
		return true
	}
	e, ok := errors.AsType[*wire.Error](err)
	return ok && (errors.Is(e, rollcall.ErrTooManyRequests) || e.Code == wire.CodeInternal && e.Status == http.StatusServiceUnavailable)
}

// passingFault is passing for the game servers' API.
func passingFault(err error) bool {
	fault, ok := errors.AsType[*wire.FaultError](err)
	if !ok {
		return err != nil
	}
	switch fault.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// untouched reports whether the service surely has not carried out a call. Of one
// that it answers with 503 it may have: a store has not answered it.
func untouched(err error) bool {
	if e, ok := errors.AsType[*unanswered](err); ok {
		return !e.reached
	}
	return errors.Is(err, rollcall.ErrTooManyRequests)
}

// outlives reports whether ctx lasts for longer than d.
func outlives(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > d)
}

// pause waits for d, or until ctx ends, and returns what that ended with then.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A backoff counts failures in a row.
type backoff int

// after is what err asks for, and next on top, so that not all come again at the
// same moment.
func (b *backoff) after(err error) time.Duration { return RetryAfter(err) + b.next() }

// next returns how long to wait after one more, somewhere in the upper half of
// what doubles each time.
func (b *backoff) next() time.Duration {
	d := min(minBackoff<<*b, maxBackoff)
	if d < maxBackoff {
		*b++
	}
	return d - rand.N(d/2) //nolint:gosec // jitter is no secret
}
