package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofDirectory = map[string]func(*testing.T, *fixture){
	"Table":             testTable,
	"TablePages":        testTablePages,
	"TablePagesOfFew":   testTablePagesOfFew,
	"TableCopies":       testTableCopies,
	"TablePointers":     testTablePointers,
	"MembersConcurrent": testMembersConcurrent,
	"TableUpdate":       testTableUpdate,
	"TableConcurrent":   testTableConcurrent,
	"GameServers":       testGameServers,
	"Audit":             testAudit,
	"Note":              testNote,
	"Notes":             testNotes,
	"Restore":           testRestore,
	"DirectoryReopen":   testDirectoryReopen,
}

func testTable(t *testing.T, f *fixture) {
	ctx, branches := t.Context(), f.Directory.Branches()
	_, err := branches.Get(ctx, "b1")
	wantErr(t, err, rollcall.ErrNotFound)
	wantErr(t, branches.Delete(ctx, f.entry("delete", "b1"), "b1"), rollcall.ErrNotFound)
	b := rollcall.Branch{ID: "b1", Currency: "THB", BrandCurrency: "USD", CreatedAt: f.now, UpdatedAt: f.now}
	must(t, branches.Create(ctx, f.entry("create", "b1"), "b1", b))
	wantErr(t, branches.Create(ctx, f.entry("create", "b1"), "b1", rollcall.Branch{ID: "other"}), rollcall.ErrExists)
	got, err := branches.Get(ctx, "b1")
	must(t, err)
	if got.ID != "b1" || got.Currency != "THB" || got.BrandCurrency != "USD" || !got.CreatedAt.Equal(f.now) {
		t.Errorf("got %+v, want %+v", got, b)
	}
	_, err = branches.Get(ctx, "B1")
	wantErr(t, err, rollcall.ErrNotFound) // keys are case-sensitive
	must(t, branches.Delete(ctx, f.entry("delete", "b1"), "b1"))
	_, err = branches.Get(ctx, "b1")
	wantErr(t, err, rollcall.ErrNotFound)
	must(t, branches.Create(ctx, f.entry("create", "b1"), "b1", b)) // the name is free again
}

func testTablePages(t *testing.T, f *fixture) {
	ctx, members := t.Context(), f.Directory.Members()
	for _, key := range []string{"a1/m2", "a1/m1", "a1/M1", "a10/x", "a1.b/y", "a2/m1", "a1/m10", "a2"} {
		must(t, members.Create(ctx, f.entry("create", key), key, rollcall.Member{AgentID: "a", Username: key}))
	}
	rows := []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"a1/", "", 10, "a1/M1 a1/m1 a1/m10 a1/m2"},
		{"a1/", "a1/m1", 10, "a1/m10 a1/m2"},
		{"a1/", "a1/m1", 1, "a1/m10"},
		{"a1/", "a1/m15", 10, "a1/m2"},
		{"a1/", "a1/m2", 10, ""},
		{"a1/", "a2/m1", 10, ""},
		{"a3/", "", 10, ""},
		{"a2", "", 10, "a2 a2/m1"},
		{"a2", "a2", 10, "a2/m1"},
		{"", "", 100, "a1.b/y a1/M1 a1/m1 a1/m10 a1/m2 a10/x a2 a2/m1"},
		{"", "a10/x", 100, "a2 a2/m1"},
	}
	for _, row := range rows {
		list, err := members.List(ctx, row.prefix, row.after, row.limit)
		must(t, err)
		var names []string
		for _, m := range list {
			names = append(names, m.Username)
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("List(%q, %q, %d): got %q, want %q", row.prefix, row.after, row.limit, got, row.want)
		}
	}
}

