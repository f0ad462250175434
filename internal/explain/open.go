package explain

import (
	"bytes"
	"crypto/cipher"
	"encoding/json"
	"slices"
	"strings"
)

// An opening is how a cipherText was opened.
type opening struct {
	ok        bool
	plaintext []byte
	key       *candidate
	codes     []string
	detail    string
	// value goes with the code tag-short.
	value int64
}

// search opens the cipherText: as a server does, and then in every wrong way.
func (x *exam) search() opening {
	for _, k := range x.keys {
		if k.right() && k.good != nil && len(x.cipherText) <= maxBody {
			if plaintext, err := k.good.Open(x.cipherText); err == nil && len(plaintext) > 0 {
				return opening{ok: true, plaintext: plaintext, key: k}
			}
		}
	}
	if len(x.keys) == 0 || x.budget == 0 {
		return opening{}
	}
	var all []shape
	texts := readings(x.cipherText)
	for _, t := range texts {
		all = append(all, shapes(t)...)
	}
	for _, how := range []func() opening{
		func() opening { return x.proved(all) },
		func() opening { return x.unproved(texts, all) },
		func() opening { return x.otherModes(texts) },
	} {
		if o := how(); o.ok {
			return o
		}
	}
	return opening{}
}

// spend takes n bytes of work from the budget, and reports whether there were any.
func (x *exam) spend(n int) bool {
	if x.budget <= 0 {
		return false
	}
	x.budget -= n + 64
	return true
}

// proved tries all keys on all shapes: what opens is proved by its tag.
func (x *exam) proved(all []shape) opening {
	for _, k := range x.keys {
		for _, s := range all {
			if len(s.tag) != 16 || !x.spend(len(s.sealed)) {
				continue
			}
			plaintext, err := k.aead(len(s.iv)).Open(nil, s.iv, slices.Concat(s.sealed, s.tag), nil)
			if err == nil {
				return opening{ok: true, plaintext: plaintext, key: k, codes: s.codes, detail: s.detail}
			}
		}
	}
	return opening{}
}

// stream opens sealed bytes and leaves the tag out of it. GCM adds the same
// bytes to whatever it seals, so to seal zeros tells them.
func stream(k *candidate, iv, sealed []byte) []byte {
	pad := k.aead(len(iv)).Seal(nil, iv, make([]byte, len(sealed)), nil)
	out := make([]byte, len(sealed))
	for i := range out {
		out[i] = sealed[i] ^ pad[i]
	}
	return out
}

// unproved looks for sealed bytes that become JSON though the tag does not fit.
func (x *exam) unproved(texts []text, all []shape) opening {
	for _, t := range texts {
		b, _, ok := flat(t.s)
		if h, hexed := fromHex(t.s); hexed {
			b, ok, t.codes = h, true, with(t.codes, "hex")
		}
		for _, size := range []int{15, 14, 13, 12} {
			if ok {
				all = append(all, cuts(b, size, t.codes)...)
			}
		}
		for _, ivSize := range []int{12, 16} {
			if ok && len(b) > ivSize {
				codes := with(t.codes, "tag-missing")
				if ivSize == 16 {
					codes = append(codes, "iv-16")
				}
				all = append(all, shape{iv: b[:ivSize], sealed: b[ivSize:], codes: codes})
			}
		}
	}
	for _, k := range x.keys {
		for _, s := range all {
			if len(s.sealed) == 0 || !x.spend(2*len(s.sealed)) {
				continue
			}
			plaintext := stream(k, s.iv, s.sealed)
			if !plausible(plaintext, k.right() && s.codes == nil) {
				continue
			}
			if o, ok := x.tagOf(k, s, plaintext); ok {
				return o
			}
		}
	}
	return opening{}
}

// tagOf says what is wrong with a tag.
func (x *exam) tagOf(k *candidate, s shape, plaintext []byte) (opening, bool) {
	o := opening{ok: true, plaintext: plaintext, key: k, codes: s.codes, detail: s.detail}
	made := func(data string) []byte {
		sealed := k.aead(len(s.iv)).Seal(nil, s.iv, plaintext, []byte(data))
		return sealed[len(plaintext):]
	}
	switch n := len(s.tag); {
	case n == 0:
		return o, true
	case n < 16:
		o.codes, o.value = with(o.codes, "tag-short"), int64(n)
		return o, bytes.Equal(made("")[:n], s.tag)
	}
	for _, data := range []struct{ text, name string }{
		{x.agentID, "x-agentid"},
		{x.timestamp, "x-timestamp"},
		{x.nonce, "x-nonce"},
		{x.endpoint, "the path"},
		{x.agentID + "|" + x.timestamp + "|" + x.nonce, "the signed values"},
		{x.agentID + x.timestamp + x.nonce, "the signed values"},
		{"cipherText", "the text cipherText"},
		{string(s.iv), "the iv"},
	} {
		if data.text != "" && bytes.Equal(made(data.text), s.tag) {
			o.codes, o.detail = with(o.codes, "additional-data"), "it is "+data.name
			return o, true
		}
	}
	o.codes = with(o.codes, "tag-wrong")
	return o, true
}

