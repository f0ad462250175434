package explain

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5" //nolint:gosec // what others did is made again
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

var keyKinds = []Kind{
	{
		Code: "key-ascii", Step: stepCipherText, Spec: "4.1", What: "The key was used as text: its hex digits were taken as bytes, and the first 32 of the 64 are the key.",
		Mend: "Decode the 64 hex digits to 32 bytes: PHP hex2bin($key), Node Buffer.from(key,'hex'), Python bytes.fromhex(key), Java HexFormat.of().parseHex(key), C# Convert.FromHexString(key).",
	},
	{
		Code: "key-half", Step: stepCipherText, Spec: "4.1", What: "The key was cut to 16 bytes: that is AES-128.",
		Mend: "Decode all 64 hex digits to 32 bytes, and take AES-256-GCM.",
	},
	{
		Code: "key-hashed", Step: stepCipherText, Spec: "4.1", What: "The key was hashed before use.",
		Mend: "The 64 hex digits, decoded to 32 bytes, are the key: no SHA-256, MD5 or key derivation in between.",
	},
	{
		Code: "key-base64", Step: stepCipherText, Spec: "4.1", What: "The key was decoded as base64.",
		Mend: "It is hex: 64 digits, 32 bytes.",
	},
	{
		Code: "key-secret", Step: stepCipherText, Spec: "4.1, 5.1", What: "It is sealed with the Secret key and not with the API key.",
		Mend: "The API key seals (64 hex digits); the Secret key stands inside the plaintext of /v2/auth only.",
	},
	{
		Code: "key-other-agent", Step: stepCipherText, Spec: "4.1", What: "It is sealed with the API key of another agent than x-agentid.",
		Mend: "Use the key that belongs to x-agentid.",
	},
	{
		Code: "key-unknown", Step: stepCipherText, Spec: "4.3", What: "No API key that is known to be the agent's opens it, in any way that is known.", vague: true,
		Mend: "Look whether the sender's API key is the agent's own (test and live differ; a key that was retired opens nothing) and not the Secret key, and whether the text was changed on its way. 'rollcall seal' makes a right one to compare with.",
	},
}

// A candidate is a key that may have sealed the request, and what it means if it has.
type candidate struct {
	// codes are the findings that its use is; none: a right key.
	codes  []string
	detail string
	raw    []byte
	block  cipher.Block
	gcm    cipher.AEAD
	long   cipher.AEAD // for an iv of 16 bytes; nil: not made yet
	good   *wire.APIKey
}

func (c *candidate) right() bool { return len(c.codes) == 0 }

// hasKey reports whether a key of the agent's own is known.
func (x *exam) hasKey() bool { return slices.ContainsFunc(x.keys, (*candidate).right) }

// aead returns the key's GCM for an iv of so many bytes.
func (c *candidate) aead(ivSize int) cipher.AEAD {
	if ivSize == 12 {
		return c.gcm
	}
	if c.long == nil {
		c.long, _ = cipher.NewGCMWithNonceSize(c.block, 16) // 16 is a size
	}
	return c.long
}

// maxAgents bounds whose keys are tried.
const maxAgents = 64

// candidates returns the keys to try, the right ones first.
func candidates(agents []Agent, agentID string) []*candidate {
	var own, others, derived []*candidate
	for _, a := range agents[:min(len(agents), maxAgents)] {
		mine := a.isOf(agentID)
		for _, text := range a.APIKeys {
			raw, err := hex.DecodeString(strings.TrimSpace(text))
			if err != nil {
				continue
			}
			if !mine {
				others = addKey(others, raw, "the key of "+clip(a.ID, 64), "key-other-agent")
				continue
			}
			own = addKey(own, raw, "")
			derived = append(derived, misused(text, raw)...)
		}
		if mine && a.Secret != "" {
			derived = append(derived, secretKeys(a.Secret)...)
		}
	}
	return slices.Concat(own, derived, others)
}

// isOf reports whether x-agentid names the agent, be it in another case.
func (a *Agent) isOf(agentID string) bool {
	return a.ID == "" || strings.EqualFold(a.ID, bare(agentID))
}

// bare takes off what stands around an id by mistake.
func bare(id string) string { return strings.Trim(id, "\"' \t\r\n") }

// addKey appends a candidate, where raw can be a key at all.
func addKey(to []*candidate, raw []byte, detail string, codes ...string) []*candidate {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return to
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return to
	}
	c := &candidate{codes: codes, detail: detail, raw: raw, block: block, gcm: gcm}
	if len(codes) == 0 {
		c.good, _ = wire.ParseAPIKey(hex.EncodeToString(raw)) // nil for another length
	}
	return append(to, c)
}

// misused returns what becomes of an API key that is not decoded as it should.
func misused(text string, raw []byte) (to []*candidate) {
	upper := strings.ToUpper(text)
	sum, rawSum, weak := sha256.Sum256([]byte(text)), sha256.Sum256(raw), md5.Sum([]byte(text)) //nolint:gosec // what others did is made again
	decoded, _ := base64.StdEncoding.DecodeString(text)
	for _, h := range []struct {
		raw          []byte
		code, detail string
	}{
		{ascii(text, 0, 32), "key-ascii", ""},
		{ascii(upper, 0, 32), "key-ascii", "in upper case"},
		{ascii(text, 32, 64), "key-ascii", "the last 32"},
		{raw[:min(16, len(raw))], "key-half", "32 of the 64 hex digits"},
		{ascii(text, 0, 16), "key-half", "16 of the hex digits as text"},
		{sum[:], "key-hashed", "SHA-256 of the text"},
		{rawSum[:], "key-hashed", "SHA-256 of the bytes"},
		{weak[:], "key-hashed", "MD5 of the text"},
		{[]byte(hex.EncodeToString(weak[:])), "key-hashed", "MD5 of the text, in hex"},
		{[]byte(hex.EncodeToString(sum[:])[:32]), "key-hashed", "SHA-256 of the text, in hex, cut to 32"},
		{decoded[:min(32, len(decoded))], "key-base64", ""},
	} {
		to = addKey(to, h.raw, h.detail, h.code)
	}
	return to
}

func ascii(text string, from, to int) []byte {
	if len(text) < to {
		return nil
	}
	return []byte(text[from:to])
}

// secretKeys returns the keys that a Secret key becomes, in libraries that cut
// and pad what has not the right length.
func secretKeys(secret string) (to []*candidate) {
	sum, weak := sha256.Sum256([]byte(secret)), md5.Sum([]byte(secret)) //nolint:gosec // what others did is made again
	fit := func(b []byte) []byte {
		return append(slices.Clip(b[:min(32, len(b))]), make([]byte, 32-min(32, len(b)))...)
	}
	fromHex, _ := hex.DecodeString(secret)
	from64, _ := base64.StdEncoding.DecodeString(secret)
	from32, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	for _, raw := range [][]byte{fit([]byte(secret)), sum[:], weak[:], []byte(hex.EncodeToString(weak[:])), ascii(secret, 0, 16)} {
		to = addKey(to, raw, "", "key-secret")
	}
	for _, raw := range [][]byte{fromHex, from64, from32} {
		if len(raw) >= 16 {
			to = addKey(to, fit(raw), "", "key-secret")
		}
	}
	return to
}
