package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/wire"
)

// A node is a 'rollcall serve' on data of its own.
type node struct {
	*process

	o      options
	dir    string
	sync   string
	extra  []string // of serve's flags
	token  string   // an admin token
	admin  *admin.Client
	listen string // host:port of the admin API
	born   time.Time
}

// newNode makes data in dir and serves them. The load leaves the server's core.
func newNode(ctx context.Context, o options, dir, sync string) (*node, error) {
	token, err := initStores(ctx, dir)
	if err != nil {
		return nil, err
	}
	n := &node{o: o, dir: dir, sync: sync, token: token, born: time.Now()}
	if err := n.serve(ctx); err != nil {
		return nil, err
	}
	return n, leaveCore(o.core)
}

// initStores makes the stores that flags name, or those in dir/data, and returns
// the first admin token.
func initStores(ctx context.Context, dir string, flags ...string) (token string, err error) {
	file := filepath.Join(dir, "credentials.json")
	args := append([]string{"init", "--data", filepath.Join(dir, "data"), "--credentials", file}, flags...)
	init := exec.CommandContext(ctx, filepath.Join(dir, "rollcall"), args...)
	init.Stderr = os.Stderr
	if err := init.Run(); err != nil {
		return "", fmt.Errorf("rollcall init: %w", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var c struct{ AdminToken string }
	err = json.Unmarshal(text, &c)
	return c.AdminToken, err
}

var servingAt = regexp.MustCompile(`v2=http://(\S+) .*admin=http://(\S+)`)

// serve starts the process and waits until it is ready.
func (n *node) serve(ctx context.Context) error {
	n.process = &process{name: "rollcall"}
	args := append([]string{
		filepath.Join(n.dir, "rollcall"), "serve", "--data", filepath.Join(n.dir, "data"),
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--sync", n.sync, "--drain-delay", "0s",
		"--rate-limit", "1000000", "--address-rate", "1000000", // on, and never met
	}, n.extra...)
	line, err := n.start(ctx, n.o.core, "msg=serving", args...)
	if err != nil {
		return err
	}
	at := servingAt.FindStringSubmatch(line)
	if at == nil {
		return fmt.Errorf("no addresses in %q", line)
	}
	n.address, n.listen = at[1], at[2]
	n.admin = admin.New(admin.Options{URL: "http://" + n.listen, Token: n.token, HTTPClient: &http.Client{Timeout: 5 * time.Minute}})
	return n.until(ctx, "ready", 5*time.Millisecond, func() (bool, error) {
		_, err := n.get(ctx, "/readyz")
		return err == nil, nil
	})
}

// until asks again and again until something is so, for 10 minutes at the most.
func (n *node) until(ctx context.Context, what string, every time.Duration, is func() (bool, error)) error {
	end := time.Now().Add(10 * time.Minute)
	for time.Now().Before(end) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
	return fmt.Errorf("not %s within 10 minutes", what)
}

// get reads a path of the admin listener.
func (n *node) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+n.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return io.ReadAll(res.Body)
}

// A memory is how much a process holds, in bytes: rss is resident; live is what
// of its heap is in use, and stacks its goroutines' stacks, after a collection.
type memory struct{ rss, live, stacks int }

// memory has the process collect its garbage, waits until it gives no more back,
// and looks.
func (n *node) memory(ctx context.Context) (m memory, err error) {
	text, err := n.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return m, err
	}
	for _, v := range []struct {
		name string
		to   *int
	}{{"# HeapAlloc = ", &m.live}, {"# Stack = ", &m.stacks}} {
		_, rest, _ := bytes.Cut(text, []byte(v.name))
		if *v.to, err = strconv.Atoi(string(bytes.FieldsFunc(rest, notDigit)[0])); err != nil {
			return m, err
		}
	}
	last, same := 0, 0
	err = n.until(ctx, "settled", time.Second, func() (bool, error) {
		if m.rss, err = n.rss(); err != nil {
			return false, err
		}
		if same++; last-m.rss > m.rss/200 || m.rss-last > m.rss/200 {
			last, same = m.rss, 0
		}
		return same >= 4, nil
	})
	return m, err
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// create makes something by the admin API.
func (n *node) create(ctx context.Context, path string, in, out any) error {
	return n.admin.Do(ctx, http.MethodPost, admin.Prefix+path, in, out)
}

const (
	branch = "THB"
	game   = "VP_230001_1"
	boot   = "boot-1"
)

// furnish makes a branch and a game. Its sessions live for lease seconds without
// a heartbeat; 0: for the server's 90.
func (n *node) furnish(ctx context.Context, lease int) error {
	if err := n.create(ctx, "/branches", admin.BranchCreate{ID: branch, Currency: "THB"}, nil); err != nil {
		return err
	}
	return n.create(ctx, "/games", admin.GameCreate{
		Code: game, Modes: []rollcall.Mode{rollcall.ModeReal}, LaunchURL: "https://games.example.com/", LeaseSeconds: lease,
	}, nil)
}

// agent makes an agent and its signer.
func (n *node) agent(ctx context.Context, id string) (*signer, error) {
	var made admin.AgentCreated
	if err := n.create(ctx, "/agents", admin.AgentCreate{ID: id, BranchID: branch, Wallet: rollcall.WalletTransfer}, &made); err != nil {
		return nil, err
	}
	return newSigner(ctx, n.address, id, made.APIKey, made.SecretKey)
}

// gameServer makes a game server, boots it and returns its token.
func (n *node) gameServer(ctx context.Context, id string) (string, error) {
	var made admin.GameServerCreated
	if err := n.create(ctx, "/game-servers", admin.GameServerCreate{ID: id}, &made); err != nil {
		return "", err
	}
	return made.Token, n.once(post(wire.PathGameBoot, n.address, made.Token, wire.BootRequest{BootID: boot}))
}

// members makes members of an agent, over many connections.
func (n *node) members(ctx context.Context, agent string, names []string) (sample, error) {
	requests := make([][]byte, len(names))
	for i, name := range names {
		requests[i] = post(admin.Path("agents", agent, "members"), n.listen, n.token, admin.MemberCreate{Username: name})
	}
	return load(ctx, n.process, job{address: n.listen, requests: requests, conns: 16})
}

// once makes one call and drops the answer.
func (n *node) once(request []byte) error {
	_, err := load(context.Background(), n.process, job{address: n.address, requests: [][]byte{request}, conns: 1})
	return err
}

// post returns a call with a bearer token as the bytes that go over the connection.
func post(path, host, token string, in any) []byte {
	body, err := json.Marshal(in)
	if err != nil {
		panic(err) // of types of ours
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, host, token, len(body))
	text.Write(body)
	return text.Bytes()
}

// launchToken returns the token of the answer to a launch.
func launchToken(body []byte) (string, error) {
	reply, err := wire.ParseReply(body)
	if err != nil {
		return "", err
	}
	var opened wire.OpenGameResponse
	if err := json.Unmarshal(reply.Data, &opened); err != nil {
		return "", err
	}
	_, token, ok := strings.Cut(opened.GameLaunchURL, "token=")
	if !ok {
		return "", fmt.Errorf("no token in %s", opened.GameLaunchURL)
	}
	return token, nil
}

// dial opens a connection.
func dial(ctx context.Context, address string) (*bufio.ReadWriter, func(), error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	return bufio.NewReadWriter(bufio.NewReaderSize(conn, 4096), bufio.NewWriterSize(conn, 4096)), func() { conn.Close() }, nil
}
