package conform

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A request is one that is right in all, for a case to change in one thing. It is
// made in the order of the fields, each from those above it, so that a change of
// one leaves the rest right: a cipherText that is changed is signed as it is.
type request struct {
	agent     *agent
	method    string
	path      string
	username  string // that the plaintext names
	plaintext string
	key       *wire.APIKey
	// seal makes the cipherText of the plaintext; recipher changes it.
	seal     func(key *wire.APIKey, plaintext string) string
	recipher func(cipherText string) string
	head     wire.Header // without the signature
	// sign makes the signature.
	sign func(r *request, cipherText string) string
	// reheader and rebody change what was made.
	reheader func(http.Header)
	rebody   func(body []byte) []byte
	right    wire.Code // answers it as it is
}

// A change makes a request wrong in one thing, or right in another way.
type change func(*request)

// placeholder is a member's name in the texts of plaintexts and vectors.
const placeholder = "player001"

func asIs(*request) {}

func plain(text string) change {
	return func(r *request) { r.plaintext = strings.ReplaceAll(text, placeholder, r.username) }
}

func cipherText(f func(string) string) change { return func(r *request) { r.recipher = f } }

func signature(f func(r *request, cipherText string) string) change {
	return func(r *request) { r.sign = f }
}

func header(f func(http.Header)) change { return func(r *request) { r.reheader = f } }

// setHeader sets one, whatever it was.
func setHeader(name string, values ...string) change {
	return header(func(h http.Header) { h[name] = values })
}

func body(f func([]byte) []byte) change { return func(r *request) { r.rebody = f } }

func bodyText(text string) change { return body(func([]byte) []byte { return []byte(text) }) }

func token(f func(string) string) change {
	return func(r *request) { r.head.AccessToken = f(r.head.AccessToken) }
}

func both(changes ...change) change {
	return func(r *request) {
		for _, c := range changes {
			c(r)
		}
	}
}

// rightSignature is that of the agent's profile.
func rightSignature(r *request, cipherText string) string {
	h := r.head
	h.Sign(r.agent.Signature, r.key, cipherText)
	return h.Signature
}

func sealed(key *wire.APIKey, plaintext string) string { return key.Seal([]byte(plaintext)) }

// A message is a request as it goes over the wire. It can be sent again.
type message struct {
	method, path string
	header       http.Header
	body         []byte
	plaintext    string // what is in it, for the report
	right        wire.Code
}

// make makes the message.
func (r *request) make() *message {
	cipherText := r.seal(r.key, r.plaintext)
	if r.recipher != nil {
		cipherText = r.recipher(cipherText)
	}
	head := r.head
	head.Signature = r.sign(r, cipherText)
	m := &message{method: r.method, path: r.path, header: http.Header{}, plaintext: r.plaintext, right: r.right}
	head.Set(m.header)
	m.header.Set("Content-Type", "application/json")
	m.body, _ = json.Marshal(wire.Request{CipherText: cipherText}) // a string is always encoded
	if r.reheader != nil {
		r.reheader(m.header)
	}
	if r.rebody != nil {
		m.body = r.rebody(m.body)
	}
	return m
}

// request makes a right request of the agent of role as for the path to.
func (t *trial) request(as, to string) (*request, error) {
	a, err := t.agent(as)
	if err != nil {
		return nil, err
	}
	r := &request{
		agent: a, method: http.MethodPost, path: to, key: a.key, seal: sealed, sign: rightSignature,
		head: wire.Header{AgentID: a.AgentID, Timestamp: wire.FormatTimestamp(t.r.now()), Nonce: newNonce()},
	}
	if to != wire.PathAuth {
		if r.head.AccessToken, err = t.token(a); err != nil {
			return nil, err
		}
	}
	if err := t.fill(r); err != nil {
		return nil, err
	}
	if as == RoleNoBranch && to != wire.PathAuth {
		r.right = codeNoBranch
	}
	return r, nil
}

// fill gives r the plaintext of its path, and the code that answers it.
func (t *trial) fill(r *request) (err error) {
	switch r.path {
	case wire.PathAuth:
		r.plaintext = jsonOf(wire.AuthRequest{AgentID: r.agent.AgentID, Secret: r.agent.SecretKey})
	case wire.PathMembersOnline:
		r.plaintext = `{}`
	case wire.PathMembers:
		r.username = newName()
		r.plaintext = jsonOf(wire.MemberCreateRequest{Username: r.username})
	case wire.PathSessionsLogout:
		r.username, err = t.guest(r.agent)
		r.plaintext = jsonOf(wire.MemberRequest{Username: r.username})
	case wire.PathOpenGame:
		if t.r.o.Facts.Game == "" {
			return skipf("no game is known (fact game)")
		}
		r.username, err = t.guest(r.agent)
		r.plaintext = jsonOf(t.launchOf(r.username))
	default:
		t.name(r)
		r.plaintext = jsonOf(wire.MemberRequest{Username: r.username})
	}
	return err
}

// name gives a check the member that is known, or else one that there is not:
// code 8 shows as well that all before was right.
func (t *trial) name(r *request) {
	switch {
	case r.agent.Role == RolePrimary && t.r.o.Facts.Member != "":
		r.username = t.r.o.Facts.Member
	case r.agent.guest != "":
		r.username = r.agent.guest
	default:
		r.username, r.right = newName(), codeNoMember
	}
}

func (t *trial) launchOf(username string) wire.OpenGameRequest {
	return wire.OpenGameRequest{
		Username: username, GameCode: t.r.o.Facts.Game, IPAddress: "127.0.0.1", Lang: "en", LaunchType: int(rollcall.LaunchReal),
	}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers are always encoded
	}
	return string(text)
}

func writes(path string) bool {
	return path == wire.PathMembers || path == wire.PathOpenGame || path == wire.PathSessionsLogout
}
