package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
)

// claimScript notes whose the store is where nobody is noted, and returns who is.
var claimScript = newScript(`local have = redis.call('GET', KEYS[1])
if have then return have end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`)

// claim has the store noted as an installation's, and refuses another's.
func (e *engine) claim(ctx context.Context, k *keys, installation string) error {
	if installation == "" {
		return nil
	}
	got, err := e.do(ctx, "look whose the store is", claimScript.on([]string{k.lead("installation")}, installation))
	if err != nil {
		return err
	}
	if have, _ := text(got[0]); have != installation {
		return fmt.Errorf("%w: what it holds under the prefix %q is another installation's (%s, and this directory is %s's): give each a prefix of its own (--redis-prefix), or name the directory that belongs to it", rollcall.ErrInvalid, k.prefix, have, installation)
	}
	return nil
}

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
