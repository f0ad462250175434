// Package vault keeps secrets at rest: it seals what must be read again (API
// keys, token keys) and hashes what must only be recognised (Secret keys, admin
// tokens), everything under one master key. It knows no store and no protocol.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const keySize = 32

// ErrWrongKey says that a value was sealed under another master key.
var ErrWrongKey = errors.New("sealed under another master key")

// A Vault seals and hashes under one master key. It is safe for concurrent use.
//
// A sealed value is drawn so:
//
//	id of the master key   4 bytes   tells a wrong key from a damaged value
//	iv                    12 bytes   random
//	sealed, tag            n+16      AES-256-GCM; the context is additional data
type Vault struct {
	id      [4]byte
	aead    cipher.AEAD
	hashKey []byte
}

// NewKey returns a random master key as 64 hex digits.
func NewKey() string {
	var key [keySize]byte
	rand.Read(key[:])
	return hex.EncodeToString(key[:])
}

// New makes the vault of a master key: 64 hex digits, white space around them
// ignored. The error never repeats the key.
func New(masterKey string) (*Vault, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(masterKey))
	if err != nil || len(raw) != keySize {
		return nil, errors.New("master key: want 64 hex digits (32 bytes)")
	}
	sealKey, err := derive(raw, "seal")
	if err != nil {
		return nil, err
	}
	hashKey, err := derive(raw, "hash")
	if err != nil {
		return nil, err
	}
	id, err := derive(raw, "id")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Vault{id: [4]byte(id), aead: aead, hashKey: hashKey}, nil
}

// Format hides the keys from every verb of every format.
func (Vault) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "Vault(hidden)") }

// derive gives each purpose a key of its own, so that no value made for one is
// of use to another.
func derive(master []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, master, nil, "rollcall vault "+purpose, keySize)
}

// Seal encrypts secret. context says what and whose it is; Open wants the same,
// so that a sealed value moved to another row does not open.
func (v *Vault) Seal(context string, secret []byte) []byte {
	out := make([]byte, len(v.id)+v.aead.NonceSize(), len(v.id)+v.aead.NonceSize()+len(secret)+v.aead.Overhead())
	copy(out, v.id[:])
	iv := out[len(v.id):]
	rand.Read(iv)
	return v.aead.Seal(out, iv, secret, []byte(context))
}

// Open undoes Seal. The error is ErrWrongKey where the master key is another,
// and else says that the value was changed or moved.
func (v *Vault) Open(context string, sealed []byte) ([]byte, error) {
	head := len(v.id) + v.aead.NonceSize()
	if len(sealed) < head+v.aead.Overhead() {
		return nil, fmt.Errorf("sealed %s: too short", context)
	}
	if [4]byte(sealed[:4]) != v.id {
		return nil, fmt.Errorf("sealed %s: %w", context, ErrWrongKey)
	}
	secret, err := v.aead.Open(nil, sealed[len(v.id):head], sealed[head:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("sealed %s: changed or moved", context)
	}
	return secret, nil
}

// Hash returns a keyed SHA-256 of secret for context.
//
// A slow password hash would be wrong here: the secrets are random and at least
// 32 bytes long, so there is nothing to guess, and 20 ms of argon2 for anyone
// who posts to /v2/auth would be a denial of service. The key makes a stolen
// hash useless without the master key, even for testing a secret that leaked.
func (v *Vault) Hash(context, secret string) []byte {
	mac := hmac.New(sha256.New, v.hashKey)
	mac.Write([]byte(context))
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// Matches reports, in constant time, whether hash is Hash(context, secret).
func (v *Vault) Matches(context, secret string, hash []byte) bool {
	return subtle.ConstantTimeCompare(v.Hash(context, secret), hash) == 1
}
