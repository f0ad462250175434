package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rollcall-server/rollcall/wire"
)

var bodyKinds = []Kind{
	{
		Code: "content-encoding", Step: stepBody, Spec: "1.1", What: "The body is compressed.",
		Mend: "Send it as it is: Content-Encoding is not undone.",
	},
	{
		Code: "body-empty", Step: stepBody, Spec: "1.2", What: "There is no body.",
		Mend: "Send one JSON object with the string cipherText. An endpoint without parameters gets a cipherText too, of {} (4.5).",
	},
	{
		Code: "body-bom", Step: stepBody, Spec: "1.2", What: "A byte order mark stands in front of the body.",
		Mend: "Write UTF-8 without one: C# new UTF8Encoding(false), PowerShell -Encoding utf8NoBOM, PHP files saved without BOM.",
	},
	{
		Code: "body-utf16", Step: stepBody, Spec: "1.1", What: "The body is UTF-16.",
		Mend: "Send UTF-8: C# Encoding.UTF8, not Encoding.Unicode; Java getBytes(StandardCharsets.UTF_8).",
	},
	{
		Code: "body-form", Step: stepBody, Spec: "1.2", What: "The body is a form, not JSON.",
		Mend: `Send {"cipherText":"…"}: PHP json_encode and not http_build_query, Python json= and not data=, axios with an object and not URLSearchParams.`,
	},
	{
		Code: "body-double-json", Step: stepBody, Spec: "1.2", What: "The body was made JSON twice: it is a string with the object in it.",
		Mend: "Encode once: a library that takes an object encodes it itself.",
	},
	{
		Code: "body-not-json", Step: stepBody, Spec: "1.2", What: "The body is not one JSON object of the strict grammar.", vague: true,
		Mend: `Send {"cipherText":"…"} and nothing behind it; make it with a JSON library.`,
	},
	{
		Code: "body-duplicate-member", Step: stepBody, Spec: "1.2", What: "A member's name is given twice in the body.",
		Mend: "Give each name once.",
	},
	{
		Code: "body-is-plaintext", Step: stepBody, Spec: "1.2, 4", What: "The body has the parameters unsealed, and no cipherText.",
		Mend: `Seal the JSON of the parameters with AES-256-GCM under the API key, and send {"cipherText":"…"}.`,
	},
	{
		Code: "ciphertext-renamed", Step: stepBody, Spec: "1.2", What: "cipherText goes under another name.",
		Mend: "The member is cipherText, with a capital T. Names are compared with case.",
	},
	{
		Code: "ciphertext-missing", Step: stepBody, Spec: "1.2", What: "The body has no cipherText.",
		Mend: `Send {"cipherText":"…"}.`,
	},
	{
		Code: "ciphertext-not-string", Step: stepBody, Spec: "1.2, 4.2", What: "cipherText is not a string.",
		Mend: "It is one string: base64(iv) + base64(tag) + base64(sealed bytes). No object of parts, no array of bytes, no null.",
	},
}

func (x *exam) body() {
	if c, checked := x.checked(stepSize); checked && !c.Passed {
		x.fault("body-too-large", 0, "by the server's record")
		return
	}
	if !x.req.HasBody {
		x.found(stepBody, Unknown, "the capture has no body: with it, signature and cipherText could be looked at")
		return
	}
	body := x.req.Body
	if len(body) > maxBody {
		x.fault("body-too-large", 0, "")
		return
	}
	if x.compressed() {
		x.fault("content-encoding", 0, "")
		return
	}
	var strict wire.Request
	if strict.Decode(body) == nil {
		x.cipherText, x.hasCipherText = strict.CipherText, true
		x.found(stepBody, Right, "one JSON object with cipherText, %d bytes", len(body))
		return
	}
	x.wrongBody(body)
	if !x.has(stepBody) {
		x.fault("body-not-json", 0, clip(reasonOf(strict.Decode(body)), 100))
	}
}

// reasonOf is wire's reason without the sentinel in front; wire never repeats
// the text that it has read.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	_, reason, _ := strings.Cut(err.Error(), ": ")
	return reason
}

