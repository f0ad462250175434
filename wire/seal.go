package wire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/rollcall-server/rollcall"
)

const (
	keySize = 32 // AES-256
	ivSize  = 12
	tagSize = 16

	ivText  = 16 // base64 of 12 bytes
	tagText = 24 // base64 of 16 bytes, ends "=="
)

// strict is the one accepted base64: standard alphabet, padded, canonical. It
// still skips CR and LF, which Open refuses itself.
var strict = base64.StdEncoding.Strict()

// An APIKey is an agent's key for AES-256-GCM (spec 4.1). It is safe for
// concurrent use and never shows itself in a log or a format.
type APIKey struct {
	raw  [keySize]byte
	aead cipher.AEAD
}

// ParseAPIKey reads a key of 64 lower-case hex digits. The error never repeats
// the text.
func ParseAPIKey(text string) (*APIKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != keySize || strings.ToLower(text) != text {
		return nil, fmt.Errorf("%w API key: want 64 lower-case hex digits (32 bytes), got %d bytes of text", rollcall.ErrInvalid, len(text))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &APIKey{raw: [keySize]byte(raw), aead: aead}, nil
}

// NewAPIKey makes a random key and returns it with its text.
func NewAPIKey() (key *APIKey, text string) {
	var raw [keySize]byte
	rand.Read(raw[:])
	text = hex.EncodeToString(raw[:])
	key, err := ParseAPIKey(text)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return key, text
}

// String hides the key.
func (k APIKey) String() string { return "APIKey(hidden)" }

// Format hides the key from every verb: for %d and its like, fmt does not ask
// String and would print the bytes. It is for a copied key too, hence no pointer.
func (k APIKey) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, k.String()) }

// LogValue hides the key.
func (k APIKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Seal encrypts plaintext under a random iv and returns the cipherText:
//
//	base64(iv)      16 characters
//	base64(tag)     24 characters, the last two "=="
//	base64(sealed)  as long as it takes, padded
//
// Other libraries and Go's own AEAD put the tag behind the sealed bytes; here
// it goes in front (spec 4.2).
func (k *APIKey) Seal(plaintext []byte) string {
	var iv [ivSize]byte
	rand.Read(iv[:])
	return k.seal(iv, plaintext)
}

func (k *APIKey) seal(iv [ivSize]byte, plaintext []byte) string {
	out := k.aead.Seal(nil, iv[:], plaintext, nil)
	sealed, tag := out[:len(plaintext)], out[len(plaintext):]
	text := make([]byte, 0, ivText+tagText+base64.StdEncoding.EncodedLen(len(sealed)))
	text = base64.StdEncoding.AppendEncode(text, iv[:])
	text = base64.StdEncoding.AppendEncode(text, tag)
	text = base64.StdEncoding.AppendEncode(text, sealed)
	return string(text)
}

// Open undoes Seal. Whatever is wrong, the layout, the alphabet, one bit or the
// key, the error is rollcall.ErrDecryption and no more (spec 4.3).
func (k *APIKey) Open(cipherText string) ([]byte, error) {
	return k.OpenIn(nil, []byte(cipherText))
}

// OpenIn is Open in memory that the caller has: the plaintext is a part of room,
// whose bytes are lost, where that is large enough. The two must not overlap.
func (k *APIKey) OpenIn(room, cipherText []byte) ([]byte, error) {
	if len(cipherText) < ivText+tagText || bytes.IndexByte(cipherText, '\r') >= 0 || bytes.IndexByte(cipherText, '\n') >= 0 {
		return nil, rollcall.ErrDecryption
	}
	iv, sealed, ok := splitCipherText(room, cipherText)
	if !ok {
		return nil, rollcall.ErrDecryption
	}
	plaintext, err := k.aead.Open(sealed[:0], iv, sealed, nil)
	if err != nil {
		return nil, rollcall.ErrDecryption
	}
	return plaintext, nil
}

// splitCipherText decodes the three parts and moves the tag behind the sealed
// bytes, where Go's AEAD wants it.
func splitCipherText(room, text []byte) (iv, sealed []byte, ok bool) {
	body := text[ivText+tagText:]
	size := ivSize + 2 + base64.StdEncoding.DecodedLen(len(body)) + tagSize + 2
	if cap(room) < size {
		room = make([]byte, size)
	}
	iv, rest := room[:ivSize+2], room[ivSize+2:size]
	nIV, errIV := strict.Decode(iv, text[:ivText])
	nBody, errBody := strict.Decode(rest, body)
	nTag, errTag := strict.Decode(rest[nBody:], text[ivText:ivText+tagText])
	ok = errIV == nil && errBody == nil && errTag == nil && nIV == ivSize && nTag == tagSize
	return iv[:nIV], rest[:nBody+nTag], ok
}
