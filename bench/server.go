package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
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
	name    string
	cmd     *exec.Cmd
	address string // host:port
}

// build builds the real binary.
func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/rollcall")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build: %w (run the bench from the project's root)", err)
	}
	return nil
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
	_, p.address, _ = strings.Cut(line, "serving ")
	return p, nil
}

// start runs a command on one core until a line of its output has ready in it,
// and returns that line. Of what comes after it, warnings and errors are shown.
func (p *process) start(ctx context.Context, core int, ready string, args ...string) (string, error) {
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core)}, args...)...)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	output, into, err := os.Pipe()
	if err != nil {
		return "", err
	}
	p.cmd.Stdout, p.cmd.Stderr = into, into
	err = p.cmd.Start()
	if err := errors.Join(err, into.Close()); err != nil {
		return "", err
	}
	var seen strings.Builder
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), ready) {
			go p.watch(lines)
			return lines.Text(), nil
		}
		seen.WriteString(lines.Text() + "\n")
	}
	return "", fmt.Errorf("%s did not start: %w\n%s", p.name, p.cmd.Wait(), &seen)
}

func (p *process) watch(lines *bufio.Scanner) {
	for lines.Scan() {
		if line := lines.Text(); !strings.Contains(line, "level=INFO") {
			fmt.Fprintln(os.Stderr, p.name+":", line)
		}
	}
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

// rss returns how much memory of the process is resident, in bytes.
func (p *process) rss() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("no VmRSS in /proc")
	}
	kilobytes, err := strconv.Atoi(fields[0])
	return kilobytes << 10, err
}

// leaveCore moves this process, the load, to all cores but one.
func leaveCore(core int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	set.Clear(core)
	if set.Count() == 0 {
		return errors.New("the bench wants two cores: one for the server, one for the load")
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// serveFloor serves the bytes of file to every request, with the headers that
// rollcall sends, until ctx ends.
func serveFloor(ctx context.Context, file string, out io.Writer) error {
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
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
