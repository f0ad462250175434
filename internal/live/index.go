// Package live holds in memory what every request reads: the index of live
// sessions, the nonces in use, and small tables of configuration. It is data
// structure only: what is durable, and when, is for the backends that keep it.
package live

import (
	"cmp"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

const (
	indexShards = 1 << shardBits
	shardBits   = 32 - arenaBits
)

var indexSeed = maphash.MakeSeed()

var idSecret = [2]uint64{rand.Uint64(), rand.Uint64()} //nolint:gosec // G404: seeded by the system, which is as secret as maphash's

// An Index holds live sessions by ID and by member, and knows which have
// expired and how many there are. It is safe for concurrent use; each method is
// one atomic step.
//
// Sessions are records in arenas, found by tables of numbers: of millions there
// is no pointer that the garbage collector would have to follow.
//
//	members   by hash of member    ids         by hash of ID
//	┌ shard ─────────────────────┐ ┌ shard ──────────────────┐
//	│ agent → slots of usernames │ │ slots of records,       │
//	│ arena ← ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ of whichever shard   │
//	└────────────────────────────┘ └─────────────────────────┘
//
// A record lies in the arena of its member's shard; that shard's lock is taken
// before that of an ID's shard.
type Index struct {
	names   names
	members []memberShard
	ids     []idShard
}

type memberKey struct{ agentID, username string }

// A ref says where a record is: the number of the shard of members, above
// arenaBits of the offset in its arena.
type ref = uint32

// NewIndex returns an empty Index.
func NewIndex() *Index { return newIndex(indexShards) }

// newIndex returns an Index of so many shards, a power of 2.
func newIndex(shards int) *Index {
	x := &Index{names: names{most: manyTexts}, members: make([]memberShard, shards), ids: make([]idShard, shards)}
	memory := &space{}
	for i := range shards {
		x.members[i].names, x.members[i].number = &x.names, uint32(i)
		x.members[i].arena.space, x.ids[i].slots.space = memory, memory
	}
	return x
}

// memberHash is of a member, by parts: it is computed at each check.
func memberHash(agentID, username string) uint64 {
	return agentHash(agentID) ^ maphash.String(indexSeed, username)
}

// agentHash is not what a username of the same text has.
func agentHash(agentID string) uint64 { return maphash.String(indexSeed, agentID) * 3 }

// memberOf returns the member whose session s is. A demo without a member is one
// of its own; no username begins with #.
func memberOf(s *rollcall.Session) memberKey {
	if s.Username == "" {
		return memberKey{s.AgentID, anonymous + s.ID}
	}
	return memberKey{s.AgentID, s.Username}
}

const anonymous = "#"

// hashOf is the hash of s's member.
func hashOf(s *rollcall.Session) uint64 {
	m := memberOf(s)
	return memberHash(m.agentID, m.username)
}

func (x *Index) byMember(hash uint64) *memberShard {
	return &x.members[hash>>(64-shardBits)&uint64(len(x.members)-1)]
}

func (x *Index) byID(hash uint64) *idShard {
	return &x.ids[hash>>(64-shardBits)&uint64(len(x.ids)-1)]
}

// at returns the record of a ref.
func (x *Index) at(r ref) record { return x.members[r>>arenaBits].arena.at(r & (1<<arenaBits - 1)) }

// Add holds s, unless its ID is there already: then the session that is there is
// returned.
func (x *Index) Add(s rollcall.Session) (held rollcall.Session, added bool) {
	hash := hashOf(&s)
	members := x.byMember(hash)
	members.mu.Lock()
	defer members.mu.Unlock()
	if x.add(members, hash, &s) {
		return s, true
	}
	x.look(s.ID, func(r record) { held = x.session(r) })
	return held, false
}

// add holds a session, or reports that its ID is there. The member shard is
// locked.
func (x *Index) add(members *memberShard, hash uint64, s *rollcall.Session) bool {
	id := x.names.holdID(s.ID)
	idHash := id.hash(idSecret)
	ids := x.byID(idHash)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if _, there := ids.find(x, id, idHash); there {
		x.names.releaseID(id)
		return false
	}
	var room [2 * bodyRoom / 8]int64
	offset := members.add(pack(room[:0], s, id, x.names.hold(s)), hash, s)
	ids.slots.add(idHash, members.number<<arenaBits|offset, x.hashAt)
	return true
}

// Remove drops a session and returns it; of concurrent Removes one is told ok.
func (x *Index) Remove(id string) (s rollcall.Session, ok bool) {
	members, there := x.shardOf(id)
	if !there {
		return s, false
	}
	members.mu.Lock()
	defer members.mu.Unlock()
	ok = x.remove(members, id, func(r record) { s = x.session(r) })
	return s, ok
}

// remove reports whether the session was there, of the member shard that is
// locked; last sees its record, if it is not nil.
func (x *Index) remove(members *memberShard, id string, last func(record)) bool {
	key, known := x.names.id(id)
	if !known {
		return false
	}
	taken, ok := x.take(members, key, id)
	if !ok {
		return false
	}
	if last != nil {
		last(taken.record)
	}
	members.remove(taken.ref&(1<<arenaBits-1), taken.record)
	return true
}

// take takes a session out of the IDs: from then on only who has locked its
// member shard sees it.
func (x *Index) take(members *memberShard, id sessionID, text string) (taken place, ok bool) {
	hash := id.hash(idSecret)
	ids := x.byID(hash)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	taken, ok = ids.find(x, id, hash)
	if !ok || !x.names.isOf(id, text) || taken.ref>>arenaBits != members.number {
		return taken, false
	}
	ids.slots.cut(taken.at, x.hashAt)
	return taken, true
}

// hashAt is the hash of the ID of a record.
func (x *Index) hashAt(r ref) uint64 { return x.at(r).id().hash(idSecret) }

// A task is what a step does to one session.
type task struct {
	members *memberShard
	hash    uint64
	id      string            // to remove
	add     *rollcall.Session // to add, if it is not nil
}

// change removes the sessions that a step ends and adds those that it begins; of
// each member in one step, so that who looks on sees the one that is displaced or
// the one that takes its place.
func (x *Index) change(step *Step) {
	tasks := make([]task, 0, len(step.Changes)+len(step.Sessions))
	for i := range step.Changes {
		if c := &step.Changes[i]; c.Reason != "" {
			if members, there := x.shardOf(c.ID); there {
				tasks = append(tasks, task{members: members, id: c.ID})
			}
		}
	}
	for i := range step.Sessions {
		s := &step.Sessions[i]
		hash := hashOf(s)
		tasks = append(tasks, task{members: x.byMember(hash), hash: hash, add: s})
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(a.members.number, b.members.number) })
	for len(tasks) > 0 {
		n := 1
		for n < len(tasks) && tasks[n].members == tasks[0].members {
			n++
		}
		x.do(tasks[:n])
		tasks = tasks[n:]
	}
}

