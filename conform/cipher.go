package conform

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// The lengths of a cipherText's first parts (spec 4.2).
const (
	ivText   = 16
	headText = 40 // iv and tag
)

func split(text string) (iv, tag, sealed string) {
	return text[:ivText], text[ivText:headText], text[headText:]
}

// flipAt changes one bit of what the character at i stands for.
func flipAt(i int) func(string) string {
	return func(text string) string {
		other := byte('A')
		if text[i] == other {
			other = 'B'
		}
		return text[:i] + string(other) + text[i+1:]
	}
}

// part changes a cipherText by its parts.
func part(f func(iv, tag, sealed string) string) change {
	return cipherText(func(text string) string { return f(split(text)) })
}

// padded has a length that leaves padding, and unused bits, in the last part.
func padded(r *request) {
	for len(r.plaintext)%3 != 1 {
		r.plaintext += " "
	}
}

// withBoth seals until the text has + and / in it, so that the alphabet shows.
func withBoth(r *request) {
	r.seal = func(key *wire.APIKey, plaintext string) string {
		for {
			if text := sealed(key, plaintext); strings.Contains(text, "+") && strings.Contains(text, "/") {
				return text
			}
		}
	}
}

func otherSeal(_ *wire.APIKey, plaintext string) string {
	key, _ := wire.NewAPIKey()
	return sealed(key, plaintext)
}

func raw(text string) []byte {
	out, _ := base64.StdEncoding.DecodeString(text) // wire has encoded it
	return out
}

func joined(texts ...string) string {
	var all []byte
	for _, text := range texts {
		all = append(all, raw(text)...)
	}
	return base64.StdEncoding.EncodeToString(all)
}

// unusedBit sets a bit that decodes to nothing, in the character before the padding.
func unusedBit(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := strings.IndexByte(text, '=') - 1
	return text[:at] + string(alphabet[strings.IndexByte(alphabet, text[at])|1]) + text[at+1:]
}

func cipherTests() []test {
	return append(table("wire", RolePrimary, wire.PathSessionsCheck, append(tamperRows(), base64Rows()...)), keyTests()...)
}

func tamperRows() []row {
	refused := answers(codeDecryption)
	return []row{
		{"iv-changed", "one bit of the iv changed", "4.3", Must, cipherText(flipAt(0)), refused},
		{"tag-changed", "one bit of the tag changed", "4.3", Must, cipherText(flipAt(ivText)), refused},
		{"tag-end-changed", "the last bits of the tag changed", "4.3", Must, cipherText(flipAt(headText - 4)), refused},
		{"sealed-changed", "one bit of the sealed bytes changed", "4.3", Must, cipherText(flipAt(headText)), refused},
		{"sealed-cut", "the last 3 sealed bytes missing", "4.3", Must, cipherText(func(s string) string { return s[:len(s)-4] }), refused},
		{"sealed-longer", "3 more sealed bytes", "4.3", Must, func(r *request) {
			for len(r.plaintext)%3 != 0 {
				r.plaintext += " "
			}
			r.recipher = func(s string) string { return s + "AAAA" }
		}, refused},
		{"sealed-missing", "no sealed bytes", "4.3", Must, cipherText(func(s string) string { return s[:headText] }), refused},
		{"sealed-nothing", "an empty plaintext, rightly sealed", "4.3", Ours, func(r *request) { r.plaintext = "" }, refused},
		{"tag-in-front", "the tag before the iv", "4.2", Must, part(func(iv, tag, sealed string) string { return tag + iv + sealed }), refused},
		{"tag-behind", "the tag behind the sealed bytes", "4.2", Must, part(func(iv, tag, sealed string) string { return iv + sealed + tag }), refused},
		{"tag-zero", "a tag of zeros", "4.3", Must, part(func(iv, _, sealed string) string { return iv + strings.Repeat("A", 22) + "==" + sealed }), refused},
		{"one-base64", "one base64 of iv, tag and sealed bytes together", "4.2", Must, part(func(iv, tag, sealed string) string { return joined(iv, tag, sealed) }), refused},
		{"one-base64-tag-behind", "one base64 of iv, sealed bytes and tag, as many libraries have it", "4.2", Must, part(func(iv, tag, sealed string) string { return joined(iv, sealed, tag) }), refused},
		{"separators", "a point between the parts", "4.2", Must, part(func(iv, tag, sealed string) string { return iv + "." + tag + "." + sealed }), refused},
		{"empty", "an empty cipherText", "4.3", Ours, cipherText(func(string) string { return "" }), refused},
		{"short", "39 characters", "4.3", Should, cipherText(func(s string) string { return s[:headText-1] }), refused},
		{"plain-json", "the plaintext in the place of the cipherText", "4.3", Must, func(r *request) {
			r.recipher = func(string) string { return r.plaintext }
		}, refused},
		{"base64-of-plaintext", "the plaintext in base64, not sealed", "4.3", Must, func(r *request) {
			r.recipher = func(string) string { return base64.StdEncoding.EncodeToString([]byte(r.plaintext)) }
		}, refused},
		{"hex", "hex in the place of base64", "4.2", Must, part(func(iv, tag, sealed string) string {
			return hex.EncodeToString(raw(iv)) + hex.EncodeToString(raw(tag)) + hex.EncodeToString(raw(sealed))
		}), refused},
	}
}

