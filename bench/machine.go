package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machineRows says where the figures come from.
func machineRows(ctx context.Context) [][]string {
	rows := [][]string{
		{"date", time.Now().UTC().Format("2006-01-02 15:04 MST")},
		{"commit", commit(ctx)},
		{"processor", fmt.Sprintf("%s, %d cores", processor(), runtime.NumCPU())},
		{"memory", memoryOf()},
		{"kernel", firstLine(ctx, "uname", "-sr")},
		{"Go", runtime.Version()},
	}
	for _, program := range [][]string{{"node", "--version"}, {"redis-server", "--version"}, {"postgres", "--version"}} {
		rows = append(rows, []string{program[0], firstLine(ctx, program...)})
	}
	return append(rows, []string{"centrifuge", requiredVersion(centrifugeFolder+"/go.mod", "github.com/centrifugal/centrifuge")})
}

func commit(ctx context.Context) string {
	text := firstLine(ctx, "git", "rev-parse", "--short", "HEAD")
	if changed := firstLine(ctx, "git", "status", "--porcelain", "--untracked-files=no"); changed != "–" {
		text += ", with changes"
	}
	return text
}

// firstLine runs a program and returns the first line that it writes; "–" where
// there is none.
func firstLine(ctx context.Context, args ...string) string {
	text, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err != nil || line == "" {
		return "–"
	}
	return line
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, found := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(rest, "\n")
	if !found {
		return runtime.GOARCH
	}
	return strings.Trim(name, "\t :")
}

func memoryOf() string {
	text, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(text), "MemTotal:")
	words := strings.Fields(rest)
	if len(words) == 0 {
		return "–"
	}
	kilobytes, _ := strconv.Atoi(words[0])
	return fmt.Sprintf("%.0f GiB", float64(kilobytes)/(1<<20))
}

// requiredVersion returns that of a module in a go.mod.
func requiredVersion(file, module string) string {
	text, _ := os.ReadFile(file)
	_, rest, _ := strings.Cut(string(text), "require "+module+" ")
	if words := strings.Fields(rest); len(words) > 0 {
		return words[0]
	}
	return "–"
}

// busy is what part of all cores' time the machine is at work, looked at for some
// time in which this program does nothing.
func busy(ctx context.Context, d time.Duration) float64 {
	before := ticks()
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	after := ticks()
	if all := after.all - before.all; all > 0 {
		return 1 - float64(after.idle-before.idle)/float64(all)
	}
	return 0
}

// tick counts are those of the first line of /proc/stat.
type tickCounts struct{ all, idle int }

func ticks() (t tickCounts) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, word := range strings.Fields(line) {
		n, err := strconv.Atoi(word)
		if err != nil || i > 8 {
			continue // the name in front; and guests, who are in the rest
		}
		t.all += n
		if i == 4 || i == 5 { // idle, and waiting for a disk
			t.idle += n
		}
	}
	return t
}
