package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// play makes a call of the game servers' API, and holds status and, for a fault,
// code against what is wanted. It returns the answer.
func (p *parlour) play(t *testing.T, path, body string, status int, code string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+p.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res := httptest.NewRecorder()
	p.game.ServeHTTP(res, r)
	text := res.Body.String()
	if res.Code != status || code != "" && !strings.Contains(text, `{"error":{"code":"`+code+`"`) {
		t.Errorf("%s %.200s: got %d %s; want %d %s", path, body, res.Code, text, status, code)
	}
	return text
}

// start is the body of a start.
func start(token string) string { return `{"bootId":"boot1","launchToken":"` + token + `"}` }

// began starts a session by a launch token.
func (p *parlour) began(t *testing.T, token string) rollcall.Session {
	t.Helper()
	var out wire.StartResponse
	must(t, json.Unmarshal([]byte(p.play(t, wire.PathGameSessions, start(token), 201, "")), &out))
	return out.Session
}

// launched opens a game as its agent does, changed.
func (p *parlour) launched(t *testing.T, change func(*wire.OpenGameRequest)) string {
	t.Helper()
	req := wire.OpenGameRequest{IPAddress: "192.0.2.1", Lang: "en", GameCode: "g1", Username: "player001"}
	change(&req)
	opened, err := p.agent.OpenGame(t.Context(), req)
	must(t, err)
	_, token, _ := strings.Cut(opened.GameLaunchURL, "?token=")
	return token
}

// Why a start can be refused, in an order in which one does not hide the other.
func TestStartFaults(t *testing.T) {
	p := newParlour(t)
	ctx := t.Context()
	p.play(t, wire.PathGameBoot, `{"bootId":"boot1"}`, 200, "")
	used := p.launch(t)
	s := p.began(t, used)
	p.play(t, wire.PathGameEnd(s.ID), `{"reason":"left","note":"won 1.00"}`, 200, "")
	p.play(t, wire.PathGameSessions, start(used), 409, "launch_used")
	voided := p.launch(t)
	must(t, p.agent.KickMember(ctx, "player001"))
	p.play(t, wire.PathGameSessions, start(voided), 410, "launch_voided")
	expired := "EXPIRED" + strings.Repeat("0", 25) // it is 6 minutes old
	must(t, p.stores.Sessions.AddLaunch(ctx, roll.Launch{
		Key: roll.LaunchKey(expired), Session: rollcall.Session{AgentID: "a1", Username: "player001", GameCode: "g1"},
		CreatedAt: time.Now().Add(-6 * time.Minute), ExpiresAt: time.Now().Add(-time.Minute),
	}))
	p.play(t, wire.PathGameSessions, start(expired), 410, "launch_expired")
	p.want(t, "PATCH", "/admin/v1/agents/a1", `{"limits":{"perMember":1,"policy":"refuse"}}`, 200, "")
	first := p.began(t, p.launch(t))
	p.play(t, wire.PathGameSessions, start(p.launch(t)), 409, "session_limit")
	p.play(t, wire.PathGameEnd(first.ID), "", 200, "")
	waiting := p.launch(t)
	for _, row := range []struct{ before, code, after string }{
		{"POST /game-servers/s1/drain", "draining", "POST /game-servers/s1/undrain"},
		{"POST /agents/a1/block", "agent_blocked", "POST /agents/a1/unblock"},
		{"POST /agents/a1/members/player001/suspend", "member_suspended", "POST /agents/a1/members/player001/unsuspend"},
	} {
		p.operate(t, row.before)
		p.play(t, wire.PathGameSessions, start(waiting), 409, row.code)
		p.operate(t, row.after)
	}
	p.play(t, wire.PathGameSessions, `{"bootId":"boot9","launchToken":"x"}`, 409, "stale_boot")
	waiting = p.launch(t)
	p.operate(t, "DELETE /games/g1")
	p.play(t, wire.PathGameSessions, start(waiting), 404, "not_found")
}

// operate makes a call of the operators' API that has no body.
func (p *parlour) operate(t *testing.T, call string) string {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	status := http.StatusOK
	if method == http.MethodDelete {
		status = http.StatusNoContent
	}
	return p.want(t, method, "/admin/v1"+path, "", status, "")
}

// What sessions, ends and events can be, as a game server sees them.
func TestGameValues(t *testing.T) {
	p := newParlour(t)
	p.play(t, wire.PathGameBoot, `{"bootId":"boot1"}`, 200, "")
	p.want(t, "PATCH", "/admin/v1/games/g1", `{"modes":["real","demo"]}`, 200, "")
	var all []rollcall.Session
	for _, change := range []func(*wire.OpenGameRequest){
		func(r *wire.OpenGameRequest) { r.LaunchType, r.DeviceType = 2, 1 },
		func(r *wire.OpenGameRequest) { r.LaunchType, r.Username = 1, "" },
		func(r *wire.OpenGameRequest) { r.IPAddress, r.LobbyURL = "2001:db8::1", "https://l.example/" },
		func(*wire.OpenGameRequest) {},
	} {
		all = append(all, p.began(t, p.launched(t, change)))
	}
	p.want(t, "PATCH", "/admin/v1/agents/a1", `{"wallet":"seamless"}`, 200, "")
	all = append(all, p.began(t, p.launch(t)))
	for i, reason := range []string{"left", "kicked", "expired", "server-lost"} {
		p.play(t, wire.PathGameHeartbeats, fmt.Sprintf(`{"bootId":"boot1","ids":[],"ended":[{"id":%q,"reason":%q,"note":"n"}]}`, all[i].ID, reason), 200, "")
	}
	announced, err := json.Marshal(wire.AnnounceRequest{BootID: "boot1", Sessions: all})
	must(t, err)
	if text := p.play(t, wire.PathGameAnnounce, string(announced), 200, ""); !strings.Contains(text, `"accepted":1`) {
		t.Errorf("got %s, want the one that was not ended accepted", text)
	}
	p.events(t)
}

// events has each sort of event told, by the stream and by a heartbeat.
func (p *parlour) events(t *testing.T) {
	t.Helper()
	st := p.open(t, "another-epoch-1")
	s := p.began(t, p.launch(t))
	p.want(t, "POST", "/admin/v1/kicks", fmt.Sprintf(`{"filter":{"sessionId":%q},"message":"Back soon"}`, s.ID), 201, "")
	if e := st.next(t); e.SessionID != s.ID {
		t.Errorf("got %+v, want the kick of %s", e, s.ID)
	}
	p.play(t, wire.PathGameHeartbeats, `{"bootId":"boot1","ids":["`+s.ID+`","x"]}`, 200, "")
	p.want(t, "PATCH", "/admin/v1/agents/a1", `{"limits":{"perMember":1,"policy":"displace-oldest"}}`, 200, "")
	p.began(t, p.launch(t))
	st.next(t) // the one that was announced is displaced
	p.operate(t, "POST /game-servers/s1/drain")
	drain := st.next(t)
	p.operate(t, "POST /game-servers/s1/undrain")
	p.play(t, wire.PathGameAck, `{"ids":["`+drain.ID+`"]}`, 200, "")
	ctx := t.Context()
	go p.service.Run(ctx) // which ends the blocked agent's sessions
	p.operate(t, "POST /agents/a1/block")
	st.next(t)
	p.endStreams()
	st.close()
}
