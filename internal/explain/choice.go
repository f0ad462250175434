package explain

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // what others did is made again
	"crypto/sha1" //nolint:gosec // what others did is made again
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall"
)

// choices fills the dimensions for a digest of so many bytes.
func (x *exam) choices(size int) (made [dims][]choice) {
	made[dimAgent] = x.agentChoices()
	made[dimTime] = append([]choice{{text: x.timestamp}}, timeChoices(x.timestamp)...)
	made[dimNonce] = append([]choice{{text: x.nonce}}, nonceChoices(x.nonce)...)
	made[dimText] = append([]choice{{text: x.cipherText}}, x.textChoices()...)
	made[dimJoin] = joinChoices
	made[dimOrder] = orderChoices
	made[dimSum] = x.sums(size)
	return made
}

func spaced(value int64, s string) (out []choice) {
	for _, text := range []string{s + "\n", s + "\r\n", s + " ", " " + s} {
		out = append(out, choice{code: "signature-white-space", value: value, text: text})
	}
	return out
}

func (x *exam) agentChoices() []choice {
	out := []choice{{text: x.agentID}}
	ids := []string{strings.ToUpper(x.agentID), strings.ToLower(x.agentID)}
	if x.claims != nil {
		ids = append(ids, x.claims.agentID)
	}
	for _, a := range x.know.Agents[:min(len(x.know.Agents), maxAgents)] {
		ids = append(ids, a.ID)
	}
	for _, id := range ids {
		switch {
		case id == "" || id == x.agentID:
		case strings.EqualFold(id, x.agentID):
			out = append(out, choice{code: "header-case-changed", value: 1, detail: "it was " + clip(id, 64), text: id})
		default:
			out = append(out, choice{code: "signature-other-agentid", detail: "it was " + clip(id, 64), text: id})
		}
	}
	return append(out, spaced(1, x.agentID)...)
}

func timeChoices(t string) []choice {
	out := spaced(2, t)
	other := func(text, detail string) {
		out = append(out, choice{code: "signature-timestamp-unit", detail: detail, text: text})
	}
	switch len(t) {
	case 13:
		other(t[:10], "seconds are signed, milliseconds sent")
		other(t[:10]+"000", "whole seconds are signed")
		other(t[:10]+"."+t[10:], "seconds with a point are signed")
		other(t+"000", "microseconds are signed")
	case 10:
		for ms := range 1000 {
			other(t+string([]byte{'0' + byte(ms/100), '0' + byte(ms/10%10), '0' + byte(ms%10)}), "milliseconds are signed, seconds sent")
		}
	}
	return out
}

func nonceChoices(n string) []choice {
	out := spaced(3, n)
	if bare := strings.ReplaceAll(n, "-", ""); bare != n {
		out = append(out, choice{code: "signature-nonce-hyphens", text: bare})
		n = bare
	}
	for _, s := range []string{strings.ToLower(n), strings.ToUpper(n)} {
		if s != n {
			out = append(out, choice{code: "header-case-changed", value: 3, text: s})
		}
		if len(s) == 32 {
			out = append(out, choice{code: "signature-nonce-hyphens", text: s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]})
		}
	}
	return out
}

// textChoices are what is signed in the place of cipherText.
func (x *exam) textChoices() []choice {
	c := x.cipherText
	out := spaced(6, c)
	add := func(code, detail, text string) {
		if text != c && !slices.ContainsFunc(out, func(o choice) bool { return o.text == text }) {
			out = append(out, choice{code: code, detail: detail, text: text})
		}
	}
	escaped := strings.ReplaceAll(c, "/", `\/`)
	for _, body := range []string{
		string(x.req.Body), strings.TrimSpace(string(x.req.Body)), compact(x.req.Body), compact(x.req.Body) + "\n",
		`{"cipherText":"` + c + `"}`, `{"cipherText": "` + c + `"}`, `{"cipherText":"` + escaped + `"}`, `{ "cipherText": "` + c + `" }`,
		"{\n  \"cipherText\": \"" + c + "\"\n}", "cipherText=" + c,
	} {
		add("signature-over-body", "", body)
	}
	if x.open.ok {
		for _, plain := range []string{string(x.open.plaintext), compact(x.open.plaintext), strings.TrimSpace(string(x.open.plaintext))} {
			add("signature-over-plaintext", "", plain)
		}
	}
	add("signature-over-part", "with / escaped as \\/", escaped)
	add("signature-over-part", "percent-encoded", url.QueryEscape(c))
	add("signature-over-part", "with spaces for +", strings.ReplaceAll(c, "+", " "))
	add("signature-over-part", "in the URL-safe alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(c))
	add("signature-over-part", "without padding", strings.TrimRight(c, "="))
	add("signature-over-part", "with quotes around it", `"`+c+`"`)
	add("signature-over-part", "in lower case", strings.ToLower(c))
	for _, t := range readings(c) {
		add("signature-over-part", "without line ends, quotes or escapes", t.s)
	}
	if len(c) > 40 {
		add("signature-over-part", "the sealed bytes without iv and tag", c[40:])
		add("signature-over-part", "without the iv", c[16:])
	}
	if b, _, ok := flat(c); ok {
		add("signature-over-part", "its bytes, decoded", string(b))
		add("signature-over-part", "in hex", hex.EncodeToString(b))
	}
	add("signature-over-part", "encoded in base64 once more", base64.StdEncoding.EncodeToString([]byte(c)))
	return out
}

func compact(b []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return string(b)
	}
	return out.String()
}

