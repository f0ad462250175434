package main

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// A plaintext is one of a check of player001's sessions, and the code that
// answers it once it is opened: 0 stands for "not refused", which is 8 where there
// is no such member.
type plaintext struct {
	ID    string `json:"id"`
	Class string `json:"class"`
	Why   string `json:"why"`
	// Plaintext is the text; where it is no UTF-8, Base64 has it instead.
	Plaintext string `json:"plaintext,omitempty"`
	Base64    string `json:"base64,omitempty"`
	Code      int    `json:"code"`
}

const code11 = 11

func plaintextFile() (any, error) {
	var all []plaintext
	for _, r := range goodPlaintexts() {
		all = append(all, newPlaintext(r, 0))
	}
	for _, r := range wrongPlaintexts() {
		all = append(all, newPlaintext(r, code11))
	}
	return all, nil
}

func newPlaintext(row [4]string, code int) plaintext {
	p := plaintext{ID: row[0], Class: row[1], Why: row[2], Plaintext: row[3], Code: code}
	if !utf8.ValidString(p.Plaintext) {
		p.Plaintext, p.Base64 = "", base64.StdEncoding.EncodeToString([]byte(row[3]))
	}
	return p
}

const player = `{"username":"player001"}`

// nested is an object whose member x holds arrays, depth deep in all.
func nested(depth int) string {
	return `{"username":"player001","x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// goodPlaintexts are id, class, why and text.
func goodPlaintexts() [][4]string {
	return [][4]string{
		{"right", "right", "as it should be", player},
		{"white-space", "right", "white space wherever JSON allows it", " {\t\"username\" :\r\n \"player001\" } "},
		{"more-members", "right", "members that nobody asked for, behind", `{"username":"player001","x":1,"y":[{"z":null}]}`},
		{"more-members-in-front", "right", "members that nobody asked for, in front", `{"x":1.5e3,"username":"player001"}`},
		{"escape", "right", "a letter of the name's key written as an escape", `{"user\u006eame":"player001"}`},
		{"other-escape", "right", "a surrogate pair elsewhere", `{"username":"player001","x":"\ud83d\ude00"}`},
		{"depth-32", "right", "nested 32 deep", nested(32)},
	}
}

func wrongPlaintexts() [][4]string {
	return [][4]string{
		{"not-json", "json", "no JSON", "player001"},
		{"a-form", "json", "a form instead of JSON", "username=player001"},
		{"single-quotes", "json", "single quotes", `{'username':'player001'}`},
		{"comment", "json", "a comment", `{"username":"player001"/**/}`},
		{"trailing-comma", "json", "a comma before the end", `{"username":"player001",}`},
		{"cut-off", "json", "cut off", `{"username":"player001"`},
		{"trailing-text", "json", "text behind the object", player + "x"},
		{"trailing-object", "json", "a second object behind", player + player},
		{"trailing-nul", "json", "NUL behind the object", player + "\x00"},
		{"control-character", "json", "a raw control character in a string", "{\"username\":\"player001\",\"x\":\"\x01\"}"},
		{"wrong-number", "json", "a number outside JSON's grammar", `{"username":"player001","x":01}`},
		{"utf8", "encoding", "invalid UTF-8", "{\"username\":\"player001\",\"x\":\"\xff\"}"},
		{"bom", "encoding", "a byte order mark", "\ufeff" + player},
		{"utf16", "encoding", "UTF-16", utf16Of(player)},
		{"lone-surrogate", "encoding", "a surrogate without its partner", `{"username":"player001","x":"\ud800"}`},
		{"duplicate", "duplicate", "username twice", `{"username":"player001","username":"player001"}`},
		{"duplicate-escaped", "duplicate", "username twice, once with an escape", `{"username":"player001","user\u006eame":"player001"}`},
		{"duplicate-elsewhere", "duplicate", "another member twice", `{"username":"player001","x":1,"x":1}`},
		{"duplicate-deeper", "duplicate", "a member of a member twice", `{"username":"player001","x":{"y":1,"y":1}}`},
		{"depth-33", "depth", "nested 33 deep", nested(33)},
		{"array", "type", "an array", `["player001"]`},
		{"string", "type", "a string", `"player001"`},
		{"null", "type", "null", `null`},
		{"username-number", "type", "username a number", `{"username":1}`},
		{"username-null", "type", "username null", `{"username":null}`},
		{"username-object", "type", "username an object", `{"username":{}}`},
		{"username-array", "type", "username an array", `{"username":["player001"]}`},
		{"empty-object", "missing", "no username", `{}`},
		{"key-case", "missing", "Username with a capital", `{"Username":"player001"}`},
		{"username-empty", "form", "username of 0 characters", `{"username":""}`},
		{"username-26", "form", "username of 26 characters", `{"username":"` + strings.Repeat("a", 26) + `"}`},
		{"username-space", "form", "a space within", `{"username":"player 001"}`},
		{"username-space-behind", "form", "a space behind", `{"username":"player001 "}`},
		{"username-space-in-front", "form", "a space in front", `{"username":" player001"}`},
		{"username-underscore", "form", "an underscore", `{"username":"player_001"}`},
		{"username-dash", "form", "a dash", `{"username":"player-001"}`},
		{"username-dot", "form", "a dot", `{"username":"player.001"}`},
		{"username-at", "form", "an address", `{"username":"player@001"}`},
		{"username-nul", "form", "an escaped NUL behind", `{"username":"player001\u0000"}`},
		{"username-newline", "form", "an escaped line feed behind", `{"username":"player001\n"}`},
		{"username-digits", "form", "digits that are not ASCII", `{"username":"player٠٠١"}`},
		{"username-full-width", "form", "full-width letters", `{"username":"ｐlayer001"}`},
		{"username-accent", "form", "a letter with an accent", `{"username":"playér001"}`},
		{"username-wildcard", "form", "a wildcard", `{"username":"player%"}`},
		{"username-quote", "form", "a quote, as in an SQL injection", `{"username":"player001'--"}`},
	}
}

// utf16Of returns ASCII text as UTF-16, little-endian, without a mark.
func utf16Of(text string) string {
	var out strings.Builder
	for i := range len(text) {
		out.WriteByte(text[i])
		out.WriteByte(0)
	}
	return out.String()
}
