package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

const (
	recordWait = 2 * time.Second
	recordTry  = 100 * time.Millisecond
)

// waitRequest gets a request's record, and waits a little for one that is not
// there: records are stored in batches.
func waitRequest(ctx context.Context, c *admin.Client, logUUID string) (r admin.RequestShown, err error) {
	tick := time.NewTicker(recordTry)
	defer tick.Stop()
	patience := time.After(recordWait)
	for {
		err = c.Do(ctx, http.MethodGet, admin.Path("requests", logUUID), nil, &r)
		if !errors.Is(err, rollcall.ErrNotFound) {
			return r, err
		}
		select {
		case <-tick.C:
		case <-patience:
			return r, err
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}
