package live

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

// A memberShard holds the sessions of some members.
type memberShard struct {
	names  *names
	number uint32

	mu    sync.RWMutex
	arena arena
	// agents are, by agent, the newest sessions of its members, who are found by
	// username; older ones are linked to them, by StartedAt and ID. Demos without
	// a member are not among them.
	agents map[string]*slots
}

// An idShard holds some sessions by ID.
type idShard struct {
	mu    sync.RWMutex
	slots slots // of refs
}

// A place is where a session is: its record, and in the slots of its ID's shard.
type place struct {
	ref    ref
	record record
	at     spot
}

// find returns the place of a session.
func (s *idShard) find(x *Index, id sessionID, hash uint64) (p place, ok bool) {
	for at := s.slots.search(hash); ; {
		r, ok := s.slots.find(&at)
		if !ok {
			return p, false
		}
		if record := x.at(r); record.id() == id {
			return place{r, record, at.at}, true
		}
	}
}

// find returns the newest session of a member and its place in the slots.
func (m *memberShard) find(of *slots, hash uint64, username string) (offset uint32, at spot, ok bool) {
	if of == nil {
		return 0, at, false
	}
	for found := of.search(hash); ; {
		offset, ok := of.find(&found)
		if !ok {
			return 0, at, false
		}
		if m.arena.at(offset).isOf(username) {
			return offset, found.at, true
		}
	}
}

// add holds the record of a session of a member with that hash.
func (m *memberShard) add(r record, hash uint64, s *rollcall.Session) (offset uint32) {
	offset = m.arena.add(r, r.expires())
	if s.Username == "" {
		return offset
	}
	of := m.agents[s.AgentID]
	if of == nil {
		of = &slots{space: m.arena.space}
		if m.agents == nil {
			m.agents = make(map[string]*slots)
		}
		m.agents[strings.Clone(s.AgentID)] = of
	}
	if newest, at, ok := m.find(of, hash, s.Username); ok {
		of.set(at, m.insert(newest, offset))
	} else {
		of.add(hash, offset, m.hashAt(s.AgentID))
	}
	return offset
}

// hashAt returns what finds the hash of the member of a record of the agent.
func (m *memberShard) hashAt(agentID string) func(offset uint32) uint64 {
	agent := agentHash(agentID)
	return func(offset uint32) uint64 {
		var room [bodyRoom]byte
		r := m.arena.at(offset)
		b := r.body(room[:0])
		return agent ^ maphash.Bytes(indexSeed, b.member(r.id()))
	}
}

// insert puts a session among the member's others, and returns the newest.
func (m *memberShard) insert(newest, offset uint32) uint32 {
	r, before, next := m.arena.at(offset), uint32(noRecord), newest
	for next != noRecord && m.newer(m.arena.at(next), r) {
		before, next = next, m.arena.at(next).older()
	}
	r.setOlder(next)
	if before == noRecord {
		return offset
	}
	m.arena.at(before).setOlder(offset)
	return newest
}

// newer reports whether a is newer than b.
func (m *memberShard) newer(a, b record) bool {
	if a, b := a.started(), b.started(); a != b {
		return a > b
	}
	return m.names.compareIDs(a.id(), b.id()) > 0
}

// remove frees a record that has been taken out of the IDs, and what it holds.
func (m *memberShard) remove(offset uint32, r record) {
	agentID := m.names.texts.at(m.names.combos.at(r.combo()).agent)
	var room [bodyRoom]byte
	b := r.body(room[:0])
	if username := b.member(r.id()); len(username) > 0 {
		m.unlink(agentID, string(username), offset, r)
	}
	m.names.release(r.holds())
	m.names.releaseID(r.id())
	m.arena.remove(offset)
}

// unlink takes a session out of its member's.
func (m *memberShard) unlink(agentID, username string, offset uint32, r record) {
	of := m.agents[agentID]
	newest, at, _ := m.find(of, memberHash(agentID, username), username)
	if newest != offset {
		before := m.arena.at(newest)
		for before.older() != offset {
			before = m.arena.at(before.older())
		}
		before.setOlder(r.older())
		return
	}
	if older := r.older(); older != noRecord {
		of.set(at, older)
		return
	}
	of.cut(at, m.hashAt(agentID))
	if of.n == 0 {
		delete(m.agents, agentID)
	}
}

// OfMember returns a member's sessions that are active at now, oldest first.
func (x *Index) OfMember(agentID, username string, now time.Time) []rollcall.Session {
	return x.ofMember(agentID, username, now.UnixNano())
}

// AllOfMember returns a member's sessions, those that are no longer active too,
// oldest first.
func (x *Index) AllOfMember(agentID, username string) []rollcall.Session {
	return x.ofMember(agentID, username, noTime)
}

// ofMember returns a member's sessions that are active at a moment; noTime: all.
func (x *Index) ofMember(agentID, username string, nanos int64) []rollcall.Session {
	hash := memberHash(agentID, username)
	m := x.byMember(hash)
	m.mu.RLock()
	defer m.mu.RUnlock()
	newest, _, ok := m.find(m.agents[agentID], hash, username)
	if !ok {
		return []rollcall.Session{}
	}
	var room [4]record
	found := room[:0]
	for offset := newest; offset != noRecord; {
		r := m.arena.at(offset)
		if r.activeAt(nanos) {
			found = append(found, r)
		}
		offset = r.older()
	}
	u := unpacker{names: &x.names, username: username}
	u.grow(len(found))
	sessions := make([]rollcall.Session, len(found))
	for i, r := range found {
		u.session(r, &sessions[len(found)-1-i])
	}
	return sessions
}

// Online returns the usernames of an agent's members who have an active session,
// in no order. It locks a small part at a time.
func (x *Index) Online(agentID string, now time.Time) []string {
	names := []string{}
	for i := range x.members {
		names = x.members[i].appendOnline(names, agentID, now.UnixNano())
	}
	return names
}

func (m *memberShard) appendOnline(names []string, agentID string, nanos int64) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	of := m.agents[agentID]
	if of == nil {
		return names
	}
	u := unpacker{names: m.names}
	u.own.Grow(of.n * usernameRoom)
	var room [bodyRoom]byte
	of.each(func(newest uint32) {
		if m.anyActive(newest, nanos) {
			r := m.arena.at(newest)
			b := r.body(room[:0])
			names = append(names, u.text(b.member(r.id())))
		}
	})
	return names
}

// usernameRoom is about as long as a username is.
const usernameRoom = 16

// anyActive reports whether one of a member's sessions is active.
func (m *memberShard) anyActive(newest uint32, nanos int64) bool {
	for offset := newest; offset != noRecord; {
		r := m.arena.at(offset)
		if r.activeAt(nanos) {
			return true
		}
		offset = r.older()
	}
	return false
}
