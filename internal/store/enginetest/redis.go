package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// RedisServer is one server, of Redis or Valkey.
type RedisServer struct {
	t         testing.TB
	p         *process
	port, bus *port
}

// settings are those that the operating guide recommends; what else they hold
// only makes replicas quick. They stand in a file and not on the command line,
// because Sentinel has a server rewrite its file: who was promoted stays so when
// it is started anew.
const settings = `bind 127.0.0.1
port %d
dir %q
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
repl-diskless-sync-delay 0
`

// Redis starts a server that is empty. args are settings as its command line
// takes them, for each start.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	s := newRedis(t, "redis", args)
	s.configure(settings)
	s.start()
	return s
}

func redisProgram(t testing.TB) string {
	t.Helper()
	if name := os.Getenv("ROLLCALL_TEST_REDIS_SERVER"); name != "" {
		return program(t, name, "ROLLCALL_TEST_REDIS_SERVER names it")
	}
	return program(t, "redis-server", "on Debian: apt install redis-server")
}

// newRedis prepares a server that is not started. It ends with the test.
func newRedis(t testing.TB, name string, args []string) *RedisServer {
	t.Helper()
	path := redisProgram(t)
	port, bus, err := freePort()
	must(t, name, err)
	p, err := newProcess(os.TempDir(), name)
	must(t, "make a directory for "+name, err)
	s := &RedisServer{t: t, p: p, port: port, bus: bus}
	t.Cleanup(s.close)
	p.argv = append([]string{path, s.file()}, args...)
	return s
}

func (s *RedisServer) file() string { return filepath.Join(s.p.guard.dir, "redis.conf") }

// configure writes the server's file: the settings, whose first two verbs are
// its port and directory, and further lines.
func (s *RedisServer) configure(settings string, lines ...string) {
	s.t.Helper()
	text := fmt.Sprintf(settings, s.port.number, s.Dir()) + strings.Join(lines, "\n") + "\n"
	must(s.t, "configure "+s.p.name, os.WriteFile(s.file(), []byte(text), 0o600))
}

// start returns when the server answers, and has loaded its data.
func (s *RedisServer) start() {
	s.t.Helper()
	must(s.t, "enginetest", s.p.start(func() error {
		_, err := ask(s.Addr(), "PING")
		return err
	}))
}

func (s *RedisServer) close() {
	if s.t.Failed() {
		s.t.Logf("%s at %s wrote last:\n%s", s.p.name, s.Addr(), s.p.tail(40))
	}
	check(s.t, "end "+s.p.name, s.p.close())
	s.port.free()
	s.bus.free()
}

// URL returns redis://127.0.0.1:PORT.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() }

// Addr returns the host and port, the same for the server's whole life.
func (s *RedisServer) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port.number) }

// Dir returns the directory of the server's data.
func (s *RedisServer) Dir() string { return s.p.data() }

// Kill ends the server by SIGKILL, if it runs, and returns when it is gone.
func (s *RedisServer) Kill() { s.t.Helper(); check(s.t, "kill", s.p.kill()) }

// Stop ends the server by SIGTERM, if it runs: it writes all that it holds.
func (s *RedisServer) Stop() { s.t.Helper(); check(s.t, "stop", s.p.stop(syscall.SIGTERM)) }

// Restart starts the server with the same port and data. One that runs is
// stopped before.
func (s *RedisServer) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// Pause stops the server by SIGSTOP: connections stay, answers do not come.
func (s *RedisServer) Pause() {
	s.t.Helper()
	_, err := s.p.pause()
	check(s.t, "pause", err)
}

// Resume lets a server that was paused go on.
func (s *RedisServer) Resume() { s.t.Helper(); check(s.t, "resume", s.p.resume()) }

// CLI has the server do one command and returns the reply as text, an array's
// elements on a line each. A reply that is an error fails the test.
func (s *RedisServer) CLI(args ...string) string {
	s.t.Helper()
	reply, err := ask(s.Addr(), args...)
	check(s.t, "command", err)
	return reply
}
