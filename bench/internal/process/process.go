// Package process runs a contestant and measures it: the CPU time and the memory
// of the process and of everything it has started, read from /proc, so it works on
// Linux only.
package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

// A Usage is what a run took from its beginning, see [Process.Begin], to its end
// event.
type Usage struct {
	contest.End
	Time   time.Duration
	CPU    time.Duration // user and kernel, of the whole tree of processes
	Memory int64         // the peak of the tree in bytes, the sum of its processes' own
}

// A Process is a contestant that runs.
type Process struct {
	cmd        *exec.Cmd
	in         io.Closer
	out        io.Reader
	complaints bytes.Buffer

	once  sync.Once
	began time.Time
	cpu   time.Duration // used by then
}

// New returns a command as a contestant, to be started.
func New(cmd *exec.Cmd) *Process { return &Process{cmd: cmd} }

// Start starts it.
func (p *Process) Start() (err error) {
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return err
	}
	p.cmd.Stderr = &p.complaints
	return p.cmd.Start()
}

// Begin begins what counts. Only the first call does anything.
func (p *Process) Begin() {
	p.once.Do(func() {
		p.cpu, _ = measure(p.cmd.Process.Pid)
		p.began = time.Now()
	})
}

// Wait waits for the end event, and ends the process and what it has started; also
// when it takes longer than timeout. at is called with each event.
func (p *Process) Wait(timeout time.Duration, at func(event string)) (Usage, error) {
	pid := p.cmd.Process.Pid
	guard := time.AfterFunc(timeout, func() { kill(pid) })
	defer guard.Stop()
	u, err := p.follow(at)
	tree := descendants(pid)
	if err != nil {
		kill(pid)
	}
	p.in.Close() //nolint:errcheck // the process may have ended by itself
	waited := p.cmd.Wait()
	for _, child := range tree {
		kill(child) // that outlives its parent
	}
	if err != nil || waited != nil {
		return u, fmt.Errorf("%w\n%s", errors.Join(err, waited), p.complaints.Bytes())
	}
	return u, nil
}

// follow reads events until the end.
func (p *Process) follow(at func(string)) (u Usage, err error) {
	lines := bufio.NewScanner(p.out)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "{") {
			continue // a library that talks
		}
		if err := json.Unmarshal(lines.Bytes(), &u.End); err != nil {
			return u, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		at(u.Event)
		if u.Event == "end" {
			p.Begin() // if nothing did, nothing is measured
			u.Time = time.Since(p.began)
			cpu, memory := measure(p.cmd.Process.Pid)
			u.CPU, u.Memory = cpu-p.cpu, memory
			return u, nil
		}
	}
	return u, errors.Join(lines.Err(), errors.New("ended without an end event"))
}

// measure returns the CPU time and the peak memory of a process and its
// descendants.
func measure(pid int) (cpu time.Duration, memory int64) {
	for _, p := range append(descendants(pid), pid) {
		cpu += cpuOf(p)
		memory += peakOf(p)
	}
	return cpu, memory
}

// tick is the unit of time in /proc, the same on every Linux.
const tick = 10 * time.Millisecond

func cpuOf(pid int) time.Duration {
	f := stat(pid)
	if len(f) < 15 {
		return 0
	}
	var sum int64
	for _, s := range f[11:15] { // utime, stime and those of children waited for
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		sum += n
	}
	return time.Duration(sum) * tick
}

// stat returns the fields of /proc/pid/stat behind the name, which may have
// blanks in it.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil // it has ended
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// descendants returns the processes that pid has started, and those they have.
func descendants(pid int) (tree []int) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	children := make(map[int][]int)
	for _, path := range paths {
		p, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if f := stat(p); len(f) > 1 {
			if parent, err := strconv.Atoi(f[1]); err == nil {
				children[parent] = append(children[parent], p)
			}
		}
	}
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		tree = append(tree, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return tree
}

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill() //nolint:errcheck // it may have ended by itself
	}
}
