package explain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

var nonceKinds = []Kind{
	{
		Code: "nonce-reused", Step: stepNonce, Spec: "2, 8", What: "The nonce was used before.",
		Mend: "Make 16 new random bytes for each request and each attempt, and sign anew. A retry, also one of the HTTP library or a proxy, must not send the same request again.",
	},
}

var secretKinds = []Kind{
	{
		Code: "auth-agentid-differs", Step: stepSecret, Spec: "5.1", What: "agentId inside cipherText is not x-agentid.",
		Mend: "Send the same id, of the same case, in both places.",
	},
	{
		Code: "secret-is-api-key", Step: stepSecret, Spec: "5.1", What: "The API key is sent as the secret.",
		Mend: "secret is the Secret key. The API key seals and is never sent.",
	},
	{
		Code: "secret-white-space", Step: stepSecret, Spec: "5.1", What: "The secret has white space around it.",
		Mend: "Trim it: files end in a line end.",
	},
	{
		Code: "secret-wrong", Step: stepSecret, Spec: "5.1, 5.4", What: "The secret is not the agent's Secret key.",
		Mend: "Send the Secret key as it was given to you, as it is: not hashed, not encoded. Test and live systems have keys of their own.",
	},
}

func (x *exam) nonceStep() {
	c, checked := x.checked(stepNonce)
	switch {
	case x.req.Reused:
		x.fault("nonce-reused", 0, "an earlier request of this capture has it")
	case checked && strings.Contains(c.Reason, "used before"):
		x.fault("nonce-reused", 0, "by the server's record")
	case checked && c.Passed:
		x.found(stepNonce, Right, "the server had not seen it")
	case x.passedBy():
		if code, _ := x.answered(); code != 84 {
			x.found(stepNonce, Right, "the answer tells that it was new")
			return
		}
		fallthrough
	default:
		x.found(stepNonce, Unknown, "whether it was used before, only the server's record tells (--log-uuid)")
	}
}

// The step secret, of a login.
func (x *exam) secretStep() {
	if x.endpoint != wire.PathAuth {
		return
	}
	c, checked := x.checked(stepSecret)
	var in struct{ AgentID, Secret string }
	if !x.open.ok || json.Unmarshal(x.open.plaintext, &in) != nil {
		x.secretUnseen(checked, c.Passed, c.Reason)
		return
	}
	known, fits := x.knownSecret(in.Secret)
	switch {
	case in.AgentID != "" && in.AgentID != x.agentID:
		x.fault("auth-agentid-differs", 0, "")
	case in.Secret == "" || fits || checked && c.Passed:
		x.found(stepSecret, Right, "agentId is x-agentid, secret the Secret key")
	case x.isAPIKey(in.Secret):
		x.fault("secret-is-api-key", 0, "")
	case strings.TrimSpace(in.Secret) != in.Secret:
		x.fault("secret-white-space", 0, "")
	case known:
		x.fault("secret-wrong", 0, "by the credentials")
	case checked && !c.Passed:
		x.fault("secret-wrong", 0, "by the server's record")
	default:
		x.found(stepSecret, Unknown, "agentId is x-agentid; whether the secret is right cannot be known without the Secret key (--credentials, --secret-file)")
	}
}

func (x *exam) secretUnseen(checked, passed bool, reason string) {
	switch {
	case checked && passed:
		x.found(stepSecret, Right, "the server has found it right")
	case strings.Contains(reason, "differs"):
		x.fault("auth-agentid-differs", 0, "by the server's record")
	case checked:
		x.fault("secret-wrong", 0, "by the server's record")
	default:
		x.found(stepSecret, Unknown, "it cannot be looked at, since cipherText was not opened")
	}
}

// knownSecret reports whether a Secret key of the agent is known, and is this one.
func (x *exam) knownSecret(secret string) (known, fits bool) {
	for _, a := range x.know.Agents {
		if a.Secret != "" && (a.ID == "" || a.ID == x.agentID) {
			known = true
			fits = fits || a.Secret == secret
		}
	}
	return known, fits
}

func (x *exam) isAPIKey(secret string) bool {
	return slices.ContainsFunc(x.know.Agents, func(a Agent) bool { return slices.Contains(a.APIKeys, strings.ToLower(secret)) })
}

// recorded adds what the server has found out by itself, and the capture does not
// show: it may lack the body, or the key.
func (x *exam) recorded() {
	if x.know.Record == nil {
		return
	}
	for _, f := range x.know.Record.Findings {
		if k, ok := kindOf(f.Code); ok && !slices.ContainsFunc(x.rep.step(k.Step).Findings, func(have Finding) bool { return have.Code == f.Code }) {
			x.fault(f.Code, f.Value, "by the server's record")
		}
	}
}

// The step answer says what the server has said.
func (x *exam) answer() {
	status, uuid := 0, ""
	if a := x.req.Answer; a != nil {
		status, uuid = a.Status, a.LogUUID
	}
	if r := x.know.Record; r != nil {
		status, uuid = r.Status, r.LogUUID
	}
	x.rep.LogUUID = clip(uuid, 64)
	code, known := x.answered()
	switch {
	case !known && status == 0:
		return
	case !known:
		x.found(stepAnswer, Unknown, "HTTP %d, without an envelope: something in front of the service may have answered", status)
		return
	}
	text := fmt.Sprintf("code %d: %s", code, wire.Code(code).Message())
	if code != 0 && wire.Code(code).Message() == wire.CodeInternal.Message() && code != int(wire.CodeInternal) {
		text = fmt.Sprintf("code %d", code)
	}
	if status != 0 && status != 200 {
		text += fmt.Sprintf(", HTTP %d", status)
	}
	if uuid != "" {
		text += ", logUUID " + clip(uuid, 64)
	}
	x.found(stepAnswer, Right, "%s", text)
}
