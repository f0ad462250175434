// Package auth says who calls: it takes a v2 request whose form package wire has
// found good and makes the checks of spec 8 from the agent to the nonce, in that
// order. It issues and verifies access tokens (spec 5). It knows nothing of
// HTTP, of members or of sessions.
package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/wire"
)

// DefaultMaxClockSkew is how far a request's timestamp may be from the clock.
const DefaultMaxClockSkew = 5 * time.Minute

// Options configure an Authenticator.
type Options struct {
	Directory roll.Directory
	Nonces    roll.Nonces
	Vault     *vault.Vault
	// MaxClockSkew must be what the Nonces were opened with; 0: 5 min.
	MaxClockSkew time.Duration
	// Limiter bounds how often an agent calls an endpoint, by Rate or by the
	// agent's own RateLimit; nil: nothing does.
	Limiter *roll.Limiter
	Rate    rollcall.RateLimit
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// An Authenticator proves callers. It is safe for concurrent use.
type Authenticator struct {
	directory roll.Directory
	nonces    roll.Nonces
	vault     *vault.Vault
	skew      time.Duration
	limiter   *roll.Limiter
	rate      rollcall.RateLimit
	now       func() time.Time
	tokens    tokens
	// agents holds a *credentials for each agent that has called.
	agents sync.Map
	// nobody stands in for agents that are unknown, so that refusing them takes
	// as long as refusing one that is known.
	nobody *credentials
}

// New makes an Authenticator.
func New(o Options) *Authenticator {
	a := &Authenticator{
		directory: o.Directory, nonces: o.Nonces, vault: o.Vault, skew: o.MaxClockSkew,
		limiter: o.Limiter, rate: o.Rate, now: o.Now,
	}
	if a.skew == 0 {
		a.skew = DefaultMaxClockSkew
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.tokens = tokens{directory: o.Directory, vault: o.Vault, now: a.now}
	key, _ := wire.NewAPIKey()
	a.nobody = &credentials{agent: &roll.Agent{}, keys: []*wire.APIKey{key}}
	a.nobody.agent.SecretHashes = map[string][]byte{"": o.Vault.Hash("nobody", "")}
	return a
}

// A Request is what Prove, Spend and Login look at.
type Request struct {
	wire.Header

	Endpoint   string
	CipherText []byte
	// Room is where Prove puts the plaintext, if it fits; it does not overlap
	// CipherText. nil: into memory of its own.
	Room []byte
	// Trail is where each check is noted; nil: nowhere.
	Trail *roll.Trail
}

// Prove makes the checks of spec 8 from the agent to the cipher text and returns
// who calls and the opened plaintext; what is left is to Spend the nonce. Nothing
// is kept of r, whose texts may be in memory that is used again.
//
// Errors: rollcall.ErrAuthentication and rollcall.ErrDecryption; the reason is
// in the error's text, for the trail, and the answers are alike; and a
// roll.RateError of the agent's calls of the endpoint. Agent, clock, signature and
// token are all looked at before any is answered, so that the time taken does not
// tell which was wrong.
func (a *Authenticator) Prove(ctx context.Context, r *Request) (roll.Caller, []byte, error) {
	trail := r.Trail
	creds, err := a.credentials(ctx, r.AgentID)
	if err != nil {
		return roll.Caller{}, nil, trail.Check("agent", err)
	}
	now := a.now()
	refused := first(
		trail.Check("agent", creds.mayCall(rollcall.ErrAuthentication)),
		trail.Check("timestamp", a.checkTime(&r.Header, now)),
		trail.Check("signature", creds.checkSignature(r)),
		trail.Check("token", a.tokens.verify(ctx, r.AccessToken, creds.agent, now)),
	)
	if refused != nil {
		return roll.Caller{}, nil, refused
	}
	if err := a.checkRate(ctx, creds, r.Endpoint); trail.Check("rate", err) != nil {
		return roll.Caller{}, nil, err
	}
	plaintext, err := creds.open(r.Room, r.CipherText)
	if trail.Check("cipherText", err) != nil {
		return roll.Caller{}, nil, err
	}
	return roll.Caller{Agent: creds.agent, Trail: trail}, plaintext, nil
}

// Login makes the checks of /v2/auth (spec 5, 8) and returns an access token.
// Errors: rollcall.ErrAgentRefused for an agent that is unknown or blocked or a
// wrong secret, which take about the same time; ErrAuthentication for clock,
// signature and nonce; ErrDecryption; ErrParameters; a roll.RateError.
func (a *Authenticator) Login(ctx context.Context, r *Request) (string, error) {
	trail := r.Trail
	creds, err := a.credentials(ctx, r.AgentID)
	if err != nil {
		return "", trail.Check("agent", err)
	}
	refused := first(
		trail.Check("agent", creds.mayCall(rollcall.ErrAgentRefused)),
		trail.Check("timestamp", a.checkTime(&r.Header, a.now())),
		trail.Check("signature", creds.checkSignature(r)),
	)
	// Not in r.Room: there is a secret in it, which is not to lie about there.
	plaintext, openErr := creds.open(nil, r.CipherText)
	if refused != nil {
		a.matches(creds, "") // costs what a wrong secret costs
		return "", refused
	}
	if trail.Check("cipherText", openErr) != nil {
		return "", openErr
	}
	// Not before the key is proved, since nothing else is here: a stranger could
	// keep an agent from its tokens.
	if err := a.checkRate(ctx, creds, wire.PathAuth); trail.Check("rate", err) != nil {
		return "", err
	}
	if err := a.Spend(ctx, &r.Header); trail.Check("nonce", err) != nil {
		return "", err
	}
	var req wire.AuthRequest
	if err := req.Decode(plaintext); trail.Check("plaintext", err) != nil {
		return "", err
	}
	if err := a.checkSecret(creds, &r.Header, &req); trail.Check("secret", err) != nil {
		return "", err
	}
	return a.tokens.issue(ctx, creds.agent)
}

func (a *Authenticator) checkSecret(creds *credentials, head *wire.Header, req *wire.AuthRequest) error {
	known := a.matches(creds, req.Secret)
	switch {
	case req.AgentID != head.AgentID:
		return fmt.Errorf("%w: agentId inside differs from x-agentid", rollcall.ErrAgentRefused)
	case !known:
		return fmt.Errorf("%w: wrong secret", rollcall.ErrAgentRefused)
	}
	return nil
}

// matches looks at every hash, so that the time does not tell which one fits.
func (a *Authenticator) matches(creds *credentials, secret string) bool {
	found := false
	for _, hash := range creds.agent.SecretHashes {
		if a.vault.Matches(roll.SecretKeyContext(creds.agent.ID), secret, hash) {
			found = true
		}
	}
	return found
}

// checkTime refuses a timestamp that is further from the clock than the skew.
func (a *Authenticator) checkTime(head *wire.Header, now time.Time) error {
	ahead := head.Time().Sub(now)
	if ahead.Abs() <= a.skew {
		return nil
	}
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	return fmt.Errorf("%w: x-timestamp is %s %s the clock, %s is allowed",
		rollcall.ErrAuthentication, ahead.Abs().Round(time.Millisecond), side, a.skew)
}

// checkRate refuses an agent's call of an endpoint that is one too many.
func (a *Authenticator) checkRate(ctx context.Context, creds *credentials, endpoint string) error {
	if a.limiter == nil {
		return nil
	}
	return a.limiter.Allow(ctx, creds.rateKey(endpoint), creds.agent.RateLimit.Or(a.rate))
}

// Spend claims the nonce of a request that Prove has proved, and not before: an
// outsider can neither burn one nor fill the store. It is
// rollcall.ErrAuthentication for one that was used.
func (a *Authenticator) Spend(ctx context.Context, head *wire.Header) error {
	return spent(a.nonces.Claim(ctx, head.AgentID, head.Nonce, head.Time()))
}

// SpendEarly begins to Spend: for who asks the stores for something else before it
// waits.
func (a *Authenticator) SpendEarly(ctx context.Context, head *wire.Header) Spending {
	if early, ok := a.nonces.(roll.EarlyNonces); ok {
		return Spending{claiming: early.Begin(ctx, head.AgentID, head.Nonce, head.Time())}
	}
	return Spending{err: a.Spend(ctx, head)} // which takes no time
}

// A Spending is a Spend that has begun.
type Spending struct {
	claiming roll.Claiming // nil: it is done
	err      error
}

// Wait returns what Spend does. It is called once at the most.
func (s Spending) Wait(ctx context.Context) error {
	if s.claiming == nil {
		return s.err
	}
	return spent(s.claiming.Wait(ctx))
}

func spent(fresh bool, err error) error {
	if err == nil && !fresh {
		err = fmt.Errorf("%w: nonce used before", rollcall.ErrAuthentication)
	}
	return err
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// credentials are an agent's keys, made ready for use once and not at every
// request.
type credentials struct {
	agent *roll.Agent
	keys  []*wire.APIKey // one or two, oldest first
	// rateKeys are the keys of the agent's rates by endpoint, made when it calls.
	rateKeys sync.Map
}

func (c *credentials) rateKey(endpoint string) string {
	key, ok := c.rateKeys.Load(endpoint)
	if !ok {
		key, _ = c.rateKeys.LoadOrStore(endpoint, c.agent.ID+" "+endpoint)
	}
	return key.(string)
}

// credentials returns those of the agent, or nobody's where there is none. They
// are made anew when the directory's agent has changed.
func (a *Authenticator) credentials(ctx context.Context, agentID string) (*credentials, error) {
	agent, err := a.directory.Agents().Get(ctx, agentID)
	if errors.Is(err, rollcall.ErrNotFound) {
		a.agents.Delete(agentID)
		return a.nobody, nil
	}
	if err != nil {
		return nil, err
	}
	if ready, ok := a.agents.Load(agentID); ok && ready.(*credentials).agent == agent {
		return ready.(*credentials), nil
	}
	made := &credentials{agent: agent}
	for _, info := range agent.APIKeys {
		key, err := a.openKey(agent, info.ID)
		if err != nil {
			return nil, err
		}
		made.keys = append(made.keys, key)
	}
	a.agents.Store(agent.ID, made)
	return made, nil
}

func (a *Authenticator) openKey(agent *roll.Agent, id string) (*wire.APIKey, error) {
	text, err := a.vault.Open(roll.APIKeyContext(agent.ID), agent.SealedAPIKeys[id])
	if err != nil {
		return nil, err
	}
	return wire.ParseAPIKey(string(text))
}

// mayCall returns refusal with a reason where the agent is unknown or blocked.
func (c *credentials) mayCall(refusal error) error {
	switch c.agent.Status {
	case rollcall.AgentActive:
		return nil
	case rollcall.AgentBlocked:
		return fmt.Errorf("%w: agent is blocked", refusal)
	}
	return fmt.Errorf("%w: agent is unknown", refusal)
}

func (c *credentials) checkSignature(r *Request) error {
	for _, key := range c.keys {
		if r.SignatureFits(c.agent.Signature, key, r.CipherText) {
			return nil
		}
		if c.agent.Signature != rollcall.SignatureHMAC {
			break // the plain profile uses no key
		}
	}
	return fmt.Errorf("%w: x-signature is not that of profile %s", rollcall.ErrAuthentication, c.agent.Signature)
}

// open tries each key, since both are good during a rotation (spec 4.4). No
// request has an empty plaintext (spec 4.3, 4.5).
func (c *credentials) open(room, cipherText []byte) ([]byte, error) {
	for _, key := range c.keys {
		if plaintext, err := key.OpenIn(room, cipherText); err == nil && len(plaintext) > 0 {
			return plaintext, nil
		}
	}
	return nil, rollcall.ErrDecryption
}
