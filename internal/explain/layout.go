package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

var layoutKinds = []Kind{
	{
		Code: "tag-behind", Step: stepCipherText, Spec: "4.2", What: "The tag stands behind the sealed bytes.",
		Mend: "Put it in front of them: base64(iv) + base64(tag) + base64(sealed). Java doFinal, Python cryptography's encrypt and Web Crypto append the tag's 16 bytes: cut them off the end. Node getAuthTag(), PHP openssl_encrypt's &$tag and C# AesGcm give it apart.",
	},
	{
		Code: "one-base64", Step: stepCipherText, Spec: "4.2", What: "One base64 stands over all the parts together.",
		Mend: "Encode iv, tag and sealed bytes each on its own, and join the three texts: 16 characters, 24 (ending in ==), and the rest.",
	},
	{
		Code: "parts-order", Step: stepCipherText, Spec: "4.2", What: "The parts stand in another order.",
		Mend: "The order is iv, tag, sealed bytes.",
	},
	{
		Code: "parts-separated", Step: stepCipherText, Spec: "4.2", What: "The parts have a separator between them.",
		Mend: "Join the three base64 texts with nothing in between.",
	},
	{
		Code: "hex", Step: stepCipherText, Spec: "4.2", What: "It is in hex.",
		Mend: "Encode each part in base64: PHP base64_encode with OPENSSL_RAW_DATA, Node toString('base64'), Python base64.b64encode, Java Base64.getEncoder(), C# Convert.ToBase64String.",
	},
	{
		Code: "iv-hex", Step: stepCipherText, Spec: "4.2", What: "The iv is in hex.",
		Mend: "Encode the iv's 12 bytes in base64, like the other parts: 16 characters.",
	},
	{
		Code: "iv-not-encoded", Step: stepCipherText, Spec: "4.2", What: "The iv stands there as it is, not in base64.",
		Mend: "Take 12 random bytes and encode them in base64: 16 characters.",
	},
	{
		Code: "iv-16", Step: stepCipherText, Spec: "4.1", What: "The iv has 16 bytes.",
		Mend: "Take 12 random bytes: 16 is what CBC takes. Java new byte[12], Node randomBytes(12), PHP random_bytes(12) or openssl_cipher_iv_length('aes-256-gcm'), PyCryptodome nonce=get_random_bytes(12).",
	},
	{
		Code: "tag-missing", Step: stepCipherText, Spec: "4.2", What: "The tag is missing.",
		Mend: "Put the tag's 16 bytes, in base64, between iv and sealed bytes: Node getAuthTag() after final(), PHP openssl_encrypt's sixth argument &$tag, C# AesGcm.Encrypt's tag.",
	},
	{
		Code: "tag-short", Step: stepCipherText, Spec: "4.1", What: "The tag has {v} bytes and not 16.",
		Mend: "Ask for a tag of 16 bytes (128 bits): Java GCMParameterSpec(128, iv), C# new AesGcm(key, 16).",
	},
	{
		Code: "additional-data", Step: stepCipherText, Spec: "4.1", What: "Additional data went into the tag.",
		Mend: "Give none: no updateAAD, no setAAD, no associated data.",
	},
	{
		Code: "tag-wrong", Step: stepCipherText, Spec: "4.1", What: "Key, iv and sealed bytes are right, the tag is not.",
		Mend: "Take the tag after the last bytes went in, with no additional data. If it is right when it leaves, the text is changed on its way.",
	},
	{
		Code: "cbc", Step: stepCipherText, Spec: "4.1", What: "It is sealed in mode CBC with padding, not in GCM.",
		Mend: "Take aes-256-gcm (Java AES/GCM/NoPadding): an iv of 12 bytes, no padding, a tag of 16 bytes.",
	},
	{
		Code: "ecb", Step: stepCipherText, Spec: "4.1", What: "It is sealed in mode ECB, not in GCM.",
		Mend: "Take aes-256-gcm. Java: \"AES\" alone means ECB, write AES/GCM/NoPadding.",
	},
	{
		Code: "ctr", Step: stepCipherText, Spec: "4.1", What: "It is sealed in mode CTR, not in GCM.",
		Mend: "Take aes-256-gcm: an iv of 12 bytes, and a tag of 16.",
	},
	{
		Code: "passphrase", Step: stepCipherText, Spec: "4.1", What: "It was sealed with a passphrase: it begins with Salted__.",
		Mend: "CryptoJS.AES.encrypt(text, 'key') and openssl enc make a key of their own and CBC. Take a library with AES-256-GCM, and the decoded API key: in browsers and Node crypto.subtle or crypto.createCipheriv.",
	},
	{
		Code: "url-safe-base64", Step: stepCipherText, Spec: "4.2", What: "It is in the URL-safe alphabet, with - and _.",
		Mend: "Take the standard alphabet, with + and /, padded: Java Base64.getEncoder() and not getUrlEncoder(), Python b64encode and not urlsafe_b64encode, Node 'base64' and not 'base64url'.",
	},
	{
		Code: "base64-unpadded", Step: stepCipherText, Spec: "4.2", What: "The padding, =, is missing.",
		Mend: "Leave the = where the encoder puts them: the tag ends in ==.",
	},
	{
		Code: "base64-newlines", Step: stepCipherText, Spec: "4.2", What: "There are line ends or spaces in it.",
		Mend: "Encode without line ends: Java getEncoder() and not getMimeEncoder(), Ruby strict_encode64, Android NO_WRAP, base64 -w0, PHP without chunk_split, Perl encode_base64($bytes, \"\"), Python b64encode and not encodebytes; and trim what echo adds.",
	},
	{
		Code: "base64-not-canonical", Step: stepCipherText, Spec: "4.2", What: "Its base64 is not in the one canonical form.",
		Mend: "Unused bits are zero and padding is whole: encode with a library, and do not cut the text.",
	},
	{
		Code: "plus-lost", Step: stepCipherText, Spec: "4.2", What: "Each + has become a space: the text went through form decoding.",
		Mend: "Send JSON, and put the text into it as it is. Do not url-decode it.",
	},
	{
		Code: "url-encoded", Step: stepCipherText, Spec: "4.2", What: "It is percent-encoded.",
		Mend: "Put it into the JSON as it is: no encodeURIComponent, urlencode or quote.",
	},
	{
		Code: "slash-escaped", Step: stepCipherText, Spec: "4.2", What: "It has backslashes in it: it was escaped for JSON twice.",
		Mend: "Give the text to the JSON library as it is. One escaping, \\/ for /, does no harm, since the server undoes it.",
	},
	{
		Code: "double-base64", Step: stepCipherText, Spec: "4.2", What: "It was encoded in base64 twice.",
		Mend: "Encode each part once. PHP openssl_encrypt gives base64 unless told OPENSSL_RAW_DATA: with base64_encode behind it that is twice.",
	},
	{
		Code: "ciphertext-quoted", Step: stepCipherText, Spec: "4.2", What: "There are quotes inside the string.",
		Mend: "Give the text to the JSON library as it is: it puts the quotes.",
	},
	{
		Code: "ciphertext-short", Step: stepCipherText, Spec: "4.3", What: "It has {v} characters; the shortest right one has 44.",
		Mend: "Seal {} where an endpoint has no parameters (4.5), and send all three parts.",
	},
	{
		Code: "layout-wrong", Step: stepCipherText, Spec: "4.2", What: "Its characters 17 to 40 are not the tag in base64.", vague: true,
		Mend: "The layout is base64(iv) + base64(tag) + base64(sealed): 16 characters, 24 (ending in ==), and the rest. With the API key it can be told what stands where.",
	},
}

