package live

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall"
)

// A record is a packed session, in words of 8 bytes; times are Unix ns.
//
//	word  what
//	0     ExpiresAt, which heartbeats change; negative once Expired has handed the
//	      session out: from then on it is active at no time, and nothing renews it
//	1     SeenAt, which heartbeats change
//	2, 3  ID (see sessionID)
//	4     offset of the member's next older session, or noRecord (32 bits); number
//	      of the combo (32)
//	5…    body: bytes, from the lowest of each word on
//
//	bytes of the body
//	2     flags: record… (5 bits), size of the record in words (11)
//	1–10  StartedAt: µs since the ID's moment (varint); or 8 bytes
//	1–10  EndsAt: s since StartedAt (varint); or 8 bytes
//	1–10  LeaseSeconds (varint)
//	1+n   Username: length (varint), bytes
//	0–16  IP
//	1     Launch (4 bits), Wallet (4)
//	1+…   each of BootID, Lang, BrandCurrency, LobbyURL: number of the text and 1
//	      (varint); or 0, length (varint), bytes
//
// A session with a name of 13 letters and an address of IPv4 takes 72 bytes.
//
// Words 0, 1 and 4 are atomic, and all others written before anybody sees the
// record. It is read by who holds a lock of its shard of members or of its ID's,
// as both are needed to remove it.
type record []int64

const (
	wordExpires = iota
	wordSeen
	wordHigh
	wordLow
	wordLink
	wordBody
)

const (
	recordHeld    = 1 << iota // or the record is free
	recordStarted             // StartedAt is in 8 bytes
	recordEnds                // EndsAt is
	recordIPv4
	recordIPv6

	sizeShift = iota
	maxRecord = 1<<(16-sizeShift) - 1 // words; texts are short
)

// bodyRoom is enough for most bodies.
const bodyRoom = 128

// noTime is the zero time, in ns.
const noTime = math.MinInt64

func nanosOf(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixNano()
}

