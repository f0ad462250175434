package live

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Counts returns how many sessions are held by all that SessionCount names, in
// no order.
func (x *Index) Counts() []rollcall.SessionCount {
	counts := []rollcall.SessionCount{}
	for next := -1; next != 0; {
		counts, next = x.names.appendCounts(counts, max(0, next))
	}
	return counts
}

// List returns at most limit active sessions that filter picks with an ID
// greater than after, by ID. It looks at every session, a small part at a time,
// and keeps no more of them than it may return.
func (x *Index) List(filter rollcall.SessionFilter, after string, limit int, now time.Time) []rollcall.Session {
	list := []rollcall.Session{}
	p, ok := x.newPicker(&filter, now)
	if !ok {
		return list
	}
	defer p.close()
	p.after = x.names.keyOf(after)
	// What goes between looking for the IDs and for the sessions makes a round
	// short, but not the list.
	for more := true; more && len(list) < limit; {
		var last listKey
		last, more = p.cut(limit - len(list))
		list = append(list, p.upTo(last, limit-len(list))...)
		p.after = last
	}
	return list
}

// A listKey is an ID as List sorts it. text is of one that is no UUID.
type listKey struct {
	id   sessionID
	text string
}

func (k listKey) compare(other listKey) int {
	if k.text == "" && other.text == "" {
		return k.id.compare(other.id)
	}
	return strings.Compare(k.String(), other.String())
}

func (k listKey) String() string {
	if k.text == "" && k.id != (sessionID{}) {
		return string(k.id.appendTo(nil))
	}
	return k.text
}

// keyOf returns the key of any text; the empty one is before all others.
func (n *names) keyOf(text string) listKey {
	if id, ok := parseID(text); ok {
		return listKey{id: id}
	}
	return listKey{text: text}
}

// keyAt returns the key of an ID that is held.
func (n *names) keyAt(id sessionID) listKey {
	if id.isUUID() {
		return listKey{id: id}
	}
	return listKey{text: n.texts.at(uint32(id.low))}
}

// A picker picks sessions by a filter, whose texts it holds: so their numbers
// stay.
type picker struct {
	index  *Index
	filter *rollcall.SessionFilter
	combo  combo // that is asked for; anyText where none is
	after  listKey
	nanos  int64
}

const anyText = noRecord

// newPicker returns what has to be closed; false: there is no such session.
func (x *Index) newPicker(filter *rollcall.SessionFilter, now time.Time) (*picker, bool) {
	p := &picker{index: x, filter: filter, nanos: now.UnixNano(), combo: combo{anyText, anyText, anyText, anyText, anyText, 0}}
	x.names.mu.Lock()
	defer x.names.mu.Unlock()
	texts := &x.names.texts
	for _, pair := range p.pairs() {
		if _, known := texts.numbers[pair.text]; pair.text != "" && !known {
			return nil, false
		}
	}
	for _, pair := range p.pairs() {
		if pair.text != "" {
			*pair.number = texts.hold(pair.text)
		}
	}
	return p, true
}

func (p *picker) close() {
	p.index.names.mu.Lock()
	defer p.index.names.mu.Unlock()
	for _, pair := range p.pairs() {
		if *pair.number != anyText {
			p.index.names.texts.release(*pair.number)
		}
	}
}

type pair struct {
	text   string
	number *uint32
}

func (p *picker) pairs() [4]pair {
	return [...]pair{
		{p.filter.AgentID, &p.combo.agent},
		{p.filter.GameCode, &p.combo.game},
		{p.filter.Currency, &p.combo.currency},
		{p.filter.GameServer, &p.combo.server},
	}
}

// picks reports whether a session is active and picked.
func (p *picker) picks(r record) bool {
	want, have := &p.combo, p.index.names.combos.values.at(r.combo())
	return r.activeAt(p.nanos) &&
		(want.agent == anyText || want.agent == have.agent) &&
		(want.game == anyText || want.game == have.game) &&
		(want.currency == anyText || want.currency == have.currency) &&
		(want.server == anyText || want.server == have.server) &&
		(p.filter.Username == "" || r.isOf(p.filter.Username)) &&
		(p.filter.SessionID == "" || p.index.names.idText(r.id()) == p.filter.SessionID)
}

// each calls do with the records that are picked, a shard at a time.
func (p *picker) each(do func(m *memberShard, r record)) {
	for i := range p.index.members {
		m := &p.index.members[i]
		m.mu.RLock()
		m.arena.sessions(0, func(_ uint32, r record) bool {
			if p.picks(r) {
				do(m, r)
			}
			return true
		})
		m.mu.RUnlock()
	}
}

// cut returns the n-th of the IDs behind after, or the last, and whether there
// are more.
func (p *picker) cut(n int) (last listKey, more bool) {
	last = p.after
	var found []listKey
	shorten := func() {
		slices.SortFunc(found, listKey.compare)
		if len(found) > n {
			found, more = found[:n], true
		}
		if len(found) > 0 {
			last = found[len(found)-1]
		}
	}
	p.each(func(_ *memberShard, r record) {
		key := p.index.names.keyAt(r.id())
		if key.compare(p.after) <= 0 || more && key.compare(last) > 0 {
			return
		}
		if found = append(found, key); len(found)/2-leastSort >= n {
			shorten()
		}
	})
	shorten()
	return last, more
}

// leastSort is how many IDs are worth sorting.
const leastSort = 256

// upTo returns at most n sessions behind after and up to last, by ID.
func (p *picker) upTo(last listKey, n int) []rollcall.Session {
	var list []rollcall.Session
	p.each(func(m *memberShard, r record) {
		if key := m.names.keyAt(r.id()); key.compare(p.after) > 0 && key.compare(last) <= 0 {
			list = append(list, p.index.session(r))
		}
	})
	slices.SortFunc(list, func(a, b rollcall.Session) int { return cmp.Compare(a.ID, b.ID) })
	return list[:min(n, len(list))]
}

// scanLimit is how many sessions a Scan returns at once, and a chunk's more.
const scanLimit = 10_000

// Scan is roll.Live's Scan, a chunk after the other: a session stays where it is.
// from is the shard and chunk at which it goes on.
func (x *Index) Scan(filter rollcall.SessionFilter, from string, now time.Time) (some []rollcall.Session, next string) {
	return x.scan(filter, from, scanLimit, now)
}

func (x *Index) scan(filter rollcall.SessionFilter, from string, limit int, now time.Time) (some []rollcall.Session, next string) {
	p, ok := x.newPicker(&filter, now)
	if !ok {
		return nil, ""
	}
	defer p.close()
	at, _ := strconv.ParseUint(from, 36, 32) // another is from the beginning
	for i := int(at >> arenaBits); i < len(x.members); i++ {
		var more bool
		if some, at, more = x.members[i].scan(p, at&(1<<arenaBits-1), some, limit); more {
			return some, strconv.FormatUint(uint64(i)<<arenaBits|at, 36)
		}
	}
	return some, ""
}

// scan adds sessions from an offset on, and returns with which to go on.
func (m *memberShard) scan(p *picker, from uint64, some []rollcall.Session, limit int) (_ []rollcall.Session, next uint64, more bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	last := uint32(from) >> chunkBits
	m.arena.sessions(last, func(offset uint32, r record) bool {
		number := offset >> chunkBits
		if number > last && len(some) >= limit { // never within a chunk
			next, more = uint64(number)<<chunkBits, true
			return false
		}
		last = number
		if p.picks(r) {
			some = append(some, p.index.session(r))
		}
		return true
	})
	return some, next, more
}
