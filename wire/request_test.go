package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
)

// A decoder is what every request is.
type decoder interface{ Decode(plaintext []byte) error }

type requestRow struct {
	text string
	ok   bool
}

// checkRows decodes each row into a new request. No error may show the text:
// each faulty row that has a place for it holds the marker.
func checkRows(t *testing.T, fresh func() decoder, rows []requestRow) {
	t.Helper()
	for _, row := range rows {
		err := fresh().Decode([]byte(row.text))
		switch {
		case row.ok && err != nil:
			t.Errorf("%s: %v", row.text, err)
		case !row.ok && !errors.Is(err, rollcall.ErrParameters):
			t.Errorf("%s: got %v, want ErrParameters", row.text, err)
		case err != nil && strings.Contains(err.Error(), "maRKer"):
			t.Errorf("%s: the error shows the text: %v", row.text, err)
		}
	}
}

// usernames has the edges of spec 6.1.
var usernames = map[string]bool{
	"":                                    false,
	"a":                                   true,
	"Z9":                                  true,
	"007":                                 true,
	strings.Repeat("x", 25):               true,
	strings.Repeat("x", 26):               false,
	strings.Repeat("x", 1000):             false,
	"maRKer ":                             false,
	" maRKer":                             false,
	"maRKer 1":                            false,
	"maRKer_1":                            false,
	"maRKer-1":                            false,
	"maRKer.1":                            false,
	`maRKer\u0000`:                        false,
	`maRKer\n`:                            false,
	"maRKer\u0661":                        false, // Arabic-Indic 1
	"maRKer\u06f1":                        false, // Persian 1
	"maRKer\uff11":                        false, // fullwidth 1
	"\u0665":                              false,
	"maRKeré":                             false,
	"mаRKer":                              false, // a Cyrillic а
	"\u212a":                              false, // the Kelvin sign, which folds to k
	"ſ":                                   false, // which folds to s
	"maRKer\u200b":                        false,
	strings.Repeat("é", 12):               false,
	`\u0061`:                              true,
	`\u0061` + strings.Repeat("x", 24):    true,
	`\u0061` + strings.Repeat("\x78", 25): false,
}

func TestUsername(t *testing.T) {
	for name, ok := range usernames {
		rows := []requestRow{{`{"username":"` + name + `"}`, ok}}
		checkRows(t, func() decoder { return &MemberRequest{} }, rows)
		checkRows(t, func() decoder { return &MemberCreateRequest{} }, rows)
		rows[0].text = `{"deviceType":0,"ipaddress":"1.2.3.4","lang":"en","gameCode":"G","username":"` + name + `"}`
		checkRows(t, func() decoder { return &OpenGameRequest{} }, rows)
	}
}

