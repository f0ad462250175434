package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/wire"
)

const skew = 5 * time.Minute

// A world is an authenticator with two agents, and a clock that tests set.
type world struct {
	now     time.Time
	vault   *vault.Vault
	stores  roll.Stores
	service *roll.Service
	auth    *auth.Authenticator
	keys    map[string]roll.NewKeys
	nonces  atomic.Int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: time.UnixMilli(1769745532582), keys: make(map[string]roll.NewKeys)}
	var err error
	if w.vault, err = vault.New(vault.NewKey()); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now }
	w.stores = memory.New(memory.Options{MaxClockSkew: skew}).Stores()
	w.service = roll.New(roll.Options{Stores: w.stores, Vault: w.vault, Now: clock})
	w.auth = auth.New(auth.Options{Directory: w.stores.Directory, Nonces: w.stores.Nonces, Vault: w.vault, MaxClockSkew: skew, Now: clock})
	if err := w.service.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "two"} {
		agent := rollcall.Agent{ID: id, Signature: rollcall.SignaturePlain, Wallet: rollcall.WalletTransfer}
		_, keys, err := w.service.CreateAgent(t.Context(), "test", agent, roll.NewKeys{})
		if err != nil {
			t.Fatal(err)
		}
		w.keys[id] = keys
	}
	return w
}

// A call is one request of an agent, right in all, for a row to break.
type call struct {
	agentID   string
	apiKey    string
	profile   rollcall.SignatureProfile
	at        time.Time
	nonce     string
	token     string
	plaintext string
	// after breaks what has been signed.
	after func(h *wire.Header, cipherText *string)
}

func (w *world) call(agentID, plaintext string) *call {
	return &call{
		agentID: agentID, apiKey: w.keys[agentID].APIKey, profile: rollcall.SignaturePlain, at: w.now,
		nonce: fmt.Sprintf("%032d", w.nonces.Add(1)), plaintext: plaintext,
	}
}

func (c *call) wire(t testing.TB) (wire.Header, string) {
	t.Helper()
	key, err := wire.ParseAPIKey(c.apiKey)
	if err != nil {
		t.Fatal(err)
	}
	cipherText := key.Seal([]byte(c.plaintext))
	h := wire.Header{AccessToken: c.token, AgentID: c.agentID, Timestamp: wire.FormatTimestamp(c.at), Nonce: c.nonce}
	h.Sign(c.profile, key, cipherText)
	if c.after != nil {
		c.after(&h, &cipherText)
	}
	return h, cipherText
}

func (w *world) authenticate(t *testing.T, c *call) error {
	t.Helper()
	h, cipherText := c.wire(t)
	caller, plaintext, err := w.prove(t.Context(), h, cipherText, roll.NewTrail())
	if err == nil && (caller.Agent.ID != c.agentID || string(plaintext) != c.plaintext) {
		t.Errorf("got caller %q and plaintext %q, want %q and %q", caller.Agent.ID, plaintext, c.agentID, c.plaintext)
	}
	return err
}

// prove makes all checks, the nonce's too.
func (w *world) prove(ctx context.Context, h wire.Header, cipherText string, trail *roll.Trail) (roll.Caller, []byte, error) {
	r := auth.Request{Endpoint: wire.PathSessionsCheck, Header: h, CipherText: []byte(cipherText), Trail: trail}
	caller, plaintext, err := w.auth.Prove(ctx, &r)
	if err == nil {
		err = trail.Check("nonce", w.auth.Spend(ctx, &h))
	}
	return caller, plaintext, err
}

func (w *world) login(t testing.TB, c *call) (string, error) {
	t.Helper()
	h, cipherText := c.wire(t)
	return w.auth.Login(t.Context(), &auth.Request{Header: h, CipherText: []byte(cipherText), Trail: roll.NewTrail()})
}

func (w *world) secret(agentID string) string {
	return fmt.Sprintf(`{"agentId":%q,"secret":%q}`, agentID, w.keys[agentID].SecretKey)
}

func (w *world) token(t testing.TB, agentID string) string {
	t.Helper()
	token, err := w.login(t, w.call(agentID, w.secret(agentID)))
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return token
}

