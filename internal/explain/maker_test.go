package explain

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

var sentAt = time.Date(2026, 1, 30, 3, 58, 52, 582e6, time.UTC)

const (
	ownID     = "integratorNBTest04"
	ownSecret = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43UOV3HO6DZ"
	member    = `{"username":"player001"}`
)

var (
	ownKey   = hex.EncodeToString(random(32))
	otherKey = hex.EncodeToString(random(32))
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// A sender makes a request step by step, as an integrator's own code does, so that
// a test can do one of the steps wrongly.
type sender struct {
	path, plaintext          string
	agentID, stamp, nonce    string
	token                    string
	key                      []byte
	seal                     func(key []byte, plaintext string) string
	sign                     func(s *sender, cipherText string) string
	body                     func(cipherText string) string
	method                   string
	change                   func(h http.Header)
	claimID                  string
	issued                   time.Time
	tokenLife                time.Duration
	tokenHeader, tokenClaims map[string]any
}

func newSender() *sender {
	return &sender{
		path: wire.PathSessionsCheck, plaintext: member, agentID: ownID, stamp: strconv.FormatInt(sentAt.UnixMilli(), 10),
		nonce: hex.EncodeToString(random(16)), key: must(hex.DecodeString(ownKey)), seal: sealRight, method: http.MethodPost,
		sign: func(s *sender, cipherText string) string {
			return sha(s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + cipherText)
		},
		body: func(cipherText string) string {
			return string(must(json.Marshal(wire.Request{CipherText: cipherText})))
		},
		claimID: ownID, issued: sentAt.Add(-10 * time.Minute), tokenLife: time.Hour,
		tokenHeader: map[string]any{"alg": "HS256", "typ": "JWT", "kid": "0198c0de-0000-7000-8000-000000000001"}, tokenClaims: map[string]any{},
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// parts seals with AES-GCM, with an iv and a tag of so many bytes.
func parts(key []byte, ivSize, tagSize int, plaintext, data string) (iv, tag, sealed []byte) {
	block := must(aes.NewCipher(key))
	var gcm cipher.AEAD
	if ivSize == 12 {
		gcm = must(cipher.NewGCMWithTagSize(block, tagSize))
	} else {
		gcm = must(cipher.NewGCMWithNonceSize(block, ivSize))
	}
	iv = random(ivSize)
	out := gcm.Seal(nil, iv, []byte(plaintext), []byte(data))
	return iv, out[len(plaintext):], out[:len(plaintext)]
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func sealRight(key []byte, plaintext string) string {
	iv, tag, sealed := parts(key, 12, 16, plaintext, "")
	return b64(iv) + b64(tag) + b64(sealed)
}

func (s *sender) jwt() string {
	claims := map[string]any{"agentId": s.claimID, "iat": s.issued.Unix(), "exp": s.issued.Add(s.tokenLife).Unix()}
	maps.Copy(claims, s.tokenClaims)
	text := base64.RawURLEncoding.EncodeToString(must(json.Marshal(s.tokenHeader))) + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(claims)))
	h := hmac.New(sha256.New, []byte("the service's own key"))
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// A message is what goes over the wire.
type message struct {
	method, path string
	header       http.Header
	body         string
}

func (s *sender) send() message {
	cipherText := s.seal(s.key, s.plaintext)
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Host", "api.example")
	if s.path != wire.PathAuth {
		s.token = s.jwt()
		h.Set("Authorization", "Bearer "+s.token)
	}
	h.Set("x-agentid", s.agentID)
	h.Set("x-timestamp", s.stamp)
	h.Set("x-nonce", s.nonce)
	h.Set("x-signature", s.sign(s, cipherText))
	if s.change != nil {
		s.change(h)
	}
	return message{s.method, s.path, h, s.body(cipherText)}
}

func knowledge() Knowledge {
	return Knowledge{Agents: []Agent{{ID: ownID, APIKeys: []string{ownKey}, Secret: ownSecret}, {ID: "other", APIKeys: []string{otherKey}}}, At: sentAt.Add(300 * time.Millisecond)}
}

// formats write a message as captures have it.
var formats = map[string]func(message) string{
	"raw CRLF": func(m message) string { return rawText(m, "\r\n") },
	"raw LF":   func(m message) string { return rawText(m, "\n") + "\n" },
	"raw answered": func(m message) string {
		return rawText(m, "\r\n") + "\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Log-Uuid: u1\r\n\r\n" + envelope
	},
	"curl -v": func(m message) string {
		var out strings.Builder
		out.WriteString("* Connected to api.example\n")
		head, _, _ := strings.Cut(rawText(m, "\n"), "\n\n")
		for line := range strings.Lines(head + "\n\n" + m.body) {
			out.WriteString("> " + line)
		}
		return out.String() + "\n< HTTP/1.1 200 OK\n< X-Log-Uuid: u1\n<\n" + envelope + "\n"
	},
	"pseudo headers": func(m message) string {
		return ":method: " + m.method + "\n:path: " + m.path + "\n:scheme: https\n" + headerText(m, "\n") + "\n" + m.body
	},
	"curl single": func(m message) string {
		var out strings.Builder
		fmt.Fprintf(&out, "curl -sS -X %s 'https://api.example%s' \\\n", m.method, m.path)
		eachHeader(m, func(name, value string) {
			fmt.Fprintf(&out, "  -H '%s: %s' \\\n", name, strings.ReplaceAll(value, "'", `'\''`))
		})
		return out.String() + "  --data-raw '" + strings.ReplaceAll(m.body, "'", `'\''`) + "'\n"
	},
	"curl double": func(m message) string {
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace
		out := `curl --request ` + m.method + ` "https://api.example` + m.path + `"`
		eachHeader(m, func(name, value string) { out += ` --header="` + name + `: ` + quote(value) + `"` })
		return out + ` -d "` + quote(m.body) + `"`
	},
	"curl of cmd.exe":    cmdText,
	"curl of PowerShell": powerShellText,
	"curl ansi": func(m message) string {
		out := `curl -X` + m.method + ` https://api.example` + m.path
		eachHeader(m, func(name, value string) { out += ` -H $'` + name + `: ` + ansi(value) + `'` })
		return out + ` --data-binary $'` + ansi(m.body) + `' --compressed`
	},
	"HAR": func(m message) string {
		headers := []map[string]string{{"name": ":authority", "value": "api.example"}}
		eachHeader(m, func(name, value string) {
			headers = append(headers, map[string]string{"name": strings.ToLower(name), "value": value})
		})
		entry := map[string]any{
			"startedDateTime": sentAt.Format(time.RFC3339Nano),
			"request":         map[string]any{"method": m.method, "url": "https://api.example" + m.path, "headers": headers, "postData": map[string]any{"text": m.body}},
			"response":        map[string]any{"status": 200, "headers": headers[:1], "content": map[string]any{"text": envelope}},
		}
		other := map[string]any{"request": map[string]any{"method": "GET", "url": "https://api.example/logo.png"}}
		return string(must(json.Marshal(map[string]any{"log": map[string]any{"entries": []any{other, entry}}})))
	},
	"JSON": func(m message) string {
		return string(must(json.Marshal(map[string]any{"method": m.method, "url": "https://api.example" + m.path, "headers": m.header, "body": m.body})))
	},
}

// careted matches what Chrome puts ^ before, in "Copy as cURL (cmd)".
var careted = regexp.MustCompile(`[^a-zA-Z0-9\s_\-:=+~'/.',?;()*` + "`]")

// cmdText is what "Copy as cURL (cmd)" makes.
func cmdText(m message) string {
	quote := func(s string) string {
		s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
		s = careted.ReplaceAllString(s, "^$0")
		s = regexp.MustCompile(`%([a-zA-Z0-9_])`).ReplaceAllString(s, "%^$1")
		return `^"` + regexp.MustCompile(`\r?\n`).ReplaceAllString(s, "^\n\n") + `^"`
	}
	out := "curl --request " + m.method + " " + quote("https://api.example"+m.path) + " ^\r\n"
	eachHeader(m, func(name, value string) { out += "  -H " + quote(name+": "+value) + " ^\r\n" })
	return out + "  --data-raw " + quote(m.body) + " &\r\ncurl ^\"https://api.example/other^\""
}

// powerShellText is as people write it by hand.
func powerShellText(m message) string {
	out := "PS C:\\Users\\me> curl.exe -X " + m.method + " \"https://api.example" + m.path + "\" `\r\n"
	eachHeader(m, func(name, value string) { out += "  -H '" + name + ": " + value + "' `\r\n" })
	return out + "  -d '" + strings.ReplaceAll(m.body, "'", `'\''`) + "'\r\n"
}

// envelope is an answer that says nothing of the request's faults.
const envelope = `{"code":7,"message":"Internal server error","logUUID":"u1"}`

func eachHeader(m message, each func(name, value string)) {
	names := make([]string, 0, len(m.header))
	for name := range m.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range m.header[name] {
			each(name, value)
		}
	}
}

func headerText(m message, end string) string {
	out := ""
	eachHeader(m, func(name, value string) { out += name + ": " + value + end })
	return out
}

func rawText(m message, end string) string {
	return m.method + " " + m.path + " HTTP/1.1" + end + headerText(m, end) + end + m.body
}

func ansi(s string) string {
	out := ""
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			out += `\` + string(c)
		case c < ' ' || c > '~':
			out += fmt.Sprintf(`\x%02x`, c)
		default:
			out += string(c)
		}
	}
	return out
}

// codes returns what is found in a message, read in this format.
func codes(t *testing.T, format string, m message, know Knowledge) []string {
	t.Helper()
	list, err := Read([]byte(formats[format](m)), FormatAuto)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	if len(list) != 1 {
		t.Fatalf("%s: %d requests, want 1", format, len(list))
	}
	report := Explain(list[0], know)
	noSecret(t, report)
	var out []string
	for _, f := range report.Findings() {
		if f.What == "" || f.Mend == "" || f.Spec == "" || strings.Contains(f.What, "{v}") {
			t.Errorf("%s: it does not say all: %+v", f.Code, f)
		}
		out = append(out, f.Code)
	}
	return out
}

// noSecret fails where a report tells what it must not.
func noSecret(t *testing.T, r *Report) {
	t.Helper()
	var text strings.Builder
	r.Print(&text)
	text.Write(must(json.Marshal(r)))
	for _, secret := range []string{ownKey, otherKey, ownSecret, "eyJ"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("the report shows %.8s…:\n%s", secret, text.String())
		}
	}
}
