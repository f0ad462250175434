package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// A seal is a plaintext and the one cipherText that it has under a key and an iv.
type seal struct {
	APIKey     string `json:"apiKey"`
	IV         string `json:"iv"`
	Plaintext  string `json:"plaintext"`
	CipherText string `json:"cipherText"`
}

func sealFile() (any, error) { return seals() }

func seals() ([]seal, error) {
	var all []seal
	for _, in := range sealed {
		p, err := partsOf(in.apiKey, in.iv, in.plaintext)
		if err != nil {
			return nil, err
		}
		all = append(all, seal{in.apiKey, in.iv, in.plaintext, p.text()})
	}
	return all, nil
}

// parts are what a cipherText is made of (spec 4.2).
type parts struct{ iv, tag, body []byte }

func partsOf(apiKey, iv, plaintext string) (parts, error) {
	key, keyErr := hex.DecodeString(apiKey)
	raw, ivErr := hex.DecodeString(iv)
	if err := errors.Join(keyErr, ivErr); err != nil {
		return parts{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return parts{}, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return parts{}, err
	}
	out := gcm.Seal(nil, raw, []byte(plaintext), nil)
	return parts{raw, out[len(plaintext):], out[:len(plaintext)]}, nil
}

func (p parts) text() string { return b64(p.iv) + b64(p.tag) + b64(p.body) }

// with returns a copy for f to change.
func (p parts) with(f func(*parts)) parts {
	q := parts{bytes.Clone(p.iv), bytes.Clone(p.tag), bytes.Clone(p.body)}
	f(&q)
	return q
}

func b64(raw ...[]byte) string { return base64.StdEncoding.EncodeToString(slices.Concat(raw...)) }

// A refusal is a cipherText with one fault, and the code that answers it.
type refusal struct {
	Class      string `json:"class"`
	Why        string `json:"why"`
	CipherText string `json:"cipherText"`
	Code       int    `json:"code"`
}

// refusals are of one key; Good opens under it and is what the others were made of.
type refusals struct {
	APIKey  string    `json:"apiKey"`
	Good    string    `json:"good"`
	Refused []refusal `json:"refused"`
}

const (
	refusedKey  = "0c951b3afdd3311064c2673571b2165d369203bcb47f09e3d333fd687a287c61"
	refusedIV   = "ffd66955ee12a008a6708a23"
	refusedJSON = `{"username":"player001"}`
	// paddedJSON has a length that leaves unused bits in the last part.
	paddedJSON = `{"username":"player01"}`
	// alphabetIV is of 62 and 63 alone, in base64.
	alphabetIV = "fbfbfbfbfbfbfbfbfbfbfbfb"
	code84     = 84
)

// otherKey is a seal of refusedJSON under a key that nobody kept.
const otherKey = "/9ZpVe4SoAimcIojtDstm4yY+nIZKI3F+SUw3A==P/9z0oJIMBP4CvmXwWLa3b/BdFjV47HT"

func refusedFile() (any, error) {
	good, err := partsOf(refusedKey, refusedIV, refusedJSON)
	if err != nil {
		return nil, err
	}
	padded, err := partsOf(refusedKey, refusedIV, paddedJSON)
	if err != nil {
		return nil, err
	}
	safe, err := partsOf(refusedKey, alphabetIV, refusedJSON)
	if err != nil {
		return nil, err
	}
	out := refusals{APIKey: refusedKey, Good: good.text()}
	for _, r := range slices.Concat(oldRefusals(good), moreRefusals(good, padded, safe)) {
		out.Refused = append(out.Refused, refusal{r[0], r[1], r[2], code84})
	}
	return out, nil
}

// oldRefusals have stood in the file from its beginning.
func oldRefusals(good parts) [][3]string {
	text := good.text()
	iv, tag, body := b64(good.iv), b64(good.tag), b64(good.body)
	flip := func(part func(*parts) []byte, at int) string {
		return good.with(func(p *parts) { part(p)[at] ^= 1 }).text()
	}
	ivOf, tagOf, bodyOf := func(p *parts) []byte { return p.iv }, func(p *parts) []byte { return p.tag }, func(p *parts) []byte { return p.body }
	urlSafe := base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 12))
	return [][3]string{
		{"length", "empty string", ""},
		{"length", "shorter than the 40-character header", text[:39]},
		{"tampered", "iv changed", flip(ivOf, 0)},
		{"tampered", "tag changed", flip(tagOf, 0)},
		{"tampered", "last tag byte changed", flip(tagOf, 15)},
		{"tampered", "ciphertext changed", flip(bodyOf, 0)},
		{"tampered", "ciphertext truncated", good.with(func(p *parts) { p.body = p.body[:len(p.body)-1] }).text()},
		{"tampered", "ciphertext extended", iv + tag + body + "AA=="},
		{"length", "ciphertext missing", iv + tag},
		{"layout", "tag before iv", tag + iv + body},
		{"layout", "one base64 of iv, tag and ciphertext together", b64(good.iv, good.tag, good.body)},
		{"layout", "one base64 of iv, ciphertext and tag together", b64(good.iv, good.body, good.tag)},
		{"alphabet", "url-safe alphabet", urlSafe + tag + body},
		{"alphabet", "not base64", strings.Repeat("!", 60)},
		{"white-space", "white space inside", iv + tag + body[:5] + "\n" + body[5:]},
		{"canonical", "non-canonical base64: padding bits set", iv + unusedBit(tag) + body},
		{"key", "sealed with another key", otherKey},
		{"layout", "plain JSON instead of cipherText", refusedJSON},
	}
}

// moreRefusals came later. But for the fault each opens.
func moreRefusals(good, padded, safe parts) [][3]string {
	text := good.text()
	iv, tag, body := b64(good.iv), b64(good.tag), b64(good.body)
	paddedText := padded.text()
	hexText := hex.EncodeToString(good.iv) + hex.EncodeToString(good.tag) + hex.EncodeToString(good.body)
	return [][3]string{
		{"alphabet", "url-safe alphabet, else right", strings.NewReplacer("+", "-", "/", "_").Replace(safe.text())},
		{"alphabet", "hex instead of base64", hexText},
		{"alphabet", "percent-encoded", strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(text)},
		{"alphabet", "+ became a space, as in a form", strings.ReplaceAll(safe.text(), "+", " ")},
		{"layout", "tag behind the ciphertext", iv + body + tag},
		{"layout", "a separator between the parts", iv + "." + tag + "." + body},
		{"padding", "tag without padding", iv + strings.TrimRight(tag, "=") + body},
		{"padding", "ciphertext without padding", strings.TrimRight(paddedText, "=")},
		{"padding", "one = too many", text + "="},
		{"padding", "a quantum of padding too many", text + "===="},
		{"canonical", "ciphertext with unused bits set", paddedText[:40] + unusedBit(paddedText[40:])},
		{"white-space", "line feed at the end", text + "\n"},
		{"white-space", "carriage return and line feed at the end", text + "\r\n"},
		{"white-space", "a line end after 64 characters, as in PEM", text[:64] + "\n" + text[64:]},
		{"white-space", "space in front", " " + text},
		{"white-space", "tab at the end", text + "\t"},
		{"white-space", "NUL at the end", text + "\x00"},
		{"length", "twice", text + text},
	}
}

// unusedBit sets the lowest bit of the last character before the padding, which
// decodes to nothing.
func unusedBit(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := strings.IndexByte(text, '=') - 1
	n := strings.IndexByte(alphabet, text[at])
	return text[:at] + string(alphabet[n|1]) + text[at+1:]
}
