package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// Sessions of each length are found at the last moment at which they were live,
// and not at the next.
func TestAroundFindsEachLength(t *testing.T) {
	s := open(t, enginetest.Postgres(t).Database(t), Options{})
	defer func() { must(t, s.Close()) }()
	at := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	lengths := []time.Duration{time.Microsecond, time.Second, roll.MaxLifetime - time.Microsecond, roll.MaxLifetime}
	for length := time.Minute; length < roll.MaxLifetime; length *= 2 {
		lengths = append(lengths, length-time.Microsecond, length, length+time.Microsecond)
	}
	var all []rollcall.EndedSession
	var want []string
	for _, length := range lengths {
		live := ended("live", at.Add(time.Microsecond-length), length)
		all = append(all, live, ended("over", at.Add(-length), length))
		want = append(want, live.ID)
	}
	must(t, s.history.AddEnded(t.Context(), all))
	slices.Sort(want)
	got, err := s.history.EndedAround(t.Context(), at, rollcall.SessionFilter{}, "", 1000)
	must(t, err)
	var ids []string
	for i := range got {
		ids = append(ids, got[i].ID)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("got %d sessions, want %d:\n%s\n%s", len(ids), len(want), strings.Join(ids, "\n"), strings.Join(want, "\n"))
	}
}

// A claim passes over what another has in hand, without waiting for it.
func TestClaimsPassEachOther(t *testing.T) {
	s := open(t, enginetest.Postgres(t).Database(t), Options{Timeout: time.Second})
	defer func() { must(t, s.Close()) }()
	now := time.Now().UTC().Truncate(time.Microsecond)
	var all []rollcall.WebhookDelivery
	for i := range 6 {
		at := now.Add(time.Duration(i-6) * time.Second)
		all = append(all, rollcall.WebhookDelivery{ID: newID(at), AgentID: "a1", Body: []byte(`{}`), CreatedAt: at, NextAt: at})
	}
	must(t, s.history.AddDeliveries(t.Context(), all))
	tx, err := s.db.pool.Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }() // Close waits for it
	_, err = tx.Exec(t.Context(), claimText, micros(now), 2, []string{}, 10, micros(now.Add(time.Hour)))
	must(t, err)
	got, err := s.history.ClaimDeliveries(t.Context(), roll.DeliveryClaim{Now: now, Until: now.Add(time.Minute), PerAgent: 2, Limit: 10})
	must(t, err)
	if len(got) != 2 || got[0].ID != all[2].ID || got[1].ID != all[3].ID {
		t.Errorf("got %+v, want the third and fourth", got)
	}
	must(t, tx.Rollback(t.Context()))
	got, err = s.history.ClaimDeliveries(t.Context(), roll.DeliveryClaim{Now: now, Until: now.Add(time.Minute), PerAgent: 9, Limit: 10})
	must(t, err)
	if len(got) != 4 || got[0].ID != all[0].ID {
		t.Errorf("got %+v, want the first two, which were given back, and the last two", got)
	}
}

// What PostgreSQL cannot hold is named by nothing, and keeps nothing else out.
func TestOddTexts(t *testing.T) {
	s := open(t, enginetest.Postgres(t).Database(t), Options{})
	defer func() { must(t, s.Close()) }()
	const odd = "a\x00b\xff"
	_, err := s.directory.members.Get(t.Context(), odd)
	wantNotFound(t, err)
	wantNotFound(t, s.directory.members.Delete(t.Context(), entry(), odd))
	_, err = s.history.Request(t.Context(), odd)
	wantNotFound(t, err)
	_, err = s.history.Delivery(t.Context(), odd)
	wantNotFound(t, err)
	r, e := record(time.Now()), ended(odd, time.Now(), time.Minute)
	r.LogUUID, e.Note = odd, odd
	must(t, s.history.AddRequests(t.Context(), []rollcall.RequestRecord{r, record(time.Now())}))
	must(t, s.history.AddEnded(t.Context(), []rollcall.EndedSession{e, ended("m", time.Now(), time.Minute)}))
	records, err := s.history.RequestsAfter(t.Context(), "", 10)
	must(t, err)
	sessions, err := s.history.EndedAfter(t.Context(), "", 10)
	must(t, err)
	if len(records) != 2 || len(sessions) != 2 {
		t.Errorf("got %d records, %d sessions; want 2 each", len(records), len(sessions))
	}
	for _, f := range []rollcall.SessionFilter{{AgentID: odd}, {SessionID: odd}} {
		if got, err := s.history.EndedAround(t.Context(), time.Now(), f, "", 10); err != nil || len(got) != 0 {
			t.Errorf("around, %+v: %v, %v", f, got, err)
		}
	}
}