// A text is one reading of a cipherText, and what had to be mended to read it.
type text struct {
	s     string
	codes []string
}

// readings returns a cipherText as it is, or mended where that changes it, and
// what is in it where it was encoded twice.
func readings(s string) []text {
	mended := mendText(s)
	out := []text{mended}
	if strings.Trim(s, " ") != s { // the spaces at its ends may be pluses too
		out = append(out, mendText(strings.ReplaceAll(s, " ", "+")))
		out[1].codes = append([]string{"plus-lost"}, out[1].codes...)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
		inner, err := enc.DecodeString(mended.s)
		if err == nil && len(inner) >= 40 && base64Text(string(inner)) {
			again := mendText(string(inner))
			out = append(out, text{again.s, slices.Concat(mended.codes, []string{"double-base64"}, again.codes)})
			break
		}
	}
	return out
}

// twiceInside undoes a base64 over sealed bytes that are base64 already, the parts
// being where they belong: PHP without OPENSSL_RAW_DATA.
func twiceInside(s string) (string, bool) {
	if len(s) <= 40 {
		return "", false
	}
	inner, err := base64.StdEncoding.DecodeString(s[40:])
	return s[:40] + string(inner), err == nil && len(inner) >= 4 && base64Text(string(inner))
}

func base64Text(s string) bool {
	return alphanumeric(strings.NewReplacer("+", "", "/", "", "=", "").Replace(s))
}

