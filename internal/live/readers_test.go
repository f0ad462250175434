package live_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// Whoever reads while sessions come and go, in the places of others, sees each as
// it was added.
func TestReadersSeeWholeSessions(t *testing.T) {
	x := live.NewIndex()
	const n = 3000
	all := make([]rollcall.Session, n)
	for i := range all {
		all[i] = crowdSession(i, agents[i%len(agents)])
		all[i].Username = fmt.Sprint("m", i%200)
		all[i].LobbyURL = fmt.Sprint("https://lobby.example/", i) // its number is given again
	}
	byID := make(map[string]rollcall.Session, n)
	for _, s := range all {
		byID[s.ID] = s
	}
	whole := func(list ...rollcall.Session) {
		for _, s := range list {
			want := byID[s.ID]
			want.SeenAt, want.ExpiresAt = s.SeenAt, s.ExpiresAt
			if s != want {
				t.Errorf("got %+v, want %+v", s, want)
			}
		}
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 2 {
		writers.Go(func() {
			for round := range 4 {
				for i := w; i < n; i += 2 {
					x.Add(all[i])
					if i+round >= 100 {
						x.Remove(all[(i+n-100)%n].ID)
					}
				}
			}
		})
	}
	read := func(some func(i int)) {
		readers.Go(func() {
			for i := 0; !done.Load(); i++ {
				some(i * 7919 % n)
			}
		})
	}
	read(func(i int) { whole(x.OfMember(all[i].AgentID, all[i].Username, crowdStart)...) })
	read(func(i int) {
		if s, ok := x.Get(all[i].ID, crowdStart); ok {
			whole(s)
		}
		x.Renew(all[i].ID, all[i].GameServer, all[i].StartedAt)
	})
	read(func(i int) {
		whole(x.List(rollcall.SessionFilter{AgentID: all[i].AgentID}, "", 10, crowdStart)...)
		some, _ := x.Scan(rollcall.SessionFilter{GameServer: servers[1]}, "", crowdStart)
		whole(some...)
		x.Online(all[i].AgentID, crowdStart)
		x.Counts()
		whole(x.Expired(crowdStart, 5)...)
	})
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

// Pages of a list show each session that is there all the while, whatever comes
// and goes meanwhile; so does a Scan.
func TestListsMissNothing(t *testing.T) {
	x := live.NewIndex()
	const n = 2000
	all, staying := make([]rollcall.Session, n), 0
	for i := range all {
		all[i] = crowdSession(i, "a1")
		if i%4 == 0 {
			x.Add(all[i])
			staying++
		}
	}
	var done atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; !done.Load(); i++ {
			if s := all[i*7919%n]; i*7919%n%4 != 0 {
				if _, added := x.Add(s); !added {
					x.Remove(s.ID)
				}
			}
		}
	})
	stays := func(list []rollcall.Session) (found int) {
		for i := range list {
			if list[i].StartedAt.Sub(crowdStart)%(4*time.Microsecond) == 0 {
				found++
			}
		}
		return found
	}
	for range 20 {
		listed := 0
		for after := ""; ; {
			page := x.List(rollcall.SessionFilter{AgentID: "a1"}, after, 100, crowdStart)
			listed += stays(page)
			if len(page) < 100 {
				break
			}
			after = page[99].ID
		}
		scanned := 0
		for from := ""; ; {
			some, next := x.Scan(rollcall.SessionFilter{}, from, crowdStart)
			scanned += stays(some)
			if from = next; from == "" {
				break
			}
		}
		if listed != staying || scanned != staying {
			t.Fatalf("%d were listed and %d scanned of %d", listed, scanned, staying)
		}
	}
	done.Store(true)
	writer.Wait()
}
