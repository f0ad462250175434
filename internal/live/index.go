// Package live holds in memory what every request reads: the index of live
// sessions, the nonces in use, and small tables of configuration. It is data
// structure only: what is durable, and when, is for the backends that keep it.
package live

import (
	"cmp"
	"container/heap"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall"
)

const indexShards = 128

// An Index holds live sessions by ID and by member, and knows which have
// expired and how many there are. It is safe for concurrent use; each method is
// one atomic step.
type Index struct {
	seed    maphash.Seed
	members [indexShards]memberShard
	ids     [indexShards]idShard
}

// A memberShard holds the sessions of some members.
type memberShard struct {
	mu     sync.RWMutex
	of     map[memberKey][]*entry // by StartedAt, then ID
	due    dueHeap
	counts map[countKey]int
}

type memberKey struct{ agentID, username string }

type countKey struct {
	agentID, gameCode string
	mode              rollcall.Mode
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
func NewIndex() *Index {
	x := &Index{seed: maphash.MakeSeed()}
	for i := range indexShards {
		x.members[i].of = make(map[memberKey][]*entry)
		x.members[i].counts = make(map[countKey]int)
		x.ids[i].of = make(map[string]*entry)
	}
	return x
}

func (x *Index) byMember(k memberKey) *memberShard {
	return &x.members[maphash.Comparable(x.seed, k)%indexShards]
}

func (x *Index) byID(id string) *idShard {
	return &x.ids[maphash.String(x.seed, id)%indexShards]
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
	e := &entry{session: s}
	e.seen.Store(s.SeenAt.UnixNano())
	e.expires.Store(s.ExpiresAt.UnixNano())
	members, ids := x.byMember(memberOf(&s)), x.byID(s.ID)
	members.mu.Lock()
	defer members.mu.Unlock()
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if have := ids.of[s.ID]; have != nil {
		return have.snapshot(), false
	}
	ids.of[s.ID] = e
	members.add(e)
	return s, true
}

func memberOf(s *rollcall.Session) memberKey { return memberKey{s.AgentID, s.Username} }

func countOf(s *rollcall.Session) countKey { return countKey{s.AgentID, s.GameCode, s.Mode} }

func (m *memberShard) add(e *entry) {
	key := memberOf(&e.session)
	at, _ := slices.BinarySearchFunc(m.of[key], e, olderFirst)
	m.of[key] = slices.Insert(m.of[key], at, e)
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
	if e.removed {
		return s, false
	}
	key := memberOf(&e.session)
	rest := slices.DeleteFunc(members.of[key], func(other *entry) bool { return other == e })
	if members.of[key] = rest; len(rest) == 0 {
		delete(members.of, key)
	}
	x.drop(members, e)
	return e.snapshot(), true
}

// RemoveMember drops all sessions of a member and returns them, oldest first.
func (x *Index) RemoveMember(agentID, username string) []rollcall.Session {
	key := memberKey{agentID, username}
	members := x.byMember(key)
	members.mu.Lock()
	defer members.mu.Unlock()
	entries := members.of[key]
	delete(members.of, key)
	removed := make([]rollcall.Session, len(entries))
	for i, e := range entries {
		x.drop(members, e)
		removed[i] = e.snapshot()
	}
	return removed
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
	entries := members.of[key]
	active := make([]rollcall.Session, 0, len(entries))
	for _, e := range entries {
		if e.activeAt(now) {
			active = append(active, e.snapshot())
		}
	}
	return active
}

// IDsOfMember returns the IDs of all that is held of a member, active or not,
// oldest first.
func (x *Index) IDsOfMember(agentID, username string) []string {
	key := memberKey{agentID, username}
	members := x.byMember(key)
	members.mu.RLock()
	defer members.mu.RUnlock()
	ids := make([]string, len(members.of[key]))
	for i, e := range members.of[key] {
		ids[i] = e.session.ID
	}
	return ids
}

// Renew moves the lease of a session that gameServer holds and that is active at
// now to now+lease, but never back and never beyond EndsAt; it reports whether
// there is such a session.
func (x *Index) Renew(id, gameServer string, now time.Time, lease time.Duration) bool {
	e := x.find(id)
	if e == nil || e.session.GameServer != gameServer {
		return false
	}
	want := min(now.Add(lease).UnixNano(), e.session.EndsAt.UnixNano())
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

// Counts returns how many sessions are held by agent, game and mode, in no
// order.
func (x *Index) Counts() []rollcall.SessionCount {
	sum := make(map[countKey]int)
	for i := range x.members {
		x.members[i].addCounts(sum)
	}
	counts := make([]rollcall.SessionCount, 0, len(sum))
	for k, n := range sum {
		counts = append(counts, rollcall.SessionCount{AgentID: k.agentID, GameCode: k.gameCode, Mode: k.mode, Count: n})
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

// List returns all active sessions, of one agent where agentID is not empty, by
// ID. It looks at every session: for a small index only.
func (x *Index) List(agentID string, now time.Time) []rollcall.Session {
	var list []rollcall.Session
	for i := range x.ids {
		list = x.ids[i].appendActive(list, agentID, now)
	}
	slices.SortFunc(list, func(a, b rollcall.Session) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (s *idShard) appendActive(list []rollcall.Session, agentID string, now time.Time) []rollcall.Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.of {
		if (agentID == "" || e.session.AgentID == agentID) && e.activeAt(now) {
			list = append(list, e.snapshot())
		}
	}
	return list
}

func (e *entry) activeAt(now time.Time) bool { return e.expires.Load() > now.UnixNano() }

// snapshot returns the session as it is now.
func (e *entry) snapshot() rollcall.Session {
	s := e.session
	expires := e.expires.Load()
	s.SeenAt = time.Unix(0, e.seen.Load())
	s.ExpiresAt = time.Unix(0, max(expires, -expires))
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