func testTableUpdate(t *testing.T, f *fixture) {
	ctx, agents := t.Context(), f.Directory.Agents()
	change := func(*roll.Agent) error { return nil }
	_, err := agents.Update(ctx, f.entry("change", "a1"), "a1", change)
	wantErr(t, err, rollcall.ErrNotFound)
	a := roll.Agent{Agent: rollcall.Agent{ID: "a1", Status: rollcall.AgentActive, Wallet: rollcall.WalletTransfer}, SecretHashes: map[string][]byte{"k": {1}}}
	must(t, agents.Create(ctx, f.entry("create", "a1"), "a1", a))
	before, err := agents.Get(ctx, "a1")
	must(t, err)
	again, err := agents.Get(ctx, "a1")
	must(t, err)
	if before != again {
		t.Error("two Gets without a change between returned two pointers")
	}
	refused := errors.New("refused")
	_, err = agents.Update(ctx, f.entry("change", "a1"), "a1", func(a *roll.Agent) error {
		a.Status = rollcall.AgentBlocked
		a.SecretHashes["k"][0] = 2
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v, want the change's own error", err)
	}
	if got, _ := agents.Get(ctx, "a1"); got.Status != rollcall.AgentActive || got.SecretHashes["k"][0] != 1 {
		t.Errorf("an update that failed has changed %+v", got)
	}
	after, err := agents.Update(ctx, f.entry("change", "a1"), "a1", func(a *roll.Agent) error {
		a.Status = rollcall.AgentBlocked
		a.SecretHashes["k"][0] = 3
		return nil
	})
	must(t, err)
	if after.Status != rollcall.AgentBlocked || before.Status != rollcall.AgentActive || before.SecretHashes["k"][0] != 1 || after == before {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func testTableConcurrent(t *testing.T, f *fixture) {
	ctx, games := t.Context(), f.Directory.Games()
	var won atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			err := games.Create(ctx, f.entry("create", "g"), "g", rollcall.Game{Code: "g"})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, rollcall.ErrExists) {
				t.Errorf("create: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 Creates won, want 1", won.Load())
	}
	for range 16 {
		all.Go(func() {
			_, err := games.Update(ctx, f.entry("change", "g"), "g", func(g *rollcall.Game) error {
				g.Modes = append(g.Modes, rollcall.ModeReal)
				return nil
			})
			if err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	all.Wait()
	if g, err := games.Get(ctx, "g"); err != nil || len(g.Modes) != 16 {
		t.Errorf("after 16 Updates: %+v, %v", g, err)
	}
}

func testAudit(t *testing.T, f *fixture) {
	ctx, branches := t.Context(), f.Directory.Branches()
	must(t, branches.Create(ctx, f.entry("create", "b1"), "b1", rollcall.Branch{ID: "b1"}))
	wantErr(t, branches.Create(ctx, f.entry("again", "b1"), "b1", rollcall.Branch{ID: "b1"}), rollcall.ErrExists)
	_, err := branches.Update(ctx, f.entry("refused", "b1"), "b1", func(*rollcall.Branch) error { return rollcall.ErrInvalid })
	wantErr(t, err, rollcall.ErrInvalid)
	_, err = branches.Update(ctx, f.entry("change", "b1"), "b1", func(*rollcall.Branch) error { return nil })
	must(t, err)
	must(t, branches.Delete(ctx, f.entry("delete", "b1"), "b1"))
	wantErr(t, branches.Delete(ctx, f.entry("nothing", "b1"), "b1"), rollcall.ErrNotFound)
	all, err := f.Directory.Audit(ctx, 0, 100)
	must(t, err)
	var actions []string
	for i, e := range all {
		actions = append(actions, e.Action)
		if e.Actor != "test" || e.Subject != "b1" || e.Detail != "detail" || !e.At.Equal(f.now) || i > 0 && e.Seq >= all[i-1].Seq {
			t.Errorf("entry %+v", e)
		}
	}
	if got := strings.Join(actions, " "); got != "delete change create" {
		t.Fatalf("got entries %q, want those of the changes that were made, newest first", got)
	}
	page, err := f.Directory.Audit(ctx, all[0].Seq, 1)
	must(t, err)
	if len(page) != 1 || page[0].Seq != all[1].Seq {
		t.Errorf("the page behind the newest: %+v", page)
	}
}

func testNote(t *testing.T, f *fixture) {
	must(t, f.Directory.Note(t.Context(), f.entry("session.kick", "k1")))
	must(t, f.Directory.Branches().Create(t.Context(), f.entry("create", "b1"), "b1", rollcall.Branch{ID: "b1"}))
	audit, err := f.Directory.Audit(t.Context(), 0, 10)
	must(t, err)
	if len(audit) != 2 || audit[1].Action != "session.kick" || audit[1].Subject != "k1" || audit[1].Actor != "test" || !audit[1].At.Equal(f.now) {
		t.Errorf("got %+v, want the note below the change", audit)
	}
}

func testGameServers(t *testing.T, f *fixture) {
	ctx, servers := t.Context(), f.Directory.GameServers()
	want := roll.GameServer{
		GameServer: rollcall.GameServer{ID: "s1", Games: []string{"g1"}, Draining: true, CreatedAt: f.now, UpdatedAt: f.now},
		Hashes:     [][]byte{{1}, {2, 3}},
	}
	must(t, servers.Create(ctx, f.entry("create", "s1"), "s1", want))
	wantErr(t, servers.Create(ctx, f.entry("create", "s1"), "s1", want), rollcall.ErrExists)
	if f.Reopen != nil {
		f.reopen(t)
		servers = f.Directory.GameServers()
	}
	list, err := servers.List(ctx, "", "", 10)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d game servers, want 1", len(list))
	}
	wantSame(t, "game server", *list[0], want)
	must(t, servers.Delete(ctx, f.entry("delete", "s1"), "s1"))
	_, err = servers.Get(ctx, "s1")
	wantErr(t, err, rollcall.ErrNotFound)
}

func testDirectoryReopen(t *testing.T, f *fixture) {
	ctx := t.Context()
	for i := range 3 {
		key := fmt.Sprintf("k%d", i)
		must(t, f.Directory.TokenKeys().Create(ctx, f.entry("create", key), key, roll.TokenKey{ID: key, Sealed: []byte{byte(i)}, CreatedAt: f.now}))
		must(t, f.Directory.Members().Create(ctx, f.entry("create", key), key, rollcall.Member{Username: key}))
	}
	must(t, f.Directory.TokenKeys().Delete(ctx, f.entry("delete", "k1"), "k1"))
	f.reopen(t)
	keys, err := f.Directory.TokenKeys().List(ctx, "", "", 10)
	must(t, err)
	if len(keys) != 2 || keys[0].ID != "k0" || keys[1].ID != "k2" || keys[1].Sealed[0] != 2 || !keys[1].CreatedAt.Equal(f.now) {
		t.Errorf("got %+v", keys)
	}
	if m, err := f.Directory.Members().Get(ctx, "k1"); err != nil || m.Username != "k1" {
		t.Errorf("got %+v, %v", m, err)
	}
	audit, err := f.Directory.Audit(ctx, 0, 100)
	must(t, err)
	if len(audit) != 7 {
		t.Errorf("%d entries, want 7", len(audit))
	}
}