// otherModes tries the modes without a tag.
func (x *exam) otherModes(texts []text) opening {
	for _, t := range texts {
		b, _, ok := flat(t.s)
		if h, hexed := fromHex(t.s); hexed {
			b, ok, t.codes = h, true, with(t.codes, "hex")
		}
		parts, _ := fields(t.s)
		for _, k := range x.keys {
			var o opening
			switch {
			case len(parts) == 2:
				o = x.modes(k, parts[0], parts[1])
			case ok && len(b) > 16:
				if o = x.modes(k, b[:16], b[16:]); !o.ok {
					o = x.modes(k, b[len(b)-16:], b[:len(b)-16])
				}
			}
			if !o.ok && ok {
				for _, iv := range [][]byte{make([]byte, 16), append(make([]byte, 0, 32), k.raw...)[:16]} {
					if !o.ok {
						o = x.modes(k, iv, b)
					}
				}
			}
			if o.ok {
				o.key, o.codes = k, with(t.codes, o.codes...)
				return o
			}
		}
	}
	return opening{}
}

func (x *exam) modes(k *candidate, iv, sealed []byte) opening {
	if len(iv) != 16 || len(sealed) == 0 || !x.spend(3*len(sealed)) {
		return opening{}
	}
	out := make([]byte, len(sealed))
	if len(sealed)%16 == 0 {
		cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(out, sealed)
		if text, ok := unpad(out); ok && plausible(text, false) {
			return opening{ok: true, plaintext: text, codes: []string{"cbc"}}
		}
		for i := 0; i < len(sealed); i += 16 {
			k.block.Decrypt(out[i:i+16], sealed[i:i+16])
		}
		if text, ok := unpad(out); ok && plausible(text, false) {
			return opening{ok: true, plaintext: text, codes: []string{"ecb"}}
		}
	}
	cipher.NewCTR(k.block, iv).XORKeyStream(out, sealed)
	if plausible(out, false) {
		return opening{ok: true, plaintext: slices.Clone(out), codes: []string{"ctr"}}
	}
	return opening{}
}

// unpad takes off the padding of PKCS#7, or zeros.
func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n >= 1 && n <= 16 && n <= len(b) && bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return b[:len(b)-n], true
	}
	trimmed := bytes.TrimRight(b, "\x00")
	return trimmed, len(trimmed) > 0 && len(b)-len(trimmed) < 16
}

// plausible reports whether bytes that no tag proves are a plaintext: JSON, and
// long enough not to be so by chance unless the key and all else are right.
func plausible(b []byte, strong bool) bool {
	b = bytes.TrimPrefix(b, bom)
	if wide, ok := fromUTF16(b); ok {
		b = wide
	}
	b = bytes.TrimSpace(b)
	return len(b) > 0 && (b[0] == '{' || b[0] == '"') && (len(b) >= 6 || strong) && json.Valid(b)
}

// The step cipherText.
func (x *exam) cipherTextStep() {
	c, checked := x.checked(stepCipherText)
	switch {
	case !x.hasCipherText:
		x.found(stepCipherText, Unknown, "there is none to look at")
	case len(x.cipherText) < 44:
		x.fault("ciphertext-short", int64(len(x.cipherText)), "")
	case x.open.ok:
		x.opened()
	case checked && c.Passed:
		x.found(stepCipherText, Right, "the server has opened it")
	default:
		x.unopened()
	}
}

func (x *exam) opened() {
	o := x.open
	for _, code := range slices.Concat(o.codes, o.key.codes) {
		detail, value := "", int64(0)
		switch code {
		case "parts-order", "parts-separated", "additional-data":
			detail = o.detail
		case "tag-short":
			value = o.value
		case "key-ascii", "key-half", "key-hashed", "key-other-agent":
			detail = o.key.detail
		}
		x.fault(code, value, detail)
	}
	if x.has(stepCipherText) {
		x.found(stepCipherText, Wrong, "a server cannot open it; it opens when it is read so:")
		return
	}
	x.found(stepCipherText, Right, "it opens; the plaintext has %d bytes", len(o.plaintext))
}

// unopened says what the text shows by itself.
func (x *exam) unopened() {
	t := mendText(x.cipherText)
	for _, code := range t.codes {
		x.fault(code, 0, "")
	}
	switch parts, sep := fields(t.s); {
	case strings.HasPrefix(t.s, "U2FsdGVkX1"): // "Salted__" in base64
		x.fault("passphrase", 0, "")
	case isHex(t.s):
		x.fault("hex", 0, "")
	case parts != nil:
		x.fault("parts-separated", 0, "it is "+sep)
	case rightLayout(t.s):
	case len(t.s) >= 40 && strings.TrimRight(t.s[38:40], "=") == "":
		x.fault("base64-not-canonical", 0, "")
	default:
		x.fault("layout-wrong", 0, "one base64 over everything, the tag behind, or padding that is missing look like this")
	}
	if x.hasKey() {
		x.fault("key-unknown", 0, "")
		return
	}
	if x.passedBy() {
		if code, _ := x.answered(); code != 84 {
			x.found(stepCipherText, Right, "the answer tells that it was opened")
			return
		}
	}
	if x.has(stepCipherText) {
		x.found(stepCipherText, Wrong, "whether it would open apart from that cannot be known without the API key (--credentials, --api-key-file)")
		return
	}
	x.found(stepCipherText, Unknown, "its layout is right; whether it opens cannot be known without the API key (--credentials, --api-key-file)")
}

func isHex(s string) bool {
	_, ok := fromHex(s)
	return ok
}
