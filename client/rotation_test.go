package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/rollcalltest"
)

// A caller counts what goes over the wire.
type caller struct {
	*client.Client

	t         *testing.T
	exchanges int
}

func newCaller(t *testing.T, o client.Options) *caller {
	t.Helper()
	c := &caller{t: t}
	o.Trace = func(client.Exchange) { c.exchanges++ }
	var err error
	if c.Client, err = client.New(o); err != nil {
		t.Fatal(err)
	}
	return c
}

// check checks, which has to go well with so many exchanges.
func (c *caller) check(step string, want int) {
	c.t.Helper()
	c.exchanges = 0
	if _, err := c.CheckSessions(c.t.Context(), "player001"); err != nil || c.exchanges != want {
		c.t.Errorf("%s: got %v after %d exchanges, want %d", step, err, c.exchanges, want)
	}
}

// rotating makes a client that knows both keys.
func rotating(t *testing.T, profile rollcall.SignatureProfile) (*rollcalltest.Server, *caller) {
	s := rollcalltest.New(t)
	s.SetSignature(profile)
	o := s.ClientOptions()
	o.NextAPIKey = s.Agent.NextAPIKey
	return s, newCaller(t, o)
}

// Through a whole change of keys no call fails, and few cost more than one.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	for _, profile := range []rollcall.SignatureProfile{rollcall.SignaturePlain, rollcall.SignatureHMAC} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			s, c := rotating(t, profile)
			c.check("the next key is not known: token by next, by current, check", 3)
			c.check("that is remembered", 1)
			s.Advance(5*time.Minute - time.Second)
			c.check("for five minutes", 1)
			s.Advance(time.Second)
			c.check("then next is tried again", 2)
			c.check("and that is remembered", 1)
			s.AddAPIKey()
			c.check("both are good", 1)
			s.RetireAPIKey(s.Agent.APIKey)
			c.check("the current key has gone before next was tried again", 2)
			c.check("next is the one", 1)
			s.Advance(10 * time.Minute)
			c.check("and stays it", 1)

			o := s.ClientOptions()
			o.NextAPIKey = s.Agent.NextAPIKey
			newCaller(t, o).check("a client that begins after the change: token, check", 2)
		})
	}
}

// A key that the service takes back was tried for nothing only.
func TestKeyRotationTakenBack(t *testing.T) {
	t.Parallel()
	s, c := rotating(t, rollcall.SignaturePlain)
	s.AddAPIKey()
	c.check("token and check by next", 2)
	s.RetireAPIKey(s.Agent.NextAPIKey)
	c.check("check by next, by current", 2)
	c.check("that is remembered", 1)
}

// In the profile hmac code 83 may be for the key or for the token.
func TestKeyRotationAndRevocation(t *testing.T) {
	t.Parallel()
	s, c := rotating(t, rollcall.SignatureHMAC)
	s.AddAPIKey()
	c.check("token and check by next", 2)
	s.RevokeTokens()
	c.check("check by both keys, token, check", 4)
	s.RetireAPIKey(s.Agent.APIKey)
	c.check("next was not given up for that", 1)
}

// Where both keys are wrong, the error is what a single one would get.
func TestBothKeysWrong(t *testing.T) {
	t.Parallel()
	for profile, want := range map[rollcall.SignatureProfile]error{
		rollcall.SignaturePlain: rollcall.ErrDecryption, rollcall.SignatureHMAC: rollcall.ErrAuthentication,
	} {
		s, _ := rotating(t, profile)
		o := s.ClientOptions()
		o.APIKey, o.NextAPIKey = o.APIKey[1:]+"0", o.APIKey[2:]+"00"
		c := newCaller(t, o)
		_, err := c.CheckSessions(t.Context(), "player001")
		if answer, ok := errors.AsType[*client.Error](err); !errors.Is(err, want) || !ok || answer.LogUUID == "" || c.exchanges != 2 {
			t.Errorf("%s: got %v after %d exchanges, want %v", profile, err, c.exchanges, want)
		}
	}
}
