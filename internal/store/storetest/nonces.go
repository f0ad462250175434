package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var ofNonces = map[string]func(*testing.T, *fixture){
	"NonceOneWinner":      testNonceOneWinner,
	"NonceRemembered":     testNonceRemembered,
	"NonceReopen":         testNonceReopen,
	"NonceOfAnOldRequest": testNonceOfAnOldRequest,
}

func (f *fixture) claim(t *testing.T, agent, nonce string) bool {
	t.Helper()
	fresh, err := f.Nonces.Claim(t.Context(), agent, nonce, f.now)
	must(t, err)
	return fresh
}

func testNonceOneWinner(t *testing.T, f *fixture) {
	for round := range 20 {
		nonce := fmt.Sprintf("%032d", round)
		var won atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				fresh, err := f.Nonces.Claim(context.Background(), "a1", nonce, f.now)
				if err != nil {
					t.Error(err)
				}
				if fresh {
					won.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 64 claims won, want 1", won.Load())
		}
	}
	if !f.claim(t, "a2", fmt.Sprintf("%032d", 0)) {
		t.Error("a nonce is single use per agent, not for all")
	}
	held, err := f.Nonces.Held(t.Context())
	must(t, err)
	if held != 21 {
		t.Errorf("%d held, want 21", held)
	}
}

func testNonceRemembered(t *testing.T, f *fixture) {
	nonce, start := strings.Repeat("a", 32), f.now
	if !f.claim(t, "a1", nonce) {
		t.Fatal("the first claim was refused")
	}
	for age := time.Duration(0); age < 2*MaxClockSkew; age += 17 * time.Second {
		f.set(start.Add(age))
		if f.claim(t, "a1", nonce) {
			t.Fatalf("claimed again after %s", age)
		}
		f.claim(t, "a1", fmt.Sprintf("%032d", age)) // others come and go
	}
	f.set(start.Add(24 * time.Hour))
	f.claim(t, "a1", strings.Repeat("b", 32))
	f.set(f.now.Add(24 * time.Hour))
	f.claim(t, "a1", strings.Repeat("c", 32))
	held, err := f.Nonces.Held(t.Context())
	must(t, err)
	if held > 100 {
		t.Errorf("%d held a day later: nothing is forgotten", held)
	}
}

func testNonceReopen(t *testing.T, f *fixture) {
	for i := range 100 {
		if !f.claim(t, "a1", fmt.Sprintf("%032d", i)) {
			t.Fatal("a first claim was refused")
		}
	}
	for range 3 {
		f.set(f.now.Add(time.Minute))
		f.reopen(t)
		for i := range 100 {
			if f.claim(t, "a1", fmt.Sprintf("%032d", i)) {
				t.Fatalf("nonce %d claimed again after a restart", i)
			}
		}
		if !f.claim(t, "a1", fmt.Sprintf("x%031d", f.now.UnixNano()%1e18)) {
			t.Error("a new nonce was refused after a clean restart")
		}
	}
}

// How old a request says that it is does not shorten how long its nonce is
// remembered, nor does another timestamp make the nonce another.
func testNonceOfAnOldRequest(t *testing.T, f *fixture) {
	start := f.now
	for name, ahead := range map[string]time.Duration{"old": -MaxClockSkew, "early": MaxClockSkew} {
		claim := func(at time.Time) bool {
			t.Helper()
			fresh, err := f.Nonces.Claim(t.Context(), "a1", name, at)
			must(t, err)
			return fresh
		}
		f.set(start)
		if !claim(f.now.Add(ahead)) {
			t.Fatalf("%s: the first claim was refused", name)
		}
		f.set(start.Add(2*MaxClockSkew - time.Second))
		if f.Reopen != nil {
			f.reopen(t)
		}
		if claim(f.now) {
			t.Errorf("%s: claimed again within 2 × MaxClockSkew", name)
		}
	}
}
