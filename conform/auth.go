package conform

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// secretText makes the plaintext from agentId and secret.
func secretText(f func(agentID, secret string) string) change {
	return func(r *request) { r.plaintext = f(r.agent.AgentID, r.agent.SecretKey) }
}

func authTests() []test {
	all := table("auth", RolePrimary, wire.PathAuth, append(authAnswerRows(), authSecretRows()...))
	all = append(all, table("auth", RolePrimary, wire.PathAuth, authFormRows())...)
	all = append(all, table("auth", RoleBlocked, wire.PathAuth, []row{
		{"blocked", "a token for a blocked agent", "5.4", Must, asIs, answers(codeAgent)},
	})...)
	all = append(all, table("auth", RoleBlocked, wire.PathSessionsCheck, []row{
		{"blocked-check", "a check by a blocked agent, with another's token", "8", Should, asIs, refusedBy(codeAuth)},
	})...)
	all = append(all, table("auth", RoleHMAC, wire.PathAuth, []row{
		{"hmac", "a token for an agent of the hmac profile", "3.4", Ours, asIs, accepted},
	})...)
	return append(all, steps("auth/two-tokens", "a second token leaves the first one good", "5.5", Ours, twoTokens))
}

func authAnswerRows() []row {
	return []row{
		{"right", "a token for the right secret", "5.2", Must, asIs, data("accessToken, expiresIn 3600, tokenType Bearer", func(v wire.AuthResponse) string {
			if v.AccessToken == "" || v.ExpiresIn != 3600 || v.TokenType != "Bearer" {
				return fmt.Sprintf("a token of %d characters, expiresIn %d, tokenType %q", len(v.AccessToken), v.ExpiresIn, v.TokenType)
			}
			return ""
		})},
		{"jwt", "the token is a JWT of HS256 for this agent and an hour", "5.3", Must, asIs, data("a JWT", func(v wire.AuthResponse) string { return jwtWrong(v.AccessToken) })},
		{"order", "data has accessToken, expiresIn, tokenType in this order", "5.2", Ours, asIs, accepted.and("the members in order", func(a *answer) string {
			return namesWrong(a.reply.Data, []string{"accessToken", "expiresIn", "tokenType"})
		})},
		{"authorization-ignored", "Authorization is sent though none is needed", "2", Ours, setHeader(wire.HeaderAuthorization, "Bearer x.y.z"), accepted},
		{"members-order", "secret before agentId", "7.5", Should, secretText(func(id, secret string) string {
			return fmt.Sprintf(`{"secret":%q,"agentId":%q}`, secret, id)
		}), accepted},
		{"more-members", "a member that nobody asked for", "5.1", Ours, secretText(func(id, secret string) string {
			return fmt.Sprintf(`{"agentId":%q,"secret":%q,"x":[1]}`, id, secret)
		}), accepted},
	}
}

// claims are those of an access token (spec 5.3).
type claims struct {
	AgentID  string `json:"agentId"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

func jwtWrong(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Sprintf("a token of %d parts", len(parts))
	}
	var head struct{ Alg string }
	var c claims
	for i, v := range []any{&head, &c} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, v) != nil {
			return fmt.Sprintf("a token whose part %d is no JSON in base64", i+1)
		}
	}
	switch {
	case head.Alg != "HS256":
		return fmt.Sprintf("alg %q", head.Alg)
	case c.AgentID == "":
		return "no agentId among the claims"
	case c.Expires-c.IssuedAt != 3600:
		return fmt.Sprintf("a lifetime of %d s by the claims", c.Expires-c.IssuedAt)
	}
	return ""
}

func authSecretRows() []row {
	refused := answers(codeAgent)
	return []row{
		{"wrong-secret", "a wrong secret", "5.4", Must, secretText(func(id, _ string) string { return authText(id, "wrong") }), refused},
		{"secret-cut", "the secret without its last character", "5.4", Must, secretText(func(id, s string) string { return authText(id, s[:max(len(s)-1, 0)]) }), refused},
		{"secret-longer", "the secret with a character behind", "5.4", Must, secretText(func(id, s string) string { return authText(id, s+"x") }), refused},
		{"secret-case", "the secret with other capitals", "5.4", Must, secretText(func(id, s string) string { return authText(id, swapCase(s)) }), refused},
		{"secret-empty", "an empty secret", "5.4", Should, secretText(func(id, _ string) string { return authText(id, "") }), refusedBy(codeAgent)},
		{"api-key-as-secret", "the API key in place of the secret", "5.1", Must, func(r *request) { r.plaintext = authText(r.agent.AgentID, r.agent.APIKey) }, refused},
		{"agent-differs", "another agentId inside than in x-agentid", "5.1", Ours, secretText(func(_, s string) string { return authText("nobody", s) }), refused},
		{"agent-inside-case", "agentId inside with other capitals", "5.1", Ours, secretText(func(id, s string) string { return authText(swapCase(id), s) }), refused},
		{"unknown-agent", "an agent that there is not", "5.4", Must, func(r *request) {
			r.head.AgentID = newName()
			r.plaintext = authText(r.head.AgentID, "secret")
		}, refused},
	}
}

func authFormRows() []row {
	wrong := answers(wire.CodeParameters)
	return []row{
		{"no-secret", "no secret in the plaintext", "5.1", Ours, secretText(func(id, _ string) string { return fmt.Sprintf(`{"agentId":%q}`, id) }), wrong},
		{"no-agentid", "no agentId in the plaintext", "5.1", Ours, secretText(func(_, s string) string { return fmt.Sprintf(`{"secret":%q}`, s) }), wrong},
		{"secret-null", "secret null", "5.4", Ours, secretText(func(id, _ string) string { return fmt.Sprintf(`{"agentId":%q,"secret":null}`, id) }), wrong},
		{"secret-number", "secret a number", "5.4", Ours, secretText(func(id, _ string) string { return fmt.Sprintf(`{"agentId":%q,"secret":1}`, id) }), wrong},
		{"secret-array", "secret an array", "5.4", Ours, secretText(func(id, s string) string { return fmt.Sprintf(`{"agentId":%q,"secret":[%q]}`, id, s) }), wrong},
		{"not-json", "a plaintext that is no JSON", "5.4", Ours, plain("agentId=x&secret=y"), wrong},
		{"duplicate", "secret twice, the same", "1.2", Ours, secretText(func(id, s string) string {
			return fmt.Sprintf(`{"agentId":%q,"secret":%q,"secret":%q}`, id, s, s)
		}), wrong},
		{"bad-signature", "a wrong signature", "5.4", Should, signature(oneDigitOff), refusedBy(codeAuth)},
		{"bad-ciphertext", "a cipherText that does not open", "5.4", Should, cipherText(flipAt(50)), refusedBy(codeDecryption)},
		{"bad-body", "a body that is no JSON", "5.4", Ours, bodyText("x"), wrong},
		{"no-nonce", "no x-nonce", "2", Should, setHeader(wire.HeaderNonce), refusedBy(codeAuth)},
	}
}

func twoTokens(t *trial) error {
	var tokens []string
	for range 2 {
		req, err := t.request(RolePrimary, wire.PathAuth)
		if err != nil {
			return err
		}
		text, err := t.login(req)
		if err != nil {
			return err
		}
		tokens = append(tokens, text)
	}
	for _, text := range tokens {
		req, err := t.request(RolePrimary, wire.PathSessionsCheck)
		if err != nil {
			return err
		}
		req.head.AccessToken = text
		if err := t.want(req, accepted); err != nil {
			return err
		}
	}
	return nil
}
