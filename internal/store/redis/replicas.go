package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// An answer is what came of a command.
type answer struct {
	message rueidis.RedisMessage
	err     error
}

// send sends commands together. Where changes have to reach replicas before they
// are answered, those of one slot are followed by a WAIT, which counts for all
// that its connection has written.
func (e *engine) send(ctx context.Context, commands []command, whole bool) []answer {
	answers := make([]answer, len(commands))
	if e.replicas == 0 {
		all := make([]int, len(commands))
		for i := range all {
			all[i] = i
		}
		e.sendSome(ctx, commands, all, whole, answers, false)
		return answers
	}
	var groups sync.WaitGroup
	for _, group := range e.slots(commands) {
		groups.Go(func() { e.sendSome(ctx, commands, group, whole, answers, true) })
	}
	groups.Wait()
	return answers
}

// slots returns the numbers of commands that one connection takes, group by
// group.
func (e *engine) slots(commands []command) map[string][]int {
	groups := make(map[string][]int)
	for i := range commands {
		slot := ""
		if e.cluster {
			slot, _, _ = strings.Cut(commands[i].keys[0], "}")
		}
		groups[slot] = append(groups[slot], i)
	}
	return groups
}

func (e *engine) sendSome(ctx context.Context, commands []command, some []int, whole bool, answers []answer, replicate bool) {
	built := make(rueidis.Commands, 0, len(some)+1)
	changes, bundled := false, e.bundled(commands, some)
	for _, i := range some {
		built = append(built, commands[i].build(e.client.B(), whole, !bundled))
		changes = changes || !commands[i].read
	}
	if replicate = replicate && changes; replicate {
		built = append(built, e.client.B().Wait().Numreplicas(int64(e.replicas)).Timeout(replicaTimeout.Milliseconds()).Build())
	}
	var results []rueidis.RedisResult
	if bundled {
		results = e.bundles.doMulti(ctx, built...)
	} else {
		results = e.client.DoMulti(ctx, built...)
	}
	var late error
	if replicate {
		late = e.reached(results[len(some)])
	}
	for n, i := range some {
		a := &answers[i]
		if a.message, a.err = results[n].ToMessage(); late != nil && !commands[i].read && (a.err == nil || rueidis.IsRedisNil(a.err)) {
			a.err = late
		}
	}
}

// replicaTimeout is how long a change waits for replicas at a time.
const replicaTimeout = time.Second

// A lateError is a change that is made but has not reached enough replicas. It
// is no answer: to make it again finds it made, and waits again.
type lateError struct{ reached, want int64 }

func (e lateError) Error() string {
	return fmt.Sprintf("%d of %d replicas have the change", e.reached, e.want)
}

func (e *engine) reached(result rueidis.RedisResult) error {
	n, err := result.AsInt64()
	if err == nil && n < int64(e.replicas) {
		err = lateError{n, int64(e.replicas)}
	}
	return err
}
