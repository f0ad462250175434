// Package storetest is the one suite that every backend passes: each sentence of
// the contracts in internal/roll, held against the backend itself.
package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// MaxClockSkew is what a Backend is to be opened with.
const MaxClockSkew = 5 * time.Minute

// A Backend is a backend under test.
type Backend struct {
	roll.Stores

	// Reopen closes the stores and opens the same data again; nil where a
	// backend keeps nothing.
	Reopen func(t *testing.T) roll.Stores
	// Engine says that the stores are a process of its own: leases outlive a
	// restart of ours as they are, and launches are forgotten by its own clock.
	Engine bool
}

// Memory returns stores in memory, for a backend that is not all four.
func Memory(now func() time.Time) roll.Stores {
	return memory.New(memory.Options{MaxClockSkew: MaxClockSkew, Now: now}).Stores()
}

// Open opens an empty backend whose clock is now, and has it closed at the end
// of the test.
type Open func(t *testing.T, now func() time.Time) Backend

// RunDirectory runs what the suite has for a backend that is a Directory only.
func RunDirectory(t *testing.T, open Open) { run(t, open, ofDirectory) }

// RunHistory runs what the suite has for a backend that is a History only.
func RunHistory(t *testing.T, open Open) { run(t, open, ofHistory, ofRecords, ofDeliveries) }

// Run runs the suite.
func Run(t *testing.T, open Open) {
	run(t, open, ofDirectory, ofLive, ofLaunches, ofEnds, ofEvents, ofKicks, ofOutbox, ofAnnounce, ofNonces, ofLimits, ofHistory, ofRecords, ofDeliveries, ofAll)
}

func run(t *testing.T, open Open, suites ...map[string]func(*testing.T, *fixture)) {
	t.Helper()
	for _, tests := range suites {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				f := &fixture{}
				f.set(time.UnixMilli(1_770_000_000_000))
				f.Backend = open(t, func() time.Time { return *f.clock.Load() })
				test(t, f)
			})
		}
	}
}

var ofAll = map[string]func(*testing.T, *fixture){
	"Ping":                testPing,
	"RandomAgainstAModel": testRandom,
	"RandomAgainstMemory": testTwins,
	"FromAllSides":        testStorm,
}

// A fixture is an empty backend and its clock.
type fixture struct {
	Backend

	now   time.Time                 // for the test itself
	clock atomic.Pointer[time.Time] // for goroutines of the backend
	made  atomic.Int64              // IDs of sessions
}

// newID returns an ID for a session, above those that it returned before.
func (f *fixture) newID(agentID, username string) string {
	at := time.UnixMilli(1_780_000_000_000).Add(time.Duration(f.made.Add(1)) * time.Microsecond)
	return roll.NewSessionID(at, roll.HomeOf(agentID, username))
}

func (f *fixture) set(now time.Time) {
	now = now.Truncate(time.Microsecond)
	f.now = now
	f.clock.Store(&now)
}

// reopen skips what asks for data that outlives the process.
func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	if f.Reopen == nil {
		t.Skip("this backend keeps nothing") // by its nature, not for want of something
	}
	f.Stores = f.Reopen(t)
}

const lease = 90 * time.Second

// session makes a session of a member that starts now, of boot b1 of s1.
func (f *fixture) session(username string) rollcall.Session {
	return rollcall.Session{
		ID: f.newID("a1", username), AgentID: "a1", Username: username, GameCode: "g1", Mode: rollcall.ModeReal,
		GameServer: "s1", BootID: "b1", Device: rollcall.DeviceMobile, IP: netip.MustParseAddr("2001:db8::1"), Lang: "en",
		Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "USD", Wallet: rollcall.WalletSeamless, LeaseSeconds: int(lease / time.Second),
		StartedAt: f.now, SeenAt: f.now, ExpiresAt: f.now.Add(lease), EndsAt: f.now.Add(12 * time.Hour),
	}
}

// at makes s one of another agent's member of that name.
func (f *fixture) at(agentID string, s rollcall.Session) rollcall.Session {
	s.ID, s.AgentID = f.newID(agentID, s.Username), agentID
	return s
}

// boot makes bootID the current boot of a game server.
func (f *fixture) boot(t *testing.T, gameServer, bootID string) {
	t.Helper()
	must(t, f.Sessions.Boot(t.Context(), gameServer, bootID, f.now))
}

// launch stores a launch of s and returns its key.
func (f *fixture) launch(t *testing.T, s rollcall.Session) string {
	t.Helper()
	l := launchOf(s, f.now)
	must(t, f.Sessions.AddLaunch(t.Context(), l))
	return l.Key
}

// on makes s one that can begin from a launch.
func (f *fixture) on(key string, s rollcall.Session) rollcall.Session {
	home, _ := roll.HomeOfLaunch(key)
	s.ID = roll.NewSessionID(time.UnixMilli(1_780_000_000_000).Add(time.Duration(f.made.Add(1))*time.Microsecond), home)
	return s
}

