package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// refused opens what is not to be opened, and returns why.
func refused(t *testing.T, url string, o Options) error {
	t.Helper()
	s, err := Open(t.Context(), url, o)
	if err == nil {
		t.Errorf("%s was opened", redacted(url))
		must(t, s.Close())
		return errors.New("opened")
	}
	return err
}

func TestEviction(t *testing.T) {
	engine := enginetest.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	err := refused(t, engine.URL(), fresh())
	if !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("got %v, want ErrInvalid and what to set", err)
	}
	engine.CLI("CONFIG", "SET", "maxmemory", "0")
	open(t, engine.URL(), fresh()) // nothing is thrown away then
}

// A setting that is changed while the engine runs is told.
func TestEvictionLater(t *testing.T) {
	engine := enginetest.Redis(t)
	var log safeBuffer
	o := fresh()
	o.lookEvery, o.Log = 10*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	o.Installation = "one"
	open(t, engine.URL(), o)
	tells := func(what string) {
		t.Helper()
		within(t, 10*time.Second, "to tell "+what, func() {
			for !strings.Contains(log.String(), what) {
				wait(t.Context(), 5*time.Millisecond)
			}
		})
	}
	engine.CLI("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	engine.CLI("CONFIG", "SET", "maxmemory", "100mb")
	tells("set noeviction")
	engine.CLI("CONFIG", "SET", "maxmemory", "0")
	engine.CLI("FLUSHALL")
	key := newKeys(o.Prefix).lead("installation")
	within(t, 10*time.Second, "to note whose it is again", func() {
		for !strings.Contains(engine.CLI("GET", key), "one") {
			wait(t.Context(), 5*time.Millisecond)
		}
	})
	engine.CLI("SET", key, "two")
	tells("another installation")
}

// A safeBuffer may be read while it is written.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// What has no room is refused whole, and what is there can be read and ended.
func TestFull(t *testing.T) {
	engine := enginetest.Redis(t)
	n := open(t, engine.URL(), fresh())
	s, l := n.start("player1"), n.session("player2")
	key, err := n.launch(t.Context(), l)
	must(t, err)
	changes, err := n.sessions.Changes(t.Context(), nil, 1000)
	must(t, err)
	engine.CLI("CONFIG", "SET", "maxmemory", "1")
	within(t, time.Second, "a Start without room", func() {
		_, err = n.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: l, Tell: true})
	})
	wantUnavailable(t, "start", err)
	wantUnavailable(t, "ping", n.sessions.Ping(t.Context()))
	_, err = n.launch(t.Context(), l)
	wantUnavailable(t, "launch", err)
	if n.of("player1") != s.ID || n.of("player2") != "" {
		t.Errorf("there are [%s] and [%s]", n.of("player1"), n.of("player2"))
	}
	unknown, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, n.Now())
	if err == nil && len(unknown) > 0 {
		t.Errorf("unknown: %v", unknown)
	}
	ended, err := n.sessions.End(t.Context(), []string{s.ID}, roll.Ending{At: n.Now(), Reason: rollcall.EndLeft})
	if must(t, err); len(ended) != 1 || n.of("player1") != "" {
		t.Errorf("ended %d, and [%s] is there", len(ended), n.of("player1"))
	}
	engine.CLI("CONFIG", "SET", "maxmemory", "0")
	after, err := n.sessions.Changes(t.Context(), nil, 1000)
	if must(t, err); len(after) != len(changes)+1 {
		t.Errorf("%d changes, want %d and the end", len(after), len(changes))
	}
	_, err = n.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: l})
	must(t, err)
}

func TestReplica(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := enginetest.Sentinel(t)
	master := s.Master()
	i := slices.IndexFunc(s.Servers(), func(one *enginetest.RedisServer) bool { return one != master })
	o := fresh()
	o.Timeout = time.Second
	within(t, 2*o.Timeout+time.Second, "to open a replica", func() { wantUnavailable(t, "a replica", refused(t, s.Servers()[i].URL(), o)) })
	o.Prefix = fresh().Prefix
	open(t, s.URL(), o)
	waitReplicas(t, master, s.Servers()[i])
	wantUnavailable(t, "a replica that has all", refused(t, s.Servers()[i].URL(), o))
}

