package live

import (
	"cmp"
	"math/bits"
)

// A sessionID is a session's ID in 16 bytes: those of a version 7 UUID, as all
// that roll.NewSessionID makes are. Any other text is held among the names: then
// high is 0, which is of no version 7, and low is the text's number.
type sessionID struct{ high, low uint64 }

// idLength is of the text of a UUID.
const idLength = 36

// idDigits are where the digits of a UUID's bytes stand in its text.
var idDigits = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// digits are the values of lower-case hexadecimal digits; noDigit is of all else.
var digits = func() (d [256]uint8) {
	for i := range d {
		d[i] = noDigit
	}
	for i, c := range []byte(hexDigits) {
		d[c] = uint8(i)
	}
	return d
}()

const (
	hexDigits = "0123456789abcdef"
	noDigit   = 0xff
)

// parseID returns the ID of a version 7 UUID in its canonical text; false: it is
// none.
func parseID(text string) (id sessionID, ok bool) {
	id.high, id.low, ok = ParseUUID(text)
	if !ok || !id.isUUID() {
		return sessionID{}, false
	}
	return id, true
}

// ParseUUID returns the 16 bytes of a UUID as two numbers, the first bytes being the
// high ones; false: the text is none in the one form in which we write them.
func ParseUUID(text string) (high, low uint64, ok bool) {
	if len(text) != idLength || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return 0, 0, false
	}
	var bad uint8
	high = parseWord(text, idDigits[:8], &bad)
	low = parseWord(text, idDigits[8:], &bad)
	return high, low, bad <= 0xf
}

// parseWord reads 8 bytes; bad is above 15 where a digit is none.
func parseWord(text string, at []uint8, bad *uint8) (word uint64) {
	for _, i := range at {
		first, second := digits[text[i]], digits[text[i+1]]
		*bad |= first | second
		word = word<<8 | uint64(first<<4|second&0xf)
	}
	return word
}

// isUUID reports whether the ID is no number of a text.
func (id sessionID) isUUID() bool { return id.high>>12&0xf == 7 }

// appendTo appends the text of a UUID.
func (id sessionID) appendTo(to []byte) []byte {
	var text [idLength]byte
	for i, at := range idDigits {
		word := id.high
		if i >= 8 {
			word = id.low
		}
		b := byte(word >> (56 - i%8*8))
		text[at], text[at+1] = hexDigits[b>>4], hexDigits[b&0xf]
	}
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return append(to, text[:]...)
}

// micros returns the moment of a UUID by roll.NewSessionID, in Unix µs.
func (id sessionID) micros() int64 {
	fraction := id.high & 0xfff // in ms/4096
	return int64(id.high>>16*1000 + (fraction*1000+4095)/4096)
}

// hash mixes the ID with two secrets, so that nobody can choose IDs that meet.
func (id sessionID) hash(secret [2]uint64) uint64 {
	high, low := bits.Mul64(id.high^secret[0], id.low^secret[1])
	return high ^ low
}

// compare orders UUIDs as their texts.
func (id sessionID) compare(other sessionID) int {
	return cmp.Or(cmp.Compare(id.high, other.high), cmp.Compare(id.low, other.low))
}
