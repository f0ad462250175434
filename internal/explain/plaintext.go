package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

var plaintextKinds = []Kind{
	{
		Code: "plaintext-bom", Step: stepPlaintext, Spec: "1.2", What: "A byte order mark stands in front of the plaintext.",
		Mend: "Seal UTF-8 without one: C# new UTF8Encoding(false).GetBytes, PHP and Python sources and templates saved without BOM.",
	},
	{
		Code: "plaintext-utf16", Step: stepPlaintext, Spec: "1.1", What: "The plaintext is UTF-16.",
		Mend: "Seal UTF-8: C# Encoding.UTF8.GetBytes, not Encoding.Unicode; Java getBytes(StandardCharsets.UTF_8).",
	},
	{
		Code: "plaintext-padded", Step: stepPlaintext, Spec: "4.1", What: "The plaintext has the padding of a block cipher behind it.",
		Mend: "GCM takes any length: take the padding (PKCS#7, or zeros) out of the code.",
	},
	{
		Code: "plaintext-double-json", Step: stepPlaintext, Spec: "1.2", What: "The plaintext was made JSON twice: it is a string with the object in it.",
		Mend: "Encode once: JSON.stringify, json_encode or json.dumps of the object, not of its text.",
	},
	{
		Code: "plaintext-base64", Step: stepPlaintext, Spec: "1.2", What: "The plaintext is in base64.",
		Mend: "Seal the JSON itself, and encode what comes out.",
	},
	{
		Code: "plaintext-form", Step: stepPlaintext, Spec: "1.2", What: "The plaintext is a form or percent-encoded, not JSON.",
		Mend: `Seal JSON, such as {"username":"player001"}.`,
	},
	{
		Code: "plaintext-sealed-twice", Step: stepPlaintext, Spec: "1.2", What: "The plaintext has a cipherText in it: it was sealed twice.",
		Mend: "Seal the parameters, and send the result as cipherText, once.",
	},
	{
		Code: "plaintext-not-json", Step: stepPlaintext, Spec: "1.2", What: "The plaintext is not one JSON object of the strict grammar.", vague: true,
		Mend: "Make it with a JSON library: names in double quotes, no comma at the end, nothing behind it, UTF-8.",
	},
	{
		Code: "plaintext-duplicate-member", Step: stepPlaintext, Spec: "1.2", What: "A member's name is given twice in the plaintext.",
		Mend: "Give each name once.",
	},
	{
		Code: "plaintext-wrong-endpoint", Step: stepPlaintext, Spec: "5–7", What: "The plaintext is that of another endpoint than the path's.",
		Mend: "Look at which function sends it, and to which path.",
	},
	{
		Code: "plaintext-member-renamed", Step: stepPlaintext, Spec: "5–7", What: "A member of the plaintext goes under another name.",
		Mend: "Names are compared with case: username, agentId, secret, siteId, gameCode, deviceType, ipaddress, lang, launchType, lobbyUrl.",
	},
	{
		Code: "plaintext-member-missing", Step: stepPlaintext, Spec: "5–7", What: "A member that the endpoint needs is missing in the plaintext.",
		Mend: "Look at the table of the endpoint in the protocol.",
	},
	{
		Code: "plaintext-member-type", Step: stepPlaintext, Spec: "1.2, 5–7", What: "A member of the plaintext is of another type than its field.",
		Mend: `Texts stand in quotes and numbers do not: {"username":"123"}, {"deviceType":1}. null is no value; leave an optional member out.`,
	},
	{
		Code: "username-space", Step: stepPlaintext, Spec: "6.1", What: "The username has white space in it.",
		Mend: "It is 1 to 25 ASCII letters or digits: trim it. Databases pad columns of type CHAR with spaces.",
	},
	{
		Code: "username-length", Step: stepPlaintext, Spec: "6.1", What: "The username has {v} characters; 1 to 25 is right.",
		Mend: "It is 1 to 25 ASCII letters or digits.",
	},
	{
		Code: "username-form", Step: stepPlaintext, Spec: "6.1", What: "The username has characters that are no ASCII letters or digits.",
		Mend: "It is 1 to 25 of A-Z a-z 0-9: no prefix with _ or @, no accents. Map your own names to such ones.",
	},
	{
		Code: "plaintext-field", Step: stepPlaintext, Spec: "7", What: "A field of the plaintext has not its form.",
		Mend: "Look at the table of the endpoint in the protocol.",
	},
	{
		Code: "plaintext-refused", Step: stepPlaintext, Spec: "1.2", What: "The server has refused the plaintext.", vague: true,
		Mend: "The check's reason in the record says which rule it is against; the API key opens it (--credentials).",
	},
}

