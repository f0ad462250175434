package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// both runs a benchmark with a Store of either Sync, from 256 sides at once.
func both(b *testing.B, prepare func(b *testing.B, s *Store) func(i int) error) {
	b.Helper()
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			boot(b, s)
			do := prepare(b, s)
			var next atomic.Int64
			b.SetParallelism(128)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := do(int(next.Add(1) - 1)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// launches stores n launches of as many members and returns them and the sessions
// that they are to become.
func launches(b *testing.B, s *Store, n int) ([]string, []rollcall.Session) {
	b.Helper()
	keys, sessions := make([]string, n), make([]rollcall.Session, n)
	var all errgroup.Group
	all.SetLimit(256)
	for i := range n {
		all.Go(func() (err error) {
			sessions[i] = session(fmt.Sprintf("player%07d", i))
			sessions[i].ExpiresAt = sessions[i].EndsAt
			keys[i], err = launch(context.Background(), s, sessions[i])
			return err
		})
	}
	must(b, all.Wait())
	return keys, sessions
}

// started starts n sessions of as many members.
func started(b *testing.B, s *Store, n int) []rollcall.Session {
	b.Helper()
	keys, sessions := launches(b, s, n)
	var all errgroup.Group
	all.SetLimit(256)
	for i := range n {
		all.Go(func() error {
			_, err := startFrom(context.Background(), s, keys[i], sessions[i])
			return err
		})
	}
	must(b, all.Wait())
	return sessions
}

// BenchmarkStart is the cost of a durable Start from a launch.
func BenchmarkStart(b *testing.B) {
	both(b, func(b *testing.B, s *Store) func(int) error {
		keys, sessions := launches(b, s, b.N)
		return func(i int) error {
			_, err := startFrom(context.Background(), s, keys[i], sessions[i])
			return err
		}
	})
}

// BenchmarkEnd is the cost of a durable End.
func BenchmarkEnd(b *testing.B) {
	both(b, func(b *testing.B, s *Store) func(int) error {
		sessions := started(b, s, b.N)
		return func(i int) error {
			ended, err := s.sessions.End(context.Background(), []string{sessions[i].ID}, left())
			if err == nil && len(ended) != 1 {
				err = rollcall.ErrNotFound
			}
			return err
		}
	})
}

// BenchmarkEndMany is the cost of a session's end in steps of 1,000, by a kick.
func BenchmarkEndMany(b *testing.B) {
	const many = 1000
	both(b, func(b *testing.B, s *Store) func(int) error {
		sessions := started(b, s, b.N)
		return func(i int) error {
			if i%many != 0 {
				return nil
			}
			var ids []string
			for _, session := range sessions[i:min(i+many, len(sessions))] {
				ids = append(ids, session.ID)
			}
			e := roll.Ending{At: time.Now(), Reason: rollcall.EndKicked, By: "an operator", KickID: "k1"}
			_, err := s.sessions.End(context.Background(), ids, e)
			return err
		}
	})
}

// BenchmarkEndMember is the cost of a member's kick: one session, its event, and
// the record of the kick.
func BenchmarkEndMember(b *testing.B) {
	both(b, func(b *testing.B, s *Store) func(int) error {
		sessions := started(b, s, b.N)
		return func(i int) error {
			username := sessions[i].Username
			k := rollcall.Kick{
				ID: newID(), At: time.Now(), By: "an operator", Reason: rollcall.EndKicked, State: rollcall.KickDone,
				Filter: rollcall.SessionFilter{AgentID: "a1", Username: username},
			}
			e := roll.Ending{At: k.At, Reason: k.Reason, By: k.By, KickID: k.ID}
			ended, err := s.sessions.EndMember(context.Background(), "a1", username, e, &k)
			if err == nil && len(ended) != 1 {
				err = rollcall.ErrNotFound
			}
			return err
		}
	})
}

// BenchmarkMark is the cost of marking 100 events as delivered.
func BenchmarkMark(b *testing.B) {
	const batch = 100
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	for b.Loop() {
		b.StopTimer()
		var marks roll.Marks
		var all errgroup.Group
		for range batch {
			all.Go(func() error {
				return s.sessions.Tell(context.Background(), rollcall.Receipt{GameServer: "s1", Event: rollcall.Event{SessionID: newID()}})
			})
		}
		must(b, all.Wait())
		pending, err := s.sessions.Pending(context.Background(), "s1", 0, batch)
		must(b, err)
		for _, r := range pending {
			marks.Delivered = append(marks.Delivered, r.Seq)
		}
		b.StartTimer()
		_, err = s.sessions.Mark(context.Background(), "s1", marks)
		must(b, err)
	}
}

// BenchmarkHeartbeat is a beat of 10,000 sessions, of 100,000.
func BenchmarkHeartbeat(b *testing.B) {
	const beat = 10_000
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	var ids []string
	for i := range 10 * beat {
		session := session(fmt.Sprintf("player%06d", i))
		session.ExpiresAt = session.EndsAt
		s.sessions.book.Add(session)
		ids = append(ids, session.ID)
	}
	now, from := time.Now(), 0
	for b.Loop() {
		now, from = now.Add(time.Millisecond), (from+beat)%len(ids)
		if unknown, err := s.sessions.Heartbeat(context.Background(), "s1", ids[from:from+beat], now); err != nil || len(unknown) != 0 {
			b.Fatal(len(unknown), err)
		}
	}
	b.ReportMetric(float64(b.N)*beat/b.Elapsed().Seconds(), "sessions/s")
}

// BenchmarkStartAlone is the time of one Start and of one End when nothing else
// goes on.
func BenchmarkStartAlone(b *testing.B) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			boot(b, s)
			keys, sessions := launches(b, s, 1000)
			for i := 0; b.Loop(); i++ {
				if i >= len(keys) {
					b.StopTimer()
					keys, sessions = launches(b, s, 1000)
					i = 0
					b.StartTimer()
				}
				_, err := startFrom(context.Background(), s, keys[i], sessions[i])
				must(b, err)
				_, err = s.sessions.End(context.Background(), []string{sessions[i].ID}, left())
				must(b, err)
			}
		})
	}
}

