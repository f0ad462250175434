package roll

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

const (
	// onlineShare is how long a list of those who are online serves again, in
	// multiples of the time that it took to make: so all calls of an agent
	// together keep at most a fiftieth of a processor busy with it, and the list
	// of a small agent is always fresh.
	onlineShare = 50
	// onlineAge is how old the list may be at the most (spec 7.3: 30 s), less what
	// it may take to make one.
	onlineAge = 25 * time.Second
)

// An onlineList remembers who of one agent is online.
type onlineList struct {
	mu    sync.Mutex // held while a list is made, so that one is at a time
	names []string
	until time.Time
}

// MembersOnline returns the usernames of the calling agent's members with an
// active session, sorted, as they were at most 30 s ago (spec 7.3). The list is
// shared: it must not be changed. ErrBranchNotConfigured.
func (s *Service) MembersOnline(ctx context.Context, c Caller) ([]string, error) {
	_, err := s.branchOf(ctx, c.Agent)
	if c.Trail.Check("branch", err) != nil {
		return nil, err
	}
	list, _ := s.online.LoadOrStore(c.Agent.ID, &onlineList{})
	return list.(*onlineList).get(ctx, s, c.Agent.ID)
}

func (l *onlineList) get(ctx context.Context, s *Service, agentID string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := s.now()
	if begun.Before(l.until) {
		return l.names, nil
	}
	names, err := s.sessions.Online(ctx, agentID, begun)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	l.names, l.until = names, begun.Add(min(onlineShare*s.now().Sub(begun), onlineAge))
	return names, nil
}

// RegisterMember makes a member of the calling agent (spec 7.1). Errors in the
// order of the checks: ErrBranchNotConfigured, ErrMemberExists.
func (s *Service) RegisterMember(ctx context.Context, c Caller, username, siteID string) error {
	_, err := s.branchOf(ctx, c.Agent)
	if c.Trail.Check("branch", err) != nil {
		return err
	}
	_, err = s.CreateMember(ctx, "agent "+c.Agent.ID, c.Agent.ID, username, siteID)
	if errors.Is(err, rollcall.ErrExists) {
		err = rollcall.ErrMemberExists
	}
	return c.Trail.Check("member", err)
}
