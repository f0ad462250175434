package conform

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

const maxBody = 64 << 10 // spec 1.6

func method(name string) change { return func(r *request) { r.method = name } }
func path(p string) change      { return func(r *request) { r.path = p } }

// padTo lengthens the body with white space, which JSON allows.
func padTo(size int) change {
	return body(func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), size-len(b))...) })
}

var notAllowed = answersStatus(http.StatusMethodNotAllowed, wire.CodeParameters).and("the header Allow: POST", func(a *answer) string {
	if got := a.header.Get("Allow"); got != http.MethodPost {
		return "Allow: " + got
	}
	return ""
})

func transportTests() []test {
	notFound := answersStatus(http.StatusNotFound, wire.CodeParameters)
	unsupported := answersStatus(http.StatusUnsupportedMediaType, wire.CodeParameters)
	tooLarge := answersStatus(http.StatusRequestEntityTooLarge, wire.CodeParameters)
	return table("wire", RolePrimary, wire.PathSessionsCheck, []row{
		{"method-get", "GET in place of POST", "1.6", Ours, method(http.MethodGet), notAllowed},
		{"method-put", "PUT in place of POST", "1.6", Ours, method(http.MethodPut), notAllowed},
		{"path-unknown", "a path that is none", "1.6", Ours, path("/v2/members/sessions"), notFound},
		{"path-slash", "a slash behind the path", "1.1", Ours, path(wire.PathSessionsCheck + "/"), notFound},
		{"path-case", "a capital in the path", "1.1", Ours, path("/v2/Members/sessions/check"), notFound},
		{"path-double-slash", "two slashes in the path", "1.1", Ours, path("/v2//members/sessions/check"), notFound},
		{"query", "a query string, which means nothing", "1.1", Ours, path(wire.PathSessionsCheck + "?username=x"), accepted},
		{"content-type-charset", "Content-Type with charset=utf-8", "1.3", Ours, setHeader("Content-Type", "application/json; charset=utf-8"), accepted},
		{"content-type-missing", "no Content-Type", "1.3", Ours, setHeader("Content-Type"), unsupported},
		{"content-type-form", "Content-Type of a form", "1.3", Ours, setHeader("Content-Type", "application/x-www-form-urlencoded"), unsupported},
		{"content-type-text", "Content-Type text/plain", "1.3", Ours, setHeader("Content-Type", "text/plain"), unsupported},
		{"content-type-twice", "Content-Type sent twice", "1.3", Ours, setHeader("Content-Type", "application/json", "application/json"), unsupported},
		{"body-64k", "a body of 65,536 bytes", "1.6", Ours, padTo(maxBody), accepted},
		{"body-64k-and-1", "a body of 65,537 bytes", "1.6", Ours, padTo(maxBody + 1), tooLarge},
		{"body-1m", "a body of 1 MiB", "1.6", Ours, padTo(1 << 20), tooLarge},
		{"body-gzip", "a compressed body", "1.1", Ours, both(setHeader("Content-Type", "application/json"), func(r *request) {
			r.reheader = func(h http.Header) { h["Content-Encoding"] = []string{"gzip"} }
			r.rebody = zip
		}), answers(wire.CodeParameters)},
	})
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // a Buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// inBody puts the cipherText in the place of "%".
func inBody(text string) change {
	return body(func(b []byte) []byte {
		cipherText := strings.TrimSuffix(strings.TrimPrefix(string(b), `{"cipherText":"`), `"}`)
		return []byte(strings.ReplaceAll(text, "%", cipherText))
	})
}

func bodyTests() []test {
	wrong := answers(wire.CodeParameters)
	return table("wire", RolePrimary, wire.PathSessionsCheck, []row{
		{"body-more-members", "other members in the body, which mean nothing", "1.2", Should, inBody(`{"x":[{}],"cipherText":"%","y":null}`), accepted},
		{"body-white-space", "white space wherever JSON allows it", "1.2", Must, inBody(" {\r\n\t\"cipherText\" : \"%\" }\n"), accepted},
		{"body-slashes-escaped", `slashes written as \/, as PHP does`, "1.2", Must, body(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("/"), []byte(`\/`)) }), accepted},
		{"body-escapes", `+ and = written as \u002b and \u003d, as Gson does`, "1.2", Must, body(func(b []byte) []byte {
			return []byte(strings.NewReplacer("=", `\u003d`, "+", `\u002b`).Replace(string(b)))
		}), accepted},
		{"body-empty", "no body", "1.2", Ours, bodyText(""), wrong},
		{"body-not-json", "a form as body", "1.2", Ours, inBody("cipherText=%"), wrong},
		{"body-array", "an array around the object", "1.2", Ours, inBody(`[{"cipherText":"%"}]`), wrong},
		{"body-string", "the cipherText alone, as a JSON string", "1.2", Ours, inBody(`"%"`), wrong},
		{"body-null", "null", "1.2", Ours, bodyText("null"), wrong},
		{"body-no-ciphertext", "no cipherText in the object", "1.2", Ours, bodyText(`{}`), wrong},
		{"body-ciphertext-case", "ciphertext without the capital", "1.2", Ours, inBody(`{"ciphertext":"%"}`), wrong},
		{"body-ciphertext-number", "cipherText is a number", "1.2", Ours, bodyText(`{"cipherText":1}`), wrong},
		{"body-ciphertext-null", "cipherText is null", "1.2", Ours, bodyText(`{"cipherText":null}`), wrong},
		{"body-ciphertext-array", "cipherText is an array of it", "1.2", Ours, inBody(`{"cipherText":["%"]}`), wrong},
		{"body-duplicate", "cipherText twice, the same", "1.2", Ours, inBody(`{"cipherText":"%","cipherText":"%"}`), wrong},
		{"body-duplicate-first", "cipherText twice, the second another", "1.2", Ours, inBody(`{"cipherText":"%","cipherText":"x"}`), wrong},
		{"body-duplicate-last", "cipherText twice, the first another", "1.2", Ours, inBody(`{"cipherText":"x","cipherText":"%"}`), wrong},
		{"body-duplicate-escaped", "cipherText twice, once with an escape", "1.2", Ours, inBody(`{"cipherText":"%","cipher\u0054ext":"%"}`), wrong},
		{"body-trailing", "text behind the object", "1.2", Ours, inBody(`{"cipherText":"%"}x`), wrong},
		{"body-twice", "the object twice", "1.2", Ours, inBody(`{"cipherText":"%"}{"cipherText":"%"}`), wrong},
		{"body-comma", "a comma before the end", "1.2", Ours, inBody(`{"cipherText":"%",}`), wrong},
		{"body-bom", "a byte order mark", "1.2", Ours, inBody("\ufeff" + `{"cipherText":"%"}`), wrong},
		{"body-utf8", "invalid UTF-8 in another member", "1.2", Ours, inBody(`{"cipherText":"%","x":"` + "\xff" + `"}`), wrong},
		{"body-depth-32", "nested 32 deep", "1.2", Ours, inBody(`{"cipherText":"%","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`), accepted},
		{"body-depth-33", "nested 33 deep", "1.2", Ours, inBody(`{"cipherText":"%","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`), wrong},
	})
}
