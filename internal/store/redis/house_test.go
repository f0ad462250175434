package redis

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A node is a Store as one process has it, with a game server s1 of boot b1.
type node struct {
	*Store

	t testing.TB
}

var prefixes atomic.Int64

func fresh() Options { return Options{New: true, Prefix: fmt.Sprint("n", prefixes.Add(1))} }

// open opens a Store, which is closed with the test.
func open(t testing.TB, url string, o Options) *node {
	t.Helper()
	n := openOnly(t, url, o)
	t.Cleanup(func() { must(t, n.Close()) })
	return n
}

func openOnly(t testing.TB, url string, o Options) *node {
	t.Helper()
	s, err := Open(t.Context(), url, o)
	must(t, err)
	return &node{s, t}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// patience is far beyond what a loaded machine needs.
const patience = 30 * time.Second

// eventually asks again and again what is wrong, until nothing is.
func eventually(t testing.TB, wrong func() error) {
	t.Helper()
	err := errors.New("not asked")
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); {
		if err = wrong(); err != nil {
			wait(t.Context(), 5*time.Millisecond)
		}
	}
	must(t, err)
}

// within fails where a call takes longer than it may.
func within(t testing.TB, d time.Duration, what string, do func()) {
	t.Helper()
	begun := time.Now()
	do()
	if took := time.Since(begun); took > d {
		t.Errorf("%s took %v, want %v at the most", what, took, d)
	}
}

// wantUnavailable fails on an error that is none of an outage.
func wantUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("%s: got %v, want ErrUnavailable", what, err)
	}
}

// session makes one of a member that starts now.
func (n *node) session(username string) rollcall.Session {
	now := n.Now().UTC().Truncate(time.Microsecond)
	return rollcall.Session{
		ID: roll.NewSessionID(now, roll.HomeOf("a1", username)), AgentID: "a1", Username: username, GameCode: "g1", Mode: rollcall.ModeReal,
		GameServer: "s1", BootID: "b1", Device: rollcall.DeviceMobile, IP: netip.MustParseAddr("192.0.2.7"), Lang: "en",
		Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "USD", Wallet: rollcall.WalletSeamless, LeaseSeconds: 90,
		StartedAt: now, SeenAt: now, ExpiresAt: now.Add(90 * time.Second), EndsAt: now.Add(12 * time.Hour),
	}
}

// launch stores a launch of a session.
func (n *node) launch(ctx context.Context, s rollcall.Session) (string, error) {
	home, _ := roll.HomeOfSession(s.ID)
	l := roll.Launch{
		Key: roll.LaunchKey(fmt.Sprintf("%s%08X", uuid.NewString(), home)), Session: s, CreatedAt: s.StartedAt, ExpiresAt: s.StartedAt.Add(5 * time.Minute),
	}
	l.Session.ID, l.Session.GameServer, l.Session.BootID = "", "", ""
	return l.Key, n.sessions.AddLaunch(ctx, l)
}

// begin launches and starts a session.
func (n *node) begin(ctx context.Context, s rollcall.Session) error {
	key, err := n.launch(ctx, s)
	if err == nil {
		_, err = n.sessions.Start(ctx, roll.Start{LaunchKey: key, Session: s, Tell: true})
	}
	return err
}

func (n *node) boot(server, bootID string) {
	n.t.Helper()
	must(n.t, n.sessions.Boot(n.t.Context(), server, bootID, n.Now()))
}

// start boots b1 of s1 if that is not done, and starts a session.
func (n *node) start(username string) rollcall.Session {
	n.t.Helper()
	if boot, err := n.sessions.CurrentBoot(n.t.Context(), "s1"); err != nil || boot == "" {
		must(n.t, err)
		n.boot("s1", "b1")
	}
	s := n.session(username)
	must(n.t, n.begin(n.t.Context(), s))
	return s
}

// kickOf is a kick of a member and its ending.
func (n *node) kickOf(username string) (rollcall.Kick, roll.Ending) {
	k := rollcall.Kick{
		ID: uuid.Must(uuid.NewV7()).String(), At: n.Now().Truncate(time.Microsecond), By: "an operator", Reason: rollcall.EndKicked,
		Filter: rollcall.SessionFilter{AgentID: "a1", Username: username}, State: rollcall.KickDone,
	}
	k.FinishedAt = k.At
	return k, roll.Ending{At: k.At, Reason: k.Reason, By: k.By, KickID: k.ID}
}

func (n *node) kick(username string) (rollcall.Kick, []rollcall.EndedSession) {
	n.t.Helper()
	k, e := n.kickOf(username)
	ended, err := n.sessions.EndMember(n.t.Context(), "a1", username, e, &k)
	must(n.t, err)
	return k, ended
}

