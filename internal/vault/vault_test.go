package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const master = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func mustNew(t *testing.T, key string) *Vault {
	t.Helper()
	v, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSealOpen(t *testing.T) {
	v := mustNew(t, master)
	rapid.Check(t, func(t *rapid.T) {
		context, secret := rapid.String().Draw(t, "context"), rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		kept := bytes.Clone(secret)
		sealed := v.Seal(context, secret)
		if !bytes.Equal(secret, kept) {
			t.Fatal("Seal changed the secret")
		}
		if len(sealed) != 4+12+len(secret)+16 {
			t.Fatalf("got %d bytes for %d", len(sealed), len(secret))
		}
		got, err := v.Open(context, sealed)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("got %q, %v; want %q", got, err, secret)
		}
		if len(secret) >= 4 && bytes.Contains(sealed, secret) {
			t.Fatal("the sealed value holds the secret")
		}
		other := rapid.String().Filter(func(s string) bool { return s != context }).Draw(t, "other")
		if got, err := v.Open(other, sealed); err == nil || errors.Is(err, ErrWrongKey) || got != nil {
			t.Fatalf("in another context: got %q, %v", got, err)
		}
	})
}

// TestOpenAfterRestart: another Vault of the same master key opens, however the
// key is written.
func TestOpenAfterRestart(t *testing.T) {
	sealed := mustNew(t, master).Seal("c", []byte("secret"))
	for _, key := range []string{master, strings.ToUpper(master), master + "\n", " \t" + master + "\r\n"} {
		if got, err := mustNew(t, key).Open("c", sealed); err != nil || string(got) != "secret" {
			t.Errorf("%q: got %q, %v", key, got, err)
		}
	}
}

// TestOpenGolden holds a value that was sealed once: what is on a disk must
// open after every change of this package.
func TestOpenGolden(t *testing.T) {
	v := mustNew(t, master)
	sealed, err := hex.DecodeString("450c3103ed817ea8c5150d0c1baad036f55f9cf70765a7dd4f6073f5f96b9199f6e7c46372e4")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open("agent one", sealed); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	const hash = "c24802b7a1873bdd53e30215fbb007521b32946563302376a70efecb5ee0fe2d"
	if got := hex.EncodeToString(v.Hash("agent one", "secret")); got != hash {
		t.Errorf("Hash: got %s, want %s", got, hash)
	}
}

func TestOpenOtherKey(t *testing.T) {
	sealed := mustNew(t, master).Seal("c", []byte("secret"))
	for _, key := range []string{NewKey(), "01" + master[2:], master[:62] + "00"} {
		if got, err := mustNew(t, key).Open("c", sealed); !errors.Is(err, ErrWrongKey) || got != nil {
			t.Errorf("got %q, %v; want ErrWrongKey", got, err)
		}
	}
}

func TestOpenDamaged(t *testing.T) {
	v := mustNew(t, master)
	sealed := v.Seal("c", []byte("secret"))
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			got, err := v.Open("c", changed)
			if err == nil || got != nil {
				t.Errorf("bit %d of byte %d: got %q, %v", bit, i, got, err)
			}
			if wrongKey := errors.Is(err, ErrWrongKey); wrongKey != (i < 4) {
				t.Errorf("bit %d of byte %d: got %v", bit, i, err)
			}
		}
	}
	for n := range sealed {
		if got, err := v.Open("c", sealed[:n]); err == nil || got != nil {
			t.Errorf("cut to %d bytes: got %q, %v", n, got, err)
		}
	}
	for _, longer := range [][]byte{append(bytes.Clone(sealed), 0), append(bytes.Clone(sealed), sealed...), nil} {
		if got, err := v.Open("c", longer); err == nil || got != nil {
			t.Errorf("%d bytes: got %q, %v", len(longer), got, err)
		}
	}
}

func TestSealTakesNewIV(t *testing.T) {
	v := mustNew(t, master)
	if bytes.Equal(v.Seal("c", []byte("secret")), v.Seal("c", []byte("secret"))) {
		t.Error("the same value sealed twice is the same text")
	}
}

func TestHash(t *testing.T) {
	v := mustNew(t, master)
	hash := v.Hash("agent one", "secret")
	if len(hash) != 32 || !bytes.Equal(hash, mustNew(t, master).Hash("agent one", "secret")) {
		t.Errorf("got %x", hash)
	}
	if !v.Matches("agent one", "secret", hash) {
		t.Error("a hash does not match its own secret")
	}
	rows := map[string]bool{
		"other secret":     v.Matches("agent one", "secrex", hash),
		"no secret":        v.Matches("agent one", "", hash),
		"longer secret":    v.Matches("agent one", "secret1", hash),
		"other case":       v.Matches("agent one", "Secret", hash),
		"other context":    v.Matches("agent two", "secret", hash),
		"moved border":     v.Matches("agent one"+"s", "ecret", hash),
		"other master key": mustNew(t, NewKey()).Matches("agent one", "secret", hash),
		"no hash":          v.Matches("agent one", "secret", nil),
		"cut hash":         v.Matches("agent one", "secret", hash[:31]),
		"longer hash":      v.Matches("agent one", "secret", append(bytes.Clone(hash), 0)),
		"hash for secret":  v.Matches("agent one", string(hash), hash),
	}
	for name, matched := range rows {
		if matched {
			t.Errorf("%s matches", name)
		}
	}
	for i := range hash {
		changed := bytes.Clone(hash)
		changed[i] ^= 1
		if v.Matches("agent one", "secret", changed) {
			t.Errorf("matches with byte %d changed", i)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, key := range map[string]string{
		"empty":              "",
		"white space":        " \n",
		"62 digits":          master[2:],
		"63 digits":          master[1:],
		"65 digits":          master + "0",
		"66 digits":          master + "00",
		"two keys":           master + "\n" + master,
		"white space inside": master[:32] + " " + master[33:],
		"no hex":             "xyzzy7" + master[6:],
		"raw bytes":          strings.Repeat("\xff", 32),
		"with a name":        "MASTER_KEY=" + master,
	} {
		v, err := New(key)
		if err == nil || v != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, part := range []string{"xyzzy7", "0a0b0c", "1d1e1f", "MASTER", "\xff"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows the key: %v", name, err)
			}
		}
	}
}

func TestNewKey(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key := NewKey()
		if raw, err := hex.DecodeString(key); err != nil || len(raw) != 32 {
			t.Fatalf("got %d characters, %v", len(key), err)
		}
		if seen[key] {
			t.Fatal("the same key twice")
		}
		seen[key] = true
		mustNew(t, key)
	}
}

func TestVaultHidesItself(t *testing.T) {
	v, err := New(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%d", "%x", "%s"} {
		for _, value := range []any{v, *v} {
			if got := fmt.Sprintf(format, value); got != "Vault(hidden)" {
				t.Errorf("%s: got %s", format, got)
			}
		}
	}
}
