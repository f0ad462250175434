package store

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/vault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A filler puts something of everything into stores.
type filler struct {
	t   testing.TB
	s   *Stores
	now time.Time
}

const (
	fillMembers  = 2300 // more than two pages
	fillRequests = 1200
)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// fill fills stores as a server would, and a little of what it would seldom.
func fill(t testing.TB, s *Stores) {
	t.Helper()
	f := &filler{t, s, s.Clock()().UTC().Truncate(time.Microsecond)}
	f.directory()
	f.sessions()
	f.history()
	service := roll.New(roll.Options{Stores: s.Stores, Vault: mustVault(t)})
	must(t, service.HandOver(t.Context()))
}

func mustVault(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.New(vault.NewKey())
	must(t, err)
	return v
}

func (f *filler) entry(action, subject string) rollcall.AuditEntry {
	return rollcall.AuditEntry{At: f.now, Actor: "filler", Action: action, Subject: subject, Detail: `"<detail>" é`}
}

func (f *filler) directory() {
	ctx, t, d := f.t.Context(), f.t, f.s.Directory
	for _, id := range []string{"THB", "USD"} {
		must(t, d.Branches().Create(ctx, f.entry("branch.create", id), id, rollcall.Branch{ID: id, Currency: id, BrandCurrency: "EUR", CreatedAt: f.now}))
	}
	for _, code := range []string{"G1", "G2"} {
		must(t, d.Games().Create(ctx, f.entry("game.create", code), code, rollcall.Game{Code: code, Modes: []rollcall.Mode{"real", "demo"}, LeaseSeconds: 60}))
	}
	for _, id := range []string{"a1", "a2"} {
		must(t, d.Agents().Create(ctx, f.entry("agent.create", id), id, roll.Agent{
			Agent: rollcall.Agent{
				ID: id, BranchID: "THB", Status: rollcall.AgentActive, Wallet: rollcall.WalletSeamless, Signature: rollcall.SignatureHMAC,
				Limits: rollcall.SessionLimits{PerMember: 3}, RateLimit: rollcall.RateLimit{PerSecond: 10}, WebhookURL: "https://hooks.example/" + id,
				TokensNotBefore: f.now, APIKeys: []rollcall.KeyInfo{{ID: "k", CreatedAt: f.now}}, SecretKeys: []rollcall.KeyInfo{{ID: "s", CreatedAt: f.now}},
			},
			SealedAPIKeys: map[string][]byte{"k": {1, 2, 3}}, SecretHashes: map[string][]byte{"s": {4, 5}}, SealedWebhookSecret: []byte{6},
		}))
	}
	members := make(map[string]rollcall.Member)
	for i := range fillMembers {
		m := rollcall.Member{AgentID: "a1", Username: fmt.Sprintf("player%05d", i), SiteID: "site", Suspended: i%7 == 0, Currency: "THB", CreatedAt: f.now}
		members[memberKey(&m)] = m
	}
	_, err := d.Members().Restore(ctx, members)
	must(t, err)
	for i, id := range []string{"s1", "s2", "s3"} {
		must(t, d.GameServers().Create(ctx, f.entry("game-server.create", id), id, roll.GameServer{
			GameServer: rollcall.GameServer{ID: id, Games: []string{"G1"}, Draining: i == 2, CreatedAt: f.now}, Hashes: [][]byte{{7}, {8}},
		}))
	}
	must(t, d.AdminTokens().Create(ctx, f.entry("admin-token.create", "ann"), "ann", roll.AdminToken{Name: "ann", Hash: []byte{9}, CreatedAt: f.now}))
	must(t, d.TokenKeys().Create(ctx, f.entry("token-key.create", "k"), "k", roll.TokenKey{ID: "k", Sealed: []byte{10}, CreatedAt: f.now}))
	var notes []rollcall.AuditEntry
	for i := range 1500 {
		notes = append(notes, f.entry("note", fmt.Sprint(i)))
	}
	must(t, d.Note(ctx, notes...))
}

func (f *filler) session(username, server, boot string) rollcall.Session {
	home := roll.HomeOf("a1", username)
	return rollcall.Session{
		ID: roll.NewSessionID(f.now, home), AgentID: "a1", Username: username, GameCode: "G1", Mode: rollcall.ModeReal, GameServer: server, BootID: boot,
		Device: rollcall.DeviceMobile, IP: netip.MustParseAddr("192.0.2.7"), Lang: "en", Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "EUR",
		Wallet: rollcall.WalletSeamless, LobbyURL: "https://lobby.example/?a=1&b=2", LeaseSeconds: 90,
		StartedAt: f.now, SeenAt: f.now, ExpiresAt: f.now.Add(90 * time.Second), EndsAt: f.now.Add(12 * time.Hour),
	}
}

