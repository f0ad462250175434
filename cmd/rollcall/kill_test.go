package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

const (
	killStarts  = 10000
	killMembers = 200
)

// A server that dies in the midst of 10,000 concurrent Starts, every fourth of
// which is ended again, loses none that was answered and shows none whose end
// was answered. ROLLCALL_TEST_KILLS sets the number of rounds.
func TestKillLosesNothing(t *testing.T) {
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("ROLLCALL_TEST_KILLS")); err == nil {
		rounds = n
	}
	if testing.Short() {
		rounds = 1
	}
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	for i := range killMembers {
		status, err := c.admin(t.Context(), http.DefaultClient, http.MethodPost, "/admin/v1/agents/integratorNBTest04/members",
			map[string]string{"username": killMember(i)}, nil)
		if err != nil || status != http.StatusCreated {
			t.Fatal(status, err)
		}
	}
	life := &lives{started: make(map[string]bool), ended: make(map[string]bool)}
	for round := range rounds {
		dieAfter := int64(rand.IntN(killStarts*9/10) + killStarts/20)
		t.Logf("round %d: killed after %d of %d answers", round, dieAfter, killStarts)
		life.startMany(t, c, dieAfter, p.kill)
		before := time.Now()
		p, c = startSandbox(t, dir)
		t.Logf("round %d: %d sessions held, up again in %s", round, len(life.started)-len(life.ended), time.Since(before).Round(time.Millisecond))
		life.compare(t, c)
	}
	p.stop(t)
}

func killMember(i int) string { return fmt.Sprintf("kill%03d", i) }

// lives is what the server has answered.
type lives struct {
	mu      sync.Mutex
	started map[string]bool
	// ended are those whose end was answered; ending those whose end was asked
	// for and not answered: they may be there or not.
	ended  map[string]bool
	ending sync.Map
}

// startMany makes 10,000 Starts at once and calls kill when so many of them were
// answered.
func (l *lives) startMany(t *testing.T, c Credentials, dieAfter int64, kill func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 256, MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var answered atomic.Int64
	var once, begun sync.WaitGroup
	once.Add(1)
	for i := range killStarts {
		begun.Go(func() {
			l.startOne(t, client, c, i)
			if answered.Add(1) == dieAfter {
				once.Done()
			}
		})
	}
	once.Wait()
	kill()
	begun.Wait()
}

func (l *lives) startOne(t *testing.T, client *http.Client, c Credentials, i int) {
	params := roll.StartParams{
		AgentID: "integratorNBTest04", Username: killMember(i % killMembers), GameCode: "VP_230001_1", Mode: rollcall.ModeReal,
		GameServer: "killer", Device: rollcall.DevicePC, IP: netip.MustParseAddr("127.0.0.1"), Lang: "en", Launch: rollcall.LaunchReal,
	}
	var s rollcall.Session
	status, err := c.admin(context.Background(), client, http.MethodPost, "/admin/v1/sessions", params, &s)
	if err != nil {
		return // the server is dead; whether it started the session is open
	}
	if status != http.StatusCreated {
		t.Errorf("start: status %d", status)
		return
	}
	l.mu.Lock()
	l.started[s.ID] = true
	l.mu.Unlock()
	if i%4 == 0 {
		l.endOne(t, client, c, s.ID)
	}
}

func (l *lives) endOne(t *testing.T, client *http.Client, c Credentials, id string) {
	l.ending.Store(id, true)
	status, err := c.admin(context.Background(), client, http.MethodDelete, "/admin/v1/sessions/"+id, nil, nil)
	if err != nil {
		return
	}
	if status != http.StatusOK && status != http.StatusNoContent {
		t.Errorf("end: status %d", status)
		return
	}
	l.mu.Lock()
	l.ended[id] = true
	l.mu.Unlock()
}

// compare holds what the server shows, by its list and by each member, against
// what it has answered.
func (l *lives) compare(t *testing.T, c Credentials) {
	t.Helper()
	shown := make(map[string]bool)
	for after := ""; ; {
		var page struct {
			Items []rollcall.Session `json:"items"`
			Next  string             `json:"next"`
		}
		status, err := c.admin(t.Context(), http.DefaultClient, http.MethodGet, "/admin/v1/sessions?limit=1000&after="+after, nil, &page)
		if err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		for _, s := range page.Items {
			shown[s.ID] = true
		}
		if page.Next == "" {
			break
		}
		after = page.Next
	}
	lost, ghosts := 0, 0
	for id := range l.started {
		if _, mayBeGone := l.ending.Load(id); !shown[id] && !mayBeGone {
			lost++
		}
	}
	for id := range l.ended {
		if shown[id] {
			ghosts++
		}
	}
	if lost > 0 || ghosts > 0 {
		t.Fatalf("of %d answered starts %d are lost; of %d answered ends %d are shown", len(l.started), lost, len(l.ended), ghosts)
	}
	l.compareByMember(t, c, shown)
}

func (l *lives) compareByMember(t *testing.T, c Credentials, shown map[string]bool) {
	t.Helper()
	byMember := 0
	for i := range killMembers {
		sessions, err := checkSessions(t.Context(), c, c.role(t, rolePrimary), killMember(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		byMember += len(sessions)
	}
	if want := len(shown) - len(castSessions); byMember != want {
		t.Errorf("the checks show %d sessions, the list %d", byMember, want)
	}
}
