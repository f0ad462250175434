package roll

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// Stores are the contracts that the rules need, split by what each must
// guarantee; each can be another engine. Of all methods holds:
//
//   - Safe for concurrent use.
//   - An engine that does not answer is rollcall.ErrUnavailable, wrapped with
//     what was being done; then nothing was promised, and the same call may be
//     made again.
//   - The caller's clock is given as now, so that one request sees one moment; it
//     is Stores.Now, and all times are whole microseconds.
//   - What a method returns belongs to the caller, but for Table's pointers.
type Stores struct {
	Directory Directory
	Sessions  Sessions
	Nonces    Nonces
	History   History
	// Limits may be nil: then nothing is limited.
	Limits Limits
	// Remote says that Sessions and Nonces are an engine away: what can be asked
	// at the same time then is.
	Remote bool
	// Now is the clock by which sessions are judged, which all processes that
	// share the stores see alike; nil: time.Now.
	Now func() time.Time
}

// Clock returns Now, or time.Now where that is nil.
func (s *Stores) Clock() func() time.Time {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	return now
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
	GameServers() Table[GameServer]
	AdminTokens() Table[AdminToken]
	TokenKeys() Table[TokenKey]
	// Note adds audit entries of what is no change of the directory, in their
	// order and in one step; the store gives each its Seq.
	Note(ctx context.Context, entries ...rollcall.AuditEntry) error
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
	// Restore stores the values that another store had, by key, in one step and
	// without audit entries, which come from there too. What is there already
	// stays; it returns how many were not.
	Restore(ctx context.Context, values map[string]T) (added int, err error)
}

// Each Create, Update and Delete stores its AuditEntry (all but Seq, which the
// store gives) in the same commit, so that there is no change without an entry
// and no entry without a change.

// MemberKey is the key of an agent's member in Directory.Members; with an empty
// username, the prefix of all the agent's members.
func MemberKey(agentID, username string) string { return agentID + "/" + username }

