package enginetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const isLinux = runtime.GOOS == "linux"

// signal is for processes that may be gone.
func signal(pid int, sig syscall.Signal) { _ = syscall.Kill(pid, sig) }

// alive reports whether a process runs or is stopped. One that has ended and
// waits for its parent to notice is not alive.
func alive(pid int) bool {
	s := state(pid)
	return s != 0 && s != 'Z' && s != 'X'
}

// state returns a process's state as ps writes it, T for stopped and Z for ended
// and not noticed, and 0 for none.
func state(pid int) byte {
	if !isLinux {
		return (ps("-o", "stat=", "-p", strconv.Itoa(pid)) + "\x00")[0]
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return rest[0]
}

// childrenOf lists the processes that a process has started.
func childrenOf(pid int) (children []int) {
	if isLinux {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return nil // it has just ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, _ := strconv.Atoi(field)
			children = append(children, child)
		}
		return children
	}
	for line := range strings.Lines(ps("-A", "-o", "pid=", "-o", "ppid=")) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// ps answers, in POSIX's words, where there is no /proc.
func ps(args ...string) string {
	text, err := exec.Command("ps", args...).Output() //nolint:noctx // it takes a moment
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
