package roll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-server/rollcall"
)

// tokenKeySize is that of an HS256 key that is as strong as its hash.
const tokenKeySize = 32

// RotateTokenKey makes a new key for access tokens, and the newest at once. The
// key before it goes on verifying until the next rotation, older ones are
// deleted with all their tokens: so wait an hour between rotations, or rotate
// twice to end every token now.
func (s *Service) RotateTokenKey(ctx context.Context, actor string) (rollcall.KeyInfo, error) {
	keys, err := s.directory.TokenKeys().List(ctx, "", "", listLimit)
	if err != nil {
		return rollcall.KeyInfo{}, err
	}
	raw := make([]byte, tokenKeySize)
	rand.Read(raw)
	key := TokenKey{ID: newID(), CreatedAt: s.now()}
	key.Sealed = s.vault.Seal(TokenKeyContext(key.ID), raw)
	if err := s.directory.TokenKeys().Create(ctx, s.entry(actor, "token-key.create", key.ID, ""), key.ID, key); err != nil {
		return rollcall.KeyInfo{}, named("token key", key.ID, err)
	}
	for _, old := range keys[:max(0, len(keys)-1)] {
		if err := s.directory.TokenKeys().Delete(ctx, s.entry(actor, "token-key.delete", old.ID, ""), old.ID); err != nil {
			return rollcall.KeyInfo{}, named("token key", old.ID, err)
		}
	}
	return rollcall.KeyInfo{ID: key.ID, CreatedAt: key.CreatedAt}, nil
}

// TokenKeys returns the keys for access tokens, oldest first.
func (s *Service) TokenKeys(ctx context.Context) ([]rollcall.KeyInfo, error) {
	keys, err := s.directory.TokenKeys().List(ctx, "", "", listLimit)
	infos := make([]rollcall.KeyInfo, len(keys))
	for i, k := range keys {
		infos[i] = rollcall.KeyInfo{ID: k.ID, CreatedAt: k.CreatedAt}
	}
	return infos, err
}

// adminTokenPrefix lets a scanner for leaked secrets know an admin token:
//
//	rca_ secret _ name     the secret 52 of A-Z2-7, the name as ValidID
const adminTokenPrefix = "rca_"

// CreateAdminToken makes a token for the operators' API and returns its text,
// once. Errors: ErrInvalid, ErrExists.
func (s *Service) CreateAdminToken(ctx context.Context, actor, name string) (string, error) {
	if !rollcall.ValidID(name) {
		return "", invalid("name", "1 to 64 of A-Za-z0-9_.-")
	}
	text := adminTokenPrefix + rand.Text() + rand.Text() + "_" + name
	token := AdminToken{Name: name, CreatedAt: s.now(), Hash: s.vault.Hash(AdminTokenContext(name), text)}
	err := s.directory.AdminTokens().Create(ctx, s.entry(actor, "admin-token.create", name, ""), name, token)
	if err != nil {
		return "", named("admin token", name, err)
	}
	return text, nil
}

// VerifyAdminToken returns the name of the admin token with this text, or
// rollcall.ErrAuthentication.
func (s *Service) VerifyAdminToken(ctx context.Context, text string) (string, error) {
	rest, _ := strings.CutPrefix(text, adminTokenPrefix)
	_, name, _ := strings.Cut(rest, "_")
	if !rollcall.ValidID(name) {
		return "", fmt.Errorf("%w: not an admin token", rollcall.ErrAuthentication)
	}
	token, err := s.directory.AdminTokens().Get(ctx, name)
	if errors.Is(err, rollcall.ErrNotFound) {
		return "", fmt.Errorf("%w: no such admin token", rollcall.ErrAuthentication)
	}
	if err != nil {
		return "", err
	}
	if !s.vault.Matches(AdminTokenContext(name), text, token.Hash) {
		return "", fmt.Errorf("%w: wrong admin token", rollcall.ErrAuthentication)
	}
	return name, nil
}

// DeleteAdminToken ends a token at once. The last one stays (ErrInUse), so that
// nobody locks themselves out; ErrNotFound.
func (s *Service) DeleteAdminToken(ctx context.Context, actor, name string) error {
	tokens, err := s.AdminTokens(ctx)
	if err != nil {
		return err
	}
	if len(tokens) == 1 && tokens[0].ID == name {
		return fmt.Errorf("admin token %q: %w: it is the only one", name, rollcall.ErrInUse)
	}
	return namedIf("admin token", name, s.directory.AdminTokens().Delete(ctx, s.entry(actor, "admin-token.delete", name, ""), name))
}

// AdminTokens returns the names of the admin tokens, as the IDs, by name.
func (s *Service) AdminTokens(ctx context.Context) ([]rollcall.KeyInfo, error) {
	tokens, err := s.directory.AdminTokens().List(ctx, "", "", listLimit)
	infos := make([]rollcall.KeyInfo, len(tokens))
	for i, t := range tokens {
		infos[i] = rollcall.KeyInfo{ID: t.Name, CreatedAt: t.CreatedAt}
	}
	return infos, err
}
