package conform

import (
	"fmt"
	"net/http"

	"github.com/rollcall-server/rollcall/wire"
)

// orderTests have two faults a request: the check that comes first answers (spec 8).
func orderTests() []test {
	badJSON, badCipher := bodyText("x"), cipherText(flipAt(50))
	badSignature, badToken := signature(oneDigitOff), token(func(string) string { return "x.y.z" })
	text := setHeader("Content-Type", "text/plain")
	wrong := func(status int) expect { return answersStatus(status, wire.CodeParameters) }
	check := table("order", RolePrimary, wire.PathSessionsCheck, []row{
		{"method-path", "GET of a path that is none", "8", Ours, both(method(http.MethodGet), path("/v2/nothing")), notAllowed},
		{"path-content-type", "a path that is none, and text/plain", "8", Ours, both(path("/v2/nothing"), text), wrong(http.StatusNotFound)},
		{"content-type-size", "text/plain, and a body of 70,000 bytes", "8", Ours, both(text, padTo(70_000)), wrong(http.StatusUnsupportedMediaType)},
		{"size-json", "a body of 70,000 bytes that is no JSON", "8", Ours, body(func([]byte) []byte { return make([]byte, 70_000) }), wrong(http.StatusRequestEntityTooLarge)},
		{"json-headers", "a body that is no JSON, and no x-nonce", "8", Ours, both(badJSON, setHeader(wire.HeaderNonce)), answers(wire.CodeParameters)},
		{"json-signature", "a body without cipherText, and a wrong signature", "8", Ours, both(bodyText(`{}`), badSignature), answers(wire.CodeParameters)},
		{"headers-ciphertext", "no x-nonce, and a cipherText that does not open", "8", Ours, both(setHeader(wire.HeaderNonce), badCipher), answers(codeAuth)},
		{"agent-ciphertext", "an unknown agent, and a cipherText that does not open", "8", Ours, both(func(r *request) { r.head.AgentID = newName() }, badCipher), answers(codeAuth)},
		{"timestamp-ciphertext", "an old timestamp, and a cipherText that does not open", "8", Ours, both(timestamp("1000000000000"), badCipher), answers(codeAuth)},
		{"signature-ciphertext", "a wrong signature, and a cipherText that does not open", "8", Ours, both(badSignature, badCipher), answers(codeAuth)},
		{"token-ciphertext", "a wrong token, and a cipherText that does not open", "8", Ours, both(badToken, badCipher), answers(codeAuth)},
		{"token-plaintext", "a wrong token, and a plaintext of the wrong form", "8", Ours, both(badToken, plain(`{}`)), answers(codeAuth)},
		{"signature-plaintext", "a wrong signature, and a plaintext of the wrong form", "8", Ours, both(badSignature, plain(`{}`)), answers(codeAuth)},
	})
	auth := table("order", RolePrimary, wire.PathAuth, []row{
		{"auth-headers-agent", "a malformed nonce, and an unknown agent", "8", Ours, both(nonce("short"), func(r *request) { r.head.AgentID = newName() }), answers(codeAuth)},
		{"auth-agent-timestamp", "an unknown agent, and an old timestamp", "8", Ours, both(func(r *request) { r.head.AgentID = newName() }, timestamp("1000000000000")), answers(codeAgent)},
		{"auth-signature-secret", "a wrong signature, and a wrong secret", "8", Ours, both(badSignature, secretText(func(id, _ string) string { return authText(id, "wrong") })), answers(codeAuth)},
		{"auth-ciphertext-timestamp", "an old timestamp, and a cipherText that does not open", "8", Ours, both(timestamp("1000000000000"), badCipher), answers(codeAuth)},
		{"auth-plaintext-secret", "a plaintext without agentId, and a wrong secret", "8", Ours, plain(`{"secret":"wrong"}`), answers(wire.CodeParameters)},
	})
	branch := table("order", RoleNoBranch, wire.PathSessionsCheck, []row{
		{"plaintext-branch", "a plaintext of the wrong form, by an agent without a branch", "8", Ours, plain(`{}`), answers(wire.CodeParameters)},
		{"branch-member", "an unknown member, by an agent without a branch", "8", Ours, unknownMember, answers(codeNoBranch)},
	})
	return append(append(append(check, auth...), branch...), usedNonceTests()...)
}

// usedNonceTests have a used nonce as one of the two faults.
func usedNonceTests() []test {
	var all []test
	for _, row := range []struct {
		id, what string
		change   change
		want     wire.Code
	}{
		{"ciphertext-nonce", "a cipherText that does not open", cipherText(flipAt(50)), codeDecryption},
		{"nonce-plaintext", "a plaintext of the wrong form", plain(`{}`), codeAuth},
		{"nonce-member", "an unknown member", unknownMember, codeAuth},
	} {
		title := fmt.Sprintf("a used nonce, and %s", row.what)
		all = append(all, steps("order/"+row.id, title, "8", Ours, func(t *trial) error {
			return t.inTurn(RolePrimary, wire.PathSessionsCheck, func(first, second *request) {
				sameNonce(first, second)
				row.change(second)
			}, accepted, answers(row.want))
		}))
	}
	return all
}
