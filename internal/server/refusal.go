package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Why a call is refused that may be right in all: the labels of a metric.
const (
	forAddress = "address" // too many from there
	forRate    = "rate"    // too many of the agent
	forLoad    = "overload"
	forStreams = "streams" // too many of the game server
)

// A refusal is a call that is refused though it may be right.
type refusal struct {
	reason     string
	retryAfter time.Duration
	cause      error
}

func (e *refusal) Error() string { return e.cause.Error() }
func (e *refusal) Unwrap() error { return e.cause }

// refusedFor returns why err refuses a call and when to come again; "" where it
// is no refusal.
func refusedFor(err error) (reason string, retryAfter time.Duration) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason, r.retryAfter
	}
	if r, ok := errors.AsType[*roll.RateError](err); ok {
		return forRate, r.RetryAfter
	}
	return "", 0
}

// setRetryAfter tells in how many whole seconds to come again; 0: 1.
func setRetryAfter(h http.Header, after time.Duration) {
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(after.Seconds())))))
}

// checkAddress refuses a call of an address that makes too many. It is the first
// check of all, since it protects the others.
func (s *Server) checkAddress(r *http.Request, address netip.Addr, text string) error {
	if s.o.Addresses == nil || s.o.AddressRate.PerSecond == 0 {
		return nil
	}
	key, limit := keyOf(address, text), s.o.AddressRate
	granted, wait, err := s.o.Addresses.Take(r.Context(), key, limit, 1)
	if err != nil || granted > 0 {
		return err
	}
	return &refusal{forAddress, wait, &roll.RateError{Of: "address " + key, Limit: limit, RetryAfter: wait}}
}

// addressed refuses calls of addresses that make too many.
func (s *Server) addressed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, text := s.proxies.remote(r)
		if err := s.checkAddress(r, address, text); err != nil {
			s.refuse(r.Context(), w, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// enter is the gate's, as a refusal.
func enter(r *http.Request, g *gate) error {
	if err := g.enter(r.Context()); err != nil {
		return &refusal{forLoad, time.Second, err}
	}
	return nil
}

// keptRefusals is how many refusals of each reason and second have a record. With
// one for each, refusing would cost more than what it protects from.
const keptRefusals = 100

// samples picks the first few of each second and reason.
type samples struct {
	most int
	now  func() time.Time

	mu     sync.Mutex
	second int64
	picked map[string]int
}

func (s *samples) pick(reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := s.now().Unix(); second != s.second || s.picked == nil {
		s.second, s.picked = second, make(map[string]int)
	}
	s.picked[reason]++
	return s.picked[reason] <= s.most
}

// maxStreams is how many event streams a game server may have open at a node. One
// more is refused: were the oldest ended for it, many processes that share a
// boot would chase each other for good. One whose reader is gone ends by itself
// within half a minute.
const maxStreams = 16

// streamCounts are how many event streams are open, by game server.
type streamCounts struct {
	mu sync.Mutex
	of map[string]int
}

// open counts a stream until what it returns is called, or refuses it.
func (c *streamCounts) open(gameServer string) (end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[gameServer] >= maxStreams {
		return nil, &refusal{forStreams, 2 * time.Second, fmt.Errorf("%w: %d event streams of game server %s are open already",
			rollcall.ErrTooManyRequests, maxStreams, gameServer)}
	}
	c.of[gameServer]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.of[gameServer]--; c.of[gameServer] == 0 {
			delete(c.of, gameServer)
		}
	}, nil
}
