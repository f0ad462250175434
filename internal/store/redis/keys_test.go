package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// slotOf is a key's slot in a Cluster: CRC-16 (XMODEM) of what is in its first
// braces.
func slotOf(key string) int {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % 16384
}

// All keys of a member are in the slot of its partition, whatever bytes they
// have, and who sweeps from an index's entry comes to the key that who wrote it
// wrote.
func TestKeys(t *testing.T) {
	if got := slotOf("123456789"); got != 0x31c3 {
		t.Fatalf("the slot of 123456789 is %#x, want 0x31c3", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		k := newKeys(rapid.StringMatching(`[A-Za-z0-9_.\-]{1,16}`).Draw(t, "prefix"))
		s := drawSession(t)
		home := roll.HomeOf(s.AgentID, s.Username)
		if s.Username == "" {
			home, _ = roll.HomeOfSession(s.ID)
		}
		p := k.of(home)
		keys := []string{
			p.sessions(home), p.launches(home), p.index(string(comboOf(&s))), p.combos(), p.boots(), p.kicks(), p.outbox(), p.journal(), p.epoch(),
			p.gone(uuid.MustParse(s.ID)), p.mark(s.AgentID, s.Username),
		}
		seen := make(map[string]bool)
		for _, key := range keys {
			if seen[key] || slotOf(key) != slotOf(p.tag) || !strings.HasPrefix(key, p.tag) {
				t.Errorf("key %q is there twice, or in slot %d, want %d", key, slotOf(key), slotOf(p.tag))
			}
			seen[key] = true
		}
		e, ok := entryOf(indexEntry(&s))
		if !ok || e.id != s.ID || e.username != s.Username || k.of(e.home) != p || p.sessions(e.home) != keys[0] {
			t.Errorf("of the entry of %s is the home %x of %q", s.ID, e.home, e.username)
		}
		launch, ok := roll.HomeOfLaunch(roll.LaunchKey(fmt.Sprintf("token%08X", home)))
		if !ok || p.launches(launch) != keys[1] {
			t.Errorf("a launch of home %x has home %x", home, launch)
		}
		if like, ok := comboOf(&s).fields(); !ok || comboOf(&like) != comboOf(&s) || !comboOf(&s).picks(rollcall.SessionFilter{AgentID: s.AgentID, Username: s.Username, SessionID: s.ID}) {
			t.Errorf("combo %q", comboOf(&s))
		}
		server := k.server(s.GameServer)
		of := server.kick(uuid.NewString())
		for _, key := range append(of[:], server.boot(), server.last(), server.receipts(), server.pending(), server.ofSession(), server.byTime()) {
			if seen[key] || slotOf(key) != slotOf(string(server)) {
				t.Errorf("key %q of a game server is there twice, or in another slot", key)
			}
			seen[key] = true
		}
		hash := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
		key, born := k.nonce(hash), k.born(int(hash[0]))
		if slotOf(key) != slotOf(born) || key == born {
			t.Errorf("a nonce at %q, its part at %q", key, born)
		}
	})
}
