// Package live holds in memory what every request reads: the index of live
// sessions, the nonces in use, and small tables of configuration. It is data
// structure only: what is durable, and when, is for the backends that keep it.
package live

import (
	"cmp"
	"container/heap"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/rollcall-server/rollcall"
)

const indexShards = 128

var indexSeed = maphash.MakeSeed()

// An Index holds live sessions by ID and by member, and knows which have
// expired and how many there are. It is safe for concurrent use; each method is
// one atomic step.
type Index struct {
	seed    maphash.Seed
	members []memberShard
	ids     []idShard
}

// A memberShard holds the sessions of some members.
type memberShard struct {
	mu     sync.RWMutex
	of     map[string]map[string][]*entry // by agent and member; by StartedAt, then ID
	due    dueHeap
	counts map[countKey]int
}

type memberKey struct{ agentID, username string }

type countKey struct {
	agentID, gameCode, currency, gameServer string

	mode   rollcall.Mode
	device rollcall.DeviceType
}

// An idShard holds some sessions by ID.
type idShard struct {
	mu sync.RWMutex
	of map[string]*entry
}

// An entry is a session and what a Heartbeat changes of it.
type entry struct {
	session rollcall.Session
	seen    atomic.Int64 // Unix ns
	// expires is in Unix ns, and negative once Expired has handed the session
	// out: from then on it is active at no time, and nothing renews it.
	expires atomic.Int64
	removed bool // under the member shard's lock
}

// NewIndex returns an empty Index.
func NewIndex() *Index { return newIndex(indexShards) }

func newIndex(shards int) *Index {
	x := &Index{seed: indexSeed, members: make([]memberShard, shards), ids: make([]idShard, shards)}
	for i := range shards {
		x.members[i].of = make(map[string]map[string][]*entry)
		x.members[i].counts = make(map[countKey]int)
		x.ids[i].of = make(map[string]*entry)
	}
	return x
}

func (x *Index) byMember(k memberKey) *memberShard {
	return &x.members[maphash.Comparable(x.seed, k)%uint64(len(x.members))]
}

func (x *Index) byID(id string) *idShard {
	return &x.ids[maphash.String(x.seed, id)%uint64(len(x.ids))]
}