// of returns the IDs of a member's active sessions.
func (n *node) of(username string) string {
	n.t.Helper()
	list, err := n.sessions.OfMember(n.t.Context(), "a1", username, n.Now())
	must(n.t, err)
	return idsOf(list)
}

func idsOf(list []rollcall.Session) string {
	var ids []string
	for i := range list {
		ids = append(ids, list[i].ID)
	}
	return strings.Join(ids, " ")
}

// pending returns the sessions of which s1 has events.
func (n *node) pending() []string {
	n.t.Helper()
	list, err := n.sessions.Pending(n.t.Context(), "s1", 0, 10_000)
	must(n.t, err)
	var ids []string
	for i := range list {
		ids = append(ids, list[i].SessionID)
	}
	return ids
}

func (n *node) epoch() roll.Epoch {
	n.t.Helper()
	e, err := n.sessions.Epoch(n.t.Context())
	must(n.t, err)
	return e
}

// announce announces sessions of b1 of s1 and returns why each was refused.
func (n *node) announce(list ...rollcall.Session) map[string]string {
	n.t.Helper()
	refused, err := n.sessions.Announce(n.t.Context(), "s1", "b1", list, n.Now())
	must(n.t, err)
	return refused
}

// waitEpoch returns when the epoch is another.
func (n *node) waitEpoch(before roll.Epoch) {
	n.t.Helper()
	eventually(n.t, func() error {
		if n.epoch().ID == before.ID {
			return errors.New("the epoch is the same")
		}
		return nil
	})
}

// members returns usernames whose partitions pick says.
func members(n int, pick func(*part) bool) (list []string) {
	k := newKeys("any")
	for i := 0; len(list) < n; i++ {
		username := fmt.Sprintf("player%05d", i)
		if pick(k.of(roll.HomeOf("a1", username))) {
			list = append(list, username)
		}
	}
	return list
}

// A load makes calls from several sides until it is stopped, and notes what was
// answered.
type load struct {
	n       *node
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	started map[string]rollcall.Session // that were answered, by ID
	failed  int
	longest time.Duration
}

// run has sides start sessions, each a member of its own. An error that is no
// outage fails the test.
func (n *node) run(sides int) *load {
	ctx, stop := context.WithCancel(n.t.Context())
	l := &load{n: n, stop: stop, started: make(map[string]rollcall.Session)}
	for side := range sides {
		l.running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.one(ctx, fmt.Sprintf("side%dn%d", side, i))
			}
		})
	}
	n.t.Cleanup(l.end)
	return l
}

func (l *load) one(ctx context.Context, username string) {
	s := l.n.session(username)
	begun := time.Now()
	key, err := l.n.launch(context.WithoutCancel(ctx), s)
	if err == nil {
		for { // as a game server does: the same again
			if _, err = l.n.sessions.Start(context.WithoutCancel(ctx), roll.Start{LaunchKey: key, Session: s}); err == nil || ctx.Err() != nil {
				break
			}
			wantUnavailable(l.n.t, "start", err)
			l.note(func() { l.failed++ })
		}
	} else {
		wantUnavailable(l.n.t, "launch", err)
	}
	l.note(func() {
		if l.longest = max(l.longest, time.Since(begun)); err == nil {
			l.started[s.ID] = s
		} else {
			l.failed++
		}
	})
}

func (l *load) note(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.started)
}

// more returns when n more sessions have been started.
func (l *load) more(n int) {
	l.n.t.Helper()
	want := l.count() + n
	eventually(l.n.t, func() error {
		if have := l.count(); have < want {
			return fmt.Errorf("%d sessions started, want %d", have, want)
		}
		return nil
	})
}

func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// check holds what was answered against what is there.
func (l *load) check() {
	t := l.n.t
	t.Helper()
	l.end()
	missing := 0
	for _, s := range l.started {
		if l.n.of(s.Username) != s.ID {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d sessions that were answered are not there", missing, len(l.started))
	}
	counts, err := l.n.sessions.Counts(t.Context())
	must(t, err)
	total := 0
	for _, c := range counts {
		total += c.Count
	}
	all, err := l.n.sessions.List(t.Context(), rollcall.SessionFilter{}, "", 1_000_000, l.n.Now())
	must(t, err)
	if total != len(all) || len(all) < len(l.started) {
		t.Errorf("counted %d sessions, listed %d, answered %d", total, len(all), len(l.started))
	}
	if !slices.IsSortedFunc(all, func(a, b rollcall.Session) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the list is not by ID")
	}
}
