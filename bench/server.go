package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-server/rollcall/wire"
)

// A process is a server that is measured.
type process struct {
	name        string
	cmd         *exec.Cmd
	address     string // host:port of the server
	credentials string // file, of the sandbox
}

// startSandbox builds the real binary and runs its sandbox on one core.
func startSandbox(ctx context.Context, dir string, core int) (*process, error) {
	binary := filepath.Join(dir, "rollcall")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/rollcall")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build: %w (run the bench from the project's root)", err)
	}
	p := &process{name: "rollcall", credentials: filepath.Join(dir, "credentials.json")}
	ready, err := p.start(ctx, core, "Ctrl-C", binary, "sandbox", "--data", filepath.Join(dir, "data"),
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--credentials", p.credentials)
	if err != nil {
		return nil, err
	}
	var c struct {
		BaseURL string `json:"baseUrl"`
	}
	if err := readJSON(p.credentials, &c); err != nil {
		return nil, fmt.Errorf("%w after %q", err, ready)
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, err
	}
	p.address = u.Host
	return p, nil
}

// startFloor runs this very program as the floor.
func startFloor(ctx context.Context, dir string, core int, answer []byte) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "answer.json")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		return nil, err
	}
	p := &process{name: "floor"}
	line, err := p.start(ctx, core, "serving", self, "-floor", file)
	if err != nil {
		return nil, err
	}
	p.address = strings.TrimPrefix(line, "serving ")
	return p, nil
}

// start runs a command on one core until a line of its output begins with ready,
// and returns that line.
func (p *process) start(ctx context.Context, core int, ready string, args ...string) (string, error) {
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core)}, args...)...)
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ready) {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return lines.Text(), nil
		}
	}
	return "", fmt.Errorf("%s did not start: %w", p.name, p.cmd.Wait())
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// cpu returns the user and system time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// Behind the command's name in parentheses: state is field 3 of proc(5),
	// utime 14 and stime 15, in hundredths of a second.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// leaveCore moves this process, the load, to all cores but one.
func leaveCore(core int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	if set.Count() < 2 {
		return fmt.Errorf("the bench wants two cores: one for the server, one for the load")
	}
	set.Clear(core)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	return nil
}

// serveFloor serves the bytes of file to every request, with the headers that
// rollcall sends, until ctx ends. An empty file name does nothing.
func serveFloor(ctx context.Context, file string, out io.Writer) error {
	if file == "" {
		return nil
	}
	answer, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				return
			}
			h := w.Header()
			h["Content-Type"] = []string{"application/json"}
			h["Content-Length"] = []string{strconv.Itoa(len(answer))}
			h[wire.HeaderLogUUID] = []string{"955585ed-adeb-436e-8be0-ebf2b81b7d15"}
			_, _ = w.Write(answer)
		}),
	}
	fmt.Fprintf(out, "serving %s\n", l.Addr())
	ctx, stop := unixSignals(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
