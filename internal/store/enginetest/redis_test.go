package enginetest

import (
	"net"
	"strings"
	"testing"
	"time"
)

// quick fails a test whose engine took longer than an engine may: a suite starts
// hundreds. The limits are ten times what is measured, for machines under load.
func quick(t *testing.T, what string, limit time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	took := time.Since(start)
	t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("%s: got %v, want at most %v", what, took, limit)
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestRedis(t *testing.T) {
	var s *RedisServer
	quick(t, "start", 2*time.Second, func() { s = Redis(t, "--maxmemory", "64mb") })
	want(t, "URL", s.URL(), "redis://"+s.Addr())
	want(t, "settings", s.CLI("CONFIG", "GET", "maxmemory"), "maxmemory\n67108864")
	want(t, "settings", s.CLI("CONFIG", "GET", "appendonly"), "appendonly\nyes")
	want(t, "settings", s.CLI("CONFIG", "GET", "maxmemory-policy"), "maxmemory-policy\nnoeviction")
	s.CLI("SET", "name", "value")
	want(t, "null", s.CLI("GET", "absent"), "")

	addr := s.Addr()
	quick(t, "kill", 2*time.Second, s.Kill)
	if _, err := ask(addr, "PING"); err == nil {
		t.Error("got an answer from a server that was killed")
	}
	s.Kill() // twice is no fault
	quick(t, "start anew", 2*time.Second, s.Restart)
	want(t, "Addr", s.Addr(), addr)
	want(t, "value after a kill", s.CLI("GET", "name"), "value")
	want(t, "settings", s.CLI("CONFIG", "GET", "maxmemory"), "maxmemory\n67108864")
	s.Restart()
	want(t, "value after a stop", s.CLI("GET", "name"), "value")
}

// A server that is paused keeps its connections and answers later.
func TestRedisPause(t *testing.T) {
	s := Redis(t)
	conn, err := net.Dial("tcp", s.Addr())
	must(t, "dial", err)
	defer conn.Close()
	s.Pause()
	_, err = conn.Write([]byte("PING\r\n"))
	must(t, "write", err)
	answered := make(chan string)
	go func() {
		text := make([]byte, len("+PONG\r\n"))
		_, _ = conn.Read(text)
		answered <- string(text)
	}()
	select {
	case text := <-answered:
		t.Fatalf("got %q from a server that is paused", text)
	case <-time.After(200 * time.Millisecond): // that nothing comes can only be waited for
	}
	s.Resume()
	want(t, "answer", <-answered, "+PONG\r\n")

	s.Pause()
	s.Kill() // also one that is paused
	s.Restart()
	want(t, "ping", s.CLI("PING"), "PONG")
	s.Pause() // and the test's end
}

func TestSentinel(t *testing.T) {
	var s *RedisSentinel
	quick(t, "start", 10*time.Second, func() { s = Sentinel(t) })
	if url := s.URL(); !strings.HasPrefix(url, "redis+sentinel://127.0.0.1:") || strings.Count(url, ",") != 2 || !strings.HasSuffix(url, "/rollcall") {
		t.Errorf("got %s", url)
	}
	master := s.Master()
	master.CLI("SET", "name", "value")
	want(t, "replicas", master.CLI("WAIT", "2", "5000"), "2")
	var next *RedisServer
	quick(t, "failover", 20*time.Second, func() {
		want(t, "killed", s.KillMaster().Addr(), master.Addr())
		next = s.WaitFailover(master)
	})
	want(t, "value", next.CLI("GET", "name"), "value")
	next.CLI("SET", "name", "newer")
	quick(t, "return", 20*time.Second, func() { master.Restart(); s.WaitFollow() })
	want(t, "master", s.Master().Addr(), next.Addr())
	want(t, "value of the one that returned", master.CLI("GET", "name"), "newer")

	next.Restart() // what Sentinel made of it stands in its file
	s.WaitFollow()
	want(t, "master", s.Master().Addr(), next.Addr())
}

// A master that only hangs is replaced too, and gives in when it is back.
func TestSentinelPause(t *testing.T) {
	s := Sentinel(t)
	was := s.Master()
	was.Pause()
	next := s.WaitFailover(was)
	if next == was {
		t.Error("got the same master")
	}
	was.Resume()
	s.WaitFollow()
	want(t, "role", strings.Split(was.CLI("ROLE"), "\n")[0], "slave")
}
