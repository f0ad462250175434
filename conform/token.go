package conform

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

var b64url = base64.RawURLEncoding

// A jwt is an access token taken apart.
type jwt struct {
	head, claims map[string]any
	signature    string
}

// parseJWT reads a token; of one that is no JWT it has what there is.
func parseJWT(token string) jwt {
	j := jwt{head: map[string]any{}, claims: map[string]any{}}
	parts := append(strings.Split(token, "."), "", "", "")
	for i, v := range []*map[string]any{&j.head, &j.claims} {
		text, _ := b64url.DecodeString(parts[i])
		_ = json.Unmarshal(text, v) // what is no JSON stays empty
	}
	j.signature = parts[2]
	return j
}

func (j jwt) signed() string {
	return b64url.EncodeToString([]byte(jsonOf(j.head))) + "." + b64url.EncodeToString([]byte(jsonOf(j.claims)))
}

// forged takes the right token apart, lets f change a copy, and puts it together
// with what f returns as its signature.
func forged(f func(r *request, j *jwt) string) change {
	return func(r *request) {
		j := parseJWT(r.head.AccessToken)
		j.head, j.claims = maps.Clone(j.head), maps.Clone(j.claims)
		s := f(r, &j)
		r.head.AccessToken = j.signed() + "." + s
	}
}

// signedBy forges a fresh token of the right claims, under a key that a stranger, or
// an agent, may think of.
func signedBy(alg string, newHash func() hash.Hash, key func(r *request) []byte) change {
	return forged(func(r *request, j *jwt) string {
		j.head["alg"] = alg
		now := time.Now().Unix() //nolint:forbidigo // a forger has his own clock
		j.claims["iat"], j.claims["exp"] = now, now+3600
		mac := hmac.New(newHash, key(r))
		mac.Write([]byte(j.signed()))
		return b64url.EncodeToString(mac.Sum(nil))
	})
}

func alg(name, signature string) change {
	return forged(func(_ *request, j *jwt) string {
		j.head["alg"] = name
		return signature
	})
}

func claim(name string, value any) change {
	return forged(func(_ *request, j *jwt) string {
		j.claims[name] = value
		return j.signature
	})
}

func tokenTests() []test {
	all := table("token", RolePrimary, wire.PathSessionsCheck, append(algRows(), claimRows()...))
	return append(all, steps("token/other-agent", "another agent's token", "5.3", Should, func(t *trial) error {
		other, err := t.agent(RoleOther)
		if err != nil {
			return err
		}
		text, err := t.token(other)
		if err != nil {
			return err
		}
		req, err := t.request(RolePrimary, wire.PathSessionsCheck)
		if err != nil {
			return err
		}
		req.head.AccessToken = text
		return t.want(req, refusedBy(codeAuth))
	}))
}

func algRows() []row {
	refused := refusedBy(codeAuth)
	fixed := func(key string) func(*request) []byte { return func(*request) []byte { return []byte(key) } }
	return []row{
		{"alg-none", "alg none, without a signature", "5.3", Should, alg("none", ""), refused},
		{"alg-none-case", "alg NoNe, without a signature", "5.3", Should, alg("NoNe", ""), refused},
		{"alg-none-empty", "alg empty, without a signature", "5.3", Should, alg("", ""), refused},
		{"alg-none-signed", "alg none, with the old signature", "5.3", Should, forged(func(_ *request, j *jwt) string {
			j.head["alg"] = "none"
			return j.signature
		}), refused},
		{"no-signature", "the signature left out", "5.3", Should, forged(func(*request, *jwt) string { return "" }), refused},
		{"key-empty", "signed under an empty key", "5.3", Should, signedBy("HS256", sha256.New, fixed("")), refused},
		{"key-secret", `signed under "secret"`, "5.3", Should, signedBy("HS256", sha256.New, fixed("secret")), refused},
		{"key-api-key", "signed under the agent's API key", "5.3", Should, signedBy("HS256", sha256.New, func(r *request) []byte { return []byte(r.agent.APIKey) }), refused},
		{"key-secret-key", "signed under the agent's Secret key", "5.3", Should, signedBy("HS256", sha256.New, func(r *request) []byte { return []byte(r.agent.SecretKey) }), refused},
		{"key-agent-id", "signed under the agent's ID", "5.3", Should, signedBy("HS256", sha256.New, func(r *request) []byte { return []byte(r.agent.AgentID) }), refused},
		{"alg-hs512", "HS512 under an empty key", "5.3", Should, signedBy("HS512", sha512.New, fixed("")), refused},
		{"alg-rs256", "alg RS256", "5.3", Should, alg("RS256", "AAAA"), refused},
	}
}

func claimRows() []row {
	refused := refusedBy(codeAuth)
	return []row{
		{"exp-later", "exp an hour later, with the old signature", "5.3", Should, forged(func(_ *request, j *jwt) string {
			if exp, ok := j.claims["exp"].(float64); ok {
				j.claims["exp"] = exp + 3600
			}
			j.claims["x"] = 1 // also where there is no exp the text is another
			return j.signature
		}), refused},
		{"agent-changed", "agentId changed, with the old signature", "5.3", Should, claim("agentId", "nobody"), refused},
		{"signature-bit", "one bit of the signature changed", "5.3", Should, token(func(s string) string { return flipAt(len(s) - 10)(s) }), refused},
		{"cut", "the last 4 characters missing", "5.3", Should, token(func(s string) string { return s[:max(len(s)-4, 1)] }), refused},
		{"two-parts", "the claims without their header", "5.3", Should, token(func(s string) string {
			_, rest, _ := strings.Cut(s, ".")
			return rest
		}), refused},
		{"no-jwt", "a token that is no JWT", "5.3", Should, token(func(string) string { return "abc" }), refused},
		{"points", "three empty parts", "5.3", Should, token(func(string) string { return ".." }), refused},
		{"kid-unknown", "a kid that there is not", "5.3", Ours, forged(func(_ *request, j *jwt) string {
			j.head["kid"] = "nobody"
			return j.signature
		}), refused},
		{"secret-as-token", "the Secret key as token", "5.1", Should, func(r *request) { r.head.AccessToken = r.agent.SecretKey }, refused},
		{"twice", "the token twice", "5.3", Should, token(func(s string) string { return s + "." + s }), refused},
	}
}
