package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/wire"
)

// An integrator calls the v2 API byte by byte, right or wrong.
type integrator struct {
	t      *testing.T
	h      http.Handler
	id     string
	key    *wire.APIKey
	secret string
	token  string
	calls  int
	// last is the last answer, logs are the logUUIDs of all.
	last *httptest.ResponseRecorder
	logs []string
}

// newIntegrator makes an agent, and an integrator that has its keys and a token.
func newIntegrator(t *testing.T, w *world, agent rollcall.Agent) *integrator {
	t.Helper()
	agent.Signature = rollcall.SignaturePlain
	_, keys, err := w.service.CreateAgent(t.Context(), "test", agent, roll.NewKeys{})
	must(t, err)
	key, err := wire.ParseAPIKey(keys.APIKey)
	must(t, err)
	i := &integrator{t: t, h: w.Public(true), id: agent.ID, key: key, secret: keys.SecretKey}
	i.want(wire.PathAuth, i.login(), 0)
	var answer struct{ Data wire.AuthResponse }
	must(t, json.Unmarshal(i.last.Body.Bytes(), &answer))
	i.token = answer.Data.AccessToken
	return i
}

func (i *integrator) login() string {
	return fmt.Sprintf(`{"agentId":%q,"secret":%q}`, i.id, i.secret)
}

// send sends a cipherText and returns the answer's code.
func (i *integrator) send(path, cipherText string, change ...func(*http.Request)) int {
	i.t.Helper()
	body, err := json.Marshal(wire.Request{CipherText: cipherText})
	must(i.t, err)
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	i.calls++
	h := wire.Header{
		AccessToken: i.token, AgentID: i.id, Timestamp: wire.FormatTimestamp(time.Now()), Nonce: fmt.Sprintf("%032d", i.calls),
	}
	h.Sign(rollcall.SignaturePlain, nil, cipherText)
	h.Set(r.Header)
	for _, c := range change {
		c(r)
	}
	i.last = httptest.NewRecorder()
	i.h.ServeHTTP(i.last, r)
	reply, err := wire.ParseReply(i.last.Body.Bytes())
	must(i.t, err)
	i.logs = append(i.logs, reply.LogUUID)
	return int(reply.Code)
}

func (i *integrator) want(path, plaintext string, code int, change ...func(*http.Request)) {
	i.t.Helper()
	if got := i.send(path, i.key.Seal([]byte(plaintext)), change...); got != code {
		i.t.Errorf("%s %s: got code %d, want %d", path, plaintext, got, code)
	}
}

// right are requests that are carried out, by path.
func (i *integrator) right() map[string]string {
	return map[string]string{
		wire.PathAuth: i.login(), wire.PathSessionsCheck: `{"username":"m1"}`, wire.PathSessionsLogout: `{"username":"m1"}`,
		wire.PathMembers: `{"username":"new1","siteId":"s1"}`, wire.PathMembersOnline: `{}`, wire.PathOpenGame: launchOf(`"username":"m1"`),
	}
}

// launchOf is the plaintext of a launch with these members more.
func launchOf(more string) string {
	return `{"deviceType":0,"ipaddress":"192.0.2.1","lang":"en","gameCode":"g1",` + more + `}`
}

// v2World has a branch, games g1 and g2 of both modes, an agent a1 that offers g1
// and has the member m1 and, suspended, m2.
func v2World(t *testing.T) (*world, *integrator) {
	t.Helper()
	w := newWorld(t, nil)
	ctx := t.Context()
	_, err := w.service.CreateBranch(ctx, "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	must(t, err)
	for _, code := range []string{"g1", "g2"} {
		_, err := w.service.CreateGame(ctx, "test", rollcall.Game{
			Code: code, Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}, LaunchURL: "https://g.example/",
		})
		must(t, err)
	}
	i := newIntegrator(t, w, rollcall.Agent{ID: "a1", BranchID: "THB", Wallet: rollcall.WalletTransfer, Games: []string{"g1"}})
	for _, name := range []string{"m1", "m2"} {
		_, err := w.service.CreateMember(ctx, "test", "a1", name, "")
		must(t, err)
	}
	_, err = w.service.SetMemberSuspended(ctx, "test", "a1", "m2", true)
	must(t, err)
	return w, i
}