// Sessions holds the live sessions and what leads to and from them: launches,
// events on their way to game servers with the kicks that caused them, and the
// outbox of what has begun and ended. What was answered survives the death of
// the process at any moment: a Start that returned is there, an end that
// returned has happened.
//
// A session whose ExpiresAt is at or before now is never returned as active,
// whether Expire has removed it yet or not. Whatever ends a session puts it into
// the outbox in the same step, and where its Ending has an event
// (rollcall.EventOf) queues that for the session's game server too.
type Sessions interface {
	Live
	Launches
	Events
	Outbox
	// Lead reports whether this process is to do the work of that name until d
	// from now: of all that share the store one is told so at a time. Two may be
	// for a moment, where one of them did not answer; the work has to bear it.
	Lead(ctx context.Context, work string, d time.Duration) (bool, error)
	// Epoch names the store's data: it changes if they are lost.
	Epoch(ctx context.Context) (Epoch, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// An Epoch is a time in which a store has lost nothing.
type Epoch struct {
	ID      string
	BeganAt time.Time
}

// Live are the methods of Sessions that begin, keep, end and find sessions. A
// session's ID is one of NewSessionID and its member's home, a launch's key one
// of LaunchKey; others are of nothing.
type Live interface {
	// Boot makes bootID the gameServer's current boot, and acknowledges its
	// events of sessions of other boots; it ends no session.
	Boot(ctx context.Context, gameServer, bootID string, now time.Time) error
	// CurrentBoot returns the last boot of Boot, "" where there was none.
	CurrentBoot(ctx context.Context, gameServer string) (string, error)
	// Start begins a session as Start says, in one step with all that it asks:
	// the launch is looked at, the boot, the limits; sessions are displaced. A
	// launch from before a kick by a filter that picks the session, and that was
	// not aborted, is voided by it.
	// Errors: ErrLaunchUnknown, ErrLaunchUsed, ErrLaunchExpired,
	// ErrLaunchVoided, ErrStaleBoot, ErrSessionLimit.
	Start(ctx context.Context, s Start) (Started, error)
	// Announce holds those of sessions that it does not hold yet and that it can
	// have lost: which began before its epoch, have not been ended since, and of
	// whose member no Kick is known since their start. All are of the current
	// boot of one game server, or it is ErrStaleBoot. It returns why it refused
	// those that it did.
	Announce(ctx context.Context, gameServer, bootID string, sessions []rollcall.Session, now time.Time) (refused map[string]string, err error)
	// Heartbeat renews the leases of those ids that gameServer holds and that
	// are active at now: ExpiresAt becomes now and the session's lease, but never
	// earlier than it was nor later than EndsAt. It returns the ids that it did
	// not renew. It never creates a session. A restart may forget that a lease
	// was renewed, and then gives each session a whole lease afresh: never less.
	Heartbeat(ctx context.Context, gameServer string, ids []string, now time.Time) (unknown []string, err error)
	// End removes those of ids that are active at e.At, and held by e.GameServer
	// where that is not empty, and returns them.
	End(ctx context.Context, ids []string, e Ending) ([]rollcall.EndedSession, error)
	// EndMember removes all sessions of a member in one step, voids the member's
	// launches, stores kick with what it ended, and returns those that were
	// active, oldest first; none is an empty slice. A nil kick is not stored; one
	// that has ended and voided nothing need not be, where nothing can be
	// announced any more: the epoch is older than MaxLifetime.
	EndMember(ctx context.Context, agentID, username string, e Ending, kick *rollcall.Kick) ([]rollcall.EndedSession, error)
	// Expire removes at most limit sessions that are not active at now and
	// returns them, in no order.
	Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.EndedSession, error)
	// OfMember returns a member's active sessions at now, by StartedAt and then
	// by ID; none is an empty slice. It is the hot path: one read.
	OfMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error)
	// Get returns the session, or rollcall.ErrNotFound if there is none, or it is
	// not active at now.
	Get(ctx context.Context, id string, now time.Time) (rollcall.Session, error)
	// List returns at most limit active sessions that filter picks with ID
	// greater than after, by ID.
	List(ctx context.Context, filter rollcall.SessionFilter, after string, limit int, now time.Time) ([]rollcall.Session, error)
	// Scan returns some active sessions that filter picks, in no order, and where
	// to go on; begin with "", and "" is the end. One that is there all the while
	// is returned.
	Scan(ctx context.Context, filter rollcall.SessionFilter, from string, now time.Time) (some []rollcall.Session, next string, err error)
	// Online returns the usernames of an agent's members with an active session
	// at now, in no order, each once. It does not hold up the other methods.
	Online(ctx context.Context, agentID string, now time.Time) ([]string, error)
	// Counts returns how many sessions are held by all that SessionCount names,
	// in no order, without those that have none. It is derived from the sessions
	// themselves and may count one that Expire is about to remove.
	Counts(ctx context.Context) ([]rollcall.SessionCount, error)
}

// A Start asks for a session.
type Start struct {
	// LaunchKey is of the launch that it comes from.
	LaunchKey string
	// Session is complete; its boot has to be the game server's current one, and
	// StartedAt is the moment of the Start. If the launch has started a session
	// of this game server and boot that is active, that one is returned.
	Session rollcall.Session
	Limits  rollcall.SessionLimits
	// Tell has the beginning put into the outbox too.
	Tell bool
}

// Started is what a Start did.
type Started struct {
	Session   rollcall.Session
	Displaced []rollcall.EndedSession
}

// An Ending says when, why and by whom sessions end; the fields are those of
// rollcall.EndedSession, and Message is the event's.
type Ending struct {
	At      time.Time
	Reason  rollcall.EndReason
	By      string
	KickID  string
	Message string
	Note    string
	// GameServer, where it is not empty, is the only one whose sessions End ends.
	// It knows, and is told of no event.
	GameServer string
	// IfRunning has End end nothing where the kick of KickID runs no more, in the
	// same step: when an abort is answered, nothing ends any more.
	IfRunning bool
}

