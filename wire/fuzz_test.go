package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-server/rollcall"
)

// FuzzOpen: no text makes Open panic, and there is one text only for an iv, a
// tag and sealed bytes. The second is asked of the layout alone too, since no
// fuzzer finds a tag.
func FuzzOpen(f *testing.F) {
	vectors := readVectors[refusedVectors](f, "refused.json")
	key := mustKey(f, vectors.APIKey)
	f.Add(vectors.Good)
	for _, v := range vectors.Refused {
		f.Add(v.CipherText)
	}
	for n := range 4 {
		f.Add(key.seal([ivSize]byte{}, make([]byte, n)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		plaintext, err := key.Open(text)
		if err != nil {
			if err != rollcall.ErrDecryption || plaintext != nil { //nolint:errorlint // nothing may be wrapped around it
				t.Fatalf("got %q, %v", plaintext, err)
			}
		} else {
			iv, decodeErr := base64.StdEncoding.DecodeString(text[:ivText])
			if decodeErr != nil || key.seal([ivSize]byte(iv), plaintext) != text {
				t.Fatalf("opened, but sealing does not give it again: %q", text)
			}
		}
		if len(text) < ivText+tagText || strings.ContainsAny(text, "\r\n") {
			return
		}
		iv, sealed, ok := splitCipherText(nil, []byte(text))
		if !ok {
			return
		}
		body, tag := sealed[:len(sealed)-tagSize], sealed[len(sealed)-tagSize:]
		again := base64.StdEncoding.EncodeToString(iv) + base64.StdEncoding.EncodeToString(tag) + base64.StdEncoding.EncodeToString(body)
		if len(iv) != ivSize || again != text {
			t.Fatalf("not canonical: %q is read as %q", text, again)
		}
	})
}

// FuzzSealOpen: Open undoes Seal, and one changed bit of the bytes that are
// sent, or of the text, is refused.
func FuzzSealOpen(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint(0))
	f.Add([]byte(`{"username":"player001"}`), []byte("key"), uint(99))
	f.Add(bytes.Repeat([]byte{0xff}, 300), bytes.Repeat([]byte{0xff}, 44), uint(2500))
	f.Fuzz(func(t *testing.T, plaintext, seed []byte, bit uint) {
		var raw [keySize]byte
		var iv [ivSize]byte
		copy(iv[:], seed[copy(raw[:], seed):])
		key := mustKey(t, hex.EncodeToString(raw[:]))
		text := key.seal(iv, plaintext)
		got, err := key.Open(text)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("got %q, %v; want %q", got, err, plaintext)
		}
		room, sent := bytes.Repeat([]byte("used before"), int(bit%99)), []byte(text)
		if got, err := key.OpenIn(room, sent); err != nil || !bytes.Equal(got, plaintext) || string(sent) != text {
			t.Fatalf("in a room: got %q, %v; want %q", got, err, plaintext)
		}
		random := key.Seal(plaintext)
		if got, err := key.Open(random); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("random iv: got %q, %v; want %q", got, err, plaintext)
		}
		if changed := flip(text, bit); opens(key, changed) {
			t.Fatalf("opens with bit %d of the text changed: %q", bit, changed)
		}
		if changed := flipSealed(t, text, bit); opens(key, changed) {
			t.Fatalf("opens with bit %d of the bytes changed: %q", bit, changed)
		}
	})
}

func opens(key *APIKey, text string) bool {
	_, err := key.Open(text)
	return !errors.Is(err, rollcall.ErrDecryption)
}

// flip changes one bit of s, which is not empty.
func flip(s string, bit uint) string {
	b := []byte(s)
	bit %= uint(len(b)) * 8
	b[bit/8] ^= 1 << (bit % 8)
	return string(b)
}

