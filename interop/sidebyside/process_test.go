//go:build java

package sidebyside

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a program that was started and will be ended.
type process struct {
	name  string
	cmd   *exec.Cmd
	begun time.Time
	log   string // file with its standard error
	done  chan struct{}
	err   error // after done
}

// start runs a program at low priority. Each line of its standard output goes to
// line, on a goroutine that ends with the program. The test's cleanup kills what
// still runs.
func start(t *testing.T, dir, name string, line func(text []byte), argv ...string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".err"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	out, err := os.Create(filepath.Join(dir, name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nice", append([]string{"-n", "5"}, argv...)...)
	cmd.Stderr = log
	for _, v := range os.Environ() { // a bundle of certificates or a proxy would break loopback
		if !strings.Contains(strings.ToUpper(v), "CA_BUNDLE=") && !strings.HasPrefix(v, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, cmd: cmd, begun: time.Now(), log: log.Name(), done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(p.done)
		defer out.Close()
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 32<<20)
		for lines.Scan() {
			fmt.Fprintf(out, "%s\n", lines.Bytes())
			line(lines.Bytes())
		}
		p.err = cmd.Wait()
	})
	t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
		wg.Wait()
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(s) // it may end at this moment
	}
}

// ended waits for the process to end by itself.
func (p *process) ended(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-p.done:
		if p.err != nil {
			t.Errorf("%s ended with %v: %s", p.name, p.err, tail(p.log))
		}
	case <-time.After(within):
		t.Fatalf("%s still runs after %v: %s", p.name, within, tail(p.log))
	}
}

// tail returns the end of a file.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return "\n" + string(text[max(0, len(text)-2000):])
}

// usage returns what the process has used: resident memory in MiB and CPU time.
func (p *process) usage(t *testing.T) (mib int, cpu time.Duration) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			mib = kib / 1024
		}
	}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return mib, time.Duration(user+system) * 10 * time.Millisecond
}

// An event is one line of a worker.
type event struct {
	Time    int64  `json:"t"`
	Worker  string `json:"worker"`
	Kind    string `json:"event"`
	Stream  string `json:"stream"`
	Shard   string `json:"shard"` // behind the stream's name where there are many
	Seq     string `json:"seq"`
	Sub     int64  `json:"sub"`
	Key     string `json:"key"`
	HashKey string `json:"hashKey"`
	State   string `json:"state"`
	Error   string `json:"error"`
	Batch   int64  `json:"batch"`
	Late    int64  `json:"late"`
	Data    []byte `json:"data"`

	id     string
	tenure int // of the worker's lease of the shard, counted by the world
}

func (e *event) at() time.Time { return time.UnixMilli(e.Time) }

// decode reads a line.
func decode(line []byte) (e event, err error) {
	err = json.Unmarshal(line, &e)
	return e, err
}
