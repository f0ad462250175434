package arcade

import (
	"context"
	"sync"

	"github.com/rollcall-server/rollcall/wire"
)

// A settlement is the end of a session, for Rollcall.
type settlement struct {
	sessionID string
	end       wire.EndRequest
}

// A queue holds settlements, so that who adds one never waits.
type queue struct {
	more chan struct{} // has an element while the list may have some

	mu   sync.Mutex // guards list
	list []settlement
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

func (q *queue) add(s settlement) {
	q.mu.Lock()
	q.list = append(q.list, s)
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.more <- struct{}{}:
	default: // somebody will look
	}
}

// next waits for a settlement, or until ctx ends.
func (q *queue) next(ctx context.Context) (s settlement, ok bool) {
	for {
		select {
		case <-q.more:
		case <-ctx.Done():
			return s, false
		}
		if s, left, ok := q.take(); ok {
			if left {
				q.wake()
			}
			return s, true
		}
	}
}

func (q *queue) take() (s settlement, left, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return s, false, false
	}
	s = q.list[0]
	q.list = q.list[1:]
	return s, len(q.list) > 0, true
}
