package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	killStarts  = 10000
	killMembers = 1000 // no more launches of each than may be open
)

// A server that dies in the midst of 10,000 concurrent Starts, every fourth of
// which is ended again, loses none that was answered and shows none whose end
// was answered. The game server does not boot again: it goes on with the boot that
// it had. ROLLCALL_TEST_KILLS sets the number of rounds.
func TestKillLosesNothing(t *testing.T) {
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("ROLLCALL_TEST_KILLS")); err == nil {
		rounds = n
	}
	if testing.Short() {
		rounds = 1
	}
	dir := t.TempDir()
	p, c := startSandbox(t, dir)
	life := &lives{started: make(map[string]bool), ended: make(map[string]bool), token: prepareKiller(t, c)}
	for round := range rounds {
		before := time.Now()
		tokens := launchMany(t, c, life.open)
		dieAfter := int64(rand.IntN(killStarts*9/10) + killStarts/20)
		t.Logf("round %d: launched in %s; killed after %d of %d answers", round, time.Since(before).Round(time.Millisecond), dieAfter, killStarts)
		before = time.Now()
		life.startMany(t, c, tokens, dieAfter, p.kill)
		t.Logf("round %d: played for %s", round, time.Since(before).Round(time.Millisecond))
		before = time.Now()
		p, c = startSandbox(t, dir)
		t.Logf("round %d: %d sessions held, up again in %s", round, len(life.started)-len(life.ended), time.Since(before).Round(time.Millisecond))
		life.compare(t, c)
		t.Logf("round %d: compared in %s", round, time.Since(before).Round(time.Millisecond))
	}
	p.stop(t)
}

const (
	killGame = "KILL_1"
	killBoot = "the-only-boot"
)

// prepareKiller makes the members, a game whose leases last longer than the test,
// and a game server, and boots that. It returns its token.
func prepareKiller(t *testing.T, c Credentials) (token string) {
	t.Helper()
	var made admin.GameServerCreated
	makeOne := func(path string, in, out any) {
		t.Helper()
		if status, err := c.admin(t.Context(), http.DefaultClient, http.MethodPost, admin.Prefix+path, in, out); err != nil || status != http.StatusCreated {
			t.Fatal(path, status, err)
		}
	}
	for i := range killMembers {
		makeOne("/agents/integratorNBTest04/members", admin.MemberCreate{Username: killMember(i)}, nil)
	}
	makeOne("/games", admin.GameCreate{Code: killGame, Modes: []rollcall.Mode{rollcall.ModeReal}, LeaseSeconds: 3600}, nil)
	makeOne("/game-servers", admin.GameServerCreate{ID: "killer", Games: []string{killGame}}, &made)
	if status, err := c.game(http.DefaultClient, made.Token, wire.PathGameBoot, wire.BootRequest{BootID: killBoot}, nil); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	return made.Token
}

// launchMany launches games for all members in turn, until there are as many launch
// tokens as Starts, those of before included.
func launchMany(t *testing.T, c Credentials, before []string) []string {
	t.Helper()
	agent, err := newCaller(c, c.role(t, rolePrimary), nil)
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, killStarts)
	var group errgroup.Group
	group.SetLimit(64)
	for i := copy(tokens, before); i < killStarts; i++ {
		group.Go(func() error {
			opened, err := agent.OpenGame(t.Context(), wire.OpenGameRequest{Username: killMember(i % killMembers), GameCode: killGame, IPAddress: "127.0.0.1", Lang: "en"})
			if err != nil {
				return err
			}
			_, tokens[i], _ = strings.Cut(opened.GameLaunchURL, "?token=")
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func killMember(i int) string { return fmt.Sprintf("kill%03d", i) }

// lives is what the server has answered.
type lives struct {
	token string // the game server's

	mu      sync.Mutex
	open    []string // the launch tokens whose Start was not answered
	started map[string]bool
	// ended are those whose end was answered; ending those whose end was asked
	// for and not answered: they may be there or not.
	ended  map[string]bool
	ending sync.Map
}

// startMany makes all Starts at once and calls kill when so many of them were
// answered.
func (l *lives) startMany(t *testing.T, c Credentials, tokens []string, dieAfter int64, kill func()) {
	t.Helper()
	// Ends have connections of their own, or they would wait behind all Starts.
	starts, ends := killClient(), killClient()
	defer starts.CloseIdleConnections()
	defer ends.CloseIdleConnections()
	l.open = nil
	var answered atomic.Int64
	var once, begun sync.WaitGroup
	once.Add(1)
	for i, token := range tokens {
		begun.Go(func() {
			if id := l.startOne(t, starts, c, token); id != "" && i%4 == 0 {
				l.endOne(t, ends, c, id)
			}
			if answered.Add(1) == dieAfter {
				once.Done()
			}
		})
	}
	once.Wait()
	kill()
	begun.Wait()
}

func killClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 128, MaxIdleConnsPerHost: 128}}
}

// startOne returns the session's ID, or "" where there was no answer: the server
// is dead, and whether it has started the session is open. The same token once
// more gets that session, or begins one.
func (l *lives) startOne(t *testing.T, client *http.Client, c Credentials, token string) string {
	var a wire.StartResponse
	status, err := c.game(client, l.token, wire.PathGameSessions, wire.StartRequest{BootID: killBoot, LaunchToken: token}, &a)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.open = append(l.open, token)
	case status != http.StatusCreated || l.started[a.Session.ID]:
		t.Errorf("start: status %d, session %s, already another's: %v", status, a.Session.ID, l.started[a.Session.ID])
	default:
		l.started[a.Session.ID] = true
	}
	return a.Session.ID
}

func (l *lives) endOne(t *testing.T, client *http.Client, c Credentials, id string) {
	l.ending.Store(id, true)
	var a wire.EndResponse
	status, err := c.game(client, l.token, wire.PathGameEnd(id), wire.EndRequest{}, &a)
	if err != nil {
		return
	}
	if status != http.StatusOK || !a.WasActive {
		t.Errorf("end: status %d, %+v", status, a)
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
	agent, err := newCaller(c, c.role(t, rolePrimary), nil)
	if err != nil {
		t.Fatal(err)
	}
	byMember := 0
	for i := range killMembers {
		sessions, err := agent.CheckSessions(t.Context(), killMember(i))
		if err != nil {
			t.Fatal(err)
		}
		byMember += len(sessions.Active)
	}
	if want := len(shown) - len(castLaunches); byMember != want {
		t.Errorf("the checks show %d sessions, the list %d", byMember, want)
	}
}