func timeOf(nanos int64) time.Time {
	if nanos == noTime {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// pack appends a session's record.
func pack(to record, s *rollcall.Session, id sessionID, h held) record {
	var room [bodyRoom]byte
	body := appendBody(room[:0], s, id, h)
	to = append(to,
		s.ExpiresAt.UnixNano(), s.SeenAt.UnixNano(), int64(id.high), int64(id.low),
		int64(uint64(noRecord)<<32|uint64(h.combo)))
	for len(body)%8 != 0 {
		body = append(body, 0)
	}
	size := len(to) + len(body)/8
	if size > maxRecord {
		panic("live: a session of 16 KiB")
	}
	binary.LittleEndian.PutUint16(body, uint16(size<<sizeShift|int(body[0])))
	for ; len(body) > 0; body = body[8:] {
		to = append(to, int64(binary.LittleEndian.Uint64(body)))
	}
	return to
}

func appendBody(to []byte, s *rollcall.Session, id sessionID, h held) []byte {
	to = append(to, recordHeld, 0)
	to = appendTimes(to, nanosOf(s.StartedAt), nanosOf(s.EndsAt), id)
	to = binary.AppendUvarint(to, uint64(s.LeaseSeconds))
	to = appendText(to, s.Username)
	switch {
	case s.IP.Is4():
		to[0] |= recordIPv4
	case s.IP.Is6():
		to[0] |= recordIPv6
	}
	to = append(to, s.IP.AsSlice()...)
	to = append(to, byte(s.Launch)<<4|byte(s.Wallet)&0xf)
	for i, text := range textsOf(s) {
		to = binary.AppendUvarint(to, uint64(h.texts[i]))
		if h.texts[i] == 0 {
			to = appendText(to, text)
		}
	}
	return to
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// appendTimes appends StartedAt and EndsAt, and sets their flags.
func appendTimes(to []byte, started, ends int64, id sessionID) []byte {
	if id.isUUID() && started > 0 && started%1000 == 0 {
		to = binary.AppendVarint(to, started/1000-id.micros())
	} else {
		to[0] |= recordStarted
		to = binary.LittleEndian.AppendUint64(to, uint64(started))
	}
	if life := ends - started; started > 0 && ends > 0 && life%int64(time.Second) == 0 {
		return binary.AppendVarint(to, life/int64(time.Second))
	}
	to[0] |= recordEnds
	return binary.LittleEndian.AppendUint64(to, uint64(ends))
}

func (r record) size() int { return int(uint16(r[wordBody]) >> sizeShift) }

func (r record) held() bool { return r[wordBody]&recordHeld != 0 }

func (r record) id() sessionID { return sessionID{uint64(r[wordHigh]), uint64(r[wordLow])} }

func (r record) combo() uint32 { return uint32(atomic.LoadInt64(&r[wordLink])) }

func (r record) older() uint32 { return uint32(uint64(atomic.LoadInt64(&r[wordLink])) >> 32) }

func (r record) setOlder(offset uint32) {
	atomic.StoreInt64(&r[wordLink], int64(uint64(offset)<<32|uint64(r.combo())))
}

func (r record) expires() int64 { return atomic.LoadInt64(&r[wordExpires]) }

func (r record) seen() int64 { return atomic.LoadInt64(&r[wordSeen]) }

func (r record) activeAt(nanos int64) bool { return r.expires() > nanos }

// renew moves the lease to want, but never back, if the session is active at now.
func (r record) renew(want, now int64) bool {
	for {
		have := r.expires()
		if have <= now {
			return false
		}
		if atomic.CompareAndSwapInt64(&r[wordExpires], have, max(have, want)) {
			r.see(now)
			return true
		}
	}
}

// see notes a Heartbeat; one that was overtaken changes nothing.
func (r record) see(at int64) {
	for have := r.seen(); have < at; have = r.seen() {
		if atomic.CompareAndSwapInt64(&r[wordSeen], have, at) {
			return
		}
	}
}

// endBy ends a session for good whose lease has ended by now. It returns the end
// of the lease where that is later.
func (r record) endBy(now int64) int64 {
	for {
		have := r.expires()
		if have > now || have < 0 || atomic.CompareAndSwapInt64(&r[wordExpires], have, -have) {
			return have
		}
	}
}

// A body reads a record's from front to back; what is read must be so far.
type body struct {
	rest  []byte
	flags byte
}

// body unpacks a record's body into room, which has bodyRoom mostly.
func (r record) body(room []byte) body {
	for _, word := range r[wordBody:] {
		room = binary.LittleEndian.AppendUint64(room, uint64(word))
	}
	return body{rest: room[2:], flags: room[0]}
}

func (b *body) varint() int64 {
	v := b.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (b *body) uvarint() uint64 {
	if first := b.rest[0]; first < 0x80 {
		b.rest = b.rest[1:]
		return uint64(first)
	}
	v, n := binary.Uvarint(b.rest)
	b.rest = b.rest[n:]
	return v
}

func (b *body) bytes(n int) []byte {
	some := b.rest[:n]
	b.rest = b.rest[n:]
	return some
}

func (b *body) int64() int64 { return int64(binary.LittleEndian.Uint64(b.bytes(8))) }

// times reads StartedAt and EndsAt.
func (b *body) times(id sessionID) (started, ends int64) {
	if b.flags&recordStarted != 0 {
		started = b.int64()
	} else {
		started = (id.micros() + b.varint()) * 1000
	}
	if b.flags&recordEnds != 0 {
		return started, b.int64()
	}
	return started, started + b.varint()*int64(time.Second)
}

func (b *body) lease() time.Duration { return time.Duration(b.uvarint()) * time.Second }

func (b *body) username() []byte { return b.bytes(int(b.uvarint())) }

// member reads up to the username.
func (b *body) member(id sessionID) []byte {
	b.times(id)
	b.lease()
	return b.username()
}

func (b *body) ip() netip.Addr {
	switch {
	case b.flags&recordIPv4 != 0:
		return netip.AddrFrom4([4]byte(b.bytes(4)))
	case b.flags&recordIPv6 != 0:
		return netip.AddrFrom16([16]byte(b.bytes(16)))
	}
	return netip.Addr{}
}

// text reads the number of a text and 1, or the text.
func (b *body) text() (number uint32, text []byte) {
	if number = uint32(b.uvarint()); number == 0 {
		text = b.bytes(int(b.uvarint()))
	}
	return number, text
}

// started returns when the session began.
func (r record) started() int64 {
	var room [bodyRoom]byte
	b := r.body(room[:0])
	started, _ := b.times(r.id())
	return started
}

// isOf reports whether the session is of a member of its agent.
func (r record) isOf(username string) bool {
	var room [bodyRoom]byte
	b := r.body(room[:0])
	return string(b.member(r.id())) == username
}

// renewal returns what a Heartbeat needs to know.
func (r record) renewal() (lease time.Duration, ends int64) {
	var room [bodyRoom]byte
	b := r.body(room[:0])
	_, ends = b.times(r.id())
	return b.lease(), ends
}

// held returns what the session holds of the names.
func (r record) holds() (h held) {
	var room [bodyRoom]byte
	b := r.body(room[:0])
	b.member(r.id())
	b.ip()
	b.bytes(1) // Launch and Wallet
	h.combo = r.combo()
	for i := range h.texts {
		h.texts[i], _ = b.text()
	}
	return h
}
