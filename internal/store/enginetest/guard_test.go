package enginetest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const victimOf = "ROLLCALL_TEST_VICTIM"

// TestVictim is the test binary that TestBinaryKilled kills.
func TestVictim(t *testing.T) {
	if os.Getenv(victimOf) == "" {
		t.Skip("runs only as a child of TestBinaryKilled") // by its nature
	}
	paused := Redis(t)
	postgres := OwnPostgres(t)
	processes := []*process{Redis(t).p, paused.p, postgres.p, Postgres(t).p}
	for _, p := range processes {
		fmt.Println("directory", p.guard.dir)
		for _, pid := range append(childrenOf(p.leader.Pid), p.leader.Pid) {
			fmt.Println("process", pid)
		}
	}
	paused.Pause()
	postgres.Pause()
	fmt.Println("ready")
	select {}
}

// No engine and no directory outlives a test binary that is killed, not even
// those that were paused.
func TestBinaryKilled(t *testing.T) {
	redisProgram(t) // the victim could not be skipped
	binDir(t)
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), victimOf+"="+t.Name())
	output, err := victim.StdoutPipe()
	must(t, "pipe", err)
	must(t, "start", victim.Start())
	defer victim.Process.Kill()
	var pids []int
	var dirs []string
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "ready" {
		switch word, what, _ := strings.Cut(lines.Text(), " "); word {
		case "directory":
			dirs = append(dirs, what)
		case "process":
			pid, _ := strconv.Atoi(what)
			pids = append(pids, pid)
		}
	}
	if len(dirs) != 4 || len(pids) < 12 {
		t.Fatalf("got %d directories and %d processes, want 4 and two servers' families", len(dirs), len(pids))
	}
	must(t, "kill", victim.Process.Kill())
	must(t, "what outlived the test binary", until(nil, func() (err error) {
		for _, pid := range pids {
			if alive(pid) {
				err = errors.Join(err, fmt.Errorf("process %d runs", pid))
			}
		}
		for _, dir := range dirs {
			if _, e := os.Stat(dir); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("%s is there", dir))
			}
		}
		return err
	}))
	victim.Wait()
}

// What a test leaves is nothing either.
func TestNothingLeft(t *testing.T) {
	var left []*process
	t.Run("engines", func(t *testing.T) {
		left = append(left, Redis(t).p, OwnPostgres(t).p)
		Redis(t).Kill()
	})
	for _, p := range left {
		if alive(p.leader.Pid) || alive(p.guard.cmd.Process.Pid) {
			t.Errorf("%s runs", p.name)
		}
		if _, err := os.Stat(p.guard.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: its directory is there", p.name)
		}
	}
}

// A port stays a server's own while that is down.
func TestPortHeld(t *testing.T) {
	if !isLinux {
		t.Skip("only Linux shares a port so") // by its nature
	}
	s := Redis(t)
	s.Kill()
	if p, err := takePort(s.port.number); err == nil {
		p.free()
		t.Error("the port of a server that is down could be taken")
	}
	s.Restart()
	if p, err := takePort(s.port.number); err == nil {
		p.free()
		t.Error("the port of a server that runs could be taken")
	}
}
