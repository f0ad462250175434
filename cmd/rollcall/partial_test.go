package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/rollcalltest"
)

// A service that has lost sessions is not taken at its word for who does not play.
func TestPartialAnswers(t *testing.T) {
	t.Parallel()
	s := rollcalltest.New(t)
	s.SetNow(time.Now())
	s.Seat("player001", "VP_230001_1")
	credentials := filepath.Join(t.TempDir(), "c.json")
	agent := AgentCredentials{AgentID: s.Agent.ID, APIKey: s.Agent.APIKey, Secret: s.Agent.SecretKey}
	if err := writeCredentials(credentials, Credentials{BaseURL: s.URL, Agents: []AgentCredentials{agent}}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		before  func()
		args    []string
		out     string
		warning bool
	}{
		{func() {}, []string{"check", "player001"}, "VP_230001_1  real", false},
		{func() {}, []string{"check", "player002"}, "player002 has no active session.", false},
		{func() {}, []string{"online"}, "player001", false},
		{s.LoseSessions, []string{"check", "player001"}, "player001: no active session is known.", true},
		{func() {}, []string{"check", "player001", "--json"}, "[]", true},
		{func() {}, []string{"online", "--json"}, `"counts": 0`, true},
		{func() {}, []string{"online"}, "", true},
	} {
		row.before()
		var out, err bytes.Buffer
		code := run(t.Context(), append(row.args, "--credentials", credentials), &out, &err)
		if warned := strings.Contains(err.String(), "There may be more"); code != exitOK || !strings.Contains(out.String(), row.out) || warned != row.warning {
			t.Errorf("%s: got code %d, %q and %q, want %q and a warning: %v", row.args, code, &out, &err, row.out, row.warning)
		}
	}
}
