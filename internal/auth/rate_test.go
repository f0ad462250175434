package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/wire"
)

// limited gives w's authenticator a limit of two calls of each endpoint.
func (w *world) limited(own rollcall.RateLimit) {
	limits := memory.New(memory.Options{Now: func() time.Time { return w.now }}).Stores().Limits // whose clock stands
	w.auth = auth.New(auth.Options{
		Directory: w.stores.Directory, Nonces: w.stores.Nonces, Vault: w.vault, MaxClockSkew: skew, Now: func() time.Time { return w.now },
		Limiter: roll.NewLimiter(roll.LimiterOptions{Limits: limits, Local: limits}), Rate: own,
	})
}

// The rate is looked at behind the token and before the cipherText (spec 8), and
// each agent and endpoint has its own.
func TestRate(t *testing.T) {
	w := newWorld(t)
	token, other := w.token(t, "one"), w.token(t, "two")
	w.limited(rollcall.RateLimit{PerSecond: 1, Burst: 2})
	good := func(agentID, token string) *call {
		c := w.call(agentID, "{}")
		c.token = token
		return c
	}
	broken := func(change func(h *wire.Header, cipherText *string)) *call {
		c := good("one", token)
		c.after = change
		return c
	}
	sealedOtherwise := func() *call {
		c := good("one", token)
		c.apiKey = w.keys["two"].APIKey
		return c
	}
	wrongSignature := func(h *wire.Header, _ *string) { h.Signature = strings.Repeat("0", 64) }
	for i, row := range []struct {
		call *call
		want error
	}{
		{broken(wrongSignature), rollcall.ErrAuthentication}, // spends nothing
		{good("one", other), rollcall.ErrAuthentication},     // nor does this
		{good("one", token), nil},
		{sealedOtherwise(), rollcall.ErrDecryption},
		{good("one", token), rollcall.ErrTooManyRequests},
		{sealedOtherwise(), rollcall.ErrTooManyRequests},     // before the cipherText
		{broken(wrongSignature), rollcall.ErrAuthentication}, // behind the signature
		{good("one", other), rollcall.ErrAuthentication},     // and the token
		{good("two", other), nil},
	} {
		if err := w.authenticate(t, row.call); !errors.Is(err, row.want) {
			t.Errorf("call %d: got %v, want %v", i, err, row.want)
		}
	}
	if _, err := w.login(t, w.call("one", w.secret("one"))); err != nil {
		t.Errorf("another endpoint: %v", err)
	}
	err := w.authenticate(t, good("one", token))
	if refused, ok := errors.AsType[*roll.RateError](err); !ok || refused.RetryAfter <= 0 || refused.RetryAfter > time.Second || !strings.Contains(err.Error(), "one") {
		t.Errorf("got %v", err)
	}
}

// Who has not an agent's key does not keep it from its tokens.
func TestRateOfLogins(t *testing.T) {
	w := newWorld(t)
	w.limited(rollcall.RateLimit{PerSecond: 1, Burst: 2})
	for range 10 {
		c := w.call("one", w.secret("one"))
		c.apiKey = w.keys["two"].APIKey
		if _, err := w.login(t, c); !errors.Is(err, rollcall.ErrDecryption) {
			t.Fatalf("a stranger: got %v", err)
		}
	}
	for i, want := range []error{nil, rollcall.ErrAgentRefused, rollcall.ErrTooManyRequests} {
		secret := w.secret("one")
		if i == 1 {
			secret = `{"agentId":"one","secret":"wrong"}`
		}
		if _, err := w.login(t, w.call("one", secret)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("login %d: got %v, want %v", i, err, want)
		}
	}
}

// An agent's own limit goes before the service's.
func TestRateOfAgent(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "one")
	w.limited(rollcall.RateLimit{})
	_, err := w.service.ChangeAgent(t.Context(), "test", "one", func(a *rollcall.Agent) { a.RateLimit = rollcall.RateLimit{PerSecond: 1, Burst: 3} })
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for range 10 {
		c := w.call("one", "{}")
		c.token = token
		if w.authenticate(t, c) == nil {
			got++
		}
	}
	if got != 3 {
		t.Errorf("%d of 10 got through, want 3", got)
	}
}