func (x *exam) compressed() bool {
	encoding := x.req.Header.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity") || bytes.HasPrefix(x.req.Body, []byte{0x1f, 0x8b})
}

// wrongBody undoes what was done to a body, one wrapping after the other.
func (x *exam) wrongBody(body []byte) {
	if len(bytes.TrimSpace(body)) == 0 {
		x.fault("body-empty", 0, "")
		return
	}
	if rest, ok := bytes.CutPrefix(body, bom); ok {
		x.fault("body-bom", 0, "")
		body = rest
	} else if text, ok := fromUTF16(body); ok {
		x.fault("body-utf16", 0, "")
		body = text
	}
	if inner, ok := jsonString(body); ok {
		x.fault("body-double-json", 0, "")
		body = []byte(inner)
	}
	if values, err := url.ParseQuery(string(body)); err == nil && isForm(body) {
		x.fault("body-form", 0, "")
		x.setCipherText(values.Get("cipherText"))
		return
	}
	x.members(body)
}

// members looks at the members of a body that is an object.
func (x *exam) members(body []byte) {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return
	}
	if value, ok := object["cipherText"]; ok {
		var text string
		if json.Unmarshal(value, &text) != nil || value[0] != '"' {
			x.fault("ciphertext-not-string", 0, "")
			return
		}
		x.setCipherText(text)
		if err := new(wire.Request).Decode(body); err != nil && strings.Contains(err.Error(), "twice") {
			x.fault("body-duplicate-member", 0, "")
		}
		return
	}
	x.otherName(object)
}

// unsigned takes the signs out of a name that its spellings differ in. It is made once:
// a request may have thousands of names.
var unsigned = strings.NewReplacer("_", "", "-", "")

func (x *exam) otherName(object map[string]json.RawMessage) {
	for name, value := range object {
		var text string
		plain := unsigned.Replace(strings.ToLower(name))
		if slices.Contains([]string{"ciphertext", "cipher", "data", "encrypted", "payload", "encryptedtext", "encrypteddata"}, plain) && json.Unmarshal(value, &text) == nil {
			x.fault("ciphertext-renamed", 0, "here "+clip(name, 30))
			x.setCipherText(text)
			return
		}
	}
	for _, name := range []string{"username", "agentId", "secret", "gameCode"} {
		if _, ok := object[name]; ok {
			x.fault("body-is-plaintext", 0, "")
			return
		}
	}
	x.fault("ciphertext-missing", 0, fmt.Sprintf("it has %d other members", len(object)))
}

func (x *exam) setCipherText(text string) { x.cipherText, x.hasCipherText = text, text != "" }

var bom = []byte("\xef\xbb\xbf")

// fromUTF16 reads text that is UTF-16 of either order, with or without a mark.
func fromUTF16(b []byte) ([]byte, bool) {
	if len(b) < 4 || len(b)%2 != 0 {
		return nil, false
	}
	marked := b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff
	little := b[0] == 0xff || !marked && b[1] == 0
	if !marked && (b[0] == 0) == (b[1] == 0) {
		return nil, false
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i < len(b); i += 2 {
		if little {
			units = append(units, uint16(b[i])|uint16(b[i+1])<<8)
		} else {
			units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
		}
	}
	if marked {
		units = units[1:]
	}
	text := []byte(string(utf16.Decode(units)))
	return text, utf8.Valid(text) && !bytes.ContainsRune(text, 0)
}

// jsonString reads a text that is one JSON string.
func jsonString(b []byte) (string, bool) {
	b = bytes.TrimSpace(b)
	var s string
	if len(b) < 2 || b[0] != '"' || json.Unmarshal(b, &s) != nil {
		return "", false
	}
	return s, true
}

// isForm reports whether b is name=value pairs; base64 ends with = too, but has
// nothing behind it.
func isForm(b []byte) bool {
	name, value, ok := bytes.Cut(b, []byte("="))
	return ok && len(name) > 0 && len(name) <= 32 && len(value) > 1 && !bytes.ContainsAny(name, "{}[]\"' \t\r\n+/")
}
