package conform

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// headerTests: what is wrong with one header is code 83. A changed value is signed
// as it is, so that its form alone is wrong.
func headerTests() []test {
	var rows []row
	for _, name := range []string{wire.HeaderAuthorization, wire.HeaderAgentID, wire.HeaderTimestamp, wire.HeaderNonce, wire.HeaderSignature} {
		id := strings.TrimPrefix(strings.ToLower(name), "x-")
		for _, fault := range []struct {
			id, title string
			severity  Severity
			change    func(h http.Header)
		}{
			{"missing", "no header %s", Should, func(h http.Header) { delete(h, name) }},
			{"empty", "%s empty", Should, func(h http.Header) { h[name] = []string{""} }},
			{"twice", "%s sent twice", Ours, func(h http.Header) { h[name] = append(h[name], h[name]...) }},
			{"list", "%s twice in one line, as a proxy joins them", Ours, func(h http.Header) { h[name] = []string{h[name][0] + ", " + h[name][0]} }},
			{"long", "%s of 5,000 characters", Ours, func(h http.Header) { h[name] = []string{strings.Repeat("1", 5000)} }},
			{"accent", "%s with é behind", Ours, func(h http.Header) { h[name] = []string{h[name][0] + "é"} }},
		} {
			rows = append(rows, row{id + "-" + fault.id, fmt.Sprintf(fault.title, strings.ToLower(name)), "2", fault.severity, header(fault.change), refusedBy(codeAuth)})
		}
	}
	rows = append(rows, formRows()...)
	return table("headers", RolePrimary, wire.PathSessionsCheck, append(rows, bearerRows()...))
}

func nonce(n string) change     { return func(r *request) { r.head.Nonce = n } }
func timestamp(s string) change { return func(r *request) { r.head.Timestamp = s } }

// retime changes the right timestamp's text.
func retime(f func(string) string) change {
	return func(r *request) { r.head.Timestamp = f(r.head.Timestamp) }
}

func formRows() []row {
	refused := refusedBy(codeAuth)
	nonceOf := strings.ToLower(newNonce())
	dashed := nonceOf[:8] + "-" + nonceOf[8:12] + "-" + nonceOf[12:16] + "-" + nonceOf[16:20] + "-" + nonceOf[20:]
	return []row{
		{"timestamp-seconds", "x-timestamp in seconds", "2", Should, retime(func(s string) string { return s[:10] }), refused},
		{"timestamp-microseconds", "x-timestamp in microseconds", "2", Should, retime(func(s string) string { return s + "000" }), refused},
		{"timestamp-14-digits", "x-timestamp with a 0 in front", "2", Ours, retime(func(s string) string { return "0" + s }), refused},
		{"timestamp-sign", "x-timestamp with a + in front", "2", Ours, retime(func(s string) string { return "+" + s[:12] }), refused},
		{"timestamp-point", "x-timestamp with a fraction", "2", Ours, retime(func(s string) string { return s[:10] + "." + s[10:12] }), refused},
		{"timestamp-words", "x-timestamp as a date", "2", Should, timestamp("2026-01-30T04:00:00Z"), refused},
		{"nonce-31", "x-nonce of 31 characters", "2", Ours, nonce(newNonce()[:31]), refused},
		{"nonce-33", "x-nonce of 33 characters", "2", Ours, nonce(newNonce() + "a"), refused},
		{"nonce-dash", "x-nonce with a dash", "2", Ours, nonce(newNonce()[:31] + "-"), refused},
		{"nonce-uuid", "x-nonce as a UUID with dashes", "2", Ours, nonce(dashed), refused},
		{"nonce-lower-case", "x-nonce in lower-case letters and digits", "2", Must, nonce(strings.ToLower(newNonce())), accepted},
		{"agentid-65", "x-agentid of 65 characters", "2", Ours, func(r *request) { r.head.AgentID = strings.Repeat("a", 65) }, refused},
		{"agentid-case", "x-agentid with other capitals", "2", Should, func(r *request) { r.head.AgentID = swapCase(r.head.AgentID) }, refused},
		{"agentid-unknown", "an agent that there is not", "8", Should, func(r *request) { r.head.AgentID = newName() }, refused},
	}
}

func bearerRows() []row {
	refused := refusedBy(codeAuth)
	scheme := func(f func(token string) string) change {
		return header(func(h http.Header) {
			h[wire.HeaderAuthorization] = []string{f(strings.TrimPrefix(h[wire.HeaderAuthorization][0], "Bearer "))}
		})
	}
	return []row{
		{"authorization-lower-case", "the scheme as bearer", "2", Ours, scheme(func(t string) string { return "bearer " + t }), accepted},
		{"authorization-no-scheme", "the token without its scheme", "2", Ours, scheme(func(t string) string { return t }), refused},
		{"authorization-basic", "the scheme Basic", "2", Should, scheme(func(t string) string { return "Basic " + t }), refused},
		{"authorization-two-spaces", "two spaces before the token", "2", Ours, scheme(func(t string) string { return "Bearer  " + t }), refused},
		{"authorization-no-token", "the scheme alone", "2", Should, scheme(func(string) string { return "Bearer" }), refused},
		{"authorization-quotes", "the token in quotes", "2", Ours, scheme(func(t string) string { return `Bearer "` + t + `"` }), refused},
	}
}

// swapCase turns capitals into small letters and small ones into capitals.
func swapCase(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		}
		return c
	}, s)
}