// Launches are the methods of Sessions about launches. A store may forget a
// launch LaunchMemory after its ExpiresAt.
type Launches interface {
	// AddLaunch stores a launch. One of a member that EndMember ends after it is
	// voided. Of a member who has MaxLaunches open the oldest is voided.
	AddLaunch(ctx context.Context, l Launch) error
	// Launch returns the launch of key, or ErrLaunchUnknown.
	Launch(ctx context.Context, key string) (Launch, error)
}

// MaxLaunches is how many launches of one member are open at a time, about.
const MaxLaunches = 50

// LaunchMemory is how long a launch is known beyond its end, so that who comes
// late is told so.
const LaunchMemory = 10 * time.Minute

// A Launch is a session that a member may begin.
type Launch struct {
	// Key is the token's LaunchKey; the token is not kept.
	Key string `json:"key"`
	// Session lacks what only the Start knows: ID, game server, boot, times.
	Session   rollcall.Session `json:"session"`
	CreatedAt time.Time        `json:"createdAt"`
	ExpiresAt time.Time        `json:"expiresAt"`
	Voided    bool             `json:"voided,omitempty"`
	// StartedID is the session that it has become, StartedBy its game server and
	// boot.
	StartedID string    `json:"startedId,omitempty"`
	StartedBy [2]string `json:"startedBy,omitzero"`
}

// Usable returns nil if l can start a session at now, or why not.
func (l *Launch) Usable(now time.Time) error {
	switch {
	case l.StartedID != "":
		return rollcall.ErrLaunchUsed
	case l.Voided:
		return rollcall.ErrLaunchVoided
	case !now.Before(l.ExpiresAt):
		return rollcall.ErrLaunchExpired
	}
	return nil
}

// Events are the methods of Sessions about what game servers are to be told.
type Events interface {
	// Tell queues events that are of no session; or stores receipts that another
	// store had, in their order: what has become of each is kept, and its Seq is
	// given anew. Of a session there must be none yet, or it may be dropped.
	Tell(ctx context.Context, receipts ...rollcall.Receipt) error
	// Pending returns at most limit events of a game server that are not
	// acknowledged, with Seq above after, by Seq.
	Pending(ctx context.Context, gameServer string, after int64, limit int) ([]rollcall.Receipt, error)
	// PendingOf returns the events of some sessions whose game has not ended,
	// acknowledged or not, in no order.
	PendingOf(ctx context.Context, gameServer string, sessionIDs []string) ([]rollcall.Receipt, error)
	// Await returns a channel that is closed when the game server may have an
	// event that was not there when Await was called.
	Await(gameServer string) <-chan struct{}
	// Cursor returns the Seq behind which all events are that the game server
	// has not acknowledged.
	Cursor(ctx context.Context, gameServer string) (int64, error)
	// Mark notes of events, by Seq, that they were delivered, acknowledged, or
	// (by session) that their game has ended; the later ones imply the earlier.
	// What is marked already stays. What ended with a Note goes to the outbox as
	// settled, whether there is an event or not. It returns how many it has
	// acknowledged.
	Mark(ctx context.Context, gameServer string, m Marks) (acknowledged int, err error)
	// AddKick stores a kick that begins. One whose ID is there already is dropped.
	AddKick(ctx context.Context, k rollcall.Kick) error
	// KickState returns how far a kick is, at the cost of one look;
	// rollcall.ErrNotFound.
	KickState(ctx context.Context, id string) (rollcall.KickState, error)
	// FinishKick brings a running kick into state, and returns it without its
	// Progress; one that runs no more stays as it is. rollcall.ErrNotFound.
	FinishKick(ctx context.Context, id string, state rollcall.KickState, now time.Time) (rollcall.Kick, error)
	// Kick returns a kick with its Progress, which is derived from its receipts,
	// or rollcall.ErrNotFound.
	Kick(ctx context.Context, id string) (rollcall.Kick, error)
	// Kicks returns at most limit kicks with an ID below before ("": the newest),
	// newest first, with their Progress; where running is set, only running ones,
	// and without it: who goes on with them need not wait for the counting.
	Kicks(ctx context.Context, before string, running bool, limit int) ([]rollcall.Kick, error)
	// Receipts returns at most limit receipts of a kick with Seq above after.
	Receipts(ctx context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error)
	// PruneEvents removes at most limit kicks, and receipts, older than before,
	// acknowledged or not, and returns how many.
	PruneEvents(ctx context.Context, before time.Time, limit int) (int, error)
}

