package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rollcall": main})
}

// The commands as their users type them.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Cmds: scriptCmds()})
}

// The whole path of a session is the same on engines.
func TestLifeOnEngines(t *testing.T) {
	t.Parallel()
	for name, sessions := range map[string]func() string{
		"Redis":   func() string { return enginetest.Redis(t).URL() },
		"Cluster": func() string { return enginetest.Cluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/script/life.txtar")
			if err != nil {
				t.Fatal(err)
			}
			const box = "exec rollcall sandbox "
			engines := "--sessions " + sessions() + " --directory " + enginetest.Postgres(t).Database(t) + " "
			script := strings.ReplaceAll(string(text), box, box+engines)
			file := filepath.Join(t.TempDir(), "life.txtar")
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			testscript.Run(t, testscript.Params{Files: []string{file}, RequireExplicitExec: true, Cmds: scriptCmds()})
		})
	}
}

func scriptCmds() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"waitfile": waitFile, "setenv": setEnv, "game": callGame, "events": readEvents,
	}
}

// waitFile waits until a file is there.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s is not there after 30 s", args[0])
		case <-tick.C:
		}
	}
}

// setEnv sets a variable to what a pattern's group finds in the last output.
func setEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME PATTERN")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("the last output has no %s:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// gameRequest makes a request of the game servers' API, by the variables GAME_URL
// and GAME_TOKEN.
func gameRequest(ts *testscript.TestScript, method, path, body string) *http.Response {
	r, err := http.NewRequestWithContext(context.Background(), method, ts.Getenv("GAME_URL")+"/game/v1/"+path, strings.NewReader(body))
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+ts.Getenv("GAME_TOKEN"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Last-Event-ID", ts.Getenv("LAST_EVENT_ID"))
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	return res
}

// callGame posts to the game servers' API and prints the answer; with ! it has to
// be one of 4xx.
func callGame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: game PATH BODY")
	}
	res := gameRequest(ts, http.MethodPost, args[0], args[1])
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	if refused := res.StatusCode >= 400; refused != neg {
		ts.Fatalf("status %d: %s", res.StatusCode, text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}

// readEvents prints as many events of the stream as are asked for.
func readEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: events COUNT")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	res := gameRequest(ts, http.MethodGet, "events", "")
	defer res.Body.Close()
	cut := time.AfterFunc(30*time.Second, func() { res.Body.Close() })
	defer cut.Stop()
	lines := bufio.NewScanner(res.Body)
	for want > 0 && lines.Scan() {
		if _, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			want--
		}
		fmt.Fprintln(ts.Stdout(), lines.Text())
	}
	if want > 0 {
		ts.Fatalf("%d events are missing: %v", want, lines.Err())
	}
}