func (x *Index) find(id string) *entry {
	shard := x.byID(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.of[id]
}

// Add holds s, unless its ID is there already: then the session that is there is
// returned.
func (x *Index) Add(s rollcall.Session) (held rollcall.Session, added bool) {
	e := newEntry(s)
	members := x.byMember(memberOf(&s))
	members.mu.Lock()
	defer members.mu.Unlock()
	if have := x.add(members, e); have != e {
		return have.snapshot(), false
	}
	return s, true
}

func newEntry(s rollcall.Session) *entry {
	e := &entry{session: interned(s)}
	e.seen.Store(s.SeenAt.UnixNano())
	e.expires.Store(s.ExpiresAt.UnixNano())
	return e
}

// add holds an entry, or returns that which has its ID. The member shard is
// locked.
func (x *Index) add(members *memberShard, e *entry) *entry {
	ids := x.byID(e.session.ID)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if have := ids.of[e.session.ID]; have != nil {
		return have
	}
	ids.of[e.session.ID] = e
	members.add(e)
	return e
}

// interned returns s with one copy for all sessions of each text that many share.
func interned(s rollcall.Session) rollcall.Session {
	for _, text := range []*string{
		&s.AgentID, &s.GameCode, &s.GameServer, &s.BootID, &s.Lang, &s.Currency, &s.BrandCurrency, &s.LobbyURL, (*string)(&s.Mode),
	} {
		*text = unique.Make(*text).Value()
	}
	return s
}

// memberOf returns the member whose session s is. A demo without a member is one
// of its own; no username begins with #.
func memberOf(s *rollcall.Session) memberKey {
	if s.Username == "" {
		return memberKey{s.AgentID, anonymous + s.ID}
	}
	return memberKey{s.AgentID, s.Username}
}

const anonymous = "#"

func countOf(s *rollcall.Session) countKey {
	return countKey{s.AgentID, s.GameCode, s.Currency, s.GameServer, s.Mode, s.Device}
}

func (m *memberShard) add(e *entry) {
	key := memberOf(&e.session)
	of := m.of[key.agentID]
	if of == nil {
		of = make(map[string][]*entry)
		m.of[key.agentID] = of
	}
	at, _ := slices.BinarySearchFunc(of[key.username], e, olderFirst)
	of[key.username] = slices.Insert(of[key.username], at, e)
	heap.Push(&m.due, due{e, e.expires.Load()})
	m.counts[countOf(&e.session)]++
}

func olderFirst(a, b *entry) int {
	return cmp.Or(a.session.StartedAt.Compare(b.session.StartedAt), cmp.Compare(a.session.ID, b.session.ID))
}

// Remove drops a session and returns it; of concurrent Removes one is told ok.
func (x *Index) Remove(id string) (s rollcall.Session, ok bool) {
	e := x.find(id)
	if e == nil {
		return s, false
	}
	members := x.byMember(memberOf(&e.session))
	members.mu.Lock()
	defer members.mu.Unlock()
	if !x.remove(members, e) {
		return s, false
	}
	return e.snapshot(), true
}

// remove reports whether the entry was there. The member shard is locked.
func (x *Index) remove(members *memberShard, e *entry) bool {
	if e.removed {
		return false
	}
	members.cut(memberOf(&e.session), e)
	x.drop(members, e)
	return true
}

// change removes the sessions that a step ends and adds those that it begins; of
// each member in one step, so that who looks on sees the one that is displaced or
// the one that takes its place.
func (x *Index) change(step *Step) {
	shards := make(map[*memberShard][]func(*memberShard), 1)
	for i := range step.Changes {
		c := &step.Changes[i]
		if e := x.find(c.ID); e != nil && c.Reason != "" {
			members := x.byMember(memberOf(&e.session))
			shards[members] = append(shards[members], func(m *memberShard) { x.remove(m, e) })
		}
	}
	for i := range step.Sessions {
		e := newEntry(step.Sessions[i])
		members := x.byMember(memberOf(&e.session))
		shards[members] = append(shards[members], func(m *memberShard) { x.add(m, e) })
	}
	for members, changes := range shards {
		members.mu.Lock()
		for _, do := range changes {
			do(members)
		}
		members.mu.Unlock()
	}
}

// cut takes an entry out of its member's list.
func (m *memberShard) cut(key memberKey, e *entry) {
	of := m.of[key.agentID]
	rest := slices.DeleteFunc(of[key.username], func(other *entry) bool { return other == e })
	if of[key.username] = rest; len(rest) > 0 {
		return
	}
	if delete(of, key.username); len(of) == 0 {
		delete(m.of, key.agentID)
	}
}

// drop forgets an entry that is out of its member's list; it stays in the heap
// until it is due. The member shard is locked.
func (x *Index) drop(members *memberShard, e *entry) {
	e.removed = true
	count := countOf(&e.session)
	if members.counts[count]--; members.counts[count] == 0 {
		delete(members.counts, count)
	}
	ids := x.byID(e.session.ID)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	delete(ids.of, e.session.ID)
}

// Get returns the session if it is active at now.
func (x *Index) Get(id string, now time.Time) (rollcall.Session, bool) {
	e := x.find(id)
	if e == nil || !e.activeAt(now) {
		return rollcall.Session{}, false
	}
	return e.snapshot(), true
}

// OfMember returns a member's sessions that are active at now, oldest first.
func (x *Index) OfMember(agentID, username string, now time.Time) []rollcall.Session {
	key := memberKey{agentID, username}
	members := x.byMember(key)
	members.mu.RLock()
	defer members.mu.RUnlock()
	entries := members.of[agentID][username]
	active := make([]rollcall.Session, 0, len(entries))
	for _, e := range entries {
		if e.activeAt(now) {
			active = append(active, e.snapshot())
		}
	}
	return active
}

// AllOfMember returns a member's sessions, those that are no longer active too,
// oldest first.
func (x *Index) AllOfMember(agentID, username string) []rollcall.Session {
	members := x.byMember(memberKey{agentID, username})
	members.mu.RLock()
	defer members.mu.RUnlock()
	entries := members.of[agentID][username]
	all := make([]rollcall.Session, len(entries))
	for i, e := range entries {
		all[i] = e.snapshot()
	}
	return all
}

// Online returns the usernames of an agent's members who have an active session,
// in no order. It locks a small part at a time.
func (x *Index) Online(agentID string, now time.Time) []string {
	names := []string{}
	for i := range x.members {
		names = x.members[i].appendOnline(names, agentID, now)
	}
	return names
}

func (m *memberShard) appendOnline(names []string, agentID string, now time.Time) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for username, entries := range m.of[agentID] {
		active := slices.ContainsFunc(entries, func(e *entry) bool { return e.activeAt(now) })
		if active && !strings.HasPrefix(username, anonymous) {
			names = append(names, username)
		}
	}
	return names
}

