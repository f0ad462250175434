package auth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/wire"
)

// leeway is how far a token's times may be from the clock (spec 5.3).
const leeway = time.Minute

// claims are what an access token says (spec 5.3).
type claims struct {
	AgentID   string           `json:"agentId"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
}

// The methods by which jwt reads the claims; those that we do not use are nil.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return "", nil }
func (c *claims) GetSubject() (string, error)                  { return "", nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// tokens issues and verifies access tokens with the directory's token keys, so
// that a rotation works at once and without a restart.
type tokens struct {
	directory roll.Directory
	vault     *vault.Vault
	now       func() time.Time
	// opened holds an *openedKey for each kid, so that a key is opened once.
	opened sync.Map
	// proved are the tokens whose signature has been found good.
	proved memory
}

type openedKey struct {
	of  *roll.TokenKey
	raw []byte
}

// issue returns a token for agent, signed with the newest key.
func (t *tokens) issue(ctx context.Context, agent *roll.Agent) (string, error) {
	keys, err := t.directory.TokenKeys().List(ctx, "", "", 100)
	if err != nil {
		return "", err
	}
	if len(keys) == 0 {
		return "", errors.New("no token key: the service was not prepared")
	}
	newest := keys[len(keys)-1]
	key, err := t.open(newest)
	if err != nil {
		return "", err
	}
	issued := t.now()
	if issued.Before(agent.TokensNotBefore) {
		issued = agent.TokensNotBefore // a revocation in this very second
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		AgentID:   agent.ID,
		IssuedAt:  jwt.NewNumericDate(issued),
		ExpiresAt: jwt.NewNumericDate(issued.Add(wire.AccessTokenLifetime)),
	})
	token.Header["kid"] = newest.ID
	return token.SignedString(key.raw)
}

// verify returns rollcall.ErrAuthentication unless token is one that issue made
// for agent, it is not expired and neither it nor its key was revoked.
//
// The signature of a token is proved once, which is most of the work; what may
// change since then, the clock, the agent and the key, is looked at every time.
func (t *tokens) verify(ctx context.Context, token string, agent *roll.Agent, now time.Time) error {
	p, known := t.proved.get(token)
	if known {
		current, err := t.directory.TokenKeys().Get(ctx, p.key.ID)
		if err != nil && !errors.Is(err, rollcall.ErrNotFound) {
			return err
		}
		known = current == p.key
	}
	if !known {
		var err error
		if p, err = t.prove(ctx, strings.Clone(token)); err != nil {
			return err
		}
		t.proved.put(p)
	}
	return p.claims.check(agent, now)
}

// A proof is a token whose signature is good: what it says, and the key.
type proof struct {
	token  string
	hash   uint64 // of token
	claims claims
	key    *roll.TokenKey
}

var parser = jwt.NewParser(
	jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
	jwt.WithStrictDecoding(),
	jwt.WithoutClaimsValidation(),
) // check does that

// prove looks at the token's form and signature.
func (t *tokens) prove(ctx context.Context, token string) (*proof, error) {
	p := &proof{token: token, hash: hashOf(token)}
	var fault error // ours, not the token's
	_, err := parser.ParseWithClaims(token, &p.claims, func(parsed *jwt.Token) (any, error) {
		key, err := t.key(ctx, parsed.Header["kid"])
		if err != nil {
			if !errors.Is(err, errKid) {
				fault = err
			}
			return nil, err
		}
		p.key = key.of
		return key.raw, nil
	})
	switch {
	case fault != nil:
		return nil, fault
	case err != nil:
		return nil, fmt.Errorf("%w: %w", rollcall.ErrAuthentication, err)
	}
	return p, nil
}

// check looks at what the claims say to the present and to the agent.
func (c *claims) check(agent *roll.Agent, now time.Time) error {
	switch {
	case c.IssuedAt == nil || c.ExpiresAt == nil:
		return fmt.Errorf("%w: token has no iat or no exp", rollcall.ErrAuthentication)
	case !now.Before(c.ExpiresAt.Add(leeway)):
		return fmt.Errorf("%w: token is expired since %s", rollcall.ErrAuthentication, now.Sub(c.ExpiresAt.Time).Round(time.Second))
	case now.Add(leeway).Before(c.IssuedAt.Time):
		return fmt.Errorf("%w: token is not valid yet: its iat is %s ahead", rollcall.ErrAuthentication, c.IssuedAt.Sub(now).Round(time.Second))
	case c.AgentID != agent.ID || agent.ID == "":
		return fmt.Errorf("%w: token is another agent's", rollcall.ErrAuthentication)
	case c.IssuedAt.Before(agent.TokensNotBefore):
		return fmt.Errorf("%w: token was revoked", rollcall.ErrAuthentication)
	}
	return nil
}

var errKid = errors.New("token key is unknown")

// key returns the key that a token's kid names. The error does not repeat the
// kid, which is the sender's to choose.
func (t *tokens) key(ctx context.Context, kid any) (*openedKey, error) {
	id, ok := kid.(string)
	if !ok || !rollcall.ValidID(id) {
		return nil, errKid
	}
	key, err := t.directory.TokenKeys().Get(ctx, id)
	if errors.Is(err, rollcall.ErrNotFound) {
		return nil, errKid
	}
	if err != nil {
		return nil, err
	}
	return t.open(key)
}

func (t *tokens) open(key *roll.TokenKey) (*openedKey, error) {
	if have, ok := t.opened.Load(key.ID); ok && have.(*openedKey).of == key {
		return have.(*openedKey), nil
	}
	raw, err := t.vault.Open(roll.TokenKeyContext(key.ID), key.Sealed)
	if err != nil {
		return nil, err
	}
	opened := &openedKey{of: key, raw: raw}
	t.opened.Store(key.ID, opened)
	return opened, nil
}

// memoryLimit bounds a generation of remembered tokens: a few MB.
const memoryLimit = 8192

// A memory remembers tokens in two generations, so that it is bounded and those
// in use stay. Only tokens of our own making get in.
type memory struct {
	// recent are some of those that were asked for last, each in the place that its
	// hash gives it: for them no lock is needed.
	recent        [256]atomic.Pointer[proof]
	mu            sync.RWMutex
	young, former map[string]*proof
}

var tokenSeed = maphash.MakeSeed()

// hashOf is compared before a token is: nobody finds out by the time that a
// comparison takes how far a guess is right.
func hashOf(token string) uint64 { return maphash.String(tokenSeed, token) }

func (m *memory) get(token string) (*proof, bool) {
	hash := hashOf(token)
	place := &m.recent[hash%uint64(len(m.recent))]
	if p := place.Load(); p != nil && p.hash == hash && p.token == token {
		return p, true
	}
	p, ok := m.find(token)
	if ok {
		place.Store(p)
	}
	return p, ok
}

func (m *memory) find(token string) (*proof, bool) {
	m.mu.RLock()
	p, ok := m.young[token]
	former, old := m.former[token]
	m.mu.RUnlock()
	if !ok && old {
		m.put(former) // it is in use
		return former, true
	}
	return p, ok
}

func (m *memory) put(p *proof) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= memoryLimit {
		m.former, m.young = m.young, make(map[string]*proof)
	}
	m.young[p.token] = p
	m.recent[p.hash%uint64(len(m.recent))].Store(p)
}
