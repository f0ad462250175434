package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
)

//go:embed limits.lua
var limitsLua string

// limits are roll.Limits by the server's own clock, so that nodes whose clocks
// differ do not fill one bucket twice.
type limits struct {
	client rueidis.Client
	prefix string
	script *rueidis.Lua
	now    func() time.Time // of tests; nil: the server's
}

// newLimits makes limits whose keys begin with prefix. now is a clock for tests;
// nil: the server's.
func newLimits(client rueidis.Client, prefix string, now func() time.Time) *limits {
	return &limits{client: client, prefix: prefix, script: rueidis.NewLuaScript(limitsLua), now: now}
}

// key is of one bucket. It is all that the script touches, so it may lie anywhere
// in a cluster.
func (l *limits) key(of string) string { return l.prefix + ":limit:" + of }

// Take is roll.Limits.Take, in one round trip.
func (l *limits) Take(ctx context.Context, key string, limit rollcall.RateLimit, n int) (granted int, retryAfter time.Duration, err error) {
	now := ""
	if l.now != nil {
		now = strconv.FormatInt(l.now().UnixMicro(), 10)
	}
	args := []string{strconv.Itoa(limit.PerSecond), strconv.Itoa(limit.Burst), strconv.Itoa(n), now}
	answer, err := l.script.Exec(ctx, l.client, []string{l.key(key)}, args).AsIntSlice()
	if err == nil && len(answer) != 2 {
		err = fmt.Errorf("%d numbers, want 2", len(answer))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("redis: take from a limit: %w: %w", rollcall.ErrUnavailable, err)
	}
	return int(answer[0]), time.Duration(answer[1]) * time.Microsecond, nil
}
