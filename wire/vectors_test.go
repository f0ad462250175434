package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
)

// readVectors reads a file of vectors into a T.
func readVectors[T any](t testing.TB, name string) T {
	t.Helper()
	var v T
	text, err := os.ReadFile("../conform/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

type signatureVector struct {
	AgentID, Timestamp, Nonce, CipherText, Signature string
}

func (v signatureVector) header() Header {
	return Header{AgentID: v.AgentID, Timestamp: v.Timestamp, Nonce: v.Nonce, Signature: v.Signature}
}

func mustKey(t testing.TB, text string) *APIKey {
	t.Helper()
	key, err := ParseAPIKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const testKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestSignatureVectors(t *testing.T) {
	vectors := readVectors[[]signatureVector](t, "signature.json")
	if len(vectors) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors))
	}
	for i, v := range vectors {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			made := v.header()
			made.Sign(rollcall.SignaturePlain, nil, v.CipherText)
			if made.Signature != v.Signature {
				t.Fatalf("Sign: got %s, want %s", made.Signature, v.Signature)
			}
			for _, text := range []string{v.Signature, strings.ToUpper(v.Signature)} {
				h := v.header()
				h.Signature = text
				if !h.VerifySignature(rollcall.SignaturePlain, nil, v.CipherText) {
					t.Errorf("VerifySignature refuses %s", text)
				}
			}
		})
	}
}

// change replaces the character at i by another that its place allows.
func change(s string, i int) string {
	c := byte('0')
	if s[i] == c {
		c = '1'
	}
	return s[:i] + string(c) + s[i+1:]
}

func TestSignatureBindsEachPart(t *testing.T) {
	v := readVectors[[]signatureVector](t, "signature.json")[0]
	key := mustKey(t, testKey)
	parts := []struct {
		name string
		of   func(*signatureVector) *string
	}{
		{"agentId", func(v *signatureVector) *string { return &v.AgentID }},
		{"timestamp", func(v *signatureVector) *string { return &v.Timestamp }},
		{"nonce", func(v *signatureVector) *string { return &v.Nonce }},
		{"cipherText", func(v *signatureVector) *string { return &v.CipherText }},
		{"signature", func(v *signatureVector) *string { return &v.Signature }},
	}
	for _, profile := range []rollcall.SignatureProfile{rollcall.SignaturePlain, rollcall.SignatureHMAC} {
		signed := v
		h := v.header()
		h.Sign(profile, key, v.CipherText)
		signed.Signature = h.Signature
		for _, part := range parts {
			t.Run(string(profile)+" "+part.name, func(t *testing.T) {
				for i := range *part.of(&signed) {
					changed := signed
					*part.of(&changed) = change(*part.of(&signed), i)
					if h := changed.header(); h.VerifySignature(profile, key, changed.CipherText) {
						t.Errorf("accepted with character %d changed", i)
					}
				}
			})
		}
	}
}

// TestSignatureOldRule refuses the rule of older vendor pages: no separators (spec 3.2).
func TestSignatureOldRule(t *testing.T) {
	v := readVectors[[]signatureVector](t, "signature.json")[0]
	old := sha256.Sum256([]byte(v.AgentID + v.Timestamp + v.Nonce + v.CipherText))
	body := sha256.Sum256([]byte(v.AgentID + v.Timestamp + v.Nonce + `{"cipherText":"` + v.CipherText + `"}`))
	for _, sum := range [][sha256.Size]byte{old, body} {
		h := v.header()
		h.Signature = hex.EncodeToString(sum[:])
		if h.VerifySignature(rollcall.SignaturePlain, nil, v.CipherText) {
			t.Errorf("accepted %s", h.Signature)
		}
	}
}

func TestSignatureForm(t *testing.T) {
	v := readVectors[[]signatureVector](t, "signature.json")[0]
	for _, text := range []string{
		"", v.Signature[:62], v.Signature[:63], v.Signature + "0", v.Signature + "00",
		v.Signature + v.Signature, strings.Repeat("0", 1<<16), "g" + v.Signature[1:], v.Signature[:63] + "\n",
	} {
		h := v.header()
		h.Signature = text
		if h.VerifySignature(rollcall.SignaturePlain, nil, v.CipherText) {
			t.Errorf("accepted a signature of %d characters", len(text))
		}
	}
}

// TestSignatureUnknownProfile: an agent whose profile is lost must not fall
// back to the profile without a secret.
func TestSignatureUnknownProfile(t *testing.T) {
	v := readVectors[[]signatureVector](t, "signature.json")[0]
	for _, profile := range []rollcall.SignatureProfile{"", "HMAC", "none"} {
		if h := v.header(); h.VerifySignature(profile, mustKey(t, testKey), v.CipherText) {
			t.Errorf("accepted under profile %q", profile)
		}
	}
}

