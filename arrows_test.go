package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rollcall-server/rollcall"

// An arrow says what the packages at a place may import. A place is a folder
// below the module's root ("." is the root itself); "internal/store/*" stands
// for each folder in internal/store.
type arrow struct {
	place string
	// ours are the places of this module that it may import; "any" takes all
	// but cmd. A package may always import what lies in its own folder.
	ours []string
	// theirs are the third-party modules that it may import; "any" takes all.
	theirs []string
	// tests are places that its test files may import as well.
	tests []string
}

const anything = "any"

// arrows is the direction in which packages know each other. A new package
// needs a row of its own: say here what it may know.
//
// No place names cmd among ours: nothing imports cmd. Only cmd, rollcalltest
// and internal/store, which opens the backend that a configuration names, may
// import backends; the tests of the rules run over the backend in memory.
var arrows = []arrow{
	{place: "."},
	{place: "wire", ours: []string{"."}},
	{place: "client", ours: []string{".", "wire"}, tests: []string{"rollcalltest"}},
	{place: "conform", ours: []string{".", "wire", "client"}},
	{place: "conform/vectors"},
	{place: "conform/broken", ours: []string{".", "wire"}, tests: []string{"conform"}},
	{place: "internal/admin", ours: []string{".", "wire"}},
	{place: "internal/openapi"},
	{place: "internal/openapi/gen", ours: []string{"internal/openapi"}, theirs: []string{"go.yaml.in/yaml/v4"}},
	{ // only tests import it
		place: "internal/openapi/openapitest", ours: []string{"internal/openapi"},
		theirs: []string{"github.com/santhosh-tekuri/jsonschema/v6"}, tests: []string{"wire"},
	},
	{place: "internal/explain", ours: []string{".", "wire"}},
	{place: "internal/vault"},
	{place: "internal/h1"},
	{place: "internal/webhook"},
	{place: "internal/live", ours: []string{".", "internal/roll"}},
	{
		place: "internal/roll", ours: []string{".", "internal/vault", "internal/webhook"}, theirs: []string{"github.com/google/uuid"},
		tests: []string{"internal/store/memory"},
	},
	{
		place: "internal/auth", ours: []string{".", "wire", "internal/explain", "internal/roll", "internal/vault"},
		theirs: []string{"github.com/golang-jwt/jwt/v5"}, tests: []string{"internal/store/memory"},
	},
	{
		place: "internal/store/storetest", ours: []string{".", "internal/roll", "internal/live", "internal/store/memory"},
		theirs: []string{anything},
	},
	{place: "internal/store/enginetest"},
	{
		place: "internal/store/*", ours: []string{".", "internal/roll", "internal/live"}, theirs: []string{anything},
		tests: []string{"internal/store/storetest", "internal/store/enginetest", "internal/vault"},
	},
	{place: "internal/store", ours: []string{anything}, theirs: []string{anything}},
	{
		place:  "internal/server",
		ours:   []string{".", "wire", "internal/admin", "internal/auth", "internal/console", "internal/explain", "internal/h1", "internal/openapi", "internal/roll", "internal/vault"},
		theirs: []string{anything}, tests: []string{"client", "conform", "internal/openapi/openapitest", "internal/store/memory"},
	},
	{place: "internal/console", ours: []string{".", "internal/admin", "internal/auth", "internal/roll"}, theirs: []string{anything}},
	{
		place: "internal/arcade", ours: []string{".", "wire", "client"},
		tests: []string{"internal/auth", "internal/roll", "internal/server", "internal/store/memory", "internal/vault"},
	},
	{place: "rollcalltest", ours: []string{anything}, theirs: []string{anything}},
	{
		place:  "bench", // it fills stores past the server
		ours:   []string{".", "wire", "client", "internal/admin", "internal/roll", "internal/store/redis", "internal/store/enginetest"},
		theirs: []string{anything},
	},
	{place: "examples/*", ours: []string{".", "wire", "client"}},
	{place: "bench/peers/plain", theirs: []string{"github.com/golang-jwt/jwt/v5", "github.com/google/uuid"}},
	{place: "examples/*", ours: []string{".", "client"}},
	{place: "cmd/rollcall", ours: []string{anything}, theirs: []string{anything}},
}

// fault says what is wrong with a file in place from that imports target, or
// returns "" where nothing is.
func fault(from, target string, test bool) string {
	rule, ok := ruleOf(from)
	if !ok {
		return fmt.Sprintf("%s is a new package: say in the list arrows of arrows_test.go what it may import", from)
	}
	place, ours := strings.CutPrefix(target+"/", module+"/")
	switch place = strings.TrimSuffix(place, "/"); {
	case !ours:
		return foreignFault(rule, from, target, test)
	case place == "":
		place = "."
	}
	switch {
	case place == from:
		return "" // an external test of the package itself
	case isAt(place, "cmd"):
		return fmt.Sprintf("%s imports %s: nothing imports cmd", from, place)
	case takes(rule.ours, place), test && takes(rule.tests, place):
		return ""
	}
	return fmt.Sprintf("%s imports %s, against the arrows: it may know %q", from, place, rule.ours)
}

