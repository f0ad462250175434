package redis

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func drawTime(t *rapid.T, what string) time.Time {
	return time.UnixMicro(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(t, what)).UTC()
}

func drawSession(t *rapid.T) rollcall.Session {
	id := rapid.StringMatching(`[A-Za-z0-9_.\-]{1,64}`)
	ip := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 4, 4), rapid.SliceOfN(rapid.Byte(), 16, 16))
	s := rollcall.Session{
		AgentID: id.Draw(t, "agent"), GameServer: id.Draw(t, "server"), GameCode: id.Draw(t, "game"), BootID: id.Draw(t, "boot"),
		Username:  rapid.StringMatching(`[A-Za-z0-9]{0,25}`).Draw(t, "username"),
		Mode:      rapid.SampledFrom([]rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}).Draw(t, "mode"),
		Device:    rapid.SampledFrom([]rollcall.DeviceType{rollcall.DevicePC, rollcall.DeviceMobile}).Draw(t, "device"),
		Launch:    rapid.SampledFrom([]rollcall.LaunchType{rollcall.LaunchBoth, rollcall.LaunchDemo, rollcall.LaunchReal}).Draw(t, "launch"),
		Wallet:    rapid.SampledFrom([]rollcall.Wallet{rollcall.WalletTransfer, rollcall.WalletSeamless}).Draw(t, "wallet"),
		Currency:  rapid.StringMatching(`[A-Z0-9]{3,8}`).Draw(t, "currency"),
		Lang:      rapid.StringMatching(`[A-Za-z0-9_\-]{1,16}`).Draw(t, "lang"),
		LobbyURL:  rapid.StringMatching(`(https://[a-z/?=]{1,900})?`).Draw(t, "lobby"),
		StartedAt: drawTime(t, "started"), SeenAt: drawTime(t, "seen"), ExpiresAt: drawTime(t, "expires"), EndsAt: drawTime(t, "ends"),
		LeaseSeconds: rapid.IntRange(0, 86400).Draw(t, "lease"),
	}
	s.IP, _ = netip.AddrFromSlice(ip.Draw(t, "ip"))
	s.BrandCurrency = s.Currency
	s.ID = roll.NewSessionID(s.StartedAt, roll.HomeOf(s.AgentID, s.Username))
	return s
}

func sameSession(a, b rollcall.Session) bool {
	return cmp.Equal(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }))
}

func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawSession), 0, 5).Draw(t, "sessions")
		got, err := unpackAll(packAll(slices.Clone(list)))
		slices.SortFunc(list, olderFirst)
		if err != nil || !slices.EqualFunc(got, list, sameSession) {
			t.Fatalf("got %+v, %v, want %+v", got, err, list)
		}
	})
}

// The longest of each text, as the rules have them, fits.
func TestPackLargest(t *testing.T) {
	id, now := strings.Repeat("x", 64), time.UnixMicro(4_000_000_000_000_000).UTC()
	s := rollcall.Session{
		AgentID: id, GameServer: id, GameCode: id, BootID: id, Username: strings.Repeat("u", 25), Mode: rollcall.ModeDemo, Device: rollcall.DeviceMobile,
		Currency: "ABCDEFGH", BrandCurrency: "ABCDEFGH", Lang: strings.Repeat("l", 16), LobbyURL: "https://" + strings.Repeat("h", 2040),
		IP: netip.MustParseAddr("2001:db8::1"), Launch: rollcall.LaunchReal, Wallet: rollcall.WalletSeamless,
		StartedAt: now, SeenAt: now, ExpiresAt: now, EndsAt: now, LeaseSeconds: 86400, ID: roll.NewSessionID(now, 1<<32-1),
	}
	if n := len(comboOf(&s)); n > 255 {
		t.Errorf("a combo of %d bytes does not fit", n)
	}
	got, err := unpackAll(packAll([]rollcall.Session{s, s}))
	if err != nil || len(got) != 2 || !sameSession(got[0], s) {
		t.Errorf("got %+v, %v, want %+v", got, err, s)
	}
}

func FuzzUnpackAll(f *testing.F) {
	for seed := range 20 {
		f.Add(packAll(rapid.SliceOfN(rapid.Custom(drawSession), 1, 3).Example(seed)))
	}
	f.Add("")
	f.Add(strings.Repeat("\x00", 100))
	f.Fuzz(func(t *testing.T, value string) {
		list, err := unpackAll(value)
		if err != nil {
			return
		}
		again, err := unpackAll(packAll(slices.Clone(list)))
		slices.SortFunc(list, olderFirst)
		if err != nil || !slices.EqualFunc(again, list, sameSession) {
			t.Errorf("got %+v, %v, want %+v", again, err, list)
		}
	})
}

func TestSeqs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := rapid.StringMatching(`[A-Za-z0-9_.\-]{1,64}`).Draw(t, "server")
		n := rapid.Int64Range(0, 1<<42).Draw(t, "number")
		if got := numberOf(server, seqOf(server, n)); got != n {
			t.Errorf("number %d came back as %d", n, got)
		}
		if got := numberOf(server, seqOf(server, n)-1); got != n-1 {
			t.Errorf("before the Seq of %d is %d", n, got)
		}
		// What another game server's Seq is behind, this one's numbers are too.
		other := seqOf(rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "other"), rapid.Int64Range(1, 1<<42).Draw(t, "its number"))
		first := numberOf(server, other) + 1
		if seqOf(server, first) <= other || seqOf(server, first-1) > other {
			t.Errorf("the first number of %s behind %d is not %d", server, other, first)
		}
		at, count := rapid.Int64Range(0, 1<<42).Draw(t, "at"), rapid.Int64Range(0, 1<<20-1).Draw(t, "count")
		id := strconv.FormatInt(at, 10) + "-" + strconv.FormatInt(count, 10)
		if got := streamID(streamSeq(id)); got != id {
			t.Errorf("stream ID %s came back as %s", id, got)
		}
	})
}
