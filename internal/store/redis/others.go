package redis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"
)

// Others returns how many other processes have the store open, by who listens for
// events: each does, and is gone at once when its process is. An engine that may
// not be asked is taken to have none.
func (s *Store) Others(ctx context.Context) (int, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	channel, others, answers := s.sessions.keys.wake(), -1, 0 // this one
	var failed error
	for _, node := range s.engine.client.Nodes() {
		counts, err := node.Do(ctx, node.B().PubsubNumsub().Channel(channel).Build()).AsIntMap()
		if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
			failed = err // a replica that is down is no matter
			continue
		}
		answers++
		others += int(counts[channel])
	}
	if answers == 0 {
		return 0, outage("ask who listens", errors.Join(failed, ctx.Err()))
	}
	return max(0, others), nil
}
