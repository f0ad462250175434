package roll

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall"
)

// DefaultAhead is for how long tokens are taken ahead from Limits that are not in
// this process.
const DefaultAhead = 50 * time.Millisecond

const (
	// lapse is how long a token may be held before it is of no use any more.
	lapse = time.Second
	// askWithin bounds how long a call waits for Limits that do not answer, and
	// askAgain is when they are tried again; meanwhile nobody waits.
	askWithin = 250 * time.Millisecond
	askAgain  = time.Second
)

// LimiterOptions configure a Limiter. Limits and Local are required.
type LimiterOptions struct {
	Limits Limits
	// Local stands in for Limits that do not answer.
	Local Limits
	// Near says that Limits are in this process: nobody waits for them, and nothing
	// is taken ahead.
	Near bool
	// Ahead is for how long tokens are taken ahead, so that a call does not wait
	// for a round trip; 0: not at all.
	Ahead time.Duration
	// OnLocal, if set, is called for each call that Local has judged.
	OnLocal func()
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// A Limiter says whether a call is within a limit. It is safe for concurrent use.
//
// Where it takes ahead, it takes at the most what a limit gives in Ahead, and a
// quarter of its burst, and only as much as was used lately. What it holds is
// taken from the bucket already: however many nodes there are, in any time t from
// when the bucket was full they let through no more than Burst + PerSecond × t. In
// a t that begins later it can be what comes in another second more, since what a
// node took before is good for so long. And one call a second of each node, the
// first after a pause, is let through before it is known whether there is a token
// for it. A limit of which less than two come in Ahead, or of a burst below 8, is
// asked for call by call, and is exact.
//
// Limits that do not answer hold nobody up and let nobody starve: until they do,
// each node goes by a bucket of its own.
type Limiter struct {
	o     LimiterOptions
	loans sync.Map     // of *loan by key
	tryAt atomic.Int64 // Unix ns from which on Limits are asked; 0: they answer
}

// NewLimiter makes a Limiter.
func NewLimiter(o LimiterOptions) *Limiter {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Limiter{o: o}
}

// Allow returns nil for a call within limit, and else a *RateError. A limit
// without PerSecond allows all. There must be a bounded number of keys.
func (l *Limiter) Allow(ctx context.Context, key string, limit rollcall.RateLimit) error {
	if limit.PerSecond == 0 {
		return nil
	}
	limit = limit.Or(limit) // with its burst
	wait, err := l.take(ctx, key, limit)
	if err != nil {
		return err
	}
	if wait > 0 {
		return &RateError{Of: key, Limit: limit, RetryAfter: wait}
	}
	return nil
}

// take takes a token, or returns how long to wait for one.
func (l *Limiter) take(ctx context.Context, key string, limit rollcall.RateLimit) (wait time.Duration, err error) {
	if l.o.Near {
		granted, wait, err := l.o.Limits.Take(ctx, key, limit, 1)
		return waitFor(granted, wait), err
	}
	if l.o.Ahead == 0 {
		granted, wait, err := l.ask(ctx, key, limit, 1)
		if err != nil {
			return l.takeLocal(ctx, key, limit)
		}
		return waitFor(granted, wait), nil
	}
	held, ok := l.loans.Load(key)
	if !ok {
		held, _ = l.loans.LoadOrStore(key, &loan{asking: make(chan struct{}, 1)})
	}
	return l.takeFrom(ctx, held.(*loan), key, limit)
}

func waitFor(granted int, wait time.Duration) time.Duration {
	if granted > 0 {
		return 0
	}
	return max(wait, 1)
}

// takeFrom takes a token from those that are held, and asks for more where there
// are none; of all who do, one asks at a time, and the others get of that.
func (l *Limiter) takeFrom(ctx context.Context, b *loan, key string, limit rollcall.RateLimit) (time.Duration, error) {
	what, wait := b.use(l.o.Now(), limit)
	if what == mustAsk && mostAhead(limit, l.o.Ahead) > 1 && b.credit(l.o.Now()) && l.refill(ctx, b, key, limit, 1) {
		return 0, nil
	}
	if what == mustAsk {
		select {
		case b.asking <- struct{}{}:
			defer func() { <-b.asking }()
		case <-ctx.Done():
			return 0, fmt.Errorf("rate limit of %s: %w: %w", key, rollcall.ErrUnavailable, ctx.Err())
		}
		what, wait = b.use(l.o.Now(), limit) // who asked before may have left some
	}
	switch what {
	case mustAsk:
		granted, wait, err := l.borrow(ctx, b, key, limit, 1)
		if err != nil {
			return l.takeLocal(ctx, key, limit)
		}
		return waitFor(granted, wait), nil
	case runsLow:
		l.refill(ctx, b, key, limit, 0)
		return 0, nil
	}
	return wait, nil
}

// refill asks for more in the background, of which used are used already. It
// reports whether it does: not where somebody asks already.
func (l *Limiter) refill(ctx context.Context, b *loan, key string, limit rollcall.RateLimit, used int) bool {
	select {
	case b.asking <- struct{}{}:
	default:
		return false
	}
	go func() {
		defer func() { <-b.asking }()
		_, _, _ = l.borrow(ctx, b, key, limit, used) // who finds none left asks again
	}()
	return true
}

// borrow asks for a chunk, of which used are used already. b.asking is full.
func (l *Limiter) borrow(ctx context.Context, b *loan, key string, limit rollcall.RateLimit, used int) (granted int, wait time.Duration, err error) {
	n := b.chunkOf(l.o.Now(), limit, l.o.Ahead)
	// Before the call, for what is taken counts from then on.
	at := l.o.Now()
	if granted, wait, err = l.ask(ctx, key, limit, n); err != nil {
		return 0, 0, err
	}
	if granted < n && mostAhead(limit, l.o.Ahead) > 1 {
		wait = max(wait, l.o.Ahead) // for a whole chunk, or each token would be asked for
	}
	b.add(at, limit, granted-min(used, granted), granted < n, wait)
	return granted, wait, nil
}

// ask asks Limits, if they are not known to be away.
func (l *Limiter) ask(ctx context.Context, key string, limit rollcall.RateLimit, n int) (granted int, wait time.Duration, err error) {
	if at := l.tryAt.Load(); at != 0 {
		now := l.o.Now()
		if now.UnixNano() < at || !l.tryAt.CompareAndSwap(at, now.Add(askAgain).UnixNano()) {
			return 0, 0, rollcall.ErrUnavailable // another may be trying just now
		}
	}
	// A caller that has gone is no outage.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
	defer cancel()
	granted, wait, err = l.o.Limits.Take(ctx, key, limit, n)
	if err != nil {
		l.tryAt.Store(l.o.Now().Add(askAgain).UnixNano())
		return 0, 0, err
	}
	if l.tryAt.Load() != 0 {
		l.tryAt.Store(0)
	}
	return granted, wait, nil
}

func (l *Limiter) takeLocal(ctx context.Context, key string, limit rollcall.RateLimit) (time.Duration, error) {
	if l.o.OnLocal != nil {
		l.o.OnLocal()
	}
	granted, wait, err := l.o.Local.Take(ctx, key, limit, 1)
	return waitFor(granted, wait), err
}

// mostAhead is how many tokens of a limit a node takes at once, at the most.
func mostAhead(limit rollcall.RateLimit, ahead time.Duration) int {
	return max(1, min(int(int64(limit.PerSecond)*int64(ahead)/int64(time.Second)), limit.Burst/4))
}

// A loan is what a node holds of one bucket.
type loan struct {
	// asking has an element while somebody asks for more.
	asking chan struct{}

	mu    sync.Mutex
	limit rollcall.RateLimit
	lots  []lot     // oldest first, none of them empty
	none  time.Time // until when it is of no use to ask
	chunk int       // how many were asked for last
	asked time.Time
}

// A lot is what was taken at one time.
type lot struct {
	tokens int
	at     time.Time
}

// What a loan says to who wants a token.
type loanSays int

const (
	isAnswer loanSays = iota // one was taken, or has to be waited for
	runsLow                  // one was taken, and few are left
	mustAsk                  // none is there
)

// use takes a token at now, or says how long there is none.
func (b *loan) use(now time.Time, limit rollcall.RateLimit) (loanSays, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit != limit {
		b.limit, b.lots, b.none, b.chunk = limit, b.lots[:0], time.Time{}, 1
	}
	b.expire(now)
	wait := b.none.Sub(now)
	if len(b.lots) == 0 {
		if wait > 0 {
			return isAnswer, wait
		}
		return mustAsk, 0
	}
	left := 0
	if b.lots[0].tokens--; b.lots[0].tokens == 0 {
		b.lots = append(b.lots[:0], b.lots[1:]...)
	}
	for _, lot := range b.lots {
		left += lot.tokens
	}
	if left <= b.chunk/2 && b.chunk > 1 && wait <= 0 {
		return runsLow, 0
	}
	return isAnswer, 0
}

// credit reports whether a call may go on before its token is there: it is the
// first after a pause.
func (b *loan) credit(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.asked) < lapse {
		return false
	}
	b.asked = now
	return true
}

// expire gives up what has lapsed. A node that did not need it asks for less the
// next time, so that many nodes with little to do do not use up a limit.
func (b *loan) expire(now time.Time) {
	for len(b.lots) > 0 && now.Sub(b.lots[0].at) >= lapse {
		b.chunk = max(1, b.chunk-b.lots[0].tokens)
		b.lots = append(b.lots[:0], b.lots[1:]...)
	}
}

// chunkOf returns how many to ask for: twice as many as the last time where those
// did not last for half of ahead.
func (b *loan) chunkOf(now time.Time, limit rollcall.RateLimit, ahead time.Duration) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.asked) < ahead/2 {
		b.chunk *= 2
	}
	b.chunk = min(max(b.chunk, 1), mostAhead(limit, ahead))
	b.asked = now
	return b.chunk
}

// add adds what was got at a time. If it is short of what was asked for, it is of
// no use to ask again for wait.
func (b *loan) add(at time.Time, limit rollcall.RateLimit, tokens int, short bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit != limit {
		return // they are of a bucket that is no longer asked for
	}
	if tokens > 0 {
		b.lots = append(b.lots, lot{tokens, at})
	}
	if short {
		b.none = at.Add(wait)
	}
}
