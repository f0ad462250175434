package explain

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const formula = "x-signature = lower-case hex of SHA-256 over x-agentid|x-timestamp|x-nonce|cipherText, joined by the character |."

var signatureKinds = []Kind{
	{
		Code: "signature-old-documentation", Step: stepSignature, Spec: "3.2", What: "It is signed by the rule of older documentation: no separators, and the whole body instead of cipherText.",
		Mend: formula,
	},
	{
		Code: "signature-over-body", Step: stepSignature, Spec: "3.1", What: "The JSON of the body is signed in the place of cipherText.",
		Mend: "Sign the string cipherText alone, without the JSON around it. " + formula,
	},
	{
		Code: "signature-over-plaintext", Step: stepSignature, Spec: "3.1", What: "The plaintext is signed in the place of cipherText.",
		Mend: "Seal first, then sign what was sealed. " + formula,
	},
	{
		Code: "signature-over-part", Step: stepSignature, Spec: "3.1", What: "Another part or form of cipherText is signed than the whole text that is sent.",
		Mend: "Sign the string exactly as it stands in the body. " + formula,
	},
	{
		Code: "signature-no-separators", Step: stepSignature, Spec: "3.1", What: "The values are signed without the | between them.",
		Mend: formula,
	},
	{
		Code: "signature-other-separator", Step: stepSignature, Spec: "3.1", What: "The values are joined by something else than |.",
		Mend: formula,
	},
	{
		Code: "signature-other-order", Step: stepSignature, Spec: "3.1", What: "The values are signed in another order.",
		Mend: formula,
	},
	{
		Code: "signature-part-missing", Step: stepSignature, Spec: "3.1", What: "One of the four values is not signed.",
		Mend: formula,
	},
	{
		Code: "signature-timestamp-unit", Step: stepSignature, Spec: "3.1", What: "The timestamp that is signed is in another unit than the one in the header.",
		Mend: "Take the clock once, as 13 digits of milliseconds, and use the same text in the header and in the signature.",
	},
	{
		Code: "signature-nonce-hyphens", Step: stepSignature, Spec: "3.1", What: "The nonce is signed with its hyphens, and sent without them (or the other way round).",
		Mend: "Make the nonce once, 32 letters and digits, and use the same text in the header and in the signature.",
	},
	{
		Code: "signature-white-space", Step: stepSignature, Spec: "3.1", What: "A line end or a space is signed with {v}, that is not sent.", say: saySigned,
		Mend: "Trim values before they are signed: echo adds a line end (printf does not), and so do files that hold an id or a key. HTTP takes spaces off a header's ends.",
	},
	{
		Code: "header-case-changed", Step: stepSignature, Spec: "3.1", What: "{v} is signed in another case than it arrives.", say: saySigned,
		Mend: "Something between, such as a proxy, has changed the header, or the code signs another text than it sends. Send and sign the value as it was given to you; have the proxy leave it alone.",
	},
	{
		Code: "signature-other-agentid", Step: stepSignature, Spec: "3.1", What: "Another agent's id is signed than x-agentid sends.",
		Mend: "Use the same id in the header and in the signature.",
	},
	{
		Code: "signature-hmac-on-plain", Step: stepSignature, Spec: "3.4", What: "It is an HMAC with the API key, and the agent's profile is plain.",
		Mend: formula + " Or ask the operator to set the agent to hmac.",
	},
	{
		Code: "signature-plain-on-hmac", Step: stepSignature, Spec: "3.4", What: "It is the plain SHA-256, and the agent's profile is hmac.",
		Mend: "x-signature = hex of HMAC-SHA-256 over the same text, keyed with the API key's 32 decoded bytes.",
	},
	{
		Code: "signature-hmac-key-text", Step: stepSignature, Spec: "3.4", What: "It is an HMAC keyed with the API key's text.",
		Mend: "Under profile hmac the key is the 32 bytes that the 64 hex digits decode to; under profile plain there is none: " + formula,
	},
	{
		Code: "signature-hmac-secret", Step: stepSignature, Spec: "3.1, 3.4", What: "It is an HMAC keyed with the Secret key.",
		Mend: "The Secret key signs nothing. " + formula,
	},
	{
		Code: "signature-key-appended", Step: stepSignature, Spec: "3.1", What: "A key is signed along with the values.",
		Mend: "There is no key in it. " + formula,
	},
	{
		Code: "signature-double-hash", Step: stepSignature, Spec: "3.1", What: "It is hashed twice.",
		Mend: "Hash once. " + formula,
	},
	{
		Code: "signature-other-digest", Step: stepSignature, Spec: "3.1", What: "It is made with another hash than SHA-256.",
		Mend: formula,
	},
	{
		Code: "signature-unknown", Step: stepSignature, Spec: "3.1", What: "It fits the values sent in no way that is known.", vague: true,
		Mend: "Print the text that is hashed and compare it with the request, byte by byte: one of its four values is another one than is sent, or was changed on the way. " + formula,
	},
}

