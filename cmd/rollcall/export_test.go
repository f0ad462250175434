package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// TestWriteWhole: what lies where the file is written first is neither followed
// nor does its mode stay.
func TestWriteWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "dump"), filepath.Join(dir, "elsewhere")
	write := func(w io.Writer) error { _, err := io.WriteString(w, "secret"); return err }
	read := func(name string) (string, os.FileMode) {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), info.Mode()
	}
	for what, plant := range map[string]func() error{
		"nothing":      func() error { return nil },
		"an open file": func() error { return os.WriteFile(path+".part", []byte("old and longer"), 0o644) },
		"a link":       func() error { return os.Symlink(elsewhere, path+".part") },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(elsewhere, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := writeWhole(path, write); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if text, mode := read(path); text != "secret" || mode != 0o600 {
			t.Errorf("%s: got %q of mode %o, want the file of mode 600", what, text, mode)
		}
		if text, _ := read(elsewhere); text != "mine" {
			t.Errorf("%s: what it links to was overwritten: %q", what, text)
		}
	}
}

// TestTwoServersApart: two servers that would not agree do not both start.
func TestTwoServersApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := masterKey(t)
	first := []string{"--directory", enginetest.Postgres(t).Database(t), "--master-key-file", key, "--data", filepath.Join(dir, "s1")}
	second := append(append([]string{}, first[:5]...), filepath.Join(dir, "s2"))
	mustRun(t, nil, append([]string{"init"}, first...)...)
	one := startServe(t, first...)
	for _, args := range [][]string{
		append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, second...),
		append([]string{"export", "--to", filepath.Join(dir, "dump")}, append(append([]string{}, second[:2]...), "--sessions", enginetest.Redis(t).URL())...),
	} {
		if out, err := runOnce(t, nil, args...); err == nil || !strings.Contains(out, "a server is running on these stores") {
			t.Errorf("%s beside a server: got %v, %s", args[0], err, out)
		}
	}
	one.stop(t)
	mustRun(t, nil, append([]string{"export", "--to", filepath.Join(dir, "dump")}, append(append([]string{}, first[:2]...), first[4:]...)...)...)
	startServe(t, second...).stop(t)
}

// TestImportWithoutAKey: it is not told to make one, which would be a wrong one.
func TestImportWithoutAKey(t *testing.T) {
	t.Parallel()
	out, err := runOnce(t, nil, "import", "--from", "none", "--data", t.TempDir())
	if err == nil || strings.Contains(out, "init") || !strings.Contains(out, "the master key of the stores that were exported") {
		t.Errorf("got %v, %s", err, out)
	}
}
