package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/vault"
)

// runOnce runs rollcall to its end and returns its output.
func runOnce(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := runOnce(t, env, args...)
	if err != nil {
		t.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// A serving is a server that runs, and where.
type serving struct {
	*process
	v2, admin string
}

// startServe runs a server on free ports.
func startServe(t *testing.T, args ...string) *serving {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startServeBinary(t, path, args...)
}

func startServeBinary(t *testing.T, path string, args ...string) *serving {
	t.Helper()
	s := &serving{process: startBinary(t, path, "msg=serving", append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)...)}
	for field := range strings.FieldsSeq(s.line) {
		if url, ok := strings.CutPrefix(field, "v2="); ok {
			s.v2 = url
		}
		if url, ok := strings.CutPrefix(field, "admin="); ok {
			s.admin = url
		}
	}
	return s
}

// operator is the environment of who operates a server.
func (s *serving) operator(token string) []string {
	return []string{"ROLLCALL_ADMIN_URL=" + s.admin, "ROLLCALL_ADMIN_TOKEN=" + token}
}

// agentFile makes an agent and returns its credentials file.
func agentFile(t *testing.T, operator []string, id string, flags ...string) string {
	t.Helper()
	var made struct{ APIKey, SecretKey string }
	out := mustRun(t, operator, append([]string{"agent", "create", id, "--json"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	file := filepath.Join(t.TempDir(), "agent.json")
	c := Credentials{Agents: []AgentCredentials{{AgentID: id, APIKey: made.APIKey, Secret: made.SecretKey}}}
	if err := writeCredentials(file, c); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTwoNodes: what is made at one node is answered by the other, of which
// neither has a data directory, and one has a clock that is far off.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	admin := filepath.Join(dir, "admin.json")
	stores := []string{
		"--sessions", enginetest.Redis(t).URL(), "--directory", enginetest.Postgres(t).Database(t),
		"--master-key-file", filepath.Join(dir, "master.key"),
	}
	mustRun(t, nil, append([]string{"init", "--credentials", admin}, stores...)...)
	token, err := readCredentials(admin)
	if err != nil {
		t.Fatal(err)
	}
	a, b := startServe(t, stores...), startServe(t, append(stores, "--clock-offset", "-20m")...)
	atA := a.operator(token.AdminToken)
	mustRun(t, atA, "branch", "create", "THB", "--currency", "THB")
	agent := agentFile(t, atA, "acme", "--branch", "THB")
	mustRun(t, atA, "member", "create", "acme", "player001")
	for _, node := range []*serving{a, b} { // the other has heard of it in a moment
		eventually(t, node.v2+" knows the agent", func() bool {
			out, err := runOnce(t, nil, "check", "player001", "--credentials", agent, "--base-url", node.v2)
			return err == nil && strings.Contains(out, "no active session")
		})
	}
	a.stop(t)
	b.stop(t)
}

// TestSandboxOnEngines: the cast is the same there, and a second start finds it.
func TestSandboxOnEngines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"XDG_CACHE_HOME=" + dir}
	args := []string{
		"sandbox", "--once", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--sessions", enginetest.Redis(t).URL(), "--directory", enginetest.Postgres(t).Database(t),
	}
	var files [2]Credentials
	for i := range files {
		out := mustRun(t, env, args...)
		if !strings.Contains(out, `"gameCode":"VP_230001_1"`) {
			t.Fatalf("start %d: player001 has no session:\n%s", i+1, out)
		}
		found, err := filepath.Glob(filepath.Join(dir, "rollcall-sandbox", "*", sandboxCredentials))
		if err != nil || len(found) != 1 {
			t.Fatalf("got credentials %v (%v), want one file", found, err)
		}
		if files[i], err = readCredentials(found[0]); err != nil {
			t.Fatal(err)
		}
	}
	if files[0].Agents[0] != files[1].Agents[0] || files[0].AdminToken != files[1].AdminToken {
		t.Error("the second start made other keys")
	}
}

// TestMigrate: an empty database is brought to the version, once; serve
// --no-migrate refuses it before.
func TestMigrate(t *testing.T) {
	t.Parallel()
	database := "ROLLCALL_DIRECTORY=" + enginetest.Postgres(t).Database(t)
	keyFile := masterKey(t)
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key := "ROLLCALL_MASTER_KEY=" + strings.TrimSpace(string(text))
	out, err := runOnce(t, []string{database, key}, "serve", "--no-migrate", "--data", t.TempDir())
	if err == nil || !strings.Contains(out, "run rollcall migrate") {
		t.Fatalf("serve --no-migrate on an empty database: got %v, %s", err, out)
	}
	var runs [2]migration
	for i := range runs {
		if err := json.Unmarshal([]byte(mustRun(t, []string{database}, "migrate", "--json")), &runs[i]); err != nil {
			t.Fatal(err)
		}
	}
	first, second := runs[0], runs[1]
	if first.Before != 0 || first.After == 0 || second.Before != first.After || second.After != first.After || len(first.Steps) < 2 {
		t.Errorf("got %+v and then %+v, want from 0 to the version and then nothing", first, second)
	}
	data := t.TempDir()
	out, err = runOnce(t, []string{database, key}, "serve", "--no-migrate", "--data", data)
	if err == nil || !strings.Contains(out, "rollcall init") {
		t.Fatalf("serve on a database that nobody has made: got %v, %s", err, out)
	}
	mustRun(t, []string{database, key}, "init", "--data", data)
	serve := start(t, "msg=serving", "serve", "--no-migrate", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--directory", strings.TrimPrefix(database, "ROLLCALL_DIRECTORY="), "--master-key-file", keyFile)
	serve.stop(t)
}

// masterKey makes a file with one.
func masterKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "master.key")
	if err := writeSecretFile(file, []byte(vault.NewKey()+"\n")); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestSecretsAreNotShown: a password in a URL comes out nowhere.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	key := "ROLLCALL_MASTER_KEY=" + vault.NewKey()
	const secret = "s3cr3t"
	sessions := []string{"redis://:s3cr3t@127.0.0.1:1", "redis+sentinel://127.0.0.1:1/m?sentinel-password=s3cr3t", "s3cr3t://s3cr3t", "redis://%s3cr3t", "redis://:123#s3cr3tdef@127.0.0.1:1", "redis://:123/s3cr3t@127.0.0.1:1"}
	directories := []string{"postgres://u:s3cr3t@127.0.0.1:1/d", "postgres://127.0.0.1:1/d?password=s3cr3t", "host=h password=s3cr3t", "postgres://u:s3cr3t@127.0.0.1:x/d", "postgres://rollcall:12/s3cr3t@127.0.0.1/d", "postgres://rollcall:12?a=s3cr3t@127.0.0.1/d"}
	for i := range sessions {
		env := []string{key, "ROLLCALL_SESSIONS=" + sessions[i], "ROLLCALL_DIRECTORY=" + directories[i], "ROLLCALL_REDIS_TIMEOUT=100ms"}
		for _, args := range [][]string{{"serve"}, {"serve", "--check"}, {"serve", "--check", "--json"}, {"init"}, {"migrate"}} {
			if out, _ := runOnce(t, env, args...); strings.Contains(out, secret) || out == "" {
				t.Errorf("%v with %s and %s: got %q", args, sessions[i], directories[i], out)
			}
		}
	}
}

// TestMoveByCommand moves a sandbox's data, with a kill in the middle: its agent's
// keys and its sessions go on there.
func TestMoveByCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box, c := startSandbox(t, dir)
	dump, data := filepath.Join(dir, "dump.jsonl"), filepath.Join(dir, "data")
	if out, err := runOnce(t, nil, "export", "--data", data, "--to", dump); err == nil || !strings.Contains(out, "another process has this data directory open") {
		t.Fatalf("export of what a server holds: got %v, %s", err, out)
	}
	before := liveOf(t, c, "player001")
	box.kill()
	mustRun(t, nil, "export", "--data", data, "--to", dump)
	database := enginetest.Postgres(t).Database(t)
	stores := []string{"--sessions", enginetest.Redis(t).URL(), "--directory", database, "--master-key-file", filepath.Join(data, masterKeyName)}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	killed := exec.Command(path, append([]string{"import", "--from", dump}, stores...)...)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the import has begun", func() bool {
		out, _ := runOnce(t, nil, append([]string{"verify"}, stores[:4]...)...)
		return strings.Contains(out, "6 agents")
	})
	_ = killed.Process.Kill()
	_ = killed.Wait()
	mustRun(t, nil, append([]string{"import", "--from", dump}, stores...)...)
	if out := mustRun(t, nil, append([]string{"import", "--from", dump, "--json"}, stores...)...); !strings.Contains(out, `"before"`) {
		t.Errorf("the import again: got %s", out)
	}
	node := startServe(t, stores...)
	after := c
	after.AdminURL = node.admin
	list := liveOf(t, after, "player001")
	if len(list) != 1 || list[0].ID != before[0].ID || list[0].BootID != before[0].BootID {
		t.Errorf("got %+v, want the session %+v", list, before)
	}
	file := filepath.Join(dir, "c.json")
	defer func() {
		if t.Failed() {
			node.kill()
			t.Logf("the server said:\n%s", node.stderr)
		}
	}()
	eventually(t, "requests that are signed now are answered", func() bool {
		out, err := runOnce(t, nil, "check", "player001", "--credentials", file, "--base-url", node.v2)
		return err == nil && strings.Contains(out, "VP_230001_1")
	})
	if out, err := runOnce(t, nil, append([]string{"export", "--to", "-"}, stores[:4]...)...); err == nil || !strings.Contains(out, "a server is running on these stores") {
		t.Errorf("export of what a server uses: got %v, %s", err, out)
	}
	if out := mustRun(t, nil, append([]string{"verify"}, stores[:4]...)...); !strings.HasSuffix(out, "ok\n") {
		t.Errorf("verify beside a server: got %s", out)
	}
	node.stop(t)
}