// Marks are what has become of events.
type Marks struct {
	At           time.Time
	Delivered    []int64
	Acknowledged []int64
	// Ended are sessions whose game has ended; their events are acknowledged
	// too.
	Ended []MarkEnded
}

// A MarkEnded is a session whose game has ended.
type MarkEnded struct{ SessionID, Note string }

// An Outbox holds what has begun and ended until it has been handed on. It has
// one lane or several, each with Seqs of its own; all of one session is in one.
type Outbox interface {
	// Changes returns changes behind after, of each lane by Seq, about limit at
	// the most: none if there are none.
	Changes(ctx context.Context, after Position, limit int) ([]Change, error)
	// Forget drops the changes up to and with through.
	Forget(ctx context.Context, through Position) error
}

// A Position is a place in an Outbox: a Seq of each lane. nil is the beginning;
// lanes that it lacks are at theirs.
type Position []int64

// Of returns the Seq of a lane.
func (p Position) Of(lane int) int64 {
	if lane < len(p) {
		return p[lane]
	}
	return 0
}

// Past returns p moved behind changes. p stays as it is.
func (p Position) Past(changes []Change) Position {
	p = slices.Clone(p)
	for i := range changes {
		c := &changes[i]
		if missing := c.Lane + 1 - len(p); missing > 0 {
			p = append(p, make(Position, missing)...)
		}
		p[c.Lane] = max(p[c.Lane], c.Seq)
	}
	return p
}

// A Change is a session that has begun, or ended if it has a Reason, or been
// settled if it has SettledAt, when only ID, GameServer, SettledAt and Note are
// set.
type Change struct {
	Seq  int64 `json:"-"`
	Lane int   `json:"-"`
	rollcall.EndedSession
}

// MarshalJSON writes of a settled session only what is set: it is no whole one.
func (c Change) MarshalJSON() ([]byte, error) {
	if c.Reason != "" || c.SettledAt.IsZero() {
		return json.Marshal(c.EndedSession)
	}
	return json.Marshal(struct {
		ID         string    `json:"id"`
		GameServer string    `json:"gameServer"`
		SettledAt  time.Time `json:"settledAt"`
		Note       string    `json:"note"`
	}{c.ID, c.GameServer, c.SettledAt, c.Note})
}