var joinChoices = func() []choice {
	out := []choice{{text: "|"}, {code: "signature-no-separators", text: ""}}
	for _, sep := range []string{",", ":", "&", ";", ".", "-", "_", " ", "\n", "||", " | ", "/", "+", "#"} {
		out = append(out, choice{code: "signature-other-separator", detail: "by " + strings.NewReplacer("\n", "a line end").Replace(sep), text: sep})
	}
	return out
}()

// orderChoices are all orders of all four values, and those of three and two.
var orderChoices = func() []choice {
	out := []choice{{order: []int{dimAgent, dimTime, dimNonce, dimText}}}
	var extend func(order []int)
	extend = func(order []int) {
		if len(order) == 4 && !slices.Equal(order, out[0].order) {
			out = append(out, choice{code: "signature-other-order", detail: orderText(order), order: slices.Clone(order)})
		}
		if ascending := slices.IsSorted(order); ascending && (len(order) == 3 || len(order) == 2 || len(order) == 1 && order[0] == dimText) {
			out = append(out, choice{code: "signature-part-missing", detail: "signed are " + orderText(order), order: slices.Clone(order)})
		}
		for v := dimAgent; v <= dimText; v++ {
			if !slices.Contains(order, v) {
				extend(append(slices.Clone(order), v))
			}
		}
	}
	extend(nil)
	return out
}()

func orderText(order []int) string {
	names := []string{"agentid", "timestamp", "nonce", "cipherText"}
	var out []string
	for _, v := range order {
		out = append(out, names[v])
	}
	return strings.Join(out, ", ")
}

func digestOf(h func() hash.Hash) func([]byte) []byte {
	return func(text []byte) []byte {
		d := h()
		d.Write(text)
		return d.Sum(nil)
	}
}

func keyed(key []byte) func([]byte) []byte {
	return digestOf(func() hash.Hash { return hmac.New(sha256.New, key) })
}

// sums are the hashes of the digest's size.
func (x *exam) sums(size int) []choice {
	const other = "signature-other-digest"
	switch size {
	case 16:
		return []choice{{code: other, detail: "MD5", sum: digestOf(md5.New)}}
	case 20:
		return []choice{{code: other, detail: "SHA-1", sum: digestOf(sha1.New)}}
	case 28:
		return []choice{{code: other, detail: "SHA-224", sum: digestOf(sha256.New224)}}
	case 48:
		return []choice{{code: other, detail: "SHA-384", sum: digestOf(sha512.New384)}}
	case 64:
		return []choice{{code: other, detail: "SHA-512", sum: digestOf(sha512.New)}}
	}
	plain := digestOf(sha256.New)
	out := []choice{
		{sum: plain},
		{code: "signature-double-hash", detail: "the hex of the first once more", sum: func(b []byte) []byte { return plain([]byte(hex.EncodeToString(plain(b)))) }},
		{code: "signature-double-hash", detail: "the bytes of the first once more", sum: func(b []byte) []byte { return plain(plain(b)) }},
		{code: other, detail: "SHA3-256", sum: digestOf(func() hash.Hash { return sha3.New256() })},
		{code: other, detail: "SHA-512/256", sum: digestOf(sha512.New512_256)},
	}
	if x.profile() == rollcall.SignatureHMAC {
		out[0].code = "signature-plain-on-hmac"
		out = slices.Insert(out, 0, choice{sum: func([]byte) []byte { return nil }}) // the right one, where no key is known
	}
	return x.keyedSums(out)
}

// keyedSums adds what a key can go into.
func (x *exam) keyedSums(out []choice) []choice {
	for _, k := range x.keys {
		if !k.right() {
			continue
		}
		text := hex.EncodeToString(k.raw)
		hmacs := choice{code: "signature-hmac-on-plain", sum: keyed(k.raw)}
		if x.profile() == rollcall.SignatureHMAC {
			hmacs.code = ""
			out[0] = hmacs
		} else {
			out = append(out, hmacs)
		}
		out = append(out, choice{code: "signature-hmac-key-text", sum: keyed([]byte(text))})
		out = append(out, appended("the API key", text)...)
	}
	for _, a := range x.know.Agents[:min(len(x.know.Agents), maxAgents)] {
		if a.Secret != "" && (a.ID == "" || strings.EqualFold(a.ID, x.agentID)) {
			out = append(out, choice{code: "signature-hmac-secret", sum: keyed([]byte(a.Secret))})
			out = append(out, appended("the Secret key", a.Secret)...)
		}
	}
	return out
}

// appended are the plain hash with a key behind or before the text.
func appended(name, key string) (out []choice) {
	for _, sep := range []string{"|", ""} {
		out = append(out,
			choice{code: "signature-key-appended", detail: name, sum: func(b []byte) []byte {
				sum := sha256.Sum256(slices.Concat(b, []byte(sep+key)))
				return sum[:]
			}},
			choice{code: "signature-key-appended", detail: name, sum: func(b []byte) []byte {
				sum := sha256.Sum256(slices.Concat([]byte(key+sep), b))
				return sum[:]
			}})
	}
	return out
}