func TestDown(t *testing.T) {
	engine := enginetest.Redis(t)
	engine.Kill()
	o := fresh()
	o.Timeout = time.Second
	within(t, 2*time.Second, "to open nothing", func() { wantUnavailable(t, "nothing", refused(t, engine.URL(), o)) })
	engine.Restart()
	engine.Pause()
	defer engine.Resume()
	within(t, 3*time.Second, "to open what stands still", func() { wantUnavailable(t, "what stands still", refused(t, engine.URL(), o)) })
}

// Of a Cluster a node may be down that is not needed.
func TestOpenWithoutAReplica(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, stop := range map[string]func(*enginetest.RedisServer){"dead": (*enginetest.RedisServer).Kill, "paused": (*enginetest.RedisServer).Pause} {
		t.Run(name, func(t *testing.T) {
			cluster := enginetest.Cluster(t)
			stop(cluster.Node(4))
			n := open(t, cluster.URL(), fresh())
			s := n.start("player1")
			within(t, n.engine.timeout, "a heartbeat with what is unknown", func() {
				unknown, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID, n.session("player2").ID}, n.Now())
				if must(t, err); len(unknown) != 1 {
					t.Errorf("unknown: %v", unknown)
				}
			})
		})
	}
}

// rights are all that the user of a store needs, for keys that begin with rc.
var rights = strings.Fields("resetchannels &rc:wake ~{rc:* ~rc:limit:* -@all " +
	"+get +mget +set +setrange +del +exists +incr +hget +hmget +hset +hdel +hexists +zadd +zrem +zrange +zcard +zrevrangebylex " +
	"+sadd +smembers +xadd +xdel +xrange +xtrim +eval +evalsha +publish +subscribe +info +time +ping +hello +wait +select " +
	"+client|setname +pubsub|numsub +cluster|slots +cluster|shards")

func TestRights(t *testing.T) {
	for name, start := range map[string]func() (string, []*enginetest.RedisServer){
		"Single": func() (string, []*enginetest.RedisServer) {
			engine := enginetest.Redis(t)
			return engine.URL(), []*enginetest.RedisServer{engine}
		},
		"Cluster": func() (url string, nodes []*enginetest.RedisServer) {
			cluster := enginetest.Cluster(t)
			for i := range 6 {
				nodes = append(nodes, cluster.Node(i))
			}
			return cluster.URL(), nodes
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, nodes := start()
			for _, node := range nodes {
				node.CLI(append([]string{"ACL", "SETUSER", "rollcall", "on", ">s3cret"}, rights...)...)
			}
			url = strings.Replace(url, "://", "://rollcall:s3cret@", 1)
			n := open(t, url, Options{New: true})
			n.everything()
			for _, node := range nodes {
				if log := node.CLI("ACL", "LOG"); strings.Contains(log, "reason") {
					t.Errorf("denied:\n%s", log)
				}
			}
			err := refused(t, strings.Replace(url, "s3cret", "wr0ng", 1), Options{})
			if !strings.Contains(err.Error(), "the password or user is wrong (WRONGPASS)") || strings.Contains(err.Error(), "wr0ng") || errors.Is(err, rollcall.ErrUnavailable) {
				t.Errorf("got %v, want WRONGPASS in plain words and not the password", err)
			}
		})
	}
}

