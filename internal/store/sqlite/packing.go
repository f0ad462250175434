package sqlite

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// A packing is bytes in the making. Numbers are varints of encoding/binary. A text
// that comes again and again is written where it first comes, and is a number from
// then on: its place among known, or behind them.
type packing struct {
	to    []byte
	known map[string]int // texts that have a number from the beginning
	texts map[string]int
}

func numbered(texts []string) map[string]int {
	of := make(map[string]int, len(texts))
	for i, text := range texts {
		of[text] = i
	}
	return of
}

func (p *packing) add(n uint64) { p.to = binary.AppendUvarint(p.to, n) }

func (p *packing) addText(text string) {
	p.add(uint64(len(text)))
	p.to = append(p.to, text...)
}

// text writes a text that has a number, or is given one.
func (p *packing) text(text string) {
	number, known := p.known[text]
	if !known {
		number, known = p.texts[text]
	}
	if !known {
		number = len(p.known) + len(p.texts)
		p.texts[text] = number
	}
	p.add(uint64(number))
	if !known {
		p.addText(text)
	}
}

// id writes 0 and the bytes of a UUID; of another text its length and 1, and it.
func (p *packing) id(id string) {
	if k, ok := keyOf(id); ok {
		p.to = append(p.to, 0)
		p.to = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(p.to, k.hi), k.lo)
		return
	}
	p.add(uint64(len(id) + 1))
	p.to = append(p.to, id...)
}

// Times are packed as what they are since another one: 0 for the zero time, or 1
// and a number, twice that of the whole seconds, or twice that of the ns and 1.
// Of the number the lowest bit is the sign. They are near packedEpoch: so none
// overflows.
const packedEpoch = 1_767_225_600 * int64(time.Second) // 2026-01-01

const packedYears = 36 * 366 * 24 * 60 * 60 // s from the epoch, before or after

// packable reports whether a time has a packed form.
func packable(t time.Time) bool {
	far := t.Unix() - packedEpoch/int64(time.Second)
	return t.IsZero() || -packedYears < far && far < packedYears
}

// time writes a time, and returns it in Unix ns, or since for the zero time.
func (p *packing) time(t time.Time, since int64) int64 {
	if t.IsZero() {
		p.to = append(p.to, 0)
		return since
	}
	at := t.UnixNano()
	d, unit := at-since, uint64(1)
	if d%int64(time.Second) == 0 {
		d, unit = d/int64(time.Second), 0
	}
	p.add((uint64(d)<<1^uint64(d>>63))<<1 + unit + 1)
	return at
}

// An unpacking reads what a packing has written. What it reads behind the first
// fault is nothing.
type unpacking struct {
	from    []byte
	damaged bool
	known   []string
	texts   []string
}

func (u *unpacking) damage() { u.from, u.damaged = nil, true }

func (u *unpacking) number() uint64 {
	n, size := binary.Uvarint(u.from)
	if size <= 0 {
		u.damage()
		return 0
	}
	u.from = u.from[size:]
	return n
}

// signed reads what binary.AppendVarint wrote.
func (u *unpacking) signed() int64 { return unsign(u.number()) }

func unsign(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// bytes returns the next n bytes, or nil where there are less.
func (u *unpacking) bytes(n uint64) []byte {
	if n > uint64(len(u.from)) {
		u.damage()
		return nil
	}
	part := u.from[:n]
	u.from = u.from[n:]
	return part
}

// own returns a text that has no number.
func (u *unpacking) own() string { return string(u.bytes(u.number())) }

func (u *unpacking) text() string {
	number := u.number()
	if number < uint64(len(u.known)) {
		return u.known[number]
	}
	number -= uint64(len(u.known))
	if number < uint64(len(u.texts)) {
		return u.texts[number]
	}
	if number > uint64(len(u.texts)) {
		u.damage()
		return ""
	}
	text := u.own()
	u.texts = append(u.texts, text)
	return text
}

func (u *unpacking) id() string {
	n := u.number()
	if n > 0 {
		return string(u.bytes(n - 1))
	}
	id, err := uuid.FromBytes(u.bytes(uint64(len(id16))))
	if err != nil {
		return ""
	}
	return id.String()
}

var id16 uuid.UUID

// time is the inverse of packing's.
func (u *unpacking) time(since int64) (t time.Time, at int64) {
	n := u.number()
	if n == 0 {
		return t, since
	}
	n--
	d := unsign(n >> 1)
	if n&1 == 0 {
		d *= int64(time.Second)
	}
	return time.Unix(0, since+d).UTC(), since + d
}
