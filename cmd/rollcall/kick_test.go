package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

// A kick of 2 sessions that ends one with each look at it, and then is in state.
func slowKick(t *testing.T, state rollcall.KickState) (credentials string) {
	kick := rollcall.Kick{ID: "k1", Matched: 2, State: rollcall.KickRunning}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("POST /admin/v1/kicks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, admin.KickCreated{Matched: kick.Matched, Kick: &kick})
	})
	mux.HandleFunc("GET /admin/v1/kicks/k1", func(w http.ResponseWriter, _ *http.Request) {
		if kick.Progress.Ended++; kick.Progress.Ended == 2 {
			kick.State = state
		}
		answer(w, admin.KickShown{Kick: kick})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	credentials = filepath.Join(t.TempDir(), "c.json")
	if err := writeCredentials(credentials, Credentials{AdminURL: server.URL, AdminToken: "x"}); err != nil {
		t.Fatal(err)
	}
	return credentials
}

func TestKickWait(t *testing.T) {
	t.Parallel()
	for state, want := range map[rollcall.KickState]struct {
		code int
		text string
	}{
		rollcall.KickDone:    {exitOK, "ended         2"},
		rollcall.KickAborted: {exitFailed, "the kick k1 was aborted after 2 sessions"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), []string{"kick", "start", "--all", "--yes", "--wait", "--credentials", slowKick(t, state)}, &out, &out)
		if code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("%s: got code %d and %q, want %d and %q", state, code, out.String(), want.code, want.text)
		}
	}
}

func TestKickWaitInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	k := kickStart{cmd: newRoot()}
	k.cmd.SetErr(&out)
	cancel()
	err := k.follow(ctx, &rollcall.Kick{ID: "k1", State: rollcall.KickRunning})
	if err == nil || !strings.Contains(err.Error(), "rollcall kick abort k1") {
		t.Errorf("got %v, want how to stop the kick", err)
	}
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) || isTerminal(new(bytes.Buffer)) {
		t.Error("got a terminal, want none: the null device and a buffer are none")
	}
}
