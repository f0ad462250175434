package redis

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// partitions is how many parts the members are spread over. All that one change
// of a member touches is in its partition, which is one slot of a cluster. It is
// part of every key: another number would be another store.
const partitions = 256

// keys builds every key there is; nothing else does, so that who writes and who
// sweeps cannot mean different ones. P is a partition in two hex digits, H the
// lower three bytes of a home, S a game server.
//
//	{rc:P}s H      the sessions of a home (see pack.go)
//	{rc:P}l H      its launches, as JSON
//	{rc:P}i COMBO  index: the sessions that share a combo, by the end of their lease
//	{rc:P}c        index: combos, by the end of the first lease, or earlier
//	{rc:P}x A/U    when member U of agent A was kicked, Unix µs
//	{rc:P}z ID     why a session ended that began before the epoch
//	{rc:P}b        game servers' boots
//	{rc:P}g        generation of the kicks by filter
//	{rc:P}o        outbox (stream)
//	{rc:P}j        events and kicks on their way to where they belong (stream)
//	{rc:P}e        epoch
//	{rc:P}w        written to wait for replicas, for a moment
//	{rc:@S}…       a game server's boot (b) and events (see events.go)
//	{rc:kick}…     kicks (see kicks.go)
//	{rc:nP}…       nonces (see nonces.go)
//	{rc:lead}W     who does the work W; and whose the store is (installation)
type keys struct {
	prefix string
	parts  [partitions]part
	nonces [partitions]string // tags
	borns  [partitions]string
}

func newKeys(prefix string) *keys {
	k := &keys{prefix: prefix}
	for n := range k.parts {
		tag := fmt.Sprintf("{%s:%02x}", prefix, n)
		k.parts[n] = part{n: n, tag: tag, epochKey: tag + "e"}
		k.nonces[n] = fmt.Sprintf("{%s:n%02x}", prefix, n)
		k.borns[n] = k.nonces[n] + "born"
	}
	return k
}

// of returns the partition of a home.
func (k *keys) of(h roll.Home) *part { return &k.parts[h>>24] }

func (k *keys) server(id string) serverKeys { return serverKeys("{" + k.prefix + ":@" + id + "}") }
func (k *keys) kick(rest string) string     { return "{" + k.prefix + ":kick}" + rest }
func (k *keys) lead(work string) string     { return "{" + k.prefix + ":lead}" + work }

// nonce returns the key of a nonce.
func (k *keys) nonce(hash [16]byte) string { return k.nonces[hash[0]] + string(hash[1:]) }

// born returns the key that says since when a part of the nonces is complete.
func (k *keys) born(n int) string { return k.borns[n] }

// wake is the channel on which game servers are named that have a new event.
func (k *keys) wake() string { return k.prefix + ":wake" }

// A part is one partition.
type part struct {
	n        int
	tag      string
	epochKey string
}

func homeKey(tag, kind string, h roll.Home) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(h))
	return tag + kind + string(b[1:])
}

func (p *part) sessions(h roll.Home) string { return homeKey(p.tag, "s", h) }
func (p *part) launches(h roll.Home) string { return homeKey(p.tag, "l", h) }
func (p *part) index(combo string) string   { return p.tag + "i" + combo }
func (p *part) combos() string              { return p.tag + "c" }
func (p *part) boots() string               { return p.tag + "b" }
func (p *part) kicks() string               { return p.tag + "g" }
func (p *part) outbox() string              { return p.tag + "o" }
func (p *part) journal() string             { return p.tag + "j" }
func (p *part) epoch() string               { return p.epochKey }
func (p *part) barrier() string             { return p.tag + "w" }
func (p *part) gone(id uuid.UUID) string    { return p.tag + "z" + string(id[:]) }

func (p *part) mark(agentID, username string) string {
	return p.tag + "x" + roll.MemberKey(agentID, username)
}

// serverKeys is the tag of a game server's keys.
type serverKeys string

func (s serverKeys) boot() string      { return string(s) + "b" }
func (s serverKeys) last() string      { return string(s) + "n" }
func (s serverKeys) receipts() string  { return string(s) + "r" }
func (s serverKeys) pending() string   { return string(s) + "p" }
func (s serverKeys) ofSession() string { return string(s) + "s" }
func (s serverKeys) byTime() string    { return string(s) + "t" }

// kick returns the keys of a kick's receipts at the game server: all, those not
// delivered, not acknowledged, and not settled.
func (s serverKeys) kick(id string) [4]string {
	return [4]string{string(s) + "k" + id, string(s) + "kd" + id, string(s) + "ka" + id, string(s) + "ks" + id}
}

// A combo is all that a SessionCount names: sessions that share it share an
// index. Its texts have no |.
type combo string

func comboOf(s *rollcall.Session) combo {
	return combo(strings.Join([]string{s.AgentID, s.GameServer, s.GameCode, string(s.Mode), s.Currency, string('0' + rune(s.Device))}, "|"))
}

// fields returns what a combo names; ok is false where it is none.
func (c combo) fields() (like rollcall.Session, ok bool) {
	var f [6]string
	rest, more := string(c), true
	for i := range f {
		if !more {
			return like, false
		}
		f[i], rest, more = strings.Cut(rest, "|")
	}
	if more || len(f[5]) != 1 || f[5] < "0" || f[5] > "9" {
		return like, false
	}
	return rollcall.Session{
		AgentID: f[0], GameServer: f[1], GameCode: f[2], Mode: rollcall.Mode(f[3]), Currency: f[4],
		Device: rollcall.DeviceType(f[5][0] - '0'),
	}, true
}

// picks reports whether a filter may pick sessions of the combo.
func (c combo) picks(f rollcall.SessionFilter) bool {
	like, ok := c.fields()
	f.SessionID, f.Username = "", ""
	return ok && f.Picks(&like)
}
