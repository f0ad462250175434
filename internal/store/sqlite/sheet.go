package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Sessions, launches and the outbox are kept in a log, the table of that name. A
// group commit adds one row to it, a sheet, which says what has changed. Who
// replays all sheets, in their order, has what the Book held when the last was
// committed (see replay). So that the log does not grow for ever, its oldest sheets
// are folded: what is still so is said anew at the end, and they go (see folding).
//
// A sheet is
//
//	1 byte  sheetFormat
//	…       entries
//	n       the last Seq that was given
//	4 bytes CRC-32C of all before, big endian
//
// and an entry is one byte, its sort, and what that has:
//
//	session  is held from now on: a session
//	change   is in the outbox, and ends its session if it has a Reason:
//	         Seq, a session, times EndedAt and SettledAt since StartedAt, texts
//	         Reason and By, id KickID, own text Note
//	launch   is stored, or is this from now on: id Key, a session, times CreatedAt and
//	         ExpiresAt, marks
//	marks    of a launch that the sheets before have: id Key, marks
//	forget   a launch: id Key
//	through  the outbox is forgotten up to this Seq
//	end      there are no more entries
//
// where
//
//	session  ids ID, Username; texts AgentID, GameCode, Mode, GameServer, BootID,
//	         Lang, Currency, BrandCurrency, LobbyURL; numbers Device, Launch, Wallet,
//	         LeaseSeconds; length and bytes of IP; times StartedAt since the
//	         StartedAt before it in the sheet, and SeenAt, ExpiresAt and EndsAt
//	         since StartedAt
//	marks    1 where it is voided; id StartedID; texts of StartedBy
//
// Numbers, texts, ids and times are those of packing. Where 128 is added to the sort
// of a session, change or launch, all of it is JSON, but for the Seq in front: it has
// something that has no place above.
const sheetFormat = 1

const (
	entryEnd byte = iota
	entrySession
	entryChange
	entryLaunch
	entryMarks
	entryForget
	entryThrough

	entryJSON = 128
)

// knownInSheets have a number from the beginning. They are part of the format, as
// knownTexts are.
var knownInSheets = [...]string{
	"", "real", "demo", "left", "kicked", "displaced", "expired", "server-lost", "agent-blocked", "rollcall",
}

var numbersInSheets = numbered(knownInSheets[:])

// A sheet is the entries of one row in the making. It is used again and again.
type sheet struct {
	packing

	entries int
	last    int64 // StartedAt of the last session
	usually [sessionTexts]usual
}

// sessionTexts is how many texts a session has.
const sessionTexts = 9

func newSheet() *sheet {
	s := &sheet{packing: packing{known: numbersInSheets, texts: make(map[string]int)}}
	s.clear()
	return s
}

func (s *sheet) clear() {
	clear(s.texts)
	s.to, s.entries, s.last, s.usually = append(s.to[:0], sheetFormat), 0, packedEpoch, [sessionTexts]usual{}
}

// seal ends the sheet. The bytes are the sheet's own until it is cleared.
func (s *sheet) seal(seq int64) []byte {
	s.to = append(s.to, entryEnd)
	s.add(uint64(seq))
	s.to = binary.BigEndian.AppendUint32(s.to, crc32.Checksum(s.to, castagnoli))
	return s.to
}

func (s *sheet) entry(sort byte) {
	s.to = append(s.to, sort)
	s.entries++
}

// json writes an entry as JSON, or nothing where it has none.
func (s *sheet) json(sort byte, seq int64, value any) error {
	doc, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("sqlite: a document: %w", err)
	}
	s.entry(sort | entryJSON)
	if sort == entryChange {
		s.add(uint64(seq))
	}
	s.add(uint64(len(doc)))
	s.to = append(s.to, doc...)
	return nil
}

func (s *sheet) session(of *rollcall.Session) error {
	if !plain(of, of.StartedAt) {
		return s.json(entrySession, 0, of)
	}
	s.entry(entrySession)
	s.body(of)
	return nil
}

func (s *sheet) change(c *roll.Change) error {
	if !plain(&c.Session, c.EndedAt, c.SettledAt) {
		return s.json(entryChange, c.Seq, c)
	}
	s.entry(entryChange)
	s.add(uint64(c.Seq))
	started := s.body(&c.Session)
	s.time(c.EndedAt, started)
	s.time(c.SettledAt, started)
	s.text(string(c.Reason))
	s.text(c.By)
	s.id(c.KickID)
	s.addText(c.Note)
	return nil
}

func (s *sheet) launch(l *roll.Launch) error {
	if !plain(&l.Session, l.CreatedAt, l.ExpiresAt) {
		return s.json(entryLaunch, 0, l)
	}
	s.entry(entryLaunch)
	s.id(l.Key)
	s.body(&l.Session)
	s.last = s.time(l.CreatedAt, s.last)
	s.time(l.ExpiresAt, s.last)
	s.marks(l)
	return nil
}

// remark writes what can change of a launch.
func (s *sheet) remark(l *roll.Launch) {
	s.entry(entryMarks)
	s.id(l.Key)
	s.marks(l)
}

func (s *sheet) forget(key string) {
	s.entry(entryForget)
	s.id(key)
}

func (s *sheet) through(seq int64) {
	s.entry(entryThrough)
	s.add(uint64(seq))
}

func (s *sheet) marks(l *roll.Launch) {
	s.to = append(s.to, verdicts[l.Voided])
	s.id(l.StartedID)
	s.text(l.StartedBy[0])
	s.text(l.StartedBy[1])
}

// body returns StartedAt.
func (s *sheet) body(of *rollcall.Session) (started int64) {
	s.id(of.ID)
	s.id(of.Username)
	for i, text := range [...]string{
		of.AgentID, of.GameCode, string(of.Mode), of.GameServer, of.BootID, of.Lang, of.Currency, of.BrandCurrency, of.LobbyURL,
	} {
		s.usual(&s.usually[i], text)
	}
	s.add(uint64(of.Device))
	s.add(uint64(of.Launch))
	s.add(uint64(of.Wallet))
	s.add(uint64(of.LeaseSeconds))
	s.ip(of.IP)
	s.last = s.time(of.StartedAt, s.last)
	s.time(of.SeenAt, s.last)
	s.time(of.ExpiresAt, s.last)
	s.time(of.EndsAt, s.last)
	return s.last
}

func (s *sheet) ip(ip netip.Addr) {
	switch {
	case ip.Is4():
		four := ip.As4()
		s.to = append(append(s.to, 4), four[:]...)
	case ip.Is6():
		six := ip.As16()
		s.to = append(append(s.to, 16), six[:]...)
	default:
		s.to = append(s.to, 0)
	}
}

// A usual is a text that has a number; the empty one has 0.
type usual struct {
	text   string
	number uint64
}

// usual is text for one that is mostly as the last in its place.
func (s *sheet) usual(last *usual, text string) {
	if text == last.text {
		s.add(last.number)
		return
	}
	before := len(s.to)
	s.text(text)
	number, _ := binary.Uvarint(s.to[before:])
	*last = usual{text, number}
}

// plain reports whether all of a session, and these times, have their place.
// Numbers that are none of theirs are errors of JSON.
func plain(s *rollcall.Session, times ...time.Time) bool {
	for _, t := range times {
		if !packable(t) {
			return false
		}
	}
	return s.Device.Valid() && s.Launch.Valid() && s.Wallet.Valid() && s.LeaseSeconds >= 0 && s.IP.Zone() == "" &&
		packable(s.StartedAt) && packable(s.SeenAt) && packable(s.ExpiresAt) && packable(s.EndsAt)
}
