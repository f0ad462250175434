package explain

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/rollcall-server/rollcall/wire"
)

// signed returns a change that signs what text makes.
func signed(text func(s *sender, c string) string) func(*sender) {
	return func(s *sender) { s.sign = func(s *sender, c string) string { return sha(text(s, c)) } }
}

func sealed(seal func(key []byte, plaintext string) string) func(*sender) {
	return func(s *sender) { s.seal = seal }
}

func headed(change func(h http.Header)) func(*sender) { return func(s *sender) { s.change = change } }

func plain(text string) func(*sender) { return func(s *sender) { s.plaintext = text } }

func withKey(key []byte) func(*sender) { return func(s *sender) { s.key = key } }

func bodied(body func(c string) string) func(*sender) { return func(s *sender) { s.body = body } }

func pad(b []byte) []byte {
	n := 16 - len(b)%16
	return append(b, bytes.Repeat([]byte{byte(n)}, n)...)
}

func cbc(key []byte, plaintext string) (iv, out []byte) {
	iv, out = random(16), pad([]byte(plaintext))
	cipher.NewCBCEncrypter(must(aes.NewCipher(key)), iv).CryptBlocks(out, out)
	return iv, out
}

func folded(s string) string {
	out := ""
	for ; len(s) > 76; s = s[76:] {
		out += s[:76] + "\r\n"
	}
	return out + s
}

