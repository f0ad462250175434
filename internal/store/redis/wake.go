package redis

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// wakes tells who waits for a game server's events that there may be some. A
// message that is lost costs no event: after each time without a connection all
// are woken, and now and then anyway.
type wakes struct {
	engine  *engine
	channel string
	log     *slog.Logger

	once  sync.Once
	ready chan struct{} // closed when the first subscription stands

	mu      sync.Mutex
	waiting map[string]chan struct{}
}

const wakeAnyway = 5 * time.Second

func newWakes(e *engine, channel string, log *slog.Logger) *wakes {
	return &wakes{engine: e, channel: channel, log: log, ready: make(chan struct{}), waiting: make(map[string]chan struct{})}
}

func (w *wakes) await(gameServer string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.waiting[gameServer]
	if ch == nil {
		ch = make(chan struct{})
		w.waiting[gameServer] = ch
	}
	return ch
}

func (w *wakes) wake(gameServer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch := w.waiting[gameServer]; ch != nil {
		close(ch)
		delete(w.waiting, gameServer)
	}
}

func (w *wakes) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.waiting {
		close(ch)
	}
	clear(w.waiting)
}

func (w *wakes) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		for wait(ctx, wakeAnyway) {
			w.wakeAll()
		}
	})
	for ctx.Err() == nil {
		w.listen(ctx)
		w.wakeAll()
		wait(ctx, 100*time.Millisecond)
	}
}

// listen passes messages on until the connection breaks.
func (w *wakes) listen(ctx context.Context) {
	client, release := w.engine.client.Dedicate()
	defer release()
	broken := client.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { w.wake(m.Message) },
		OnSubscription: func(rueidis.PubSubSubscription) {
			w.wakeAll()
			w.once.Do(func() { close(w.ready) })
		},
	})
	subscribed, cancel := context.WithTimeout(ctx, w.engine.timeout)
	defer cancel()
	if client.Do(subscribed, client.B().Subscribe().Channel(w.channel).Build()).Error() != nil {
		return
	}
	select {
	case <-ctx.Done():
	case err := <-broken:
		w.log.LogAttrs(ctx, slog.LevelDebug, "redis: subscription", slog.Any("error", err))
	}
}