// hmacByHand is RFC 2104 written out.
func hmacByHand(key []byte, text string) string {
	inner, outer := bytes.Repeat([]byte{0x36}, 64), bytes.Repeat([]byte{0x5c}, 64)
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	first := sha256.Sum256(append(inner, text...))
	second := sha256.Sum256(append(outer, first[:]...))
	return hex.EncodeToString(second[:])
}

func TestSignatureHMAC(t *testing.T) {
	key := mustKey(t, testKey)
	other := mustKey(t, strings.Repeat("42", keySize))
	raw, _ := hex.DecodeString(testKey)
	for _, v := range readVectors[[]signatureVector](t, "signature.json") {
		h := v.header()
		if h.VerifySignature(rollcall.SignatureHMAC, key, v.CipherText) {
			t.Fatal("the plain signature is accepted under hmac (spec 3.4)")
		}
		h.Sign(rollcall.SignatureHMAC, key, v.CipherText)
		want := hmacByHand(raw, v.AgentID+"|"+v.Timestamp+"|"+v.Nonce+"|"+v.CipherText)
		if h.Signature != want {
			t.Fatalf("Sign: got %s, want %s", h.Signature, want)
		}
		if !h.VerifySignature(rollcall.SignatureHMAC, key, v.CipherText) {
			t.Error("VerifySignature refuses its own")
		}
		if h.VerifySignature(rollcall.SignatureHMAC, other, v.CipherText) {
			t.Error("accepted under another key")
		}
		if h.VerifySignature(rollcall.SignaturePlain, key, v.CipherText) {
			t.Error("the hmac signature is accepted under plain")
		}
	}
}

// TestSignatureHMACKnownAnswer holds a value made by another implementation
// (Python's hmac module).
func TestSignatureHMACKnownAnswer(t *testing.T) {
	v := readVectors[[]signatureVector](t, "signature.json")[0]
	h := v.header()
	h.Sign(rollcall.SignatureHMAC, mustKey(t, testKey), v.CipherText)
	const want = "d48ab002b0e99ecff2912be19b62b1be826c9c8795375dc99117a3d70507fd27"
	if h.Signature != want {
		t.Errorf("got %s, want %s", h.Signature, want)
	}
}

type sealVector struct {
	APIKey, IV, Plaintext, CipherText string
}

func TestSealVectors(t *testing.T) {
	vectors := readVectors[[]sealVector](t, "seal.json")
	if len(vectors) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors))
	}
	for i, v := range vectors {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			key := mustKey(t, v.APIKey)
			iv, err := hex.DecodeString(v.IV)
			if err != nil || len(iv) != ivSize {
				t.Fatalf("iv of %d bytes: %v", len(iv), err)
			}
			if got := key.seal([ivSize]byte(iv), []byte(v.Plaintext)); got != v.CipherText {
				t.Errorf("seal: got %s, want %s", got, v.CipherText)
			}
			got, err := key.Open(v.CipherText)
			if err != nil || string(got) != v.Plaintext {
				t.Errorf("Open: got %q, %v; want %q", got, err, v.Plaintext)
			}
		})
	}
}

type refusedVectors struct {
	APIKey, Good string
	Refused      []struct{ Why, CipherText string }
}

