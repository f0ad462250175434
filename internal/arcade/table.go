package arcade

import (
	"fmt"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A seat is one session that is played, or was a short while ago.
type seat struct {
	token   string
	session rollcall.Session
	since   time.Time // by the arcade's clock
	// house players have no page and stay.
	house bool
	// pages is until when each open page may be silent, by the page's own name: a
	// launch may be open in two tabs, or closed and opened again. Zero: it has left.
	pages map[string]time.Time
	until time.Time // the session goes on so long without a page
	// over says how it ended; nil: it is played.
	over   *over
	overAt time.Time
	done   chan struct{} // closed when over is set
}

// keepOver is how long a page can ask how its session ended.
const keepOver = 10 * time.Minute

// A table has the seats. It asks no clock: each call says what time it is.
type table struct {
	silence, grace time.Duration

	mu        sync.Mutex
	byToken   map[string]*seat
	bySession map[string]*seat
	// early are the ends of sessions whose Start has not returned yet.
	early map[string]earlyEnd
}

type earlyEnd struct {
	over *over
	at   time.Time
}

func newTable(silence, grace time.Duration) *table {
	return &table{
		silence: silence, grace: grace,
		byToken: map[string]*seat{}, bySession: map[string]*seat{}, early: map[string]earlyEnd{},
	}
}

// sit seats a session, which may have its seat already.
func (t *table) sit(now time.Time, token string, session rollcall.Session, house bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byToken[token] != nil {
		return
	}
	s := &seat{
		token: token, session: session, since: now, house: house,
		pages: map[string]time.Time{}, until: now.Add(t.silence), done: make(chan struct{}),
	}
	t.byToken[token], t.bySession[session.ID] = s, s
	if e, ok := t.early[session.ID]; ok {
		delete(t.early, session.ID)
		s.end(e.at, e.over)
	}
}

// open notes that a page begins and returns what it is to show; ok reports whether
// the token has a seat.
func (t *table) open(now time.Time, token, page string) (v view, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byToken[token]
	if s == nil {
		return v, false
	}
	s.pages[page] = now.Add(t.silence)
	return s.view(now), true
}

// hear is open for a page that has begun. One that has left stays away, since a
// beat may be overtaken by the leave behind it.
func (t *table) hear(now time.Time, token, page string) (v view, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byToken[token]
	if s == nil {
		return v, false
	}
	if until, known := s.pages[page]; !known || !until.IsZero() {
		s.pages[page] = now.Add(t.silence)
	}
	return s.view(now), true
}

// look returns what a page is to show.
func (t *table) look(now time.Time, token string) (v view, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byToken[token]; s != nil {
		return s.view(now), true
	}
	return v, false
}

// leave notes that a page is gone. The session goes on for a while, since the
// page may just be loaded again.
func (t *table) leave(now time.Time, token, page string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byToken[token]; s != nil {
		s.pages[page] = time.Time{}
		s.until = now.Add(t.grace)
	}
}

// ended returns what is closed when the session of a token is over.
func (t *table) ended(token string) (done <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byToken[token]; s != nil {
		return s.done, true
	}
	return nil, false
}

// end notes how a session ended and reports whether it was a house player's. Of
// several ends the first counts.
func (t *table) end(now time.Time, sessionID string, how *over) (house bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.bySession[sessionID]
	if s == nil {
		t.early[sessionID] = earlyEnd{how, now}
		return false
	}
	s.end(now, how)
	return s.house
}

// endAll ends every session that is played.
func (t *table) endAll(now time.Time, how *over) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byToken {
		s.end(now, how)
	}
}

// sweep ends the sessions without a page, returns what is to be told of them, and
// forgets what nobody will ask for.
func (t *table) sweep(now time.Time) (left []settlement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byToken {
		switch {
		case s.over != nil && now.Sub(s.overAt) >= keepOver:
			delete(t.byToken, s.token)
			delete(t.bySession, s.session.ID)
		case s.over == nil && !s.house && !s.attended(now):
			s.end(now, overLeft)
			note := fmt.Sprintf("the page %s, after %s", s.why(), now.Sub(s.since).Round(time.Second))
			left = append(left, settlement{s.session.ID, wire.EndRequest{Reason: rollcall.EndLeft, Note: note}})
		}
	}
	for id, e := range t.early {
		if now.Sub(e.at) >= keepOver {
			delete(t.early, id)
		}
	}
	return left
}

// attended reports whether a page is there, or may come back.
func (s *seat) attended(now time.Time) bool {
	for _, until := range s.pages {
		if now.Before(until) {
			return true
		}
	}
	return now.Before(s.until)
}

// why says how the pages of a session are gone.
func (s *seat) why() string {
	for _, until := range s.pages {
		if !until.IsZero() {
			return "fell silent"
		}
	}
	if len(s.pages) == 0 {
		return "never came"
	}
	return "was closed"
}

func (s *seat) end(now time.Time, how *over) {
	if s.over == nil {
		s.over, s.overAt = how, now
		close(s.done)
	}
}

// A view is what a page is told of its session.
type view struct {
	Session  string        `json:"session"`
	Game     string        `json:"game"`
	Member   string        `json:"member"` // empty: a demo without one
	Mode     rollcall.Mode `json:"mode"`
	Currency string        `json:"currency"`
	Device   string        `json:"device"`
	Played   int64         `json:"playedMillis"`
	LobbyURL string        `json:"lobbyUrl,omitempty"`
	Over     *over         `json:"over,omitempty"`
	// BeatMillis is how often the page is to say something.
	BeatMillis int64 `json:"beatMillis"`
}

func (s *seat) view(now time.Time) view {
	v := view{
		Session: s.session.ID, Game: s.session.GameCode, Member: s.session.Username, Mode: s.session.Mode,
		Currency: s.session.Currency, Device: s.session.Device.String(), Played: now.Sub(s.since).Milliseconds(), Over: s.over,
	}
	if rollcall.ValidLobbyURL(s.session.LobbyURL) { // never another scheme, whatever Rollcall says
		v.LobbyURL = s.session.LobbyURL
	}
	if s.over != nil {
		v.Played = s.overAt.Sub(s.since).Milliseconds()
	}
	return v
}
