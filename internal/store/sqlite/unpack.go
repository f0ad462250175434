package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall"
)

var errPack = errors.New("a batch of request records is damaged")

// An unpacker reads one pack.
type unpacker struct {
	unpacking

	callers []caller
	shapes  [][]rollcall.RequestCheck
}

// unpack returns the records of a pack, by key. It keeps nothing of from.
func unpack(from []byte) ([]rollcall.RequestRecord, error) {
	u := unpackerOf(from)
	keys, err := u.keys()
	if err != nil {
		return nil, err
	}
	list := make([]rollcall.RequestRecord, len(keys))
	for i := range list {
		if err := u.record(keys[i], &list[i]); err != nil {
			return nil, err
		}
		if u.damaged { // what is read now may be the same again and again, and large
			return nil, errPack
		}
	}
	if len(u.from) > 0 {
		return nil, errPack
	}
	return list, nil
}

// unpackKeys returns the keys of a pack alone.
func unpackKeys(from []byte) ([]key, error) { return unpackerOf(from).keys() }

func unpackerOf(from []byte) *unpacker {
	return &unpacker{unpacking: unpacking{from: from, known: knownTexts[:]}}
}

func (u *unpacker) keys() ([]key, error) {
	format := u.bytes(1)
	if !u.damaged && format[0] != packFormat {
		return nil, fmt.Errorf("request records in format %d: written by a newer rollcall", format[0])
	}
	n := u.number()
	if u.damaged || n > uint64(len(u.from)) { // each takes more than a byte
		return nil, errPack
	}
	list := make([]key, n)
	millis := uint64(0)
	for i := range list {
		millis += u.number()
		rest := u.bytes(10)
		if u.damaged {
			return nil, errPack
		}
		list[i] = key{millis<<16 | uint64(binary.BigEndian.Uint16(rest)), binary.BigEndian.Uint64(rest[2:])}
		if i > 0 && list[i-1].compare(list[i]) >= 0 {
			return nil, errPack
		}
	}
	return list, nil
}

func (u *unpacker) record(k key, r *rollcall.RequestRecord) error {
	head := u.number()
	flags, c := int(head&(1<<flagBits-1)), u.caller(head>>flagBits)
	var at time.Time
	if flags&flagAt == 0 {
		at = time.Unix(0, k.nanos()+u.signed()).UTC()
	}
	username, took := string(u.bytes(u.number())), int64(u.number())
	var checks []rollcall.RequestCheck
	if flags&flagChecks == 0 {
		checks = u.checks()
	}
	if flags&flagRest != 0 {
		rest := u.bytes(u.number())
		if u.damaged {
			return errPack
		}
		if err := json.Unmarshal(rest, r); err != nil {
			return fmt.Errorf("%w: %w", errPack, err)
		}
	}
	r.LogUUID, r.Username, r.TookNanos = k.String(), username, took
	r.Endpoint, r.AgentID, r.Remote, r.Code, r.Status = c.endpoint, c.agentID, c.remote, c.code, c.status
	if flags&flagAt == 0 {
		r.At = at
	}
	if flags&flagChecks == 0 {
		r.Checks = checks
	}
	return nil
}

func (u *unpacker) caller(number uint64) caller {
	if number < uint64(len(u.callers)) {
		return u.callers[number]
	}
	if number > uint64(len(u.callers)) {
		u.damage()
		return caller{}
	}
	c := caller{u.text(), u.text(), u.text(), int(u.number()), int(u.number())}
	u.callers = append(u.callers, c)
	return c
}

func (u *unpacker) checks() []rollcall.RequestCheck {
	number := u.number()
	if number == uint64(len(u.shapes)) {
		u.shapes = append(u.shapes, u.newShape())
	}
	if number >= uint64(len(u.shapes)) {
		u.damage()
		return nil
	}
	shape := u.shapes[number]
	if shape == nil {
		return nil
	}
	checks := append(make([]rollcall.RequestCheck, 0, len(shape)), shape...)
	for i := range checks {
		checks[i].TookNanos = int64(u.number())
	}
	return checks
}

func (u *unpacker) newShape() []rollcall.RequestCheck {
	n := u.number()
	if n == 0 || n-1 > uint64(len(u.from)) { // each check takes more than a byte
		if n > 0 {
			u.damage()
		}
		return nil
	}
	shape := make([]rollcall.RequestCheck, n-1)
	for i := range shape {
		shape[i].Name, shape[i].Reason = u.text(), u.text()
		passed := u.bytes(1)
		shape[i].Passed = !u.damaged && passed[0] == verdicts[true]
	}
	return shape
}
