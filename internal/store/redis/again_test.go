package redis

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// A kick that an engine has lost, as a replica has that takes over and lacks the
// last moments, is done again: the session is not there, its game server is told,
// the history gets it, and it cannot be announced.
func TestWhatWasEndedIsEndedAgain(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	held := n.start("player1")
	home := roll.HomeOf("a1", "player1")
	p, server := n.keys().of(home), n.keys().server("s1")
	run := func(commands ...command) {
		t.Helper()
		_, err := n.engine.do(t.Context(), "undo", commands...)
		must(t, err)
	}
	before, saved := n.epoch(), p.tag+"saved"
	run(write("COPY", p.sessions(home), saved))
	k, ended := n.kick("player1")
	if len(ended) != 1 || n.of("player1") != "" {
		t.Fatalf("ended %v, want the session", ended)
	}
	run(write("COPY", saved, p.sessions(home), "REPLACE"), write("DEL", p.outbox()), write("DEL", p.journal()), write("DEL", p.epoch()),
		write("DEL", server.receipts()), write("DEL", server.pending()), write("DEL", server.ofSession()),
		write("HDEL", n.keys().kick(kickDocs), k.ID))
	n.waitEpoch(before)
	eventually(t, func() error {
		if ids := n.of("player1"); ids != "" {
			return fmt.Errorf("session %s is there again", ids)
		}
		if told := n.pending(); !slices.Equal(told, []string{held.ID}) {
			return fmt.Errorf("s1 is told of %v, want %s", told, held.ID)
		}
		_, err := n.sessions.Kick(t.Context(), k.ID)
		return err
	})
	changes, err := n.sessions.Changes(t.Context(), nil, 100)
	must(t, err)
	if !slices.ContainsFunc(changes, func(c roll.Change) bool { return c.ID == held.ID && c.Reason == rollcall.EndKicked && c.KickID == k.ID }) {
		t.Errorf("the outbox has %v, want the end", changes)
	}
	if why := n.announce(held)[held.ID]; why == "" {
		t.Error("the session was announced")
	}
}
