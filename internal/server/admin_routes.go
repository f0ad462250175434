package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// adminRoutes is the route table of /admin/v1: a line a call.
func (s *Server) adminRoutes() map[string]http.Handler {
	const ok, created, empty = http.StatusOK, http.StatusCreated, http.StatusNoContent
	routes := make(map[string]http.Handler)
	for pattern, h := range map[string]http.Handler{
		"POST /agents":                                    operate(s, created, s.createAgent),
		"GET /agents":                                     operate(s, ok, s.listAgents),
		"GET /agents/{agent}":                             operate(s, ok, s.showAgent),
		"PATCH /agents/{agent}":                           operate(s, ok, s.changeAgent),
		"DELETE /agents/{agent}":                          operate(s, empty, s.deleteAgent),
		"POST /agents/{agent}/block":                      operate(s, ok, s.setStatus(rollcall.AgentBlocked)),
		"POST /agents/{agent}/unblock":                    operate(s, ok, s.setStatus(rollcall.AgentActive)),
		"POST /agents/{agent}/revoke-tokens":              operate(s, ok, s.revokeTokens),
		"POST /agents/{agent}/api-keys":                   operate(s, created, s.addKey(roll.KindAPIKey)),
		"DELETE /agents/{agent}/api-keys/{key}":           operate(s, ok, s.retireKey(roll.KindAPIKey)),
		"POST /agents/{agent}/secret-keys":                operate(s, created, s.addKey(roll.KindSecretKey)),
		"DELETE /agents/{agent}/secret-keys/{key}":        operate(s, ok, s.retireKey(roll.KindSecretKey)),
		"POST /agents/{agent}/members":                    operate(s, created, s.createMember),
		"GET /agents/{agent}/members":                     operate(s, ok, s.listMembers),
		"GET /agents/{agent}/members/{member}":            operate(s, ok, s.showMember),
		"PUT /agents/{agent}/webhook":                     operate(s, ok, s.setWebhook),
		"POST /agents/{agent}/members/{member}/suspend":   operate(s, ok, s.setSuspended(true)),
		"POST /agents/{agent}/members/{member}/unsuspend": operate(s, ok, s.setSuspended(false)),
		"GET /agents/{agent}/members/{member}/history":    operate(s, ok, s.showTimeline),
		"PATCH /agents/{agent}/members/{member}":          operate(s, ok, s.changeMember),
		"DELETE /agents/{agent}/members/{member}":         operate(s, empty, s.deleteMember),
		"POST /branches":                                  operate(s, created, s.createBranch),
		"GET /branches":                                   operate(s, ok, s.listBranches),
		"GET /branches/{branch}":                          operate(s, ok, s.showBranch),
		"PATCH /branches/{branch}":                        operate(s, ok, s.changeBranch),
		"DELETE /branches/{branch}":                       operate(s, empty, s.deleteBranch),
		"POST /games":                                     operate(s, created, s.createGame),
		"GET /games":                                      operate(s, ok, s.listGames),
		"GET /games/{game}":                               operate(s, ok, s.showGame),
		"PATCH /games/{game}":                             operate(s, ok, s.changeGame),
		"DELETE /games/{game}":                            operate(s, empty, s.deleteGame),
		"POST /game-servers":                              operate(s, created, s.createGameServer),
		"GET /game-servers":                               operate(s, ok, s.listGameServers),
		"GET /game-servers/{server}":                      operate(s, ok, s.showGameServer),
		"PATCH /game-servers/{server}":                    operate(s, ok, s.changeGameServer),
		"DELETE /game-servers/{server}":                   operate(s, empty, s.deleteGameServer),
		"POST /game-servers/{server}/token":               operate(s, created, s.rotateGameServerToken),
		"POST /game-servers/{server}/drain":               operate(s, ok, s.setDraining(true)),
		"POST /game-servers/{server}/undrain":             operate(s, ok, s.setDraining(false)),
		"POST /kicks":                                     operate(s, created, s.kick),
		"GET /kicks":                                      operate(s, ok, s.listKicks),
		"GET /kicks/{kick}":                               operate(s, ok, s.showKick),
		"POST /kicks/{kick}/abort":                        operate(s, ok, s.abortKick),
		"GET /history":                                    operate(s, ok, s.listOnlineAt),
		"GET /webhooks":                                   operate(s, ok, s.listDeliveries),
		"POST /webhooks/{webhook}/retry":                  operate(s, ok, s.retryDelivery),
		"GET /sessions":                                   operate(s, ok, s.listSessions),
		"GET /sessions/{session}":                         operate(s, ok, s.showSession),
		"GET /session-counts":                             operate(s, ok, s.countSessions),
		"POST /token-keys":                                operate(s, created, s.rotateTokenKey),
		"GET /token-keys":                                 operate(s, ok, s.listTokenKeys),
		"POST /admin-tokens":                              operate(s, created, s.createToken),
		"GET /admin-tokens":                               operate(s, ok, s.listTokens),
		"DELETE /admin-tokens/{token}":                    operate(s, empty, s.deleteToken),
		"GET /audit":                                      operate(s, ok, s.listAudit),
		"GET /requests/{request}":                         operate(s, ok, s.showRequest),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		routes[method+" "+admin.Prefix+path] = h
	}
	return routes
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limit returns the query's limit.
func limit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Errorf("%w limit: want 1 to %d", rollcall.ErrInvalid, maxLimit)
	}
	return n, nil
}

// list makes the page of a list: fetch is asked for limit items behind after,
// and key gives the item's place.
func list[T any](r *http.Request, fetch func(after string, limit int) ([]T, error), key func(T) string) (admin.Page[T], error) {
	return pageOf(r, "after", fetch, key)
}

// listBack makes the page of a list that goes backwards.
func listBack[T any](r *http.Request, fetch func(before string, limit int) ([]T, error), key func(T) string) (admin.Page[T], error) {
	return pageOf(r, "before", fetch, key)
}

func pageOf[T any](r *http.Request, cursor string, fetch func(at string, limit int) ([]T, error), key func(T) string) (page admin.Page[T], err error) {
	n, err := limit(r)
	if err != nil {
		return page, err
	}
	items, err := fetch(r.URL.Query().Get(cursor), n)
	if err != nil {
		return page, err
	}
	if page.Items = items; len(items) == n {
		page.Next = key(items[n-1])
	}
	return page, nil
}

type (
	agentPage   = admin.Page[*rollcall.Agent]
	branchPage  = admin.Page[*rollcall.Branch]
	gamePage    = admin.Page[*rollcall.Game]
	memberPage  = admin.Page[*rollcall.Member]
	sessionPage = admin.Page[rollcall.Session]
	keyPage     = admin.Page[rollcall.KeyInfo]
	pastPage    = admin.Page[rollcall.EndedSession]
	serverPage  = admin.Page[*rollcall.GameServer]
	kickPage    = admin.Page[rollcall.Kick]
	hookPage    = admin.Page[rollcall.WebhookDelivery]
)