// sign makes a token by hand.
func sign(t *testing.T, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tokenKey returns the service's own key, as a thief of it would use it.
func (w *world) tokenKey(t *testing.T) (kid string, raw []byte) {
	t.Helper()
	keys, err := w.stores.Directory.TokenKeys().List(t.Context(), "", "", 10)
	if err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	newest := keys[len(keys)-1]
	raw, err = w.vault.Open(roll.TokenKeyContext(newest.ID), newest.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	return newest.ID, raw
}

// One fault a row (spec 8): what is not named is right.
func TestAuthenticateRefuses(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "one")
	kid, raw := w.tokenKey(t)
	good := map[string]any{"agentId": "one", "iat": w.now.Unix(), "exp": w.now.Add(time.Hour).Unix()}
	with := func(name string, value any) map[string]any {
		changed := map[string]any{name: value}
		for k, v := range good {
			if k != name {
				changed[k] = v
			}
		}
		if value == nil {
			delete(changed, name)
		}
		return changed
	}
	withKid := map[string]any{"kid": kid}
	authentication, decryption := rollcall.ErrAuthentication, rollcall.ErrDecryption
	rows := []struct {
		name   string
		change func(c *call)
		want   error
	}{
		{"nothing", func(*call) {}, nil},
		{"clock behind by the skew", func(c *call) { c.at = w.now.Add(-skew) }, nil},
		{"clock ahead by the skew", func(c *call) { c.at = w.now.Add(skew) }, nil},
		{"clock behind by more", func(c *call) { c.at = w.now.Add(-skew - time.Millisecond) }, authentication},
		{"clock ahead by more", func(c *call) { c.at = w.now.Add(skew + time.Millisecond) }, authentication},
		{"agent unknown", func(c *call) { c.agentID = "three" }, authentication},
		{"signature of another cipherText", func(c *call) {
			c.after = func(_ *wire.Header, text *string) { *text = "A" + (*text)[1:] }
		}, authentication},
		{"signature of another nonce", func(c *call) {
			c.after = func(h *wire.Header, _ *string) { h.Nonce = strings.Repeat("z", 32) }
		}, authentication},
		{"signature of another timestamp", func(c *call) {
			c.after = func(h *wire.Header, _ *string) { h.Timestamp = wire.FormatTimestamp(w.now.Add(time.Second)) }
		}, authentication},
		{"hmac where plain is set", func(c *call) { c.profile = rollcall.SignatureHMAC }, authentication},
		{"no token", func(c *call) { c.token = "" }, authentication},
		{"another agent's token", func(c *call) { c.token = w.token(t, "two") }, authentication},
		{"token made by hand, right", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, good) }, nil},
		{"alg none", func(c *call) {
			c.token = sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, withKid, good)
		}, authentication},
		{"alg None", func(c *call) { c.token = rawToken(`{"alg":"None","typ":"JWT","kid":"`+kid+`"}`, good, "") }, authentication},
		{"alg HS384 with our key", func(c *call) { c.token = sign(t, jwt.SigningMethodHS384, raw, withKid, good) }, authentication},
		{"alg HS512 with our key", func(c *call) { c.token = sign(t, jwt.SigningMethodHS512, raw, withKid, good) }, authentication},
		{"kid missing", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, nil, good) }, authentication},
		{"kid foreign", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, raw, map[string]any{"kid": "other"}, good)
		}, authentication},
		{"kid a number", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, map[string]any{"kid": 1}, good) }, authentication},
		{"kid a path", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, []byte{}, map[string]any{"kid": "../../dev/null"}, good)
		}, authentication},
		{"empty key", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, []byte{}, withKid, good) }, authentication},
		{"the agent's API key as key", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, []byte(w.keys["one"].APIKey), withKid, good)
		}, authentication},
		{"the agent's Secret key as key", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, []byte(w.keys["one"].SecretKey), withKid, good)
		}, authentication},
		{"expired", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("exp", w.now.Add(-61*time.Second).Unix()))
		}, authentication},
		{"expired within the leeway", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("exp", w.now.Add(-58*time.Second).Unix()))
		}, nil},
		{"not yet valid", func(c *call) {
			c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("iat", w.now.Add(62*time.Second).Unix()))
		}, authentication},
		{"exp missing", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("exp", nil)) }, authentication},
		{"iat missing", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("iat", nil)) }, authentication},
		{"agentId missing", func(c *call) { c.token = sign(t, jwt.SigningMethodHS256, raw, withKid, with("agentId", nil)) }, authentication},
		{"claims changed", func(c *call) {
			parts := strings.Split(token, ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"agentId":"one","iat":1,"exp":9999999999}`))
			c.token = strings.Join(parts, ".")
		}, authentication},
		{"signature's last character changed", func(c *call) {
			c.token = token[:len(token)-1] + string(token[len(token)-1]^1)
		}, authentication},
		{"not a token", func(c *call) { c.token = "a.b.c" }, authentication},
		{"sealed with another key", func(c *call) { c.apiKey = w.keys["two"].APIKey }, decryption},
		{"empty plaintext", func(c *call) { c.plaintext = "" }, decryption},
		{"blocked agent's own rights", func(c *call) {
			c.agentID, c.apiKey, c.token = "two", w.keys["two"].APIKey, w.token(t, "two")
			if _, err := w.service.SetAgentStatus(t.Context(), "test", "two", rollcall.AgentBlocked); err != nil {
				t.Fatal(err)
			}
		}, authentication},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := w.call("one", `{"username":"player001"}`)
			c.token = token
			row.change(c)
			err := w.authenticate(t, c)
			if !errors.Is(err, row.want) {
				t.Fatalf("got %v, want %v", err, row.want)
			}
			if err == nil {
				return
			}
			for _, secret := range []string{c.token, c.apiKey, c.plaintext, "player001"} {
				if secret != "" && strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats what it must not: %v", err)
				}
			}
			// The nonce of a request that was refused is still good (spec 8).
			if row.want != nil {
				again := w.call("one", c.plaintext+" ")
				again.nonce, again.token = c.nonce, token
				if err := w.authenticate(t, again); err != nil {
					t.Errorf("the nonce was spent by the refused request: %v", err)
				}
			}
		})
	}
}

// rawToken joins the parts of a token that no library would make.
func rawToken(header string, claims map[string]any, signature string) string {
	text, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(text) + "." + signature
}

func TestNonceHasOneWinner(t *testing.T) {
	w := newWorld(t)
	c := w.call("one", `{"username":"player001"}`)
	c.token = w.token(t, "one")
	h, cipherText := c.wire(t)
	var answered atomic.Int64
	var copies sync.WaitGroup
	for range 20 {
		copies.Go(func() {
			_, _, err := w.prove(context.Background(), h, cipherText, nil)
			if err == nil {
				answered.Add(1)
			} else if !errors.Is(err, rollcall.ErrAuthentication) {
				t.Errorf("got %v", err)
			}
		})
	}
	copies.Wait()
	if n := answered.Load(); n != 1 {
		t.Errorf("%d of 20 copies were answered, want 1", n)
	}
	// The same nonce is another agent's to use (spec 2).
	other := w.call("two", c.plaintext)
	other.nonce, other.token = c.nonce, w.token(t, "two")
	if err := w.authenticate(t, other); err != nil {
		t.Errorf("another agent's request with that nonce: %v", err)
	}
}

func TestLoginRefuses(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service.SetAgentStatus(t.Context(), "test", "two", rollcall.AgentBlocked); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name   string
		change func(c *call)
		want   error
	}{
		{"nothing", func(*call) {}, nil},
		{"agent unknown", func(c *call) { c.agentID = "three" }, rollcall.ErrAgentRefused},
		{"agent blocked", func(c *call) {
			c.agentID, c.apiKey, c.plaintext = "two", w.keys["two"].APIKey, w.secret("two")
		}, rollcall.ErrAgentRefused},
		{"secret wrong", func(c *call) { c.plaintext = `{"agentId":"one","secret":"wrong"}` }, rollcall.ErrAgentRefused},
		{"secret is the API key", func(c *call) {
			c.plaintext = fmt.Sprintf(`{"agentId":"one","secret":%q}`, c.apiKey)
		}, rollcall.ErrAgentRefused},
		{"secret empty", func(c *call) { c.plaintext = `{"agentId":"one","secret":""}` }, rollcall.ErrAgentRefused},
		{"agentId differs", func(c *call) {
			c.plaintext = strings.Replace(c.plaintext, `"one"`, `"two"`, 1)
		}, rollcall.ErrAgentRefused},
		{"timestamp old", func(c *call) { c.at = w.now.Add(-time.Hour) }, rollcall.ErrAuthentication},
		{"signature wrong", func(c *call) {
			c.after = func(h *wire.Header, _ *string) { h.Signature = strings.Repeat("0", 64) }
		}, rollcall.ErrAuthentication},
		{"sealed with another key", func(c *call) { c.apiKey = w.keys["two"].APIKey }, rollcall.ErrDecryption},
		{"plaintext no JSON", func(c *call) { c.plaintext = "hello" }, rollcall.ErrParameters},
		{"secret missing", func(c *call) { c.plaintext = `{"agentId":"one"}` }, rollcall.ErrParameters},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := w.call("one", w.secret("one"))
			row.change(c)
			token, err := w.login(t, c)
			if !errors.Is(err, row.want) || (err == nil) != (token != "") {
				t.Errorf("got token %q, error %v; want %v", token, err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), w.keys["one"].SecretKey) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestLoginNonceIsSpent(t *testing.T) {
	w := newWorld(t)
	c := w.call("one", w.secret("one"))
	if _, err := w.login(t, c); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login(t, c); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("replay: got %v, want ErrAuthentication", err)
	}
}

func TestTrailTellsTheReason(t *testing.T) {
	w := newWorld(t)
	c := w.call("one", `{"username":"player001"}`)
	c.token, c.at = w.token(t, "one"), w.now.Add(7*time.Hour+2*time.Minute)
	h, cipherText := c.wire(t)
	trail := roll.NewTrail()
	if _, _, err := w.prove(t.Context(), h, cipherText, trail); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Fatal(err)
	}
	var names []string
	for _, check := range trail.Checks() {
		names = append(names, fmt.Sprint(check.Name, check.Passed))
		if check.Name == "timestamp" && !strings.Contains(check.Reason, "7h2m0s ahead of the clock") {
			t.Errorf("reason %q", check.Reason)
		}
	}
	if got, want := strings.Join(names, " "), "agenttrue timestampfalse signaturetrue tokentrue"; got != want {
		t.Errorf("got checks %q, want %q", got, want)
	}
}

// A token that was proved once is not good for ever: the clock, its agent and
// its key are looked at every time.
func TestProvedTokensExpire(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "one")
	check := func() error {
		c := w.call("one", `{"username":"player001"}`)
		c.token = token
		return w.authenticate(t, c)
	}
	issued := w.now.Truncate(time.Second)
	for _, step := range []struct {
		at   time.Duration
		want error
	}{{0, nil}, {time.Hour, nil}, {time.Hour + 59*time.Second, nil}, {time.Hour + time.Minute, rollcall.ErrAuthentication}, {0, nil}} {
		w.now = issued.Add(step.at)
		if err := check(); !errors.Is(err, step.want) {
			t.Errorf("after %s: got %v, want %v", step.at, err, step.want)
		}
	}
	other := w.call("two", `{"username":"player001"}`)
	other.token = token
	if err := w.authenticate(t, other); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("another agent: got %v", err)
	}
}

// BenchmarkRefusals is the time of each refusal with code 83: near alike, so that
// it does not tell which check refused.
func BenchmarkRefusals(b *testing.B) {
	w := newWorld(b)
	token := w.token(b, "one")
	if _, err := w.service.SetAgentStatus(b.Context(), "test", "two", rollcall.AgentBlocked); err != nil {
		b.Fatal(err)
	}
	forged := token[:len(token)-2] + "AA"
	for _, row := range []struct {
		name   string
		change func(c *call)
	}{
		{"agent-unknown", func(c *call) { c.agentID, c.token = "three", forged }},
		{"agent-blocked", func(c *call) { c.agentID, c.token = "two", forged }},
		{"clock", func(c *call) { c.at, c.token = w.now.Add(time.Hour), forged }},
		{"signature", func(c *call) {
			c.token = forged
			c.after = func(h *wire.Header, _ *string) { h.Nonce = strings.Repeat("z", 32) }
		}},
		{"token", func(c *call) { c.token = forged }},
	} {
		b.Run(row.name, func(b *testing.B) {
			c := w.call("one", `{"username":"player001"}`)
			row.change(c)
			h, cipherText := c.wire(b)
			for b.Loop() {
				if _, _, err := w.prove(b.Context(), h, cipherText, nil); !errors.Is(err, rollcall.ErrAuthentication) {
					b.Fatal(err)
				}
			}
		})
	}
}
