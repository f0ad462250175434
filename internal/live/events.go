package live

import (
	"cmp"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// events holds the receipts that may still change: those that are not
// acknowledged by game server, and those whose game has not ended by session.
type events struct {
	pending   map[string][]*rollcall.Receipt // by Seq
	ofSession map[string]*rollcall.Receipt
	last      int64
	waiting   map[string]chan struct{}
}

func newEvents() events {
	return events{
		pending:   make(map[string][]*rollcall.Receipt),
		ofSession: make(map[string]*rollcall.Receipt),
		waiting:   make(map[string]chan struct{}),
	}
}

func bySeq(r *rollcall.Receipt, seq int64) int { return cmp.Compare(r.Seq, seq) }

func (e *events) put(r *rollcall.Receipt) {
	e.last = max(e.last, r.Seq)
	list := e.pending[r.GameServer]
	at, found := slices.BinarySearchFunc(list, r.Seq, bySeq)
	switch {
	case !r.AcknowledgedAt.IsZero() && found && at == 0: // as they mostly are, in order
		list[0] = nil
		list = list[1:]
	case !r.AcknowledgedAt.IsZero() && found:
		list = slices.Delete(list, at, at+1)
	case !r.AcknowledgedAt.IsZero():
	case found:
		list[at] = r
	default:
		list = slices.Insert(list, at, r)
		e.wake(r.GameServer)
	}
	if e.pending[r.GameServer] = list; len(list) == 0 {
		delete(e.pending, r.GameServer)
	}
	if r.SessionID != "" && r.EndedAt.IsZero() {
		e.ofSession[r.SessionID] = r
	} else {
		delete(e.ofSession, r.SessionID)
	}
}

func (e *events) wake(gameServer string) {
	if ch := e.waiting[gameServer]; ch != nil {
		close(ch)
		delete(e.waiting, gameServer)
	}
}

// forget drops what was queued before before.
func (e *events) forget(before time.Time) {
	old := func(r *rollcall.Receipt) bool { return r.QueuedAt.Before(before) }
	for server, list := range e.pending {
		if e.pending[server] = slices.DeleteFunc(list, old); len(e.pending[server]) == 0 {
			delete(e.pending, server)
		}
	}
	for id, r := range e.ofSession {
		if old(r) {
			delete(e.ofSession, id)
		}
	}
}

// Pending returns at most limit events of a game server that are not
// acknowledged, behind after.
func (b *Book) Pending(gameServer string, after int64, limit int) []rollcall.Receipt {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := b.events.pending[gameServer]
	at, found := slices.BinarySearchFunc(list, after, bySeq)
	if found {
		at++
	}
	receipts := []rollcall.Receipt{}
	for _, r := range list[at:min(len(list), at+limit)] {
		receipts = append(receipts, *r)
	}
	return receipts
}

// PendingOf returns the events of sessions of a game server whose game has not
// ended.
func (b *Book) PendingOf(gameServer string, sessionIDs []string) []rollcall.Receipt {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var receipts []rollcall.Receipt
	for _, id := range sessionIDs {
		if r := b.events.ofSession[id]; r != nil && r.GameServer == gameServer {
			receipts = append(receipts, *r)
		}
	}
	return receipts
}

// Await returns a channel that is closed when the game server gets an event.
func (b *Book) Await(gameServer string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := b.events.waiting[gameServer]
	if ch == nil {
		ch = make(chan struct{})
		b.events.waiting[gameServer] = ch
	}
	return ch
}

// Cursor returns the Seq behind which all events of a game server are that it
// has not acknowledged.
func (b *Book) Cursor(gameServer string) int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if list := b.events.pending[gameServer]; len(list) > 0 {
		return list[0].Seq - 1
	}
	return b.events.last
}

// SetLast says which was the newest Seq, for a Book that is loaded.
func (b *Book) SetLast(seq int64) { b.events.last = max(b.events.last, seq) }

// ForgetBefore drops the events and the marks of kicks that are older.
func (b *Book) ForgetBefore(events, kicks time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events.forget(events)
	b.marks.forget(kicks)
}