var decoders = map[string]func([]byte) error{
	wire.PathAuth:           func(b []byte) error { return new(wire.AuthRequest).Decode(b) },
	wire.PathSessionsCheck:  func(b []byte) error { return new(wire.MemberRequest).Decode(b) },
	wire.PathSessionsLogout: func(b []byte) error { return new(wire.MemberRequest).Decode(b) },
	wire.PathMembers:        func(b []byte) error { return new(wire.MemberCreateRequest).Decode(b) },
	wire.PathMembersOnline:  func(b []byte) error { return new(wire.OnlineRequest).Decode(b) },
	wire.PathOpenGame:       func(b []byte) error { return new(wire.OpenGameRequest).Decode(b) },
}

func (x *exam) plaintextStep() {
	c, checked := x.checked(stepPlaintext)
	if !x.open.ok {
		switch {
		case checked && c.Passed:
			x.found(stepPlaintext, Right, "the server has read it")
		case checked:
			x.fault("plaintext-refused", 0, clip(strings.TrimPrefix(c.Reason, "parameters error: "), 120))
		default:
			x.found(stepPlaintext, Unknown, "it cannot be looked at, since cipherText was not opened")
		}
		return
	}
	text := x.unwrap(x.open.plaintext)
	x.open.plaintext = text
	x.showPlaintext(text)
	if x.endpoint == "" {
		return
	}
	if err := decoders[x.endpoint](text); err != nil && !slices.ContainsFunc(x.rep.step(stepPlaintext).Findings, func(f Finding) bool { return f.Code == "plaintext-sealed-twice" }) {
		x.wrongPlaintext(text, err)
	}
}

// perhapsSecret finds what a plaintext of a login may have, also in escapes, sent to
// another endpoint by mistake.
var perhapsSecret = regexp.MustCompile(`(?i)secret|key|token|passw|pwd|\\u00[4-7]`)

// showPlaintext shows it to the owner of the key, but for a login's.
func (x *exam) showPlaintext(text []byte) {
	if x.endpoint == wire.PathAuth || x.endpoint == "" || x.know.Brief || perhapsSecret.Match(text) {
		x.found(stepPlaintext, Right, "%d bytes, not shown", len(text))
		return
	}
	x.found(stepPlaintext, Right, "%s", clip(string(text), 160))
}

// unwrap undoes what was done to a plaintext before it was sealed.
func (x *exam) unwrap(b []byte) []byte {
	if rest, ok := bytes.CutPrefix(b, bom); ok {
		x.fault("plaintext-bom", 0, "")
		b = rest
	}
	if text, ok := fromUTF16(b); ok {
		x.fault("plaintext-utf16", 0, "")
		b = text
	}
	if rest, ok := padded(b); ok {
		x.fault("plaintext-padded", 0, "")
		b = rest
	}
	if inner, err := base64.StdEncoding.DecodeString(string(b)); err == nil && len(inner) > 1 && (inner[0] == '{' || inner[0] == '"') {
		x.fault("plaintext-base64", 0, "")
		b = inner
	}
	for range 3 {
		inner, ok := jsonString(b)
		if !ok {
			break
		}
		x.fault("plaintext-double-json", 0, "")
		b = []byte(inner)
	}
	return x.unform(b)
}