// foreignFault judges an import from outside the module. Tests may use what
// third parties they like.
func foreignFault(rule arrow, from, target string, test bool) string {
	first, _, _ := strings.Cut(target, "/")
	switch {
	case target == "C":
		return from + " imports C: the module builds without cgo"
	case !strings.Contains(first, "."), test, slices.Contains(rule.theirs, anything):
		return ""
	}
	for _, m := range rule.theirs {
		if isAt(target, m) {
			return ""
		}
	}
	return fmt.Sprintf("%s imports %s: its third parties are %q", from, target, rule.theirs)
}

// ruleOf finds the row of a place: its own, else that of its parent's "/*".
func ruleOf(place string) (arrow, bool) {
	for _, want := range []string{place, path.Dir(place) + "/*"} {
		for _, a := range arrows {
			if a.place == want {
				return a, true
			}
		}
	}
	return arrow{}, false
}

func takes(places []string, place string) bool {
	return slices.Contains(places, anything) || slices.Contains(places, place)
}

// isAt reports whether place is folder or lies in it.
func isAt(place, folder string) bool { return place == folder || strings.HasPrefix(place, folder+"/") }

// TestArrows reads the project's files itself: a test that asks the go command
// would pass from the cache after they changed.
func TestArrows(t *testing.T) {
	files := 0
	unknown := map[string]bool{}
	for place, name := range goFiles(t) {
		files++
		if _, ok := ruleOf(place); !ok {
			if !unknown[place] {
				t.Error(fault(place, "", false))
			}
			unknown[place] = true
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := fault(place, target, strings.HasSuffix(name, "_test.go")); why != "" {
				t.Errorf("%s: %s", name, why)
			}
		}
	}
	if files < 10 {
		t.Errorf("got %d files, want the whole project's", files)
	}
}

