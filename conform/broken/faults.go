package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// faults are what the proxy can be told to do wrong.
var faults = map[string]fault{
	"replay":           {about: "accepts a nonce that was used", ask: freshNonce},
	"race":             {about: "looks whether a nonce was used, and only later notes it", ask: racingNonce},
	"replay-auth":      {about: "checks nonces everywhere but at /v2/auth", ask: freshNonceAtAuth},
	"nonce-early":      {about: "spends the nonce before the token is proved", ask: spendEarly},
	"nonce-global":     {about: "keeps the nonces of all agents together", ask: globalNonce},
	"old-signature":    {about: "takes the older documentation's signature too", ask: oldSignature},
	"no-signature":     {about: "does not look at the signature", ask: anySignature},
	"hmac-downgrade":   {about: "takes the plain signature of an hmac agent", ask: plainForHMAC},
	"no-timestamp":     {about: "does not look at the timestamp", ask: anyTimestamp},
	"lenient-base64":   {about: "reads URL-safe and unpadded base64", ask: lenientBase64},
	"skips-newlines":   {about: "reads base64 with line ends in it", ask: skipsNewlines},
	"null-for-empty":   {about: "answers null where there is no session", tell: replace(`"data":[]`, `"data":null`)},
	"key-order":        {about: "writes sessionInfo's members in another order", tell: replace(`"deviceType":1,"ipaddress":"127.0.0.1"`, `"ipaddress":"127.0.0.1","deviceType":1`)},
	"extra-member":     {about: "adds a member to sessionInfo", tell: replace(`"agentType":`, `"sessionId":"1","agentType":`)},
	"device-from-0":    {about: "shows deviceType as the launch had it", tell: replace(`"deviceType":1`, `"deviceType":0`)},
	"telltale-83":      {about: "says in an 83 what was wrong", tell: telltale},
	"http-401":         {about: "answers 83 with HTTP status 401", tell: status401},
	"any-agents-token": {about: "takes another agent's token", ask: anyAgentsToken},
	"alg-none":         {about: "takes a token with alg none", ask: algNone},
	"case-blind":       {about: "finds members whatever their capitals", ask: caseBlind},
	"duplicates":       {about: "takes JSON with a member twice, the last one counts", ask: lenientJSON},
	"trims-names":      {about: "trims white space around a username", ask: trimsNames},
	"no-tenancy":       {about: "shows another agent's member", tell: showsOthers},
	"same-loguuid":     {about: "has the same logUUID in each answer", tell: sameLogUUID},
	"code-as-text":     {about: "writes the code as a string", tell: codeAsText},
	"any-secret":       {about: "hands out tokens for a wrong secret", ask: anySecret},
	"secret-case":      {about: "compares the secret without case", ask: secretCase},
	"kick-nothing":     {about: "answers a kick and ends nothing", ask: kickNothing},
	"create-again":     {about: "answers 0 for a member that there is", tell: createAgain},
	"lobby-http":       {about: "takes any lobbyUrl", ask: anyLobby},
	"data-with-error":  {about: "has data null beside an error", tell: dataWithError},
	"two-in-one-error": {about: "answers a wrong cipherText like a wrong plaintext", tell: replace(`"code":84,"message":"Decryption Failed"`, `"code":11,"message":"Parameters error"`)},
}

// fair reports whether the call is right but for what a fault forgives: it is known
// who calls.
func (c *call) fair() bool { return c.agent != nil && c.rightly }

func freshNonce(_ *proxy, c *call) *answer {
	if c.fair() && wire.ValidNonce(c.head.Nonce) {
		c.head.Nonce = newNonce()
		c.resign()
	}
	return nil
}

func freshNonceAtAuth(p *proxy, c *call) *answer {
	if c.uri == wire.PathAuth {
		return freshNonce(p, c)
	}
	return nil
}

// racingNonce forgives a nonce that is used by calls that are under way.
func racingNonce(p *proxy, c *call) *answer {
	nonce := c.head.Nonce
	if !c.fair() || !wire.ValidNonce(nonce) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonces[nonce] > 0 {
		return nil // the server knows it, and refuses it
	}
	if p.busy[nonce]++; p.busy[nonce] > 1 {
		c.head.Nonce = newNonce()
		c.resign()
	}
	c.rejoin = func() {
		time.Sleep(10 * time.Millisecond) // as long as a slow store takes to note it
		p.mu.Lock()
		defer p.mu.Unlock()
		p.nonces[nonce]++
	}
	return nil
}

