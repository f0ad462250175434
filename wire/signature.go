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
	mac := h.mac(profile, key, []byte(cipherText))
	h.Signature = hex.EncodeToString(mac[:])
}

// VerifySignature reports whether h.Signature is what Sign would make, in
// upper or lower case. The plain profile proves that the four values belong
// together and nothing about who sent them: it has no secret (spec 3.3). No
// signature is good under a profile that is neither of the two.
func (h *Header) VerifySignature(profile rollcall.SignatureProfile, key *APIKey, cipherText string) bool {
	return h.SignatureFits(profile, key, []byte(cipherText))
}

// SignatureFits is VerifySignature for a cipherText that is no string.
func (h *Header) SignatureFits(profile rollcall.SignatureProfile, key *APIKey, cipherText []byte) bool {
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

func (h *Header) mac(profile rollcall.SignatureProfile, key *APIKey, cipherText []byte) [sha256.Size]byte {
	if profile == rollcall.SignatureHMAC {
		mac := hmac.New(sha256.New, key.raw[:])
		mac.Write(h.appendSigned(nil, cipherText))
		return [sha256.Size]byte(mac.Sum(nil))
	}
	var room [512]byte // on the stack, for all that is not unusually long
	return sha256.Sum256(h.appendSigned(room[:0], cipherText))
}

// appendSigned appends what is signed.
func (h *Header) appendSigned(text, cipherText []byte) []byte {
	for _, part := range [...]string{h.AgentID, h.Timestamp, h.Nonce} {
		text = append(text, part...)
		text = append(text, '|')
	}
	return append(text, cipherText...)
}