// Nonces remembers which nonces were used (spec 2, 8).
type Nonces interface {
	// Claim reports whether this is the first Claim of the agent's nonce: of any
	// number of simultaneous ones exactly one is. at is the request's timestamp,
	// which the caller has found within MaxClockSkew of the clock.
	//
	// A nonce is remembered for at least 2 × MaxClockSkew, which is a setting of
	// the backend, across the death of the process too. A backend that may have
	// forgotten, after the machine itself died or a replica took over, answers
	// false or ErrUnavailable for every at that it may have seen before: it never
	// opens a window for a replay.
	Claim(ctx context.Context, agentID, nonce string, at time.Time) (fresh bool, err error)
	// Held returns how many nonces are remembered, approximately.
	Held(ctx context.Context) (int, error)
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// EarlyNonces are Nonces of an engine that is away: who asks it for something else
// too need not wait for both one after the other.
type EarlyNonces interface {
	Nonces
	// Begin begins a Claim. It may be made though nobody waits for it.
	Begin(ctx context.Context, agentID, nonce string, at time.Time) Claiming
}

// A Claiming is a Claim that has begun.
type Claiming interface {
	// Wait returns what Claim does. It is called once at the most.
	Wait(ctx context.Context) (fresh bool, err error)
}

// History holds what was: ended sessions and request records. Nothing waits for
// it. Losing the last second of request records is allowed where that is
// counted; ended sessions come from the Outbox and are not lost.
type History interface {
	// AddRequests stores records. One whose LogUUID is there already is dropped.
	// The records and their Checks are the caller's again when it returns.
	AddRequests(ctx context.Context, records []rollcall.RequestRecord) error
	// Request returns the record of logUUID, or rollcall.ErrNotFound.
	Request(ctx context.Context, logUUID string) (rollcall.RequestRecord, error)
	// RequestsAfter returns at most limit records with a LogUUID above after, by
	// LogUUID.
	RequestsAfter(ctx context.Context, after string, limit int) ([]rollcall.RequestRecord, error)
	// Prune removes request records older than before, at most limit or more where
	// the backend keeps some in one and drops them at once, and returns how many it
	// removed: less than limit when none is left. For the same reason one may be
	// kept for up to 10 s longer. None that is younger is removed.
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
	// AddEnded stores ended sessions. One whose ID is there already is dropped.
	AddEnded(ctx context.Context, ended []rollcall.EndedSession) error
	// Settle notes the SettledAt and the Note of ended sessions that are there, of
	// the same GameServer, and have none yet.
	Settle(ctx context.Context, settled []rollcall.EndedSession) error
	// Ended returns the ended sessions of these ids that are there, in no order.
	Ended(ctx context.Context, ids []string) ([]rollcall.EndedSession, error)
	// EndedOf returns at most limit ended sessions of a member with an ID below
	// before ("": the newest), newest first.
	EndedOf(ctx context.Context, agentID, username, before string, limit int) ([]rollcall.EndedSession, error)
	// EndedAround returns at most limit ended sessions that were live at the
	// moment at, with an ID above after, by ID; those that filter picks.
	EndedAround(ctx context.Context, at time.Time, filter rollcall.SessionFilter, after string, limit int) ([]rollcall.EndedSession, error)
	// EndedAfter returns at most limit ended sessions with an ID above after, by
	// ID.
	EndedAfter(ctx context.Context, after string, limit int) ([]rollcall.EndedSession, error)
	// PruneEnded removes at most limit sessions that ended before before, or a
	// whole day of them as Prune, and returns how many it removed.
	PruneEnded(ctx context.Context, before time.Time, limit int) (int, error)
	Deliveries
	// Ping reports whether the engine can read and write.
	Ping(ctx context.Context) error
}

// Deliveries are the methods of History about webhooks on their way.
type Deliveries interface {
	// AddDeliveries stores deliveries. One whose ID is there already is dropped.
	AddDeliveries(ctx context.Context, deliveries []rollcall.WebhookDelivery) error
	// ClaimDeliveries returns deliveries that are due, the longest due first, and
	// moves their NextAt to c.Until in the same step, so that no other Claim
	// returns them until then.
	ClaimDeliveries(ctx context.Context, c DeliveryClaim) ([]rollcall.WebhookDelivery, error)
	// PutDelivery replaces a delivery, and does nothing where it is no more.
	PutDelivery(ctx context.Context, d rollcall.WebhookDelivery) error
	// DropDelivery removes a delivery, if it is there.
	DropDelivery(ctx context.Context, id string) error
	// Delivery returns a delivery, or rollcall.ErrNotFound.
	Delivery(ctx context.Context, id string) (rollcall.WebhookDelivery, error)
	// DeliveriesOf returns at most limit deliveries of an agent ("": of all) with
	// an ID above after, by ID: those that are dead, or those that are not.
	DeliveriesOf(ctx context.Context, agentID string, dead bool, after string, limit int) ([]rollcall.WebhookDelivery, error)
	// PruneDeliveries removes at most limit dead deliveries that were created
	// before before and returns how many it removed.
	PruneDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
}

// A DeliveryClaim says which deliveries are asked for: at most Limit that are
// due at Now and not dead, at most PerAgent of one agent, none of Except.
type DeliveryClaim struct {
	Now, Until      time.Time
	PerAgent, Limit int
	Except          []string // agents
}

// MaxLifetime bounds how long a session may live: who was online at a moment is
// looked for among those that began so long before it.
const MaxLifetime = 24 * time.Hour
