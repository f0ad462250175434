package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

const (
	secretPrefix  = "whsec_"
	newSecretSize = 32
	minSecretSize = 24
	maxSecretSize = 64
	hidden        = "Secret(hidden)"
)

// A Secret signs the webhooks of one receiver. ParseSecret makes it; the zero
// value is no secret and Send refuses it. It hides itself from fmt, slog and
// encoders, and is safe for concurrent use.
type Secret struct {
	// key is behind a pointer for the case of a Secret in an unexported field:
	// there fmt asks no method, but prints the address instead of what is there.
	key *string
}

// NewSecret returns the text of a random secret: "whsec_" and 32 bytes in base64.
func NewSecret() string {
	var key [newSecretSize]byte
	rand.Read(key[:])
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// ParseSecret reads a secret: "whsec_" and 24 to 64 bytes in padded standard
// base64, which has one text for each secret. The error never repeats the text.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return Secret{}, errors.New("webhook secret: want whsec_ in front")
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	// Encoding again finds what even strict decoding lets pass: line breaks.
	if err != nil || base64.StdEncoding.EncodeToString(raw) != encoded {
		return Secret{}, errors.New("webhook secret: want padded standard base64 after whsec_")
	}
	if len(raw) < minSecretSize || len(raw) > maxSecretSize {
		return Secret{}, fmt.Errorf("webhook secret: got %d bytes, want %d to %d", len(raw), minSecretSize, maxSecretSize)
	}
	key := string(raw)
	return Secret{key: &key}, nil
}

// Format hides the secret from every verb of every format.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText fails always, so that no encoder writes a secret by mistake.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("webhook secret: not to be encoded")
}

// hide takes the secret out of a text that a receiver wrote; it knows the secret.
func (s Secret) hide(text string) string {
	return strings.ReplaceAll(text, base64.StdEncoding.EncodeToString([]byte(*s.key)), hidden)
}

// Sign returns the value of the header webhook-signature: "v1," and, in base64,
// the HMAC-SHA256 of id, unix seconds and body with a full stop between them. An
// id with a full stop in it makes that ambiguous; Send refuses it. Sign panics
// on the zero Secret.
func Sign(secret Secret, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(*secret.key))
	_, _ = io.WriteString(mac, id+"."+unixSeconds(at)+".")
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func unixSeconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