// mendText undoes what was done to a text behind its encoding.
func mendText(s string) text {
	t := text{s: s}
	apply := func(code, changed string) {
		if changed != t.s {
			t.s, t.codes = changed, append(t.codes, code)
		}
	}
	if inner, ok := jsonString([]byte(s)); ok {
		apply("ciphertext-quoted", inner)
	}
	apply("slash-escaped", strings.NewReplacer(`\/`, "/", `\u002F`, "/", `\u002f`, "/", `\u002B`, "+", `\u002b`, "+", `\u003D`, "=", `\u003d`, "=").Replace(t.s))
	if strings.Contains(t.s, "%") {
		if plain, err := url.PathUnescape(t.s); err == nil {
			apply("url-encoded", plain)
		}
	}
	apply("base64-newlines", strings.NewReplacer("\r", "", "\n", "", "\t", "", `\r`, "", `\n`, "").Replace(strings.Trim(t.s, " \t\r\n")))
	apply("plus-lost", strings.ReplaceAll(t.s, " ", "+"))
	if !strings.ContainsAny(t.s, "+/") {
		apply("url-safe-base64", strings.NewReplacer("-", "+", "_", "/").Replace(t.s))
	}
	return t
}

// flat decodes base64 texts that stand one behind the other, each ending where its
// padding does. padded is false where the last has not all of its padding.
func flat(s string) (b []byte, padded, ok bool) {
	padded = true
	for s != "" {
		end := strings.IndexByte(s, '=')
		if end < 0 {
			end = len(s)
		}
		part, err := base64.RawStdEncoding.DecodeString(s[:end])
		if err != nil {
			return nil, false, false
		}
		rest := strings.TrimLeft(s[end:], "=")
		if (len(s)-len(rest))%4 != 0 {
			padded = false
		}
		b, s = append(b, part...), rest
	}
	return b, padded, len(b) > 0
}

// right reports whether s has the layout of spec 4.2, each part canonical.
func rightLayout(s string) bool {
	if len(s) < 44 || strings.ContainsAny(s, "\r\n") {
		return false
	}
	strict := base64.StdEncoding.Strict()
	for i, part := range []string{s[:16], s[16:40], s[40:]} {
		b, err := strict.DecodeString(part)
		if err != nil || i == 0 && len(b) != 12 || i == 1 && len(b) != 16 {
			return false
		}
	}
	return true
}

// fromHex decodes a text that is all hex, with or without 0x.
func fromHex(s string) ([]byte, bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	b, err := hex.DecodeString(s)
	return b, err == nil && len(b) >= 16
}

// separators are met between parts.
const separators = ":.|,;$"

// fields splits a text at a separator into two or three decoded parts.
func fields(s string) (parts [][]byte, sep string) {
	at := strings.IndexAny(s, separators)
	if at < 0 {
		return nil, ""
	}
	sep = s[at : at+1]
	for f := range strings.SplitSeq(s, sep) {
		b, ok := fromHex(f)
		if !ok || len(f)%2 != 0 {
			b, _, ok = flat(f)
		}
		if !ok {
			return nil, ""
		}
		parts = append(parts, b)
	}
	if len(parts) != 2 && len(parts) != 3 {
		return nil, ""
	}
	return parts, sep
}

func joined(parts ...[]byte) string {
	var s strings.Builder
	for _, p := range parts {
		s.WriteString(base64.StdEncoding.EncodeToString(p))
	}
	return s.String()
}

func one(parts ...[]byte) string { return base64.StdEncoding.EncodeToString(bytes.Join(parts, nil)) }
