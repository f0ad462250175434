package roll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

// BootInfo is what a game server learns at its boot.
type BootInfo struct {
	Epoch            string
	Cursor           string
	Lease, Heartbeat time.Duration
	Ended            int
}

// Boot makes bootID the game server's current boot and ends the sessions of its
// others, with the reason server-lost. The same boot again ends nothing.
func (s *Service) Boot(ctx context.Context, server *GameServer, bootID string) (BootInfo, error) {
	if !rollcall.ValidID(bootID) {
		return BootInfo{}, invalid("bootId", "1 to 64 of A-Za-z0-9_.-")
	}
	if err := s.sessions.Boot(ctx, server.ID, bootID, s.now()); err != nil {
		return BootInfo{}, err
	}
	ended, err := s.endOtherBoots(ctx, server.ID, bootID)
	if err != nil {
		return BootInfo{}, err
	}
	epoch, err := s.sessions.Epoch(ctx)
	if err != nil {
		return BootInfo{}, err
	}
	cursor, err := s.sessions.Cursor(ctx, server.ID)
	s.log.LogAttrs(ctx, slog.LevelInfo, "game server boot",
		slog.String("game_server", server.ID), slog.String("boot", bootID), slog.Int("sessions_ended", ended))
	return BootInfo{Epoch: epoch.ID, Cursor: eventID(epoch, cursor), Lease: s.lease, Heartbeat: s.heartbeat, Ended: ended}, err
}

func (s *Service) endOtherBoots(ctx context.Context, gameServer, bootID string) (ended int, err error) {
	over := map[string]bool{bootID: false}
	return s.endPicked(ctx, endPicked{
		filter: rollcall.SessionFilter{GameServer: gameServer}, size: endLimit,
		which: func(l *rollcall.Session) bool {
			if _, known := over[l.BootID]; !known { // it may be one that has begun meanwhile
				current, err := s.sessions.CurrentBoot(ctx, gameServer)
				if err != nil {
					return false
				}
				over[l.BootID] = l.BootID != current
			}
			return over[l.BootID]
		},
		ending: func() Ending {
			return Ending{At: s.now(), Reason: rollcall.EndServerLost, By: "game server " + gameServer}
		},
	})
}

// checkBoot returns ErrStaleBoot unless bootID is the game server's current one.
// A store that knows of none has lost it, and takes the one that comes first: its
// sessions are announced in what follows.
func (s *Service) checkBoot(ctx context.Context, gameServer, bootID string) error {
	current, err := s.sessions.CurrentBoot(ctx, gameServer)
	switch {
	case err != nil:
		return err
	case current == "" && rollcall.ValidID(bootID):
		return s.sessions.Boot(ctx, gameServer, bootID, s.now())
	case bootID == "" || current != bootID:
		return rollcall.ErrStaleBoot
	}
	return nil
}

// A SessionEnd is a session that a game server says has ended.
type SessionEnd struct {
	ID     string
	Reason rollcall.EndReason // "": left
	Note   string
}

// maxNote bounds the note of a settlement, in bytes.
const maxNote = 1000

func (e *SessionEnd) check() error {
	switch e.Reason {
	case "":
		e.Reason = rollcall.EndLeft
	case rollcall.EndLeft, rollcall.EndKicked, rollcall.EndExpired, rollcall.EndServerLost:
	default:
		return invalid("reason", "left, kicked, expired or server-lost")
	}
	if len(e.Note) > maxNote {
		return invalid("note", fmt.Sprintf("at most %d bytes", maxNote))
	}
	return nil
}

// End ends a session that the game server holds, and reports whether it was
// active until now. Where it was not, the receipt of what ended it gets the note.
func (s *Service) End(ctx context.Context, server *GameServer, e SessionEnd) (wasActive bool, err error) {
	ended, err := s.endAll(ctx, server, []SessionEnd{e})
	return ended == 1, err
}

