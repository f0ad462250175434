package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

// tagBehind seals as most libraries do it by themselves.
func tagBehind(t *testing.T, apiKey, plaintext string) string {
	t.Helper()
	raw, err := hex.DecodeString(apiKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 12)
	rand.Read(iv)
	out := gcm.Seal(nil, iv, []byte(plaintext), nil)
	sealed, tag := out[:len(plaintext)], out[len(plaintext):]
	b64 := base64.StdEncoding.EncodeToString
	return b64(iv) + b64(sealed) + b64(tag)
}

// A running server finds out what a refused request does wrong, and keeps it in the
// request's record, without a secret.
func TestRecordsNameTheFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, c := startSandbox(t, dir)
	b := newBlackbox(t, c, rolePrimary)
	change := func(change func(h *wire.Header)) *raw {
		r := b.request(t, player)
		h := r.head()
		change(&h)
		r.resign(h)
		return r
	}
	behind := b.signed(wire.PathSessionsCheck, tagBehind(t, b.agent.APIKey, player), b.loggedIn(t))
	old := b.request(t, player)
	sum := sha256.Sum256([]byte(old.header.Get("X-Agentid") + old.header.Get("X-Timestamp") + old.header.Get("X-Nonce") + string(old.body)))
	old.header.Set("X-Signature", hex.EncodeToString(sum[:]))
	foreign, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"agentId": b.agent.AgentID, "iat": time.Now().Unix(), "exp": time.Now().Unix() + 3600}).SignedString([]byte("another environment's key"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := change(func(h *wire.Header) { h.AgentID = "nobody" })
	for _, row := range []struct {
		r    *raw
		code int
		want string
	}{
		{behind, 84, "tag-behind"},
		{old, 83, "signature-old-documentation"},
		{change(func(h *wire.Header) { h.Timestamp = wire.FormatTimestamp(time.Now().Add(-7*time.Hour - 2*time.Minute)) }), 83, "clock-time-zone"},
		{change(func(h *wire.Header) { h.AccessToken = foreign }), 83, "token-other-environment"},
		{b.request(t, `{"username":"player 001"}`), 11, "username-space"},
		{unknown, 83, "agent-unknown token-agent-mismatch"},
		{b.signed(wire.PathAuth, b.key.Seal([]byte(`{"agentId":"`+b.agent.AgentID+`","secret":"`+b.agent.APIKey+`"}`)), ""), 10, "secret-is-api-key"},
	} {
		a := b.want(t, row.r, 200, row.code)
		shown := b.shown(t, a.reply.LogUUID)
		var codes []string
		for _, f := range shown.Findings {
			codes = append(codes, f.Code)
			if f.What == "" || f.Mend == "" || f.Spec == "" {
				t.Errorf("%s is not expanded: %+v", f.Code, f)
			}
		}
		if got := strings.Join(codes, " "); got != row.want {
			t.Errorf("got %q, want %q: %+v", got, row.want, shown.Checks)
		}
		text, _ := json.Marshal(shown)
		for _, secret := range []string{b.agent.APIKey, b.agent.Secret, b.token, "player 001", row.r.cipherText} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the record shows %.8s…", secret)
			}
		}
	}
	b.explained(t, dir, behind)
}

// loggedIn logs in where that has not been done.
func (b *blackbox) loggedIn(t *testing.T) string {
	t.Helper()
	if b.token == "" {
		b.token = b.login(t)
	}
	return b.token
}

// shown returns a record as the operators' API gives it.
func (b *blackbox) shown(t *testing.T, logUUID string) (r admin.RequestShown) {
	t.Helper()
	eventually(t, "the request's record", func() bool {
		status, err := b.c.admin(t.Context(), http.DefaultClient, http.MethodGet, "/admin/v1/requests/"+logUUID, nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		return status == http.StatusOK
	})
	return r
}

// explained holds the command to the server: the same request, with its record.
func (b *blackbox) explained(t *testing.T, dir string, r *raw) {
	t.Helper()
	a := b.want(t, r, 200, 84)
	capture, _ := json.Marshal(map[string]any{"method": r.method, "path": r.path, "headers": r.header, "body": string(r.body)})
	file := filepath.Join(dir, "request.json")
	if err := os.WriteFile(file, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	credentials, err := json.Marshal(b.c)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"explain", file, "--credentials", keys, "--log-uuid", a.reply.LogUUID}, &out, &errs)
	if code != exitFailed || !strings.Contains(out.String(), "Most likely: The tag stands behind the sealed bytes.") || !strings.Contains(out.String(), "the server has accepted it") {
		t.Errorf("exit %d:\n%s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"request", a.reply.LogUUID, "--credentials", keys}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "tag-behind") || !strings.Contains(out.String(), "getAuthTag()") {
		t.Errorf("exit %d:\n%s%s", code, out.String(), errs.String())
	}
}
