package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// kinds have, for each code that every server can be asked for, a request that is
// answered by it.
var kinds = []struct {
	code   wire.Code
	as, to string
	change change
}{
	{codeNoMember, RolePrimary, wire.PathSessionsCheck, unknownMember},
	{codeAgent, RolePrimary, wire.PathAuth, plain(`{"agentId":"nobody","secret":"wrong"}`)},
	{wire.CodeParameters, RolePrimary, wire.PathSessionsCheck, plain(`{}`)},
	{codeNoBranch, RoleNoBranch, wire.PathSessionsCheck, asIs},
	{codeAuth, RolePrimary, wire.PathSessionsCheck, signature(oneDigitOff)},
	{codeDecryption, RolePrimary, wire.PathSessionsCheck, cipherText(flipAt(50))},
}

// unknownMember asks for one that there is not.
func unknownMember(r *request) {
	r.username = newName()
	r.plaintext = jsonOf(wire.MemberRequest{Username: r.username})
}

func envelopeTests() []test {
	all := table("envelope", RolePrimary, wire.PathSessionsCheck, []row{
		{"right-request", "a right request", "6", Must, asIs, accepted},
		{"code-message-loguuid", "code is a number, message and logUUID are strings", "1.4", Must, asIs, accepted.and("with its members", membersWrong)},
		{"order", "members in the order code, message, data, logUUID", "1.4", Ours, asIs, accepted.and("members in order", orderWrong)},
		{
			"error-without-data", "no data, and no other member, with another code than 0", "1.4", Ours, unknownMember,
			answers(codeNoMember).and("code, message and logUUID alone", orderWrong),
		},
		{"loguuid-form", "logUUID is a lower-case UUID", "1.4", Should, asIs, accepted.and("a UUID", uuidWrong)},
		{"loguuid-header", "X-Log-UUID repeats logUUID", "1.4", Ours, asIs, accepted.and("the header X-Log-UUID", headerWrong)},
		{"content-type", "the answer is application/json", "1.2", Should, asIs, accepted.and("JSON by its Content-Type", typeWrong)},
	})
	all = append(all, steps("envelope/loguuid-unique", "no logUUID comes twice, in the whole run until here", "1.5", Must, uniqueLogUUID))
	for _, k := range kinds {
		for _, one := range []row{
			{"status", fmt.Sprintf("HTTP status 200 with code %d", k.code), "1.6", Ours, k.change, answersStatus(200, k.code)},
			{"message", fmt.Sprintf("the message of code %d", k.code), "9", Ours, k.change, answers(k.code).and(k.code.Message(), messageWrong)},
		} {
			one.id = fmt.Sprintf("%s-%d", one.id, k.code)
			all = append(all, table("envelope", k.as, k.to, []row{one})...)
		}
	}
	return append(all, alikeTests()...)
}

func messageWrong(a *answer) string {
	if got := a.reply.Message; got != a.reply.Code.Message() {
		return fmt.Sprintf("message %q", got)
	}
	return ""
}

func membersWrong(a *answer) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &members); err != nil {
		return "no object"
	}
	for name, first := range map[string]string{"code": "-0123456789", "message": `"`, "logUUID": `"`} {
		text := members[name]
		if len(text) == 0 || !strings.ContainsAny(first, string(text[:1])) {
			return fmt.Sprintf("%s: %q", name, text)
		}
	}
	return ""
}

func orderWrong(a *answer) string {
	want := []string{"code", "message", "logUUID"}
	if a.reply.Code == wire.CodeOK {
		want = []string{"code", "message", "data", "logUUID"}
	}
	return namesWrong(a.body, want)
}

// namesWrong holds an object's member names, in their order, to want.
func namesWrong(text []byte, want []string) string {
	got, err := namesOf(text)
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("the members %q in place of %q", got, want)
	}
	return ""
}