// seen counts a nonce and reports whether it was there before.
func (p *proxy) seen(nonce string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonces[nonce]++
	return p.nonces[nonce] > 1
}

func spendEarly(p *proxy, c *call) *answer {
	if c.agent != nil && wire.ValidNonce(c.head.Nonce) && p.seen(c.agent.id+c.head.Nonce) {
		return refusal("83", "Authentication Failed")
	}
	return nil
}

func globalNonce(p *proxy, c *call) *answer {
	if c.fair() && c.plaintext != "" && p.seen(c.head.Nonce) {
		return refusal("83", "Authentication Failed")
	}
	return nil
}

// refusal is an answer of the proxy's own.
func refusal(code, message string) *answer {
	id := hex.EncodeToString([]byte(newNonce()))
	id = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:32]
	h := http.Header{"Content-Type": {"application/json"}, wire.HeaderLogUUID: {id}}
	return &answer{http.StatusOK, h, fmt.Appendf(nil, `{"code":%s,"message":%q,"logUUID":%q}`, code, message, id)}
}

func oldSignature(_ *proxy, c *call) *answer {
	if c.agent == nil {
		return nil
	}
	body := `{"cipherText":"` + c.cipherText + `"}`
	sum := sha256.Sum256([]byte(c.head.AgentID + c.head.Timestamp + c.head.Nonce + body))
	if c.head.Signature == hex.EncodeToString(sum[:]) {
		c.resign()
	}
	return nil
}

func anySignature(_ *proxy, c *call) *answer {
	if c.agent != nil && len(c.head.Signature) == 64 && len(c.header[wire.HeaderSignature]) == 1 {
		c.resign()
	}
	return nil
}

func plainForHMAC(_ *proxy, c *call) *answer {
	if c.agent != nil && c.agent.profile == rollcall.SignatureHMAC && c.head.VerifySignature(rollcall.SignaturePlain, nil, c.cipherText) {
		c.resign()
	}
	return nil
}

func anyTimestamp(_ *proxy, c *call) *answer {
	if c.fair() && len(c.head.Timestamp) == 13 {
		c.head.Timestamp = wire.FormatTimestamp(time.Now()) //nolint:forbidigo // the fault needs the true time
		c.resign()
	}
	return nil
}

// mend replaces the cipherText by what a lenient reader would take it for.
func (c *call) mend(cipherText string) *answer {
	if c.fair() && cipherText != c.cipherText {
		if _, err := c.agent.key.Open(cipherText); err == nil {
			c.cipherText = cipherText
			c.resign()
		}
	}
	return nil
}

func lenientBase64(_ *proxy, c *call) *answer {
	text := strings.NewReplacer("-", "+", "_", "/").Replace(c.cipherText)
	if len(text) > 38 && text[38] != '=' {
		text = text[:38] + "==" + text[38:]
	}
	for len(text)%4 != 0 {
		text += "="
	}
	return c.mend(text)
}

func skipsNewlines(_ *proxy, c *call) *answer {
	return c.mend(strings.NewReplacer("\r", "", "\n", "").Replace(c.cipherText))
}

func replace(old, text string) func(*proxy, *call, *answer) {
	return func(_ *proxy, _ *call, a *answer) { a.body = bytes.ReplaceAll(a.body, []byte(old), []byte(text)) }
}

func (a *answer) has(code int) bool {
	reply, err := wire.ParseReply(a.body)
	return err == nil && int(reply.Code) == code
}

func telltale(p *proxy, c *call, a *answer) {
	if a.has(83) && c.agent != nil && !c.rightly {
		replace("Authentication Failed", "Authentication Failed: signature")(p, c, a)
	}
}

func status401(_ *proxy, _ *call, a *answer) {
	if a.has(83) {
		a.status = http.StatusUnauthorized
	}
}

func anyAgentsToken(p *proxy, c *call) *answer {
	if !c.fair() {
		return nil
	}
	for _, other := range p.agents {
		if strings.Contains(claimsOf(c.head.AccessToken), fmt.Sprintf(`"agentId":%q`, other.id)) && other != c.agent {
			if right := p.tokenOf(other); right != "" && signed(c.head.AccessToken) {
				c.head.AccessToken = p.tokenOf(c.agent)
				c.resign()
			}
			return nil
		}
	}
	return nil
}

func claimsOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(text)
}

// signed reports whether a token has a signature at all.
func signed(token string) bool { return !strings.HasSuffix(token, ".") }

