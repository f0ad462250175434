package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofDeliveries = map[string]func(*testing.T, *fixture){
	"Deliveries":      testDeliveries,
	"DeliveryClaim":   testClaim,
	"DeliveryFair":    testClaimFair,
	"DeliveryOnce":    testClaimOnce,
	"DeliveriesOf":    testDeliveriesOf,
	"DeliveriesPrune": testDeliveriesPrune,
}

// delivery makes one of an agent that is due in so long.
func (f *fixture) delivery(agent string, in time.Duration) rollcall.WebhookDelivery {
	return rollcall.WebhookDelivery{
		ID: newID() + "-ended", AgentID: agent, Type: rollcall.WebhookEnded, SessionID: "session",
		Body: json.RawMessage(`{"type":"session.ended"}`), CreatedAt: f.now, NextAt: f.now.Add(in),
	}
}

func (f *fixture) deliver(t *testing.T, list ...rollcall.WebhookDelivery) {
	t.Helper()
	must(t, f.History.AddDeliveries(t.Context(), list))
}

func deliveryIDs(list []rollcall.WebhookDelivery) []string {
	texts := []string{}
	for i := range list {
		texts = append(texts, list[i].ID)
	}
	return texts
}

func testDeliveries(t *testing.T, f *fixture) {
	ctx := t.Context()
	_, err := f.History.Delivery(ctx, "none")
	wantErr(t, err, rollcall.ErrNotFound)
	d := f.delivery("a1", 123*time.Microsecond)
	f.deliver(t, d, f.delivery("a1", 0))
	f.deliver(t)
	again := d
	again.Attempts = 7
	f.deliver(t, again) // is there already
	is := func(want rollcall.WebhookDelivery) {
		t.Helper()
		got, err := f.History.Delivery(ctx, d.ID)
		must(t, err)
		wantSame(t, "delivery", got, want)
	}
	is(d)
	d.Attempts, d.LastError, d.NextAt, d.DeadAt = 3, "refused", time.Time{}, f.now.Add(5*time.Microsecond)
	must(t, f.History.PutDelivery(ctx, d))
	is(d)
	must(t, f.History.DropDelivery(ctx, d.ID))
	must(t, f.History.DropDelivery(ctx, d.ID))
	must(t, f.History.PutDelivery(ctx, d)) // it is no more, and does not come back
	_, err = f.History.Delivery(ctx, d.ID)
	wantErr(t, err, rollcall.ErrNotFound)
}

func (f *fixture) claims(t *testing.T, c roll.DeliveryClaim, want ...rollcall.WebhookDelivery) {
	t.Helper()
	c.Now = f.now
	if c.Until.IsZero() {
		c.Until = f.now.Add(time.Minute)
	}
	got, err := f.History.ClaimDeliveries(t.Context(), c)
	must(t, err)
	for i := range want {
		want[i].NextAt = c.Until
	}
	wantSame(t, "claimed", got, append([]rollcall.WebhookDelivery{}, want...))
}

func testClaim(t *testing.T, f *fixture) {
	few := roll.DeliveryClaim{PerAgent: 10, Limit: 10}
	f.claims(t, few)
	now, soon, earlier, dead := f.delivery("a1", 0), f.delivery("a1", time.Microsecond), f.delivery("a1", -time.Second), f.delivery("a1", -time.Hour)
	dead.DeadAt = f.now
	f.deliver(t, now, soon, earlier, dead)
	f.claims(t, roll.DeliveryClaim{PerAgent: 10})
	f.claims(t, roll.DeliveryClaim{Limit: 10})
	f.claims(t, few, earlier, now) // the longest due first
	f.claims(t, few)
	f.set(f.now.Add(time.Second))
	f.claims(t, few, soon)
	f.set(f.now.Add(time.Minute))
	f.claims(t, roll.DeliveryClaim{PerAgent: 2, Limit: 10}, now, earlier) // who claimed them has not come back
	f.claims(t, few, soon)
	if f.Reopen != nil {
		f.reopen(t)
		f.claims(t, few)
	}
}

