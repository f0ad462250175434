package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const player = `{"username":"player001"}`

// A blackbox makes requests to a running sandbox, byte by byte.
type blackbox struct {
	c      Credentials
	agent  AgentCredentials
	key    *wire.APIKey
	token  string
	nonces atomic.Int64
}

func newBlackbox(t *testing.T, c Credentials, role string) *blackbox {
	t.Helper()
	b := &blackbox{c: c, agent: c.role(t, role)}
	b.nonces.Store(time.Now().UnixNano())
	var err error
	if b.key, err = wire.ParseAPIKey(b.agent.APIKey); err != nil {
		t.Fatal(err)
	}
	return b
}

// A raw is one request, right in all, for a row to break.
type raw struct {
	method, path string
	header       http.Header
	cipherText   string
	body         []byte
}

// request makes a check with this plaintext.
func (b *blackbox) request(t *testing.T, plaintext string) *raw {
	t.Helper()
	if b.token == "" {
		b.token = b.login(t)
	}
	return b.signed(wire.PathSessionsCheck, b.key.Seal([]byte(plaintext)), b.token)
}

// signed makes a request with this cipherText.
func (b *blackbox) signed(path, cipherText, token string) *raw {
	h := wire.Header{
		AccessToken: token, AgentID: b.agent.AgentID, Timestamp: wire.FormatTimestamp(time.Now()),
		Nonce: fmt.Sprintf("%032d", b.nonces.Add(1)),
	}
	r := &raw{method: http.MethodPost, path: path, header: make(http.Header), cipherText: cipherText}
	r.resign(h)
	r.header.Set("Content-Type", "application/json")
	return r
}

// resign signs the request anew with these headers, and makes the body.
func (r *raw) resign(h wire.Header) {
	h.Sign(rollcall.SignaturePlain, nil, r.cipherText)
	h.Set(r.header)
	r.body, _ = json.Marshal(wire.Request{CipherText: r.cipherText})
}

// head returns the headers as they are now.
func (r *raw) head() wire.Header {
	return wire.Header{
		AccessToken: strings.TrimPrefix(r.header.Get("Authorization"), "Bearer "), AgentID: r.header.Get("X-Agentid"),
		Timestamp: r.header.Get("X-Timestamp"), Nonce: r.header.Get("X-Nonce"),
	}
}

func (b *blackbox) loginRequest(t *testing.T) *raw {
	t.Helper()
	plaintext, err := json.Marshal(wire.AuthRequest{AgentID: b.agent.AgentID, Secret: b.agent.Secret})
	if err != nil {
		t.Fatal(err)
	}
	return b.signed(wire.PathAuth, b.key.Seal(plaintext), "")
}

func (b *blackbox) login(t *testing.T) string {
	t.Helper()
	a := b.send(t, b.loginRequest(t))
	var auth wire.AuthResponse
	if err := json.Unmarshal(a.reply.Data, &auth); err != nil || auth.AccessToken == "" || auth.ExpiresIn != 3600 || auth.TokenType != "Bearer" {
		t.Fatalf("login: %s: %v", a.body, err)
	}
	return auth.AccessToken
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	reply  wire.Reply
}

func (b *blackbox) send(t *testing.T, r *raw) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, b.c.BaseURL+r.path, bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if a.reply, err = wire.ParseReply(a.body); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	if a.reply.LogUUID == "" || a.header.Get("X-Log-UUID") != a.reply.LogUUID {
		t.Errorf("logUUID %q, header %q: want the same (spec 1.4)", a.reply.LogUUID, a.header.Get("X-Log-UUID"))
	}
	return a
}

// want sends r and holds the answer against status and code.
func (b *blackbox) want(t *testing.T, r *raw, status, code int) answer {
	t.Helper()
	a := b.send(t, r)
	if a.status != status || int(a.reply.Code) != code {
		t.Errorf("got status %d, %s; want status %d, code %d", a.status, a.body, status, code)
	}
	if code != 0 && a.reply.Data != nil {
		t.Errorf("data beside code %d: %s", code, a.body)
	}
	return a
}

