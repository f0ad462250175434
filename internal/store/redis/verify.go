package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// A Report says what Verify has looked at, and what was wrong.
type Report struct {
	Sessions int `json:"sessions"`
	Entries  int `json:"entries"` // of indexes
	Launches int `json:"launches"`
	// Found counts the faults by their sort, Mended those that are no more.
	Found  map[string]int `json:"found"`
	Mended int            `json:"mended"`
	// Faults are the first ones.
	Faults []Fault `json:"faults"`
}

// A Fault is something that is not as it has to be.
type Fault struct {
	Sort   string `json:"sort"`
	Where  string `json:"where"`
	Mended bool   `json:"mended"`
}

// The sorts of faults.
const (
	faultDamaged  = "sessions that cannot be read"
	faultHome     = "a session outside its home"
	faultUnlisted = "a session that is not in its index, or in a wrong place"
	faultGhost    = "an index entry without its session"
	faultCombo    = "an index without its place, or in a wrong one"
	faultLaunches = "launches that cannot be read, or that would stay for ever"
	faultJournal  = "a journal entry that is left, or cannot be read"
)

// maxFaults bounds how many faults a Report shows.
const maxFaults = 1000

// Verify looks at all sessions, indexes, launches and journals, and whether they
// fit together; with repair set it mends what does not. It may run beside any
// traffic: what it finds is so at one moment, and what it mends it mends only if
// nothing was in between. It looks at a bounded number of keys at a time, and
// calls progress with how many it has seen, and about how many there are.
func (s *Store) Verify(ctx context.Context, repair bool, progress func(done, of int)) (Report, error) {
	v := &verifier{s: s.sessions, ctx: ctx, repair: repair, report: Report{Found: make(map[string]int), Faults: []Fault{}}}
	err := s.engine.scan(ctx, v.pattern(), v.keys, progress)
	for n := 0; err == nil && n < partitions; n++ {
		p := &s.sessions.keys.parts[n]
		if err = v.indexes(p); err == nil {
			err = v.journal(p)
		}
	}
	if err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	return v.report, nil
}

type verifier struct {
	s      *sessions
	ctx    context.Context
	repair bool
	report Report
}

// pattern matches the keys of sessions, launches and indexes.
func (v *verifier) pattern() string { return "{" + v.s.keys.prefix + ":[0-9a-f][0-9a-f]}[sli]*" }

// found notes a fault, and mends it if that is wanted.
func (v *verifier) found(sort, where string, mend func() error) error {
	v.report.Found[sort]++
	f := Fault{Sort: sort, Where: where}
	var err error
	if v.repair {
		if err = mend(); err == nil {
			f.Mended = true
			v.report.Mended++
		} else if errors.Is(err, errMoved) {
			err = nil // somebody has changed it, who may have mended it
		}
	}
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, f)
	}
	return err
}

// errMoved says that what was to be mended is not as it was found.
var errMoved = errors.New("changed in between")

func (v *verifier) commit(doing string, c *program) error {
	done, _, err := v.s.engine.commit(v.ctx, doing, c)
	if err == nil && !done[0] {
		err = errMoved
	}
	return err
}

// foundKeys are what some keys are of.
type foundKeys struct {
	homes    map[*part][]roll.Home // with sessions
	launches []roll.Home
	indexes  []index
}

// keys looks at what some keys are of.
func (v *verifier) keys(names []string) error {
	found := &foundKeys{homes: make(map[*part][]roll.Home)}
	for _, name := range names {
		v.sort(found, name)
	}
	if err := v.homes(found.homes); err != nil {
		return err
	}
	if err := v.launches(found.launches); err != nil {
		return err
	}
	return v.places(found.indexes)
}

func (v *verifier) sort(found *foundKeys, name string) {
	tag := len(v.s.keys.parts[0].tag)
	if len(name) <= tag {
		return
	}
	n, err := strconv.ParseUint(name[tag-3:tag-1], 16, 8)
	if err != nil || name[:tag] != v.s.keys.parts[n].tag {
		return
	}
	p := &v.s.keys.parts[n]
	rest := name[tag+1:]
	home, isHome := homeOfKey(p, rest)
	switch {
	case name[tag] == 's' && isHome:
		found.homes[p] = append(found.homes[p], home)
	case name[tag] == 'l' && isHome:
		found.launches = append(found.launches, home)
	case name[tag] == 'i':
		found.indexes = append(found.indexes, index{p, combo(rest)})
	}
}

// homeOfKey is the inverse of homeKey.
func homeOfKey(p *part, rest string) (roll.Home, bool) {
	if len(rest) != 3 {
		return 0, false
	}
	return roll.Home(p.n)<<24 | roll.Home(rest[0])<<16 | roll.Home(rest[1])<<8 | roll.Home(rest[2]), true
}

// scanCount is about how many keys are looked at by one step of a scan.
const scanCount = 500

// scan calls each with all keys that match a pattern, some at a time; one may come
// twice.
func (e *engine) scan(ctx context.Context, pattern string, each func(names []string) error, progress func(done, of int)) error {
	nodes, total, err := e.writers(ctx)
	if err != nil {
		return err
	}
	done := 0
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			entry, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(scanCount).Build()).AsScanEntry()
			if err != nil {
				return outage("scan keys", err)
			}
			if err := each(entry.Elements); err != nil {
				return err
			}
			done += scanCount
			progress(min(done, total), total)
			if cursor = entry.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// writers are the servers that take writes, and how many keys they have.
func (e *engine) writers(ctx context.Context) (nodes []rueidis.Client, keys int, err error) {
	for addr, node := range e.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("replication").Build()).ToString()
		if err != nil {
			continue // a replica that is down is no matter; a master's keys are missed below
		}
		if field(info, "role") != "master" {
			continue
		}
		size, err := node.Do(ctx, node.B().Dbsize().Build()).AsInt64()
		if err != nil {
			return nil, 0, outage("ask "+addr, err)
		}
		nodes, keys = append(nodes, node), keys+int(size)
	}
	return nodes, keys, nil
}

// journal looks for entries that nobody has carried on.
func (v *verifier) journal(p *part) error {
	got, err := v.s.engine.do(v.ctx, "read the journal", read("XRANGE", p.journal(), "-", "+", "COUNT", strconv.Itoa(journalSome)))
	if err != nil {
		return err
	}
	entries, err := got[0].AsXRange()
	if err != nil {
		return outage("read the journal", err)
	}
	old := v.s.clock.ofEngine().Add(-journalLeft)
	for _, e := range entries {
		if time.UnixMilli(streamSeq(e.ID) >> streamBits).After(old) {
			return nil
		}
		err := v.found(faultJournal, fmt.Sprintf("partition %02x, entry %s", p.n, e.ID), func() error { return v.mendJournal(p, e) })
		if err != nil {
			return err
		}
	}
	return nil
}

// journalLeft is far longer than an entry is left where anybody carries on.
const journalLeft = time.Minute

// mendJournal carries an entry on; one that cannot be read holds up all others,
// and goes.
func (v *verifier) mendJournal(p *part, e rueidis.XRangeEntry) error {
	drop := []command{write("XDEL", p.journal(), e.ID)}
	left := &leftover{old: v.s.clock.ofEngine()}
	if err := left.entry(e); err != nil {
		_, err := v.s.engine.do(v.ctx, "drop a journal entry", drop...)
		return err
	}
	return v.s.carryOn(v.ctx, left.kicks, left.receipts, drop)
}
