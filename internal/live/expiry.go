package live

import (
	"math"
	"runtime"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Expired returns at most limit sessions that are not active at now, and from
// then on shows and renews them no more. They stay, and are returned again,
// until Remove.
//
// No order of expiry is kept: of each chunk of some hundred sessions it is known
// before when none expires. Heartbeats only make that later, so a chunk is looked
// through once a lease, or as often as one of its sessions expires.
func (x *Index) Expired(now time.Time, limit int) []rollcall.Session {
	var expired []rollcall.Session
	for i := range x.members {
		if len(expired) < limit {
			expired = x.members[i].expired(now.UnixNano(), limit, expired)
		}
		// Heartbeats leave many chunks due at the same time. Whoever waits for this
		// processor waits for one shard, and not for all.
		runtime.Gosched()
	}
	return expired
}

func (m *memberShard) expired(now int64, limit int, found []rollcall.Session) []rollcall.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	for number := range m.arena.chunks {
		if len(found) == limit {
			break
		}
		if m.arena.chunks[number].due <= now {
			found = m.expiredOf(uint32(number), now, limit, found)
		}
	}
	return found
}

func (m *memberShard) expiredOf(number uint32, now int64, limit int, found []rollcall.Session) []rollcall.Session {
	due := int64(math.MaxInt64)
	m.arena.each(number, func(_ int, r record) {
		if !r.held() || len(found) == limit {
			return
		}
		ends := r.endBy(now)
		if ends > now {
			due = min(due, ends)
			return
		}
		due = now // until Remove
		u := unpacker{names: m.names}
		u.grow(1)
		var s rollcall.Session
		u.session(r, &s)
		found = append(found, s)
	})
	if len(found) < limit {
		m.arena.chunks[number].due = due
	}
	return found
}
