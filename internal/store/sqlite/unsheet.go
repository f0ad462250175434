package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var errSheet = errors.New("a sheet of the log is damaged ('rollcall verify --repair' takes it out)")

// An entry is one of a sheet. Which of its fields are set is by its sort.
type entry struct {
	sort    byte
	session rollcall.Session
	change  roll.Change
	launch  roll.Launch // of marks and forget not the whole
	through int64
}

// A reading reads one sheet.
type reading struct {
	unpacking

	last int64
}

// readSheet calls do with each entry of a sheet, which is do's until it returns, and
// returns the last Seq. Nothing of a sheet is read that is not whole.
func readSheet(from []byte, do func(*entry) error) (seq int64, err error) {
	n := len(from) - crc32.Size
	if n < 1 || binary.BigEndian.Uint32(from[n:]) != crc32.Checksum(from[:n], castagnoli) {
		return 0, errSheet
	}
	if from[0] != sheetFormat {
		return 0, fmt.Errorf("a sheet in format %d: written by a newer rollcall", from[0])
	}
	return readEntries(from[1:n], do)
}

func readEntries(from []byte, do func(*entry) error) (seq int64, err error) {
	r := &reading{unpacking: unpacking{from: from, known: knownInSheets[:]}, last: packedEpoch}
	var e entry
	for {
		if err := r.entry(&e); err != nil {
			return 0, err
		}
		if e.sort == entryEnd {
			break
		}
		if err := do(&e); err != nil {
			return 0, err
		}
	}
	last := r.number()
	if r.damaged || len(r.from) > 0 || last > math.MaxInt64 {
		return 0, errSheet
	}
	return int64(last), nil
}

func (r *reading) entry(e *entry) error {
	sort := r.byte()
	e.sort = sort &^ entryJSON
	switch {
	case sort&entryJSON != 0:
		return r.json(e)
	case sort == entrySession:
		e.session = rollcall.Session{}
		r.session(&e.session)
	case sort == entryChange:
		r.change(&e.change)
	case sort == entryLaunch:
		r.launch(&e.launch)
	case sort == entryMarks:
		e.launch = roll.Launch{Key: r.id()}
		r.marks(&e.launch)
	case sort == entryForget:
		e.launch = roll.Launch{Key: r.id()}
	case sort == entryThrough:
		e.through = r.seq()
	case sort != entryEnd:
		r.damage()
	}
	if r.damaged {
		return errSheet
	}
	return nil
}

func (r *reading) byte() byte {
	if some := r.bytes(1); some != nil {
		return some[0]
	}
	return 0
}

// seq reads a Seq that was given.
func (r *reading) seq() int64 {
	n := r.number()
	if n == 0 || n > math.MaxInt64 {
		r.damage()
	}
	return int64(n)
}

func (r *reading) json(e *entry) error {
	var value any
	switch e.sort {
	case entrySession:
		e.session = rollcall.Session{}
		value = &e.session
	case entryChange:
		e.change = roll.Change{Seq: r.seq()}
		value = &e.change
	case entryLaunch:
		e.launch = roll.Launch{}
		value = &e.launch
	default:
		return errSheet
	}
	doc := r.bytes(r.number())
	if r.damaged {
		return errSheet
	}
	if err := json.Unmarshal(doc, value); err != nil {
		return fmt.Errorf("%w: %w", errSheet, err)
	}
	return nil
}

func (r *reading) session(s *rollcall.Session) {
	s.ID, s.Username = r.id(), r.id()
	s.AgentID, s.GameCode, s.Mode = r.text(), r.text(), rollcall.Mode(r.text())
	s.GameServer, s.BootID, s.Lang = r.text(), r.text(), r.text()
	s.Currency, s.BrandCurrency, s.LobbyURL = r.text(), r.text(), r.text()
	s.Device, s.Launch = rollcall.DeviceType(r.number()), rollcall.LaunchType(r.number())
	s.Wallet, s.LeaseSeconds = rollcall.Wallet(r.number()), int(r.number())
	switch ip := r.bytes(r.number()); len(ip) {
	case 0:
	case 4:
		s.IP = netip.AddrFrom4([4]byte(ip))
	case 16:
		s.IP = netip.AddrFrom16([16]byte(ip))
	default:
		r.damage()
	}
	if !s.Device.Valid() || !s.Launch.Valid() || !s.Wallet.Valid() {
		r.damage()
	}
	s.StartedAt, r.last = r.time(r.last)
	s.SeenAt, _ = r.time(r.last)
	s.ExpiresAt, _ = r.time(r.last)
	s.EndsAt, _ = r.time(r.last)
}

func (r *reading) change(c *roll.Change) {
	*c = roll.Change{Seq: r.seq()}
	r.session(&c.Session)
	c.EndedAt, _ = r.time(r.last)
	c.SettledAt, _ = r.time(r.last)
	c.Reason, c.By = rollcall.EndReason(r.text()), r.text()
	c.KickID, c.Note = r.id(), r.own()
}

func (r *reading) launch(l *roll.Launch) {
	*l = roll.Launch{Key: r.id()}
	r.session(&l.Session)
	l.CreatedAt, r.last = r.time(r.last)
	l.ExpiresAt, _ = r.time(r.last)
	r.marks(l)
}

func (r *reading) marks(l *roll.Launch) {
	l.Voided = r.byte() == verdicts[true]
	l.StartedID, l.StartedBy = r.id(), [2]string{r.text(), r.text()}
}
