package client

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/rollcall-server/rollcall"
)

// Run boots, renews the sessions that are held, and hears events, until ctx ends;
// then it returns nil. What fails is logged and tried again, but for
// rollcall.ErrStaleBoot, another process having taken over, and
// rollcall.ErrAuthentication, the token being refused: Run ends with these, and
// Sessions tells which games are to end. Run is rollcall.ErrInUse while it runs.
func (g *GameServer) Run(ctx context.Context) error {
	if g.onEvent == nil {
		return fmt.Errorf("%w option OnEvent: nil", rollcall.ErrInvalid)
	}
	if !g.running.TryLock() {
		return fmt.Errorf("%w: Run", rollcall.ErrInUse)
	}
	defer g.running.Unlock()
	if err := g.keepBooting(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { stop(g.keepBeating(ctx, &loops)) })
	loops.Go(func() { stop(g.keepListening(ctx)) })
	loops.Wait()
	if err := context.Cause(ctx); final(err) {
		return err
	}
	return nil
}

// keepBooting boots until that succeeds or ctx ends, or the error is final.
func (g *GameServer) keepBooting(ctx context.Context) error {
	var wait backoff
	for ctx.Err() == nil {
		_, err := g.Boot(ctx)
		if err == nil || final(err) {
			return err
		}
		g.warn(ctx, "boot", err)
		_ = pause(ctx, wait.after(err)) // the loop looks at ctx itself
	}
	return nil
}

func (g *GameServer) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		g.log.WarnContext(ctx, "game server goes on", slog.String("after", what), slog.Any("error", err))
	}
}
