package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const game = "VP_230001_1"

// A person launches a game, plays, is kicked, and reads why.
func TestKickReachesThePlayer(t *testing.T) {
	t.Parallel()
	s, b := startSandbox(t), newBrowser(t)
	url := s.run(t, "launch", "player002", game, "--mobile", "--lobby-url", "https://lobby.example/")
	preview, err := http.Get(url)
	if err != nil || preview.StatusCode != http.StatusOK {
		t.Fatal(preview, err)
	}
	preview.Body.Close()
	if got := s.check(t); len(got) != 0 {
		t.Fatalf("a preview of the link has begun %v", got)
	}
	p := b.open(t, url)
	p.wants(t, "playing")
	for id, want := range map[string]string{"game": game, "member": "player002", "mode": "real · THB", "device": "mobile"} {
		if got := p.text(t, id); got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	if got := s.check(t); len(got) != 1 || got[0].SessionInfo.DeviceType != 2 || got[0].Mode != "real" || got[0].GameCode != game {
		t.Fatalf("check: got %+v, want one real session on mobile", got)
	}
	session := p.text(t, "session")
	p.do(t, chromedp.Reload())
	p.wants(t, "playing")
	if got := p.text(t, "session"); got != session || len(s.check(t)) != 1 {
		t.Fatalf("after a reload: session %s, before %s; check: %v", got, session, s.check(t))
	}
	p.shoot(t, "playing")

	const message = "Maintenance <b>at noon</b><script>document.title='owned'</script>: come back later"
	var made struct {
		Kick struct{ ID string }
	}
	s.admin(t, http.MethodPost, "/kicks", `{"filter":{"agentId":"integratorNBTest04","username":"player002"},"why":"test","message":"`+message+`"}`, &made)
	if got := s.check(t); len(got) != 0 {
		t.Errorf("check after the kick: got %v, want []", got)
	}
	p.wants(t, "over")
	if got := p.text(t, "message"); got != message {
		t.Errorf("the page says %q, want %q", got, message)
	}
	if lobby := ask(t, p, chromedp.AttributeValue("#lobby", "href", chromedp.NodeVisible)); lobby.Value != "https://lobby.example/" {
		t.Errorf("lobby: got %q", lobby.Value)
	}
	p.shoot(t, "kicked")
	s.wantReceipt(t, made.Kick.ID, session)

	p.do(t, chromedp.Reload())
	p.wants(t, "over")
	if got := p.text(t, "message"); got != message {
		t.Errorf("after a reload the page says %q", got)
	}
}

// wantReceipt waits until a kick's one receipt says that all has been done.
func (s *sandbox) wantReceipt(t *testing.T, kick, session string) {
	t.Helper()
	eventually(t, "delivered, acknowledged and ended", func() bool {
		var shown struct {
			Receipts []struct {
				SessionID, Note                      string
				DeliveredAt, AcknowledgedAt, EndedAt time.Time
			}
		}
		s.admin(t, http.MethodGet, "/kicks/"+kick, "", &shown)
		if len(shown.Receipts) != 1 || shown.Receipts[0].SessionID != session {
			t.Fatalf("receipts: got %+v, want one of %s", shown.Receipts, session)
		}
		r := shown.Receipts[0]
		return !r.DeliveredAt.IsZero() && !r.AcknowledgedAt.IsZero() && !r.EndedAt.IsZero() && r.Note != ""
	})
}

// Who closes the page has left; the link is used up.
func TestLeavingEnds(t *testing.T) {
	t.Parallel()
	s, b := startSandbox(t), newBrowser(t)
	url := s.run(t, "launch", "player002", game, "--launch-type", "demo")
	p := b.open(t, url)
	p.wants(t, "playing")
	if got := s.check(t); len(got) != 1 || got[0].Mode != "demo" {
		t.Fatalf("check: got %+v, want a demo", got)
	}
	p.do(t, chromedp.Navigate("about:blank"))
	eventually(t, "player002 has no session", func() bool { return len(s.check(t)) == 0 })
	var history struct {
		Items []struct{ Reason, By, Note string }
	}
	eventually(t, "the session is in the history", func() bool {
		s.admin(t, http.MethodGet, "/agents/integratorNBTest04/members/player002/history", "", &history)
		return len(history.Items) == 1 && history.Items[0].Reason != ""
	})
	if got := history.Items[0]; got.Reason != "left" || got.By != "game server sandbox" || !strings.HasPrefix(got.Note, "the page was closed, after ") {
		t.Errorf("history: got %+v", got)
	}
	p.do(t, chromedp.Navigate(url))
	p.wants(t, "problem")
	if got := p.text(t, "title"); got != "This link was used already" {
		t.Errorf("got %q", got)
	}
	p.shoot(t, "used")
}

// Other ends and other refusals have words of their own.
func TestWords(t *testing.T) {
	t.Parallel()
	s, b := startSandbox(t), newBrowser(t)
	p := b.open(t, s.run(t, "launch", "player002", game))
	p.wants(t, "playing")
	s.admin(t, http.MethodPatch, "/agents/integratorNBTest04", `{"limits":{"perMember":1,"policy":"displace-oldest"}}`, nil)
	newer := b.open(t, s.run(t, "launch", "player002", "VP_230003_1"))
	newer.wants(t, "playing")
	p.wants(t, "over")
	if got := p.text(t, "title"); got != "You are playing elsewhere" {
		t.Errorf("displaced: got %q", got)
	}
	unused := s.run(t, "launch", "player002", game)
	s.run(t, "logout", "player002")
	newer.wants(t, "over")
	if got := newer.text(t, "title"); got != "You were signed out" {
		t.Errorf("logged out: got %q", got)
	}
	origin, _, _ := strings.Cut(unused, "?")
	for url, want := range map[string]string{unused: "This link was withdrawn", origin + "?token=nonsense": "This link is not valid", origin: "This link is not valid"} {
		p := b.open(t, url)
		p.wants(t, "problem")
		if got := p.text(t, "title"); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	s.admin(t, http.MethodPost, "/game-servers/sandbox/drain", "", nil)
	drained := b.open(t, s.run(t, "launch", "player002", game))
	drained.wants(t, "problem")
	if got := drained.text(t, "title"); got != "No new games here" {
		t.Errorf("draining: got %q", got)
	}
}

// A page that is open keeps its session beyond the 15 s that it may be silent,
// and says so when the game server is gone.
func TestOpenPageStays(t *testing.T) {
	t.Parallel()
	s, b := startSandbox(t), newBrowser(t)
	p := b.open(t, s.run(t, "launch", "player002", game))
	p.wants(t, "playing")
	session := p.text(t, "session")
	if last := ask(t, p, chromedp.Poll[bool](`document.getElementById("time").textContent >= "0:17"`)); !last {
		t.Error("the time played does not go on")
	}
	if got := s.check(t); len(got) != 1 || p.text(t, "session") != session {
		t.Errorf("check: got %v, want the session still", got)
	}
	s.stop()
	p.wants(t, "shaky")
	if got := p.text(t, "status"); got != "reconnecting…" {
		t.Errorf("got %q", got)
	}
}
