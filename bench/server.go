package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a server that is measured.
type process struct {
	name    string
	cmd     *exec.Cmd
	address string // host:port
}

// build builds a program: its folder from the project's root.
func build(ctx context.Context, folder, binary string) error {
	// A folder of a module of its own is built from within.
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w (run the bench from the project's root)", folder, err)
	}
	return nil
}

// serves runs a command that says "serving" and its address.
func serves(ctx context.Context, name string, core int, args ...string) (*process, error) {
	p := &process{name: name}
	line, err := p.start(ctx, core, "serving", args...)
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

// cpu returns the user and system time that the process has used, to the
// nanosecond: /proc tells hundredths of a second.
func (p *process) cpu() (time.Duration, error) {
	var t unix.Timespec
	// clock_getcpuclockid(3): the process's clock, of all its threads.
	clock := ^p.cmd.Process.Pid<<3 | 2
	if err := unix.ClockGettime(int32(clock), &t); err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", p.name, err)
	}
	return time.Duration(t.Nano()), nil
}

// ownCPU is cpu of this process, the load.
func ownCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
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
