package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
)

// TestProtocolPage holds docs/protocol.md to this package: the table of codes,
// the paths, the headers, and the example's bytes.
func TestProtocolPage(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var want []string
	for _, c := range codes {
		want = append(want, fmt.Sprintf("\n| %d | `%s` | ", c.code, c.message))
	}
	for _, path := range []string{PathAuth, PathSessionsCheck, PathSessionsLogout, PathMembers, PathMembersOnline, PathOpenGame} {
		want = append(want, "`POST "+path+"`")
	}
	for _, header := range []string{HeaderAgentID, HeaderTimestamp, HeaderNonce, HeaderSignature} {
		want = append(want, "\n| `"+strings.ToLower(header)+"` | ")
	}
	const nonce = "e39e33c18bd6ca5c9ea128c2154dd592"
	for _, v := range readVectors[[]signatureVector](t, "signature.json") {
		if v.Nonce == nonce {
			want = append(want, strings.Join([]string{v.AgentID, v.Timestamp, v.Nonce, v.CipherText}, "|"), v.Signature)
			want = append(want, examplePage(t, v)...)
		}
	}
	if len(want) != len(codes)+6+4+2+5 {
		t.Errorf("got %d texts to look for: the example's vectors are not all there", len(want))
	}
	for _, s := range want {
		if !strings.Contains(page, s) {
			t.Errorf("the page has not %q", s)
		}
	}
}

// examplePage returns what the page says of the seal that belongs to v, and v's
// signature under the other profile.
func examplePage(t *testing.T, v signatureVector) []string {
	t.Helper()
	for _, seal := range readVectors[[]sealVector](t, "seal.json") {
		if seal.CipherText == v.CipherText {
			h := v.header()
			h.Sign(rollcall.SignatureHMAC, mustKey(t, seal.APIKey), v.CipherText)
			return []string{seal.APIKey, seal.IV, seal.Plaintext, `{"cipherText":"` + seal.CipherText + `"}`, h.Signature}
		}
	}
	return nil
}
