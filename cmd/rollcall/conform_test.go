package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rollcall-server/rollcall/conform"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// The kit finds nothing wrong with the binary, on each combination of stores. What it
// cannot try there is named here.
func TestConform(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		stores  func() []string
		skipped []string
	}{
		{"SQLite", func() []string { return nil }, nil},
		{"SQLite and PostgreSQL", func() []string {
			return []string{"--directory", enginetest.Postgres(t).Database(t)}
		}, nil},
		{"Redis and SQLite", func() []string { return []string{"--sessions", enginetest.Redis(t).URL()} }, nil},
		{"Redis and PostgreSQL", func() []string {
			return []string{"--sessions", enginetest.Redis(t).URL(), "--directory", enginetest.Postgres(t).Database(t)}
		}, nil},
		{"Redis Cluster and PostgreSQL", func() []string {
			return []string{"--sessions", enginetest.Cluster(t).URL(), "--directory", enginetest.Postgres(t).Database(t)}
		}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			startSandbox(t, dir, row.stores()...)
			report := runConform(t, filepath.Join(dir, "c.json"))
			var skipped []string
			for _, r := range report.Results {
				switch r.Outcome {
				case conform.Pass:
				case conform.Skip:
					skipped = append(skipped, r.ID)
				default:
					t.Errorf("%s %s: %s\nsent:\n%s\ncame:\n%s", r.Outcome, r.ID, r.Reason, r.Sent, r.Came)
				}
			}
			if !slices.Equal(skipped, row.skipped) {
				t.Errorf("skipped are %q, want %q", skipped, row.skipped)
			}
			if n := len(conform.Cases()); len(report.Results) != n || report.Stopped != "" {
				t.Errorf("%d of %d cases were run: %s", len(report.Results), n, report.Stopped)
			}
		})
	}
}

// runConform runs the command of the binary, and returns its report.
func runConform(t *testing.T, credentials string) conform.Report {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "conform", "--credentials", credentials, "--allow-writes", "--strict", "--rate", "1000", "--json")
	cmd.Stderr = os.Stderr
	out, runErr := cmd.Output()
	var report conform.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v, %v: %s", runErr, err, out)
	}
	if runErr != nil {
		t.Errorf("rollcall conform: %v", runErr)
	}
	return report
}