// Renew moves the lease of a session that gameServer holds and that is active at
// now to now and its lease, but never back and never beyond EndsAt; it reports whether
// there is such a session.
func (x *Index) Renew(id, gameServer string, now time.Time) bool {
	e := x.find(id)
	if e == nil || e.session.GameServer != gameServer {
		return false
	}
	want := min(now.Add(e.session.Lease()).UnixNano(), e.session.EndsAt.UnixNano())
	for {
		have := e.expires.Load()
		if have <= now.UnixNano() {
			return false
		}
		if e.expires.CompareAndSwap(have, max(have, want)) {
			e.see(now.UnixNano())
			return true
		}
	}
}

// see notes a Heartbeat; one that was overtaken changes nothing.
func (e *entry) see(at int64) {
	for have := e.seen.Load(); have < at; have = e.seen.Load() {
		if e.seen.CompareAndSwap(have, at) {
			return
		}
	}
}

// Expired returns at most limit sessions that are not active at now, and from
// then on shows and renews them no more. They stay, and are returned again,
// until Remove.
func (x *Index) Expired(now time.Time, limit int) []rollcall.Session {
	var expired []rollcall.Session
	for i := range x.members {
		if len(expired) < limit {
			expired = x.members[i].expired(now.UnixNano(), limit, expired)
		}
	}
	return expired
}

func (m *memberShard) expired(now int64, limit int, found []rollcall.Session) []rollcall.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	var again []due
	for len(m.due) > 0 && m.due[0].at <= now && len(found) < limit {
		next := heap.Pop(&m.due).(due)
		if next.e.removed {
			continue
		}
		if ends := next.e.endBy(now); ends > now {
			heap.Push(&m.due, due{next.e, ends}) // renewed since
			continue
		}
		again = append(again, next)
		found = append(found, next.e.snapshot())
	}
	for _, d := range again {
		heap.Push(&m.due, d)
	}
	return found
}

// endBy ends an entry for good whose lease has ended by now. It returns the end
// of the lease where that is later.
func (e *entry) endBy(now int64) int64 {
	for {
		have := e.expires.Load()
		if have > now || have < 0 || e.expires.CompareAndSwap(have, -have) {
			return have
		}
	}
}

// Counts returns how many sessions are held by all that SessionCount names, in
// no order.
func (x *Index) Counts() []rollcall.SessionCount {
	sum := make(map[countKey]int)
	for i := range x.members {
		x.members[i].addCounts(sum)
	}
	counts := make([]rollcall.SessionCount, 0, len(sum))
	for k, n := range sum {
		counts = append(counts, rollcall.SessionCount{
			AgentID: k.agentID, GameCode: k.gameCode, Mode: k.mode,
			Currency: k.currency, Device: k.device, GameServer: k.gameServer, Count: n,
		})
	}
	return counts
}

func (m *memberShard) addCounts(sum map[countKey]int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for k, n := range m.counts {
		sum[k] += n
	}
}

// List returns at most limit active sessions that filter picks with an ID
// greater than after, by ID. It looks at every session, a small part at a time,
// and keeps no more of them than it may return.
func (x *Index) List(filter rollcall.SessionFilter, after string, limit int, now time.Time) []rollcall.Session {
	p := picker{filter: &filter, after: after, limit: limit, now: now}
	for i := range x.ids {
		p.pick(&x.ids[i])
	}
	list := make([]rollcall.Session, len(p.found))
	for i, e := range p.found {
		list[i] = e.snapshot()
	}
	return list
}

// A picker keeps the entries with the smallest IDs of those that it is shown,
// sorted.
type picker struct {
	filter *rollcall.SessionFilter
	after  string
	limit  int
	now    time.Time
	found  []*entry
}

func (p *picker) pick(s *idShard) {
	below, full := "", len(p.found) == p.limit
	if full && p.limit > 0 {
		below = p.found[p.limit-1].session.ID
	}
	s.mu.RLock()
	for id, e := range s.of {
		if id > p.after && (!full || id < below) && p.filter.Picks(&e.session) && e.activeAt(p.now) {
			p.found = append(p.found, e)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(p.found, func(a, b *entry) int { return cmp.Compare(a.session.ID, b.session.ID) })
	p.found = p.found[:min(p.limit, len(p.found))]
}

func (e *entry) activeAt(now time.Time) bool { return e.expires.Load() > now.UnixNano() }

// snapshot returns the session as it is now.
func (e *entry) snapshot() rollcall.Session {
	s := e.session
	expires := e.expires.Load()
	s.SeenAt = time.Unix(0, e.seen.Load()).UTC()
	s.ExpiresAt = time.Unix(0, max(expires, -expires)).UTC()
	return s
}

// due says when an entry is to be looked at again; a lease that was renewed
// since is found out then.
type due struct {
	e  *entry
	at int64
}

type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap.

func (h *dueHeap) Push(v any) { *h = append(*h, v.(due)) }

func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
