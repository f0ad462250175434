package storetest

import (
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Backends may keep small tables in another way than the members: the pages
// follow the same rule.
func testTablePagesOfFew(t *testing.T, f *fixture) {
	ctx, games := t.Context(), f.Directory.Games()
	for _, key := range []string{"b2", "a", "b10", "B1", "b1", "b.1", "c/1"} {
		must(t, games.Create(ctx, f.entry("create", key), key, rollcall.Game{Code: key}))
	}
	rows := []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 100, "B1 a b.1 b1 b10 b2 c/1"},
		{"", "", 0, ""},
		{"", "a", 2, "b.1 b1"},
		{"b", "", 100, "b.1 b1 b10 b2"},
		{"b", "B1", 1, "b.1"},
		{"b1", "b1", 100, "b10"},
		{"b", "b11", 100, "b2"},
		{"b", "c", 100, ""},
		{"d", "", 100, ""},
	}
	for _, row := range rows {
		list, err := games.List(ctx, row.prefix, row.after, row.limit)
		must(t, err)
		var codes []string
		for _, g := range list {
			codes = append(codes, g.Code)
		}
		if got := strings.Join(codes, " "); got != row.want {
			t.Errorf("List(%q, %q, %d): got %q, want %q", row.prefix, row.after, row.limit, got, row.want)
		}
	}
}

// What the caller does to a value after Create, or to the copy of an Update
// after it has returned, is no matter of the store's.
func testTableCopies(t *testing.T, f *fixture) {
	ctx, agents := t.Context(), f.Directory.Agents()
	value := roll.Agent{Agent: rollcall.Agent{ID: "a1", Status: rollcall.AgentActive, Wallet: rollcall.WalletTransfer}, SecretHashes: map[string][]byte{"k": {1}}}
	must(t, agents.Create(ctx, f.entry("create", "a1"), "a1", value))
	value.SecretHashes["k"][0] = 9
	var kept *roll.Agent
	_, err := agents.Update(ctx, f.entry("change", "a1"), "a1", func(a *roll.Agent) error {
		kept = a
		if a.SecretHashes["k"][0] != 1 {
			t.Errorf("the store has the caller's own map: %v", a.SecretHashes)
		}
		a.SecretHashes["k"][0] = 2
		return nil
	})
	must(t, err)
	kept.SecretHashes["k"][0] = 9
	got, err := agents.Get(ctx, "a1")
	must(t, err)
	if got.SecretHashes["k"][0] != 2 {
		t.Errorf("got %v, want what the change made", got.SecretHashes)
	}
}

// The same pointer means that nothing has changed in between.
func testTablePointers(t *testing.T, f *fixture) {
	ctx, branches := t.Context(), f.Directory.Branches()
	must(t, branches.Create(ctx, f.entry("create", "b1"), "b1", rollcall.Branch{ID: "b1"}))
	get := func() *rollcall.Branch {
		t.Helper()
		b, err := branches.Get(ctx, "b1")
		must(t, err)
		return b
	}
	first := get()
	if list, err := branches.List(ctx, "", "", 1); err != nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("List: %+v, %v; Get has %+v", list, err, first)
	}
	_, err := branches.Update(ctx, f.entry("change", "b1"), "b1", func(*rollcall.Branch) error { return nil })
	must(t, err)
	second := get()
	must(t, branches.Delete(ctx, f.entry("delete", "b1"), "b1"))
	must(t, branches.Create(ctx, f.entry("create", "b1"), "b1", rollcall.Branch{ID: "b1"}))
	if third := get(); first == second || second == third || first == third {
		t.Error("a pointer stayed the same over a change")
	}
}

// Members may be kept in another way than the small tables: changes of one do
// not lose each other either.
func testMembersConcurrent(t *testing.T, f *fixture) {
	ctx, members, key := t.Context(), f.Directory.Members(), roll.MemberKey("a1", "m")
	must(t, members.Create(ctx, f.entry("create", key), key, rollcall.Member{AgentID: "a1", Username: "m"}))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, err := members.Update(ctx, f.entry("change", key), key, func(m *rollcall.Member) error {
				m.SiteID += "x"
				return nil
			})
			if err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	all.Wait()
	m, err := members.Get(ctx, key)
	must(t, err)
	if len(m.SiteID) != 16 {
		t.Errorf("%d of 16 Updates are there", len(m.SiteID))
	}
	audit, err := f.Directory.Audit(ctx, 0, 100)
	must(t, err)
	if len(audit) != 17 {
		t.Errorf("%d audit entries, want 17", len(audit))
	}
}