func wide(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

// urlSafe seals until the text has a character that the two alphabets differ in.
func urlSafe(key []byte, plaintext string) string {
	for {
		if s := sealRight(key, plaintext); strings.Contains(s, "+") && strings.Contains(s, "/") {
			return strings.NewReplacer("+", "-", "/", "_").Replace(s)
		}
	}
}

func withPlus(key []byte, plaintext string) string {
	for {
		if s := sealRight(key, plaintext); strings.Contains(s, "+") && strings.Contains(s, "/") {
			return s
		}
	}
}

func body(c string) string { return `{"cipherText":"` + c + `"}` }

// faults makes each fault by doing it, and says what has to be found: exactly that.
var faults = []struct {
	name string
	make func(*sender)
	want string
}{
	// The list of the issue.
	{"old documentation", signed(func(s *sender, c string) string { return s.agentID + s.stamp + s.nonce + body(c) }), "signature-old-documentation"},
	{"old documentation, spaced JSON", func(s *sender) {
		s.body = func(c string) string { return `{"cipherText": "` + c + `"}` }
		s.sign = func(s *sender, c string) string { return sha(s.agentID + s.stamp + s.nonce + s.body(c)) }
	}, "signature-old-documentation"},
	{"JSON body signed", signed(func(s *sender, c string) string { return s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + body(c) }), "signature-over-body"},
	{"JSON body signed, PHP", signed(func(s *sender, c string) string {
		return s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + body(strings.ReplaceAll(c, "/", `\/`))
	}), "signature-over-body"},
	{"seconds", func(s *sender) { s.stamp = s.stamp[:10] }, "timestamp-seconds"},
	{"7 h 02 min behind", func(s *sender) { s.stamp = strconv.FormatInt(sentAt.Add(-7*time.Hour-2*time.Minute).UnixMilli(), 10) }, "clock-time-zone"},
	{"5 h 30 min ahead", func(s *sender) {
		s.stamp = strconv.FormatInt(sentAt.Add(5*time.Hour+30*time.Minute).UnixMilli(), 10)
		s.issued = sentAt
	}, "clock-time-zone"},
	{"20 min behind", func(s *sender) { s.stamp = strconv.FormatInt(sentAt.Add(-20*time.Minute).UnixMilli(), 10) }, "clock-behind"},
	{"2 d ahead", func(s *sender) { s.stamp = strconv.FormatInt(sentAt.Add(48*time.Hour).UnixMilli(), 10) }, "clock-ahead"},
	{"tag behind", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return b64(iv) + b64(sealed) + b64(tag)
	}), "tag-behind"},
	{"tag behind, Java", func(s *sender) {
		s.plaintext = `{"username":"player01"}`
		s.seal = func(k []byte, p string) string {
			iv, tag, sealed := parts(k, 12, 16, p, "")
			return b64(iv) + b64(append(sealed, tag...))
		}
	}, "tag-behind one-base64"},
	{"one base64", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return b64(slices.Concat(iv, tag, sealed))
	}), "one-base64"},
	{"hex", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return hex.EncodeToString(slices.Concat(iv, tag, sealed))
	}), "hex"},
	{"hex, tag behind", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return strings.ToUpper(hex.EncodeToString(slices.Concat(iv, sealed, tag)))
	}), "hex tag-behind"},
	{"URL-safe", sealed(urlSafe), "url-safe-base64"},
	{"URL-safe, unpadded", sealed(func(k []byte, p string) string { return strings.ReplaceAll(urlSafe(k, p), "=", "") }), "url-safe-base64 base64-unpadded"},
	{"key as 64 ASCII bytes", withKey([]byte(ownKey)[:32]), "key-ascii"}, // what openssl makes of 64 bytes
	{"key's last half as text", withKey([]byte(ownKey)[32:]), "key-ascii"},
	{"key cut to 32 digits", withKey(must(hex.DecodeString(ownKey[:32]))), "key-half"},
	{"key hashed", func(s *sender) { s.key, _ = hex.DecodeString(sha(ownKey)) }, "key-hashed"},
	{"Secret key", withKey([]byte(ownSecret)[:32]), "key-secret"},
	{"Secret key hashed", func(s *sender) { s.key, _ = hex.DecodeString(sha(ownSecret)) }, "key-secret"},
	{"CBC", sealed(func(k []byte, p string) string {
		iv, out := cbc(k, p)
		return b64(append(iv, out...))
	}), "cbc"},
	{"CBC, iv apart", sealed(func(k []byte, p string) string {
		iv, out := cbc(k, p)
		return b64(iv) + b64(out)
	}), "cbc"},
	{"CBC's padding before GCM", sealed(func(k []byte, p string) string { return sealRight(k, string(pad([]byte(p)))) }), "plaintext-padded"},
	{"iv of 16 bytes", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 16, 16, p, "")
		return b64(iv) + b64(tag) + b64(sealed)
	}), "iv-16"},
	{"BOM in the plaintext", plain("\ufeff" + member), "plaintext-bom"},
	{"BOM in the body", bodied(func(c string) string { return "\ufeff" + body(c) }), "body-bom"},
	{"double base64", sealed(func(k []byte, p string) string { return b64([]byte(sealRight(k, p))) }), "double-base64"},
	{"double base64, PHP", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return b64(iv) + b64(tag) + b64([]byte(b64(sealed)))
	}), "double-base64"},
	{"JSON twice in the plaintext", plain(string(must(json.Marshal(member)))), "plaintext-double-json"},
	{"JSON twice in the body", bodied(func(c string) string { return string(must(json.Marshal(body(c)))) }), "body-double-json"},
	{"header lower-cased", headed(func(h http.Header) { h.Set("x-agentid", strings.ToLower(ownID)) }), "agent-case header-case-changed"},
	{"header trimmed", signed(func(s *sender, c string) string { return s.agentID + " |" + s.stamp + "|" + s.nonce + "|" + c }), "signature-white-space"},
	{"cipherText with a line end signed", signed(func(s *sender, c string) string { return s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + c + "\n" }), "signature-white-space"},
	{"token with an issuer", func(s *sender) { s.tokenClaims["iss"] = "https://staging.example" }, "token-other-environment"},
	{"token without a key's name", func(s *sender) { delete(s.tokenHeader, "kid") }, "token-other-environment"},
	{"token for two hours", func(s *sender) { s.tokenLife = 2 * time.Hour }, "token-other-environment"},
	{"token for a second less than an hour", func(s *sender) { s.tokenLife = time.Hour - time.Second }, "token-other-environment"},
	{"token expired", func(s *sender) { s.issued = sentAt.Add(-63 * time.Minute) }, "token-expired"},
	{"token not yet", func(s *sender) { s.issued = sentAt.Add(10 * time.Minute) }, "token-not-yet"},
	{"agent mismatch", func(s *sender) { s.claimID = "other" }, "token-agent-mismatch"},
	{"username with a space", plain(`{"username":"player 001"}`), "username-space"},
	{"username padded", plain(`{"username":"player001 "}`), "username-space"},

	// Transport and body.
	{"GET", func(s *sender) { s.method = "GET" }, "method-not-post"},
	{"trailing slash", func(s *sender) { s.path += "/" }, "path-trailing-slash"},
	{"two slashes", func(s *sender) { s.path = "/" + s.path }, "path-trailing-slash"},
	{"member for members", func(s *sender) { s.path = "/v2/member/sessions/check" }, "path-unknown"},
	{"another path", func(s *sender) { s.path = "/v2/balance" }, "path-unknown"},
	{"path in capitals", func(s *sender) { s.path = "/v2/Members/Sessions/Check" }, "path-case"},
	{"path with a prefix", func(s *sender) { s.path = "/api" + s.path }, "path-prefix"},
	{"form's content type", headed(func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }), "content-type-form"},
	{"text/plain", headed(func(h http.Header) { h.Set("Content-Type", "text/plain") }), "content-type-wrong"},
	{"form in the body", bodied(func(c string) string { return "cipherText=" + url.QueryEscape(c) }), "body-form"},
	{"no JSON", bodied(func(c string) string { return `{'cipherText':"` + c + `"}` }), "body-not-json"},
	{"data behind the object", bodied(func(c string) string { return body(c) + "x" }), "body-not-json"},
	{"no cipherText", bodied(func(string) string { return `{"x":1}` }), "ciphertext-missing"},
	{"ciphertext", bodied(func(c string) string { return `{"ciphertext":"` + c + `"}` }), "ciphertext-renamed"},
	{"cipherText twice", bodied(func(c string) string { return `{"cipherText":"` + c + `","cipherText":"` + c + `"}` }), "body-duplicate-member"},
	{"parts as an object", bodied(func(c string) string { return `{"cipherText":{"iv":"` + c[:16] + `"}}` }), "ciphertext-not-string"},
	{"plaintext as the body", bodied(func(string) string { return member }), "body-is-plaintext"},

	{"compressed", headed(func(h http.Header) { h.Set("Content-Encoding", "gzip") }), "content-encoding"},
	{"no body", bodied(func(string) string { return "" }), "body-empty"},
	{"UTF-16", bodied(func(c string) string { return wide(body(c)) }), "body-utf16"},
	{"too large", bodied(func(c string) string { return body(c) + strings.Repeat(" ", maxBody) }), "body-too-large"},
	{"form by hand", bodied(func(c string) string { return "cipherText=" + strings.ReplaceAll(url.QueryEscape(c), "%3D", "=") }), "body-form"},

	// Headers.
	{"no nonce", headed(func(h http.Header) { h.Del("x-nonce") }), "header-missing"},
	{"agent's id twice", headed(func(h http.Header) { h.Add("x-agentid", ownID) }), "header-repeated"},
	{"x-agent-id", headed(func(h http.Header) { h.Set("x-agent-id", ownID); h.Del("x-agentid") }), "header-renamed"},
	{"agent's id quoted", func(s *sender) { s.agentID = `"` + ownID + `"` }, "agentid-malformed"},
	{"microseconds", func(s *sender) { s.stamp += "000" }, "timestamp-too-fine"},
	{"date text", func(s *sender) { s.stamp = sentAt.Format(time.RFC3339) }, "timestamp-malformed"},
	{"UUID", func(s *sender) { s.nonce = "0198c0de-0000-4000-8000-00000000000a" }, "nonce-uuid"},
	{"short nonce", func(s *sender) { s.nonce = "abc123" }, "nonce-length"},
	{"base64 nonce", func(s *sender) { s.nonce = "abcdefghijklmnopqrstuvwxyzab+/==" }, "nonce-malformed"},
	{"Basic", headed(func(h http.Header) { h.Set("Authorization", "Basic "+b64([]byte(ownID+":"+ownSecret))) }), "authorization-basic"},
	{"no Bearer", headed(func(h http.Header) { h.Set("Authorization", strings.TrimPrefix(h.Get("Authorization"), "Bearer ")) }), "authorization-no-bearer"},
	{"Bearer twice", headed(func(h http.Header) { h.Set("Authorization", "Bearer "+h.Get("Authorization")) }), "authorization-malformed"},
	{"API key as token", headed(func(h http.Header) { h.Set("Authorization", "Bearer "+ownKey) }), "token-malformed"},
	{"alg none", func(s *sender) { s.tokenHeader["alg"] = "none" }, "token-algorithm"},

	// Signature.
	{"plaintext signed", signed(func(s *sender, _ string) string { return s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + s.plaintext }), "signature-over-plaintext"},
	{"no separators", signed(func(s *sender, c string) string { return s.agentID + s.stamp + s.nonce + c }), "signature-no-separators"},
	{"commas", signed(func(s *sender, c string) string { return strings.Join([]string{s.agentID, s.stamp, s.nonce, c}, ",") }), "signature-other-separator"},
	{"other order", signed(func(s *sender, c string) string { return c + "|" + s.nonce + "|" + s.stamp + "|" + s.agentID }), "signature-other-order"},
	{"nonce not signed", signed(func(s *sender, c string) string { return s.agentID + "|" + s.stamp + "|" + c }), "signature-part-missing"},
	{"seconds signed", signed(func(s *sender, c string) string { return s.agentID + "|" + s.stamp[:10] + "|" + s.nonce + "|" + c }), "signature-timestamp-unit"},
	{"milliseconds signed, seconds sent", headed(func(h http.Header) { h.Set("x-timestamp", h.Get("x-timestamp")[:10]) }), "timestamp-seconds signature-timestamp-unit"},
	{"hyphens signed", signed(func(s *sender, c string) string {
		n := s.nonce
		return s.agentID + "|" + s.stamp + "|" + n[:8] + "-" + n[8:12] + "-" + n[12:16] + "-" + n[16:20] + "-" + n[20:] + "|" + c
	}), "signature-nonce-hyphens"},
	{"HMAC with the key's text", func(s *sender) {
		s.sign = func(s *sender, c string) string { return mac([]byte(ownKey), s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c) }
	}, "signature-hmac-key-text"},
	{"HMAC with the Secret key", func(s *sender) {
		s.sign = func(s *sender, c string) string {
			return mac([]byte(ownSecret), s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c)
		}
	}, "signature-hmac-secret"},
	{"key appended", signed(func(s *sender, c string) string {
		return s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + c + "|" + ownSecret
	}), "signature-key-appended"},
	{"hashed twice", func(s *sender) {
		s.sign = func(s *sender, c string) string { return sha(sha(s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + c)) }
	}, "signature-double-hash"},
	{"base64 of the digest", func(s *sender) {
		right := s.sign
		s.sign = func(s *sender, c string) string { return b64(must(hex.DecodeString(right(s, c)))) }
	}, "signature-base64"},
	{"0x", func(s *sender) {
		right := s.sign
		s.sign = func(s *sender, c string) string { return "0x" + right(s, c) }
	}, "signature-decorated"},
	{"0x inside base64", func(s *sender) {
		right := s.sign
		s.sign = func(s *sender, c string) string { return b64([]byte(right(s, c))) }
	}, "signature-base64"},
	{"MD5", func(s *sender) {
		s.sign = func(s *sender, c string) string {
			sum := md5.Sum([]byte(s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + c))
			return hex.EncodeToString(sum[:])
		}
	}, "signature-other-digest"},
	{"SHA-512", func(s *sender) {
		s.sign = func(s *sender, c string) string {
			sum := sha512.Sum512([]byte(s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + c))
			return hex.EncodeToString(sum[:])
		}
	}, "signature-other-digest"},
	{"signature cut", func(s *sender) { s.sign = func(*sender, string) string { return "abc" } }, "signature-malformed"},
	{"nonce upper-cased on the way", headed(func(h http.Header) { h.Set("x-nonce", strings.ToUpper(h.Get("x-nonce"))) }), "header-case-changed"},
	{"claims of another shape", func(s *sender) { s.tokenClaims["agentId"] = "" }, "token-claims"},
	{"other agent signed", signed(func(s *sender, c string) string { return "other|" + s.stamp + "|" + s.nonce + "|" + c }), "signature-other-agentid"},
	{"escaped text signed", func(s *sender) {
		s.seal = withPlus
		s.sign = func(s *sender, c string) string {
			return sha(s.agentID + "|" + s.stamp + "|" + s.nonce + "|" + strings.ReplaceAll(c, "/", `\/`))
		}
	}, "signature-over-part"},
	{"signature of something else", func(s *sender) { s.sign = func(*sender, string) string { return sha("something else") } }, "signature-unknown"},

	// cipherText.
	{"parts in another order", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return b64(tag) + b64(iv) + b64(sealed)
	}), "parts-order"},
	{"colons", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return b64(iv) + ":" + b64(tag) + ":" + b64(sealed)
	}), "parts-separated"},
	{"hex and points", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 16, 16, p, "")
		return hex.EncodeToString(iv) + "." + hex.EncodeToString(sealed) + "." + hex.EncodeToString(tag)
	}), "parts-separated tag-behind iv-16"},
	{"iv in hex", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "")
		return hex.EncodeToString(iv) + b64(tag) + b64(sealed)
	}), "iv-hex"},
	{"unpadded", sealed(func(k []byte, p string) string { return strings.ReplaceAll(sealRight(k, p), "=", "") }), "base64-unpadded"},
	{"line ends", func(s *sender) {
		s.plaintext = `{"username":"player001","more":"so that it takes a second line"}`
		s.seal = func(k []byte, p string) string { return folded(sealRight(k, p)) }
	}, "base64-newlines"},
	{"echo's line end", sealed(func(k []byte, p string) string { return sealRight(k, p) + "\n" }), "base64-newlines"},
	{"pluses lost", func(s *sender) {
		s.seal = withPlus
		s.body = func(c string) string { return body(strings.ReplaceAll(c, "+", " ")) }
	}, "signature-over-part plus-lost"},
	{"pluses lost, one in front", func(s *sender) {
		s.seal = func(k []byte, p string) string {
			for {
				if c := withPlus(k, p); c[0] == '+' {
					return c
				}
			}
		}
		s.body = func(c string) string { return body(strings.ReplaceAll(c, "+", " ")) }
	}, "signature-over-part plus-lost"},
	{"percent-encoded", sealed(func(k []byte, p string) string { return url.QueryEscape(sealRight(k, p)) }), "url-encoded"},
	{"escaped twice", sealed(func(k []byte, p string) string { return strings.ReplaceAll(withPlus(k, p), "/", `\/`) }), "slash-escaped"},
	{"quoted", sealed(func(k []byte, p string) string { return `"` + sealRight(k, p) + `"` }), "ciphertext-quoted"},
	{"no tag", sealed(func(k []byte, p string) string {
		iv, _, sealed := parts(k, 12, 16, p, "")
		return b64(iv) + b64(sealed)
	}), "tag-missing"},
	{"tag of 12 bytes", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 12, p, "")
		return b64(iv) + b64(tag) + b64(sealed)
	}), "tag-short"},
	{"additional data", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, ownID)
		return b64(iv) + b64(tag) + b64(sealed)
	}), "additional-data"},
	{"tag of something else", sealed(func(k []byte, p string) string {
		iv, tag, sealed := parts(k, 12, 16, p, "nobody guesses this")
		return b64(iv) + b64(tag) + b64(sealed)
	}), "tag-wrong"},
	{"ECB", sealed(func(k []byte, p string) string {
		out := pad([]byte(p))
		for i := 0; i < len(out); i += 16 {
			must(aes.NewCipher(k)).Encrypt(out[i:], out[i:])
		}
		return b64(out)
	}), "ecb"},
	{"CTR", sealed(func(k []byte, p string) string {
		iv, out := random(16), []byte(p)
		cipher.NewCTR(must(aes.NewCipher(k)), iv).XORKeyStream(out, out)
		return b64(append(iv, out...))
	}), "ctr"},
	{"Salted__", sealed(func(_ []byte, p string) string { return b64([]byte("Salted__12345678" + p + "12345678")) }), "passphrase key-unknown"},
	{"another agent's key", withKey(must(hex.DecodeString(otherKey))), "key-other-agent"},
	{"key as base64", withKey(must(base64.StdEncoding.DecodeString(ownKey))[:32]), "key-base64"},
	{"iv as it is", sealed(func(k []byte, p string) string {
		gcm := must(cipher.NewGCM(must(aes.NewCipher(k))))
		out := gcm.Seal(nil, []byte("abcdefghijkl"), []byte(p), nil)
		return "abcdefghijkl" + b64(out[len(p):]) + b64(out[:len(p)])
	}), "iv-not-encoded"},
	{"bits that are not zero", func(s *sender) {
		s.plaintext = `{"username":"player01"}` // 23 bytes: a = at the end, and two bits that are not used
		s.seal = func(k []byte, p string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			c := []byte(sealRight(k, p))
			at := len(c) - 2
			c[at] = alphabet[strings.IndexByte(alphabet, c[at])|1]
			return string(c)
		}
	}, "base64-not-canonical"},
	{"unknown key", withKey(random(32)), "key-unknown"},
	{"short", sealed(func([]byte, string) string { return "abc" }), "ciphertext-short"},
	{"16-byte iv, key as text, tag behind", func(s *sender) {
		s.key = []byte(ownKey)[:32]
		s.seal = func(k []byte, p string) string {
			iv, tag, sealed := parts(k, 16, 16, p, "")
			return b64(iv) + b64(sealed) + b64(tag)
		}
	}, "tag-behind iv-16 key-ascii"},

	// Plaintext.
	{"UTF-16", plain(wide(member)), "plaintext-utf16"},
	{"form", plain("username=player001"), "plaintext-form"},
	{"base64 inside", plain(base64.StdEncoding.EncodeToString([]byte(member))), "plaintext-base64"},
	{"no JSON inside", plain(`{username:"player001"}`), "plaintext-not-json"},
	{"comma at the end", plain(`{"username":"player001",}`), "plaintext-not-json"},
	{"sealed twice", func(s *sender) { s.plaintext = body(sealRight(s.key, member)) }, "plaintext-sealed-twice"},
	{"userName", plain(`{"userName":"player001"}`), "plaintext-member-renamed"},
	{"number for a text", plain(`{"username":123}`), "plaintext-member-type"},
	{"null", plain(`{"username":null}`), "plaintext-member-type"},
	{"nothing", plain(`{}`), "plaintext-member-missing"},
	{"twice", plain(`{"username":"a","username":"b"}`), "plaintext-duplicate-member"},
	{"percent-encoded inside", plain(url.QueryEscape(member)), "plaintext-form"},
	{"login's plaintext", plain(`{"agentId":"` + ownID + `","secret":"` + ownSecret + `"}`), "plaintext-wrong-endpoint"},
	{"long username", plain(`{"username":"abcdefghijklmnopqrstuvwxyz"}`), "username-length"},
	{"username with @", plain(`{"username":"player@001"}`), "username-form"},
	{"lang", func(s *sender) {
		s.path, s.plaintext = wire.PathOpenGame, `{"deviceType":0,"ipaddress":"::1","lang":"","gameCode":"VP_1","launchType":1}`
	}, "plaintext-field"},
	{"agentId inside differs", login(`{"agentId":"other","secret":"` + ownSecret + `"}`), "auth-agentid-differs"},
	{"API key as secret", login(`{"agentId":"` + ownID + `","secret":"` + ownKey + `"}`), "secret-is-api-key"},
	{"line end in the secret", login(`{"agentId":"` + ownID + `","secret":"` + ownSecret + `\n"}`), "secret-white-space"},
	{"wrong secret", login(`{"agentId":"` + ownID + `","secret":"nonsense"}`), "secret-wrong"},
}

func login(plaintext string) func(*sender) {
	return func(s *sender) { s.path, s.plaintext = wire.PathAuth, plaintext }
}
