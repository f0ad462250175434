package live

import (
	"strings"
	"sync"

	"github.com/rollcall-server/rollcall"
)

// names are what many sessions share, each once: texts, and combos of them. A
// session holds their numbers, which are good as long as it is there.
type names struct {
	mu     sync.Mutex // of all but reading what is held
	texts  texts
	combos pool[combo]
	// most is how many texts there are before those of one session only, as a
	// lobby's URL may be, are no longer held here.
	most int
}

// A combo is what sessions are counted by, in numbers of texts; so how many hold
// it is how many sessions there are of it.
type combo struct {
	agent, game, currency, server, mode uint32
	device                              int32
}

// manyTexts is the most of an Index.
const manyTexts = 1 << 16

// held are the numbers that a session holds.
type held struct {
	combo uint32
	texts [ownTexts]uint32 // numbers and 1; 0: the text stands in the record
}

// ownTexts are the texts of a session that are not of its combo.
const ownTexts = 4

func textsOf(s *rollcall.Session) [ownTexts]string {
	return [ownTexts]string{s.BootID, s.Lang, s.BrandCurrency, s.LobbyURL}
}

// hold returns the numbers of a session.
func (n *names) hold(s *rollcall.Session) (h held) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h.combo = n.holdCombo(s)
	for i, text := range textsOf(s) {
		if _, known := n.texts.numbers[text]; known || len(n.texts.numbers) < n.most {
			h.texts[i] = n.texts.hold(text) + 1
		}
	}
	return h
}

// holdCombo returns the number of a session's combo, which holds its texts once.
func (n *names) holdCombo(s *rollcall.Session) uint32 {
	c := combo{
		agent: n.texts.hold(s.AgentID), game: n.texts.hold(s.GameCode), currency: n.texts.hold(s.Currency),
		server: n.texts.hold(s.GameServer), mode: n.texts.hold(string(s.Mode)), device: int32(s.Device),
	}
	if _, known := n.combos.numbers[c]; known {
		n.releaseTexts(c)
	}
	return n.combos.hold(c)
}

func (n *names) releaseTexts(c combo) {
	for _, text := range [...]uint32{c.agent, c.game, c.currency, c.server, c.mode} {
		n.texts.release(text)
	}
}

// release gives back what hold has returned.
func (n *names) release(h held) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.combos.at(h.combo); n.combos.release(h.combo) {
		n.releaseTexts(c)
	}
	for _, text := range h.texts {
		if text != 0 {
			n.texts.release(text - 1)
		}
	}
}

// holdID returns a session's ID, which is held where it is a text.
func (n *names) holdID(text string) sessionID {
	if id, ok := parseID(text); ok {
		return id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return sessionID{low: uint64(n.texts.hold(text))}
}

func (n *names) releaseID(id sessionID) {
	if id.isUUID() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts.release(uint32(id.low))
}

// id returns a session's ID; false: none has it.
func (n *names) id(text string) (id sessionID, ok bool) {
	if id, ok = parseID(text); ok {
		return id, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	number, ok := n.texts.numbers[text]
	return sessionID{low: uint64(number)}, ok
}

// isOf reports whether an ID that is held is of the text: a number that is not
// held may be another's soon.
func (n *names) isOf(id sessionID, text string) bool {
	return id.isUUID() || n.texts.at(uint32(id.low)) == text
}

// idText returns the text of an ID that is held.
func (n *names) idText(id sessionID) string {
	if id.isUUID() {
		return string(id.appendTo(nil))
	}
	return n.texts.at(uint32(id.low))
}

// compareIDs orders IDs that are held as their texts.
func (n *names) compareIDs(a, b sessionID) int {
	if a.isUUID() && b.isUUID() {
		return a.compare(b)
	}
	return strings.Compare(n.idText(a), n.idText(b))
}

// countsAtOnce bounds how long the names are locked for counting.
const countsAtOnce = 1024

// appendCounts appends the counts of some combos, and returns with which to go
// on; 0: it was the last.
func (n *names) appendCounts(counts []rollcall.SessionCount, from int) (_ []rollcall.SessionCount, next int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	holders := n.combos.holders
	to := min(from+countsAtOnce, len(holders))
	for i := from; i < to; i++ {
		if holders[i] == 0 {
			continue
		}
		c := n.combos.at(uint32(i))
		counts = append(counts, rollcall.SessionCount{
			AgentID: n.texts.at(c.agent), GameCode: n.texts.at(c.game), Mode: rollcall.Mode(n.texts.at(c.mode)),
			Currency: n.texts.at(c.currency), Device: rollcall.DeviceType(c.device), GameServer: n.texts.at(c.server),
			Count: int(holders[i]),
		})
	}
	if to == len(holders) {
		to = 0
	}
	return counts, to
}
