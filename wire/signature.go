package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"github.com/rollcall-server/rollcall"
)

// Sign fills in h.Signature for a request whose body has cipherText. With
// SignaturePlain the key is not used and may be nil.
//
//	plain: lower-case hex of SHA-256(        agentId|timestamp|nonce|cipherText)   (spec 3.1)
//	hmac:  lower-case hex of HMAC-SHA-256(key, the same)                           (spec 3.4)
func (h *Header) Sign(profile rollcall.SignatureProfile, key *APIKey, cipherText string) {
	mac := h.mac(profile, key, cipherText)
	h.Signature = hex.EncodeToString(mac[:])
}

// VerifySignature reports whether h.Signature is what Sign would make, in
// upper or lower case. The plain profile proves that the four values belong
// together and nothing about who sent them: it has no secret (spec 3.3). No
// signature is good under a profile that is neither of the two.
func (h *Header) VerifySignature(profile rollcall.SignatureProfile, key *APIKey, cipherText string) bool {
	var sent [sha256.Size]byte
	if len(h.Signature) != hex.EncodedLen(len(sent)) || !profile.Valid() {
		return false // hex.Decode would write beyond sent
	}
	if _, err := hex.Decode(sent[:], []byte(h.Signature)); err != nil {
		return false
	}
	want := h.mac(profile, key, cipherText)
	return subtle.ConstantTimeCompare(sent[:], want[:]) == 1
}

func (h *Header) mac(profile rollcall.SignatureProfile, key *APIKey, cipherText string) [sha256.Size]byte {
	text := make([]byte, 0, 512)
	text = append(text, h.AgentID...)
	text = append(text, '|')
	text = append(text, h.Timestamp...)
	text = append(text, '|')
	text = append(text, h.Nonce...)
	text = append(text, '|')
	text = append(text, cipherText...)
	if profile != rollcall.SignatureHMAC {
		return sha256.Sum256(text)
	}
	mac := hmac.New(sha256.New, key.raw[:])
	mac.Write(text)
	return [sha256.Size]byte(mac.Sum(nil))
}