// base64Rows have what lenient decoders let pass: each row holds the same bytes as
// the right text.
func base64Rows() []row {
	refused := answers(codeDecryption)
	insert := func(at int, what string) change {
		return cipherText(func(s string) string { return s[:at] + what + s[at:] })
	}
	behind := func(what string) change { return cipherText(func(s string) string { return s + what }) }
	return []row{
		{"base64-url-safe", "the URL-safe alphabet", "4.2", Should, both(withBoth, cipherText(strings.NewReplacer("+", "-", "/", "_").Replace)), refused},
		{"base64-unpadded", "the sealed bytes without padding", "4.2", Should, both(padded, cipherText(func(s string) string { return strings.TrimRight(s, "=") })), refused},
		{"base64-tag-unpadded", "the tag without padding", "4.2", Should, part(func(iv, tag, sealed string) string { return iv + strings.TrimRight(tag, "=") + sealed }), refused},
		{"base64-more-padding", "one = too many", "4.2", Should, behind("="), refused},
		{"base64-newline", "a line feed at the end", "4.2", Should, behind("\n"), refused},
		{"base64-crlf", "a carriage return and a line feed at the end", "4.2", Should, behind("\r\n"), refused},
		{"base64-newline-inside", "a line feed in the sealed bytes", "4.2", Should, insert(headText+4, "\n"), refused},
		{"base64-newline-in-iv", "a line feed in the iv", "4.2", Should, insert(4, "\n"), refused},
		{"base64-space", "a space at the end", "4.2", Should, behind(" "), refused},
		{"base64-space-in-front", "a space in front", "4.2", Should, insert(0, " "), refused},
		{"base64-tab", "a tab in the sealed bytes", "4.2", Should, insert(headText+4, "\t"), refused},
		{"base64-nul", "NUL at the end", "4.2", Should, behind("\x00"), refused},
		{"base64-percent", "+, / and = percent-encoded", "4.2", Should, cipherText(strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace), refused},
		{"base64-plus-as-space", "+ turned into a space, as in a form", "4.2", Should, both(withBoth, cipherText(func(s string) string { return strings.ReplaceAll(s, "+", " ") })), refused},
		{"base64-tag-unused-bits", "unused bits of the tag's base64 set", "4.2", Ours, part(func(iv, tag, sealed string) string { return iv + unusedBit(tag) + sealed }), refused},
		{"base64-unused-bits", "unused bits of the last base64 set", "4.2", Ours, both(padded, part(func(iv, tag, sealed string) string { return iv + tag + unusedBit(sealed) })), refused},
	}
}

func keyTests() []test {
	refused := answers(codeDecryption)
	all := table("wire", RolePrimary, wire.PathSessionsCheck, []row{
		{"key-random", "sealed under a key that nobody has", "4.1", Must, func(r *request) { r.seal = otherSeal }, refused},
		{"key-of-zeros", "sealed under a key of zeros", "4.1", Must, sealedUnder(func(*agent) string { return strings.Repeat("0", 64) }), refused},
		{"key-hashed", "sealed under the SHA-256 of the key's text", "4.1", Must, sealedUnder(func(a *agent) string { return hashHex(a.APIKey) }), refused},
		{"key-first-half", "sealed under the first 32 digits of the key, as they are", "4.1", Must, sealedUnder(func(a *agent) string {
			return hex.EncodeToString([]byte(a.APIKey[:32]))
		}), refused},
		{"key-secret", "sealed under the SHA-256 of the Secret key", "4.1", Must, sealedUnder(func(a *agent) string { return hashHex(a.SecretKey) }), refused},
	})
	all = append(all, steps("wire/key-of-other-agent", "sealed under another agent's key", "4.1", Must, func(t *trial) error {
		other, err := t.agent(RoleOther)
		if err != nil {
			return err
		}
		req, err := t.request(RolePrimary, wire.PathSessionsCheck)
		if err != nil {
			return err
		}
		req.key = other.key
		return t.want(req, refused)
	}))
	return append(all, twoKeyTests()...)
}

func sealedUnder(keyOf func(*agent) string) change {
	return func(r *request) {
		r.seal = func(_ *wire.APIKey, plaintext string) string {
			key, err := wire.ParseAPIKey(keyOf(r.agent))
			if err != nil {
				panic(err) // each is 64 digits
			}
			return sealed(key, plaintext)
		}
	}
}

// twoKeyTests: while keys are changed, both open (spec 4.4).
func twoKeyTests() []test {
	second := func(r *request) { r.key = r.agent.next }
	all := table("wire", RoleTwoKeys, wire.PathSessionsCheck, []row{
		{"two-keys-first", "sealed under the first of two keys", "4.4", Ours, asIs, accepted},
		{"two-keys-second", "sealed under the second of two keys", "4.4", Ours, second, accepted},
		{"two-keys-neither", "sealed under a third key, by an agent that has two", "4.4", Must, func(r *request) { r.seal = otherSeal }, answers(codeDecryption)},
	})
	for i := range all {
		do := all[i].do
		all[i].do = func(t *trial) error {
			a, err := t.agent(RoleTwoKeys)
			if err != nil {
				return err
			}
			if a.next == nil {
				return skipf("the second API key of agent %s is not known", a.AgentID)
			}
			return do(t)
		}
	}
	return all
}

func hashHex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