// launchOf makes a launch of s without what only the Start knows.
func launchOf(s rollcall.Session, now time.Time) roll.Launch {
	id := s.ID
	s.ID, s.GameServer, s.BootID, s.LeaseSeconds = "", "", "", 0
	s.StartedAt, s.SeenAt, s.ExpiresAt, s.EndsAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	home, _ := roll.HomeOfSession(id)
	return roll.Launch{Key: roll.LaunchKey(fmt.Sprintf("%s%08X", uuid.NewString(), home)), Session: s, CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute)}
}

// startFrom starts s from a launch.
func (f *fixture) startFrom(t *testing.T, key string, s rollcall.Session, limits rollcall.SessionLimits) (roll.Started, error) {
	t.Helper()
	return f.Sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: s, Limits: limits})
}

// start starts s from a launch of its own, on the boot that it names.
func (f *fixture) start(t *testing.T, s rollcall.Session) rollcall.Session {
	t.Helper()
	current, err := f.Sessions.CurrentBoot(t.Context(), s.GameServer)
	must(t, err)
	if current != s.BootID {
		f.boot(t, s.GameServer, s.BootID)
	}
	got, err := f.startFrom(t, f.launch(t, s), s, rollcall.SessionLimits{})
	must(t, err)
	return got.Session
}

// left is the ending of a member who leaves now.
func (f *fixture) left() roll.Ending {
	return roll.Ending{At: f.now, Reason: rollcall.EndLeft, By: "game server s1"}
}

// kick makes a kick of a member and its ending.
func (f *fixture) kick(username string) (*rollcall.Kick, roll.Ending) {
	k := &rollcall.Kick{
		ID: newID(), At: f.now, By: "an operator", Why: "why", Message: "bye", Reason: rollcall.EndKicked,
		Filter: rollcall.SessionFilter{AgentID: "a1", Username: username}, State: rollcall.KickDone, FinishedAt: f.now,
	}
	return k, roll.Ending{At: f.now, Reason: k.Reason, By: k.By, KickID: k.ID, Message: k.Message}
}

// changes reads what is in the outbox behind after, to its end.
func (f *fixture) changes(t *testing.T, after roll.Position) []roll.Change {
	t.Helper()
	all := []roll.Change{}
	for {
		some, err := f.Sessions.Changes(t.Context(), after, 3)
		must(t, err)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
		after = after.Past(some)
	}
}

func (f *fixture) pending(t *testing.T, gameServer string, after int64, limit int) []rollcall.Receipt {
	t.Helper()
	list, err := f.Sessions.Pending(t.Context(), gameServer, after, limit)
	must(t, err)
	return list
}

func (f *fixture) of(t *testing.T, username string) []rollcall.Session {
	t.Helper()
	list, err := f.Sessions.OfMember(t.Context(), "a1", username, f.now)
	must(t, err)
	if list == nil {
		t.Error("OfMember returned nil, want an empty slice")
	}
	return list
}

func (f *fixture) entry(action, subject string) rollcall.AuditEntry {
	return rollcall.AuditEntry{At: f.now, Actor: "test", Action: action, Subject: subject, Detail: "detail"}
}

// newID returns an ID as the service gives.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// ids joins the sessions' IDs.
func ids(list []rollcall.Session) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.ID
	}
	return strings.Join(texts, " ")
}

func endedIDs(list []rollcall.EndedSession) []string {
	texts := []string{}
	for i := range list {
		texts = append(texts, list[i].ID)
	}
	return texts
}

func receiptIDs(list []rollcall.Receipt) []string {
	texts := []string{}
	for i := range list {
		texts = append(texts, list[i].SessionID)
	}
	return texts
}

// wantEnded compares without regard to the order.
func wantEnded(t *testing.T, got []rollcall.EndedSession, want ...rollcall.Session) {
	t.Helper()
	have, expect := endedIDs(got), strings.Fields(ids(want))
	slices.Sort(have)
	slices.Sort(expect)
	if !slices.Equal(have, expect) {
		t.Errorf("got ended sessions %v, want %v", have, expect)
	}
}

// diff compares by what is stored: times by the moment.
func diff(got, want any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := diff(got, want); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func wantIDs(t *testing.T, got []rollcall.Session, want ...rollcall.Session) {
	t.Helper()
	if ids(got) != ids(want) {
		t.Errorf("got sessions [%s], want [%s]", ids(got), ids(want))
	}
}

// equal compares what is stored of a session; times by the moment.
func equal(a, b rollcall.Session) bool {
	for _, pair := range [][2]time.Time{{a.StartedAt, b.StartedAt}, {a.SeenAt, b.SeenAt}, {a.ExpiresAt, b.ExpiresAt}, {a.EndsAt, b.EndsAt}} {
		if !pair[0].Equal(pair[1]) {
			return false
		}
	}
	for _, s := range []*rollcall.Session{&a, &b} {
		s.StartedAt, s.SeenAt, s.ExpiresAt, s.EndsAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	return a == b
}
