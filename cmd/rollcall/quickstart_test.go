package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/quick-start.md works as it stands there: its blocks "sh" are run one after
// the other, each server in a block "sh background" on ports of its own.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/quick-start.md")
	if err != nil {
		t.Fatal(err)
	}
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	q := quickStart{t: t, dir: t.TempDir(), bin: filepath.Dir(built), ports: strings.NewReplacer()}
	servers := 0
	for _, block := range regexp.MustCompile("(?ms)^```sh( background)?\n(.*?)^```").FindAllStringSubmatch(string(page), -1) {
		if block[1] == "" {
			q.script.WriteString(block[2])
			continue
		}
		q.run()
		q.serve(block[2])
		servers++
	}
	q.run()
	if servers != 2 {
		t.Errorf("the page has %d servers, want 2", servers)
	}
}

// A quickStart is somebody who follows the page, in a directory of their own.
type quickStart struct {
	t        *testing.T
	dir, bin string
	ports    *strings.Replacer // puts free ports in the place of the page's
	script   strings.Builder   // what is not run yet
}

// run runs what has been read, in one shell, in which each command has to work.
func (q *quickStart) run() {
	q.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", q.ports.Replace(q.script.String()))
	q.script.Reset()
	cmd.Dir = q.dir
	cmd.Env = append(os.Environ(), "PATH="+q.bin+":"+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		q.t.Fatalf("%v\n%s", err, out)
	}
}

// serve starts a server on free ports, and returns when it serves.
func (q *quickStart) serve(command string) {
	q.t.Helper()
	v2, admin := freeAddress(q.t), freeAddress(q.t)
	q.ports = strings.NewReplacer("127.0.0.1:7401", v2, "127.0.0.1:7402", admin)
	// init has written where it expected the operators' API.
	q.script.WriteString("export ROLLCALL_ADMIN_URL=http://" + admin + "\n")
	shell := "cd " + q.dir + " && exec " + q.bin + "/" + strings.TrimSpace(command) + " --listen " + v2 + " --admin-listen " + admin
	ready := map[bool]string{true: "Ctrl-C ends", false: "msg=serving"}[strings.Contains(command, "sandbox")]
	startBinary(q.t, "bash", ready, "-c", shell)
}

// freeAddress returns an address of the loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
