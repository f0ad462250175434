package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall/wire"
)

// The answer that the protocol prints.
const printed = `{"code":0,"message":"No error.","data":[{"mode":"real","gamecode":"VP_230001_1","sessionInfo":{"deviceType":1,` +
	`"ipaddress":"127.0.0.1","lang":"en","gameCode":"VP_230001_1","username":"player001","launchType":2,"currency":"THB",` +
	`"brandCurrency":"THB","agentType":1}}],"logUUID":"955585ed-adeb-436e-8be0-ebf2b81b7d15"}`

// need skips a test for want of a program; with ROLLCALL_TEST_REQUIRE set it fails.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		t.Fatalf("no %s in PATH, and ROLLCALL_TEST_REQUIRE is set; on Debian: apt install %s", program, debian)
	}
	t.Skipf("no %s in PATH; on Debian: apt install %s", program, debian)
}

func newTestRivals(t *testing.T) *rivals {
	t.Helper()
	need(t, "taskset", "util-linux")
	dir := t.TempDir()
	t.Chdir("..") // peers are named from the project's root
	r, err := newRivals(&options{}, dir, []byte(printed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The peers that one would write by hand give Rollcall's answer, and refuse what
// it refuses: byHand holds them to that.
func TestPlainIsAlike(t *testing.T) {
	c, err := newTestRivals(t).plain(t.Context())
	loadAndStop(t, c, err)
}

func TestNodeIsAlike(t *testing.T) {
	need(t, "node", "nodejs")
	c, err := newTestRivals(t).node(t.Context())
	loadAndStop(t, c, err)
}

func loadAndStop(t *testing.T, c *contender, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.measure(t.Context(), 200, 4)
	if err != nil || s.cpu <= 0 || s.p50 <= 0 {
		t.Errorf("got %s CPU, p50 %s, %v", s.cpu, s.p50, err)
	}
	if err := c.server.stop(); err != nil {
		t.Error(err)
	}
}

// A server that looks at nothing is not taken for a peer.
func TestAlikeFindsOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(printed))
	}))
	defer server.Close()
	key, _ := wire.NewAPIKey()
	agent := &signer{address: strings.TrimPrefix(server.URL, "http://"), agentID: "agent", token: "a-token-of-some-length", key: key}
	if err := alike(t.Context(), agent, []byte(printed)); err == nil || !strings.Contains(err.Error(), "a nonce that was used") {
		t.Errorf("got %v, want that a nonce was good twice", err)
	}
	other := strings.Replace(printed, "127.0.0.1", "127.0.0.2", 1)
	if err := alike(t.Context(), agent, []byte(other)); err == nil || !strings.Contains(err.Error(), "want as in") {
		t.Errorf("got %v, want that the answer is another", err)
	}
}