// start begins sessions of members from first on.
func (f *filler) start(server, boot string, first, n int, limits rollcall.SessionLimits) (ids []string) {
	f.t.Helper()
	for i := range n {
		s := f.session(fmt.Sprintf("player%05d", first+i), server, boot)
		home, _ := roll.HomeOfSession(s.ID)
		l := roll.Launch{Key: roll.LaunchKey(fmt.Sprintf("%s%08X", uuid.NewString(), home)), Session: s, CreatedAt: f.now, ExpiresAt: f.now.Add(5 * time.Minute)}
		must(f.t, f.s.Sessions.AddLaunch(f.t.Context(), l))
		_, err := f.s.Sessions.Start(f.t.Context(), roll.Start{LaunchKey: l.Key, Session: s, Tell: true, Limits: limits})
		must(f.t, err)
		ids = append(ids, s.ID)
	}
	return ids
}

func (f *filler) sessions() {
	ctx, t, s := f.t.Context(), f.t, f.s.Sessions
	boot := func(server, id string) { must(t, s.Boot(ctx, server, id, f.now)) }
	boot("s1", "b1")
	boot("s2", "old")
	f.start("s2", "old", 100, 3, rollcall.SessionLimits{})
	boot("s2", "new")
	f.start("s2", "new", 200, 5, rollcall.SessionLimits{})
	ids := f.start("s1", "b1", 300, 40, rollcall.SessionLimits{})
	f.start("s1", "b1", 300, 2, rollcall.SessionLimits{PerMember: 1, Policy: rollcall.LimitDisplaceOldest})
	_, err := s.End(ctx, ids[4:8], roll.Ending{At: f.now, Reason: rollcall.EndLeft, By: "game server s1", Note: "note"})
	must(t, err)
	kick := rollcall.Kick{
		ID: newID(), At: f.now, By: "ann", Why: "why", Message: "bye", Filter: rollcall.SessionFilter{AgentID: "a1", Username: "player00310"},
		Reason: rollcall.EndKicked, State: rollcall.KickDone, FinishedAt: f.now,
	}
	_, err = s.EndMember(ctx, "a1", "player00310", roll.Ending{At: f.now, Reason: rollcall.EndKicked, By: "ann", KickID: kick.ID}, &kick)
	must(t, err)
	running := rollcall.Kick{
		ID: newID(), At: f.now.Add(time.Millisecond), By: "ann", Filter: rollcall.SessionFilter{GameServer: "s1"}, Reason: rollcall.EndKicked,
		PerSecond: 5, State: rollcall.KickRunning, Matched: 30,
	}
	must(t, s.AddKick(ctx, running))
	_, err = s.End(ctx, ids[20:26], roll.Ending{At: f.now, Reason: rollcall.EndKicked, By: "ann", KickID: running.ID, Message: "bye", IfRunning: true})
	must(t, err)
	receipts, err := s.Receipts(ctx, running.ID, 0, 10)
	must(t, err)
	_, err = s.Mark(ctx, "s1", roll.Marks{
		At: f.now.Add(time.Second), Delivered: []int64{receipts[0].Seq}, Acknowledged: []int64{receipts[1].Seq},
		Ended: []roll.MarkEnded{{SessionID: receipts[2].SessionID, Note: "settled"}},
	})
	must(t, err)
	must(t, s.Tell(ctx, rollcall.Receipt{Event: rollcall.Event{Type: rollcall.EventDrain, QueuedAt: f.now}, GameServer: "s3"}))
}

func (f *filler) history() {
	ctx, t := f.t.Context(), f.t
	var records []rollcall.RequestRecord
	for i := range fillRequests {
		id := newID()
		if i < 3 {
			id = fmt.Sprintf("no-uuid-%d", i)
		}
		records = append(records, rollcall.RequestRecord{
			LogUUID: id, At: f.now, Endpoint: "/v2/auth", AgentID: "a1", Remote: "192.0.2.1:1", Status: 200, TookNanos: 5,
			Checks: []rollcall.RequestCheck{{Name: "agent", Passed: true}},
		})
	}
	must(t, f.s.History.AddRequests(ctx, records))
	old := f.session("player00001", "s1", "b0")
	old.StartedAt = f.now.Add(-48 * time.Hour)
	old.ID = roll.NewSessionID(old.StartedAt, roll.HomeOf("a1", "player00001"))
	must(t, f.s.History.AddEnded(ctx, []rollcall.EndedSession{{Session: old, EndedAt: f.now.Add(-47 * time.Hour), Reason: rollcall.EndLeft, By: "x", SettledAt: f.now, Note: "later"}}))
	must(t, f.s.History.AddDeliveries(ctx, []rollcall.WebhookDelivery{
		{ID: "d1", AgentID: "a1", Type: rollcall.WebhookEnded, SessionID: "x", Body: json.RawMessage(`{"a":1}`), CreatedAt: f.now, NextAt: f.now.Add(time.Hour), Attempts: 2, LastError: "503"},
		{ID: "d2", AgentID: "a2", Type: rollcall.WebhookEnded, SessionID: "y", Body: json.RawMessage(`{}`), CreatedAt: f.now, DeadAt: f.now},
	}))
}

