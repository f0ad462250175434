package enginetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// SentinelName is the name by which the sentinels know the master.
const SentinelName = "rollcall"

// RedisSentinel is a master with two replicas and three sentinels that watch them.
// They take a master that is silent for a second to be down.
type RedisSentinel struct {
	t                  testing.TB
	servers, sentinels []*RedisServer
}

// watching is a sentinel's file. The sentinels and replicas are in it from the
// start, as if they had found each other, which takes them two seconds and more.
const watching = `bind 127.0.0.1
port %d
dir %q
`

// Sentinel starts a master, two replicas and three sentinels, and returns when
// all know of each other. args are settings of the master and the replicas.
func Sentinel(t testing.TB, args ...string) *RedisSentinel {
	t.Helper()
	s := &RedisSentinel{t: t}
	for i := range 3 {
		server := newRedis(t, fmt.Sprint("redis", i), args)
		if server.configure(settings); i > 0 {
			server.configure(settings, fmt.Sprint("replicaof 127.0.0.1 ", s.servers[0].port.number))
		}
		server.start()
		s.servers = append(s.servers, server)
		s.sentinels = append(s.sentinels, newRedis(t, fmt.Sprint("sentinel", i), []string{"--sentinel"}))
	}
	must(t, "replicate", until(nil, func() error { return s.follow(s.servers[0]) }))
	s.watch()
	must(t, "sentinels", until(nil, s.watched))
	return s
}

// watch starts the sentinels.
func (s *RedisSentinel) watch() {
	s.t.Helper()
	ids := []string{sentinelID(), sentinelID(), sentinelID()}
	for i, sentinel := range s.sentinels {
		lines := []string{
			"sentinel myid " + ids[i],
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 2", SentinelName, s.servers[0].port.number),
			"sentinel down-after-milliseconds " + SentinelName + " 1000",
			"sentinel failover-timeout " + SentinelName + " 5000",
			"sentinel parallel-syncs " + SentinelName + " 2",
		}
		for _, replica := range s.servers[1:] {
			lines = append(lines, fmt.Sprintf("sentinel known-replica %s 127.0.0.1 %d", SentinelName, replica.port.number))
		}
		for j, other := range s.sentinels {
			if j != i {
				lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s 127.0.0.1 %d %s", SentinelName, other.port.number, ids[j]))
			}
		}
		sentinel.configure(watching, lines...)
		sentinel.start()
		// Pings a second apart, as is usual, would take a master for silent as
		// soon as one is late. The others have a master of old follow the new one
		// after two seconds instead of ten to twenty.
		sentinel.CLI("SENTINEL", "DEBUG", "ping-period", "200", "publish-period", "500", "info-period", "1000")
	}
}

func sentinelID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return fmt.Sprintf("%x", id)
}

// watched says what the sentinels lack to be able to replace the master.
func (s *RedisSentinel) watched() error {
	for _, sentinel := range s.sentinels {
		if _, err := ask(sentinel.Addr(), "SENTINEL", "CKQUORUM", SentinelName); err != nil {
			return err
		}
		replicas, err := ask(sentinel.Addr(), "SENTINEL", "REPLICAS", SentinelName)
		switch {
		case err != nil:
			return err
		case strings.Count(replicas, "flags\nslave\n") != 2, strings.Count(replicas, "master-link-status\nok\n") != 2:
			return fmt.Errorf("sentinel %s does not see two good replicas", sentinel.Addr())
		}
	}
	return nil
}

// URL returns redis+sentinel://H:P,H:P,H:P/NAME, of the sentinels.
func (s *RedisSentinel) URL() string {
	return "redis+sentinel://" + addrs(s.sentinels) + "/" + SentinelName
}

func addrs(servers []*RedisServer) string {
	all := make([]string, len(servers))
	for i, server := range servers {
		all[i] = server.Addr()
	}
	return strings.Join(all, ",")
}

// Servers returns the master and the replicas, in no order that tells them apart.
func (s *RedisSentinel) Servers() []*RedisServer { return slices.Clone(s.servers) }

// Sentinels returns the three sentinels.
func (s *RedisSentinel) Sentinels() []*RedisServer { return slices.Clone(s.sentinels) }

// Master returns the server that the sentinels name as the master.
func (s *RedisSentinel) Master() *RedisServer {
	s.t.Helper()
	var master *RedisServer
	must(s.t, "find the master", until(nil, func() (err error) {
		master, err = s.named()
		return err
	}))
	return master
}

// named returns the master where all sentinels that run name the same.
func (s *RedisSentinel) named() (master *RedisServer, err error) {
	for _, sentinel := range s.sentinels {
		if !sentinel.p.running() {
			continue
		}
		reply, err := ask(sentinel.Addr(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelName)
		if err != nil {
			return nil, err
		}
		addr := strings.ReplaceAll(reply, "\n", ":")
		if master != nil && master.Addr() != addr {
			return nil, fmt.Errorf("the sentinels name %s and %s", master.Addr(), addr)
		}
		i := slices.IndexFunc(s.servers, func(one *RedisServer) bool { return one.Addr() == addr })
		if i < 0 {
			return nil, fmt.Errorf("the sentinels name %q, which is none of ours", addr)
		}
		master = s.servers[i]
	}
	if master == nil {
		return nil, errors.New("no sentinel runs")
	}
	return master, nil
}

// KillMaster ends the master by SIGKILL and returns it.
func (s *RedisSentinel) KillMaster() *RedisServer {
	s.t.Helper()
	master := s.Master()
	master.Kill()
	return master
}

// WaitFailover returns when the sentinels name another master than was, and all
// other servers that run follow it. It returns that master. One that was paused
// has to be resumed only afterwards, and is not waited for.
func (s *RedisSentinel) WaitFailover(was *RedisServer) *RedisServer {
	s.t.Helper()
	var master *RedisServer
	must(s.t, "failover", until(nil, func() (err error) {
		if master, err = s.named(); err != nil {
			return err
		}
		if master == was {
			return fmt.Errorf("%s is the master still", was.Addr())
		}
		return s.follow(master, was)
	}))
	return master
}

// WaitFollow returns when all servers that run follow the master: one that was
// restarted too, after two seconds and more.
func (s *RedisSentinel) WaitFollow() {
	s.t.Helper()
	must(s.t, "follow the master", until(nil, func() error {
		master, err := s.named()
		if err != nil {
			return err
		}
		return s.follow(master)
	}))
}

// follow says who does not follow the master, of those that run and are not
// excepted.
func (s *RedisSentinel) follow(master *RedisServer, except ...*RedisServer) error {
	for _, server := range s.servers {
		if !server.p.running() || slices.Contains(except, server) {
			continue
		}
		info, err := ask(server.Addr(), "INFO", "replication")
		switch {
		case err != nil:
			return err
		case server == master && !strings.Contains(info, "role:master\r"):
			return fmt.Errorf("%s is not yet a master", server.Addr())
		case server != master && !strings.Contains(info, fmt.Sprintf("master_port:%d\r", master.port.number)),
			server != master && !strings.Contains(info, "master_link_status:up\r"):
			return fmt.Errorf("%s does not follow %s", server.Addr(), master.Addr())
		}
	}
	return nil
}
