package enginetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one engine, from start to start: it keeps its directory, where
// data lie in Dir/data, and its output.
type process struct {
	name  string
	argv  []string
	who   *syscall.Credential // nil is who runs the tests
	guard *guard

	mu     sync.Mutex // of what follows
	leader *os.Process
	ended  chan struct{} // closed when the leader has ended, nil before the first start
	result error         // how it ended
}

// newProcess makes the process's directory under parent, but starts nothing.
func newProcess(parent, name string) (*process, error) {
	g, err := newGuard(parent, name)
	if err != nil {
		return nil, err
	}
	return &process{name: name, guard: g}, os.Mkdir(filepath.Join(g.dir, "data"), 0o700)
}

func (p *process) data() string   { return filepath.Join(p.guard.dir, "data") }
func (p *process) output() string { return filepath.Join(p.guard.dir, "output") }

// start runs the program until ready finds nothing wrong.
func (p *process) start(ready func() error) error {
	ended, err := p.run(p.argv)
	if err == nil {
		err = until(ended, ready)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w\n%s", p.name, err, p.tail(20))
	}
	return nil
}

// run starts a program and returns at once. The channel closes when it ends.
func (p *process) run(argv []string) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isRunning() {
		return nil, errors.New("it runs already")
	}
	out, err := os.OpenFile(p.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := p.guard.command(argv, out)
	cmd.SysProcAttr.Credential = p.who
	if err := firstOf(cmd.Start(), out.Close()); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	p.leader, p.ended = cmd.Process, ended
	go func() {
		p.result = cmd.Wait()
		p.guard.know() // before anybody may start it anew
		close(ended)
	}()
	return ended, nil
}

// isRunning is for who holds the lock.
func (p *process) isRunning() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isRunning()
}

// answering reports whether the process runs and is not paused.
func (p *process) answering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isRunning() && state(p.leader.Pid) != 'T'
}

// wait returns when the leader has ended.
func (p *process) wait(limit time.Duration) error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s did not end within %v", p.name, limit)
	}
}

// pause stops the leader and then its children, so that none comes to be
// meanwhile, and returns them all, the leader first. PostgreSQL's children are
// sessions of their own, which a signal to the process group does not reach.
func (p *process) pause() ([]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isRunning() {
		return nil, os.ErrProcessDone
	}
	if err := p.leader.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	family := []int{p.leader.Pid}
	if err := until(nil, func() error { return stopped(family) }); err != nil {
		return nil, err
	}
	family = append(family, childrenOf(p.leader.Pid)...)
	p.guard.know(family...)
	for _, child := range family[1:] {
		signal(child, syscall.SIGSTOP)
	}
	return family, until(nil, func() error { return stopped(family) })
}

// stopped says which process does not stand still yet. A signal takes a moment
// to arrive: until then the leader may be at starting a child.
func stopped(family []int) error {
	for _, pid := range family {
		if s := state(pid); alive(pid) && s != 'T' {
			return fmt.Errorf("process %d has state %c after SIGSTOP", pid, s)
		}
	}
	return nil
}

func (p *process) resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isRunning() {
		return os.ErrProcessDone
	}
	for _, child := range childrenOf(p.leader.Pid) {
		signal(child, syscall.SIGCONT)
	}
	p.guard.know(p.leader.Pid)
	return p.leader.Signal(syscall.SIGCONT)
}

// kill ends the whole family by SIGKILL and returns when it is gone. It is no
// error that it was gone before.
func (p *process) kill() error {
	family, err := p.pause()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	for _, pid := range family {
		signal(pid, syscall.SIGKILL)
	}
	return firstOf(err, p.wait(patience), until(nil, func() error {
		if slices.ContainsFunc(family, alive) {
			return fmt.Errorf("%s: of the processes %v some are still there", p.name, family)
		}
		return nil
	}))
}

// stop asks the process to end, by the signal that its engine takes for that. It
// asks more than once: a Redis that writes its first file after a replication
// declines, and forgets about it.
func (p *process) stop(sig syscall.Signal) error {
	err := p.resume()
	for range int(patience / time.Second) {
		if err == nil {
			err = p.leader.Signal(sig)
		}
		switch {
		case errors.Is(err, os.ErrProcessDone):
			return nil
		case err != nil:
			return err
		case p.wait(time.Second) == nil:
			return nil
		}
	}
	return fmt.Errorf("%s did not end within %v of %v", p.name, patience, sig)
}

// close kills what still runs and removes the directory.
func (p *process) close() error { return firstOf(p.kill(), p.guard.close()) }

// tail returns the last lines of what the process has written.
func (p *process) tail(lines int) string {
	text, err := os.ReadFile(p.output())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
