package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall/conform"
)

// finds names, for each fault, cases that are about it and have to fail.
var finds = map[string][]string{
	"replay":           {"replay/again", "replay/nonce-again", "replay/auth-again", "replay/at-once"},
	"race":             {"replay/at-once", "replay/at-once-nonce"},
	"replay-auth":      {"replay/auth-again", "replay/at-once-auth"},
	"nonce-early":      {"replay/not-spent-by-token", "replay/not-spent-by-signature", "replay/not-spent-by-ciphertext"},
	"nonce-global":     {"replay/nonce-other-agent"},
	"old-signature":    {"signature/older-documentation"},
	"no-signature":     {"signature/one-digit", "signature/other-nonce", "signature/older-documentation"},
	"hmac-downgrade":   {"signature/hmac-plain"},
	"no-timestamp":     {"clock/day-old", "clock/day-ahead", "clock/time-zone", "clock/behind-beyond", "clock/ahead-beyond"},
	"lenient-base64":   {"wire/base64-url-safe", "wire/base64-unpadded", "wire/base64-tag-unpadded"},
	"skips-newlines":   {"wire/base64-newline", "wire/base64-crlf", "wire/base64-newline-inside", "wire/base64-newline-in-iv"},
	"null-for-empty":   {"check/no-session"},
	"key-order":        {"check/sessions-order"},
	"extra-member":     {"check/sessions-order"},
	"device-from-0":    {"check/sessions", "life/session"},
	"telltale-83":      {"envelope/alike-83"},
	"http-401":         {"envelope/status-83"},
	"any-agents-token": {"token/other-agent"},
	"alg-none":         {"token/alg-none"},
	"case-blind":       {"check/username-case"},
	"duplicates":       {"plaintext/duplicate", "plaintext/duplicate-escaped"},
	"trims-names":      {"plaintext/username-space-behind", "plaintext/username-space-in-front"},
	"no-tenancy":       {"check/others-member", "members/other-agent-unseen"},
	"same-loguuid":     {"envelope/loguuid-unique"},
	"code-as-text":     {"envelope/code-message-loguuid"},
	"any-secret":       {"auth/wrong-secret", "auth/secret-empty"},
	"secret-case":      {"auth/secret-case"},
	"kick-nothing":     {"life/kick", "life/kick-voids-launch"},
	"create-again":     {"members/again", "members/at-once"},
	"lobby-http":       {"opengame/lobby-http"},
	"data-with-error":  {"envelope/error-without-data"},
	"two-in-one-error": {"wire/tag-changed", "wire/key-random"},
}

// TestFaults: the kit finds each fault, by the cases that are about it, and nothing
// where there is none.
func TestFaults(t *testing.T) {
	file := sandbox(t)
	run := func(t *testing.T, fault, cases string) conform.Report {
		t.Helper()
		to, err := readTarget(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := newProxy(to, fault)
		if err != nil {
			t.Fatal(err)
		}
		front := httptest.NewServer(p)
		defer front.Close()
		o := options(t, file, front.URL)
		o.Only = regexp.MustCompile(cases)
		report, err := conform.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	t.Run("none", func(t *testing.T) {
		report := run(t, "", "")
		if n := report.Count(conform.Pass); n != len(conform.Cases()) {
			text := new(strings.Builder)
			_ = report.WriteText(text)
			t.Fatalf("%d of %d cases pass:\n%s", n, len(conform.Cases()), text)
		}
	})
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			want := finds[name]
			if len(want) == 0 {
				t.Fatal("no case is named for this fault")
			}
			failed := failures(run(t, name, groupsOf(want)))
			for _, id := range want {
				if !slices.Contains(failed, id) {
					t.Errorf("%s passes; failed: %q", id, failed)
				}
			}
			t.Logf("found by %d cases of these groups", len(failed))
		})
	}
}

// groupsOf picks the groups of cases, since to run all of them for each fault takes long.
func groupsOf(ids []string) string {
	var groups []string
	for _, id := range ids {
		group, _, _ := strings.Cut(id, "/")
		groups = append(groups, group)
	}
	return "^(" + strings.Join(groups, "|") + ")/"
}

func failures(r conform.Report) []string {
	var ids []string
	for _, result := range r.Results {
		if result.Outcome == conform.Fail {
			ids = append(ids, result.ID)
		}
	}
	return ids
}

// options are those of a run against a server that stands before the sandbox.
func options(t *testing.T, file, base string) conform.Options {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		GameURL     string
		GameServers []struct{ ID, Token string }
		Facts       struct {
			conform.Facts

			GameServer string
		}
		Agents []struct {
			conform.Agent

			Secret string
		}
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	o := conform.Options{BaseURL: base, Facts: c.Facts.Facts, AllowWrites: true, Strict: true, Rate: 100_000}
	for _, a := range c.Agents {
		a.SecretKey = a.Secret
		o.Agents = append(o.Agents, a.Agent)
	}
	for _, g := range c.GameServers {
		if g.ID == c.Facts.GameServer {
			o.Facts.GameURL, o.Facts.GameToken = c.GameURL, g.Token
		}
	}
	return o
}

// sandbox starts a true server and returns the file of its credentials.
func sandbox(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary, file := filepath.Join(dir, "rollcall"), filepath.Join(dir, "c.json")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/rollcall").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--credentials", file)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the sandbox has ended: %v", err)
		}
		if strings.Contains(line, "Ctrl-C ends") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return file
}

// The program is the proxy: one case through it shows the fault that its flag names.
func TestProgram(t *testing.T) {
	file := sandbox(t)
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"--credentials", file, "--fault", "http-401"}, w) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, base, _ := strings.Cut(strings.TrimSpace(line), " is at ")
	res, err := http.Post(base+"/v2/auth", "application/json", strings.NewReader(`{"cipherText":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("got HTTP %d, want the fault's 401", res.StatusCode)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"--credentials", file, "--fault", "none-such"}, io.Discard); err == nil {
		t.Error("a fault that there is not is taken")
	}
}
