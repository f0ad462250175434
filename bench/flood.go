package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"time"
)

// A flood sends requests at a rate whether they are answered or not, each on a
// connection that has nothing under way. The time of each counts from when it was
// due, so a server that stands still is not spared what comes meanwhile.
type flood struct {
	*clients

	requests [][]byte
	inTime   time.Duration
	even     bool        // one comes after the other at the same distance; else at random
	sent     []floodSent // not yet given up, oldest first

	offered, refused, late int
	times                  []time.Duration // of those that were answered in time
	took                   time.Duration
}

type floodSent struct {
	place, seq int
	end        time.Time
}

func newFlood(address string, conns int, requests [][]byte, inTime time.Duration) (*flood, error) {
	c, err := newClients(address, conns)
	if err != nil {
		return nil, err
	}
	f := &flood{clients: c, requests: requests, inTime: inTime}
	c.answered = f.judge
	c.lost = func(one *client) error {
		if one.busy {
			f.late++
		}
		return nil
	}
	return f, nil
}

// run sends rate requests in a second for some time, and waits for the last.
func (f *flood) run(ctx context.Context, rate float64, d time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := f.ready(ctx); err != nil {
		return err
	}
	start := time.Now()
	next := start
	for now := start; ; now = time.Now() {
		for !next.After(now) && next.Sub(start) < d {
			if err := f.offer(next); err != nil {
				return err
			}
			next = f.after(next, start, rate)
		}
		if err := errors.Join(f.wait(0), f.giveUp(time.Now()), ctx.Err()); err != nil {
			return err
		}
		if next.Sub(start) >= d && len(f.sent) == 0 {
			f.took = d
			return nil
		}
	}
}

// after returns when the request behind one is due.
func (f *flood) after(last, start time.Time, rate float64) time.Time {
	if f.even {
		return start.Add(time.Duration(float64(f.offered) / rate * float64(time.Second)))
	}
	return last.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second))) //nolint:gosec // no secret
}

// offer sends what is due at a time, late or not.
func (f *flood) offer(due time.Time) error {
	f.offered++
	if len(f.idle) == 0 || f.offered > len(f.requests) {
		f.late++ // all clients wait for answers
		return nil
	}
	at := rand.IntN(len(f.idle)) //nolint:gosec // no secret
	place, err := f.send(at, f.requests[f.offered-1], f.offered-1, due)
	if one := &f.all[place]; one.busy {
		f.sent = append(f.sent, floodSent{place, one.seq, due.Add(f.inTime)})
	}
	return err
}

func (f *flood) judge(one *client) error {
	took := time.Since(one.begun)
	switch {
	case !succeeded(one.got):
		f.refused++
	case took > f.inTime:
		f.late++
	default:
		f.times = append(f.times, took)
	}
	return nil
}

// giveUp hangs up on what was not answered in time.
func (f *flood) giveUp(now time.Time) error {
	for len(f.sent) > 0 {
		first := f.sent[0]
		one := &f.all[first.place]
		open := one.busy && one.seq == first.seq
		if open && now.Before(first.end) {
			return nil
		}
		f.sent = f.sent[1:]
		if open {
			if err := f.lose(first.place); err != nil {
				return err
			}
		}
	}
	return nil
}
