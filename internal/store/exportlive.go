package store

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// live writes what the Sessions hold. A session whose lease has run out while
// nothing served is among them: that its game server was not heard is no fault of
// its own.
func (e *exporter) live() error {
	if err := e.put(kindLive, moment{e.now().UTC()}); err != nil {
		return err
	}
	servers, err := e.gameServers()
	if err != nil {
		return err
	}
	for _, id := range servers {
		if err := e.boot(id); err != nil {
			return err
		}
	}
	if err := e.eachSession(func(s *rollcall.Session) error { return e.put(kindSession, s) }); err != nil {
		return err
	}
	if err := e.kicks(); err != nil {
		return err
	}
	for _, id := range servers {
		if err := e.events(id); err != nil {
			return err
		}
	}
	return nil
}

// gameServers are those of the directory, and of sessions that outlive theirs.
func (e *exporter) gameServers() ([]string, error) {
	known := make(map[string]bool)
	for after := ""; ; {
		list, err := e.from.Directory.GameServers().List(e.ctx, "", after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			known[g.ID], after = true, g.ID
		}
		if len(list) < pageSize {
			break
		}
	}
	counts, err := e.from.Sessions.Counts(e.ctx)
	for _, c := range counts {
		known[c.GameServer] = true
	}
	return slices.Sorted(maps.Keys(known)), err
}

func (e *exporter) boot(gameServer string) error {
	boot, err := e.from.Sessions.CurrentBoot(e.ctx, gameServer)
	if err != nil || boot == "" {
		return err
	}
	return e.put(kindBoot, currentBoot{gameServer, boot})
}

// ever is before the end of every lease: at it, whatever is held is active.
var ever = time.UnixMicro(0)

func (e *exporter) eachSession(do func(*rollcall.Session) error) error {
	for from := ""; ; {
		some, next, err := e.from.Sessions.Scan(e.ctx, rollcall.SessionFilter{}, from, ever)
		if err != nil {
			return err
		}
		for i := range some {
			if err := do(&some[i]); err != nil {
				return err
			}
		}
		e.tell(kindSession, -1)
		if from = next; from == "" {
			return nil
		}
	}
}

func (e *exporter) kicks() error {
	for before := ""; ; {
		list, err := e.from.Sessions.Kicks(e.ctx, before, false, pageSize)
		if err != nil {
			return err
		}
		for i := range list {
			before = list[i].ID
			if err := e.kick(&list[i]); err != nil {
				return err
			}
		}
		e.tell(kindKick, -1)
		if len(list) < pageSize {
			return nil
		}
	}
}

// kick writes a kick, without what is counted anew, and then its receipts.
func (e *exporter) kick(k *rollcall.Kick) error {
	k.Progress = rollcall.KickProgress{}
	if err := e.put(kindKick, k); err != nil {
		return err
	}
	for after := int64(0); ; {
		list, err := e.from.Sessions.Receipts(e.ctx, k.ID, after, pageSize)
		if err != nil {
			return err
		}
		for i := range list {
			after = list[i].Seq
			if err := e.put(kindReceipt, list[i]); err != nil {
				return err
			}
		}
		e.tell(kindReceipt, -1)
		if len(list) < pageSize {
			return nil
		}
	}
}

// events writes the events that a game server has not acknowledged and that are
// of no kick that is written.
func (e *exporter) events(gameServer string) error {
	for after := int64(0); ; {
		list, err := e.from.Sessions.Pending(e.ctx, gameServer, after, pageSize)
		if err != nil {
			return err
		}
		for i := range list {
			after = list[i].Seq
			written, err := e.written(list[i].KickID)
			if err != nil {
				return err
			}
			if written {
				continue
			}
			if err := e.put(kindReceipt, list[i]); err != nil {
				return err
			}
		}
		if len(list) < pageSize {
			return nil
		}
	}
}

// written reports whether the receipts of a kick are in the dump.
func (e *exporter) written(kickID string) (bool, error) {
	if kickID == "" {
		return false, nil
	}
	_, err := e.from.Sessions.KickState(e.ctx, kickID)
	if errors.Is(err, rollcall.ErrNotFound) {
		return false, nil
	}
	return true, err
}
