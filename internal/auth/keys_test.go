package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "one")
	old := w.keys["one"]
	check := func(apiKey string) error {
		c := w.call("one", `{"username":"player001"}`)
		c.apiKey, c.token = apiKey, token
		return w.authenticate(t, c)
	}
	_, next, err := w.service.AddKey(t.Context(), "test", "one", roll.KindAPIKey, "")
	if err != nil {
		t.Fatal(err)
	}
	_, nextSecret, err := w.service.AddKey(t.Context(), "test", "one", roll.KindSecretKey, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(check(old.APIKey), check(next)); err != nil {
		t.Errorf("both keys must open (spec 4.4): %v", err)
	}
	agent, err := w.service.Agent(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.RetireKey(t.Context(), "test", "one", roll.KindAPIKey, agent.APIKeys[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.RetireKey(t.Context(), "test", "one", roll.KindSecretKey, agent.SecretKeys[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := check(old.APIKey); !errors.Is(err, rollcall.ErrDecryption) {
		t.Errorf("the retired API key: got %v, want ErrDecryption", err)
	}
	if err := check(next); err != nil {
		t.Errorf("the kept API key: %v", err)
	}
	c := w.call("one", w.secret("one"))
	c.apiKey = next
	if _, err := w.login(t, c); !errors.Is(err, rollcall.ErrAgentRefused) {
		t.Errorf("the retired Secret key: got %v, want ErrAgentRefused", err)
	}
	w.keys["one"] = roll.NewKeys{APIKey: next, SecretKey: nextSecret}
	w.token(t, "one")
}

func TestTokenRotation(t *testing.T) {
	w := newWorld(t)
	rotate := func() {
		t.Helper()
		w.now = w.now.Add(time.Millisecond)
		if _, err := w.service.RotateTokenKey(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
	}
	check := func(token string) error {
		c := w.call("one", `{"username":"player001"}`)
		c.token = token
		return w.authenticate(t, c)
	}
	first := w.token(t, "one")
	rotate()
	second := w.token(t, "one")
	if err := errors.Join(check(first), check(second)); err != nil {
		t.Errorf("after one rotation both keys verify: %v", err)
	}
	rotate()
	if err := check(first); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("after two rotations the first key's token: got %v, want ErrAuthentication", err)
	}
	if err := check(second); err != nil {
		t.Errorf("after two rotations the previous key's token: %v", err)
	}
}

func TestRevokeTokens(t *testing.T) {
	w := newWorld(t)
	before := w.token(t, "one")
	if _, err := w.service.RevokeTokens(t.Context(), "test", "one"); err != nil {
		t.Fatal(err)
	}
	after := w.token(t, "one") // in the same second
	c := w.call("one", `{"username":"player001"}`)
	c.token = before
	if err := w.authenticate(t, c); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("a token of before: got %v, want ErrAuthentication", err)
	}
	c = w.call("one", `{"username":"player001"}`)
	c.token = after
	if err := w.authenticate(t, c); err != nil {
		t.Errorf("a token of after: %v", err)
	}
}

func TestHMACProfile(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "one")
	_, err := w.service.ChangeAgent(t.Context(), "test", "one", func(a *rollcall.Agent) { a.Signature = rollcall.SignatureHMAC })
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := w.service.AddKey(t.Context(), "test", "one", roll.KindAPIKey, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{w.keys["one"].APIKey, next} {
		c := w.call("one", `{"username":"player001"}`)
		c.token, c.apiKey, c.profile = token, key, rollcall.SignatureHMAC
		if err := w.authenticate(t, c); err != nil {
			t.Errorf("hmac with one of the two keys: %v", err)
		}
	}
	c := w.call("one", `{"username":"player001"}`)
	c.token = token
	if err := w.authenticate(t, c); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("plain where hmac is set: got %v, want ErrAuthentication", err)
	}
}

// Who reads one whole request of the plain profile signs it anew, without a key, as
// docs/security.md says. Of the hmac profile it cannot.
func TestWhatASignatureProves(t *testing.T) {
	for profile, want := range map[rollcall.SignatureProfile]error{
		rollcall.SignaturePlain: nil,
		rollcall.SignatureHMAC:  rollcall.ErrAuthentication,
	} {
		w := newWorld(t)
		c := w.call("one", `{"username":"player001"}`)
		c.token, c.profile = w.token(t, "one"), profile
		if _, err := w.service.ChangeAgent(t.Context(), "test", "one", func(a *rollcall.Agent) { a.Signature = profile }); err != nil {
			t.Fatal(err)
		}
		read, cipherText := c.wire(t)
		trail := roll.NewTrail()
		for i, want := range []error{nil, rollcall.ErrAuthentication} {
			if _, _, err := w.prove(t.Context(), read, cipherText, trail); !errors.Is(err, want) {
				t.Errorf("%s: the request itself, time %d: got %v, want %v", profile, i+1, err, want)
			}
		}
		read.Nonce = strings.Repeat("z", 32)
		read.Sign(rollcall.SignaturePlain, nil, cipherText)
		if _, _, err := w.prove(t.Context(), read, cipherText, trail); !errors.Is(err, want) {
			t.Errorf("%s: signed anew by who has read it: got %v, want %v", profile, err, want)
		}
	}
}
