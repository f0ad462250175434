package explain

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

var agentKinds = []Kind{
	{
		Code: "agent-unknown", Step: stepAgent, Spec: "5.4, 8", What: "The server knows no agent of this id.",
		Mend: "Look at x-agentid (case counts) and at the base URL: test and live systems have agents of their own.",
	},
	{
		Code: "agent-case", Step: stepAgent, Spec: "2", What: "The agent's id is written in another case than it was given in.",
		Mend: "Write x-agentid as it was given to you; case counts. Where your code is right, look at what a proxy does to the header.",
	},
	{
		Code: "agent-blocked", Step: stepAgent, Spec: "5.4, 8", What: "The agent is blocked.",
		Mend: "Ask the service's operator: nothing in the request can mend it.",
	},
}

var tokenKinds = []Kind{
	{
		Code: "token-malformed", Step: stepToken, Spec: "5.3", What: "The access token is no JWT.",
		Mend: "Send accessToken of the answer of /v2/auth as it is, whole: three parts with two points. No key is a token.",
	},
	{
		Code: "token-algorithm", Step: stepToken, Spec: "5.3", What: "The access token is not signed with HS256.",
		Mend: "Do not make tokens: send accessToken of the answer of /v2/auth.",
	},
	{
		Code: "token-other-environment", Step: stepToken, Spec: "5.3", What: "The access token is of another environment: this service has not signed it.",
		Mend: "Fetch the token from /v2/auth of the same base URL, and keep a token for each environment apart. After its keys were changed twice a service refuses older tokens, too: fetch a new one.",
	},
	{
		Code: "token-altered", Step: stepToken, Spec: "5.3", What: "The access token was changed or cut: its signature does not fit.",
		Mend: "Send accessToken as it is. Look for a column or a variable that is too short.",
	},
	{
		Code: "token-expired", Step: stepToken, Spec: "5.3", What: "The access token had been expired for {v}.", say: sayMillis,
		Mend: "Fetch a new one from /v2/auth before expiresIn (3600 s) has passed since the last, such as a minute earlier.",
	},
	{
		Code: "token-not-yet", Step: stepToken, Spec: "5.3", What: "The access token is not valid yet: its iat is {v} ahead.", say: sayMillis,
		Mend: "Do not make tokens, and look at the clocks: a token of /v2/auth is good at once.",
	},
	{
		Code: "token-agent-mismatch", Step: stepToken, Spec: "5.3", What: "The access token is another agent's than x-agentid.",
		Mend: "Keep one token for each agent, and send the one of the agent in x-agentid.",
	},
	{
		Code: "token-claims", Step: stepToken, Spec: "5.3", What: "The access token has not the claims agentId, iat and exp.",
		Mend: "Send accessToken of the answer of /v2/auth, and not a token of another system.",
	},
	{
		Code: "token-revoked", Step: stepToken, Spec: "5.5", What: "The access token was revoked.",
		Mend: "Fetch a new one from /v2/auth. A client should do so once after each code 83.",
	},
	{
		Code: "token-refused", Step: stepToken, Spec: "5.3", What: "The server has refused the access token.", vague: true,
		Mend: "Fetch a new one from /v2/auth of the same base URL.",
	},
}

// claims are what a token says; nothing of it is proved.
type claims struct {
	alg, agentID, issuer string
	kid                  bool
	issuedAt, expiresAt  time.Time
}

// readClaims reads a token's first two parts; nil where they cannot be read.
func readClaims(token string) *claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 8192 {
		return nil
	}
	var head struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	var body struct {
		AgentID string      `json:"agentId"`
		Issuer  string      `json:"iss"`
		Iat     json.Number `json:"iat"`
		Exp     json.Number `json:"exp"`
	}
	for i, into := range []any{&head, &body} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return nil
		}
	}
	return &claims{
		alg: head.Alg, kid: head.Kid != "", agentID: body.AgentID, issuer: body.Issuer,
		issuedAt: seconds(body.Iat), expiresAt: seconds(body.Exp),
	}
}

func seconds(n json.Number) time.Time {
	f, err := n.Float64()
	if err != nil || f <= 0 || f > 1e11 {
		return time.Time{}
	}
	return time.UnixMilli(int64(f * 1000))
}

// agent is what only the server's record and the credentials can tell.
func (x *exam) agent() {
	c, found := x.checked(stepAgent)
	switch {
	case found && strings.Contains(c.Reason, "blocked"):
		x.fault("agent-blocked", 0, "")
	case found && !c.Passed:
		x.fault("agent-unknown", 0, "")
	case found || x.passedBy():
		x.found(stepAgent, Right, "%s is known", clip(ShownID(x.agentID), 64))
	default:
		x.found(stepAgent, Unknown, "whether the server knows the agent, only its record tells (--log-uuid)")
	}
	for _, a := range x.know.Agents {
		if a.ID != x.agentID && strings.EqualFold(a.ID, x.agentID) {
			x.fault("agent-case", 0, "the credentials have "+clip(a.ID, 64))
		}
	}
}