func saySigned(value int64) string {
	if value == 6 {
		return "cipherText"
	}
	return sayHeader(value)
}

// readDigest reads x-signature, and names the encoding where it is not plain hex.
func readDigest(s string) (digest []byte, code string) {
	if b, err := hex.DecodeString(s); err == nil {
		if len(b) == 32 {
			return b, ""
		}
		if len(b) >= 16 && len(b) <= 64 {
			return b, "" // another hash
		}
		return nil, ""
	}
	bare := strings.ToLower(strings.Trim(s, `"' `))
	for _, prefix := range []string{"0x", "sha256=", "sha-256=", "sha256:", "hmac-sha256="} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	bare = strings.NewReplacer("-", "", ":", "", " ", "").Replace(bare)
	if b, err := hex.DecodeString(bare); err == nil && len(b) == 32 {
		return b, "signature-decorated"
	}
	std := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(std)
	if err != nil {
		return nil, ""
	}
	if inner, err := hex.DecodeString(string(b)); err == nil && len(inner) == 32 {
		return inner, "signature-base64"
	}
	if len(b) == 32 || len(b) == 20 || len(b) == 64 {
		return b, "signature-base64"
	}
	return nil, ""
}

// profile returns what is known of the agent's profile. The record's reason tells
// it too, and better than credentials, which may be old.
func (x *exam) profile() rollcall.SignatureProfile {
	if x.know.Profile != "" {
		return x.know.Profile
	}
	if c, found := x.checked(stepSignature); found && !c.Passed {
		for _, p := range []rollcall.SignatureProfile{rollcall.SignatureHMAC, rollcall.SignaturePlain} {
			if strings.HasSuffix(c.Reason, "profile "+string(p)) {
				return p
			}
		}
	}
	for _, a := range x.know.Agents {
		if a.Profile != "" && a.isOf(x.agentID) {
			return a.Profile
		}
	}
	return ""
}

// The step signature.
func (x *exam) signatureStep() {
	c, checked := x.checked(stepSignature)
	digest, _ := readDigest(x.signature)
	switch {
	case checked && c.Passed:
		x.found(stepSignature, Right, "the server has found it right")
	case x.signature == "" || digest == nil:
		x.found(stepSignature, Unknown, "there is none that can be read")
	case !x.hasCipherText && !x.req.HasBody:
		x.found(stepSignature, Unknown, "it signs cipherText, and the capture has no body")
	case x.fits(rollcall.SignaturePlain, nil):
		x.plainFits()
	case x.hmacFits():
	default:
		x.searchSignature(digest)
	}
}

func (x *exam) fits(profile rollcall.SignatureProfile, key *wire.APIKey) bool {
	h := wire.Header{AgentID: x.agentID, Timestamp: x.timestamp, Nonce: x.nonce, Signature: x.signature}
	return h.VerifySignature(profile, key, x.cipherText)
}

func (x *exam) plainFits() {
	if x.profile() == rollcall.SignatureHMAC {
		x.fault("signature-plain-on-hmac", 0, "")
		return
	}
	x.found(stepSignature, Right, "SHA-256 of x-agentid|x-timestamp|x-nonce|cipherText")
}

func (x *exam) hmacFits() bool {
	for _, k := range x.keys {
		if !k.right() || k.good == nil || !x.fits(rollcall.SignatureHMAC, k.good) {
			continue
		}
		switch x.profile() {
		case rollcall.SignaturePlain:
			x.fault("signature-hmac-on-plain", 0, "")
		case rollcall.SignatureHMAC:
			x.found(stepSignature, Right, "HMAC-SHA-256 under the API key")
		default:
			x.found(stepSignature, Right, "HMAC-SHA-256 under the API key, which is right if the agent's profile is hmac (--profile)")
		}
		return true
	}
	return false
}