func (x *exam) unform(b []byte) []byte {
	if plain, err := url.QueryUnescape(string(b)); err == nil && bytes.HasPrefix(b, []byte("%7")) && strings.HasPrefix(plain, "{") {
		x.fault("plaintext-form", 0, "")
		b = []byte(plain)
	} else if values, err := url.ParseQuery(string(b)); err == nil && isForm(b) {
		x.fault("plaintext-form", 0, "")
		object := map[string]string{}
		for name := range values {
			object[name] = values.Get(name)
		}
		b, _ = json.Marshal(object)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) == nil && object["cipherText"] != nil {
		x.fault("plaintext-sealed-twice", 0, "")
	}
	return b
}

// padded takes off PKCS#7's padding, or zeros, behind a text that ends in } or ".
func padded(b []byte) ([]byte, bool) {
	if len(b) == 0 || b[len(b)-1] > 16 {
		return b, false
	}
	rest, ok := unpad(b)
	rest = bytes.TrimRight(rest, " \t\r\n")
	if last := len(rest) - 1; !ok || last < 0 || (rest[last] != '}' && rest[last] != '"') || b[len(b)-1] == '\n' && json.Valid(b) {
		return b, false
	}
	return rest, true
}

// aliases are names under which members are met.
var aliases = map[string]string{
	"user": "username", "name": "username", "player": "username", "playername": "username", "playerid": "username", "member": "username", "memberid": "username",
	"account": "username", "userid": "username", "login": "username", "agent": "agentId", "secretkey": "secret", "password": "secret", "game": "gameCode", "gameid": "gameCode",
	"ip": "ipaddress", "language": "lang", "device": "deviceType", "site": "siteId",
}

func (x *exam) wrongPlaintext(text []byte, err error) {
	var object map[string]json.RawMessage
	reason := reasonOf(err)
	switch {
	case !utf8.Valid(text) || json.Unmarshal(text, &object) != nil || object == nil:
		x.fault("plaintext-not-json", 0, clip(reason, 100))
	case strings.Contains(reason, "twice"):
		x.fault("plaintext-duplicate-member", 0, "")
	case strings.Contains(reason, "is missing"):
		x.missing(text, object, reason)
	case strings.Contains(reason, "is not a string"), strings.Contains(reason, "whole number"):
		_, about, _ := strings.Cut(reason, ": ")
		x.fault("plaintext-member-type", 0, clip(about, 100))
	case strings.HasPrefix(reason, "username"):
		x.username(object)
	case strings.HasPrefix(reason, "JSON"):
		x.fault("plaintext-not-json", 0, clip(reason, 100))
	default:
		x.fault("plaintext-field", 0, clip(reason, 100))
	}
}

// missing says where a member may have gone that is missing.
func (x *exam) missing(text []byte, object map[string]json.RawMessage, reason string) {
	_, rest, _ := strings.Cut(reason, `"`)
	want, _, _ := strings.Cut(rest, `"`)
	for name := range object {
		plain := unsigned.Replace(strings.ToLower(name))
		if plain == strings.ToLower(want) || aliases[plain] == want {
			x.fault("plaintext-member-renamed", 0, want+" is here "+clip(name, 30))
			return
		}
	}
	if len(object) > 0 {
		for _, path := range paths {
			if path != x.endpoint && path != wire.PathMembersOnline && decoders[path](text) == nil {
				x.fault("plaintext-wrong-endpoint", 0, "it would be right for "+path)
				return
			}
		}
	}
	x.fault("plaintext-member-missing", 0, want)
}

func (x *exam) username(object map[string]json.RawMessage) {
	var name string
	if json.Unmarshal(object["username"], &name) != nil || rollcall.ValidUsername(name) {
		x.fault("username-form", 0, "")
		return
	}
	n := utf8.RuneCountInString(name)
	switch {
	case strings.ContainsAny(name, " \t\r\n\u00a0\u200b\ufeff\u3000"):
		x.fault("username-space", 0, "")
	case alphanumeric(name):
		x.fault("username-length", int64(n), "")
	default:
		x.fault("username-form", 0, "")
	}
}
