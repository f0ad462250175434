package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/redis"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

var opened atomic.Int64

func TestStores(t *testing.T) {
	for name, start := range map[string]func() string{
		"Single":   func() string { return enginetest.Redis(t).URL() },
		"Sentinel": func() string { return enginetest.Sentinel(t).URL() },
		"Cluster":  func() string { return enginetest.Cluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) { storetest.Run(t, opener(start())) })
	}
}

// opener opens stores of their own in one engine, with directory and history in
// memory.
func opener(url string) storetest.Open {
	return func(t *testing.T, now func() time.Time) storetest.Backend {
		o := redis.Options{MaxClockSkew: storetest.MaxClockSkew, Now: now, New: true, Prefix: fmt.Sprint("t", opened.Add(1))}
		rest := storetest.Memory(now)
		s := open(t, url, o)
		t.Cleanup(func() { must(t, s.Close()) })
		stores := func() roll.Stores {
			rest.Sessions, rest.Nonces, rest.Limits = s.Sessions(), s.Nonces(), s.Limits()
			return rest
		}
		return storetest.Backend{Stores: stores(), Engine: true, Reopen: func(t *testing.T) roll.Stores {
			t.Helper()
			must(t, s.Close())
			s = open(t, url, o)
			return stores()
		}}
	}
}

func open(t testing.TB, url string, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), url, o)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