func TestCast(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	primary, other, noBranch := newBlackbox(t, c, rolePrimary), newBlackbox(t, c, roleOther), newBlackbox(t, c, roleNoBranch)
	a := primary.want(t, primary.request(t, player), 200, 0)
	want := `{"code":0,"message":"No error.","data":[{"mode":"real","gamecode":"VP_230001_1","sessionInfo":{` +
		`"deviceType":1,"ipaddress":"127.0.0.1","lang":"en","gameCode":"VP_230001_1","username":"player001",` +
		`"launchType":2,"currency":"THB","brandCurrency":"THB","agentType":1}}],"logUUID":"` + a.reply.LogUUID + `"}`
	if string(a.body) != want {
		t.Errorf("the answer is not spec 6.2's:\ngot  %s\nwant %s", a.body, want)
	}
	if a := primary.want(t, primary.request(t, `{"username":"player002"}`), 200, 0); string(a.reply.Data) != "[]" {
		t.Errorf("player002: got %s, want []", a.reply.Data)
	}
	var two []wire.Session
	if a := primary.want(t, primary.request(t, `{"username":"player003"}`), 200, 0); json.Unmarshal(a.reply.Data, &two) != nil ||
		len(two) != 2 || two[0].Mode != rollcall.ModeReal || two[0].Info.DeviceType != 2 || two[1].Mode != rollcall.ModeDemo {
		t.Errorf("player003: got %s", a.reply.Data)
	}
	if a := other.want(t, other.request(t, player), 200, 0); string(a.reply.Data) != "[]" {
		t.Errorf("other's player001: got %s, want []", a.reply.Data)
	}
	other.want(t, other.request(t, `{"username":"player002"}`), 200, 8)
	primary.want(t, primary.request(t, `{"username":"Player001"}`), 200, 8)
	noBranch.want(t, noBranch.request(t, player), 200, 81)
	blocked := newBlackbox(t, c, roleBlocked)
	blocked.want(t, blocked.loginRequest(t), 200, 10)
	blocked.token = primary.token
	blocked.want(t, blocked.request(t, player), 200, 83)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	other := newBlackbox(t, c, roleOther)
	otherToken := other.login(t)
	type row struct {
		name   string
		change func(r *raw)
		status int
		code   int
	}
	rows := []row{
		{"right", func(*raw) {}, 200, 0},
		{"upper-case signature", func(r *raw) { r.header.Set("X-Signature", strings.ToUpper(r.header.Get("X-Signature"))) }, 200, 0},
		{"scheme in lower case", func(r *raw) { r.header.Set("Authorization", "bearer "+b.token) }, 200, 0},
		{"other members in the body", func(r *raw) { r.body = []byte(`{"x":[{}],"cipherText":"` + r.cipherText + `","y":null}`) }, 200, 0},
		{"escaped slashes, as PHP writes them", func(r *raw) { r.body = bytes.ReplaceAll(r.body, []byte("/"), []byte(`\/`)) }, 200, 0},
		{"charset", func(r *raw) { r.header.Set("Content-Type", "application/json; charset=utf-8") }, 200, 0},

		{"GET", func(r *raw) { r.method = http.MethodGet }, 405, 11},
		{"PUT", func(r *raw) { r.method = http.MethodPut }, 405, 11},
		{"unknown path", func(r *raw) { r.path = "/v2/members/sessions" }, 404, 11},
		{"slash behind the path", func(r *raw) { r.path += "/" }, 404, 11},
		{"root", func(r *raw) { r.path = "/" }, 404, 11},
		{"no content type", func(r *raw) { r.header.Del("Content-Type") }, 415, 11},
		{"form content type", func(r *raw) { r.header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, 11},
		{"65,536 bytes", func(r *raw) { r.body = pad(r.body, 64<<10) }, 200, 0},
		{"65,537 bytes", func(r *raw) { r.body = pad(r.body, 64<<10+1) }, 413, 11},
		{"2 MiB", func(r *raw) { r.body = pad(r.body, 2<<20) }, 413, 11},

		{"body empty", func(r *raw) { r.body = nil }, 200, 11},
		{"body no JSON", func(r *raw) { r.body = []byte("cipherText=x") }, 200, 11},
		{"body an array", func(r *raw) { r.body = []byte("[" + string(r.body) + "]") }, 200, 11},
		{"body twice", func(r *raw) { r.body = append(r.body, r.body...) }, 200, 11},
		{"cipherText missing", func(r *raw) { r.body = []byte(`{"ciphertext":"` + r.cipherText + `"}`) }, 200, 11},
		{"cipherText a number", func(r *raw) { r.body = []byte(`{"cipherText":1}`) }, 200, 11},
		{"cipherText twice", func(r *raw) { r.body = []byte(`{"cipherText":"` + r.cipherText + `","cipherText":"x"}`) }, 200, 11},
		{"body with BOM", func(r *raw) { r.body = append([]byte("\ufeff"), r.body...) }, 200, 11},

		{"token of another agent", func(r *raw) { r.header.Set("Authorization", "Bearer "+otherToken) }, 200, 83},
		{"token with alg none", func(r *raw) { r.header.Set("Authorization", "Bearer "+forge(b, "none", nil)) }, 200, 83},
		{"token with alg None", func(r *raw) { r.header.Set("Authorization", "Bearer "+forge(b, "None", nil)) }, 200, 83},
		{"token signed with an empty key", func(r *raw) { r.header.Set("Authorization", "Bearer "+forge(b, "HS256", []byte{})) }, 200, 83},
		{"token signed with the API key", func(r *raw) {
			r.header.Set("Authorization", "Bearer "+forge(b, "HS256", []byte(b.agent.APIKey)))
		}, 200, 83},
		{"token signed with the secret", func(r *raw) {
			r.header.Set("Authorization", "Bearer "+forge(b, "HS256", []byte(b.agent.Secret)))
		}, 200, 83},
		{"token with another algorithm", func(r *raw) { r.header.Set("Authorization", "Bearer "+forge(b, "HS512", []byte("key"))) }, 200, 83},
		{"token with changed claims", func(r *raw) {
			parts := strings.Split(b.token, ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"agentId":"` + b.agent.AgentID + `","iat":1,"exp":9999999999}`))
			r.header.Set("Authorization", "Bearer "+strings.Join(parts, "."))
		}, 200, 83},
		{"unknown agent", func(r *raw) { h := r.head(); h.AgentID = "nobody"; r.resign(h) }, 200, 83},
		{"old documentation's signature", func(r *raw) {
			h := r.head()
			cipherText := r.cipherText
			r.cipherText = string(r.body) // the body signed instead of its cipherText
			r.resign(h)
			r.cipherText = cipherText
			r.body, _ = json.Marshal(wire.Request{CipherText: cipherText})
		}, 200, 83},
	}
	for _, name := range []string{"Authorization", "X-Agentid", "X-Timestamp", "X-Nonce", "X-Signature"} {
		rows = append(rows,
			row{name + " missing", func(r *raw) { r.header.Del(name) }, 200, 83},
			row{name + " empty", func(r *raw) { r.header.Set(name, "") }, 200, 83},
			row{name + " repeated", func(r *raw) { r.header.Add(name, r.header.Get(name)) }, 200, 83},
			row{name + " repeated in one", func(r *raw) { r.header.Set(name, r.header.Get(name)+", "+r.header.Get(name)) }, 200, 83},
			row{name + " malformed", func(r *raw) { r.header.Set(name, r.header.Get(name)+"é") }, 200, 83},
			row{name + " too long", func(r *raw) { r.header.Set(name, strings.Repeat("1", 5000)) }, 200, 83})
	}
	for name, timestamp := range map[string]string{
		"old": wire.FormatTimestamp(time.Now().Add(-6 * time.Minute)), "future": wire.FormatTimestamp(time.Now().Add(6 * time.Minute)),
		"in seconds": fmt.Sprint(time.Now().Unix()), "in words": "yesterday", "of 30 digits": strings.Repeat("1", 30),
		"negative": "-176974553258", "hex": "0x19c0e1b2a3f",
	} {
		rows = append(rows, row{"timestamp " + name, func(r *raw) { h := r.head(); h.Timestamp = timestamp; r.resign(h) }, 200, 83})
	}
	for _, nonce := range []string{strings.Repeat("a", 31), strings.Repeat("a", 33), strings.Repeat("-", 32), "4ff08bc2-a45c-6b38-068d-bcd24296a2"} {
		rows = append(rows, row{"nonce " + nonce, func(r *raw) { h := r.head(); h.Nonce = nonce; r.resign(h) }, 200, 83})
	}
	var refusal string
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := b.request(t, player)
			nonce := r.head().Nonce
			row.change(r)
			a := b.want(t, r, row.status, row.code)
			if row.code == 83 {
				text := strings.ReplaceAll(string(a.body), a.reply.LogUUID, "")
				if refusal == "" {
					refusal = text
				}
				if text != refusal {
					t.Errorf("the 83 answers differ: %s and %s", text, refusal)
				}
			}
			if row.status == 405 && a.header.Get("Allow") != "POST" {
				t.Errorf("Allow: got %q, want POST", a.header.Get("Allow"))
			}
			if row.code != 0 { // spec 8: a refused request has not spent its nonce
				again := b.request(t, player)
				h := again.head()
				h.Nonce = nonce
				again.resign(h)
				b.want(t, again, 200, 0)
			}
		})
	}
}

// pad lengthens a JSON text with white space.
func pad(body []byte, size int) []byte {
	return append(body, bytes.Repeat([]byte(" "), size-len(body))...)
}

// forge makes a token for b's agent under the service's own kid.
func forge(b *blackbox, alg string, key []byte) string {
	head, _, _ := strings.Cut(b.token, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	var header map[string]any
	_ = json.Unmarshal(text, &header)
	header["alg"] = alg
	now := time.Now().Unix()
	claims := jwt.MapClaims{"agentId": b.agent.AgentID, "iat": now, "exp": now + 3600}
	h, _ := json.Marshal(header)
	p, _ := json.Marshal(claims)
	signing := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(p)
	method, ok := jwt.GetSigningMethod(alg).(*jwt.SigningMethodHMAC)
	if !ok {
		return signing + "."
	}
	signature, _ := method.Sign(signing, key)
	return signing + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// A plaintext that opens and is wrong is 11, whatever it is (spec 6.1).
func TestBadPlaintexts(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	for name, plaintext := range map[string]string{
		"no JSON":            "player001",
		"a string":           `"player001"`,
		"an array":           `["player001"]`,
		"null":               `null`,
		"nothing in it":      `{}`,
		"two members":        `{"username":"player001","username":"player001"}`,
		"two, one escaped":   `{"username":"player001","user\u006eame":"player002"}`,
		"invalid UTF-8":      "{\"username\":\"player001\",\"x\":\"\xff\"}",
		"BOM":                "\ufeff" + player,
		"NUL behind":         player + "\x00",
		"NUL inside":         "{\"username\":\"player001\x00\"}",
		"escaped NUL":        `{"username":"player001\u0000"}`,
		"trailing data":      player + "x",
		"trailing object":    player + player,
		"trailing comma":     `{"username":"player001",}`,
		"5,000 deep":         `{"username":"player001","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"5,000 deep, open":   `{"x":` + strings.Repeat(`{"x":`, 5000),
		"a number":           `{"username":1}`,
		"null as username":   `{"username":null}`,
		"an object":          `{"username":{}}`,
		"other case":         `{"Username":"player001"}`,
		"0 letters":          `{"username":""}`,
		"26 letters":         `{"username":"` + strings.Repeat("a", 26) + `"}`,
		"non-ASCII digits":   `{"username":"player٠٠١"}`,
		"full-width letters": `{"username":"ｐlayer001"}`,
		"a space":            `{"username":"player001 "}`,
		"a lone surrogate":   `{"username":"player001","x":"\ud800"}`,
		"a comment":          `{"username":"player001"/**/}`,
		"single quotes":      `{'username':'player001'}`,
	} {
		t.Run(name, func(t *testing.T) { b.want(t, b.request(t, plaintext), 200, 11) })
	}
	b.want(t, b.request(t, `{"username":"`+strings.Repeat("a", 25)+`"}`), 200, 8)
	b.want(t, b.request(t, ` { "extra" : [ 1.5e3 , true ] , "username" : "pla\u0079er001" } `), 200, 0)
}

// Every cipherText of the vectors is refused with 84, also under its own key.
func TestRefusedCipherTexts(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	text, err := os.ReadFile("../../conform/vectors/refused.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		APIKey, Good string
		Refused      []struct{ Why, CipherText string }
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	var made struct {
		APIKey    string `json:"apiKey"`
		SecretKey string `json:"secretKey"`
	}
	status, err := c.admin(t.Context(), http.DefaultClient, http.MethodPost, "/admin/v1/agents", map[string]string{
		"id": "vectors", "branchId": castBranch, "signature": "plain", "wallet": "transfer", "apiKey": vectors.APIKey,
	}, &made)
	if err != nil || status != http.StatusCreated {
		t.Fatal(status, err)
	}
	c.Agents = append(c.Agents, AgentCredentials{Role: "vectors", AgentID: "vectors", APIKey: vectors.APIKey, Secret: made.SecretKey})
	b := newBlackbox(t, c, "vectors")
	token := b.login(t)
	b.want(t, b.signed(wire.PathSessionsCheck, vectors.Good, token), 200, 8)
	for _, v := range vectors.Refused {
		t.Run(v.Why, func(t *testing.T) { b.want(t, b.signed(wire.PathSessionsCheck, v.CipherText, token), 200, 84) })
	}
	if len(vectors.Refused) < 18 {
		t.Errorf("only %d vectors", len(vectors.Refused))
	}
}

// What was used stays used: at once, across a restart, and across a kill -9
// (spec 8).
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	b := newBlackbox(t, c, rolePrimary)
	var used []*raw
	use := func() {
		r := b.request(t, player)
		b.want(t, r, 200, 0)
		used = append(used, r)
	}
	replayAll := func(when string) {
		t.Helper()
		for _, r := range used {
			if a := b.want(t, r, 200, 83); t.Failed() {
				t.Fatalf("%s: replayed: %s", when, a.body)
			}
		}
	}
	use()
	replayAll("at once")
	for round, end := range []func(){func() { p.stop(t) }, func() { p.kill() }, func() { p.kill() }} {
		use()
		end()
		p, c = startSandbox(t, dir)
		b.c = c
		replayAll(fmt.Sprintf("after restart %d", round))
		use()
	}
	r := b.request(t, player)
	var answered, refused atomic.Int64
	var copies sync.WaitGroup
	for range 20 {
		copies.Go(func() {
			switch b.send(t, r).reply.Code {
			case 0:
				answered.Add(1)
			case 83:
				refused.Add(1)
			}
		})
	}
	copies.Wait()
	if answered.Load() != 1 || refused.Load() != 19 {
		t.Errorf("of 20 copies %d were answered and %d refused, want 1 and 19", answered.Load(), refused.Load())
	}
}

// A request leaves a record of each check under its logUUID, and no secret.
func TestRequestRecords(t *testing.T) {
	t.Parallel()
	p, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	good := b.want(t, b.request(t, player), 200, 0)
	late := b.request(t, player)
	h := late.head()
	h.Timestamp = wire.FormatTimestamp(time.Now().Add(-7*time.Hour - 2*time.Minute))
	late.resign(h)
	refused := b.want(t, late, 200, 83)
	bad := b.want(t, b.request(t, `{"username":"someSecretText!"}`), 200, 11)
	records := make(map[string]rollcall.RequestRecord)
	var all strings.Builder
	for _, a := range []answer{good, refused, bad} {
		asked := time.Now()
		eventually(t, "the request's record", func() bool {
			var r rollcall.RequestRecord
			status, err := c.admin(t.Context(), http.DefaultClient, http.MethodGet, "/admin/v1/requests/"+a.reply.LogUUID, nil, &r)
			if err != nil {
				t.Fatal(err)
			}
			records[a.reply.LogUUID] = r
			return status == http.StatusOK
		})
		if took := time.Since(asked); took > 2*time.Second {
			t.Errorf("the record was there after %s, want at most 2 s", took)
		}
		text, _ := json.Marshal(records[a.reply.LogUUID])
		all.Write(text)
	}
	r := records[good.reply.LogUUID]
	if r.Code != 0 || r.Username != "player001" || r.AgentID != b.agent.AgentID || r.Endpoint != wire.PathSessionsCheck ||
		r.Remote != "127.0.0.1" || r.TookNanos <= 0 || len(r.Checks) < 8 {
		t.Errorf("record of the good request: %+v", r)
	}
	for _, check := range r.Checks {
		if !check.Passed {
			t.Errorf("check %s did not pass: %s", check.Name, check.Reason)
		}
	}
	r = records[refused.reply.LogUUID]
	if r.Code != 83 || r.Username != "" || !strings.Contains(fmt.Sprint(r.Checks), "7h2m") {
		t.Errorf("record of the refused request: %+v", r)
	}
	p.stop(t)
	all.WriteString(p.stderr.String())
	for _, secret := range []string{b.agent.APIKey, b.agent.Secret, b.token, c.AdminToken, "someSecretText", late.cipherText} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("records or log show what they must not: %.12s…", secret)
		}
	}
}

// Slow headers and slow bodies are cut off.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	_, c := startSandbox(t, t.TempDir())
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	for name, opening := range map[string]string{
		"headers": "POST /v2/auth HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"body":    "POST /v2/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, opening); err != nil {
				t.Fatal(err)
			}
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			closed := make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, conn) // returns when the server has closed
				close(closed)
			}()
			limit := time.After(25 * time.Second)
			for {
				select {
				case <-closed:
					return
				case <-limit:
					t.Fatal("still connected after 25 s")
				case <-tick.C:
					_, _ = io.WriteString(conn, "a")
				}
			}
		})
	}
}

// SIGTERM: /readyz says no, what is in flight is answered, the exit code is 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	p, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	r := b.request(t, player)
	body, rest := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), r.method, c.BaseURL+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.ContentLength = r.header, int64(len(r.body))
	answered := make(chan string, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answered <- string(text)
	}()
	if _, err := rest.Write(r.body[:10]); err != nil { // the request is on its way
		t.Fatal(err)
	}
	ready := func() int {
		status, err := c.admin(t.Context(), http.DefaultClient, http.MethodGet, "/readyz", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := ready(); status != http.StatusOK {
		t.Fatalf("/readyz: %d before the signal", status)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "/readyz says no", func() bool { return ready() == http.StatusServiceUnavailable })
	if _, err := rest.Write(r.body[10:]); err != nil {
		t.Fatal(err)
	}
	if text := <-answered; !strings.HasPrefix(text, `{"code":0,`) {
		t.Errorf("the request in flight: %s", text)
	}
	<-p.exited
	if p.err != nil {
		t.Errorf("exit: %v", p.err)
	}
}
