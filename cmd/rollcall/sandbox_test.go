package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

func primary(t *testing.T, c Credentials) *client.Client {
	t.Helper()
	agent, err := newCaller(c, c.role(t, rolePrimary), nil)
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

// liveOf returns the live sessions of a member of the primary agent.
func liveOf(t *testing.T, c Credentials, username string) []rollcall.Session {
	t.Helper()
	var page admin.Page[rollcall.Session]
	path := admin.Path("sessions") + "?agent=integratorNBTest04&username=" + username
	if status, err := c.admin(t.Context(), http.DefaultClient, http.MethodGet, path, nil, &page); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	return page.Items
}

// The cast's sessions are the arcade's, and begin anew on the same data: those of
// the run before have lost their game server.
func TestSandboxAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	first := liveOf(t, c, "player001")
	if len(first) != 1 || first[0].GameServer != castServer || first[0].BootID == "" || first[0].Launch != rollcall.LaunchReal {
		t.Fatalf("got %+v, want one session of the arcade", first)
	}
	p.kill()
	_, again := startSandbox(t, dir)
	if again.GameServers[0] != c.GameServers[0] || again.Agents[0] != c.Agents[0] || again.AdminToken != c.AdminToken {
		t.Error("the credentials are others than before")
	}
	second := liveOf(t, again, "player001")
	if len(second) != 1 || second[0].ID == first[0].ID || second[0].BootID == first[0].BootID {
		t.Fatalf("after the restart: got %+v, want another session, of another boot", second)
	}
	if got := liveOf(t, again, "player003"); len(got) != 2 {
		t.Errorf("player003: got %d sessions, want 2", len(got))
	}
	eventually(t, "the first session is server-lost", func() bool {
		var history admin.Page[rollcall.EndedSession]
		path := admin.Path("agents", "integratorNBTest04", "members", "player001", "history")
		if status, err := again.admin(t.Context(), http.DefaultClient, http.MethodGet, path, nil, &history); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		for _, e := range history.Items {
			if e.ID == first[0].ID && e.Reason == rollcall.EndServerLost {
				return true
			}
		}
		return false
	})
}

// Data of an earlier version, or whose credentials are lost, or that somebody has
// changed, are gone on with.
func TestSandboxOnOtherData(t *testing.T) {
	t.Parallel()
	rows := map[string]func(t *testing.T, c *Credentials, file string) error{
		"no game servers in the credentials": func(_ *testing.T, c *Credentials, file string) error {
			c.GameServers = nil
			return writeCredentials(file, *c)
		},
		"no credentials": func(_ *testing.T, _ *Credentials, file string) error { return os.Remove(file) },
		"an agent missing in the credentials": func(_ *testing.T, c *Credentials, file string) error {
			c.Agents = c.Agents[:3]
			return writeCredentials(file, *c)
		},
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p, c := startSandbox(t, dir)
			p.stop(t)
			if err := change(t, &c, filepath.Join(dir, "data", sandboxCredentials)); err != nil {
				t.Fatal(err)
			}
			_, c = startSandbox(t, dir)
			if len(c.GameServers) != 2 || c.GameServers[0].Token == "" || c.GameServers[1].ID != castSpare || len(c.Agents) != len(castAgents) || c.GameURL == "" {
				t.Errorf("credentials: %d game servers, %d agents", len(c.GameServers), len(c.Agents))
			}
			sessions, err := primary(t, c).CheckSessions(t.Context(), "player003")
			if err != nil || len(sessions.Active) != 2 {
				t.Errorf("player003: got %v, %v; want 2 sessions", sessions, err)
			}
		})
	}
}

// What somebody has changed stays so; what is refused by that is told, and no
// reason not to start.
func TestSandboxKeepsChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	do := func(method string, segments ...string) {
		t.Helper()
		if status, err := c.admin(t.Context(), http.DefaultClient, method, admin.Path(segments...), nil, nil); err != nil || status >= 300 {
			t.Fatal(segments, status, err)
		}
	}
	do(http.MethodPost, "agents", "integratorNBTest04", "members", "player003", "suspend")
	do(http.MethodDelete, "agents", "integratorNBTest04", "members", "player002")
	do(http.MethodDelete, "game-servers", castServer)
	p.stop(t)
	p, c = startSandbox(t, dir)
	agent := primary(t, c)
	for username, want := range map[string]int{"player001": 1, "player002": 0, "player003": 0} {
		if sessions, err := agent.CheckSessions(t.Context(), username); err != nil || len(sessions.Active) != want {
			t.Errorf("%s: got %v, %v; want %d sessions", username, sessions, err, want)
		}
	}
	p.stop(t)
	if !strings.Contains(p.stderr.String(), "player003: code 19") {
		t.Errorf("the log does not say why player003 does not play:\n%s", p.stderr)
	}
}

// A game server that boots with the sandbox's own token takes the arcade's place;
// the sandbox goes on.
func TestSandboxTakenOver(t *testing.T) {
	t.Parallel()
	p, c := startSandbox(t, t.TempDir())
	var booted wire.BootResponse
	status, err := c.game(http.DefaultClient, c.GameServers[0].Token, wire.PathGameBoot, wire.BootRequest{BootID: "mine"}, &booted)
	if err != nil || status != http.StatusOK || booted.GameServer != castServer || booted.Ended != len(castLaunches) {
		t.Fatalf("got %+v, status %d, %v; want %d sessions ended", booted, status, err, len(castLaunches))
	}
	if sessions, err := primary(t, c).CheckSessions(t.Context(), "player001"); err != nil || len(sessions.Active) != 0 {
		t.Errorf("got %v, %v; want no session", sessions, err)
	}
	p.stop(t)
}

// The credentials file is read by others too: its names stay.
func TestCredentialsFile(t *testing.T) {
	text, err := json.Marshal(Credentials{
		BaseURL: "b", GameURL: "g", AdminURL: "a", AdminToken: "t",
		Agents:      []AgentCredentials{{Role: "primary", AgentID: "i", APIKey: "k", Secret: "s"}},
		GameServers: []GameServerCredentials{{ID: "i", Token: "t"}},
	})
	const want = `{"baseUrl":"b","gameUrl":"g","adminUrl":"a","adminToken":"t","agents":[{"role":"primary","agentId":"i","apiKey":"k","secret":"s"}],` +
		`"gameServers":[{"id":"i","token":"t"}]}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}
