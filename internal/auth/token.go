package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	raw, err := t.open(newest)
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
	return token.SignedString(raw)
}

// verify returns rollcall.ErrAuthentication unless token is one that issue made
// for agent, it is not expired and neither it nor its key was revoked.
func (t *tokens) verify(ctx context.Context, token string, agent *roll.Agent) error {
	var c claims
	var fault error // ours, not the token's
	_, err := jwt.ParseWithClaims(token, &c, func(parsed *jwt.Token) (any, error) {
		raw, err := t.key(ctx, parsed.Header["kid"])
		if err != nil && !errors.Is(err, errKid) {
			fault = err
		}
		return raw, err
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(t.now))
	switch {
	case fault != nil:
		return fault
	case err != nil:
		return fmt.Errorf("%w: %w", rollcall.ErrAuthentication, err)
	case c.IssuedAt == nil:
		return fmt.Errorf("%w: token has no iat", rollcall.ErrAuthentication)
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
func (t *tokens) key(ctx context.Context, kid any) ([]byte, error) {
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

func (t *tokens) open(key *roll.TokenKey) ([]byte, error) {
	if have, ok := t.opened.Load(key.ID); ok && have.(*openedKey).of == key {
		return have.(*openedKey).raw, nil
	}
	raw, err := t.vault.Open(roll.TokenKeyContext(key.ID), key.Sealed)
	if err != nil {
		return nil, err
	}
	t.opened.Store(key.ID, &openedKey{of: key, raw: raw})
	return raw, nil
}
