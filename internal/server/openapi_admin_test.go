package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

const v1 = "/admin/v1"

// What can be given, and is given back: the members that the rows of TestAdminCalls
// leave out.
func TestAdminMembers(t *testing.T) {
	p := newParlour(t)
	secret, key := strings.Repeat("s", 32), strings.Repeat("0a", 32)
	p.want(t, "POST", v1+"/agents", `{"id":"a2","branchId":"THB","wallet":"transfer","signature":"hmac","limits":{"perMember":2,"perGame":1,"policy":"refuse"},
		"rateLimit":{"perSecond":5,"burst":9},"games":["g1"],"apiKey":"`+key+`","secretKey":"`+secret+`"}`, 201, "")
	p.want(t, "PATCH", v1+"/agents/a2", `{"branchId":"","wallet":"seamless","rateLimit":{}}`, 200, "")
	p.want(t, "PUT", v1+"/agents/a2/webhook", `{"url":"https://hooks.example/x"}`, 200, "")
	p.want(t, "GET", v1+"/agents/a2", "", 200, "")
	p.want(t, "POST", v1+"/branches", `{"id":"USD","currency":"USD","brandCurrency":"EUR"}`, 201, "")
	p.want(t, "PATCH", v1+"/branches/USD", `{"currency":"USDT"}`, 200, "")
	p.want(t, "POST", v1+"/games", `{"code":"g2","modes":["demo"],"launchUrl":"https://g.example/","leaseSeconds":60,"heartbeatSeconds":20,"lifetimeSeconds":600}`, 201, "")
	p.want(t, "POST", v1+"/games", `{"code":"g2","modes":["demo"]}`, 409, "exists")
	p.want(t, "POST", v1+"/game-servers", `{"id":"s2","games":["g1"]}`, 201, "")
	p.want(t, "POST", v1+"/agents/a1/members", `{"username":"player002","siteId":"site1"}`, 201, "")
	for _, kind := range []string{"api-keys", "secret-keys"} {
		text := p.want(t, "POST", v1+"/agents/a2/"+kind, `{"key":"`+strings.Repeat("0b", 32)+`"}`, 201, "")
		p.want(t, "POST", v1+"/agents/a2/"+kind, ``, 409, "in_use")
		p.want(t, "POST", v1+"/agents/a2/"+kind, `{"key":"short"}`, 400, "invalid")
		var added admin.KeyAdded
		must(t, json.Unmarshal([]byte(text), &added))
		path := v1 + "/agents/a2/" + kind + "/" + added.ID
		p.want(t, "DELETE", path, "", 200, "")
		p.want(t, "DELETE", path, "", 404, "not_found")
		var agent rollcall.Agent
		must(t, json.Unmarshal([]byte(p.want(t, "GET", v1+"/agents/a2", "", 200, "")), &agent))
		last := map[string][]rollcall.KeyInfo{"api-keys": agent.APIKeys, "secret-keys": agent.SecretKeys}[kind][0]
		p.want(t, "DELETE", v1+"/agents/a2/"+kind+"/"+last.ID, "", 409, "in_use")
	}
	for range 3 { // so that the first is deleted
		p.want(t, "POST", v1+"/token-keys", "", 201, "")
	}
	p.want(t, "POST", v1+"/admin-tokens", `{"name":"ben"}`, 201, "")
	p.pages(t, "/agents", "/branches", "/games", "/game-servers", "/agents/a1/members", "/audit")
	p.want(t, "GET", v1+"/audit", "", 200, "")
}

// pages goes through lists one by one.
func (w *world) pages(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		cursor := "after"
		if path == "/audit" || path == "/kicks" || strings.HasSuffix(path, "/history") {
			cursor = "before"
		}
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		next, n := "", 0
		for {
			query := join + "limit=1"
			if next != "" {
				query += "&" + cursor + "=" + url.QueryEscape(next)
			}
			var page struct {
				Next            string
				Items, Receipts []json.RawMessage
			}
			must(t, json.Unmarshal([]byte(w.want(t, "GET", v1+path+query, "", 200, "")), &page))
			if n += len(page.Items) + len(page.Receipts); page.Next == "" {
				break
			}
			next = page.Next
		}
		if n < 2 {
			t.Errorf("%s: got %d items, want more than a page", path, n)
		}
	}
}

