package roll

import (
	"context"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Stores are the four contracts that the rules need, split by what each must
// guarantee; the four can be four engines. Of all methods holds:
//
//   - Safe for concurrent use.
//   - An engine that does not answer is rollcall.ErrUnavailable, wrapped with
//     what was being done; then nothing was promised, and the same call may be
//     made again.
//   - The caller's clock is given as now, so that one request sees one moment.
//   - What a method returns belongs to the caller, but for Table's pointers.
type Stores struct {
	Directory Directory
	Sessions  Sessions
	Nonces    Nonces
	History   History
}

// A Directory holds what operators configure. It is durable on return, its
// names are unique, and it reads its own writes. It grows with members, to
// millions; the other tables stay in the thousands and answer from memory.
type Directory interface {
	Agents() Table[Agent]
	Branches() Table[rollcall.Branch]
	Games() Table[rollcall.Game]
	// Members has keys made by MemberKey.
	Members() Table[rollcall.Member]
	AdminTokens() Table[AdminToken]
	TokenKeys() Table[TokenKey]
	// Audit returns at most limit entries with Seq below before (0: the newest),
	// newest first.
	Audit(ctx context.Context, before int64, limit int) ([]rollcall.AuditEntry, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// A Table is one sort of thing in the Directory, each under a key: non-empty,
// of ASCII letters, digits and _.-/ and sorted by bytes.
//
// What Get, List and Update return is shared: it must not be changed. A change
// makes a new value, so a pointer that is the same as before means that nothing
// has changed in between.
type Table[T any] interface {
	// Get returns the value of key, or rollcall.ErrNotFound.
	Get(ctx context.Context, key string) (*T, error)
	// List returns, in order of keys, at most limit values whose keys begin with
	// prefix and are greater than after; both may be empty.
	List(ctx context.Context, prefix, after string, limit int) ([]*T, error)
	// Create stores value, or is rollcall.ErrExists. Of concurrent Creates of one
	// key one wins.
	Create(ctx context.Context, entry rollcall.AuditEntry, key string, value T) error
	// Update calls change with a copy of the value of key and stores what change
	// made of it; concurrent Updates of one key do not lose each other. An error
	// of change is returned as it is and stores nothing; rollcall.ErrNotFound as
	// Get. change must not call the store.
	Update(ctx context.Context, entry rollcall.AuditEntry, key string, change func(*T) error) (*T, error)
	// Delete removes key, or is rollcall.ErrNotFound.
	Delete(ctx context.Context, entry rollcall.AuditEntry, key string) error
}

// Each Create, Update and Delete stores its AuditEntry (all but Seq, which the
// store gives) in the same commit, so that there is no change without an entry
// and no entry without a change.

// MemberKey is the key of an agent's member in Directory.Members; with an empty
// username, the prefix of all the agent's members.
func MemberKey(agentID, username string) string { return agentID + "/" + username }

// Sessions holds the live sessions. What was answered survives the death of the
// process at any moment: a Start that returned is there, an end that returned
// has happened.
//
// A session whose ExpiresAt is at or before now is never returned as active,
// whether Expire has removed it yet or not.
type Sessions interface {
	// Start stores s, which the caller has checked, under s.ID. If the ID is
	// there already the stored session is returned and s is dropped, so that a
	// retry does no harm.
	Start(ctx context.Context, s rollcall.Session) (rollcall.Session, error)
	// Heartbeat renews the leases of those ids that gameServer holds and that
	// are active at now: ExpiresAt becomes now+lease, but never earlier than it
	// was nor later than EndsAt. It returns the ids that it did not renew. It
	// never creates a session. A restart may forget that a lease was renewed,
	// and then gives each session a whole lease afresh: never less.
	Heartbeat(ctx context.Context, gameServer string, ids []string, now time.Time, lease time.Duration) (unknown []string, err error)
	// End removes the session and returns it as it was; rollcall.ErrNotFound if
	// there is none, or it is not active at now.
	End(ctx context.Context, id string, now time.Time) (rollcall.Session, error)
	// EndMember removes all sessions of a member in one step and returns those
	// that were active at now, oldest first; none is an empty slice.
	EndMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error)
	// Expire removes at most limit sessions that are not active at now and
	// returns them, in no order.
	Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.Session, error)
	// OfMember returns a member's active sessions at now, by StartedAt and then
	// by ID; none is an empty slice. It is the hot path: one read.
	OfMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error)
	// Get returns the session, or rollcall.ErrNotFound as End.
	Get(ctx context.Context, id string, now time.Time) (rollcall.Session, error)
	// List returns at most limit active sessions with ID greater than after, by
	// ID; of one agent only, where agentID is not empty.
	List(ctx context.Context, agentID, after string, limit int, now time.Time) ([]rollcall.Session, error)
	// Counts returns how many sessions are held by agent, game and mode, in no
	// order, without those that have none. It is derived from the sessions
	// themselves and may count one that Expire is about to remove.
	Counts(ctx context.Context) ([]rollcall.SessionCount, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// Nonces remembers which nonces were used (spec 2, 8).
type Nonces interface {
	// Claim reports whether this is the first Claim of the agent's nonce: of any
	// number of simultaneous ones exactly one is. at is the request's timestamp,
	// which the caller has found within MaxClockSkew of the clock.
	//
	// A nonce is remembered for at least 2 × MaxClockSkew, which is a setting of
	// the backend, across the death of the process too. A backend that may have
	// forgotten, after the machine itself died, answers false for every at that
	// it may have seen before: it never opens a window for a replay.
	Claim(ctx context.Context, agentID, nonce string, at time.Time) (fresh bool, err error)
	// Held returns how many nonces are remembered, approximately.
	Held(ctx context.Context) (int, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// History holds what was: request records. Nothing waits for it, and losing its
// last second is allowed where that is counted.
type History interface {
	// AddRequests stores records. One whose LogUUID is there already is dropped.
	AddRequests(ctx context.Context, records []rollcall.RequestRecord) error
	// Request returns the record of logUUID, or rollcall.ErrNotFound.
	Request(ctx context.Context, logUUID string) (rollcall.RequestRecord, error)
	// Prune removes at most limit records older than before and returns how
	// many it removed.
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}
