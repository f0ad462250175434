package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

// The tests of this file's users run the real binary as a process of its own.

// binary builds rollcall once and returns its path; plainBinary that without the
// race detector, for tests whose figures are to mean something.
var (
	binary      = sync.OnceValues(func() (string, error) { return build("-race") })
	plainBinary = sync.OnceValues(func() (string, error) { return build() })
)

func build(flags ...string) (string, error) {
	dir, err := os.MkdirTemp("", "rollcall-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rollcall")
	out, err := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// A process is a running rollcall.
type process struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	line   string        // the one that had ready in it
	exited chan struct{} // closed when Wait has returned
	err    error         // what it returned
}

// start runs rollcall until a line of its output has ready in it.
func start(t *testing.T, ready string, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startBinary(t, path, ready, args...)
}

func startBinary(t *testing.T, path, ready string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), stderr: new(bytes.Buffer), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // or each would end a second late
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, io.MultiWriter(p.stderr, w)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		close(p.exited)
	}()
	t.Cleanup(func() { p.kill() })
	up := make(chan bool, 1)
	go func() {
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			if strings.Contains(line, ready) {
				p.line = line
				up <- true
				_, _ = io.Copy(io.Discard, lines)
				return
			}
			if err != nil {
				up <- false
				return
			}
		}
	}()
	if !<-up {
		<-p.exited
		t.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), p.err, p.stderr)
	}
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// stop is SIGTERM, and the exit code must be 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.err != nil {
		t.Fatalf("after SIGTERM: %v\n%s", p.err, p.stderr)
	}
}

// startSandbox runs a sandbox on free ports over the data in dir.
func startSandbox(t *testing.T, dir string, flags ...string) (*process, Credentials) {
	t.Helper()
	file := filepath.Join(dir, "c.json")
	p := start(t, "Ctrl-C ends", append([]string{
		"sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--data", filepath.Join(dir, "data"), "--credentials", file,
	}, flags...)...)
	c, err := readCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func (c Credentials) role(t *testing.T, role string) AgentCredentials {
	t.Helper()
	for _, a := range c.Agents {
		if a.Role == role {
			return a
		}
	}
	t.Fatalf("no agent of role %q", role)
	return AgentCredentials{}
}

// admin calls the operators' API and decodes the answer into out, if not nil.
// The error is for calls that a dying server does not answer.
func (c Credentials) admin(ctx context.Context, client *http.Client, method, path string, in, out any) (status int, err error) {
	return call(ctx, client, method, c.AdminURL+path, c.AdminToken, in, out)
}

// game calls the game servers' API with a game server's token.
func (c Credentials) game(client *http.Client, token, path string, in, out any) (status int, err error) {
	return call(context.Background(), client, http.MethodPost, c.GameURL+path, token, in, out)
}

func call(ctx context.Context, client *http.Client, method, url, token string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(text, out)
	}
	return res.StatusCode, err
}

// eventually calls ok until it is true, for at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("after a minute still not: %s", what)
		case <-tick.C:
		}
	}
}
