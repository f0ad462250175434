package live

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A Book is all that a roll.Sessions store has to know at once: the index of
// live sessions, launches, boots, events under way and the outbox. Every change
// goes in three steps:
//
//  1. a Plan method decides by the Book what is to be done: a Step, or an error;
//  2. the backend makes the Step durable, and fills in the Seqs that it gives;
//  3. Apply shows the Step to readers.
//
// The backend sees to it that no two changes of one member, launch, game
// server's events or kick are between steps 1 and 3 at a time; see Touches.
// Reading is safe at any time.
type Book struct {
	*Index

	mu       sync.RWMutex
	epoch    roll.Epoch
	boots    map[string]string
	launches launches
	events   events
	outbox   outbox
	marks    marks
}

// NewBook returns an empty Book of an epoch.
func NewBook(epoch roll.Epoch) *Book { return newBook(epoch, NewIndex()) }

// NewPage returns an empty Book that is to hold a few things for one change.
func NewPage(epoch roll.Epoch) *Book { return newBook(epoch, newIndex(1)) }

func newBook(epoch roll.Epoch, index *Index) *Book {
	return &Book{
		Index:    index,
		epoch:    epoch,
		boots:    make(map[string]string),
		launches: launches{byKey: make(map[string]*roll.Launch), ofMember: make(map[memberKey][]*roll.Launch)},
		events:   newEvents(),
		outbox:   outbox{ended: make(map[string]rollcall.EndReason)},
		marks:    marks{ofMember: make(map[memberKey]time.Time)},
	}
}

// A Step is what one change does. Seqs that are 0 are given by the backend.
type Step struct {
	// Sessions are held from now on.
	Sessions []rollcall.Session
	// Changes go to the outbox; those with a Reason are held no longer.
	Changes []roll.Change
	// Launches are new or changed, Forgotten are the keys of those that go.
	Launches  []roll.Launch
	Forgotten []string
	// Receipts are new (Seq 0) or changed.
	Receipts []rollcall.Receipt
	// Kicks are new or changed.
	Kicks []rollcall.Kick
	// Boots are game servers and their current boots.
	Boots [][2]string
	// Through drops the outbox up to this Seq.
	Through int64
}

// Apply shows a Step that is durable.
func (b *Book) Apply(s *Step) {
	b.mu.Lock()
	for _, boot := range s.Boots {
		b.boots[boot[0]] = boot[1]
	}
	for i := range s.Launches {
		b.launches.put(&s.Launches[i])
	}
	for _, key := range s.Forgotten {
		b.launches.drop(key)
	}
	for i := range s.Kicks {
		b.marks.put(&s.Kicks[i])
	}
	b.outbox.put(s.Changes)
	b.outbox.forget(s.Through)
	b.mu.Unlock()
	b.change(s)
	b.mu.Lock() // who is told of an end finds it done
	defer b.mu.Unlock()
	for i := range s.Receipts {
		b.events.put(&s.Receipts[i])
	}
}

// Epoch returns the epoch of NewBook.
func (b *Book) Epoch() roll.Epoch { return b.epoch }

// CurrentBoot returns a game server's boot, or "".
func (b *Book) CurrentBoot(gameServer string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.boots[gameServer]
}

// Launch returns the launch of key, or rollcall.ErrLaunchUnknown.
func (b *Book) Launch(key string) (roll.Launch, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if l := b.launches.byKey[key]; l != nil {
		return *l, nil
	}
	return roll.Launch{}, rollcall.ErrLaunchUnknown
}

// launches holds launches by key and, where they are open, by member, the oldest
// first.
type launches struct {
	byKey    map[string]*roll.Launch
	ofMember map[memberKey][]*roll.Launch
	order    []string // of their ends, as they all live equally long
}

func (l *launches) put(launch *roll.Launch) {
	have := l.byKey[launch.Key]
	if have != nil {
		*have = *launch
	} else {
		have = launch
		l.order = append(l.order, launch.Key)
		l.byKey[launch.Key] = launch
	}
	if launch.Session.Username == "" {
		return
	}
	m := memberOf(&launch.Session)
	l.shut(m, have)
	if launch.StartedID == "" && !launch.Voided {
		l.open(m, have)
	}
}

// open puts a launch among its member's open ones. It mostly is the youngest.
func (l *launches) open(m memberKey, launch *roll.Launch) {
	open := l.ofMember[m]
	at := len(open)
	for at > 0 && open[at-1].CreatedAt.After(launch.CreatedAt) {
		at--
	}
	l.ofMember[m] = slices.Insert(open, at, launch)
}

