package webhook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// The vector that the libraries of Standard Webhooks share.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 999_999_999)

func parse(t *testing.T, text string) Secret {
	t.Helper()
	secret, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestSign(t *testing.T) {
	if got := Sign(parse(t, vectorSecret), vectorID, vectorTime, []byte(vectorBody)); got != vectorSignature {
		t.Errorf("got %s, want %s", got, vectorSignature)
	}
}

func TestNewSecret(t *testing.T) {
	one, other := NewSecret(), NewSecret()
	if one == other {
		t.Errorf("got %s twice, want another each time", one)
	}
	if got := *parse(t, one).key; len(got) != newSecretSize || strings.Trim(got, got[:1]) == "" {
		t.Errorf("got %d bytes %x, want %d random ones", len(got), got, newSecretSize)
	}
}

func TestParseSecret(t *testing.T) {
	sized := func(n int) string {
		return secretPrefix + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xfb", n)))
	}
	rows := []struct {
		name, text string
		ok         bool
	}{
		{"vector", vectorSecret, true},
		{"24 bytes", sized(24), true},
		{"64 bytes", sized(64), true},
		{"23 bytes", sized(23), false},
		{"65 bytes", sized(65), false},
		{"empty", "", false},
		{"no prefix", strings.TrimPrefix(sized(32), secretPrefix), false},
		{"other prefix", "WHSEC_" + strings.TrimPrefix(sized(32), secretPrefix), false},
		{"no padding", strings.TrimRight(sized(32), "="), false},
		{"line break", vectorSecret + "\n", false},
		{"blank", vectorSecret + " ", false},
		{"alphabet of URLs", strings.ReplaceAll(sized(24), "+", "-"), false},
		{"stray bits", secretPrefix + strings.Repeat("A", 42) + "B=", false},
	}
	for _, row := range rows {
		_, err := ParseSecret(row.text)
		if (err == nil) != row.ok {
			t.Errorf("%s: got %v, want ok: %v", row.name, err, row.ok)
		}
		if encoded := strings.TrimPrefix(row.text, secretPrefix); err != nil && encoded != "" && strings.Contains(err.Error(), encoded) {
			t.Errorf("%s: got %v, want an error without the secret", row.name, err)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(vectorSecret)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := ParseSecret(text)
		if err != nil {
			return
		}
		if got := secretPrefix + base64.StdEncoding.EncodeToString([]byte(*secret.key)); got != text {
			t.Errorf("got the secret of %q, want that of %q", got, text)
		}
	})
}

func TestSecretHides(t *testing.T) {
	secret := parse(t, vectorSecret)
	inside := struct{ s Secret }{secret} // where fmt asks no method
	var out strings.Builder
	for _, value := range []any{secret, &secret, inside, &inside, []Secret{secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", slog.Any("secret", value))
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", slog.Any("secret", value))
	}
	checkHides(t, out.String())
	if got := fmt.Sprintf("%d", secret); got != hidden {
		t.Errorf("got %s, want %s", got, hidden)
	}
	for _, value := range []any{secret, map[string]any{"secret": &secret}, struct{ S Secret }{secret}} {
		if text, err := json.Marshal(value); err == nil {
			t.Errorf("got %s, want no encoding", text)
		}
	}
}

// checkHides looks for the vector's secret in each form that a text can have it in.
func checkHides(t *testing.T, text string) {
	t.Helper()
	key := *parse(t, vectorSecret).key
	list := strings.Trim(fmt.Sprintf("%d", []byte(key[:4])), "[]")
	hexes := strings.TrimPrefix(fmt.Sprintf("%#v", []byte(key[:3])), "[]byte{")
	for _, form := range []string{
		strings.TrimPrefix(vectorSecret, secretPrefix), key, list, strings.TrimSuffix(hexes, "}"),
		fmt.Sprintf("%x", key[:4]), strings.Trim(fmt.Sprintf("%q", key[:6]), `"`),
	} {
		if strings.Contains(text, form) {
			t.Errorf("got a text with the secret as %q:\n%s", form, text)
		}
	}
}
