// Command centrifuge is a peer of the benchmark: the presence of one channel with
// one client, from the centrifuge library, behind a plain net/http handler that
// reads JSON and looks at an API key. It is the nearest well-known Go engine for
// "who is here". It proves nothing of its caller but the key, opens no cipher text
// and remembers no nonce.
//
//	centrifuge CONFIG.json [REDIS_ADDRESS]
//
// The configuration: {"apiKey", "channel", "session": any JSON}. Without an
// address of Redis it is the engine in memory.
package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

// config says who is present.
type config struct {
	APIKey  string          `json:"apiKey"`
	Channel string          `json:"channel"`
	Session json.RawMessage `json:"session"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 1 || len(args) > 2 {
		return fmt.Errorf("want the name of a configuration and perhaps an address of Redis, got %q", args)
	}
	text, err := os.ReadFile(args[0]) //nolint:gosec // G703: who starts it names the file
	if err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	present, err := engine(node, args[1:])
	if err != nil {
		return err
	}
	node.SetPresenceManager(present)
	if err := node.Run(); err != nil {
		return err
	}
	if err := join(present, &c); err != nil {
		return err
	}
	return serve(ctx, node, &c, out)
}

// engine returns the presence in memory, or in Redis at an address.
func engine(node *centrifuge.Node, redis []string) (centrifuge.PresenceManager, error) {
	if len(redis) == 0 {
		return centrifuge.NewMemoryPresenceManager(node, centrifuge.MemoryPresenceManagerConfig{})
	}
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: redis[0]})
	if err != nil {
		return nil, err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return nil, err
	}
	node.SetBroker(broker)
	return centrifuge.NewRedisPresenceManager(node, centrifuge.RedisPresenceManagerConfig{Shards: []*centrifuge.RedisShard{shard}})
}

// join makes the client present, and keeps it so as a connection does.
func join(present centrifuge.PresenceManager, c *config) error {
	client := &centrifuge.ClientInfo{ClientID: "955585ed-adeb-436e-8be0-ebf2b81b7d15", UserID: c.Channel, ConnInfo: c.Session}
	again := func() error { return present.AddPresence(c.Channel, client.ClientID, client) }
	go func() {
		for range time.Tick(25 * time.Second) {
			if err := again(); err != nil {
				fmt.Fprintln(os.Stderr, "centrifuge:", err)
			}
		}
	}()
	return again()
}

func serve(ctx context.Context, node *centrifuge.Node, c *config, out io.Writer) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving %s\n", l.Addr())
	mux := http.NewServeMux()
	mux.Handle("POST /api/presence", &api{node: node, key: []byte(c.APIKey)})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// api answers who is present in a channel.
type api struct {
	node *centrifuge.Node
	key  []byte
}

// A client is one that is present, in the form of Centrifugo's API.
type client struct {
	Client   string          `json:"client"`
	User     string          `json:"user"`
	ConnInfo json.RawMessage `json:"conn_info,omitempty"`
}

// answer is that of the API.
type answer struct {
	Result *result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

type result struct {
	Presence map[string]client `json:"presence"`
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Channel string `json:"channel"`
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-API-Key")), a.key) != 1 {
		write(w, http.StatusUnauthorized, answer{Error: "unauthorized"})
		return
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&request); err != nil || request.Channel == "" {
		write(w, http.StatusBadRequest, answer{Error: "bad request"})
		return
	}
	found, err := a.node.Presence(request.Channel)
	if err != nil {
		write(w, http.StatusInternalServerError, answer{Error: err.Error()})
		return
	}
	all := result{Presence: make(map[string]client, len(found.Presence))}
	for id, c := range found.Presence {
		all.Presence[id] = client{Client: c.ClientID, User: c.UserID, ConnInfo: c.ConnInfo}
	}
	write(w, http.StatusOK, answer{Result: &all})
}

func write(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a)
}