// endAll ends sessions, those of one reason and note together, and returns how
// many were active.
func (s *Service) endAll(ctx context.Context, server *GameServer, ends []SessionEnd) (ended int, err error) {
	groups := make(map[SessionEnd][]string)
	for _, e := range ends {
		if err := e.check(); err != nil {
			return 0, err
		}
		group := SessionEnd{Reason: e.Reason, Note: e.Note}
		groups[group] = append(groups[group], e.ID)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	room := make(chan struct{}, 64)
	for group, ids := range groups {
		room <- struct{}{}
		all.Go(func() {
			n, err := s.endGroup(ctx, server, group, ids)
			<-room
			mu.Lock()
			defer mu.Unlock()
			ended, errs = ended+n, append(errs, err)
		})
	}
	all.Wait()
	return ended, errors.Join(errs...)
}

func (s *Service) endGroup(ctx context.Context, server *GameServer, e SessionEnd, ids []string) (int, error) {
	now := s.now()
	ended, err := s.sessions.End(ctx, ids, Ending{At: now, Reason: e.Reason, By: "game server " + server.ID, Note: e.Note, GameServer: server.ID})
	if err != nil {
		return 0, err
	}
	s.logEnds(ctx, ended)
	if len(ended) == len(ids) {
		return len(ended), nil
	}
	marks := Marks{At: now}
	for _, id := range ids {
		marks.Ended = append(marks.Ended, MarkEnded{SessionID: id, Note: e.Note})
	}
	_, err = s.sessions.Mark(ctx, server.ID, marks)
	return len(ended), err
}

// A Beat is what a Heartbeat did not renew.
type Beat struct {
	Epoch string
	// Unknown is not held, and nothing is left to be told of it.
	Unknown []string
	// End are the events of those that are to be ended.
	End []rollcall.Event
}

// Heartbeat renews the leases of sessions that the game server holds, and ends
// others. ErrStaleBoot.
func (s *Service) Heartbeat(ctx context.Context, server *GameServer, bootID string, ids []string, ends []SessionEnd) (Beat, error) {
	if err := s.checkBoot(ctx, server.ID, bootID); err != nil {
		return Beat{}, err
	}
	if _, err := s.endAll(ctx, server, ends); err != nil {
		return Beat{}, err
	}
	unknown, err := s.sessions.Heartbeat(ctx, server.ID, ids, s.now())
	if err != nil {
		return Beat{}, err
	}
	// Afterwards: what is unknown since it was lost a moment ago is to be announced,
	// which only another epoch says.
	epoch, err := s.sessions.Epoch(ctx)
	beat := Beat{Epoch: epoch.ID, Unknown: []string{}, End: []rollcall.Event{}}
	if err != nil || len(unknown) == 0 {
		return beat, err
	}
	receipts, err := s.sessions.PendingOf(ctx, server.ID, unknown)
	told := make(map[string]bool, len(receipts))
	for _, r := range receipts {
		told[r.SessionID] = true
		beat.End = append(beat.End, event(epoch, &r))
	}
	for _, id := range unknown {
		if !told[id] {
			beat.Unknown = append(beat.Unknown, id)
		}
	}
	return beat, err
}

// Announce holds sessions that a store has lost (see Live.Announce) and returns
// why it refused those that it did. ErrStaleBoot.
func (s *Service) Announce(ctx context.Context, server *GameServer, bootID string, sessions []rollcall.Session) (refused map[string]string, epoch string, err error) {
	if err := s.checkBoot(ctx, server.ID, bootID); err != nil {
		return nil, "", err
	}
	refused = make(map[string]string)
	kept, err := s.announceable(ctx, server, bootID, sessions, refused)
	if err != nil {
		return nil, "", err
	}
	more, err := s.sessions.Announce(ctx, server.ID, bootID, kept, s.now())
	if err != nil {
		return nil, "", err
	}
	maps.Copy(refused, more)
	e, err := s.sessions.Epoch(ctx)
	return refused, e.ID, err
}

// announceable returns those of sessions that are of the right form and are not
// in the history, and adds to refused why the others are not.
func (s *Service) announceable(ctx context.Context, server *GameServer, bootID string, sessions []rollcall.Session, refused map[string]string) ([]rollcall.Session, error) {
	kept, seen := make([]rollcall.Session, 0, len(sessions)), newSet()
	for i := range sessions {
		if seen.add(sessions[i].ID) { // the first one counts
			kept = append(kept, sessions[i])
		}
	}
	faults := make([]error, len(kept))
	var all sync.WaitGroup
	room := make(chan struct{}, 32) // each may look up its member
	for i := range kept {
		room <- struct{}{}
		all.Go(func() {
			faults[i] = s.announced(ctx, server, bootID, &kept[i])
			<-room
		})
	}
	all.Wait()
	for i, err := range faults {
		if errors.Is(err, rollcall.ErrUnavailable) {
			return nil, err
		}
		if err != nil {
			refused[kept[i].ID] = err.Error()
		}
	}
	kept = slices.DeleteFunc(kept, func(k rollcall.Session) bool { return refused[k.ID] != "" })
	// What has been handed on to the history is remembered by the outbox for
	// some seconds more, so nothing slips through between this and Announce.
	ended, err := s.history.Ended(ctx, idsOf(kept))
	for i := range ended {
		refused[ended[i].ID] = "ended: " + string(ended[i].Reason)
	}
	return slices.DeleteFunc(kept, func(k rollcall.Session) bool { return refused[k.ID] != "" }), err
}

// announced checks a session that a game server announces as strictly as if it
// began, and completes it.
func (s *Service) announced(ctx context.Context, server *GameServer, bootID string, session *rollcall.Session) error {
	if err := checkAnnounced(session); err != nil {
		return err
	}
	if !server.Runs(session.GameCode) {
		return rollcall.ErrGameNotRun
	}
	_, game, err := s.mayStart(ctx, session)
	if err != nil {
		return err
	}
	now := s.now()
	if session.StartedAt.After(now) {
		return invalid("startedAt", "a time in the past")
	}
	session.GameServer, session.BootID = server.ID, bootID
	session.LeaseSeconds = int(s.leaseOf(game) / time.Second)
	session.IP = session.IP.Unmap()
	session.SeenAt = now
	session.EndsAt = earlier(session.EndsAt, session.StartedAt.Add(s.lifetimeOf(game)))
	session.ExpiresAt = earlier(now.Add(session.Lease()), session.EndsAt)
	return nil
}

func checkAnnounced(s *rollcall.Session) error {
	home, ok := HomeOfSession(s.ID)
	switch {
	case !ok || s.Username != "" && home != HomeOf(s.AgentID, s.Username):
		return invalid("id", "one that Start gave")
	case s.Username != "" && !rollcall.ValidUsername(s.Username), s.Username == "" && s.Mode != rollcall.ModeDemo:
		return invalid("username", "1 to 25 ASCII letters or digits")
	case !rollcall.ValidID(s.GameCode):
		return invalid("gameCode", "1 to 64 of A-Za-z0-9_.-")
	case !s.Mode.Valid():
		return invalid("mode", "real or demo")
	case !s.Device.Valid():
		return invalid("device", "pc or mobile")
	case !s.Launch.Valid():
		return invalid("launch", "both, demo or real")
	case !s.IP.IsValid() || s.IP.Zone() != "":
		return invalid("ip", "an IPv4 or IPv6 address without a zone")
	case !rollcall.ValidLang(s.Lang):
		return invalid("lang", "1 to 16 of A-Za-z0-9_-")
	case !rollcall.ValidCurrency(s.Currency) || !rollcall.ValidCurrency(s.BrandCurrency):
		return invalid("currency", "3 to 8 of A-Z and 0-9")
	case !s.Wallet.Valid():
		return invalid("wallet", "transfer or seamless")
	case s.LobbyURL != "" && !rollcall.ValidLobbyURL(s.LobbyURL):
		return invalid("lobbyUrl", "an https URL of at most 2048 bytes")
	}
	return nil
}

// Drain tells a game server to start no more sessions, or lets it again.
func (s *Service) Drain(ctx context.Context, actor, id string, draining bool) (*rollcall.GameServer, error) {
	action := map[bool]string{true: "game-server.drain", false: "game-server.undrain"}[draining]
	server, err := s.updateGameServer(ctx, s.entry(actor, action, id, ""), func(g *GameServer) error {
		g.Draining = draining
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !draining {
		return server, s.untell(ctx, id)
	}
	return server, s.sessions.Tell(ctx, rollcall.Receipt{
		Event:      rollcall.Event{Type: rollcall.EventDrain, By: actor, QueuedAt: s.now()},
		GameServer: id,
	})
}

// untell takes back the drain events that a game server has not taken over.
func (s *Service) untell(ctx context.Context, gameServer string) error {
	marks := Marks{At: s.now()}
	for after := int64(0); ; {
		receipts, err := s.sessions.Pending(ctx, gameServer, after, endLimit)
		if err != nil {
			return err
		}
		for i := range receipts {
			if after = receipts[i].Seq; receipts[i].Type == rollcall.EventDrain {
				marks.Acknowledged = append(marks.Acknowledged, after)
			}
		}
		if len(receipts) < endLimit {
			break
		}
	}
	_, err := s.sessions.Mark(ctx, gameServer, marks)
	return err
}

// An event's ID is its store's epoch and its Seq, since another epoch begins to
// count anew.
func eventID(epoch Epoch, seq int64) string { return epoch.ID + "-" + strconv.FormatInt(seq, 10) }

// seqOf returns the Seq of an event's ID; 0 where it is of another epoch.
func seqOf(epoch Epoch, id string) int64 {
	text, ok := strings.CutPrefix(id, epoch.ID+"-")
	if !ok {
		return 0
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return 0
	}
	return seq
}

func event(epoch Epoch, r *rollcall.Receipt) rollcall.Event {
	e := r.Event
	e.ID = eventID(epoch, r.Seq)
	return e
}

// Events returns at most limit events behind the one of the ID after that a game
// server has not acknowledged; behind none, where after is not of this store's
// epoch. more is closed when there may be others than those that are returned.
func (s *Service) Events(ctx context.Context, gameServer, after string, limit int) (events []rollcall.Event, more <-chan struct{}, err error) {
	epoch, err := s.sessions.Epoch(ctx)
	if err != nil {
		return nil, nil, err
	}
	more = s.sessions.Await(gameServer) // before Pending, so that none is missed
	receipts, err := s.sessions.Pending(ctx, gameServer, seqOf(epoch, after), limit)
	events = make([]rollcall.Event, len(receipts))
	for i := range receipts {
		events[i] = event(epoch, &receipts[i])
	}
	return events, more, err
}

// Delivered notes that events have been written to a game server's stream.
func (s *Service) Delivered(ctx context.Context, gameServer string, eventIDs []string) error {
	_, err := s.mark(ctx, gameServer, eventIDs, func(m *Marks) *[]int64 { return &m.Delivered })
	return err
}

// Acknowledge notes that a game server has taken events over; it returns how
// many were not acknowledged before.
func (s *Service) Acknowledge(ctx context.Context, gameServer string, eventIDs []string) (int, error) {
	return s.mark(ctx, gameServer, eventIDs, func(m *Marks) *[]int64 { return &m.Acknowledged })
}

func (s *Service) mark(ctx context.Context, gameServer string, eventIDs []string, which func(*Marks) *[]int64) (int, error) {
	epoch, err := s.sessions.Epoch(ctx)
	if err != nil {
		return 0, err
	}
	marks := Marks{At: s.now()}
	for _, id := range eventIDs {
		if seq := seqOf(epoch, id); seq > 0 {
			*which(&marks) = append(*which(&marks), seq)
		}
	}
	return s.sessions.Mark(ctx, gameServer, marks)
}
