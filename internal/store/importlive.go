package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall"
)

func (i *importer) flushLive(values [][]byte) error {
	switch i.kind {
	case kindLive:
		return nil // the moment is for readers of the file
	case kindBoot:
		return batch(i, values, i.setBoots)
	case kindSession:
		return batch(i, values, i.sessions)
	case kindKick:
		return batch(i, values, i.addKicks)
	case kindReceipt:
		return batch(i, values, i.receipts)
	}
	return fmt.Errorf("a record of kind %q that this program does not know", i.kind)
}

func (i *importer) setBoots(ctx context.Context, boots []currentBoot) error {
	for _, b := range boots {
		i.boots[b.GameServer] = b.BootID
		if err := i.boot(ctx, b.GameServer, b.BootID); err != nil {
			return err
		}
	}
	return nil
}

// boot makes a boot the current one, if it is not.
func (i *importer) boot(ctx context.Context, gameServer, bootID string) error {
	have, err := i.to.Sessions.CurrentBoot(ctx, gameServer)
	if err != nil || have == bootID {
		return err
	}
	return i.to.Sessions.Boot(ctx, gameServer, bootID, i.now())
}

// ran is one run of a game server.
type ran struct{ gameServer, bootID string }

// sessions has them held again, as game servers announce what a store has lost:
// it has begun only now, and they before. Each has a whole lease from now on, as
// when a server begins anew.
func (i *importer) sessions(ctx context.Context, list []rollcall.Session) error {
	of := make(map[ran][]rollcall.Session)
	var expired []rollcall.EndedSession
	now := i.now().UTC().Truncate(time.Microsecond)
	for n := range list {
		s := &list[n]
		if !now.Before(s.EndsAt) {
			expired = append(expired, rollcall.EndedSession{Session: *s, EndedAt: s.EndsAt, Reason: rollcall.EndExpired, By: "rollcall"})
			continue
		}
		if lease := now.Add(s.Lease()); lease.After(s.ExpiresAt) {
			s.ExpiresAt = lease
		}
		if s.EndsAt.Before(s.ExpiresAt) {
			s.ExpiresAt = s.EndsAt
		}
		key := ran{s.GameServer, s.BootID}
		of[key] = append(of[key], *s)
	}
	i.done.Expired += int64(len(expired))
	if len(expired) > 0 {
		if err := i.to.History.AddEnded(ctx, expired); err != nil {
			return err
		}
	}
	for key, some := range of {
		if err := i.announce(ctx, key, some, now); err != nil {
			return err
		}
	}
	return nil
}

// announce is for sessions of one boot. One that is current no more is so for a
// moment again; what is held already needs that not.
func (i *importer) announce(ctx context.Context, of ran, list []rollcall.Session, now time.Time) error {
	current := i.boots[of.gameServer]
	if of.bootID != current {
		var err error
		if list, err = i.missing(ctx, list, now); err != nil || len(list) == 0 {
			return err
		}
	}
	if err := i.boot(ctx, of.gameServer, of.bootID); err != nil {
		return err
	}
	refused, err := i.to.Sessions.Announce(ctx, of.gameServer, of.bootID, list, now)
	if err != nil {
		return err
	}
	maps.Copy(i.done.Refused, refused)
	if current == "" {
		return nil
	}
	return i.boot(ctx, of.gameServer, current)
}

// missing returns those of sessions that are not held.
func (i *importer) missing(ctx context.Context, list []rollcall.Session, now time.Time) (rest []rollcall.Session, err error) {
	for n := range list {
		_, err := i.to.Sessions.Get(ctx, list[n].ID, now)
		switch {
		case errors.Is(err, rollcall.ErrNotFound):
			rest = append(rest, list[n])
		case err != nil:
			return nil, err
		}
	}
	return rest, nil
}

// together is how many kicks are stored at a time: each waits for the disk.
const together = 32

func (i *importer) addKicks(ctx context.Context, kicks []rollcall.Kick) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(together)
	for _, k := range kicks {
		all.Go(func() error { return i.to.Sessions.AddKick(ctx, k) })
	}
	return all.Wait()
}

// receipts stores those that are not there. Those of a kick come one after the
// other.
func (i *importer) receipts(ctx context.Context, list []rollcall.Receipt) error {
	fresh := make([]rollcall.Receipt, 0, len(list))
	for n := range list {
		r := &list[n]
		there, err := i.receiptIsThere(ctx, r)
		if err != nil {
			return err
		}
		if there {
			i.done.There++
		} else {
			fresh = append(fresh, *r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return i.to.Sessions.Tell(ctx, fresh...)
}

// receiptIsThere asks only where an earlier run can have stored it.
func (i *importer) receiptIsThere(ctx context.Context, r *rollcall.Receipt) (bool, error) {
	switch {
	case !i.done.Resumed:
		return false, nil
	case r.KickID != "" && !i.to.Remote:
		return i.skipped(ctx, r.KickID)
	case r.SessionID != "":
		of, err := i.to.Sessions.PendingOf(ctx, r.GameServer, []string{r.SessionID})
		return len(of) > 0, err
	}
	return i.toldOf(ctx, r)
}

// skipped is for the embedded backend: it stores batches whole and in their
// order, so that the first ones of a kick are there.
func (i *importer) skipped(ctx context.Context, kickID string) (bool, error) {
	if kickID != i.kick {
		k, err := i.to.Sessions.Kick(ctx, kickID)
		if err != nil && !errors.Is(err, rollcall.ErrNotFound) {
			return false, err
		}
		i.kick, i.skip = kickID, k.Progress.Ended
	}
	if i.skip == 0 {
		return false, nil
	}
	i.skip--
	return true, nil
}

// toldOf reports whether an event of no session is pending already.
func (i *importer) toldOf(ctx context.Context, r *rollcall.Receipt) (bool, error) {
	for after := int64(0); ; {
		list, err := i.to.Sessions.Pending(ctx, r.GameServer, after, pageSize)
		if err != nil {
			return false, err
		}
		for n := range list {
			after = list[n].Seq
			if list[n].SessionID == "" && list[n].Type == r.Type && list[n].QueuedAt.Equal(r.QueuedAt) {
				return true, nil
			}
		}
		if len(list) < pageSize {
			return false, nil
		}
	}
}
