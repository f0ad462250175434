package enginetest

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// PostgresServer is one PostgreSQL server.
type PostgresServer struct {
	t testing.TB
	*cluster
	shared bool
}

// A cluster is what PostgreSQL calls one: a server with its databases.
type cluster struct {
	p         *process
	port      *port
	psql      string
	password  string // of both roles
	databases atomic.Int64
}

// binaries is where Debian keeps them.
const binaries = "/usr/lib/postgresql/*/bin"

// binDir finds PostgreSQL's programs: behind a link in PATH too, or where Debian
// keeps them, those of the newest version.
func binDir(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("initdb")
	if err != nil {
		found, _ := filepath.Glob(binaries + "/initdb") // its only fault would be the pattern
		if len(found) == 0 {
			missing(t, "initdb", "on Debian: apt install postgresql")
		}
		path = slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
	}
	path, err = filepath.EvalSymlinks(path)
	must(t, "find PostgreSQL", err)
	return filepath.Dir(path)
}

// version reads 15 from /usr/lib/postgresql/15/bin/initdb.
func version(path string) float64 {
	number, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
	return number
}

// Postgres returns the server that all tests of a test binary share. It starts
// with the first of them and ends with the binary. It does without fsync, in
// memory where there is room, and cannot be killed or paused.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	bin := binDir(t)
	sharedOnce.Do(func() {
		shared, errShared = newCluster(bin, memoryDir(), []string{"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_wal_size=128MB"})
	})
	must(t, "start PostgreSQL", errShared)
	return &PostgresServer{t: t, cluster: shared, shared: true}
}

var (
	sharedOnce sync.Once
	shared     *cluster
	errShared  error
)

// OwnPostgres starts a server of the test's own, on disk, which ends with it.
// args are those of the program postgres, for each start. It does without fsync
// too, since what is killed keeps what it wrote to the system: who measures asks
// for "-c", "fsync=on".
func OwnPostgres(t testing.TB, args ...string) *PostgresServer {
	t.Helper()
	bin := binDir(t)
	c, err := newCluster(bin, diskDir(), append([]string{"-c", "fsync=off"}, args...))
	if c != nil {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("PostgreSQL wrote last:\n%s", c.p.tail(30))
			}
			check(t, "end PostgreSQL", c.p.close())
			c.port.free()
		})
	}
	must(t, "start PostgreSQL", err)
	return &PostgresServer{t: t, cluster: c}
}

// newCluster makes a cluster in a directory under parent, and starts it.
func newCluster(bin, parent string, args []string) (*cluster, error) {
	who, err := postgresUser()
	if err != nil {
		return nil, err
	}
	port, bus, err := freePort()
	if err != nil {
		return nil, err
	}
	bus.free()
	p, err := newProcess(parent, "postgres")
	if err != nil {
		return nil, err
	}
	p.who = who
	c := &cluster{p: p, port: port, psql: filepath.Join(bin, "psql"), password: rand.Text()}
	p.argv = append([]string{
		filepath.Join(bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(port.number),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
		"-c", "dynamic_shared_memory_type=mmap", // in its directory, so that nothing is left by a kill
		"-c", "password_encryption=md5", // SCRAM takes milliseconds for each connection
	}, args...)
	if err := c.initialize(filepath.Join(bin, "initdb")); err != nil {
		return c, err
	}
	if err := c.start(); err != nil {
		return c, err
	}
	_, err = c.query("postgres", fmt.Sprintf("CREATE ROLE rollcall LOGIN PASSWORD '%s'", c.password))
	return c, err
}

// postgresUser says as whom to run, nil for who we are: PostgreSQL refuses to
// run as root, and is given its own user then.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// diskDir is where directories are that every user can reach.
func diskDir() string {
	for dir := os.TempDir(); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return "/tmp"
		}
	}
	return os.TempDir()
}

// memoryDir is where files stay in memory, if there is room: a database is made
// in a tenth of the time there, for it consists of 300 files.
func memoryDir() string {
	const dir, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm() == 0o777 && syscall.Statfs(dir, &fs) == nil && float64(fs.Bavail)*float64(fs.Bsize) > room {
		return dir
	}
	return diskDir()
}

