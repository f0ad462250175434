package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take to come true.
const patience = time.Minute

// binary builds rollcall once and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rollcall-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rollcall")
	build := exec.Command("go", "build", "-race", "-o", path, "./cmd/rollcall")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// command makes a command of the binary, which does not wait a second at its end,
// as the race detector has programs do.
func command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// A sandbox is a running "rollcall sandbox", and its credentials file.
type sandbox struct {
	path, file string
	adminURL   string
	adminToken string
	// stop ends it, once, and holds that it ended well.
	stop func()
}

func startSandbox(t *testing.T) *sandbox {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{path: path, file: filepath.Join(t.TempDir(), "c.json")}
	cmd := command(path, "sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--credentials", s.file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("sandbox: %v\n%s", err, &stderr)
		}
	})
	t.Cleanup(s.stop)
	if !hasLine(out, "Ctrl-C ends") {
		t.Fatal("the sandbox has not begun")
	}
	s.readCredentials(t)
	return s
}

// hasLine reads r until a line has text in it, and goes on to read it.
func hasLine(r io.Reader, text string) bool {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			go io.Copy(io.Discard, r)
			return true
		}
	}
	return false
}

func (s *sandbox) readCredentials(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ AdminURL, AdminToken string }
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	s.adminURL, s.adminToken = c.AdminURL, c.AdminToken
}

// run runs an integrator's command and returns what it prints.
func (s *sandbox) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(s.path, append(args, "--credentials", s.file)...).Output()
	if err != nil {
		var stderr []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return strings.TrimSpace(string(out))
}

// A checked is a session as the v2 API tells of it.
type checked struct {
	Mode        string
	GameCode    string
	SessionInfo struct{ DeviceType, LaunchType int }
}

// check asks for the active sessions of player002, whom all the tests play.
func (s *sandbox) check(t *testing.T) (sessions []checked) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.run(t, "check", "player002", "--json")), &sessions); err != nil {
		t.Fatal(err)
	}
	return sessions
}

// admin calls the operators' API and decodes the answer into out, if not nil.
func (s *sandbox) admin(t *testing.T, method, path, body string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.adminURL+"/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.adminToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: status %d, %v\n%s", method, path, res.StatusCode, err, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}

// eventually calls ok until it is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("after %s still not: %s", patience, what)
		case <-tick.C:
		}
	}
}
