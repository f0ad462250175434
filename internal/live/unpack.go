package live

import (
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

// An unpacker makes sessions of records. Their own texts, which are of no name,
// it makes in one piece.
type unpacker struct {
	names    *names
	own      strings.Builder
	username string // of all sessions, where it is known
}

// ownText is about as long as a session's own texts are.
const ownText = idLength + 16

// grow makes room for the texts of n sessions.
func (u *unpacker) grow(n int) {
	if u.username != "" {
		u.own.Grow(n * idLength)
	} else {
		u.own.Grow(n * ownText)
	}
}

// text returns what is copied from some bytes.
func (u *unpacker) text(some []byte) string {
	from := u.own.Len()
	u.own.Write(some)
	return u.own.String()[from:]
}

func (u *unpacker) id(id sessionID) string {
	if !id.isUUID() {
		return u.names.idText(id)
	}
	var room [idLength]byte
	return u.text(id.appendTo(room[:0]))
}

// session unpacks a record into s, as the session is now.
func (u *unpacker) session(r record, s *rollcall.Session) {
	var room [bodyRoom]byte
	b, id := r.body(room[:0]), r.id()
	u.combo(u.names.combos.at(r.combo()), s)
	s.ID = u.id(id)
	expires, seen := r.expires(), r.seen()
	s.SeenAt, s.ExpiresAt = time.Unix(0, seen).UTC(), time.Unix(0, max(expires, -expires)).UTC()
	started, ends := b.times(id)
	s.StartedAt, s.EndsAt = timeOf(started), timeOf(ends)
	s.LeaseSeconds = int(b.uvarint())
	if username := b.username(); u.username != "" {
		s.Username = u.username
	} else {
		s.Username = u.text(username)
	}
	s.IP = b.ip()
	types := b.bytes(1)[0]
	s.Launch, s.Wallet = rollcall.LaunchType(types>>4), rollcall.Wallet(types&0xf)
	for _, to := range [ownTexts]*string{&s.BootID, &s.Lang, &s.BrandCurrency, &s.LobbyURL} { // as textsOf
		if number, text := b.text(); number > 0 {
			*to = u.names.texts.at(number - 1)
		} else {
			*to = u.text(text)
		}
	}
}

func (u *unpacker) combo(c combo, s *rollcall.Session) {
	texts := &u.names.texts
	s.AgentID, s.GameCode, s.Currency = texts.at(c.agent), texts.at(c.game), texts.at(c.currency)
	s.GameServer, s.Mode, s.Device = texts.at(c.server), rollcall.Mode(texts.at(c.mode)), rollcall.DeviceType(c.device)
}