// initialize has initdb fill the directory. Every connection needs the password:
// who is superuser here may run programs as us.
func (c *cluster) initialize(initdb string) error {
	secret := filepath.Join(c.p.guard.dir, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	if c.p.who != nil {
		for _, path := range []string{c.p.guard.dir, c.p.data(), secret} {
			if err := os.Chown(path, int(c.p.who.Uid), int(c.p.who.Gid)); err != nil {
				return err
			}
		}
	}
	_, err := c.p.run([]string{
		initdb, "-D", c.p.data(), "-U", "postgres", "-A", "password", "--pwfile", secret,
		"-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions",
	})
	if err == nil {
		err = c.p.wait(patience)
	}
	if err == nil {
		err = c.p.result
	}
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, c.p.tail(20))
	}
	return os.Remove(secret)
}

// start returns when the server takes connections: its pid file says so, as it
// does to pg_ctl.
func (c *cluster) start() error {
	return c.p.start(func() error {
		text, err := os.ReadFile(filepath.Join(c.p.data(), "postmaster.pid"))
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		if len(lines) < 8 || lines[0] != strconv.Itoa(c.p.leader.Pid) || strings.TrimSpace(lines[7]) != "ready" {
			return fmt.Errorf("postmaster.pid is %q", text)
		}
		return nil
	})
}

// query asks as the superuser.
func (c *cluster) query(database, text string) (string, error) {
	cmd := exec.Command(c.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, //nolint:noctx // statement_timeout is the limit
		fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=%s connect_timeout=10 options='-c statement_timeout=30s'", c.port.number, database))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+c.password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// URL returns the URL of a database, for the role rollcall: the owner of what
// Database makes, no superuser.
func (s *PostgresServer) URL(database string) string {
	return fmt.Sprintf("postgres://rollcall:%s@127.0.0.1:%d/%s?sslmode=disable", s.password, s.port.number, database)
}

// Addr returns the host and port, the same for the server's whole life.
func (s *PostgresServer) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port.number) }

// Database makes an empty database and returns its URL. It is dropped, with all
// connections to it, at the end of t.
func (s *PostgresServer) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", s.databases.Add(1))
	_, err := s.query("postgres", "CREATE DATABASE "+name+" OWNER rollcall")
	must(t, "make a database", err)
	t.Cleanup(func() {
		if t.Failed() && s.shared {
			t.Logf("PostgreSQL wrote last:\n%s", s.p.tail(30))
		}
		if s.shared { // else it goes with its server, which may be down
			_, err := s.query("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			check(t, "drop a database", err)
		}
	})
	return s.URL(name)
}

// SQL runs a statement as the superuser, in the database of a name or URL, and
// returns the rows, a line each, with | between their columns.
func (s *PostgresServer) SQL(database, text string) string {
	s.t.Helper()
	rows, err := s.query(nameOf(database), text)
	check(s.t, "query", err)
	return rows
}

// nameOf takes a database's name from its URL, or as it is.
func nameOf(url string) string {
	name, _, _ := strings.Cut(url[strings.LastIndexByte(url, '/')+1:], "?")
	return name
}

// Kill ends the postmaster and all its children by SIGKILL, and returns when
// they are gone.
func (s *PostgresServer) Kill() { s.own(); check(s.t, "kill", s.p.kill()) }

// Stop ends the server, and every connection, in good order.
func (s *PostgresServer) Stop() { s.own(); check(s.t, "stop", s.p.stop(syscall.SIGINT)) }

// Restart starts the server with the same port and data. One that runs is
// stopped before.
func (s *PostgresServer) Restart() {
	s.t.Helper()
	s.Stop()
	must(s.t, "enginetest", s.start())
}

// Pause stops the server and its children by SIGSTOP: connections stay, answers
// do not come.
func (s *PostgresServer) Pause() {
	s.own()
	_, err := s.p.pause()
	check(s.t, "pause", err)
}

// Resume lets a server that was paused go on.
func (s *PostgresServer) Resume() { s.own(); check(s.t, "resume", s.p.resume()) }

// own keeps a test from ending the server of the others.
func (s *PostgresServer) own() {
	if s.shared {
		panic("enginetest: a test that ends or pauses PostgreSQL needs OwnPostgres")
	}
}