// contents is all that stores hold, as the contracts show it, by kind: what a
// move may not change.
func contents(t testing.TB, s *Stores) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	put := func(kind string, value any) {
		text, err := json.Marshal(value)
		must(t, err)
		all[kind] = append(all[kind], string(text))
	}
	d := s.Directory
	table(t, put, "branch", d.Branches())
	table(t, put, "game", d.Games())
	table(t, put, "agent", d.Agents())
	table(t, put, "member", d.Members())
	table(t, put, "game server", d.GameServers())
	table(t, put, "admin token", d.AdminTokens())
	table(t, put, "token key", d.TokenKeys())
	audit, err := d.Audit(t.Context(), 0, 10_000)
	must(t, err)
	for _, e := range audit {
		if e.Actor != importActor {
			e.Seq, e.At = 0, e.At.Truncate(time.Millisecond)
			put("audit", e)
		}
	}
	history(t, put, s.History)
	liveContents(t, put, s.Sessions)
	for _, kind := range []string{"session", "request", "receipt", "pending", "pending of"} {
		slices.Sort(all[kind]) // their order is the store's
	}
	return all
}

func table[T any](t testing.TB, put func(string, any), kind string, table roll.Table[T]) {
	t.Helper()
	list, err := table.List(t.Context(), "", "", 10_000)
	must(t, err)
	for _, value := range list {
		put(kind, value)
	}
}

func history(t testing.TB, put func(string, any), h roll.History) {
	t.Helper()
	requests, err := h.RequestsAfter(t.Context(), "", 10_000)
	must(t, err)
	for _, r := range requests {
		put("request", r)
	}
	ended, err := h.EndedAfter(t.Context(), "", 10_000)
	must(t, err)
	for _, e := range ended {
		put("ended", e)
	}
	for _, dead := range []bool{false, true} {
		deliveries, err := h.DeliveriesOf(t.Context(), "", dead, "", 10_000)
		must(t, err)
		for _, d := range deliveries {
			put("delivery", d)
		}
	}
}

func liveContents(t testing.TB, put func(string, any), s roll.Sessions) {
	t.Helper()
	ctx := t.Context()
	sessions, err := s.List(ctx, rollcall.SessionFilter{}, "", 10_000, ever)
	must(t, err)
	for _, l := range sessions {
		l.ExpiresAt = time.Time{} // a lease begins anew
		put("session", l)
	}
	bare := func(r rollcall.Receipt) rollcall.Receipt {
		r.Seq, r.ID = 0, ""
		return r
	}
	for _, server := range []string{"s1", "s2", "s3"} {
		boot, err := s.CurrentBoot(ctx, server)
		must(t, err)
		put("boot", []string{server, boot})
		pending, err := s.Pending(ctx, server, 0, 10_000)
		must(t, err)
		for _, r := range pending {
			put("pending", bare(r))
		}
	}
	kicks, err := s.Kicks(ctx, "", false, 10_000)
	must(t, err)
	for _, k := range kicks {
		put("kick", k)
		receipts, err := s.Receipts(ctx, k.ID, 0, 10_000)
		must(t, err)
		for _, r := range receipts {
			put("receipt", bare(r))
			of, err := s.PendingOf(ctx, r.GameServer, []string{r.SessionID})
			must(t, err)
			put("pending of", []any{r.SessionID, len(of)})
		}
	}
}

// wantSame compares contents, and says of which kinds they differ and how.
func wantSame(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for kind := range want {
		if len(want[kind]) != len(got[kind]) {
			t.Errorf("%s: got %d, want %d", kind, len(got[kind]), len(want[kind]))
			continue
		}
		for i := range want[kind] {
			if got[kind][i] != want[kind][i] {
				t.Errorf("%s:\ngot  %s\nwant %s", kind, got[kind][i], want[kind][i])
				break
			}
		}
	}
	for kind := range got {
		if len(want[kind]) == 0 {
			t.Errorf("%s: got %s, want none", kind, strings.Join(got[kind], "\n"))
		}
	}
}
