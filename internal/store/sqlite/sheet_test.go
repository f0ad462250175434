package sqlite

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// sheeted is a sheet as the first program wrote it that knew a log.
const sheeted = "01022a00019c219c8b15700180010000000000010a706c617965723030310a0261310b0b56505f3233303030315f31010c0273310d026231" +
	"0e02656e0f035448421003555344111668747470733a2f2f6c6f6262792e6578616d706c652f0202025a1020010db8000000000000000000" +
	"0000018291e583bbc3ae1405ed0281c60a86c0f588fe06c17004120b616e206f70657261746f7200019c219c8b1570018001000000000002" +
	"04706169640100019c219c8b15700180010000000000010a706c617965723030310a0b010c0d0e0f10110202025a1020010db80000000000" +
	"000000000000010105ed0281c60a0100019c219c8b15700180010000000000010a706c617965723030311319616e206167656e74206f6620" +
	"61206c6f6e676572206e616d650b010c0d0e0f10000202025a04c00002010105ed0281c60a030d6b65792e303030304245454600019c219c" +
	"8b15700180010000000000010a706c617965723030310a0b010c0d0e0f10110202025a1020010db80000000000000000000000010105ed02" +
	"81c60a03b5090100019c219c8b15700180010000000000030c14026232050d6b65792e303030304245454606290007584b7327"

var sheetTime = time.Date(2026, 2, 3, 4, 5, 6, 789_012_000, time.UTC)

// wholeSession has every field set.
func wholeSession() rollcall.Session {
	return rollcall.Session{
		ID: "019c219c-8b15-7001-8001-000000000001", AgentID: "a1", Username: "player001", GameCode: "VP_230001_1", Mode: rollcall.ModeReal,
		GameServer: "s1", BootID: "b1", Device: rollcall.DeviceMobile, IP: netip.MustParseAddr("2001:db8::1"), Lang: "en", Launch: rollcall.LaunchReal,
		Currency: "THB", BrandCurrency: "USD", Wallet: rollcall.WalletSeamless, LobbyURL: "https://lobby.example/", LeaseSeconds: 90,
		StartedAt: sheetTime, SeenAt: sheetTime.Add(time.Second), ExpiresAt: sheetTime.Add(91 * time.Second), EndsAt: sheetTime.Add(12 * time.Hour),
	}
}

func wholeChange() roll.Change {
	return roll.Change{Seq: 42, EndedSession: rollcall.EndedSession{
		Session: wholeSession(), EndedAt: sheetTime.Add(time.Minute + time.Nanosecond), Reason: rollcall.EndKicked, By: "an operator",
		KickID: "019c219c-8b15-7001-8001-000000000002", Note: "paid", SettledAt: sheetTime.Add(time.Hour),
	}}
}

func wholeLaunch() roll.Launch {
	return roll.Launch{
		Key: "key.0000BEEF", Session: wholeSession(), CreatedAt: sheetTime.Add(-time.Second), ExpiresAt: sheetTime.Add(roll.LaunchTTL),
		Voided: true, StartedID: "019c219c-8b15-7001-8001-000000000003", StartedBy: [2]string{"s1", "b2"},
	}
}

// odd are values of which something has no place of its own.
func odd() (step live.Step) {
	zoned, early, settled, open := wholeSession(), wholeSession(), roll.Change{Seq: 43}, wholeLaunch()
	zoned.IP = netip.MustParseAddr("fe80::1%eth0")
	early.StartedAt = time.Date(1815, 6, 18, 0, 0, 0, 1, time.UTC)
	settled.ID, settled.GameServer, settled.SettledAt, settled.Note = zoned.ID, "s1", sheetTime, "paid"
	open.ExpiresAt = time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)
	return live.Step{Sessions: []rollcall.Session{zoned, early}, Changes: []roll.Change{settled}, Launches: []roll.Launch{open}}
}

// bare are values of which only what has to be is set.
func bare() live.Step {
	s := rollcall.Session{ID: "no UUID", Device: rollcall.DevicePC, Wallet: rollcall.WalletTransfer}
	return live.Step{Sessions: []rollcall.Session{s}, Changes: []roll.Change{{Seq: 1, EndedSession: rollcall.EndedSession{Session: s}}}, Launches: []roll.Launch{{Session: s}}}
}

func whole() live.Step {
	other := wholeSession()
	other.IP, other.AgentID, other.LobbyURL = netip.MustParseAddr("192.0.2.1"), "an agent of a longer name", ""
	return live.Step{
		Sessions: []rollcall.Session{wholeSession(), other}, Changes: []roll.Change{wholeChange()}, Launches: []roll.Launch{wholeLaunch()},
		Forgotten: []string{"key.0000BEEF"}, Through: 41,
	}
}

// sheetOf is a sheet of a step in an empty Book.
func sheetOf(t testing.TB, step live.Step) []byte {
	t.Helper()
	s := newSheet()
	_, err := s.note(&step, live.NewBook(roll.Epoch{}))
	must(t, err)
	return s.seal(7)
}

// stepOf is what a sheet says.
func stepOf(sheet []byte) (step live.Step, seq int64, err error) {
	seq, err = readSheet(sheet, stepped(&step))
	return step, seq, err
}

func stepped(step *live.Step) func(*entry) error {
	return func(e *entry) error {
		switch e.sort {
		case entrySession:
			step.Sessions = append(step.Sessions, e.session)
		case entryChange:
			step.Changes = append(step.Changes, e.change)
		case entryLaunch, entryMarks:
			step.Launches = append(step.Launches, e.launch)
		case entryForget:
			step.Forgotten = append(step.Forgotten, e.launch.Key)
		case entryThrough:
			step.Through = e.through
		}
		return nil
	}
}