func TestMemberRequest(t *testing.T) {
	checkRows(t, func() decoder { return &MemberRequest{} }, []requestRow{
		{`{"username":"player001"}`, true},
		{`{"siteId":"other members are ignored","username":"player001","x":[{}]}`, true},
		{`{}`, false},
		{`{"userName":"maRKer"}`, false},
		{`{"username":null}`, false},
		{`{"username":1}`, false},
		{`{"username":["maRKer"]}`, false},
		{`{"username":"maRKer","username":"maRKer"}`, false},
		{`{"username":"maRKer"}x`, false},
		{`["maRKer"]`, false},
		{``, false},
	})
	var r MemberRequest
	if err := r.Decode([]byte(`{"username":"Player001"}`)); err != nil || r.Subject() != "Player001" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestMemberCreateRequest(t *testing.T) {
	checkRows(t, func() decoder { return &MemberCreateRequest{} }, []requestRow{
		{`{"username":"p"}`, true},
		{`{"username":"p","siteId":""}`, true},
		{`{"username":"p","siteId":"A-z_0"}`, true},
		{`{"username":"p","siteId":"` + strings.Repeat("s", 32) + `"}`, true},
		{`{"username":"p","siteId":"` + strings.Repeat("s", 33) + `"}`, false},
		{`{"username":"p","siteId":"maRKer.1"}`, false},
		{`{"username":"p","siteId":"maRKer 1"}`, false},
		{`{"username":"p","siteId":"maRKer\u0661"}`, false},
		{`{"username":"p","siteId":1}`, false},
		{`{"username":"p","siteId":null}`, false},
		{`{"siteId":"maRKer"}`, false},
	})
	var r MemberCreateRequest
	err := r.Decode([]byte(`{"siteId":"s","username":"p"}`))
	if want := (MemberCreateRequest{Username: "p", SiteID: "s"}); err != nil || r != want || r.Subject() != "p" {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
}

func TestOnlineRequest(t *testing.T) {
	checkRows(t, func() decoder { return &OnlineRequest{} }, []requestRow{
		{`{}`, true},
		{` { } `, true},
		{`{"x":1}`, true},
		{``, false},
		{`[]`, false},
		{`null`, false},
		{`{"x":1,"x":1}`, false},
	})
	if got := (&OnlineRequest{}).Subject(); got != "" {
		t.Errorf("Subject: got %q", got)
	}
}

func TestAuthRequest(t *testing.T) {
	checkRows(t, func() decoder { return &AuthRequest{} }, []requestRow{
		{`{"agentId":"a","secret":"s"}`, true},
		{`{"secret":"\/+=","agentId":"a","x":null}`, true},
		{`{"agentId":"a"}`, false},
		{`{"secret":"maRKer"}`, false},
		{`{"agentId":"a","secret":1}`, false},
		{`{"agentId":1,"secret":"maRKer"}`, false},
		{`{"agentId":"a","secret":null}`, false},
		{`{"agentId":"a","secret":"maRKer","secret":"maRKer"}`, false},
		{`{"agentId":"a","Secret":"maRKer"}`, false},
	})
	var r AuthRequest
	err := r.Decode([]byte(`{"agentId":"a","secret":"s\/t"}`))
	if want := (AuthRequest{AgentID: "a", Secret: "s/t"}); err != nil || r != want {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
}

func TestRequestBody(t *testing.T) {
	checkRows(t, func() decoder { return &Request{} }, []requestRow{
		{`{"cipherText":"maRKer"}`, true},
		{`{"cipherText":""}`, true}, // no parameter's fault, but one that does not open
		{`{"username":"x","cipherText":"maRKer","z":[1]}`, true},
		{`{}`, false},
		{`{"ciphertext":"maRKer"}`, false},
		{`{"cipherText":null}`, false},
		{`{"cipherText":{"maRKer":1}}`, false},
		{`{"cipherText":"maRKer","cipherText":"maRKer"}`, false},
		{`"maRKer"`, false},
		{``, false},
	})
	var r Request
	if err := r.Decode([]byte(`{"cipherText":"a\/b+c=="}`)); err != nil || r.CipherText != "a/b+c==" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// openGame returns the text of a good request with one member replaced, or
// left out where value is "".
func openGame(name, value string) string {
	members := []string{
		"deviceType", `1`, "ipaddress", `"127.0.0.1"`, "lang", `"en"`, "gameCode", `"VP_230001_1"`,
		"launchType", `2`, "lobbyUrl", `"https://lobby.example/"`, "username", `"player001"`, "siteId", `"s"`,
	}
	var parts []string
	for i := 0; i < len(members); i += 2 {
		v := members[i+1]
		if members[i] == name {
			v = value
		}
		if v != "" {
			parts = append(parts, `"`+members[i]+`":`+v)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestOpenGameRequest(t *testing.T) {
	var r OpenGameRequest
	err := r.Decode([]byte(openGame("", "")))
	want := OpenGameRequest{
		DeviceType: 1, IPAddress: "127.0.0.1", Lang: "en", GameCode: "VP_230001_1", LaunchType: 2,
		LobbyURL: "https://lobby.example/", Username: "player001", SiteID: "s",
	}
	if err != nil || r != want || r.Subject() != "player001" {
		t.Fatalf("got %+v, %v; want %+v", r, err, want)
	}
	members := []struct {
		name        string
		good, wrong []string
	}{
		{"deviceType", []string{"0", "1", "-0"}, []string{"", "2", "-1", "1.0", `"1"`, "null", "true"}},
		{
			"ipaddress",
			[]string{`"8.8.8.8"`, `"::1"`, `"2001:db8::1"`, `"2001:DB8:0:0:0:0:0:1"`, `"::ffff:1.2.3.4"`},
			[]string{
				"", `""`, `"maRKer"`, `"1.2.3"`, `"1.2.3.256"`, `"01.2.3.4"`, `"1.2.3.4 "`, `"1.2.3.4/32"`, `"1.2.3.4:80"`,
				`"[::1]"`, `"fe80::1%eth0"`, `"fe80::1%\"maRKer"`, `":::1"`, `"0x7f.1"`, `"2130706433"`, `1`, "null",
			},
		},
		{
			"lang",
			[]string{`"en"`, `"zh-Hant_TW"`, `"` + strings.Repeat("l", 16) + `"`},
			[]string{"", `""`, `"` + strings.Repeat("l", 17) + `"`, `"e n"`, `"en.US"`, `"é"`, `"e\"n"`, "1", "null"},
		},
		{
			"gameCode",
			[]string{`"G"`, `"a.b-c_D"`, `"` + strings.Repeat("g", 64) + `"`},
			[]string{"", `""`, `"` + strings.Repeat("g", 65) + `"`, `"maRKer 1"`, `"maRKer\/1"`, `"g\u0661"`, "1", "null"},
		},
		{"launchType", []string{"", "0", "1", "2"}, []string{"3", "-1", "0.5", `"1"`, "null", "9223372036854775807"}},
		{
			"lobbyUrl",
			[]string{"", `""`, `"https:\/\/lobby.example\/a?b=c#d"`, `"HTTPS://lobby.example"`, `"https://[::1]:8443/"`},
			[]string{
				`"http://maRKer.example/"`, `"javascript:alert(1)"`, `"//maRKer.example/"`, `"https:"`, `"https://"`,
				`"https:///maRKer"`, `"https://:443/"`, `"https:maRKer"`, `"lobby.example"`, `"https://a\u0000b/"`,
				`" https://lobby.example/"`, `"https://lobby.example:port/"`, `"https://ma%ZZ/"`, "1", "null",
			},
		},
		{"username", []string{`"p"`}, []string{"", `""`, `"maRKer 1"`, "1", "null"}},
		{"siteId", []string{"", `""`, `"A-z_0"`}, []string{`"maRKer.1"`, `"` + strings.Repeat("s", 33) + `"`, "1", "null"}},
	}
	for _, m := range members {
		var rows []requestRow
		for _, v := range m.good {
			rows = append(rows, requestRow{openGame(m.name, v), true})
		}
		for _, v := range m.wrong {
			rows = append(rows, requestRow{openGame(m.name, v), false})
		}
		checkRows(t, func() decoder { return &OpenGameRequest{} }, rows)
	}
}

// TestOpenGameWithoutMember: only a demo needs no member (spec 7.2).
func TestOpenGameWithoutMember(t *testing.T) {
	const start = `{"deviceType":0,"ipaddress":"::1","lang":"en","gameCode":"G"`
	checkRows(t, func() decoder { return &OpenGameRequest{} }, []requestRow{
		{start + `,"launchType":1}`, true},
		{start + `,"launchType":1,"username":""}`, true},
		{start + `,"launchType":1,"username":"p"}`, true},
		{start + `,"launchType":1,"username":"maRKer 1"}`, false},
		{start + `,"launchType":1,"username":null}`, false},
		{start + `,"launchType":0}`, false},
		{start + `,"launchType":2}`, false},
		{start + `}`, false},
		{start + `,"username":"p"}`, true}, // launchType 0 where absent
	})
}