// everything makes each call once at least.
func (n *node) everything() {
	t, ctx := n.t, n.t.Context()
	t.Helper()
	s := n.start("player1")
	n.boot("s1", "b1")
	waits := n.sessions.Await("s1")
	_, err := n.sessions.Heartbeat(ctx, "s1", []string{s.ID, n.session("x").ID}, n.Now())
	must(t, err)
	n.hold([]string{"player2", "player3"})
	k, _ := n.kickOf("")
	k.State, k.Filter = rollcall.KickRunning, rollcall.SessionFilter{GameCode: "g9"}
	must(t, n.sessions.AddKick(ctx, k))
	_, err = n.sessions.FinishKick(ctx, k.ID, rollcall.KickDone, n.Now())
	must(t, err)
	kick, _ := n.kick("player1")
	<-waits
	_, err = n.sessions.End(ctx, []string{n.of("player2")}, roll.Ending{At: n.Now(), Reason: rollcall.EndLeft})
	must(t, err)
	_, err = n.sessions.Kicks(ctx, "", false, 10)
	must(t, err)
	receipts, err := n.sessions.Receipts(ctx, kick.ID, 0, 10)
	must(t, err)
	_, err = n.sessions.Cursor(ctx, "s1")
	must(t, err)
	_, err = n.sessions.Mark(ctx, "s1", roll.Marks{
		At: n.Now(), Delivered: []int64{receipts[0].Seq}, Ended: []roll.MarkEnded{{SessionID: s.ID, Note: "note"}},
	})
	must(t, err)
	changes, err := n.sessions.Changes(ctx, nil, 1000)
	must(t, err, n.sessions.Forget(ctx, roll.Position(nil).Past(changes)))
	counts, err := n.sessions.Counts(ctx)
	if must(t, err); len(counts) != 1 || counts[0].Count != 1 {
		t.Errorf("counts %+v, want one session", counts)
	}
	list, err := n.sessions.List(ctx, rollcall.SessionFilter{}, "", 10, n.Now())
	if must(t, err); len(list) != 1 {
		t.Errorf("%d sessions, want 1", len(list))
	}
	_, err = n.sessions.Online(ctx, "a1", n.Now())
	must(t, err)
	expired, err := n.sessions.Expire(ctx, n.Now().Add(time.Hour), 10)
	if must(t, err); len(expired) != 1 {
		t.Errorf("%d expired, want 1", len(expired))
	}
	_, err = n.sessions.PruneEvents(ctx, n.Now().Add(time.Hour), 100)
	must(t, err)
	if ok, err := n.nonces.Claim(ctx, "a1", uuid.NewString(), n.Now()); !ok {
		t.Errorf("a nonce was refused: %v", err)
	}
	if others, err := n.Others(ctx); err != nil || others != 0 {
		t.Errorf("%d others have the store open, %v", others, err)
	}
	_, _, err = n.limits.Take(ctx, "key", rollcall.RateLimit{PerSecond: 1, Burst: 1}, 1)
	must(t, err, n.sessions.Ping(ctx), n.nonces.Ping(ctx))
}

// Nothing is left of what has ended, been delivered and been handed on, but what
// is of a game server, of a partition, or ends by itself.
func TestNothingIsLeft(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), Options{New: true})
	n.everything()
	changes, err := n.sessions.Changes(t.Context(), nil, 1000)
	must(t, err, n.sessions.Forget(t.Context(), roll.Position(nil).Past(changes)))
	all, err := n.engine.client.Do(t.Context(), n.engine.client.B().Keys().Pattern("*").Build()).AsStrSlice()
	must(t, err)
	stay := map[string]bool{"b": true, "e": true, "g": true, "o": true, "j": true, "n": true, "@": true, "born": true, "swept": true}
	for _, key := range all {
		ttl, err := n.engine.client.Do(t.Context(), n.engine.client.B().Pttl().Key(key).Build()).AsInt64()
		must(t, err)
		if _, sort, _ := strings.Cut(key, "}"); ttl < 0 && !stay[sort] {
			t.Errorf("%q stays for ever", key)
		}
	}
	for i := range n.keys().parts {
		for _, stream := range []string{n.keys().parts[i].outbox(), n.keys().parts[i].journal()} {
			got, err := n.engine.do(t.Context(), "test", read("XLEN", stream))
			must(t, err)
			if left, _ := got[0].AsInt64(); left > 0 {
				t.Errorf("%d entries are left in %q", left, stream)
			}
		}
	}
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "rc") //nolint:usetesting // t.TempDir is too long for a socket
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "redis.sock")
	engine := enginetest.Redis(t, "--unixsocket", path)
	n := open(t, "unix://"+path+"?db=3", fresh())
	n.start("player1")
	if !strings.Contains(engine.CLI("INFO", "keyspace"), "db3:") {
		t.Error("nothing is in database 3")
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	port := freePort(t)
	enginetest.Redis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
	url := "rediss://127.0.0.1:" + port
	n := open(t, url+"?ca="+cert+"&cert="+cert+"&key="+key, fresh())
	n.start("player1")
	open(t, strings.Replace(url, "127.0.0.1", "localhost", 1)+"?server-name=127.0.0.1&ca="+cert+"&cert="+cert+"&key="+key, fresh())
	if err := refused(t, url, fresh()); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("of an unknown authority: got %v", err)
	}
	wantUnavailable(t, "plain text to TLS", refused(t, "redis://127.0.0.1:"+port, fresh()))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// certificate makes one that is its own authority, for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}
