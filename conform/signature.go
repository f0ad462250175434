package conform

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// oneDigitOff is the right signature, but for its last digit.
func oneDigitOff(r *request, cipherText string) string {
	s := rightSignature(r, cipherText)
	if s[63] == '0' {
		return s[:63] + "1"
	}
	return s[:63] + "0"
}

// hashed signs by a rule that is another.
func hashed(text func(r *request, cipherText string) string) change {
	return signature(func(r *request, cipherText string) string { return hashHex(text(r, cipherText)) })
}

// signedFor signs another request than the one that is sent.
func signedFor(f func(h *wire.Header, cipherText *string)) change {
	return signature(func(r *request, cipherText string) string {
		h := r.head
		f(&h, &cipherText)
		h.Sign(r.agent.Signature, r.key, cipherText)
		return h.Signature
	})
}

func underProfile(p rollcall.SignatureProfile, key func(*agent) *wire.APIKey) change {
	return signature(func(r *request, cipherText string) string {
		h := r.head
		h.Sign(p, key(r.agent), cipherText)
		return h.Signature
	})
}

func ownKey(a *agent) *wire.APIKey { return a.key }

func newKey(*agent) *wire.APIKey {
	key, _ := wire.NewAPIKey()
	return key
}

func bodyOf(cipherText string) string { return jsonOf(wire.Request{CipherText: cipherText}) }

func signatureTests() []test {
	all := table("signature", RolePrimary, wire.PathSessionsCheck, append(ruleRows(), bindingRows()...))
	return append(all, table("signature", RoleHMAC, wire.PathSessionsCheck, hmacRows())...)
}

func ruleRows() []row {
	refused := answers(codeAuth)
	lines := func(r *request, c string) string {
		return strings.Join([]string{r.head.AgentID, r.head.Timestamp, r.head.Nonce, c}, "|")
	}
	return []row{
		{"upper-case", "the right signature in upper-case hex", "3.1", Should, signature(func(r *request, c string) string {
			return strings.ToUpper(rightSignature(r, c))
		}), accepted},
		{"one-digit", "the last digit is another", "3.1", Must, signature(oneDigitOff), refused},
		{"older-documentation", "the older documentation's: no separators, the whole body", "3.2", Must, hashed(func(r *request, c string) string {
			return r.head.AgentID + r.head.Timestamp + r.head.Nonce + bodyOf(c)
		}), refused},
		{"no-separators", "no separators", "3.2", Must, hashed(func(r *request, c string) string {
			return r.head.AgentID + r.head.Timestamp + r.head.Nonce + c
		}), refused},
		{"whole-body", "the whole body in the place of cipherText", "3.2", Must, hashed(func(r *request, c string) string { return lines(r, bodyOf(c)) }), refused},
		{"plaintext", "the plaintext in the place of cipherText", "3.1", Must, hashed(func(r *request, _ string) string { return lines(r, r.plaintext) }), refused},
		{"order", "nonce before timestamp", "3.1", Must, hashed(func(r *request, c string) string {
			return strings.Join([]string{r.head.AgentID, r.head.Nonce, r.head.Timestamp, c}, "|")
		}), refused},
		{"line-feed", "a line feed behind what is hashed", "3.1", Must, hashed(func(r *request, c string) string { return lines(r, c) + "\n" }), refused},
		{"base64", "base64 in the place of hex", "3.1", Must, signature(func(r *request, c string) string {
			digest, _ := hex.DecodeString(rightSignature(r, c)) // it is hex
			return base64.StdEncoding.EncodeToString(digest)
		}), refused},
		{"sha512", "SHA-512, cut to 64 digits", "3.1", Must, signature(func(r *request, c string) string {
			return fmt.Sprintf("%x", sha512.Sum512([]byte(lines(r, c))))[:64]
		}), refused},
		{"62-digits", "62 of the 64 digits", "3.1", Must, signature(func(r *request, c string) string { return rightSignature(r, c)[:62] }), refused},
		{"66-digits", "two digits too many", "3.1", Must, signature(func(r *request, c string) string { return rightSignature(r, c) + "00" }), refused},
		{"zeros", "64 zeros", "3.1", Must, signature(func(*request, string) string { return strings.Repeat("0", 64) }), refused},
		{"hmac-of-plain-agent", "HMAC under the API key, by an agent of the plain profile", "3.4", Should, underProfile(rollcall.SignatureHMAC, ownKey), refusedBy(codeAuth)},
	}
}

func bindingRows() []row {
	refused := answers(codeAuth)
	return []row{
		{"other-agent", "the signature of another agent's request", "3.1", Must, signedFor(func(h *wire.Header, _ *string) { h.AgentID += "x" }), refused},
		{"other-timestamp", "the signature of a request a millisecond earlier", "3.1", Must, signedFor(func(h *wire.Header, _ *string) {
			h.Timestamp = wire.FormatTimestamp(h.Time().Add(-time.Millisecond))
		}), refused},
		{"other-nonce", "the signature of a request with another nonce", "3.1", Must, signedFor(func(h *wire.Header, _ *string) { h.Nonce = newNonce() }), refused},
		{"other-ciphertext", "the signature of a request with another cipherText", "3.1", Must, signedFor(func(_ *wire.Header, c *string) { *c = flipAt(0)(*c) }), refused},
		{"agent-case", "the signature over the agent's ID with other capitals", "3.1", Must, signedFor(func(h *wire.Header, _ *string) { h.AgentID = swapCase(h.AgentID) }), refused},
		{"nonce-case", "the signature over the nonce with other capitals", "3.1", Must, both(nonce(newNonce()), signedFor(func(h *wire.Header, _ *string) {
			h.Nonce = swapCase(h.Nonce)
		})), refused},
	}
}

func hmacRows() []row {
	refused := answers(codeAuth)
	return []row{
		{"hmac", "HMAC under the API key, by an agent of the hmac profile", "3.4", Ours, asIs, accepted},
		{"hmac-plain", "the plain signature, by an agent of the hmac profile", "3.4", Ours, underProfile(rollcall.SignaturePlain, ownKey), refused},
		{"hmac-other-key", "HMAC under another key", "3.4", Ours, underProfile(rollcall.SignatureHMAC, newKey), refused},
		{"hmac-key-text", "HMAC under the 64 digits of the key in place of its 32 bytes", "3.4", Ours, signature(func(r *request, c string) string {
			mac := hmac.New(sha256.New, []byte(r.agent.APIKey))
			mac.Write([]byte(strings.Join([]string{r.head.AgentID, r.head.Timestamp, r.head.Nonce, c}, "|")))
			return hex.EncodeToString(mac.Sum(nil))
		}), refused},
		{"hmac-one-digit", "HMAC, but for the last digit", "3.4", Ours, signature(oneDigitOff), refused},
	}
}