func algNone(p *proxy, c *call) *answer {
	head, _, _ := strings.Cut(c.head.AccessToken, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	if c.fair() && strings.Contains(string(text), `"alg":"none"`) && strings.Contains(claimsOf(c.head.AccessToken), c.agent.id) {
		c.head.AccessToken = p.tokenOf(c.agent)
		c.resign()
	}
	return nil
}

// rename changes the username of the plaintext.
func (c *call) rename(f func(string) string) *answer {
	var in map[string]any
	if !c.fair() || json.Unmarshal([]byte(c.plaintext), &in) != nil {
		return nil
	}
	if name, ok := in["username"].(string); ok && f(name) != name {
		in["username"] = f(name)
		text, _ := json.Marshal(in) // it was JSON
		c.reseal(string(text))
	}
	return nil
}

func caseBlind(_ *proxy, c *call) *answer {
	return c.rename(func(name string) string {
		if strings.EqualFold(name[:min(6, len(name))], "player") { // the cast's names are lower-case
			return strings.ToLower(name)
		}
		return name
	})
}

func trimsNames(_ *proxy, c *call) *answer { return c.rename(strings.TrimSpace) }

// lenientJSON reads as encoding/json does: of a member that stands twice the last
// one counts.
func lenientJSON(_ *proxy, c *call) *answer {
	var in map[string]any
	if c.fair() && json.Unmarshal([]byte(c.plaintext), &in) == nil && in != nil {
		text, _ := json.Marshal(in) // it was JSON
		c.reseal(string(text))
	}
	return nil
}

func showsOthers(p *proxy, c *call, a *answer) {
	if c.uri != wire.PathSessionsCheck || !a.has(8) {
		return
	}
	for _, other := range p.agents {
		if other == c.agent || other.role != "other" {
			continue
		}
		if got, err := p.pass(context.Background(), p.callAs(other, c.uri, c.plaintext, p.tokenOf(other))); err == nil && got.has(0) {
			*a = *got
		}
	}
}

func sameLogUUID(_ *proxy, _ *call, a *answer) {
	const id = "955585ed-adeb-436e-8be0-ebf2b81b7d15"
	if reply, err := wire.ParseReply(a.body); err == nil {
		a.body = bytes.ReplaceAll(a.body, []byte(reply.LogUUID), []byte(id))
		a.header.Set(wire.HeaderLogUUID, id)
	}
}

func codeAsText(_ *proxy, c *call, a *answer) {
	if reply, err := wire.ParseReply(a.body); err == nil && c.uri != wire.PathAuth {
		a.body = bytes.Replace(a.body, fmt.Appendf(nil, `"code":%d`, reply.Code), fmt.Appendf(nil, `"code":"%d"`, reply.Code), 1)
	}
}

func anySecret(_ *proxy, c *call) *answer {
	var in wire.AuthRequest
	if c.fair() && c.uri == wire.PathAuth && in.Decode([]byte(c.plaintext)) == nil && in.AgentID == c.agent.id {
		c.reseal(fmt.Sprintf(`{"agentId":%q,"secret":%q}`, c.agent.id, c.agent.secret))
	}
	return nil
}

func secretCase(p *proxy, c *call) *answer {
	var in wire.AuthRequest
	if c.agent != nil && in.Decode([]byte(c.plaintext)) == nil && strings.EqualFold(in.Secret, c.agent.secret) {
		return anySecret(p, c)
	}
	return nil
}

// kickNothing passes no kick on of a member that there is.
func kickNothing(p *proxy, c *call) *answer {
	if !c.fair() || c.uri != wire.PathSessionsLogout || c.plaintext == "" || c.head.AccessToken == "" {
		return nil
	}
	got, err := p.pass(context.Background(), p.callAs(c.agent, wire.PathSessionsCheck, c.plaintext, p.tokenOf(c.agent)))
	if err == nil && got.has(0) {
		return refusal("0", "No error.")
	}
	return nil
}

func createAgain(p *proxy, c *call, a *answer) {
	replace(`"code":6,"message":"The username already exist."`, `"code":0,"message":"No error."`)(p, c, a)
}

func anyLobby(_ *proxy, c *call) *answer {
	if c.fair() && c.uri == wire.PathOpenGame && strings.Contains(c.plaintext, `"lobbyUrl":"http://`) {
		c.reseal(strings.Replace(c.plaintext, `"lobbyUrl":"http://`, `"lobbyUrl":"https://`, 1))
	}
	return nil
}

func dataWithError(_ *proxy, _ *call, a *answer) {
	if !a.has(0) {
		a.body = bytes.Replace(a.body, []byte(`,"logUUID"`), []byte(`,"data":null,"logUUID"`), 1)
	}
}
