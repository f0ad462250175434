package redis

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

// The sessions of a home are one value: records one after the other, by
// StartedAt and ID. The scripts read the head of a record, and change its lease
// in place; numbers are big-endian, times Unix µs.
//
//	bytes  what
//	2      length of the record
//	16     ID
//	8      ExpiresAt
//	8      SeenAt
//	8      EndsAt
//	4      LeaseSeconds
//	1+n    combo (see combo)
//	1+n    Username
//	8      StartedAt
//	1+1    Launch, Wallet
//	1+n    each of BootID, Lang, BrandCurrency, IP
//	2+n    LobbyURL
const (
	recordHead = 2 + 16 + 3*8 + 4
	maxRecord  = 1<<16 - 1
)

var errRecord = errors.New("a packed session is damaged")

// pack appends a session's record. The session is of valid texts, which are
// short.
func pack(to []byte, s *rollcall.Session) []byte {
	start := len(to)
	id, _ := uuid.Parse(s.ID) // it has a home
	to = append(to, 0, 0)
	to = append(to, id[:]...)
	for _, at := range []time.Time{s.ExpiresAt, s.SeenAt, s.EndsAt} {
		to = binary.BigEndian.AppendUint64(to, uint64(at.UnixMicro()))
	}
	to = binary.BigEndian.AppendUint32(to, uint32(s.LeaseSeconds))
	to = packText(to, string(comboOf(s)))
	to = packText(to, s.Username)
	to = binary.BigEndian.AppendUint64(to, uint64(s.StartedAt.UnixMicro()))
	to = append(to, byte(s.Launch), byte(s.Wallet))
	for _, text := range []string{s.BootID, s.Lang, s.BrandCurrency, string(s.IP.AsSlice())} {
		to = packText(to, text)
	}
	to = binary.BigEndian.AppendUint16(to, uint16(len(s.LobbyURL)))
	to = append(to, s.LobbyURL...)
	binary.BigEndian.PutUint16(to[start:], uint16(len(to)-start))
	return to
}

func packText(to []byte, text string) []byte { return append(append(to, byte(len(text))), text...) }

// packAll packs sessions in their order; none is "".
func packAll(list []rollcall.Session) string {
	slices.SortFunc(list, olderFirst)
	var to []byte
	for i := range list {
		to = pack(to, &list[i])
	}
	return string(to)
}

func olderFirst(a, b rollcall.Session) int {
	if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
		return c
	}
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}

// unpackAll reads what packAll wrote.
func unpackAll(value string) ([]rollcall.Session, error) {
	var list []rollcall.Session
	for len(value) > 0 {
		if len(value) < recordHead {
			return nil, errRecord
		}
		n := int(value[0])<<8 | int(value[1])
		if n < recordHead || n > len(value) {
			return nil, errRecord
		}
		s, err := unpack(value[:n])
		if err != nil {
			return nil, err
		}
		list, value = append(list, s), value[n:]
	}
	return list, nil
}

func unpack(record string) (rollcall.Session, error) {
	u := unpacker{rest: record[2:]}
	id := uuid.UUID([]byte(u.take(16)))
	expires, seen, ends := u.time(), u.time(), u.time()
	lease := int(u.number(4))
	s, ok := combo(u.text(1)).fields()
	s.ID, s.ExpiresAt, s.SeenAt, s.EndsAt, s.LeaseSeconds = id.String(), expires, seen, ends, lease
	s.Username, s.StartedAt = u.text(1), u.time()
	s.Launch, s.Wallet = rollcall.LaunchType(u.number(1)), rollcall.Wallet(u.number(1))
	s.BootID, s.Lang, s.BrandCurrency = u.text(1), u.text(1), u.text(1)
	s.IP, _ = netip.AddrFromSlice([]byte(u.text(1)))
	s.LobbyURL = u.text(2)
	if u.short || !ok || u.rest != "" {
		return s, errRecord
	}
	return s, nil
}

// An unpacker reads a record from front to back; short is set where it ends
// before what it should have.
type unpacker struct {
	rest  string
	short bool
}

func (u *unpacker) take(n int) string {
	if n > len(u.rest) {
		u.short, u.rest = true, ""
		return string(make([]byte, min(n, maxRecord)))
	}
	text := u.rest[:n]
	u.rest = u.rest[n:]
	return text
}

func (u *unpacker) number(size int) (n uint64) {
	for _, b := range []byte(u.take(size)) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (u *unpacker) text(size int) string { return u.take(int(u.number(size))) }

func (u *unpacker) time() time.Time { return time.UnixMicro(int64(u.number(8))).UTC() }