// do does tasks of one member shard.
func (x *Index) do(tasks []task) {
	members := tasks[0].members
	members.mu.Lock()
	defer members.mu.Unlock()
	for _, t := range tasks {
		if t.add != nil {
			x.add(members, t.hash, t.add)
		} else {
			x.remove(members, t.id, nil)
		}
	}
}

// look has do look at the record of a session, if it is there.
func (x *Index) look(id string, do func(record)) bool {
	key, known := x.names.id(id)
	if !known {
		return false
	}
	hash := key.hash(idSecret)
	ids := x.byID(hash)
	ids.mu.RLock()
	defer ids.mu.RUnlock()
	found, ok := ids.find(x, key, hash)
	if !ok || !x.names.isOf(key, id) {
		return false
	}
	do(found.record)
	return true
}

// shardOf returns the member shard of a session.
func (x *Index) shardOf(id string) (members *memberShard, ok bool) {
	key, known := x.names.id(id)
	if !known {
		return nil, false
	}
	hash := key.hash(idSecret)
	ids := x.byID(hash)
	ids.mu.RLock()
	defer ids.mu.RUnlock()
	found, ok := ids.find(x, key, hash)
	return &x.members[found.ref>>arenaBits], ok
}

// holder returns the game server that holds a session.
func (x *Index) holder(id string) (gameServer string, held bool) {
	held = x.look(id, func(r record) { gameServer = x.names.texts.at(x.names.combos.at(r.combo()).server) })
	return gameServer, held
}

// session unpacks one record.
func (x *Index) session(r record) (s rollcall.Session) {
	u := unpacker{names: &x.names}
	u.grow(1)
	u.session(r, &s)
	return s
}

// Get returns the session if it is active at now.
func (x *Index) Get(id string, now time.Time) (s rollcall.Session, ok bool) {
	nanos := now.UnixNano()
	x.look(id, func(r record) {
		if ok = r.activeAt(nanos); ok {
			s = x.session(r)
		}
	})
	return s, ok
}

// Renew moves the lease of a session that gameServer holds and that is active at
// now to now and its lease, but never back and never beyond EndsAt; it reports whether
// there is such a session.
func (x *Index) Renew(id, gameServer string, now time.Time) (renewed bool) {
	x.look(id, func(r record) {
		if x.names.texts.at(x.names.combos.at(r.combo()).server) != gameServer {
			return
		}
		lease, ends := r.renewal()
		renewed = r.renew(min(now.Add(lease).UnixNano(), ends), now.UnixNano())
	})
	return renewed
}