// An agent whose receiver hangs takes no other's place.
func testClaimFair(t *testing.T, f *fixture) {
	var of [3][]rollcall.WebhookDelivery
	for i := range 12 {
		d := f.delivery(fmt.Sprint("a", i%3), time.Duration(i-100)*time.Second)
		if i%3 == 0 {
			d.NextAt = d.NextAt.Add(-time.Hour)
		}
		of[i%3] = append(of[i%3], d)
		f.deliver(t, d)
	}
	f.claims(t, roll.DeliveryClaim{PerAgent: 1, Limit: 10}, of[0][0], of[1][0], of[2][0])
	f.claims(t, roll.DeliveryClaim{PerAgent: 2, Limit: 3}, of[0][1], of[0][2], of[1][1])
	f.claims(t, roll.DeliveryClaim{PerAgent: 10, Limit: 10, Except: []string{"a1", "a3"}}, of[0][3], of[2][1], of[2][2], of[2][3])
	f.claims(t, roll.DeliveryClaim{PerAgent: 10, Limit: 10, Except: []string{"a0", "a1", "a2"}})
	f.claims(t, roll.DeliveryClaim{PerAgent: 10, Limit: 10}, of[1][2], of[1][3])
}

// Of simultaneous claims one gets each delivery.
func testClaimOnce(t *testing.T, f *fixture) {
	for i := range 40 {
		f.deliver(t, f.delivery(fmt.Sprint("a", i%4), -time.Second))
	}
	var mu sync.Mutex
	times := make(map[string]int)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			got, err := f.History.ClaimDeliveries(context.Background(), roll.DeliveryClaim{Now: f.now, Until: f.now.Add(time.Microsecond), PerAgent: 2, Limit: 6})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range got {
				times[d.ID]++
			}
		})
	}
	all.Wait()
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
	if len(times) != 40 {
		t.Errorf("%d of 40 were claimed", len(times))
	}
}

func testDeliveriesOf(t *testing.T, f *fixture) {
	var all []rollcall.WebhookDelivery
	for i := range 8 {
		d := f.delivery(fmt.Sprint("a", i%2), 0)
		if i >= 4 {
			d.DeadAt = f.now
		}
		f.deliver(t, d)
		all = append(all, d)
	}
	of := func(agent string, dead bool, after string, limit int, want ...rollcall.WebhookDelivery) {
		t.Helper()
		got, err := f.History.DeliveriesOf(t.Context(), agent, dead, after, limit)
		must(t, err)
		wantSame(t, agent, deliveryIDs(got), deliveryIDs(want))
	}
	of("", false, "", 10, all[:4]...)
	of("", true, "", 10, all[4:]...)
	of("a1", true, "", 10, all[5], all[7])
	of("a1", true, all[5].ID, 10, all[7])
	of("a0", false, "", 1, all[0])
	of("", true, all[4].ID, 2, all[5:7]...)
	of("a3", true, "", 10)
}

func testDeliveriesPrune(t *testing.T, f *fixture) {
	var kept []string
	for i := range 6 {
		d := f.delivery("a1", 0)
		if d.CreatedAt = f.now.Add(time.Duration(i-4) * time.Second); i != 1 {
			d.DeadAt = f.now
		}
		if f.deliver(t, d); i == 1 || i >= 4 {
			kept = append(kept, d.ID)
		}
	}
	for _, want := range []int{2, 1, 0} {
		n, err := f.History.PruneDeliveries(t.Context(), f.now, 2)
		must(t, err)
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	var left []string
	for _, dead := range []bool{false, true} {
		list, err := f.History.DeliveriesOf(t.Context(), "", dead, "", 10)
		must(t, err)
		left = append(left, deliveryIDs(list)...)
	}
	slices.Sort(left)
	wantSame(t, "left", left, kept)
}