// flipSealed changes one bit of the bytes that cipherText stands for.
func flipSealed(t *testing.T, text string, bit uint) string {
	t.Helper()
	var all []byte
	for _, part := range []string{text[:ivText], text[ivText : ivText+tagText], text[ivText+tagText:]} {
		b, err := base64.StdEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	all = []byte(flip(string(all), bit))
	return base64.StdEncoding.EncodeToString(all[:ivSize]) +
		base64.StdEncoding.EncodeToString(all[ivSize:ivSize+tagSize]) +
		base64.StdEncoding.EncodeToString(all[ivSize+tagSize:])
}

// FuzzDecode compares decodeObject with another strict JSON reader.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"cipherText":"a"}`, `{"cipherText":"a","cipherText":"b"}`, `{"cipherText":1}`,
		`{"cipherText":"\u0061\/\ud83d\ude00","z":[1,-0.5e+3,true,null,{"a":{}}]}`, `{"ciphe\u0072Text":"a"}`,
		`{"cipherText":"a","z":{"a":1,"\u0061":2}}`, `{"cipherText":"\ud800"}`, "{\"cipherText\":\"\xff\"}",
		"\ufeff{}", `{"cipherText":"a"}{}`, `{"cipherText":"a","z":01}`, "{\"cipherText\":\"\x01\"}", "\x00",
		`{"cipherText":"a","1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"1":1}`,
		`{"cipherText":"a","z":` + nested(31) + `}`, `{"cipherText":"a","z":` + nested(32) + `}`,
		` { "cipherText" : "a" , "z" : [ ] } `, `{"cipherText":"a","z":"\ud83d\u0041"}`, `{"z":{"cipherText":"b"}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var r Request
		err := r.Decode(data)
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		if err != nil && !errors.Is(err, rollcall.ErrParameters) {
			t.Fatalf("got %v, want ErrParameters", err)
		}
		if part, partErr := CipherText(data); fmt.Sprint(partErr) != fmt.Sprint(err) || string(part) != r.CipherText {
			t.Fatalf("%q: CipherText returns %q, %v; Decode finds %q, %v", data, part, partErr, r.CipherText, err)
		}
		want, ok := otherReader(data)
		if (err == nil) != ok {
			t.Fatalf("%q: got %v; the other reader accepts: %v", data, err, ok)
		}
		if ok && r.CipherText != want {
			t.Fatalf("%q: got %q, the other reader %q", data, r.CipherText, want)
		}
	})
}

// otherReader reads one object with a string member cipherText, at most 32
// deep, by the rules that jsontext has by default: no duplicates, no invalid
// UTF-8.
func otherReader(data []byte) (cipherText string, ok bool) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if d.PeekKind() != '{' {
		return "", false
	}
	for {
		token, err := d.ReadToken()
		if err != nil || d.StackDepth() > maxDepth {
			return "", false
		}
		if d.StackDepth() == 0 {
			break
		}
		if _, n := d.StackIndex(1); d.StackDepth() == 1 && n%2 == 1 && token.String() == "cipherText" {
			if d.PeekKind() != '"' {
				return "", false
			}
			value, err := d.ReadToken()
			if err != nil {
				return "", false
			}
			cipherText, ok = value.String(), true
		}
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return "", false
	}
	return cipherText, ok
}

// The forms of spec 2 as expressions.
var (
	agentForm         = regexp.MustCompile(`\A[A-Za-z0-9_.\-]{1,64}\z`)
	timestampForm     = regexp.MustCompile(`\A[0-9]{13}\z`)
	nonceForm         = regexp.MustCompile(`\A[A-Za-z0-9]{32}\z`)
	signatureForm     = regexp.MustCompile(`\A[0-9A-Fa-f]{64}\z`)
	authorizationForm = regexp.MustCompile(`\A[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9_.\-]+)\z`)
)

// FuzzHeader compares ParseHeader with those expressions.
func FuzzHeader(f *testing.F) {
	f.Add("integratorNBTest04", "1769745532582", nonce32, strings.Repeat("0aF9", 16), "Bearer "+token, true)
	f.Add("a", "0000000000000", nonce32, strings.Repeat("f", 64), "", false)
	f.Add("a b", "176974553258\u0662", nonce32+"_", strings.Repeat("g", 64), "Bearer", true)
	f.Add("", "", "", "", "bearer \u212a", true)
	f.Fuzz(func(t *testing.T, agent, timestamp, nonce, signature, authorization string, withToken bool) {
		sent := http.Header{
			HeaderAgentID: {agent}, HeaderTimestamp: {timestamp}, HeaderNonce: {nonce},
			HeaderSignature: {signature}, HeaderAuthorization: {authorization},
		}
		want := agentForm.MatchString(agent) && timestampForm.MatchString(timestamp) && nonceForm.MatchString(nonce) &&
			signatureForm.MatchString(signature) && (!withToken || authorizationForm.MatchString(authorization))
		got, err := ParseHeader(sent, withToken)
		if (err == nil) != want {
			t.Fatalf("got %+v, %v; want accepted: %v", got, err, want)
		}
		if err != nil {
			if !errors.Is(err, rollcall.ErrAuthentication) || got != (Header{}) {
				t.Fatalf("got %+v, %v; want ErrAuthentication", got, err)
			}
			return
		}
		_ = got.VerifySignature(rollcall.SignaturePlain, nil, "")
		if ms := FormatTimestamp(got.Time()); ms != timestamp {
			t.Fatalf("timestamp %s is read as %s", timestamp, ms)
		}
		back := http.Header{}
		got.Set(back)
		if again, err := ParseHeader(back, withToken); err != nil || again != got {
			t.Fatalf("after Set: got %+v, %v; want %+v", again, err, got)
		}
	})
}

// FuzzSignature: what Sign makes verifies, in both cases of hex, and with any
// one bit of any part changed it does not. The parts may be of any form here.
func FuzzSignature(f *testing.F) {
	for _, v := range readVectors[[]signatureVector](f, "signature.json")[:4] {
		f.Add(v.AgentID, v.Timestamp, v.Nonce, v.CipherText, uint(77), true)
		f.Add(v.AgentID, v.Timestamp, v.Nonce, v.CipherText, uint(5000), false)
	}
	f.Add("", "", "", "", uint(0), true)
	f.Add("|", "||", "a|b", "|", uint(3), false)
	key := mustKey(f, testKey)
	f.Fuzz(func(t *testing.T, agent, timestamp, nonce, cipherText string, bit uint, keyed bool) {
		profile := rollcall.SignaturePlain
		if keyed {
			profile = rollcall.SignatureHMAC
		}
		h := Header{AgentID: agent, Timestamp: timestamp, Nonce: nonce}
		h.Sign(profile, key, cipherText)
		upper := h
		upper.Signature = strings.ToUpper(h.Signature)
		if !h.VerifySignature(profile, key, cipherText) || !upper.VerifySignature(profile, key, cipherText) {
			t.Fatalf("%+v does not verify", h)
		}
		for i := range 4 {
			changed, text := h, cipherText
			part := []*string{&changed.AgentID, &changed.Timestamp, &changed.Nonce, &text}[i]
			if *part == "" {
				continue
			}
			*part = flip(*part, bit)
			if changed.VerifySignature(profile, key, text) {
				t.Fatalf("%+v, %q verifies with a bit changed", changed, text)
			}
		}
		changed := h
		changed.Signature = flip(h.Signature, bit)
		same := strings.EqualFold(changed.Signature, h.Signature) // the bit that tells a from A
		if changed.VerifySignature(profile, key, cipherText) != same {
			t.Fatalf("signature %s for %s", changed.Signature, h.Signature)
		}
	})
}