// goFiles walks the module's Go files, each with its place. Folders that the go
// command leaves out, and modules of their own, are none of it.
func goFiles(t *testing.T) func(yield func(place, name string) bool) {
	t.Helper()
	return func(yield func(place, name string) bool) {
		root := os.DirFS(".")
		err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
			base := entry.Name()
			switch {
			case err != nil:
				return err
			case entry.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor"):
				return fs.SkipDir
			case entry.IsDir() && name != ".":
				if _, err := fs.Stat(root, name+"/go.mod"); err == nil {
					return fs.SkipDir
				}
			case !entry.IsDir() && path.Ext(name) == ".go" && base[0] != '.' && base[0] != '_':
				if !yield(path.Dir(name), name) {
					return fs.SkipAll
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestArrowsFail holds the rules themselves: an import against them is found.
func TestArrowsFail(t *testing.T) {
	const m = module + "/"
	rows := []struct {
		from, target string
		test, ok     bool
	}{
		{".", "encoding/json", false, true},
		{".", "github.com/google/uuid", false, false},
		{".", "github.com/google/go-cmp/cmp", true, true},
		{".", m + "wire", false, false},
		{".", m + "wire", true, false},
		{".", "C", false, false},
		{"wire", module, false, true},
		{"wire", m + "wire", true, true},
		{"wire", m + "client", false, false},
		{"wire", m + "internal/roll", true, false},
		{"wire", "golang.org/x/crypto/hkdf", false, false},
		{"wire", "pgregory.net/rapid", true, true},
		{"client", m + "wire", false, true},
		{"client", m + "internal/auth", false, false},
		{"client", m + "rollcalltest", false, false},
		{"client", m + "rollcalltest", true, true},
		{"client", m + "internal/vault", true, false},
		{"client", "github.com/golang-jwt/jwt/v5", false, false},
		{"internal/admin", module, false, true},
		{"internal/admin", m + "internal/roll", false, false},
		{"internal/vault", "crypto/hkdf", false, true},
		{"internal/vault", module, false, false},
		{"internal/vault", "golang.org/x/crypto/argon2", false, false},
		{"internal/live", module, false, true},
		{"internal/live", m + "internal/roll", false, true},
		{"internal/live", m + "wire", false, false},
		{"internal/roll", m + "internal/vault", false, true},
		{"internal/roll", "github.com/google/uuid", false, true},
		{"internal/roll", "github.com/google/uuid2", false, false},
		{"internal/roll", "modernc.org/sqlite", false, false},
		{"internal/roll", m + "wire", false, false},
		{"internal/roll", m + "internal/live", false, false},
		{"internal/roll", m + "internal/store/memory", false, false},
		{"internal/roll", m + "internal/store/memory", true, true},
		{"internal/roll", m + "internal/store/sqlite", true, false},
		{"internal/roll", m + "internal/auth", true, false},
		{"internal/auth", "github.com/golang-jwt/jwt/v5", false, true},
		{"internal/auth", "github.com/golang-jwt/jwt/v4", false, false},
		{"internal/auth", m + "internal/server", false, false},
		{"internal/auth", m + "internal/store/memory", false, false},
		{"internal/store/sqlite", m + "internal/live", false, true},
		{"internal/store/sqlite", "modernc.org/sqlite", false, true},
		{"internal/store/sqlite", m + "internal/store/memory", false, false},
		{"internal/store/sqlite", m + "internal/store/memory", true, false},
		{"internal/store/sqlite", m + "internal/store/storetest", true, true},
		{"internal/store/sqlite", m + "internal/store/storetest", false, false},
		{"internal/store/sqlite", m + "wire", false, false},
		{"internal/store/sqlite", m + "internal/auth", true, false},
		{"internal/store/newengine", m + "internal/roll", false, true},
		{"internal/store/newengine", m + "internal/store/sqlite", false, false},
		{"internal/store/storetest", m + "internal/store/memory", false, true},
		{"internal/store/storetest", m + "internal/store/sqlite", false, false},
		{"internal/store/sqlite", m + "internal/store/enginetest", true, true},
		{"internal/store/sqlite", m + "internal/store/enginetest", false, false},
		{"internal/store/enginetest", "github.com/redis/rueidis", false, false},
		{"internal/store", m + "internal/store/sqlite", false, true},
		{"internal/store", m + "cmd/rollcall", false, false},
		{"internal/server", m + "internal/auth", false, true},
		{"internal/server", m + "internal/store/memory", false, false},
		{"internal/server", m + "internal/store/memory", true, true},
		{"internal/server", m + "internal/store/sqlite", true, false},
		{"internal/server", m + "internal/store", false, false},
		{"internal/server", m + "internal/live", false, false},
		{"internal/server", m + "cmd/rollcall", false, false},
		{"internal/server", m + "cmd/rollcall", true, false},
		{"internal/server", m + "internal/openapi", false, true},
		{"internal/server", m + "internal/openapi/openapitest", false, false},
		{"internal/server", m + "internal/openapi/openapitest", true, true},
		{"internal/openapi", m + "wire", false, false},
		{"internal/arcade", m + "client", false, true},
		{"internal/arcade", m + "internal/roll", false, false},
		{"internal/arcade", m + "internal/server", false, false},
		{"internal/arcade", m + "internal/server", true, true},
		{"rollcalltest", m + "internal/store/memory", false, true},
		{"rollcalltest", m + "cmd/rollcall", false, false},
		{"bench", m + "client", false, true},
		{"bench", m + "internal/store/sqlite", false, false},
		{"cmd/rollcall", m + "internal/store/sqlite", false, true},
		{"cmd/rollcall", m + "cmd/rollcall", true, true},
		{"examples/go", m + "client", false, true},
		{"examples/go", m + "wire", false, true},
		{"examples/go", m + "internal/roll", false, false},
		{"newpackage", "fmt", false, false},
		{"internal/newpackage", "fmt", false, false},
		{"internal/store/sqlite/deeper", "fmt", false, false},
		{"cmd/other", "fmt", false, false},
		{"wire", module + "x/y", false, false}, // another module, whose name begins alike
	}
	for _, row := range rows {
		if why := fault(row.from, row.target, row.test); (why == "") != row.ok {
			t.Errorf("%s imports %s (test: %v): got %q, want ok: %v", row.from, row.target, row.test, why, row.ok)
		}
	}
	if why := fault("newpackage", "fmt", false); !strings.Contains(why, "arrows_test.go") {
		t.Errorf("got %q, want where to add the package", why)
	}
}

// TestDocumented: every package that a user of the module can import says in
// one comment what it is for. That each exported name has one too is for the
// linter, revive's rule exported.
func TestDocumented(t *testing.T) {
	comments := map[string]int{}
	for place, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		comments[place] += packageComment(t, name, file)
	}
	for place, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", place, n)
		}
	}
}

func packageComment(t *testing.T, name string, file *ast.File) int {
	t.Helper()
	if file.Doc == nil {
		return 0
	}
	start := "Package " + file.Name.Name + " "
	if file.Name.Name == "main" {
		start = ""
	}
	if !strings.HasPrefix(file.Doc.Text(), start) {
		t.Errorf("%s: the package comment does not start with %q", name, start)
	}
	return 1
}
