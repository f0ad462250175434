package main

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // a wrong rule that is to be refused
	"crypto/sha1" //nolint:gosec // a wrong rule that is to be refused
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// signed are the four values that a signature binds (spec 3.1), and it.
type signed struct {
	Comment    string `json:"comment,omitempty"`
	AgentID    string `json:"agentId"`
	Timestamp  string `json:"timestamp"`
	Nonce      string `json:"nonce"`
	CipherText string `json:"cipherText"`
	Signature  string `json:"signature"`
}

func (s signed) text() string {
	return strings.Join([]string{s.AgentID, s.Timestamp, s.Nonce, s.CipherText}, "|")
}

// printed is the vendor's example of the token request, as its page prints it.
var printed = signed{
	Comment:    "published example of the token request; the signature is the one printed in the seed document",
	AgentID:    "integratorNBTest04",
	Timestamp:  "1769745532582",
	Nonce:      "4ff08bc2a45c6b38068dbcd24296a25b",
	CipherText: "G0ZMDELeJwx+7JcIfIFOLJjkSzANPu6krGM2uw==bDUB6MvLbggJM4Df28x/41LlgIPDqPBBAylkqTdB0I78haWOdi6jV8JXAi0iL8JHq/cCPlj39Apt/I9hDNII3SBb0IZMg+qGN3pH3zExydFZSLXwErOa/6KzGMHukRkqHjdFzQ==",
	Signature:  "904e97bee2589b93e9747eed0346c68b23d8ff8b568dabaf4b94a5e89093df67",
}

// errPrinted: the rule is wrong, since it does not give what the vendor prints.
var errPrinted = errors.New("the vendor's printed signature does not come out")

func signatureFile() (any, error) {
	if sha256Hex(printed.text()) != printed.Signature {
		return nil, errPrinted
	}
	seals, err := seals()
	if err != nil {
		return nil, err
	}
	all := []signed{printed}
	for i, seal := range seals {
		s := unsigned(i, seal)
		s.Signature = sha256Hex(s.text())
		all = append(all, s)
	}
	return all, nil
}

// unsigned is a request for a seal: agents take turns, 977 ms lie between two.
func unsigned(i int, s seal) signed {
	const start, step = 1769745532582, 977
	return signed{
		AgentID: fmt.Sprintf("integratorNBTest%02d", i%7), Timestamp: fmt.Sprint(start + step*i),
		Nonce: nonces[i], CipherText: s.CipherText,
	}
}

// A keyed signature is of the hmac profile (spec 3.4), under the agent's API key.
type keyed struct {
	APIKey string `json:"apiKey"`
	signed
}

func hmacFile() (any, error) {
	seals, err := seals()
	if err != nil {
		return nil, err
	}
	var all []keyed
	for i, seal := range seals {
		s := unsigned(i, seal)
		s.Signature = hmacHex(seal.APIKey, s.text())
		all = append(all, keyed{seal.APIKey, s})
	}
	return all, nil
}

// A misSigned request has a signature by a wrong rule, or one of another request.
type misSigned struct {
	Class   string `json:"class"`
	Why     string `json:"why"`
	Profile string `json:"profile"`
	keyed

	Code int `json:"code"`
}

const code83 = 83

// example is the seal of docs/protocol.md's example.
const example = 7

func signatureRefusedFile() (any, error) {
	seals, err := seals()
	if err != nil {
		return nil, err
	}
	s, key := unsigned(example, seals[example]), seals[example].APIKey
	var all []misSigned
	for _, row := range wrongSignatures(s, key, seals[example].Plaintext) {
		wrong := s
		wrong.Signature = row[3]
		all = append(all, misSigned{row[0], row[1], row[2], keyed{key, wrong}, code83})
	}
	return all, nil
}

// wrongSignatures are class, why, profile and signature.
func wrongSignatures(s signed, key, plaintext string) [][4]string {
	const plain, hmacProfile = "plain", "hmac"
	body := `{"cipherText":"` + s.CipherText + `"}`
	right := sha256Hex(s.text())
	with := func(change func(*signed)) string {
		other := s
		change(&other)
		return sha256Hex(other.text())
	}
	sum := sha256.Sum256([]byte(s.text()))
	return [][4]string{
		{"rule", "the older documentation's: no separators, the whole body", plain, sha256Hex(s.AgentID + s.Timestamp + s.Nonce + body)},
		{"rule", "no separators", plain, sha256Hex(s.AgentID + s.Timestamp + s.Nonce + s.CipherText)},
		{"rule", "the whole body instead of cipherText", plain, with(func(s *signed) { s.CipherText = body })},
		{"rule", "the plaintext instead of cipherText", plain, with(func(s *signed) { s.CipherText = plaintext })},
		{"rule", "cipherText in front", plain, sha256Hex(strings.Join([]string{s.CipherText, s.AgentID, s.Timestamp, s.Nonce}, "|"))},
		{"rule", "nonce before timestamp", plain, sha256Hex(strings.Join([]string{s.AgentID, s.Nonce, s.Timestamp, s.CipherText}, "|"))},
		{"rule", "a line feed behind", plain, sha256Hex(s.text() + "\n")},
		{"rule", "the API key in front", plain, sha256Hex(key + "|" + s.text())},
		{"rule", "HMAC under the API key, of an agent with the plain profile", plain, hmacHex(key, s.text())},
		{"rule", "plain, of an agent with the hmac profile", hmacProfile, right},
		{"rule", "HMAC under the 64 digits of the key instead of its 32 bytes", hmacProfile, hmacOf([]byte(key), s.text())},
		{"binding", "made for another agent", plain, with(func(s *signed) { s.AgentID = "integratorNBTest01" })},
		{"binding", "made for another timestamp", plain, with(func(s *signed) { s.Timestamp = "1769745539422" })},
		{"binding", "made for another nonce", plain, with(func(s *signed) { s.Nonce = nonces[0] })},
		{"binding", "made for another cipherText", plain, with(func(s *signed) { s.CipherText = strings.Replace(s.CipherText, "x6", "x7", 1) })},
		{"binding", "one bit changed", plain, right[:63] + flipDigit(right[63])},
		{"hash", "SHA-1", plain, hexOf(sha1.Sum([]byte(s.text())))}, //nolint:gosec // to be refused
		{"hash", "MD5, twice", plain, md5Hex(s.text()) + md5Hex("twice")},
		{"hash", "SHA-512, cut to 64 digits", plain, fmt.Sprintf("%x", sha512.Sum512([]byte(s.text())))[:64]},
		{"form", "base64 instead of hex", plain, base64.StdEncoding.EncodeToString(sum[:])},
		{"form", "62 digits", plain, right[:62]},
		{"form", "66 digits", plain, right + "00"},
		{"form", "no hex digit", plain, "g" + right[1:]},
		{"form", "0x in front", plain, "0x" + right},
		{"form", "empty", plain, ""},
	}
}

func flipDigit(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

func hexOf(sum [sha1.Size]byte) string { return hex.EncodeToString(sum[:]) }

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // to be refused
	return hex.EncodeToString(sum[:])
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hmacHex(apiKey, text string) string {
	key, err := hex.DecodeString(apiKey)
	if err != nil {
		panic(err) // it stands in inputs.go
	}
	return hmacOf(key, text)
}

func hmacOf(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
