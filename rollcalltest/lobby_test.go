package rollcalltest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/rollcalltest"
)

// A Lobby is the code under test of the package's comment and of docs/sdk.md.
type Lobby struct{ rollcall *client.Client }

func NewLobby(c *client.Client) *Lobby { return &Lobby{c} }

// SendHome ends all that a member plays; nil also for one that nobody knows.
func (l *Lobby) SendHome(ctx context.Context, username string) error {
	if err := l.rollcall.KickMember(ctx, username); !errors.Is(err, rollcall.ErrMemberNotFound) {
		return err
	}
	return nil
}

func TestLobby(t *testing.T) {
	s := rollcalltest.New(t)
	s.Seat("player001", "VP_230001_1") // plays from now on
	lobby := NewLobby(s.Client())      // the code under test, on a client.Client
	if err := lobby.SendHome(t.Context(), "player001"); err != nil {
		t.Fatal(err)
	}
	sessions, err := s.Client().CheckSessions(t.Context(), "player001")
	if err != nil || len(sessions.Active) != 0 {
		t.Errorf("got %+v, %v; want no session", sessions, err)
	}
}

func TestLobbyOfStranger(t *testing.T) {
	if err := NewLobby(rollcalltest.New(t).Client()).SendHome(t.Context(), "nobody"); err != nil {
		t.Error(err)
	}
}
