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

// The prefixes by which a scanner for leaked secrets knows a bearer token:
//
//	rca_ secret _ name     the secret 52 of A-Z2-7, the name as ValidID
const (
	adminTokenPrefix      = "rca_"
	gameServerTokenPrefix = "rcg_"
)

func newBearer(prefix, name string) string { return prefix + rand.Text() + rand.Text() + "_" + name }

// bearerName returns the name in a bearer token's text, or
// rollcall.ErrAuthentication.
func bearerName(prefix, text string) (string, error) {
	rest, ok := strings.CutPrefix(text, prefix)
	_, name, _ := strings.Cut(rest, "_")
	if !ok || !rollcall.ValidID(name) {
		return "", fmt.Errorf("%w: not a token of this API", rollcall.ErrAuthentication)
	}
	return name, nil
}

// CreateAdminToken makes a token for the operators' API and returns its text,
// once. Errors: ErrInvalid, ErrExists.
func (s *Service) CreateAdminToken(ctx context.Context, actor, name string) (string, error) {
	if !rollcall.ValidID(name) {
		return "", invalid("name", "1 to 64 of A-Za-z0-9_.-")
	}
	text := newBearer(adminTokenPrefix, name)
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
	name, err := bearerName(adminTokenPrefix, text)
	if err != nil {
		return "", err
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

// CreateGameServer makes a game server and returns its token's text, once. Of g,
// the ID and Games are read. Errors: ErrInvalid, ErrExists.
func (s *Service) CreateGameServer(ctx context.Context, actor string, g rollcall.GameServer) (*rollcall.GameServer, string, error) {
	if !rollcall.ValidID(g.ID) {
		return nil, "", invalid("id", "1 to 64 of A-Za-z0-9_.-")
	}
	if err := checkCodes(g.Games); err != nil {
		return nil, "", err
	}
	text, now := newBearer(gameServerTokenPrefix, g.ID), s.now()
	server := GameServer{
		GameServer: rollcall.GameServer{ID: g.ID, Games: g.Games, CreatedAt: now, UpdatedAt: now},
		Hashes:     [][]byte{s.vault.Hash(GameServerContext(g.ID), text)},
	}
	detail := "all games"
	if len(g.Games) > 0 {
		detail = "games " + strings.Join(g.Games, " ")
	}
	err := s.directory.GameServers().Create(ctx, s.entry(actor, "game-server.create", g.ID, detail), g.ID, server)
	if err != nil {
		return nil, "", named("game server", g.ID, err)
	}
	return &server.GameServer, text, nil
}

// checkCodes takes what can be the codes of games; there need be no such games
// yet.
func checkCodes(games []string) error {
	for _, code := range games {
		if !rollcall.ValidID(code) {
			return invalid("games", "codes of games")
		}
	}
	return nil
}

// VerifyGameServer returns the game server whose token has this text, or
// rollcall.ErrAuthentication.
func (s *Service) VerifyGameServer(ctx context.Context, text string) (*GameServer, error) {
	id, err := bearerName(gameServerTokenPrefix, text)
	if err != nil {
		return nil, err
	}
	server, err := s.directory.GameServers().Get(ctx, id)
	if errors.Is(err, rollcall.ErrNotFound) {
		return nil, fmt.Errorf("%w: no such game server", rollcall.ErrAuthentication)
	}
	if err != nil {
		return nil, err
	}
	for _, hash := range server.Hashes {
		if s.vault.Matches(GameServerContext(id), text, hash) {
			return server, nil
		}
	}
	return nil, fmt.Errorf("%w: wrong token of a game server", rollcall.ErrAuthentication)
}

// RotateGameServerToken gives a game server a new token and returns its text,
// once. The token before it works until the next rotation, older ones end.
func (s *Service) RotateGameServerToken(ctx context.Context, actor, id string) (string, error) {
	text := newBearer(gameServerTokenPrefix, id)
	_, err := s.updateGameServer(ctx, s.entry(actor, "game-server.rotate-token", id, ""), func(g *GameServer) error {
		g.Hashes = append(g.Hashes[max(0, len(g.Hashes)-1):], s.vault.Hash(GameServerContext(id), text))
		return nil
	})
	return text, err
}

// ChangeGameServer applies change to a game server's Games.
func (s *Service) ChangeGameServer(ctx context.Context, actor, id string, change func(*rollcall.GameServer)) (*rollcall.GameServer, error) {
	return s.updateGameServer(ctx, s.entry(actor, "game-server.change", id, ""), func(g *GameServer) error {
		wanted := g.GameServer
		change(&wanted)
		g.Games = wanted.Games
		return checkCodes(g.Games)
	})
}

func (s *Service) updateGameServer(ctx context.Context, entry rollcall.AuditEntry, change func(*GameServer) error) (*rollcall.GameServer, error) {
	g, err := s.directory.GameServers().Update(ctx, entry, entry.Subject, func(g *GameServer) error {
		g.UpdatedAt = s.now()
		return change(g)
	})
	if err != nil {
		return nil, named("game server", entry.Subject, err)
	}
	return &g.GameServer, nil
}

// DeleteGameServer removes a game server, whose token is of no use from then on,
// and ends its sessions as lost.
func (s *Service) DeleteGameServer(ctx context.Context, actor, id string) error {
	if err := s.directory.GameServers().Delete(ctx, s.entry(actor, "game-server.delete", id, ""), id); err != nil {
		return named("game server", id, err)
	}
	if err := s.sessions.Boot(ctx, id, "", s.now()); err != nil {
		return err
	}
	_, err := s.endOtherBoots(ctx, id, "")
	return err
}

// GameServer returns a game server, or rollcall.ErrNotFound.
func (s *Service) GameServer(ctx context.Context, id string) (*rollcall.GameServer, error) {
	g, err := s.directory.GameServers().Get(ctx, id)
	if err != nil {
		return nil, named("game server", id, err)
	}
	return &g.GameServer, nil
}

// GameServers returns at most limit game servers with an ID greater than after,
// by ID.
func (s *Service) GameServers(ctx context.Context, after string, limit int) ([]*rollcall.GameServer, error) {
	list, err := s.directory.GameServers().List(ctx, "", after, limit)
	servers := make([]*rollcall.GameServer, len(list))
	for i, g := range list {
		servers[i] = &g.GameServer
	}
	return servers, err
}