// shut takes a launch out of its member's open ones.
func (l *launches) shut(m memberKey, launch *roll.Launch) {
	open := l.ofMember[m]
	at := slices.Index(open, launch)
	if at < 0 {
		return
	}
	if len(open) == 1 {
		delete(l.ofMember, m)
		return
	}
	l.ofMember[m] = slices.Delete(open, at, at+1)
}

// excess returns the oldest open launch of the member of launch, where one more
// is too many.
func (l *launches) excess(launch *roll.Launch) (oldest *roll.Launch) {
	if launch.Session.Username == "" {
		return nil
	}
	open := l.ofMember[memberOf(&launch.Session)]
	if len(open) < roll.MaxLaunches {
		return nil
	}
	return open[0]
}

func (l *launches) drop(key string) {
	launch := l.byKey[key]
	if launch == nil {
		return
	}
	delete(l.byKey, key)
	for len(l.order) > 0 && l.byKey[l.order[0]] == nil {
		l.order = l.order[1:]
	}
	l.shut(memberOf(&launch.Session), launch)
}

// over returns the keys of at most limit launches that may be forgotten.
func (l *launches) over(now time.Time, limit int) []string {
	n := 0
	for n < min(limit, len(l.order)) {
		launch := l.byKey[l.order[n]] // nil: it was dropped before its turn
		if launch != nil && launch.ExpiresAt.Add(roll.LaunchMemory).After(now) {
			break
		}
		n++
	}
	return slices.Clone(l.order[:n])
}

// An outbox holds changes by Seq, and which sessions have ended by them.
type outbox struct {
	changes []roll.Change
	ended   map[string]rollcall.EndReason
}

func (o *outbox) put(changes []roll.Change) {
	for _, c := range changes {
		o.changes = append(o.changes, c)
		if c.Reason != "" {
			o.ended[c.ID] = c.Reason
		}
	}
}

func (o *outbox) forget(through int64) {
	n := 0
	for n < len(o.changes) && o.changes[n].Seq <= through {
		if o.changes[n].Reason != "" { // the end may still be there where the beginning goes
			delete(o.ended, o.changes[n].ID)
		}
		n++
	}
	if o.changes = o.changes[n:]; len(o.changes) == 0 {
		o.changes = nil // not what was before it in the array
	}
}

// Changes returns at most limit changes of the outbox, which has one lane,
// behind after.
func (b *Book) Changes(from roll.Position, limit int) []roll.Change {
	after := from.Of(0)
	b.mu.RLock()
	defer b.mu.RUnlock()
	changes := b.outbox.changes
	at, found := slices.BinarySearchFunc(changes, after, func(c roll.Change, seq int64) int { return cmp.Compare(c.Seq, seq) })
	if found {
		at++
	}
	return slices.Clone(changes[at:min(len(changes), at+limit)])
}

// marks remember who has been kicked and when, for as long as a session of
// before may be announced.
type marks struct {
	ofMember map[memberKey]time.Time
	others   []rollcall.Kick
}

func (m *marks) put(k *rollcall.Kick) {
	ofMember := rollcall.SessionFilter{AgentID: k.Filter.AgentID, Username: k.Filter.Username}
	if k.Filter.Username != "" && k.Filter == ofMember {
		member := memberKey{k.Filter.AgentID, k.Filter.Username}
		if k.At.After(m.ofMember[member]) {
			m.ofMember[member] = k.At
		}
		return
	}
	m.others = append(slices.DeleteFunc(m.others, func(o rollcall.Kick) bool { return o.ID == k.ID }), *k)
}

// kicked reports whether a kick that is remembered was meant for s.
func (m *marks) kicked(s *rollcall.Session) bool {
	if at, ok := m.ofMember[memberOf(s)]; ok && !s.StartedAt.After(at) {
		return true
	}
	return slices.ContainsFunc(m.others, func(k rollcall.Kick) bool {
		return k.State != rollcall.KickAborted && !s.StartedAt.After(k.At) && k.Filter.Picks(s)
	})
}

// voids reports whether a launch is void for a kick by a filter that picks the
// session which it would begin.
func (m *marks) voids(l *roll.Launch, s *rollcall.Session) bool {
	return slices.ContainsFunc(m.others, func(k rollcall.Kick) bool {
		return k.State != rollcall.KickAborted && !l.CreatedAt.After(k.At) && k.Filter.Picks(s)
	})
}

// kickRuns reports whether a kick by a filter is running.
func (b *Book) kickRuns(id string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.ContainsFunc(b.marks.others, func(k rollcall.Kick) bool { return k.ID == id && k.State == rollcall.KickRunning })
}

func (m *marks) forget(before time.Time) {
	for member, at := range m.ofMember {
		if at.Before(before) {
			delete(m.ofMember, member)
		}
	}
	m.others = slices.DeleteFunc(m.others, func(k rollcall.Kick) bool { return k.At.Before(before) && k.State != rollcall.KickRunning })
}
