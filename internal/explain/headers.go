package explain

import (
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// v2Headers are the headers of spec 2. A finding's value is a place in it, from 1.
var v2Headers = []string{wire.HeaderAgentID, wire.HeaderTimestamp, wire.HeaderNonce, wire.HeaderSignature, wire.HeaderAuthorization}

func sayHeader(value int64) string {
	if value < 1 || value > int64(len(v2Headers)) {
		return "a header"
	}
	return strings.ToLower(v2Headers[value-1])
}

var headerKinds = []Kind{
	{
		Code: "header-missing", Step: stepHeaders, Spec: "2", What: "The header {v} is missing or empty.", say: sayHeader,
		Mend: "Send x-agentid, x-timestamp, x-nonce and x-signature with every request, and Authorization with all but /v2/auth. Some proxies drop headers that they do not know, and redirects drop Authorization.",
	},
	{
		Code: "header-renamed", Step: stepHeaders, Spec: "2", What: "The header {v} goes under another name.", say: sayHeader,
		Mend: "The names are x-agentid, x-timestamp, x-nonce and x-signature, in any case, with no other hyphens and no underscores.",
	},
	{
		Code: "header-repeated", Step: stepHeaders, Spec: "2", What: "The header {v} is sent more than once.", say: sayHeader,
		Mend: "Send it once: set it rather than add it, and look whether a proxy adds it too.",
	},
	{
		Code: "agentid-malformed", Step: stepHeaders, Spec: "2", What: "x-agentid has not the form of an agent's id.",
		Mend: "It is 1 to 64 of A-Z a-z 0-9 _ . - and just the id: no quotes, no spaces, no e-mail address.",
	},
	{
		Code: "timestamp-seconds", Step: stepHeaders, Spec: "2", What: "x-timestamp is in seconds.",
		Mend: "Send Unix milliseconds, 13 digits, in the header and in what is signed: JavaScript Date.now(), Java System.currentTimeMillis(), PHP (int)(microtime(true)*1000), Python int(time.time()*1000), C# DateTimeOffset.UtcNow.ToUnixTimeMilliseconds().",
	},
	{
		Code: "timestamp-too-fine", Step: stepHeaders, Spec: "2", What: "x-timestamp is in microseconds or nanoseconds: it has {v} digits.",
		Mend: "Send Unix milliseconds, 13 digits.",
	},
	{
		Code: "timestamp-malformed", Step: stepHeaders, Spec: "2", What: "x-timestamp is not 13 decimal digits.",
		Mend: "Send Unix milliseconds as 13 digits: no date text, no decimal point, no sign, no quotes.",
	},
	{
		Code: "nonce-uuid", Step: stepHeaders, Spec: "2", What: "x-nonce is a UUID with its hyphens.",
		Mend: "Take them out: 32 letters and digits are left. Sign the same text: Java replace(\"-\",\"\"), C# ToString(\"N\"), PHP bin2hex(random_bytes(16)).",
	},
	{
		Code: "nonce-length", Step: stepHeaders, Spec: "2", What: "x-nonce has {v} characters and not 32.",
		Mend: "Send exactly 32 of A-Z a-z 0-9, such as 16 random bytes in hex.",
	},
	{
		Code: "nonce-malformed", Step: stepHeaders, Spec: "2", What: "x-nonce has characters that are no ASCII letters or digits.",
		Mend: "Send exactly 32 of A-Z a-z 0-9, such as 16 random bytes in hex. Base64 has + / = in it.",
	},
	{
		Code: "signature-base64", Step: stepHeaders, Spec: "3.1", What: "x-signature is in base64.",
		Mend: "Send it in hex, 64 digits: Node digest('hex'), Python hexdigest(), PHP hash('sha256', $text), C# Convert.ToHexString.",
	},
	{
		Code: "signature-decorated", Step: stepHeaders, Spec: "3.1", What: "x-signature has something beside its 64 hex digits.",
		Mend: "Send the digits alone: no sha256=, no 0x, no quotes. C# BitConverter.ToString puts hyphens in: take Convert.ToHexString.",
	},
	{
		Code: "signature-malformed", Step: stepHeaders, Spec: "3.1", What: "x-signature is not 64 hex digits: it has {v} characters.", vague: true,
		Mend: "It is SHA-256 in hex: 64 digits.",
	},
	{
		Code: "authorization-basic", Step: stepHeaders, Spec: "2, 5", What: "Authorization is Basic and not Bearer.",
		Mend: "Fetch an access token from /v2/auth, and send Authorization: Bearer TOKEN. Keys are never sent as they are.",
	},
	{
		Code: "authorization-no-bearer", Step: stepHeaders, Spec: "2", What: "Authorization has a token without the word Bearer in front.",
		Mend: "Send Authorization: Bearer TOKEN, with one space.",
	},
	{
		Code: "authorization-malformed", Step: stepHeaders, Spec: "2", What: "Authorization is not Bearer, one space and the token.",
		Mend: "Send Bearer, one space, and accessToken as /v2/auth gave it: no quotes, no second Bearer, no line end.",
	},
}

// misspelt are names under which the headers are met, without - and _.
var misspelt = map[string]int{
	"agentid": 1, "xagent": 1, "xagentid": 1, "agent": 1, "xoperatorid": 1, "timestamp": 2, "xtimestamp": 2, "xtime": 2, "xts": 2,
	"nonce": 3, "xnonce": 3, "xrequestid": 0, "signature": 4, "xsignature": 4, "xsign": 4, "sign": 4, "xauthorization": 5, "xaccesstoken": 5, "accesstoken": 5, "token": 5,
}

func (x *exam) headers() {
	values := make([]string, len(v2Headers))
	for i, name := range v2Headers {
		if name == wire.HeaderAuthorization && !x.withToken() {
			continue
		}
		values[i] = x.header(i, name)
	}
	x.agentID, x.timestamp, x.nonce, x.signature = values[0], values[1], values[2], values[3]
	x.shapes()
	if x.withToken() {
		x.authorization(values[4])
	}
	if !x.has(stepHeaders) {
		x.found(stepHeaders, Right, "all are there, each once and of its form")
	}
	if x.noToken != "" {
		x.found(stepHeaders, Right, "%s", x.noToken)
	}
}

// header returns the one value of a header.
func (x *exam) header(i int, name string) string {
	given := x.req.Header[name]
	switch {
	case len(given) > 1:
		x.fault("header-repeated", int64(i+1), "")
		return given[0]
	case len(given) == 1 && given[0] != "":
		return given[0]
	}
	for other, values := range x.req.Header {
		plain := unsigned.Replace(strings.ToLower(other))
		if misspelt[plain] == i+1 && other != name && len(values) > 0 {
			x.fault("header-renamed", int64(i+1), "here "+clip(strings.ToLower(other), 40))
			return values[0]
		}
	}
	x.fault("header-missing", int64(i+1), "")
	return ""
}

// shapes looks at the form of each value that is there.
func (x *exam) shapes() {
	if x.agentID != "" && !rollcall.ValidID(x.agentID) {
		x.fault("agentid-malformed", 0, "")
	}
	digits := strings.Trim(x.timestamp, "0123456789") == ""
	switch n := len(x.timestamp); {
	case n == 0 || n == 13 && digits:
	case n == 10 && digits:
		x.fault("timestamp-seconds", 0, "")
	case (n == 16 || n == 19) && digits:
		x.fault("timestamp-too-fine", int64(n), "")
	default:
		x.fault("timestamp-malformed", 0, "")
	}
	x.nonceShape()
	x.signatureShape()
}

func (x *exam) nonceShape() {
	n := x.nonce
	switch {
	case n == "" || wire.ValidNonce(n):
	case len(n) == 36 && strings.Count(n, "-") == 4:
		x.fault("nonce-uuid", 0, "")
	case len(n) != 32 && alphanumeric(n):
		x.fault("nonce-length", int64(len(n)), "")
	default:
		x.fault("nonce-malformed", 0, "")
	}
}

func alphanumeric(s string) bool {
	return strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

func (x *exam) signatureShape() {
	if x.signature == "" {
		return
	}
	if digest, code := readDigest(x.signature); code != "" {
		x.fault(code, 0, "")
	} else if digest == nil {
		x.fault("signature-malformed", int64(len(x.signature)), "")
	}
}

// placeholder reports whether a value was taken out of a capture by its owner.
func placeholder(s string) bool {
	return strings.ContainsAny(s, "<…$*•[{") || strings.Contains(strings.ToLower(s), "redacted") || strings.HasSuffix(s, "...")
}

func (x *exam) authorization(value string) {
	scheme, token, _ := strings.Cut(value, " ")
	jwt := func(s string) bool { return strings.Count(s, ".") == 2 && strings.HasPrefix(s, "eyJ") }
	switch {
	case value == "":
	case strings.EqualFold(scheme, "Basic"):
		x.fault("authorization-basic", 0, "")
	case strings.EqualFold(scheme, "Bearer") && token != "" && placeholder(token):
		x.noToken = "the token was taken out of the capture"
	case strings.EqualFold(scheme, "Bearer") && token != "" && tokenText(token):
		x.token = token
	case jwt(value):
		x.token = value
		x.fault("authorization-no-bearer", 0, "")
	default:
		fields := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t\"':,=", r) })
		if last := len(fields) - 1; last >= 0 && jwt(fields[last]) {
			x.token = fields[last]
		}
		x.fault("authorization-malformed", 0, "")
	}
}

func tokenText(s string) bool {
	return alphanumeric(strings.NewReplacer("-", "", "_", "", ".", "").Replace(s))
}
