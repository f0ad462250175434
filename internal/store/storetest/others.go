package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

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

func (f *fixture) record(username string) rollcall.RequestRecord {
	return rollcall.RequestRecord{
		LogUUID: uuid.Must(uuid.NewV7()).String(), At: f.now, Endpoint: "/v2/members/sessions/check", AgentID: "a1", Username: username,
		Remote: "127.0.0.1", Code: 83, Status: 200, TookNanos: 12345,
		Checks: []rollcall.RequestCheck{{Name: "agent", Passed: true, TookNanos: 1}, {Name: "token", Reason: "expired"}},
	}
}

func testHistory(t *testing.T, f *fixture) {
	ctx := t.Context()
	_, err := f.History.Request(ctx, uuid.NewString())
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = f.History.Request(ctx, "no UUID")
	wantErr(t, err, rollcall.ErrNotFound)
	var records []rollcall.RequestRecord
	for i := range 1000 {
		records = append(records, f.record(fmt.Sprintf("player%03d", i)))
	}
	must(t, f.History.AddRequests(ctx, records))
	again := records[1]
	again.Username = "changed"
	must(t, f.History.AddRequests(ctx, []rollcall.RequestRecord{again, f.record("last")}))
	must(t, f.History.AddRequests(ctx, nil))
	for _, want := range []rollcall.RequestRecord{records[0], records[1], records[999]} {
		got, err := f.History.Request(ctx, want.LogUUID)
		must(t, err)
		if !got.At.Equal(want.At) {
			t.Errorf("got %s, want %s", got.At, want.At)
		}
		got.At = want.At
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func testHistoryPrune(t *testing.T, f *fixture) {
	ctx := t.Context()
	old, young := f.record("old"), f.record("young")
	older := f.record("older")
	older.At = f.now.Add(-time.Hour)
	young.At = f.now.Add(time.Hour)
	must(t, f.History.AddRequests(ctx, []rollcall.RequestRecord{old, young, older}))
	for _, want := range []int{1, 1, 0} {
		n, err := f.History.Prune(ctx, f.now.Add(time.Millisecond), 1)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	_, err := f.History.Request(ctx, old.LogUUID)
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = f.History.Request(ctx, young.LogUUID)
	must(t, err)
}

func testPing(t *testing.T, f *fixture) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ping := range map[string]func(context.Context) error{
		"directory": f.Directory.Ping, "sessions": f.Sessions.Ping, "nonces": f.Nonces.Ping, "history": f.History.Ping,
	} {
		if err := ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ping(gone); err == nil {
			t.Errorf("%s: a ping whose context has ended found all well", name)
		}
	}
}

// A model is what the sessions of a backend should be, kept the simplest way.
type model map[string]rollcall.Session

func (m model) active(username string, now time.Time) int {
	n := 0
	for _, s := range m {
		if s.Username == username && s.ActiveAt(now) {
			n++
		}
	}
	return n
}

// Random starts, beats, ends, kicks, expiries and restarts leave the backend as
// the model says.
func testRandom(t *testing.T, f *fixture) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	ctx, m, known := t.Context(), model{}, []string{"none"}
	for step := range 600 {
		username, id := fmt.Sprintf("player%03d", r.IntN(4)), known[r.IntN(len(known))]
		switch r.IntN(12) {
		case 0, 1, 2:
			s := f.session(username)
			f.start(t, s)
			m[s.ID], known = s, append(known, s.ID)
		case 3, 4, 5:
			unknown, err := f.Sessions.Heartbeat(ctx, "s1", []string{id}, f.now, lease)
			must(t, err)
			if m.beat(id, f.now) != (len(unknown) == 0) {
				t.Fatalf("step %d: a beat of %s: unknown %v, model %+v", step, id, unknown, m[id])
			}
		case 6:
			had := m[id]
			_, err := f.Sessions.End(ctx, id, f.now)
			if (err == nil) != had.ActiveAt(f.now) {
				t.Fatalf("step %d: end: %v, model %+v", step, err, had)
			}
			if err == nil {
				delete(m, id)
			}
		case 7:
			ended, err := f.Sessions.EndMember(ctx, "a1", username, f.now)
			must(t, err)
			if len(ended) != m.active(username, f.now) {
				t.Fatalf("step %d: ended %d, model %d", step, len(ended), m.active(username, f.now))
			}
			m.drop(func(s rollcall.Session) bool { return s.Username == username })
		case 8:
			_, err := f.Sessions.Expire(ctx, f.now, 1000)
			must(t, err)
			m.drop(func(s rollcall.Session) bool { return !s.ActiveAt(f.now) })
		case 9, 10:
			f.set(f.now.Add(time.Duration(r.Int64N(int64(40 * time.Second)))))
		case 11:
			if f.Reopen != nil && step%5 == 0 {
				f.restart(t, m)
			}
		}
		for i := range 4 {
			username := fmt.Sprintf("player%03d", i)
			if got, want := len(f.of(t, username)), m.active(username, f.now); got != want {
				t.Fatalf("step %d: %s has %d sessions, model %d", step, username, got, want)
			}
		}
	}
}

// beat reports whether the model renewed the session.
func (m model) beat(id string, now time.Time) bool {
	s, held := m[id]
	if !held || !s.ActiveAt(now) {
		return false
	}
	s.ExpiresAt, s.SeenAt = now.Add(lease), now
	m[id] = s
	return true
}

func (m model) drop(gone func(rollcall.Session) bool) {
	for id, s := range m {
		if gone(s) {
			delete(m, id)
		}
	}
}

// restart reopens the backend after a sweep, since a lease that ran out and was
// not swept may come back.
func (f *fixture) restart(t *testing.T, m model) {
	t.Helper()
	_, err := f.Sessions.Expire(t.Context(), f.now, 1000)
	must(t, err)
	m.drop(func(s rollcall.Session) bool { return !s.ActiveAt(f.now) })
	f.reopen(t)
	for id, s := range m {
		s.ExpiresAt = f.now.Add(lease)
		m[id] = s
	}
}
