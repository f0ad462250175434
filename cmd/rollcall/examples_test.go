package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An example is a program of examples/: a client in one language, and what shows it.
type example struct {
	name string
	file string
	// program, and what stands between it and the file; find, if set, looks for a
	// program that will do in the place of PATH's first.
	program string
	flags   []string
	find    func() string
	// also is another program that has to be there, and packages Debian's.
	also, packages string
	// sdk: when it comes again after no answer is the SDK's to say.
	sdk bool
}

var examples = []example{
	{name: "Node.js", file: "node/rollcall.mjs", program: "node", packages: "nodejs"},
	{name: "Python", file: "python/rollcall.py", program: "python3", find: pythonWithCryptography, packages: "python3-cryptography"},
	{name: "PHP", file: "php/rollcall.php", program: "php", packages: "php-cli"},
	{name: "Java", file: "java/Rollcall.java", program: "java", also: "javac", packages: "default-jdk-headless"},
	{name: "Ruby", file: "ruby/rollcall.rb", program: "ruby", flags: []string{"-w"}, packages: "ruby"},
	{name: "Go", file: "go/main.go", program: "go", flags: []string{"run"}, packages: "golang", sdk: true},
}

const examplesDir = "../../examples"

// pythonWithCryptography returns the first python3 in PATH that has the module, as
// Debian's own is not always the first.
func pythonWithCryptography() string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		python := filepath.Join(dir, "python3")
		if exec.Command(python, "-c", "import cryptography").Run() == nil {
			return python
		}
	}
	return ""
}

// need returns the command that runs the example, or skips the test; with
// ROLLCALL_TEST_REQUIRE set its programs have to be there.
func (x example) need(t *testing.T) []string {
	t.Helper()
	program, err := exec.LookPath(x.program)
	if x.find != nil {
		program = x.find()
	}
	if err == nil && x.also != "" {
		_, err = exec.LookPath(x.also)
	}
	file := filepath.Join(examplesDir, x.file)
	// That it is read here tells go test to run again when it has changed.
	if _, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if err != nil || program == "" {
		missing(t, "nothing in PATH to run the example in "+x.name, x.packages)
	}
	return append(append([]string{program}, x.flags...), file)
}

// missing skips a test for want of what stands in Debian's packages; with
// ROLLCALL_TEST_REQUIRE set it fails.
func missing(t *testing.T, what, packages string) {
	t.Helper()
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		t.Fatalf("%s, and ROLLCALL_TEST_REQUIRE is set; on Debian: apt install %s", what, packages)
	}
	t.Skipf("%s; on Debian: apt install %s", what, packages)
}

// runExample runs command with the credentials c in a file.
func runExample(t *testing.T, command []string, c Credentials) (stdout, stderr string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.json")
	if err := writeCredentials(file, c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], file)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=Asia/Bangkok") // neither is to matter
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	for _, agent := range c.Agents {
		for _, secret := range []string{agent.APIKey, agent.Secret} {
			if strings.Contains(out.String()+errs.String(), secret[:min(len(secret), 16)]) {
				t.Error("the output has a key in it")
			}
		}
	}
	return out.String(), errs.String(), err
}

// inWeather returns the transcript as it is where the last check lacks sessions.
func inWeather(transcript string) string {
	const none = "no session\n"
	last := strings.LastIndex(transcript, none)
	return transcript[:last] + "no session, but some may be missing\n" + transcript[last+len(none):]
}

// Each language prints the same transcript, also through bad weather, and stops
// where what answers is no Rollcall or the key is none.
func TestExamples(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join(examplesDir, "testdata/transcript.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, c := startSandbox(t, t.TempDir())
	for _, x := range examples {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			command := x.need(t)
			stdout, stderr, err := runExample(t, command, c)
			if diff := cmp.Diff(string(golden), stdout); diff != "" || err != nil {
				t.Fatalf("%v\n%s\n-want +got:\n%s", err, stderr, diff)
			}
			t.Run("bad weather", func(t *testing.T) {
				w := newWeather(t, c.BaseURL)
				stdout, stderr, err := runExample(t, command, w.at(c))
				if diff := cmp.Diff(inWeather(string(golden)), stdout); diff != "" || err != nil {
					t.Errorf("%v\n%s\n-want +got:\n%s", err, stderr, diff)
				}
				w.judge(t)
			})
			t.Run("no Rollcall", func(t *testing.T) {
				w := newWeather(t, "")
				stdout, stderr, err := runExample(t, command, w.at(c))
				n := len(w.sightings())
				if err == nil || stdout != "" || !strings.Contains(stderr, "502") || n == 0 || n > 1 && !x.sdk {
					t.Errorf("got %v, %d calls, output %q, want an error that names the status after one call:\n%s", err, n, stdout, stderr)
				}
			})
			t.Run("half a key", func(t *testing.T) {
				w := newWeather(t, c.BaseURL)
				half := w.at(c)
				half.Agents[0].APIKey = half.Agents[0].APIKey[:32]
				stdout, stderr, err := runExample(t, command, half)
				if n := len(w.sightings()); err == nil || stdout != "" || n != 0 {
					t.Errorf("got %v, %d calls, output %q, want an error and no call:\n%s", err, n, stdout, stderr)
				}
			})
		})
	}
}
