package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// An errand is what a client of Redis alone does again and again: the commands of
// one check, without a check around them.
type errand struct {
	Address  string     `json:"address"`
	Commands [][][]byte `json:"commands"` // each its words
}

// overhear returns the commands that Redis is sent for each check. Nodes send some
// on their own, a few or hundreds at a time: it listens twice, and to what comes
// without checks.
func overhear(ctx context.Context, address string, do func() error) (*errand, error) {
	e, err := overhearSome(ctx, address, 100, do)
	if err != nil {
		return nil, err
	}
	again, err := overhearSome(ctx, address, 150, do)
	if err != nil {
		return nil, err
	}
	e.Commands = slices.DeleteFunc(e.Commands, func(words [][]byte) bool {
		return !slices.ContainsFunc(again.Commands, func(other [][]byte) bool { return commandName(words) == commandName(other) })
	})
	if len(e.Commands) == 0 {
		return nil, errors.New("no command of a check was overheard")
	}
	return e, nil
}

func overhearSome(ctx context.Context, address string, checks int, do func() error) (*errand, error) {
	begun := time.Now()
	with, err := listen(ctx, address, func() error {
		for range checks {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(begun)
	without, err := listen(ctx, address, func() error {
		time.Sleep(took)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e := &errand{Address: address}
	for _, name := range with.names {
		if n := with.count[name] - without.count[name]; n >= checks*9/10 && n <= checks*11/10 {
			e.Commands = append(e.Commands, with.last[name])
		}
	}
	return e, nil
}

// heard is the commands that a monitor has shown, by their names.
type heard struct {
	names []string // as they came first
	count map[string]int
	last  map[string][][]byte
}

// listen returns what Redis is sent while something is done.
func listen(ctx context.Context, address string, do func() error) (*heard, error) {
	conn, hangUp, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	if err := send(conn.Writer, []byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	if _, err := conn.ReadString('\n'); err != nil {
		return nil, err
	}
	const end = "the end of what is overheard"
	done := make(chan error, 1)
	go func() { // a monitor that is not read is hung up on
		err := do()
		mark, hangUp, dialErr := dial(ctx, address)
		if dialErr == nil {
			err = errors.Join(err, send(mark.Writer, fmt.Appendf(nil, "ECHO %q\r\n", end)))
			_, _ = mark.ReadString('\n')
			hangUp()
		}
		done <- errors.Join(err, dialErr)
	}()
	h := &heard{count: map[string]int{}, last: map[string][][]byte{}}
	for {
		line, err := conn.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if strings.Contains(line, end) {
			return h, <-done
		}
		h.note(line)
	}
}

// note takes up a line of a monitor: time, who, and the words of a command.
func (h *heard) note(line string) {
	_, rest, _ := strings.Cut(line, "] ")
	words, err := splitWords(rest)
	if err != nil || len(words) < 2 || strings.Contains(line, " lua] ") {
		return // what a script does is of that script
	}
	name := commandName(words)
	if h.count[name]++; h.count[name] == 1 {
		h.names = append(h.names, name)
	}
	h.last[name] = words
}

// commandName is a command's, with that of its script.
func commandName(words [][]byte) string {
	name := string(words[0])
	if strings.HasPrefix(name, "EVAL") {
		name += string(words[1])
	}
	return name
}

// splitWords reads words as a monitor writes them: in quotes, with C's escapes.
func splitWords(line string) (words [][]byte, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words, line = append(words, []byte(word)), line[len(quoted):]
	}
	return words, nil
}

// names says in short what the commands are.
func (e *errand) names() string {
	var all []string
	for _, words := range e.Commands {
		all = append(all, string(words[0]))
	}
	return strings.Join(all, " + ")
}

const aloneName = "Redis alone: a check's commands"

// startAlone runs this very program as a client of Redis alone.
func startAlone(ctx context.Context, dir string, core int, e *errand) (*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "errand.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	p, err := serves(ctx, "client of Redis alone", core, self, "-engine", file)
	if err != nil {
		return nil, err
	}
	return &contender{name: aloneName, server: p, do: func(ctx context.Context, n, conns int) (s sample, err error) {
		var t ranFor
		s, err = watched(p, n, func() (err error) {
			t, err = askAlone(ctx, p.address, n, conns)
			return err
		})
		s.p50, s.p99, s.p999, s.max = t.P50, t.P99, t.P999, t.Max
		return s, err
	}}, nil
}

// ranFor is how long the commands of a check took.
type ranFor struct{ P50, P99, P999, Max time.Duration }

func askAlone(ctx context.Context, address string, n, conns int) (t ranFor, err error) {
	query := url.Values{"n": {strconv.Itoa(n)}, "conns": {strconv.Itoa(conns)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/?"+query.Encode(), nil)
	if err != nil {
		return t, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return t, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return t, errors.Join(err, fmt.Errorf("%s: %s", res.Status, text))
	}
	return t, json.Unmarshal(text, &t)
}

// serveEngine does the errand of a file as often as it is told to.
func serveEngine(ctx context.Context, file string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var e errand
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{e.Address}, DisableCache: true, MaxFlushDelay: 100 * time.Microsecond, // the least that a client can take
	})
	if err != nil {
		return err
	}
	defer client.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r := &runner{errand: e, client: client}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(out, "serving %s\n", l.Addr())
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// A runner does an errand.
type runner struct {
	errand errand
	client rueidis.Client
	nonces atomic.Int64
}

func (r *runner) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n, err1 := strconv.Atoi(req.FormValue("n"))
	conns, err2 := strconv.Atoi(req.FormValue("conns"))
	if err := errors.Join(err1, err2); err != nil || conns < 1 {
		http.Error(w, "want n and conns", http.StatusBadRequest)
		return
	}
	times, errs := make([]time.Duration, n), make([]error, conns)
	var all sync.WaitGroup
	for c := range conns {
		all.Go(func() {
			for i := c; i < n && errs[c] == nil; i += conns {
				begun := time.Now()
				errs[c] = r.once(req.Context())
				times[i] = time.Since(begun)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s := sample{}.timed(times)
	_ = json.NewEncoder(w).Encode(ranFor{s.p50, s.p99, s.p999, s.max})
}

// once sends the commands together. What a script writes first, the nonce, is
// another each time.
func (r *runner) once(ctx context.Context) error {
	all := make(rueidis.Commands, 0, 4)
	for _, words := range r.errand.Commands {
		b := r.client.B().Arbitrary(string(words[0]))
		if !strings.HasPrefix(string(words[0]), "EVAL") {
			all = append(all, b.Keys(text(words[1:])...).Build())
			continue
		}
		keys, _ := strconv.Atoi(string(words[2]))
		named := text(words[3 : 3+keys])
		named[0] = renewed64(named[0], r.nonces.Add(1))
		all = append(all, b.Args(string(words[1]), string(words[2])).Keys(named...).Args(text(words[3+keys:])...).Build())
	}
	for i, answer := range r.client.DoMulti(ctx, all...) {
		if _, err := answer.ToAny(); err != nil { // nil too: that is a claim that was not made
			return fmt.Errorf("%s: %w", r.errand.Commands[i][0], err)
		}
	}
	return nil
}

// renewed64 puts a number in the place of the last 8 bytes of a key.
func renewed64(key string, n int64) string {
	return fmt.Sprintf("%s%08x", key[:max(0, len(key)-8)], uint32(n))
}

func text(words [][]byte) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = string(word)
	}
	return all
}
