// Package storetest is the one suite that every backend passes: each sentence of
// the contracts in internal/roll, held against the backend itself.
package storetest

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// MaxClockSkew is what a Backend is to be opened with.
const MaxClockSkew = 5 * time.Minute

// A Backend is a backend under test.
type Backend struct {
	roll.Stores

	// Reopen closes the stores and opens the same data again; nil where a
	// backend keeps nothing.
	Reopen func(t *testing.T) roll.Stores
}

// Open opens an empty backend whose clock is now, and has it closed at the end
// of the test.
type Open func(t *testing.T, now func() time.Time) Backend

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"Table":                testTable,
		"TablePages":           testTablePages,
		"TablePagesOfFew":      testTablePagesOfFew,
		"TableCopies":          testTableCopies,
		"TablePointers":        testTablePointers,
		"MembersConcurrent":    testMembersConcurrent,
		"TableUpdate":          testTableUpdate,
		"TableConcurrent":      testTableConcurrent,
		"Audit":                testAudit,
		"Start":                testStart,
		"StartTwice":           testStartTwice,
		"OfMember":             testOfMember,
		"LeaseToTheMoment":     testLease,
		"Heartbeat":            testHeartbeat,
		"End":                  testEnd,
		"EndMember":            testEndMember,
		"Expire":               testExpire,
		"ExpireAgainstBeat":    testExpireAgainstBeat,
		"List":                 testList,
		"Counts":               testCounts,
		"SessionsReopen":       testSessionsReopen,
		"ConcurrentStartEnd":   testConcurrentStartEnd,
		"NonceOneWinner":       testNonceOneWinner,
		"NonceRemembered":      testNonceRemembered,
		"NonceReopen":          testNonceReopen,
		"NonceOfAnOldRequest":  testNonceOfAnOldRequest,
		"History":              testHistory,
		"HistoryPrune":         testHistoryPrune,
		"Ping":                 testPing,
		"RandomAgainstAModel":  testRandom,
		"RandomAgainstMemory":  testTwins,
		"DirectoryReopen":      testDirectoryReopen,
		"CallersOwnWhatTheyGo": testOwnership,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{}
			f.set(time.UnixMilli(1_770_000_000_000))
			f.Backend = open(t, func() time.Time { return *f.clock.Load() })
			test(t, f)
		})
	}
}

// A fixture is an empty backend and its clock.
type fixture struct {
	Backend

	now   time.Time                 // for the test itself
	clock atomic.Pointer[time.Time] // for goroutines of the backend
}

func (f *fixture) set(now time.Time) {
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

// session makes a session of a member that starts now.
func (f *fixture) session(username string) rollcall.Session {
	return rollcall.Session{
		ID: uuid.Must(uuid.NewV7()).String(), AgentID: "a1", Username: username, GameCode: "g1", Mode: rollcall.ModeReal,
		GameServer: "s1", Device: rollcall.DeviceMobile, IP: netip.MustParseAddr("2001:db8::1"), Lang: "en", Launch: rollcall.LaunchReal,
		Currency: "THB", BrandCurrency: "USD", Wallet: rollcall.WalletSeamless,
		StartedAt: f.now, SeenAt: f.now, ExpiresAt: f.now.Add(lease), EndsAt: f.now.Add(12 * time.Hour),
	}
}

func (f *fixture) start(t *testing.T, s rollcall.Session) rollcall.Session {
	t.Helper()
	got, err := f.Sessions.Start(t.Context(), s)
	must(t, err)
	return got
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
