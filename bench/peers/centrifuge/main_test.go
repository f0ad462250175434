package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/centrifugal/centrifuge"
)

func newTestAPI(t *testing.T) *api {
	t.Helper()
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	present, err := engine(node, nil)
	if err != nil {
		t.Fatal(err)
	}
	node.SetPresenceManager(present)
	if err := join(present, &config{Channel: "player001", Session: json.RawMessage(`{"mode":"real"}`)}); err != nil {
		t.Fatal(err)
	}
	return &api{node: node, key: []byte("key")}
}

func TestPresence(t *testing.T) {
	a := newTestAPI(t)
	for _, row := range []struct {
		name, key, body string
		status          int
		answer          string
	}{
		{"present", "key", `{"channel":"player001"}`, http.StatusOK, `"user":"player001","conn_info":{"mode":"real"}`},
		{"nobody", "key", `{"channel":"player002"}`, http.StatusOK, `{"result":{"presence":{}}}`},
		{"another key", "kez", `{"channel":"player001"}`, http.StatusUnauthorized, `{"error":"unauthorized"}`},
		{"no JSON", "key", `player001`, http.StatusBadRequest, `{"error":"bad request"}`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/presence", strings.NewReader(row.body))
		r.Header.Set("X-API-Key", row.key)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.answer) {
			t.Errorf("%s: got %d %s, want %d with %s", row.name, w.Code, w.Body, row.status, row.answer)
		}
	}
}