var byValue = cmp.Options{
	cmp.Comparer(time.Time.Equal),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// What goes onto a sheet comes from it, every field of it.
func TestSheetKeepsAll(t *testing.T) {
	complete(t, wholeSession())
	complete(t, wholeChange().EndedSession)
	complete(t, wholeLaunch())
	for _, step := range []live.Step{whole(), odd(), bare()} {
		got, seq, err := stepOf(sheetOf(t, step))
		must(t, err)
		if d := cmp.Diff(step, got, byValue); d != "" || seq != 7 {
			t.Errorf("seq %d, want 7 (-want +got):\n%s", seq, d)
		}
	}
}

// complete sees to it that a field which comes later is not forgotten here.
func complete(t *testing.T, value any) {
	t.Helper()
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("%s of %T is not set here: does a sheet keep it?", v.Type().Field(i).Name, value)
		}
	}
}

// What is on disks can be read, so sheetFormat and knownInSheets stay as they are.
func TestSheetFormat(t *testing.T) {
	now := sheetOf(t, whole())
	before, err := hex.DecodeString(sheeted)
	must(t, err)
	if !bytes.Equal(now, before) {
		t.Errorf("got %x\nwant %x", now, before)
	}
}

// A sheet that is cut off, goes on, has one bit changed or is of a later format is an
// error.
func TestDamagedSheet(t *testing.T) {
	sheet := sheetOf(t, whole())
	for n := range sheet {
		if _, _, err := stepOf(sheet[:n]); !errors.Is(err, errSheet) {
			t.Errorf("the first %d bytes of %d: got %v", n, len(sheet), err)
		}
		for bit := range 8 {
			spoilt := bytes.Clone(sheet)
			spoilt[n] ^= 1 << bit
			if _, _, err := stepOf(spoilt); !errors.Is(err, errSheet) {
				t.Errorf("bit %d of byte %d: got %v", bit, n, err)
			}
		}
	}
	if _, _, err := stepOf(append(bytes.Clone(sheet), 0)); !errors.Is(err, errSheet) {
		t.Errorf("a byte more: got %v", err)
	}
	later := newSheet()
	later.to[0]++
	if _, _, err := stepOf(later.seal(1)); err == nil || errors.Is(err, errSheet) {
		t.Errorf("a later format: got %v", err)
	}
}

// Entries that are cut off are an error, without their checksum too.
func TestEntriesCutOff(t *testing.T) {
	for _, step := range []live.Step{whole(), odd(), bare()} {
		sheet := sheetOf(t, step)
		entries := sheet[1 : len(sheet)-4]
		for n := range entries {
			if _, err := readEntries(entries[:n], func(*entry) error { return nil }); !errors.Is(err, errSheet) {
				t.Errorf("the first %d bytes of %d: got %v", n, len(entries), err)
			}
		}
	}
}

// A step that cannot be written leaves the sheet as it was, its texts too.
func TestFailedNote(t *testing.T) {
	book := live.NewBook(roll.Epoch{})
	bad, first, last := whole(), whole(), odd()
	bad.Sessions[1].Device, bad.Sessions[1].GameServer = 77, "a text of its own"
	want, got := newSheet(), newSheet()
	for _, s := range []*sheet{want, got} {
		_, err := s.note(&first, book)
		must(t, err)
		if s == got {
			if n, err := s.note(&bad, book); err == nil || n != 0 {
				t.Fatalf("a device 77: %d entries, %v", n, err)
			}
		}
		_, err = s.note(&last, book)
		must(t, err)
	}
	if w, g := want.seal(1), got.seal(1); !bytes.Equal(w, g) || want.entries != got.entries {
		t.Errorf("got %d entries %x\nwant %d entries %x", got.entries, g, want.entries, w)
	}
}

// What reads can be written, and what that reads is written alike; nothing panics or
// takes more memory than what there is warrants.
func FuzzEntries(f *testing.F) {
	for _, step := range []live.Step{whole(), odd(), bare()} {
		sheet := sheetOf(f, step)
		f.Add(sheet[1 : len(sheet)-4])
	}
	f.Fuzz(func(t *testing.T, from []byte) {
		var step live.Step
		if _, err := readEntries(from, stepped(&step)); err != nil {
			return
		}
		s := newSheet()
		if _, err := s.note(&step, live.NewBook(roll.Epoch{})); err != nil {
			return // a time or a number that JSON has no place for
		}
		// JSON keeps of texts what is UTF-8, and of what is settled what it needs.
		want, _, err := stepOf(s.seal(1))
		must(t, err)
		got, _, err := stepOf(sheetOf(t, want))
		must(t, err)
		if d := cmp.Diff(want, got, byValue); d != "" {
			t.Errorf("again (-want +got):\n%s", d)
		}
	})
}

// A session takes few bytes, among others and alone.
func TestSheetIsSmall(t *testing.T) {
	var step live.Step
	for range 1000 {
		step.Sessions = append(step.Sessions, session("player001"))
	}
	for _, row := range []struct{ n, bound int }{{1, 150}, {1000, 75}} {
		sheet := sheetOf(t, live.Step{Sessions: step.Sessions[:row.n]})
		if each := len(sheet) / row.n; each > row.bound {
			t.Errorf("a session among %d: %d bytes, want at most %d", row.n, each, row.bound)
		}
	}
}