// Sessions, how they end, and who is told: all that operators see of it.
func TestAdminSessions(t *testing.T) {
	p := newParlour(t)
	p.play(t, wire.PathGameBoot, `{"bootId":"boot1"}`, 200, "")
	p.want(t, "PATCH", v1+"/games/g1", `{"modes":["real","demo"]}`, 200, "")
	first := p.began(t, p.launched(t, func(r *wire.OpenGameRequest) { r.LaunchType, r.LobbyURL = 2, "https://l.example/" }))
	p.began(t, p.launched(t, func(r *wire.OpenGameRequest) { r.LaunchType, r.DeviceType, r.IPAddress = 1, 1, "2001:db8::1" }))
	p.began(t, p.launch(t))
	p.operate(t, "GET /sessions/"+first.ID)
	p.want(t, "DELETE", v1+"/games/g1", "", 409, "in_use")
	p.operate(t, "GET /session-counts")
	for _, by := range []string{"agent", "game", "mode", "currency", "device", "gameServer"} {
		p.operate(t, "GET /session-counts?by="+by)
	}
	const filter = "agent=a1&username=player001&game=g1&currency=THB&gameServer=s1"
	p.pages(t, "/sessions?"+filter, "/history?"+filter+"&at="+url.QueryEscape(time.Now().UTC().Format(time.RFC3339Nano)))
	st := p.open(t, "")
	text := p.want(t, "POST", v1+"/kicks", `{"filter":{"agentId":"a1","gameCode":"g1","currency":"THB","gameServer":"s1"},"why":"w","message":"m","perSecond":1}`, 201, "")
	var made admin.KickCreated
	must(t, json.Unmarshal([]byte(text), &made))
	if made.Kick.State != rollcall.KickRunning {
		t.Errorf("got %s, want a kick that runs", text)
	}
	p.operate(t, "POST /kicks/"+made.Kick.ID+"/abort") // nobody has begun with it
	p.want(t, "POST", v1+"/kicks", `{"filter":{"sessionId":"`+first.ID+`"},"message":"m"}`, 201, "")
	st.next(t)
	st.close()
	p.play(t, wire.PathGameEnd(first.ID), `{"note":"settled"}`, 200, "")
	must(t, p.agent.KickMember(t.Context(), "player001"))
	var kicks admin.Page[rollcall.Kick]
	must(t, json.Unmarshal([]byte(p.operate(t, "GET /kicks")), &kicks))
	p.operate(t, "GET /kicks/"+kicks.Items[1].ID) // the settled one
	p.want(t, "GET", v1+"/kicks/"+kicks.Items[1].ID+"?limit=0", "", 400, "invalid")
	p.operate(t, "GET /audit")
	p.pages(t, "/kicks", "/kicks/"+kicks.Items[0].ID, "/agents/a1/members/player001/history")
	p.ends(t)
	p.want(t, "POST", v1+"/kicks", `{"all":true,"dryRun":true}`, 201, "")
}

// ends has sessions end for each reason, and looks at the history.
func (p *parlour) ends(t *testing.T) {
	t.Helper()
	for _, reason := range []string{"left", "expired", "server-lost"} {
		s := p.began(t, p.launch(t))
		p.play(t, wire.PathGameEnd(s.ID), fmt.Sprintf(`{"reason":%q,"note":"n"}`, reason), 200, "")
	}
	p.want(t, "PATCH", v1+"/agents/a1", `{"limits":{"perMember":1,"policy":"displace-oldest"}}`, 200, "")
	p.began(t, p.launch(t))
	last := p.began(t, p.launch(t))
	go p.service.Run(t.Context())
	p.operate(t, "POST /agents/a1/block")
	var reasons []rollcall.EndReason
	for deadline := time.Now().Add(10 * time.Second); !slices.Contains(reasons, rollcall.EndAgentBlocked); {
		if time.Now().After(deadline) {
			t.Fatalf("session %s of a blocked agent goes on; the history has %v", last.ID, reasons)
		}
		var page admin.Page[rollcall.EndedSession]
		must(t, json.Unmarshal([]byte(p.operate(t, "GET /agents/a1/members/player001/history")), &page))
		reasons = nil
		for _, e := range page.Items {
			reasons = append(reasons, e.Reason)
		}
	}
	var kicks admin.Page[rollcall.Kick]
	must(t, json.Unmarshal([]byte(p.operate(t, "GET /kicks")), &kicks))
	for _, k := range kicks.Items { // Run may have begun one more for the block
		p.operate(t, "GET /kicks/"+k.ID)
	}
}

// Webhooks on their way, and those that were given up.
func TestAdminWebhooks(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now().UTC()
	for i, d := range []rollcall.WebhookDelivery{
		{Type: rollcall.WebhookStarted, NextAt: now.Add(time.Hour)},
		{Type: rollcall.WebhookEnded, NextAt: now.Add(time.Hour), Attempts: 2, LastError: "status 500"},
		{Type: rollcall.WebhookKicked, Attempts: 9, LastError: "status 500", DeadAt: now},
	} {
		d.ID, d.AgentID, d.SessionID, d.CreatedAt, d.Body = fmt.Sprintf("w%d", i), "a1", "s", now, json.RawMessage(`{"type":"x"}`)
		must(t, w.stores.History.AddDeliveries(t.Context(), []rollcall.WebhookDelivery{d}))
	}
	w.pages(t, "/webhooks?agent=a1&dead=false")
	w.want(t, "GET", v1+"/webhooks?dead=true", "", 200, "")
	w.want(t, "POST", v1+"/webhooks/w2/retry", "", 200, "")
	w.want(t, "GET", v1+"/audit", "", 200, "")
}

// Each store that does not answer makes the service not ready.
func TestNotReady(t *testing.T) {
	for name, down := range map[string]func(*roll.Stores){
		"directory": func(s *roll.Stores) { s.Directory = downDirectory{s.Directory} },
		"sessions":  func(s *roll.Stores) { s.Sessions = broken{s.Sessions} },
		"nonces":    func(s *roll.Stores) { s.Nonces = downNonces{s.Nonces} },
		"history":   func(s *roll.Stores) { s.History = downHistory{s.History} },
	} {
		w := newWorld(t, down)
		if text := w.want(t, "GET", "/readyz", "", 503, ""); !strings.Contains(text, `"store":"`+name+`"`) {
			t.Errorf("%s: got %s", name, text)
		}
		if name == "sessions" {
			w.want(t, "GET", "/metrics", "", 500, "")
		}
	}
}