// Each code of each endpoint, and the record of each request.
func TestV2Codes(t *testing.T) {
	w, i := v2World(t)
	recordCtx, stop := context.WithCancel(t.Context())
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		w.recorder.run(recordCtx)
	}()
	bare := newIntegrator(t, w, rollcall.Agent{ID: "bare", Wallet: rollcall.WalletSeamless})
	for path, right := range i.right() {
		i.want(path, right, 0)
		i.want(path, `[]`, 11)
		i.want(path, right, 83, func(r *http.Request) { r.Header.Set(wire.HeaderSignature, strings.Repeat("0", 64)) })
		if code := i.send(path, strings.Repeat("A", 44)); code != 84 {
			t.Errorf("%s: got code %d, want 84", path, code)
		}
		if path != wire.PathAuth {
			bare.want(path, right, 81)
		}
	}
	for _, row := range []struct {
		path, plaintext string
		code            int
	}{
		{wire.PathAuth, strings.Replace(i.login(), i.secret, "wrong", 1), 10},
		{wire.PathSessionsCheck, `{"username":"nobody"}`, 8},
		{wire.PathSessionsLogout, `{"username":"nobody"}`, 8},
		{wire.PathMembers, `{"username":"m1"}`, 6},
		{wire.PathOpenGame, launchOf(`"username":"nobody"`), 8},
		{wire.PathOpenGame, launchOf(`"username":"m2"`), 19},
		{wire.PathOpenGame, launchOf(`"username":"m1","siteId":"s9"`), 82},
		{wire.PathOpenGame, strings.Replace(launchOf(`"username":"m1"`), "g1", "g9", 1), 5},
		{wire.PathOpenGame, strings.Replace(launchOf(`"username":"m1"`), "g1", "g2", 1), 86},
		{wire.PathOpenGame, launchOf(`"launchType":1`), 0}, // a demo that no member plays
		{wire.PathOpenGame, launchOf(`"username":"m1","launchType":2,"lobbyUrl":"https://l.example/"`), 0},
		{wire.PathOpenGame, launchOf(`"username":"new1","siteId":"s1"`), 0},
	} {
		i.want(row.path, row.plaintext, row.code)
	}
	i.send("/v2/none", "", func(r *http.Request) { r.Header = http.Header{} })
	i.want(wire.PathMembers, `{}`, 83, func(r *http.Request) { r.Header.Del(wire.HeaderNonce) })
	if i.send(wire.PathMembers, "", func(r *http.Request) { r.Body = http.NoBody }) != 11 {
		t.Error("a request without a body is not refused")
	}
	w.crowd(t, i)
	stop()
	<-recorded
	for _, log := range append(i.logs, bare.logs...) {
		w.want(t, "GET", "/admin/v1/requests/"+log, "", 200, "")
	}
}

// crowd makes more calls than there may be: of the agent, of the address, at once.
func (w *world) crowd(t *testing.T, i *integrator) {
	t.Helper()
	begun := time.Now() // the limits' clock stands
	limits := memory.New(memory.Options{Now: func() time.Time { return begun }}).Stores().Limits
	without := w.o.Auth
	w.o.Auth = auth.New(auth.Options{
		Directory: w.stores.Directory, Nonces: w.stores.Nonces, Vault: w.vault, Rate: rollcall.RateLimit{PerSecond: 1, Burst: 1},
		Limiter: roll.NewLimiter(roll.LimiterOptions{Limits: limits, Local: limits, Now: func() time.Time { return begun }}),
	})
	for path, right := range i.right() {
		i.send(path, i.key.Seal([]byte(right)))
		i.want(path, right, 77)
	}
	w.o.Auth, w.o.Addresses, w.o.AddressRate = without, limits, rollcall.RateLimit{PerSecond: 1, Burst: 1}
	i.want(wire.PathMembersOnline, `{}`, 0)
	i.want(wire.PathMembersOnline, `{}`, 77)
	w.o.AddressRate = rollcall.RateLimit{}
	w.gates.v2 = newGate(1, time.Now)
	w.gates.v2.full.Store(true)
	i.want(wire.PathMembersOnline, `{}`, 7)
	i.want("/v2/none", `{}`, 7)
	w.gates.v2 = nil
}

// What a session can be, as an integrator sees it; and that there may be more.
func TestV2Sessions(t *testing.T) {
	w, i := v2World(t)
	seamless := newIntegrator(t, w, rollcall.Agent{ID: "a2", BranchID: "THB", Wallet: rollcall.WalletSeamless})
	_, err := w.service.CreateMember(t.Context(), "test", "a2", "m1", "")
	must(t, err)
	server, _, err := w.service.CreateGameServer(t.Context(), "test", rollcall.GameServer{ID: "s1"})
	must(t, err)
	for who, launches := range map[*integrator][]string{
		i: {
			launchOf(`"username":"m1","launchType":2`), launchOf(`"username":"m1","launchType":1`), launchOf(`"username":"m1","launchType":0`),
			strings.NewReplacer("192.0.2.1", "2001:db8::1", `"deviceType":0`, `"deviceType":1`).Replace(launchOf(`"username":"m1"`)),
		},
		seamless: {launchOf(`"username":"m1"`)},
	} {
		for _, launch := range launches {
			who.want(wire.PathOpenGame, launch, 0)
			_, token, _ := strings.Cut(who.last.Body.String(), "token=")
			token, _, _ = strings.Cut(token, `"`)
			_, _, err := w.service.Start(t.Context(), &roll.GameServer{GameServer: *server}, "boot1", token)
			must(t, err)
		}
		who.want(wire.PathSessionsCheck, `{"username":"m1"}`, 0)
		who.want(wire.PathMembersOnline, `{}`, 0)
	}
	p := &parlour{world: w}
	lost := p.withoutSessions(t)
	i.h = lost.V2()
	for _, path := range []string{wire.PathSessionsCheck, wire.PathMembersOnline} {
		if i.want(path, `{"username":"m1"}`, 0); i.last.Header().Get(wire.HeaderPartial) != "true" {
			t.Errorf("%s: the answer does not say that sessions may be missing", path)
		}
	}
}