func TestRefusedVectors(t *testing.T) {
	vectors := readVectors[refusedVectors](t, "refused.json")
	key := mustKey(t, vectors.APIKey)
	if _, err := key.Open(vectors.Good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if len(vectors.Refused) < 10 {
		t.Fatalf("got %d vectors, want the whole file", len(vectors.Refused))
	}
	for _, v := range vectors.Refused {
		t.Run(v.Why, func(t *testing.T) {
			got, err := key.Open(v.CipherText)
			if err != rollcall.ErrDecryption || got != nil { //nolint:errorlint // one and the same answer: nothing may be wrapped around it
				t.Errorf("got %q, %v; want nothing but ErrDecryption", got, err)
			}
		})
	}
}

// TestOpenRefusesOtherBase64 has what lenient base64 decoders let pass: each
// row holds the same bytes as the good text.
func TestOpenRefusesOtherBase64(t *testing.T) {
	key := mustKey(t, testKey)
	good := key.seal([ivSize]byte{0xff, 0xff, 0xff}, []byte(`{"username":"a"}`)) // 16 bytes: the body ends "=="
	if _, err := key.Open(good); err != nil {
		t.Fatal(err)
	}
	iv, tag, body := good[:ivText], good[ivText:ivText+tagText], good[ivText+tagText:]
	rows := map[string]string{
		"no padding":             strings.TrimRight(good, "="),
		"one = too few":          strings.TrimSuffix(good, "="),
		"one = too many":         good + "=",
		"a quantum of padding":   good + "====",
		"tag without padding":    iv + strings.TrimRight(tag, "=") + body,
		"URL-safe":               strings.NewReplacer("/", "_", "+", "-").Replace(good),
		"LF at the end":          good + "\n",
		"CR LF at the end":       good + "\r\n",
		"LF at the start":        "\n" + good,
		"CR in the iv":           iv[:4] + "\r" + iv[4:] + tag + body,
		"four LF for a quantum":  iv + tag + body[:4] + "\n\n\n\n" + body[4:],
		"LF before the padding":  iv + tag + strings.TrimRight(body, "=") + "\n==",
		"LF within the padding":  iv + tag + strings.TrimRight(body, "=") + "=\n=",
		"space":                  iv + " " + tag + body,
		"tab at the end":         good + "\t",
		"NUL at the end":         good + "\x00",
		"iv with padding":        iv[:14] + "==" + tag + body,
		"body's unused bits set": iv + tag + setUnusedBit(body),
		"tag's unused bits set":  iv + setUnusedBit(tag) + body,
		"fullwidth letter":       "Ａ" + good[1:],
		"data after padding":     good + "AAAA",
		"twice":                  good + good,
	}
	for name, text := range rows {
		if text == good {
			t.Errorf("%s: the row is the good text", name)
		}
		if _, err := key.Open(text); !errors.Is(err, rollcall.ErrDecryption) {
			t.Errorf("%s: got %v, want ErrDecryption", name, err)
		}
	}
}

// setUnusedBit sets the lowest bit of the last character before "==", which
// decodes to nothing.
func setUnusedBit(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := len(text) - 3
	n := strings.IndexByte(alphabet, text[at])
	return text[:at] + string(alphabet[n|1]) + "=="
}

func TestOpenEveryBit(t *testing.T) {
	key := mustKey(t, testKey)
	good := key.Seal([]byte(`{"username":"player001"}`))
	for i := range len(good) {
		for bit := range 8 {
			text := []byte(good)
			text[i] ^= 1 << bit
			if _, err := key.Open(string(text)); !errors.Is(err, rollcall.ErrDecryption) {
				t.Errorf("bit %d of character %d: got %v, want ErrDecryption", bit, i, err)
			}
		}
	}
	for i := range len(good) {
		if _, err := key.Open(good[:i]); !errors.Is(err, rollcall.ErrDecryption) {
			t.Errorf("cut to %d characters: got %v, want ErrDecryption", i, err)
		}
	}
}

func TestSealTakesNewIV(t *testing.T) {
	key := mustKey(t, testKey)
	seen := map[string]bool{}
	for range 1000 {
		iv := key.Seal(nil)[:ivText]
		if seen[iv] {
			t.Fatal("the same iv twice")
		}
		seen[iv] = true
	}
}

func TestParseAPIKey(t *testing.T) {
	marker := "5ec2e7"
	for name, text := range map[string]string{
		"empty":        "",
		"63 digits":    testKey[1:],
		"62 digits":    testKey[2:],
		"66 digits":    testKey + "00",
		"upper case":   strings.ToUpper(testKey),
		"one upper":    testKey[:63] + "F",
		"a letter g":   marker + testKey[7:] + "g",
		"white space":  " " + testKey[1:],
		"new line":     testKey + "\n",
		"raw bytes":    strings.Repeat("\xff", 32),
		"with a start": "0x" + testKey[2:],
	} {
		key, err := ParseAPIKey(text)
		if !errors.Is(err, rollcall.ErrInvalid) || key != nil {
			t.Errorf("%s: got %v, %v; want ErrInvalid", name, key, err)
		}
		if err != nil && (strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), "0a0b0c")) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	key, text := NewAPIKey()
	again := mustKey(t, text)
	if got, err := again.Open(key.Seal([]byte("x"))); err != nil || string(got) != "x" {
		t.Errorf("NewAPIKey's text is not its key: %q, %v", got, err)
	}
}

// TestAPIKeyHides looks for the key's first bytes in hex and in decimal, in
// whatever way it may slip into a log.
func TestAPIKeyHides(t *testing.T) {
	key := mustKey(t, "fedcba9876543210"+testKey[16:])
	type holder struct{ Key *APIKey }
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%e", "%t"} {
		for _, v := range []any{key, *key, holder{key}, &holder{key}, []*APIKey{key}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("x", slog.Any("key", key), slog.Any("key", *key), slog.Any("key", holder{key}))
	}
	for _, want := range []string{`key=APIKey(hidden)`, `"key":"APIKey(hidden)"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("a log has not %s", want)
		}
	}
	text, err := json.Marshal([]any{key, *key, holder{key}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	fmt.Fprint(&out, (*APIKey)(nil)) // no panic
	for _, leak := range []string{"fedc", "FEDC", "254 220", "254,220", "0xfe", "376 334", "/ty6"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("found %q in:\n%s", leak, out.String())
		}
	}
}
