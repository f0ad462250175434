package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A pack is request records of one batch, by key. Numbers are varints of
// encoding/binary, signed ones where it says so. What records have in common is
// written when it first comes, and is a number from then on:
//
//	text    its number among knownTexts and the texts before; a new one has the
//	        next number, its length and its bytes
//	caller  texts Endpoint, AgentID, Remote; Code, Status
//	shape   how many checks and 1, 0: they are nil; of each the texts Name and
//	        Reason, and 1 where it passed
//
// And the whole is
//
//	1 byte  packFormat
//	n       how many records
//	of each its key: the first 6 bytes less those of the key before, and 10 bytes
//	of each the rest:
//	  flags, and the number of its caller above them; a new caller
//	  At less the ms in the key, in ns, signed
//	  length and bytes of Username
//	  TookNanos
//	  the number of its shape; a new shape; TookNanos of each check
//	  where flagRest is set, length and bytes of JSON: what has no place above
//
// A field that RequestRecord or RequestCheck is given later goes into that JSON
// by itself (roll.LaterFields). Where it is in most records it wants a place of its own, and a new
// packFormat.
const packFormat = 1

const (
	flagRest   = 1 << iota // there is JSON
	flagAt                 // At is in it
	flagChecks             // Checks are in it
	flagBits   = iota
)

// knownTexts have a number from the beginning. They are part of the format: none
// may be changed or moved, and new ones want a new packFormat.
var knownTexts = [...]string{
	"", "other", "/v2/auth", "/v2/members/sessions/check", "/v2/members/sessions/logout", "/v2/members", "/v2/members/online", "/v2/opengame",
	"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token", "rate", "cipherText", "nonce", "plaintext",
	"secret", "branch", "member", "game", "address", "overload",
}

var knownNumbers = numbered(knownTexts[:])

// A caller is what is alike in most records: who called, and what came of it.
type caller struct {
	endpoint, agentID, remote string
	code, status              int
}

// A packer makes one pack.
type packer struct {
	packing

	callers map[caller]int
	last    caller
	number  int // of last
	shapes  [][]rollcall.RequestCheck
	usual   []int // the last shape of each caller
}

// pack returns the pack of records, which are in the order of their keys.
func pack(records []keyed) ([]byte, error) {
	p := &packer{
		packing: packing{to: make([]byte, 0, 256+96*len(records)), known: knownNumbers, texts: map[string]int{}},
		callers: map[caller]int{},
	}
	p.to = append(p.to, packFormat)
	p.number = -1
	p.add(uint64(len(records)))
	before := uint64(0)
	for i := range records {
		k := records[i].key
		p.add(k.millis() - before)
		p.to = binary.BigEndian.AppendUint16(p.to, uint16(k.hi))
		p.to = binary.BigEndian.AppendUint64(p.to, k.lo)
		before = k.millis()
	}
	for i := range records {
		if err := p.record(records[i].key, records[i].of); err != nil {
			return nil, err
		}
	}
	return p.to, nil
}

func (p *packer) record(k key, r *rollcall.RequestRecord) error {
	flags := flagsOf(r)
	p.caller(flags, caller{r.Endpoint, r.AgentID, r.Remote, r.Code, r.Status})
	if flags&flagAt == 0 {
		p.to = binary.AppendVarint(p.to, r.At.UnixNano()-k.nanos())
	}
	p.addText(r.Username)
	p.add(uint64(r.TookNanos))
	if flags&flagChecks == 0 {
		p.checks(r.Checks)
	}
	if flags&flagRest == 0 {
		return nil
	}
	rest, err := json.Marshal(restOf(r, flags))
	p.addText(string(rest))
	return err
}

// flagsOf says what of a record has no place of its own.
func flagsOf(r *rollcall.RequestRecord) (flags int) {
	// In ns a time is from 1678 to 2262, and it has no zone.
	if y := r.At.Unix(); r.At.Location() != time.UTC || y < 0 || y > 1<<33 {
		flags |= flagAt
	}
	record, checks := roll.LaterFields(r)
	if checks {
		flags |= flagChecks
	}
	if flags != 0 || record {
		flags |= flagRest
	}
	return flags
}

// restOf returns what of a record has no place of its own.
func restOf(r *rollcall.RequestRecord, flags int) *rollcall.RequestRecord {
	rest := *r
	rest.LogUUID, rest.Endpoint, rest.AgentID, rest.Username, rest.Remote = "", "", "", "", ""
	rest.Code, rest.Status, rest.TookNanos = 0, 0, 0
	if flags&flagAt == 0 {
		rest.At = time.Time{}
	}
	if flags&flagChecks == 0 {
		rest.Checks = nil
	}
	return &rest
}

func (p *packer) caller(flags int, c caller) {
	if p.number >= 0 && c == p.last {
		p.add(uint64(p.number<<flagBits | flags))
		return
	}
	number, known := p.callers[c]
	if !known {
		number = len(p.usual)
		p.callers[c] = number
		p.usual = append(p.usual, 0)
	}
	p.last, p.number = c, number
	p.add(uint64(number<<flagBits | flags))
	if !known {
		p.text(c.endpoint)
		p.text(c.agentID)
		p.text(c.remote)
		p.add(uint64(c.code))
		p.add(uint64(c.status))
	}
}

// shapesBack is how many of the last shapes are looked at for one that fits.
const shapesBack = 16

func (p *packer) checks(checks []rollcall.RequestCheck) {
	number := p.shape(checks)
	p.add(uint64(number))
	if number == len(p.shapes) {
		p.newShape(checks)
	}
	p.usual[p.number] = number
	for i := range checks {
		p.add(uint64(checks[i].TookNanos))
	}
}

// shape returns the number of the shape that fits, or that of the next one.
func (p *packer) shape(checks []rollcall.RequestCheck) int {
	if usual := p.usual[p.number]; usual < len(p.shapes) && alike(p.shapes[usual], checks) {
		return usual
	}
	for i := len(p.shapes) - 1; i >= max(0, len(p.shapes)-shapesBack); i-- {
		if alike(p.shapes[i], checks) {
			return i
		}
	}
	return len(p.shapes)
}

func (p *packer) newShape(checks []rollcall.RequestCheck) {
	p.shapes = append(p.shapes, checks)
	if checks == nil {
		p.add(0)
		return
	}
	p.add(uint64(len(checks) + 1))
	for i := range checks {
		p.text(checks[i].Name)
		p.text(checks[i].Reason)
		p.to = append(p.to, verdicts[checks[i].Passed])
	}
}

var verdicts = map[bool]byte{false: 0, true: 1}

// alike reports whether checks are of one shape.
func alike(a, b []rollcall.RequestCheck) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	for i := range a {
		if a[i].Passed != b[i].Passed || a[i].Name != b[i].Name || a[i].Reason != b[i].Reason {
			return false
		}
	}
	return true
}
