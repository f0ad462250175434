package main

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// record returns the record of an answer's logUUID.
func (b *blackbox) record(t *testing.T, logUUID string) (r rollcall.RequestRecord) {
	t.Helper()
	eventually(t, "the request's record", func() bool {
		status, err := b.c.admin(t.Context(), http.DefaultClient, http.MethodGet, "/admin/v1/requests/"+logUUID, nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		return status == http.StatusOK
	})
	return r
}

// exhaust asks until the rate is used up, and returns the answer that says so.
func (b *blackbox) exhaust(t *testing.T) answer {
	t.Helper()
	for range 1000 {
		if a := b.send(t, b.request(t, player)); a.reply.Code == 77 {
			return a
		}
	}
	t.Fatal("1,000 requests were answered, want one refused")
	return answer{}
}

// A used-up rate is 77 with HTTP 429 and Retry-After, in its place among the checks
// (spec 8), for that agent and endpoint alone.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir(), "--rate-limit", "1", "--rate-burst", "40")
	b, other := newBlackbox(t, c, rolePrimary), newBlackbox(t, c, roleOther)
	otherToken := other.login(t)
	a := b.exhaust(t)
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != http.StatusTooManyRequests || err != nil || seconds != 1 {
		t.Errorf("got status %d and Retry-After %q, want 429 and 1", a.status, a.header.Get("Retry-After"))
	}
	r := b.record(t, a.reply.LogUUID)
	if last := r.Checks[len(r.Checks)-1]; r.Code != 77 || last.Name != "rate" || last.Passed || !strings.Contains(last.Reason, "1 in a second") {
		t.Errorf("the record ends with %+v, code %d", last, r.Code)
	}
	badSeal := b.signed(wire.PathSessionsCheck, strings.Repeat("A", 44), b.token)
	inOrder := false
	for range 20 { // a token comes each second, and may just now
		b.exhaust(t)
		bad := b.signed(wire.PathSessionsCheck, badSeal.cipherText, b.token)
		if inOrder = b.send(t, bad).reply.Code == 77; inOrder {
			break
		}
	}
	if !inOrder {
		t.Error("a bad cipherText is not 77 when the rate is used up")
	}
	for name, broken := range map[string]func(r *raw){
		"signature": func(r *raw) { r.header.Set("X-Signature", strings.Repeat("0", 64)) },
		"token":     func(r *raw) { r.header.Set("Authorization", "Bearer "+otherToken) },
		"timestamp": func(r *raw) {
			h := r.head()
			h.Timestamp = wire.FormatTimestamp(time.Now().Add(-time.Hour))
			r.resign(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.request(t, player)
			broken(r)
			b.want(t, r, 200, 83)
		})
	}
	other.want(t, other.request(t, player), 200, 0)
	b.want(t, b.signed(wire.PathMembersOnline, b.key.Seal([]byte("{}")), b.token), 200, 0)
	eventually(t, "a token is there again", func() bool { return b.send(t, b.request(t, player)).reply.Code == 0 })
}

// An operator gives an agent another rate, at once.
func TestRateLimitOfAgent(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	set := func(perSecond int) {
		t.Helper()
		status, err := c.admin(t.Context(), http.DefaultClient, http.MethodPatch, "/admin/v1/agents/"+b.agent.AgentID,
			map[string]any{"rateLimit": map[string]int{"perSecond": perSecond}}, nil)
		if err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	for range 50 {
		b.want(t, b.request(t, player), 200, 0)
	}
	set(1)
	b.exhaust(t)
	set(0)
	for range 50 {
		b.want(t, b.request(t, player), 200, 0)
	}
}

// An address that asks too often is refused before anything of the request is
// looked at; behind a proxy it is the one that the proxy names.
func TestAddressRate(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir(), "--address-rate", "5", "--address-burst", "100", "--trusted-proxies", "127.0.0.0/8")
	b := newBlackbox(t, c, rolePrimary)
	b.token = b.login(t)
	of := func(address string) *raw {
		r := b.request(t, player)
		r.header.Set("X-Forwarded-For", "198.51.100.99, "+address)
		return r
	}
	var a answer
	for range 1000 {
		r := of("2001:db8:1:2::7")
		r.header.Set("Authorization", "Bearer nonsense")
		if a = b.send(t, r); a.reply.Code != 83 {
			break
		}
	}
	if a.status != http.StatusTooManyRequests || a.reply.Code != 77 || a.header.Get("Retry-After") != "1" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if r := b.record(t, a.reply.LogUUID); len(r.Checks) != 1 || r.Checks[0].Name != "address" || r.Remote != "2001:db8:1:2::7" || r.AgentID != "" {
		t.Errorf("record: %+v", r)
	}
	refused := false
	for range 100 {
		refused = refused || b.send(t, of("2001:db8:1:2::8")).reply.Code == 77
	}
	if !refused {
		t.Error("the same /64 has a rate of its own")
	}
	b.want(t, of("2001:db8:1:3::7"), 200, 0)
	b.want(t, of("192.0.2.1"), 200, 0)
}

// While a server has more to do than it can, some calls are refused with 503 and
// Retry-After, others are answered, clients that try again get through, and health
// and operators are answered all the while.
func TestOverload(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir(), "--max-concurrent", "1")
	b := newBlackbox(t, c, rolePrimary)
	b.token = b.login(t)
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 400}}
	caller, err := client.New(client.Options{BaseURL: c.BaseURL, AgentID: b.agent.AgentID, APIKey: b.agent.APIKey, SecretKey: b.agent.Secret, Attempts: 1, HTTPClient: web})
	if err != nil {
		t.Fatal(err)
	}
	var answered, refused, through atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	flood := func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			_, err := caller.CheckSessions(t.Context(), "player001")
			failed, ok := errors.AsType[*wire.Error](err)
			switch {
			case err == nil:
				answered.Add(1)
			case ok && failed.Code == 7 && errors.Is(err, rollcall.ErrInternal) && client.RetryAfter(err) == time.Second:
				refused.Add(1)
			default:
				t.Error(err)
				return
			}
		}
	}
	for range 300 {
		all.Go(flood)
	}
	eventually(t, "some are answered and some refused", func() bool { return answered.Load() > 0 && refused.Load() > 100 })
	for range 5 {
		all.Go(func() { // who does as it is told
			for range 100 {
				_, err := caller.CheckSessions(t.Context(), "player001")
				if err == nil {
					through.Add(1)
					return
				}
				time.Sleep(client.RetryAfter(err) / 20) // 50 ms: a test has no time
			}
		})
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/admin/v1/agents"} {
		begun := time.Now()
		status, err := c.admin(t.Context(), http.DefaultClient, http.MethodGet, path, nil, nil)
		if err != nil || status != http.StatusOK || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %d, %v, after %s", path, status, err, time.Since(begun))
		}
	}
	eventually(t, "those that try again get through", func() bool { return through.Load() == 5 })
	close(done)
	all.Wait()
	b.want(t, b.request(t, player), 200, 0)
}
