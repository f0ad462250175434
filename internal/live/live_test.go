package live_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// Whatever is added, renewed, removed and expired: the counts are those of the
// sessions that are held, and the readers agree with each other.
func TestIndexAgreesWithItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, now := live.NewIndex(), time.UnixMilli(1_770_000_000_000)
		held := make(map[string]rollcall.Session)
		pick := func() string { return fmt.Sprint("s", rapid.IntRange(0, 15).Draw(t, "session")) }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				s := rollcall.Session{
					ID: pick(), AgentID: "a1", GameServer: "s1", LeaseSeconds: 60, StartedAt: now, SeenAt: now,
					Username:  fmt.Sprint("m", rapid.IntRange(0, 2).Draw(t, "member")),
					GameCode:  fmt.Sprint("g", rapid.IntRange(0, 2).Draw(t, "game")),
					Mode:      rapid.SampledFrom([]rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}).Draw(t, "mode"),
					ExpiresAt: now.Add(time.Minute), EndsAt: now.Add(time.Hour),
				}
				if _, added := x.Add(s); added {
					held[s.ID] = s
				} else if _, was := held[s.ID]; !was {
					t.Fatalf("%s was not added and not held", s.ID)
				}
			case 1:
				id := pick()
				if _, ok := x.Remove(id); ok != (held[id].ID != "") {
					t.Fatalf("Remove(%s): %v", id, ok)
				}
				delete(held, id)
			case 2:
				x.Renew(pick(), "s1", now)
			case 3:
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			case 4:
				for _, s := range x.Expired(now, 5) {
					if _, active := x.Get(s.ID, now); active {
						t.Fatalf("%s is expired and active", s.ID)
					}
					x.Remove(s.ID)
					delete(held, s.ID)
				}
			}
			checkCounts(t, x, held)
			checkReaders(t, x, held, now)
		}
	})
}

func checkCounts(t *rapid.T, x *live.Index, held map[string]rollcall.Session) {
	want := make(map[string]int)
	for _, s := range held {
		want[fmt.Sprint(s.AgentID, s.GameCode, s.Mode)]++
	}
	got := make(map[string]int)
	for _, c := range x.Counts() {
		got[fmt.Sprint(c.AgentID, c.GameCode, c.Mode)] = c.Count
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("counts %v, want %v", got, want)
	}
}

func checkReaders(t *rapid.T, x *live.Index, held map[string]rollcall.Session, now time.Time) {
	listed, byMember := x.List(rollcall.SessionFilter{}, "", len(held), now), 0
	for i := range 3 {
		username := fmt.Sprint("m", i)
		of := x.OfMember("a1", username, now)
		byMember += len(of)
		for _, s := range of {
			if got, ok := x.Get(s.ID, now); !ok || got != s || s.Username != username {
				t.Fatalf("Get(%s): %+v, %v; OfMember has %+v", s.ID, got, ok, s)
			}
		}
		for _, s := range x.AllOfMember("a1", username) {
			if held[s.ID].Username != username {
				t.Fatalf("%s is held of %s", s.ID, username)
			}
		}
	}
	if byMember != len(listed) || len(listed) > len(held) {
		t.Fatalf("%d by member, %d listed, %d held", byMember, len(listed), len(held))
	}
}

func TestTableKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, want := live.NewTable[string](), make(map[string]string)
		keys := rapid.SliceOf(rapid.StringMatching(`[ab/]{1,4}`)).Draw(t, "keys")
		for i, key := range keys {
			if value := fmt.Sprint(i); i%4 == 3 {
				table.Delete(key)
				delete(want, key)
			} else {
				table.Put(key, &value)
				want[key] = value
			}
		}
		prefix, after := rapid.StringMatching(`[ab/]{0,2}`).Draw(t, "prefix"), rapid.StringMatching(`[ab/]{0,3}`).Draw(t, "after")
		var expect []string
		for key := range want {
			if strings.HasPrefix(key, prefix) && key > after {
				expect = append(expect, key)
			}
		}
		slices.Sort(expect)
		expect = expect[:min(3, len(expect))]
		list := table.List(prefix, after, 3)
		if len(list) != len(expect) {
			t.Fatalf("%d values, want those of %v", len(list), expect)
		}
		for i, value := range list {
			if *value != want[expect[i]] || table.Get(expect[i]) != value {
				t.Fatalf("value %d is %s, want that of %s", i, *value, expect[i])
			}
		}
	})
}

// A key is remembered for keep whenever it was claimed, and memory is bounded.
func TestNoncesAreRememberedLongEnough(t *testing.T) {
	const keep = 10 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		set, now := live.NewNonces(keep), time.UnixMilli(1_770_000_000_000)
		claimed := make(map[live.NonceKey]time.Time)
		for i := range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			key := live.NonceKey{0, byte(rapid.IntRange(0, 9).Draw(t, "key"))} // of one shard
			fresh := set.Claim(key, now)
			last, used := claimed[key]
			if used && fresh && now.Sub(last) < keep {
				t.Fatalf("step %d: claimed again after %s", i, now.Sub(last))
			}
			if !fresh && !used || !fresh && now.Sub(last) > 3*keep {
				t.Fatalf("step %d: refused, last claimed %s ago (%v)", i, now.Sub(last), used)
			}
			if fresh {
				claimed[key] = now
			}
		}
	})
}

func TestKeyOfNonceKeepsAgentsApart(t *testing.T) {
	if live.KeyOfNonce("a", "bc") == live.KeyOfNonce("ab", "c") {
		t.Error("agent and nonce run together")
	}
}