// namesOf returns the names of an object's members, in their order.
func namesOf(text []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%q is no object", clip(string(text)))
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprint(name))
	}
	return names, nil
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func uuidWrong(a *answer) string {
	if !uuid.MatchString(a.reply.LogUUID) {
		return fmt.Sprintf("logUUID %q", a.reply.LogUUID)
	}
	return ""
}

func headerWrong(a *answer) string {
	if got := a.header.Get(wire.HeaderLogUUID); got != a.reply.LogUUID || got == "" {
		return fmt.Sprintf("the header %q beside logUUID %q", got, a.reply.LogUUID)
	}
	return ""
}

func typeWrong(a *answer) string {
	if media, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || media != "application/json" {
		return fmt.Sprintf("Content-Type %q", a.header.Get("Content-Type"))
	}
	return ""
}

func uniqueLogUUID(t *trial) error {
	for range 3 {
		req, err := t.request(RolePrimary, wire.PathSessionsCheck)
		if err != nil {
			return err
		}
		err = t.want(req, accepted.and("a logUUID that no other answer has", func(*answer) string {
			t.r.mu.Lock()
			defer t.r.mu.Unlock()
			if t.r.repeated != "" {
				return "logUUID " + t.r.repeated + " twice"
			}
			return ""
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// alikeTests: what a stranger sees must not tell how near he is.
func alikeTests() []test {
	check, auth := wire.PathSessionsCheck, wire.PathAuth
	return []test{
		alike("83", "the answers of code 83 are alike, whatever was wrong", "8", check, codeAuth, map[string]change{
			"no signature":       setHeader(wire.HeaderSignature),
			"a wrong signature":  signature(oneDigitOff),
			"an old timestamp":   func(r *request) { r.head.Timestamp = "1000000000000" },
			"a malformed nonce":  func(r *request) { r.head.Nonce = "short" },
			"a wrong token":      token(func(string) string { return "x.y.z" }),
			"an unknown agent":   func(r *request) { r.head.AgentID = "nobody" },
			"no access token":    setHeader(wire.HeaderAuthorization),
			"a malformed agent":  setHeader(wire.HeaderAgentID, "no body"),
			"no agent in header": setHeader(wire.HeaderAgentID),
		}),
		alike("84", "the answers of code 84 are alike, whatever was wrong", "4.3", check, codeDecryption, map[string]change{
			"a changed tag":       cipherText(flipAt(20)),
			"a changed body":      cipherText(flipAt(50)),
			"no base64":           cipherText(func(string) string { return strings.Repeat("!", 60) }),
			"nothing":             cipherText(func(string) string { return "" }),
			"sealed by a new key": func(r *request) { r.seal = otherSeal },
		}),
		alike("10", "the answers of code 10 are alike, whatever was wrong", "5.4", auth, codeAgent, map[string]change{
			"a wrong secret":          func(r *request) { r.plaintext = authText(r.agent.AgentID, "wrong") },
			"another agent inside":    func(r *request) { r.plaintext = authText("nobody", r.agent.SecretKey) },
			"an agent that is not":    func(r *request) { r.head.AgentID = "nobody" },
			"an agent with no secret": func(r *request) { r.plaintext = authText(r.agent.AgentID, "") },
		}),
	}
}

func authText(agentID, secret string) string {
	return jsonOf(wire.AuthRequest{AgentID: agentID, Secret: secret})
}

// alike makes the case that answers differ in their logUUID alone.
func alike(name, title, spec, to string, c wire.Code, changes map[string]change) test {
	return steps("envelope/alike-"+name, title, spec, Ours, func(t *trial) error {
		first := ""
		for what, change := range changes {
			req, err := t.request(RolePrimary, to)
			if err != nil {
				return err
			}
			change(req)
			err = t.want(req, answers(c).and("the same text for each reason", func(a *answer) string {
				text := fmt.Sprintf("HTTP %d ", a.status) + strings.ReplaceAll(string(a.body), a.reply.LogUUID, "")
				if first == "" {
					first = text
				}
				if text != first {
					return fmt.Sprintf("after %s %q, after another fault %q", what, clip(text), clip(first))
				}
				return ""
			}))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
