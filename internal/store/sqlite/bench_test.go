package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// BenchmarkStart is the cost of a durable Start from many sides at once.
func BenchmarkStart(b *testing.B) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			b.SetParallelism(128)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := session("")
					id.Username = id.ID
					if _, err := s.sessions.Start(context.Background(), id); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkStartAlone is the time of one Start when nothing else goes on.
func BenchmarkStartAlone(b *testing.B) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			for b.Loop() {
				if _, err := s.sessions.Start(context.Background(), session("player001")); err != nil {
					b.Fatal(err)
				}
				if _, err := s.sessions.EndMember(context.Background(), "a1", "player001", time.Now()); err != nil {
					b.Fatal(err)
				}
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
	if _, err := s.sessions.Start(context.Background(), session("player001")); err != nil {
		b.Fatal(err)
	}
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
