package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// A house is the game server that starts sessions, by Rollcall's game-server API.
// A nil one has nothing to close.
type house struct {
	game    *client.GameServer
	started []string
}

// game returns the run's game server, booted, or a skip.
func (t *trial) game() (*house, error) {
	f := t.r.o.Facts
	switch {
	case t.r.house != nil:
		return t.r.house, nil
	case f.GameURL == "" || f.GameToken == "":
		return nil, skipf("no session can be started: no game server is known that nobody uses (facts: gameServer)")
	}
	game, err := client.NewGameServer(client.GameServerOptions{BaseURL: f.GameURL, Token: f.GameToken, HTTPClient: t.r.o.HTTPClient})
	if err != nil {
		return nil, err
	}
	if _, err := game.Boot(t.ctx); err != nil {
		return nil, skipf("the game server cannot boot: %v", err)
	}
	t.r.house = &house{game: game}
	return t.r.house, nil
}

// close ends what sessions are left.
func (h *house) close(ctx context.Context) {
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, id := range h.started {
		_ = h.game.End(ctx, id, wire.EndRequest{Note: "conformance run"}) // those that were kicked have ended
	}
}

// start starts the session of a launch URL.
func (t *trial) start(launchURL string) (rollcall.Session, error) {
	h, err := t.game()
	if err != nil {
		return rollcall.Session{}, err
	}
	u, err := url.Parse(launchURL)
	if err != nil {
		return rollcall.Session{}, err
	}
	s, err := h.game.Start(t.ctx, u.Query().Get("token"))
	switch {
	case err == nil:
		h.started = append(h.started, s.ID)
	case errors.Is(err, rollcall.ErrStaleBoot):
		err = skipf("somebody else has booted as the game server of this run")
	}
	return s, err
}

// play makes a member of the primary agent, if username is empty, and starts a session
// of it.
func (t *trial) play(username string, f func(*wire.OpenGameRequest)) (string, error) {
	if _, err := t.game(); err != nil {
		return "", err
	}
	var err error
	if username == "" {
		if username, err = t.newMember(RolePrimary); err != nil {
			return "", err
		}
	}
	launchURL, err := t.open(username, f)
	if err != nil {
		return "", err
	}
	_, err = t.start(launchURL)
	return username, err
}

func lifeTests() []test {
	return writing(
		steps("life/session", "a session that a game server has started is listed, as it was launched", "6.2", Must, lifeSession),
		steps("life/mobile-demo", "a demo on mobile: deviceType 2, launchType 1, an IPv6 address", "7.2", Must, lifeMobile),
		steps("life/oldest-first", "two sessions, the older one first", "6.2", Must, lifeOrder),
		steps("life/kick", "a kick has ended all sessions when it answers", "7.4", Should, lifeKick),
		steps("life/kick-voids-launch", "a kick voids a launch that was not used", "7.4", Must, lifeKickVoids),
		steps("life/kick-again", "a member that was kicked can play again at once", "7.4", Ours, lifeAgain),
		steps("life/kick-one", "a kick ends no other member's session", "7.4", Must, lifeKickOne),
		steps("life/kick-other-agent", "a kick ends no session of another agent's member of the same name", "6.3", Should, lifeKickOther),
		steps("life/launch-once", "a launch starts one session", "7.2", Ours, lifeOnce),
		steps("life/ended", "a session that has ended is not listed", "6.4", Ours, lifeEnded),
		steps("life/online", "a member that plays is online", "7.3", Must, lifeOnline),
	)
}

func lifeSession(t *trial) error {
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, one(username, t.r.o.Facts.Game, func(s wire.Session) bool {
		return s.Mode == rollcall.ModeReal && s.Info.DeviceType == 1 && s.Info.LaunchType == 2 && s.Info.IPAddress == "127.0.0.1" && s.Info.Lang == "en"
	}))
}

// one waits for one session that is right in itself, and as ok wants it.
func one(username, game string, ok func(wire.Session) bool) expect {
	return listed("one session, as it was launched", func(sessions []json.RawMessage) string {
		if len(sessions) != 1 {
			return fmt.Sprintf("%d sessions", len(sessions))
		}
		if why := sessionWrong(sessions[0], username); why != "" {
			return why
		}
		var s wire.Session
		if err := json.Unmarshal(sessions[0], &s); err != nil || s.GameCode != game || !ok(s) {
			return fmt.Sprintf("the session %s", sessions[0])
		}
		return ""
	})
}