const tokenLeeway = time.Minute // spec 5.3

func (x *exam) tokenStep() {
	if !x.withToken() {
		return
	}
	c := x.claims
	switch {
	case x.token == "":
		x.found(stepToken, Unknown, "there is no token to look at")
	case c == nil:
		x.fault("token-malformed", 0, "")
	default:
		x.lookAt(c)
	}
	x.tokenVerdict()
}

func (x *exam) lookAt(c *claims) {
	if c.alg != "HS256" {
		x.fault("token-algorithm", 0, "its alg is "+clip(c.alg, 10))
	}
	if c.issuer != "" || !c.kid || !c.expiresAt.IsZero() && !c.issuedAt.IsZero() && c.expiresAt.Sub(c.issuedAt) != time.Hour {
		x.fault("token-other-environment", 0, foreign(c))
	} else if c.agentID == "" || c.issuedAt.IsZero() || c.expiresAt.IsZero() {
		x.fault("token-claims", 0, "")
	}
	x.tokenOwner(c)
	unsure := x.tokenTimes(c)
	if !x.has(stepToken) {
		x.found(stepToken, Right, "of %s, from %s to %s%s", clip(c.agentID, 64), c.issuedAt.UTC().Format(time.RFC3339), c.expiresAt.UTC().Format("15:04:05"), unsure)
	}
}

// tokenOwner compares the token's agent with x-agentid. Where only the case differs
// it is the header that was changed, and once said that is enough.
func (x *exam) tokenOwner(c *claims) {
	id := bare(x.agentID)
	switch {
	case c.agentID == "" || id == "" || c.agentID == id:
	case !strings.EqualFold(c.agentID, id):
		x.fault("token-agent-mismatch", 0, "it is of "+clip(c.agentID, 64))
	case !x.hasFinding("header-case-changed", 1):
		x.fault("agent-case", 0, "the token's is "+clip(c.agentID, 64))
	}
}

// foreign says what in the claims is not of Rollcall's making.
func foreign(c *claims) string {
	switch {
	case c.issuer != "":
		return "it names an issuer, iss: " + clip(c.issuer, 60)
	case !c.kid:
		return "it names no key, kid"
	}
	return fmt.Sprintf("it is good for %s and not for an hour", short(c.expiresAt.Sub(c.issuedAt)))
}

// tokenTimes compares the claims with the time of sending, and where that is not
// known with x-timestamp, unless that is ahead of now.
func (x *exam) tokenTimes(c *claims) (unsure string) {
	at, _, assumed := x.sentAt()
	if stamp, ok := x.stamp(); ok && (at.IsZero() || assumed && stamp.Sub(at) <= x.know.MaxClockSkew) {
		at, assumed = stamp, false
	}
	if at.IsZero() {
		return ""
	}
	if late := at.Sub(c.expiresAt); !c.expiresAt.IsZero() && late >= tokenLeeway {
		if assumed {
			unsure = ", expired by now; whether it was when it was sent, --at tells"
		} else {
			x.fault("token-expired", late.Milliseconds(), "")
		}
	}
	if early := c.issuedAt.Sub(at); early > tokenLeeway {
		x.fault("token-not-yet", early.Milliseconds(), "").Assumed = assumed
	}
	return unsure
}

// tokenVerdict adds what the server's record says.
func (x *exam) tokenVerdict() {
	c, found := x.checked(stepToken)
	switch {
	case !found && x.passedBy(), found && c.Passed:
		x.found(stepToken, Right, "the server has accepted it")
	case !found && x.token != "" && !x.has(stepToken):
		x.found(stepToken, Unknown, "%s; whether this server has signed it, only its record tells (--log-uuid)", x.rep.step(stepToken).Found)
	case found && !x.has(stepToken):
		x.refusedToken(c.Reason)
	}
}

func (x *exam) refusedToken(reason string) {
	code := "token-refused"
	for _, row := range [][2]string{
		{"key is unknown", "token-other-environment"},
		{"signing method", "token-algorithm"},
		{"signature is invalid", "token-altered"},
		{"malformed", "token-malformed"},
		{"another agent", "token-agent-mismatch"},
		{"revoked", "token-revoked"},
		{"expired", "token-expired"},
		{"not valid yet", "token-not-yet"},
	} {
		if strings.Contains(reason, row[0]) {
			code = row[1]
			break
		}
	}
	x.fault(code, 0, "by the server's record")
}
