package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// The paths of the v2 API (spec 5–7).
const (
	PathAuth           = "/v2/auth"
	PathSessionsCheck  = "/v2/members/sessions/check"
	PathSessionsLogout = "/v2/members/sessions/logout"
	PathMembers        = "/v2/members"
	PathMembersOnline  = "/v2/members/online"
	PathOpenGame       = "/v2/opengame"
)

// AccessTokenLifetime is how long an access token is good for (spec 5.2).
const AccessTokenLifetime = time.Hour

// An AuthRequest asks for an access token (spec 5.1).
type AuthRequest struct {
	AgentID string `json:"agentId"`
	// Secret is the agent's SecretKey, not its APIKey.
	Secret string `json:"secret"`
}

// Decode reads a plaintext strictly. The error is rollcall.ErrParameters.
func (r *AuthRequest) Decode(plaintext []byte) error {
	return decodeObject(plaintext,
		field{name: "agentId", to: &r.AgentID},
		field{name: "secret", to: &r.Secret})
}

// An AuthResponse is the data that answers an AuthRequest (spec 5.2).
type AuthResponse struct {
	AccessToken string `json:"accessToken"`
	// ExpiresIn is the token's lifetime in seconds.
	ExpiresIn int    `json:"expiresIn"`
	TokenType string `json:"tokenType"`
}

// NewAuthResponse returns the data that hands out token.
func NewAuthResponse(token string) AuthResponse {
	return AuthResponse{AccessToken: token, ExpiresIn: int(AccessTokenLifetime.Seconds()), TokenType: bearer}
}

// AppendJSON appends the data to dst.
func (r AuthResponse) AppendJSON(dst []byte) []byte { return appendJSON(dst, r) }

// appendJSON is for the answers that are not on the hot path.
func appendJSON(dst []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wire: %T: %v", v, err)) // strings and numbers always encode
	}
	return append(dst, text...)
}