func lifeMobile(t *trial) error {
	username, err := t.play("", func(o *wire.OpenGameRequest) {
		o.DeviceType, o.LaunchType, o.IPAddress, o.Lang = 1, int(rollcall.LaunchDemo), "2001:db8::1", "pt-BR"
	})
	if err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, one(username, t.r.o.Facts.Game, func(s wire.Session) bool {
		return s.Mode == rollcall.ModeDemo && s.Info.DeviceType == 2 && s.Info.LaunchType == 1 && s.Info.IPAddress == "2001:db8::1" && s.Info.Lang == "pt-BR"
	}))
}

func lifeOrder(t *trial) error {
	username, err := t.play("", func(o *wire.OpenGameRequest) { o.Lang = "first" })
	if err != nil {
		return err
	}
	if _, err := t.play(username, func(o *wire.OpenGameRequest) { o.Lang = "second" }); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, listed("the older session first", func(sessions []json.RawMessage) string {
		var langs []string
		for _, text := range sessions {
			var s wire.Session
			_ = json.Unmarshal(text, &s) // what cannot be read has no lang
			langs = append(langs, s.Info.Lang)
		}
		if !slices.Equal(langs, []string{"first", "second"}) {
			return fmt.Sprintf("%q", langs)
		}
		return ""
	}))
}

func lifeKick(t *trial) error {
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	if _, err := t.play(username, func(o *wire.OpenGameRequest) { o.DeviceType = 1 }); err != nil {
		return err
	}
	if err := t.kick(RolePrimary, username, withoutData); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, noSession)
}

func lifeKickVoids(t *trial) error {
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	launchURL, err := t.open(username, unchanged)
	if err != nil {
		return err
	}
	if err := t.kick(RolePrimary, username, withoutData); err != nil {
		return err
	}
	switch _, err := t.start(launchURL); {
	case err == nil:
		return errors.New("a game server could start the launch after the kick, want it void")
	case !errors.Is(err, rollcall.ErrLaunchVoided):
		return fmt.Errorf("start the launch after the kick: got %w, want launch_voided", err)
	}
	return t.checkOf(RolePrimary, username, noSession)
}

// hasOne waits for one session.
var hasOne = listed("one session", func(sessions []json.RawMessage) string {
	if len(sessions) != 1 {
		return fmt.Sprintf("%d sessions", len(sessions))
	}
	return ""
})

func lifeAgain(t *trial) error {
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	if err := t.kick(RolePrimary, username, withoutData); err != nil {
		return err
	}
	if _, err := t.play(username, unchanged); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, hasOne)
}

func lifeKickOne(t *trial) error {
	stays, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	goes, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	if err := t.kick(RolePrimary, goes, withoutData); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, stays, hasOne)
}

func lifeKickOther(t *trial) error {
	if _, err := t.agent(RoleOther); err != nil {
		return err
	}
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	create, err := t.request(RoleOther, wire.PathMembers)
	if err != nil {
		return err
	}
	create.plaintext = jsonOf(wire.MemberCreateRequest{Username: username})
	if err := t.want(create, withoutData); err != nil {
		return err
	}
	if err := t.kick(RoleOther, username, withoutData); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, hasOne)
}

func lifeOnce(t *trial) error {
	if _, err := t.game(); err != nil {
		return err
	}
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	launchURL, err := t.open(username, unchanged)
	if err != nil {
		return err
	}
	first, err := t.start(launchURL)
	if err != nil {
		return err
	}
	second, err := t.start(launchURL)
	if err != nil {
		return fmt.Errorf("start the launch again: %w", err)
	}
	if second.ID != first.ID {
		return fmt.Errorf("started twice, the launch gave the sessions %s and %s, want one", first.ID, second.ID)
	}
	return t.checkOf(RolePrimary, username, hasOne)
}

func lifeEnded(t *trial) error {
	h, err := t.game()
	if err != nil {
		return err
	}
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	if err := h.game.End(t.ctx, h.started[len(h.started)-1], wire.EndRequest{Note: "conformance run"}); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, noSession)
}

// onlineWithin is how old the list of those online may be (spec 7.3).
const onlineWithin = 30 * time.Second

func lifeOnline(t *trial) error {
	username, err := t.play("", unchanged)
	if err != nil {
		return err
	}
	until := t.r.o.Now().Add(onlineWithin)
	for {
		req, err := t.request(RolePrimary, wire.PathMembersOnline)
		if err != nil {
			return err
		}
		err = t.want(req, isOnline(username+" among them, within 30 s", func(v wire.OnlineResponse) string {
			if !slices.Contains(v.UserList, username) {
				return fmt.Sprintf("%d names without %s", len(v.UserList), username)
			}
			return ""
		}))
		if err == nil || t.r.o.Now().After(until) {
			return err
		}
		if err := sleep(t.ctx, time.Second); err != nil {
			return err
		}
	}
}
