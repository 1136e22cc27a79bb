// Package hostload measures how much of the CPU that this process may use is in
// use, in percent.
//
// What it may use is what the KCL takes it to be, since the workers of a mixed
// fleet are compared by these figures:
//
//   - in a task of Amazon ECS, Fargate included: the container's share of the
//     task's CPUs, as the task metadata endpoint (version 4) tells;
//   - in a control group with a quota, and in Kubernetes always: the quota, or the
//     CPUs of the group's cpuset. Both versions of cgroups are read, and a group
//     above with a quota of its own counts too: the scarcest is reported;
//   - else: the whole machine, with everything that runs on it, from /proc/stat.
//
// Only Linux tells; elsewhere every call returns [ErrUnavailable].
package hostload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// ErrUnavailable means that this system does not tell its load. It will not
// later either.
var ErrUnavailable = errors.New("hostload: not available on this system")

// A Meter measures the load between two calls of [Meter.CPU]. It belongs to one
// goroutine, starts none and holds nothing open.
type Meter struct {
	root fs.FS // the machine's file system, from /
	cpus int   // of the machine, where nothing else bounds them
	ecs  *ecs  // nil outside of Amazon ECS
	last []gauge
}

// New returns a meter for this process. It does no I/O.
func New() *Meter {
	m := &Meter{cpus: runtime.NumCPU()}
	if runtime.GOOS == "linux" {
		m.root = os.DirFS("/")
	}
	if uri := os.Getenv("ECS_CONTAINER_METADATA_URI_V4"); uri != "" {
		m.ecs = newECS(uri)
	}
	return m
}

// CPU returns the CPU used since the call before in percent of what could be
// used, from 0 to 100. The first call returns 0: there is nothing to compare
// with. After an error other than [ErrUnavailable] it may be called again; the
// measurement then spans the calls that failed. In ECS it makes HTTP requests,
// bounded by ctx; else it reads a few small files.
func (m *Meter) CPU(ctx context.Context) (float64, error) {
	now, err := m.read(ctx)
	if err != nil {
		return 0, err
	}
	last := m.last
	m.last = now
	return percent(last, now), nil
}

// read looks at the gauges of the first source that applies.
func (m *Meter) read(ctx context.Context) ([]gauge, error) {
	if m.ecs != nil {
		return m.ecs.read(ctx)
	}
	if m.root == nil {
		return nil, ErrUnavailable
	}
	gauges, bounded, err := readGroups(m.root, m.cpus, time.Now())
	if err != nil {
		return nil, err
	}
	if bounded || len(gauges) > 0 && inKubernetes(m.root) {
		return gauges, nil
	}
	return readMachine(m.root)
}

// inKubernetes reports whether this process runs in a pod, by the sign the KCL
// goes by.
func inKubernetes(root fs.FS) bool {
	_, err := fs.Stat(root, "var/run/secrets/kubernetes.io/serviceaccount/token")
	return err == nil
}

// A gauge is one look at the counters of something that has CPU to give. Of two
// looks, used rose by what was used, and clock*share by what could be.
type gauge struct {
	name  string // the same thing has the same name in every look
	used  float64
	clock float64
	share float64 // of what the clock counts, how much is available; above 0
}

// percent compares two looks. Where several bounds apply the scarcest counts. A
// counter that went backwards was reset, and says nothing this once.
func percent(last, now []gauge) float64 {
	most := 0.0
	for _, n := range now {
		for _, l := range last {
			if l.name != n.name {
				continue
			}
			used, available := n.used-l.used, (n.clock-l.clock)*n.share
			if used > 0 && available > 0 {
				most = max(most, min(100, 100*used/available))
			}
		}
	}
	return most
}

// maxFile bounds what is read of a file: a machine with a thousand CPUs or mounts
// stays far below.
const maxFile = 1 << 20

// readFile returns a small file as text.
func readFile(root fs.FS, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("hostload: read %s: %w", name, err)
	}
	return string(data), nil
}

// bad says that a file does not hold what it should.
func bad(name, text, want string) error {
	return fmt.Errorf("hostload: %s: %.60q, want %s", name, strings.TrimSpace(text), want)
}
