package roll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/internal/webhook"
)

// A world is a service over store/memory with one agent, branch, game and
// member. Under synctest its clock is the bubble's.
type world struct {
	*roll.Service

	stores roll.Stores
	log    bytes.Buffer
	s1     *roll.GameServer // has booted as boot1
}

func newWorld(t *testing.T, change ...func(*roll.Options)) *world {
	t.Helper()
	keys, err := vault.New(vault.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{stores: memory.New(memory.Options{MaxClockSkew: 5 * time.Minute}).Stores()}
	o := roll.Options{
		Stores: w.stores, Vault: keys, LaunchURL: "https://games.example/play?from=rollcall",
		Webhooks: webhook.New(webhook.Options{AllowPrivate: true}),
		Log:      slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	w.Service = roll.New(o)
	must(t, w.Prepare(t.Context()))
	_, err = w.CreateBranch(t.Context(), "test", rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "USD"})
	must(t, err)
	_, err = w.CreateGame(t.Context(), "test", rollcall.Game{Code: "g1", Modes: []rollcall.Mode{rollcall.ModeReal}})
	must(t, err)
	_, _, err = w.CreateAgent(t.Context(), "test", rollcall.Agent{
		ID: "a1", BranchID: "THB", Signature: rollcall.SignaturePlain, Wallet: rollcall.WalletSeamless,
	}, roll.NewKeys{})
	must(t, err)
	_, err = w.CreateMember(t.Context(), "test", "a1", "player001", "")
	must(t, err)
	w.s1 = w.server(t, "s1")
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

// launch is what player001 launches, where a test says nothing else.
func launch() roll.LaunchParams {
	return roll.LaunchParams{
		Username: "player001", GameCode: "g1", Device: rollcall.DeviceMobile,
		IP: netip.MustParseAddr("::ffff:192.0.2.1"), Lang: "en", Launch: rollcall.LaunchBoth,
	}
}

// token launches a game and returns the launch token.
func (w *world) token(t *testing.T, p roll.LaunchParams) string {
	t.Helper()
	to, _, err := w.OpenGame(t.Context(), w.caller(t), p)
	must(t, err)
	u, err := url.Parse(to)
	must(t, err)
	return u.Query().Get("token")
}

// server returns a game server that has booted, and makes it where it is not there.
func (w *world) server(t *testing.T, id string) *roll.GameServer {
	t.Helper()
	_, text, err := w.CreateGameServer(t.Context(), "test", rollcall.GameServer{ID: id})
	if errors.Is(err, rollcall.ErrExists) {
		text, err = w.RotateGameServerToken(t.Context(), "test", id)
	}
	must(t, err)
	g, err := w.VerifyGameServer(t.Context(), text)
	must(t, err)
	_, err = w.Boot(t.Context(), g, "boot1")
	must(t, err)
	return g
}

// play launches a game for player001 and starts it on s1.
func (w *world) play(t *testing.T, change ...func(*roll.LaunchParams)) rollcall.Session {
	t.Helper()
	p := launch()
	for _, c := range change {
		c(&p)
	}
	s, _, err := w.Start(t.Context(), w.s1, "boot1", w.token(t, p))
	must(t, err)
	return s
}

func (w *world) end(t *testing.T, id string) bool {
	t.Helper()
	was, err := w.End(t.Context(), w.s1, roll.SessionEnd{ID: id})
	must(t, err)
	return was
}

// beat sends a heartbeat of s1 and returns what it did not renew.
func (w *world) beat(t *testing.T, ids ...string) []string {
	t.Helper()
	b, err := w.Heartbeat(t.Context(), w.s1, "boot1", ids, nil)
	must(t, err)
	return b.Unknown
}

// run runs the service, which is idle when this returns, until the test ends.
func (w *world) run(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	synctest.Wait()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

func (w *world) caller(t *testing.T) roll.Caller {
	t.Helper()
	agent, err := w.stores.Directory.Agents().Get(t.Context(), "a1")
	must(t, err)
	return roll.Caller{Agent: agent}
}

// active returns how many sessions a check shows.
func (w *world) active(t *testing.T) int {
	t.Helper()
	sessions, err := w.CheckSessions(t.Context(), w.caller(t), "player001")
	must(t, err)
	return len(sessions)
}

// A lease ends at its very moment, seen by every reader at once, and the session
// is removed at most 2 s later.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(t)
		s2 := w.server(t, "s2")
		s := w.play(t)
		time.Sleep(60 * time.Second) // virtual
		if unknown := w.beat(t, s.ID, "none"); fmt.Sprint(unknown) != "[none]" {
			t.Errorf("unknown: got %v, want [none]", unknown)
		}
		other, err := w.Heartbeat(t.Context(), s2, "boot1", []string{s.ID}, nil)
		must(t, err)
		if fmt.Sprint(other.Unknown) != "["+s.ID+"]" {
			t.Errorf("another server's heartbeat: unknown %v, want the session", other.Unknown)
		}
		time.Sleep(90*time.Second - time.Nanosecond)
		if n := w.active(t); n != 1 {
			t.Errorf("1 ns before the lease ends: %d sessions, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		if n := w.active(t); n != 0 {
			t.Errorf("when the lease ends: %d sessions, want 0", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		counts, err := w.stores.Sessions.Counts(t.Context())
		must(t, err)
		if len(counts) != 0 {
			t.Errorf("2 s later the store still holds %v", counts)
		}
		if !strings.Contains(w.log.String(), "reason=expired") {
			t.Errorf("the log does not tell: %s", w.log.String())
		}
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.play(t)
		for range 12*60 - 1 {
			time.Sleep(time.Minute) // virtual
			if len(w.beat(t, s.ID)) > 0 {
				t.Fatal("the session ended before its time")
			}
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if n := w.active(t); n != 1 {
			t.Errorf("1 ns before 12 h: %d sessions, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		if n := w.active(t); n != 0 {
			t.Errorf("after 12 h: %d sessions, want 0", n)
		}
		if len(w.beat(t, s.ID)) != 1 {
			t.Error("a heartbeat after the lifetime renewed the session")
		}
	})
}

// Branch before member (spec 8), and each agent sees its own only (spec 6.3).
func TestCheckSessionsOrder(t *testing.T) {
	w := newWorld(t)
	_, err := w.CheckSessions(t.Context(), w.caller(t), "nobody")
	wantErr(t, err, rollcall.ErrMemberNotFound)
	_, err = w.ChangeAgent(t.Context(), "test", "a1", func(a *rollcall.Agent) { a.BranchID = "" })
	must(t, err)
	_, err = w.CheckSessions(t.Context(), w.caller(t), "nobody")
	wantErr(t, err, rollcall.ErrBranchNotConfigured)
}

func TestEnd(t *testing.T) {
	w := newWorld(t)
	s := w.play(t)
	if !w.end(t, s.ID) {
		t.Error("the first end found nothing")
	}
	if w.end(t, s.ID) {
		t.Error("the second end found the session")
	}
	_, err := w.Session(t.Context(), s.ID)
	wantErr(t, err, rollcall.ErrNotFound)
	if n := w.active(t); n != 0 {
		t.Errorf("a check shows %d sessions, want 0", n)
	}
}

func TestDeletions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.play(t)
	wantErr(t, w.DeleteBranch(ctx, "test", "THB"), rollcall.ErrInUse)
	wantErr(t, w.DeleteGame(ctx, "test", "g1"), rollcall.ErrInUse)
	wantErr(t, w.DeleteAgent(ctx, "test", "a1"), rollcall.ErrInUse)
	must(t, w.DeleteMember(ctx, "test", "a1", "player001"))
	_, err := w.CheckSessions(ctx, w.caller(t), "player001")
	wantErr(t, err, rollcall.ErrMemberNotFound)
	must(t, w.DeleteGame(ctx, "test", "g1"))
	must(t, w.DeleteAgent(ctx, "test", "a1"))
	must(t, w.DeleteBranch(ctx, "test", "THB"))
	for _, err := range []error{
		w.DeleteMember(ctx, "test", "a1", "player001"), w.DeleteGame(ctx, "test", "g1"),
		w.DeleteAgent(ctx, "test", "a1"), w.DeleteBranch(ctx, "test", "THB"),
	} {
		wantErr(t, err, rollcall.ErrNotFound)
	}
}

// However a Start and the deletion of its member interleave, no session of a
// member that is gone stays.
func TestStartRacesDeletion(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		token, started := w.token(t, launch()), make(chan struct{})
		go func() {
			defer close(started)
			_, _, _ = w.Start(context.Background(), w.s1, "boot1", token)
		}()
		must(t, w.DeleteMember(t.Context(), "test", "a1", "player001"))
		<-started
		sessions, err := w.Sessions(t.Context(), rollcall.SessionFilter{AgentID: "a1", Username: "player001"}, "", 10)
		must(t, err)
		if len(sessions) != 0 {
			t.Fatalf("the member is gone and has sessions: %v", sessions)
		}
		_, err = w.CreateMember(t.Context(), "test", "a1", "player001", "")
		must(t, err)
	}
}

func TestKeyLimits(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, kind := range []roll.KeyKind{roll.KindAPIKey, roll.KindSecretKey} {
		agent, err := w.Agent(ctx, "a1")
		must(t, err)
		only := append(append([]rollcall.KeyInfo{}, agent.APIKeys...), agent.SecretKeys...)
		for _, k := range only {
			_, err = w.RetireKey(ctx, "test", "a1", kind, k.ID)
			if !errors.Is(err, rollcall.ErrInUse) && !errors.Is(err, rollcall.ErrNotFound) {
				t.Errorf("retiring the only %s: got %v", kind, err)
			}
		}
		_, _, err = w.AddKey(ctx, "test", "a1", kind, "short")
		wantErr(t, err, rollcall.ErrInvalid)
		_, _, err = w.AddKey(ctx, "test", "a1", kind, "")
		must(t, err)
		_, _, err = w.AddKey(ctx, "test", "a1", kind, "")
		wantErr(t, err, rollcall.ErrInUse)
	}
}

func TestAdminTokens(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	text, err := w.CreateAdminToken(ctx, "test", "ann_b")
	must(t, err)
	name, err := w.VerifyAdminToken(ctx, text)
	must(t, err)
	if name != "ann_b" {
		t.Errorf("got name %q, want ann_b", name)
	}
	last := text[len(text)-len("X_ann_b")]
	for _, wrong := range []string{"", "rca_", "rca__ann_b", text + "x", strings.Replace(text, string(last)+"_ann_b", "?_ann_b", 1), strings.TrimPrefix(text, "rca_")} {
		_, err := w.VerifyAdminToken(ctx, wrong)
		wantErr(t, err, rollcall.ErrAuthentication)
	}
	wantErr(t, w.DeleteAdminToken(ctx, "test", "ann_b"), rollcall.ErrInUse)
	_, err = w.CreateAdminToken(ctx, "test", "ann_b")
	wantErr(t, err, rollcall.ErrExists)
	_, err = w.CreateAdminToken(ctx, "test", "ben")
	must(t, err)
	must(t, w.DeleteAdminToken(ctx, "test", "ann_b"))
	_, err = w.VerifyAdminToken(ctx, text)
	wantErr(t, err, rollcall.ErrAuthentication)
}

// Every change says who and what, and no secret.
func TestAudit(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, secret, err := w.AddKey(ctx, "ann", "a1", roll.KindSecretKey, "")
	must(t, err)
	_, err = w.SetAgentStatus(ctx, "ben", "a1", rollcall.AgentBlocked)
	must(t, err)
	_, err = w.SetAgentStatus(ctx, "ben", "nobody", rollcall.AgentBlocked)
	wantErr(t, err, rollcall.ErrNotFound)
	entries, err := w.Audit(ctx, 0, 2)
	must(t, err)
	got := ""
	for _, e := range entries {
		got += fmt.Sprintf("%s %s %s; ", e.Actor, e.Action, e.Subject)
		if e.At.IsZero() || strings.Contains(fmt.Sprint(e), secret) {
			t.Errorf("entry %+v", e)
		}
	}
	if want := "ben agent.block a1; ann agent.add-secret-key a1; "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Stores that were written under another master key are not served from.
func TestPrepareWithAnotherMasterKey(t *testing.T) {
	w := newWorld(t)
	other, err := vault.New(vault.NewKey())
	must(t, err)
	err = roll.New(roll.Options{Stores: w.stores, Vault: other}).Prepare(t.Context())
	if !errors.Is(err, vault.ErrWrongKey) || !strings.Contains(err.Error(), "master key does not fit the data") {
		t.Errorf("got %v", err)
	}
}
