package explain

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A right request has no finding, in every format, of every endpoint.
func TestSilentOnRightRequests(t *testing.T) {
	for path, plaintext := range map[string]string{
		wire.PathAuth:           `{"agentId":"` + ownID + `","secret":"` + ownSecret + `"}`,
		wire.PathSessionsCheck:  member,
		wire.PathSessionsLogout: `{ "username" : "p", "more": [1, {"x": null}] }`,
		wire.PathMembers:        `{"username":"player001","siteId":"s1"}`,
		wire.PathMembersOnline:  `{}`,
		wire.PathOpenGame:       `{"deviceType":0,"ipaddress":"::1","lang":"en","gameCode":"VP_1","launchType":1}`,
	} {
		for format := range formats {
			s := newSender()
			s.path, s.plaintext = path, plaintext
			m := s.send()
			for what, know := range map[string]Knowledge{"all": knowledge(), "nothing": {At: sentAt}, "brief": {Brief: true, At: sentAt, Agents: knowledge().Agents}} {
				if got := codes(t, format, m, know); len(got) > 0 {
					t.Errorf("%s, %s, knowing %s: got %v, want nothing", path, format, what, got)
				}
			}
		}
	}
}

// So has one that is signed under profile hmac, be the key known or not.
func TestSilentOnRightHMAC(t *testing.T) {
	s := newSender()
	s.sign = func(s *sender, c string) string {
		return strings.ToUpper(mac(s.key, s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c))
	}
	all := knowledge()
	for _, agents := range [][]Agent{nil, all.Agents, all.Agents[1:], {{ID: ownID, Secret: ownSecret}}, {{ID: ownID, Profile: rollcall.SignatureHMAC}}} {
		for _, profile := range []rollcall.SignatureProfile{"", rollcall.SignatureHMAC} {
			for _, brief := range []bool{true, false} {
				know := Knowledge{Agents: agents, At: all.At, Profile: profile, Brief: brief}
				if got := codes(t, "raw CRLF", s.send(), know); len(got) > 0 {
					t.Errorf("agents %+v, profile %q, brief %v: got %v", agents, profile, brief, got)
				}
			}
		}
	}
}

// elsewhere are the kinds that it takes more than a request to find: TestRecord
// and others do.
var elsewhere = []string{
	"agent-unknown", "agent-blocked", "token-altered", "token-revoked", "token-refused", "nonce-reused", "signature-hmac-on-plain", "signature-plain-on-hmac",
	"layout-wrong", "plaintext-refused",
}

// Every kind of fault has a row, or is one of those.
func TestAllKindsAreMade(t *testing.T) {
	made := slices.Clone(elsewhere)
	for _, f := range faults {
		made = append(made, strings.Fields(f.want)...)
	}
	for _, k := range kinds {
		if !slices.Contains(made, k.Code) {
			t.Errorf("no test makes the fault %s", k.Code)
		}
	}
}

// A lower-cased id is found without knowing how it was written.
func TestLowerCasedUnknownID(t *testing.T) {
	s := newSender()
	s.agentID, s.claimID = "acmeCasinoNo7", "acmeCasinoNo7"
	s.change = func(h http.Header) { h.Set("x-agentid", "acmecasinono7") }
	know := Knowledge{At: sentAt, Agents: []Agent{{APIKeys: []string{ownKey}}}}
	list := must(Read([]byte(formats["JSON"](s.send())), FormatAuto))
	found := Explain(list[0], know).Findings()
	if len(found) != 1 || found[0].Code != "header-case-changed" || !strings.Contains(found[0].What, "acmeCasinoNo7") {
		t.Errorf("got %+v", found)
	}
	know.Profile = rollcall.SignatureHMAC
	if found = Explain(list[0], know).Findings(); len(found) != 2 || found[0].Code != "header-case-changed" || found[1].Code != "signature-plain-on-hmac" {
		t.Errorf("under profile hmac: got %+v", found)
	}
}

// Where it is signed lower-cased, too, only the token shows it.
func TestLowerCasedIDByToken(t *testing.T) {
	r := examine(t, "by the token", func(s *sender) { s.agentID = strings.ToLower(ownID) }, Knowledge{At: sentAt}, nil, "agent-case")
	if !strings.Contains(r.Likely, "the token's is "+ownID) {
		t.Errorf("got %q", r.Likely)
	}
}

// Each fault is found, and nothing else, in every format.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			s := newSender()
			f.make(s)
			m := s.send()
			for format := range formats {
				if format == "curl -v" && m.body == "" || format != "raw CRLF" && !utf8.ValidString(m.body) {
					continue // it cannot show that
				}
				got := strings.Join(codes(t, format, m, knowledge()), " ")
				if got != f.want {
					t.Errorf("%s: got %q, want %q", format, got, f.want)
				}
			}
		})
	}
}

// A key that was put where it does not belong is not shown either.
func TestHidesMisplacedKeys(t *testing.T) {
	for name, change := range map[string]func(*sender){
		"as the agent's id": func(s *sender) { s.agentID = ownKey },
		"in the path":       func(s *sender) { s.path = "/v2/auth/" + ownSecret },
		"in the username":   plain(`{"username":"` + ownSecret + `"}`),
		"as a name":         plain(`{"` + ownKey + `":1}`),
		"as Authorization":  headed(func(h http.Header) { h.Set("Authorization", ownSecret) }),
		"as the signature":  headed(func(h http.Header) { h.Set("x-signature", ownKey) }),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender()
			change(s)
			if got := codes(t, "raw LF", s.send(), knowledge()); len(got) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
