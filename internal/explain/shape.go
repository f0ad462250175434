package explain

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A shape is one reading of a cipherText as iv, tag and sealed bytes, and what is
// wrong with it should it open.
type shape struct {
	iv, tag, sealed []byte
	codes           []string
	detail          string
}

// An order is where the parts stand, i for iv, t for tag and s for sealed bytes.
var orders = []struct {
	parts string
	codes []string
}{
	{"its", nil},
	{"ist", []string{"tag-behind"}},
	{"tis", []string{"parts-order"}},
	{"tsi", []string{"parts-order"}},
	{"sit", []string{"parts-order"}},
	{"sti", []string{"parts-order"}},
}

var partNames = map[byte]string{'i': "iv", 't': "tag", 's': "sealed bytes"}

func orderDetail(parts string) string {
	return fmt.Sprintf("here %s, %s, %s", partNames[parts[0]], partNames[parts[1]], partNames[parts[2]])
}

// shapes returns the readings of a text.
func shapes(t text) []shape {
	var out []shape
	if b, padded, ok := flat(t.s); ok {
		for _, s := range cuts(b, 16, t.codes) {
			s.codes = append(s.codes, apart(t.s, padded, s)...)
			out = append(out, s)
		}
	}
	if b, ok := fromHex(t.s); ok {
		out = append(out, cuts(b, 16, with(t.codes, "hex"))...)
	}
	out = append(out, unpadded(t)...)
	out = append(out, oddIV(t)...)
	out = append(out, separated(t)...)
	if inner, ok := twiceInside(t.s); ok {
		if b, _, ok := flat(inner); ok {
			out = append(out, cuts(b, 16, with(t.codes, "double-base64"))...)
		}
	}
	return out
}

func with(codes []string, more ...string) []string { return slices.Concat(codes, more) }

// cuts cuts bytes into the parts in each order, for both sizes of an iv.
func cuts(b []byte, tagSize int, codes []string) (out []shape) {
	for _, ivSize := range []int{12, 16} {
		if len(b) <= ivSize+tagSize {
			continue
		}
		size := map[byte]int{'i': ivSize, 't': tagSize, 's': len(b) - ivSize - tagSize}
		for _, o := range orders {
			s := shape{codes: with(codes, o.codes...)}
			if o.codes != nil && o.codes[0] == "parts-order" {
				s.detail = orderDetail(o.parts)
			}
			if ivSize == 16 {
				s.codes = append(s.codes, "iv-16")
			}
			at := 0
			for i := range len(o.parts) {
				part := b[at : at+size[o.parts[i]]]
				at += size[o.parts[i]]
				switch o.parts[i] {
				case 'i':
					s.iv = part
				case 't':
					s.tag = part
				case 's':
					s.sealed = part
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// apart says what is wrong with how the parts of s were encoded to give the text.
func apart(t string, padded bool, s shape) []string {
	parts := [][]byte{s.iv, s.tag, s.sealed}
	switch {
	case slices.Contains(s.codes, "tag-behind"):
		parts = [][]byte{s.iv, s.sealed, s.tag}
	case s.detail != "": // another order: where the parts stand is said already
		return nil
	}
	if !padded {
		unpad := func(s string) string { return strings.ReplaceAll(s, "=", "") }
		if unpad(joined(parts...)) == unpad(t) {
			return []string{"base64-unpadded"}
		}
		return []string{"base64-unpadded", "one-base64"}
	}
	switch {
	case joined(parts...) == t:
		return nil
	case one(parts...) == t, joined(parts[0], slices.Concat(parts[1], parts[2])) == t:
		return []string{"one-base64"}
	}
	return []string{"base64-not-canonical"}
}

// unpadded reads a text whose parts lack their padding, so that only their
// lengths part them.
func unpadded(t text) (out []shape) {
	s := strings.TrimRight(t.s, "=")
	if strings.Contains(s, "=") {
		return nil
	}
	const tag = 22 // characters of 16 bytes
	for _, iv := range []int{16, 22} {
		if len(s) <= iv+tag {
			continue
		}
		for _, cut := range []struct {
			a, b  int
			codes []string
		}{{iv, iv + tag, []string{"base64-unpadded"}}, {iv, len(s) - tag, []string{"base64-unpadded", "tag-behind"}}} {
			parts, ok := rawParts(s[:cut.a], s[cut.a:cut.b], s[cut.b:])
			if !ok {
				continue
			}
			sh := shape{iv: parts[0], tag: parts[1], sealed: parts[2], codes: with(t.codes, cut.codes...)}
			if len(cut.codes) == 2 {
				sh.tag, sh.sealed = parts[2], parts[1]
			}
			if iv == 22 {
				sh.codes = append(sh.codes, "iv-16")
			}
			out = append(out, sh)
		}
	}
	return out
}

func rawParts(texts ...string) (parts [][]byte, ok bool) {
	for _, s := range texts {
		b, err := base64.RawStdEncoding.DecodeString(s)
		if err != nil {
			return nil, false
		}
		parts = append(parts, b)
	}
	return parts, true
}

// oddIV reads a text whose iv is in hex, or not encoded at all.
func oddIV(t text) (out []shape) {
	for _, o := range []struct {
		chars int
		hex   bool
		code  string
	}{{24, true, "iv-hex"}, {32, true, "iv-hex"}, {12, false, "iv-not-encoded"}, {16, false, "iv-not-encoded"}} {
		if len(t.s) < o.chars+22 {
			continue
		}
		iv := []byte(t.s[:o.chars])
		if o.hex {
			var err error
			if iv, err = hex.DecodeString(t.s[:o.chars]); err != nil {
				continue
			}
		}
		rest, _, ok := flat(t.s[o.chars:])
		if !ok || len(rest) <= 16 {
			continue
		}
		out = append(out, pair(iv, rest, with(t.codes, o.code))...)
	}
	return out
}

// pair reads tag and sealed bytes in both orders behind an iv.
func pair(iv, rest []byte, codes []string) []shape {
	if len(iv) == 16 {
		codes = with(codes, "iv-16")
	}
	n := len(rest) - 16
	if (len(iv) != 12 && len(iv) != 16) || n <= 0 {
		return nil
	}
	return []shape{
		{iv: iv, tag: rest[:16], sealed: rest[16:], codes: codes},
		{iv: iv, tag: rest[n:], sealed: rest[:n], codes: with(codes, "tag-behind")},
	}
}

// separated reads a text whose parts have something between them.
func separated(t text) (out []shape) {
	parts, sep := fields(t.s)
	detail := "it is " + sep
	codes := with(t.codes, "parts-separated")
	if len(parts) == 2 {
		out = pair(parts[0], parts[1], codes)
	}
	if len(parts) == 3 {
		for _, o := range orders {
			place := func(c byte) []byte { return parts[strings.IndexByte(o.parts, c)] }
			s := shape{iv: place('i'), tag: place('t'), sealed: place('s'), codes: with(codes, o.codes...)}
			if len(s.iv) == 16 {
				s.codes = append(s.codes, "iv-16")
			}
			if len(s.tag) == 16 && len(s.sealed) > 0 && (len(s.iv) == 12 || len(s.iv) == 16) {
				out = append(out, s)
			}
		}
	}
	for i := range out {
		out[i].detail = detail
	}
	return out
}
