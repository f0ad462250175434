package enginetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Without its program a test is skipped, or fails where it is required; both
// say what to install.
func TestMissing(t *testing.T) {
	rows := []struct {
		name, test string
		env        []string
		fails      bool
		says       string
	}{
		{"skipped", "TestRedis", nil, false, "no redis-server found; on Debian: apt install redis-server"},
		{"required", "TestRedis", []string{"ROLLCALL_TEST_REQUIRE=1"}, true, "no redis-server found, and ROLLCALL_TEST_REQUIRE is set"},
		{"named", "TestRedis", []string{"ROLLCALL_TEST_REDIS_SERVER=no-such"}, false, "no no-such found; ROLLCALL_TEST_REDIS_SERVER names it"},
	}
	for _, row := range rows {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+row.test+"$")
		cmd.Env = append([]string{"PATH=" + t.TempDir()}, row.env...)
		out, err := cmd.CombinedOutput()
		if (err != nil) != row.fails || !strings.Contains(string(out), row.says) {
			t.Errorf("%s: got %v, %s, want %q", row.name, err, out, row.says)
		}
	}
}

// A server that does not come up says why, by its own words.
func TestNoStart(t *testing.T) {
	p, err := newProcess(t.TempDir(), "redis")
	must(t, "make", err)
	defer p.close()
	p.argv = []string{redisProgram(t), "--port", "no-port"}
	err = p.start(func() error { return errors.New("no answer") })
	if err == nil || !strings.Contains(err.Error(), "the process ended: no answer") || !strings.Contains(err.Error(), "FATAL CONFIG FILE ERROR") {
		t.Errorf("got %v, want the end of the process and its output", err)
	}
}

func TestVersion(t *testing.T) {
	for path, want := range map[string]float64{"/usr/lib/postgresql/9.6/bin/initdb": 9.6, "/usr/lib/postgresql/15/bin/initdb": 15, "/usr/bin/initdb": 0} {
		if got := version(filepath.FromSlash(path)); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}
