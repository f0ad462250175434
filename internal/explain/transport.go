package explain

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// The steps, as request records name the checks.
const (
	stepTransport  = "transport"
	stepSize       = "size"
	stepBody       = "body"
	stepHeaders    = "headers"
	stepAgent      = "agent"
	stepTime       = "timestamp"
	stepSignature  = "signature"
	stepToken      = "token"
	stepCipherText = "cipherText"
	stepNonce      = "nonce"
	stepPlaintext  = "plaintext"
	stepSecret     = "secret"
	stepAnswer     = "answer"
)

var transportKinds = []Kind{
	{
		Code: "method-not-post", Step: stepTransport, Spec: "1.1", What: "The method is not POST.",
		Mend: "Send POST to every /v2 path. HTTP libraries send GET where there is no body, and follow a redirect (http to https) with GET: call the https address at once.",
	},
	{
		Code: "path-trailing-slash", Step: stepTransport, Spec: "1.1", What: "The path has a slash at its end or one too many.",
		Mend: "A path is compared whole: join base URL and path with one slash, and end it with none.",
	},
	{
		Code: "path-case", Step: stepTransport, Spec: "1.1", What: "The path is written in another case.",
		Mend: "A path is compared with case: write it in lower case, as in the protocol.",
	},
	{
		Code: "path-prefix", Step: stepTransport, Spec: "1.1", What: "The path has something in front of /v2.",
		Mend: "The path begins with /v2. A prefix is right only where a proxy in front of the service takes it away.",
	},
	{
		Code: "path-unknown", Step: stepTransport, Spec: "1.1, 5–7", What: "No endpoint has this path.",
		Mend: "The paths are " + strings.Join(paths, ", ") + ".",
	},
	{
		Code: "content-type-form", Step: stepTransport, Spec: "1.3", What: "The Content-Type is that of a form.",
		Mend: "Send Content-Type: application/json. curl -d and many libraries send a form unless told otherwise: -H 'Content-Type: application/json', Node JSON.stringify and the header, PHP CURLOPT_HTTPHEADER, Python requests json=.",
	},
	{
		Code: "content-type-wrong", Step: stepTransport, Spec: "1.3", What: "The Content-Type is missing, sent twice, or not application/json.",
		Mend: "Send Content-Type: application/json, once. Parameters such as charset=utf-8 do no harm.",
	},
	{
		Code: "body-too-large", Step: stepSize, Spec: "1.6", What: "The body has more than 65,536 bytes.",
		Mend: "A v2 request has some hundred bytes: look at what is put into cipherText.",
	},
}

var paths = []string{wire.PathAuth, wire.PathSessionsCheck, wire.PathSessionsLogout, wire.PathMembers, wire.PathMembersOnline, wire.PathOpenGame}

func (x *exam) transport() {
	x.findEndpoint()
	if x.req.Method == "" {
		x.found(stepTransport, Unknown, "the capture has no request line: method and path cannot be known")
	} else {
		x.found(stepTransport, Right, "%s %s", x.rep.Method, x.rep.Path)
		if x.req.Method != http.MethodPost {
			x.fault("method-not-post", 0, "it is "+clip(x.req.Method, 12))
		}
	}
	x.contentType()
}

// findEndpoint sets which endpoint the path is or was meant to be.
func (x *exam) findEndpoint() {
	path := x.req.Path
	if path == "" {
		return
	}
	for _, known := range paths {
		if path == known {
			x.endpoint = known
			return
		}
	}
	code, meant := meantPath(path)
	x.endpoint = meant
	detail := ""
	if meant != "" {
		detail = "it should be " + meant
	}
	x.fault(code, 0, detail)
}

// meantPath returns which endpoint a wrong path comes close to, and what is wrong.
func meantPath(path string) (code, meant string) {
	slashes := func(s string) string {
		for strings.Contains(s, "//") {
			s = strings.ReplaceAll(s, "//", "/")
		}
		return strings.TrimRight(s, "/")
	}
	loose := func(s string) string {
		return strings.NewReplacer("members", "member", "sessions", "session", "-", "", "_", "").Replace(strings.ToLower(slashes(s)))
	}
	best := ""
	for _, known := range paths {
		switch {
		case slashes(path) == known:
			return "path-trailing-slash", known
		case strings.EqualFold(slashes(path), known):
			return "path-case", known
		case strings.HasSuffix(slashes(path), known) && len(known) > len(best):
			best, code = known, "path-prefix"
		case loose(path) == loose(known) || "/v2"+loose(path) == loose(known):
			return "path-unknown", known
		}
	}
	if best != "" {
		return code, best
	}
	return "path-unknown", ""
}

func (x *exam) contentType() {
	values := x.req.Header["Content-Type"]
	media := ""
	if len(values) == 1 {
		media, _, _ = mime.ParseMediaType(values[0])
	}
	switch {
	case media == "application/json":
	case media == "application/x-www-form-urlencoded" || media == "multipart/form-data":
		x.fault("content-type-form", 0, "")
	case x.req.Method == "" && len(x.req.Header) == 0:
	default:
		x.fault("content-type-wrong", 0, fmt.Sprintf("sent %d times", len(values)))
	}
}

// clip bounds a text of the capture for the report, and blots out what a terminal
// would obey.
func clip(s string, most int) string {
	out := []rune{}
	for _, r := range s {
		if len(out) == most {
			return string(out) + "…"
		}
		if r < ' ' || r == 0x7f || r > 0x7e {
			r = '·'
		}
		out = append(out, r)
	}
	return string(out)
}
