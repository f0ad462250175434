package enginetest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A guard outlives the test binary for a moment, to end what that has started.
// It is a shell that reads from a pipe whose other end only the test binary has:
// when the binary ends, also by SIGKILL, the guard reads the end of it. Each line
// that it has read is the set of processes to kill then, the last one counts.
// It alone removes the directory, so that is done in every case.
//
// Pdeathsig would not do: it ends the child with the thread that started it, not
// with the process, and knows neither directories nor stopped grandchildren.
type guard struct {
	dir  string
	line *os.File // open for writing
	cmd  *exec.Cmd
}

// watch is the guard's script. It ignores the terminal's Ctrl-C, which is for
// the test binary. A PostgreSQL that was killed leaves a small segment of shared
// memory, named in line 7 of its pid file, of which a machine has few.
const watch = `trap '' HUP INT TERM
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids
shm=$(sed -n '7s/.* //p' "$1"/data/postmaster.pid) && [ -n "$shm" ] && ipcrm -m "$shm"
for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.1; done
`

// announce is the script by which an engine starts: it tells the guard its own
// process, which stays the same through exec. So there is no moment in which the
// engine runs and the guard does not know it.
const announce = `echo $$ >&3 && exec "$@" 3>&-`

// newGuard makes a directory that the guard removes at its end.
func newGuard(parent, name string) (*guard, error) {
	dir, err := os.MkdirTemp(parent, "rollcall-"+name+"-")
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	g := &guard{dir: dir, line: write, cmd: exec.Command("/bin/sh", "-c", watch, "guard", dir)} //nolint:noctx // it ends by its pipe
	g.cmd.Stdin = read
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = g.cmd.Start()
	return g, firstOf(err, read.Close())
}

// command returns a program's run under the guard's eyes. It may be started
// once; a run before it has to have ended.
func (g *guard) command(argv []string, output io.Writer) *exec.Cmd {
	args := append([]string{"-c", announce, "engine"}, argv...)
	cmd := exec.Command("/bin/sh", args...) //nolint:noctx // it ends by signals
	cmd.Dir, cmd.Stdout, cmd.Stderr = g.dir, output, output
	cmd.ExtraFiles = []*os.File{g.line}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// know tells the guard what is to be killed from now on. Where the guard is
// gone, nothing can be done about it.
func (g *guard) know(pids ...int) {
	fmt.Fprintln(g.line, strings.Trim(fmt.Sprint(pids), "[]"))
}

// close ends the guard, and by that removes the directory.
func (g *guard) close() error {
	return firstOf(g.line.Close(), g.cmd.Wait())
}

// firstOf returns the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
