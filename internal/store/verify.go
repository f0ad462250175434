package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/redis"
)

// Verified says what Verify has looked at, and what was wrong.
type Verified struct {
	// Sessions are those of Redis; nil where they are embedded.
	Sessions *redis.Report `json:"sessions,omitempty"`
	// Agents and Members are how many the directory has.
	Agents  int `json:"agents"`
	Members int `json:"members"`
	// Faults are of the directory and the files; they are not mended.
	Faults []string `json:"faults"`
	// Mended are faults of the files that are.
	Mended []string `json:"mended"`
}

// Left returns how many faults there are that are not mended.
func (v *Verified) Left() int {
	left := len(v.Faults)
	if v.Sessions != nil {
		for _, n := range v.Sessions.Found {
			left += n
		}
		left -= v.Sessions.Mended
	}
	return left
}

// maxFaults bounds how many faults of the directory are looked for.
const maxFaults = 1000

// Verify looks whether what the stores hold fits together. Of sessions in Redis it
// mends what does not where repair is set; it may run beside servers there.
func (s *Stores) Verify(ctx context.Context, repair bool, progress func(Progress)) (Verified, error) {
	v := Verified{Faults: []string{}, Mended: []string{}}
	if s.embedded != nil {
		v.Mended = s.embedded.Salvaged()
		faults, err := s.embedded.Check(ctx)
		if v.Faults = append(v.Faults, faults...); err != nil {
			return v, err
		}
	}
	if err := s.verifyDirectory(ctx, &v, progress); err != nil {
		return v, err
	}
	if s.sessions == nil {
		return v, nil
	}
	report, err := s.sessions.Verify(ctx, repair, func(done, of int) {
		progress(Progress{Kind: "keys", Records: int64(done), Done: float64(done) / float64(max(1, of))})
	})
	v.Sessions = &report
	return v, err
}

// verifyDirectory looks for what names something that is not there. What is named
// is deleted only when nothing names it, so there is none, unless a database was
// put back from several backups.
func (s *Stores) verifyDirectory(ctx context.Context, v *Verified, progress func(Progress)) error {
	note := func(format string, args ...any) {
		if len(v.Faults) < maxFaults {
			v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
		}
	}
	err := eachOf(ctx, s.Directory.Agents(), agentKey, func(a *roll.Agent) error {
		v.Agents++
		if a.BranchID == "" {
			return nil
		}
		_, err := s.Directory.Branches().Get(ctx, a.BranchID)
		if errors.Is(err, rollcall.ErrNotFound) {
			note("agent %s: its branch %s is not there", a.ID, a.BranchID)
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return eachOf(ctx, s.Directory.Members(), memberKey, func(m *rollcall.Member) error {
		if v.Members++; v.Members%pageSize == 0 {
			progress(Progress{Kind: kindMember, Records: int64(v.Members), Done: -1})
		}
		_, err := s.Directory.Agents().Get(ctx, m.AgentID)
		if errors.Is(err, rollcall.ErrNotFound) {
			note("member %s: its agent %s is not there", m.Username, m.AgentID)
			err = nil
		}
		return err
	})
}

func eachOf[T any](ctx context.Context, table roll.Table[T], key func(*T) string, do func(*T) error) error {
	for after := ""; ; {
		list, err := table.List(ctx, "", after, pageSize)
		if err != nil {
			return err
		}
		for _, value := range list {
			if err := do(value); err != nil {
				return err
			}
			after = key(value)
		}
		if len(list) < pageSize {
			return nil
		}
	}
}
