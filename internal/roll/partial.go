package roll

import "context"

// Partial reports whether answers about sessions may lack some: the store has
// lost what it had, or may have, and the game servers have not had the time to
// announce what they hold. That takes a lease at most, since a session that
// nobody has announced by then is none.
func (s *Service) Partial(ctx context.Context) (bool, error) {
	epoch, err := s.sessions.Epoch(ctx)
	if err != nil || s.whole.Load() == epoch.BeganAt.UnixNano() {
		return false, err
	}
	if s.now().Sub(epoch.BeganAt) > s.lease {
		s.whole.Store(epoch.BeganAt.UnixNano())
		return false, nil
	}
	for after := ""; ; {
		servers, err := s.directory.GameServers().List(ctx, "", after, listLimit)
		if err != nil {
			return false, err
		}
		for _, g := range servers {
			if g.CreatedAt.Before(epoch.BeganAt) { // else the store is as new as they are
				return true, nil
			}
			after = g.ID
		}
		if len(servers) < listLimit {
			return false, nil
		}
	}
}