// BenchmarkClaim is the cost of making a nonce durable.
func BenchmarkClaim(b *testing.B) {
	s := open(b, b.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew})
	defer func() { must(b, s.Close()) }()
	i := 0
	for b.Loop() {
		i++
		if fresh, err := s.nonces.Claim(context.Background(), "a1", fmt.Sprintf("%032d", i), time.Now()); err != nil || !fresh {
			b.Fatal(fresh, err)
		}
	}
}

// BenchmarkOfMember is the read of every check.
func BenchmarkOfMember(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	boot(b, s)
	_, err := start(context.Background(), s, session("player001"))
	must(b, err)
	now := time.Now()
	for b.Loop() {
		if list, err := s.sessions.OfMember(context.Background(), "a1", "player001", now); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}

// BenchmarkClaims is the same from many sides at once.
func BenchmarkClaims(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	var i atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			fresh, err := s.nonces.Claim(context.Background(), "a1", fmt.Sprintf("%032d", i.Add(1)), time.Now())
			if err != nil || !fresh {
				b.Error(fresh, err)
			}
		}
	})
}

// BenchmarkMember is the read of a member who has no session.
func BenchmarkMember(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	must(b, s.directory.Members().Create(b.Context(), rollcall.AuditEntry{}, "a1/m", rollcall.Member{AgentID: "a1", Username: "m"}))
	for b.Loop() {
		if _, err := s.directory.Members().Get(context.Background(), "a1/m"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is the time of a start with 50,000 live sessions.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, Options{})
	fill(b, s, 50_000)
	must(b, s.Close())
	for b.Loop() {
		must(b, open(b, dir, Options{}).Close())
	}
}
