package hostload

import (
	"errors"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// files is a file system by its texts.
type files map[string]string

func (f files) fs() fs.FS {
	out := make(fstest.MapFS, len(f))
	for name, text := range f {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// with returns f with some texts changed.
func (f files) with(changes files) files {
	out := make(files, len(f)+len(changes))
	for name, text := range f {
		out[name] = text
	}
	for name, text := range changes {
		out[name] = text
	}
	return out
}

// What the files look like, taken from running systems and shortened.
var (
	machine = files{
		"proc/stat": "cpu  1000 50 300 8000 250 0 12 0 0 0\ncpu0 500 25 150 4000 125 0 6 0 0 0\nintr 1 2 3\n",
	}

	// Ubuntu 24.04, a session of systemd: version 2, no bound anywhere.
	systemd = machine.with(files{
		"proc/self/cgroup":    "0::/user.slice/user-1000.slice/session-3.scope\n",
		"proc/self/mountinfo": "24 29 0:22 / /proc rw,nosuid - proc proc rw\n34 24 0:29 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
		"sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope/cpu.stat": "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n",
		"sys/fs/cgroup/user.slice/user-1000.slice/cpu.stat":                 "usage_usec 9000000\n",
		"sys/fs/cgroup/user.slice/cpu.stat":                                 "usage_usec 9900000\n",
		"sys/fs/cgroup/user.slice/cpu.max":                                  "max 100000\n",
		"sys/fs/cgroup/cpu.stat":                                            "usage_usec 99000000\n",
		"sys/fs/cgroup/cpuset.cpus.effective":                               "0-7\n",
	})

	// Docker with --cpus=1.5 on version 2: a namespace of its own.
	docker2 = machine.with(files{
		"proc/self/cgroup":                    "0::/\n",
		"proc/self/mountinfo":                 "1 2 0:30 / / rw - overlay overlay rw,lowerdir=/a b\n605 600 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw\n",
		"sys/fs/cgroup/cpu.stat":              "usage_usec 2000000\nuser_usec 1\n",
		"sys/fs/cgroup/cpu.max":               "150000 100000\n",
		"sys/fs/cgroup/cpuset.cpus.effective": "0-3\n",
	})

	// Docker on version 1: the path is the host's, the mount is the container's.
	docker1 = machine.with(files{
		"proc/self/cgroup":                            "11:cpu,cpuacct:/docker/0123abcd\n4:cpuset:/docker/0123abcd\n1:name=systemd:/docker/0123abcd\n",
		"proc/self/mountinfo":                         "41 40 0:28 /docker/0123abcd /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:12 - cgroup cgroup rw,cpu,cpuacct\n42 40 0:31 /docker/0123abcd /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n",
		"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage":     "3000000000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "50000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
		"sys/fs/cgroup/cpuset/cpuset.effective_cpus":  "0-1\n",
		"sys/fs/cgroup/cpuset/cpuset.cpus":            "0-3\n",
	})

	pod = files{"var/run/secrets/kubernetes.io/serviceaccount/token": "eyJ…"}
)

// look reads the gauges of a Meter at a time.
func look(t *testing.T, f files, at time.Duration) []gauge {
	t.Helper()
	m := &Meter{root: f.fs(), cpus: 4}
	var got []gauge
	gauges, bounded, err := readGroups(m.root, m.cpus, time.Unix(1_800_000_000, 0).Add(at))
	if err != nil {
		t.Fatal(err)
	}
	if bounded || len(gauges) > 0 && inKubernetes(m.root) {
		return gauges
	}
	if got, err = readMachine(m.root); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPercentOfWhatMayBeUsed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after files
		elapsed       time.Duration
		want          float64
	}{
		{"machine without groups", machine, files{"proc/stat": "cpu  1060 50 310 8120 260 7 12 0 0 0\n"}, 30 * time.Second, 40},
		{"machine at rest", machine, machine, 30 * time.Second, 0},
		{"a session has no bound: the machine", systemd, systemd.with(files{
			"proc/stat": "cpu  1300 50 300 8900 250 0 0 0 0 0",
		}), time.Second, 25},
		{"a quota above counts", systemd.with(files{"sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n"}), systemd.with(files{
			"sys/fs/cgroup/user.slice/cpu.max":  "200000 100000\n",
			"sys/fs/cgroup/user.slice/cpu.stat": "usage_usec 24900000\n", // 15 s of 20; the session itself has used nothing
		}), 10 * time.Second, 75},
		{"quota, version 2", docker2, docker2.with(files{"sys/fs/cgroup/cpu.stat": "usage_usec 5000000\n"}), 10 * time.Second, 20},
		{"no quota but a pod, version 2: the cpuset", docker2.with(pod).with(files{"sys/fs/cgroup/cpu.max": "max 100000"}),
			docker2.with(pod).with(files{"sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/cpu.stat": "usage_usec 22000000\n"}), 10 * time.Second, 50},
		{"quota, version 1", docker1, docker1.with(files{"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage": "4000000000"}), 10 * time.Second, 20},
		{"no quota but a pod, version 1: the cpuset", docker1.with(pod).with(files{"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}),
			docker1.with(pod).with(files{"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage": "4000000000"}), 10 * time.Second, 5},
		{"more than a quota gives is all of it", docker2, docker2.with(files{"sys/fs/cgroup/cpu.stat": "usage_usec 92000000\n"}), 10 * time.Second, 100},
		{"a counter that went backwards", docker2, docker2.with(files{"sys/fs/cgroup/cpu.stat": "usage_usec 7\n"}), 10 * time.Second, 0},
		{"no time passed", docker2, docker2.with(files{"sys/fs/cgroup/cpu.stat": "usage_usec 92000000\n"}), 0, 0},
		{"a quota that grew meanwhile", docker2, docker2.with(files{
			"sys/fs/cgroup/cpu.stat": "usage_usec 5000000\n", "sys/fs/cgroup/cpu.max": "300000 100000",
		}), 10 * time.Second, 10},
		{"a quota of more than the cpuset", docker2.with(files{"sys/fs/cgroup/cpu.max": "900000 100000"}), docker2.with(files{
			"sys/fs/cgroup/cpu.stat": "usage_usec 12000000\n", "sys/fs/cgroup/cpu.max": "900000 100000",
		}), 10 * time.Second, 25},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first := look(t, tt.before, 0)
			if got := percent(nil, first); got != 0 {
				t.Errorf("first call %v, want 0", got)
			}
			if got := percent(first, look(t, tt.after, tt.elapsed)); math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("percent = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHostileFilesGiveErrorsThatNameThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, text string
	}{
		{"proc/stat", ""},
		{"proc/stat", "cpu 1 2 3"},
		{"proc/stat", "cpu0 1 2 3 4 5 6"},
		{"proc/stat", "cpu -1 2 3 4 5"},
		{"proc/stat", "cpu 1 2 3 4 99999999999999999999999"},
		{"sys/fs/cgroup/cpu.stat", "user_usec 1\n"},
		{"sys/fs/cgroup/cpu.stat", "usage_usec NaN\n"},
		{"sys/fs/cgroup/cpu.max", ""},
		{"sys/fs/cgroup/cpu.max", "100000"},
		{"sys/fs/cgroup/cpu.max", "0 100000"},
		{"sys/fs/cgroup/cpu.max", "100000 0"},
		{"sys/fs/cgroup/cpu.max", "-5 100000"},
		{"sys/fs/cgroup/cpu.max", "1e5 1e5"},
		{"sys/fs/cgroup/cpuset.cpus.effective", "0-99999999999"},
		{"sys/fs/cgroup/cpuset.cpus.effective", "3-1"},
		{"sys/fs/cgroup/cpuset.cpus.effective", "0-4294967295,0-4294967295"},
		{"sys/fs/cgroup/cpuset.cpus.effective", ",,"},
		{"sys/fs/cgroup/cpuset.cpus.effective", strings.Repeat("1,", maxFile)},
	}
	for _, tt := range tests {
		root := docker2.with(files{tt.file: tt.text}).fs()
		_, _, err := readGroups(root, 4, time.Unix(1, 0))
		if tt.file == "proc/stat" {
			_, err = readMachine(root)
		}
		if err == nil || !strings.Contains(err.Error(), tt.file) || len(err.Error()) > 300 {
			t.Errorf("%s with %.20q: error %v, want a short one that names it", tt.file, tt.text, err)
		}
	}
}

// What describes the groups may be anything: then there are none, or those of
// the mount point.
func TestHostileGroupsAreSomewhereElse(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", "0", "0::", "0::../../..\n", "0::/\x00\n", "::::\n", "0::/" + strings.Repeat("a/", 5000) + "\n", "\xff\xfe"} {
		for _, mounts := range []string{docker2["proc/self/mountinfo"], "", "- - - - - - -", "1 2 3 ../.. ../../.. rw - cgroup2 x y", "1 2 3 / / rw - cgroup2 x y\n"} {
			root := docker2.with(files{"proc/self/cgroup": group, "proc/self/mountinfo": mounts}).fs()
			if _, _, err := readGroups(root, 4, time.Unix(1, 0)); err != nil {
				t.Errorf("group %.30q, mounts %.50q: %v", group, mounts, err)
			}
		}
	}
}

func TestParseCPUs(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]int{"0": 1, "0-4,6,8-10": 9, "2-2": 1, "7,3": 2, "": 0, "a": 0, "1-": 0, "-1": 0, "1,,2": 0} {
		if got, ok := parseCPUs(list); ok != (want > 0) || ok && got != want {
			t.Errorf("parseCPUs(%q) = %d, %v, want %d", list, got, ok, want)
		}
	}
}

func TestASystemWithoutFilesIsNotAvailable(t *testing.T) {
	t.Parallel()
	for _, m := range []*Meter{{}, {root: files{}.fs()}} {
		if _, err := m.CPU(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("CPU() = %v, want ErrUnavailable", err)
		}
	}
}

// A failed call loses nothing: the next good one spans it.
func TestAnErrorIsSpannedByTheNextMeasurement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Meter{root: docker2.fs(), cpus: 4}
		if got, err := m.CPU(t.Context()); err != nil || got != 0 {
			t.Fatal(got, err)
		}
		time.Sleep(10 * time.Second)
		m.root = docker2.with(files{"sys/fs/cgroup/cpu.stat": "nonsense"}).fs()
		if _, err := m.CPU(t.Context()); err == nil {
			t.Fatal("nonsense was read")
		}
		time.Sleep(10 * time.Second)
		m.root = docker2.with(files{"sys/fs/cgroup/cpu.stat": "usage_usec 14000000\n"}).fs()
		if got, err := m.CPU(t.Context()); err != nil || math.Abs(got-40) > 1e-6 {
			t.Errorf("CPU() = %v, %v, want 40: 12 s of 20 s at 1.5", got, err)
		}
	})
}

// The machine this test runs on tells something sensible, if anything.
func TestTheRealFilesAreRead(t *testing.T) {
	t.Parallel()
	m := New()
	m.ecs = nil
	for range 2 {
		if got, err := m.CPU(t.Context()); err != nil && !errors.Is(err, ErrUnavailable) || got < 0 || got > 100 {
			t.Errorf("CPU() = %v, %v", got, err)
		}
	}
}

func TestShareOfAnECSTask(t *testing.T) {
	t.Parallel()
	limited := func(id string, cpu float64) container {
		c := container{ID: id}
		c.Limits.CPU = cpu
		return c
	}
	whole := task{Containers: []container{limited("a", 256), limited("b", 768)}}
	whole.Limits.CPU = 0.5
	if got := shareOf(container{ID: "b"}, whole, 2); got != 0.375 {
		t.Errorf("share of a bounded task %v, want 0.375", got)
	}
	whole.Limits.CPU = 0
	if got := shareOf(container{ID: "a"}, whole, 2); got != 0.5 {
		t.Errorf("share of an unbounded task %v, want 0.5", got)
	}
	if got := shareOf(container{ID: "x"}, task{}, 2); got != 2 {
		t.Errorf("share without containers %v, want all 2", got)
	}
}

func TestECSMetadataIsRead(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/v4/x":      `{"DockerId":"a","Name":"app"}`,
		"/v4/x/task": `{"Limits":{"CPU":0.5},"Containers":[{"DockerId":"a","Limits":{"CPU":0}},{"DockerId":"b","Limits":{"CPU":2}}]}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := answers[r.URL.Path]; ok {
			w.Write([]byte(a))
		} else {
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	m := &Meter{ecs: newECS(srv.URL + "/v4/x/")}
	stats := func(used, system string) {
		answers["/v4/x/stats"] = `{"cpu_stats":{"cpu_usage":{"total_usage":` + used + `},"system_cpu_usage":` + system + `,"online_cpus":2}}`
	}
	if _, err := m.CPU(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("without statistics: %v", err)
	}
	stats("1000000000", "100000000000")
	if got, err := m.CPU(t.Context()); err != nil || got != 0 {
		t.Errorf("first CPU() = %v, %v", got, err)
	}
	stats("2000000000", "120000000000") // 1 s in 10 s of 2 CPUs, with a quarter of a CPU to use
	if got, err := m.CPU(t.Context()); err != nil || math.Abs(got-40) > 1e-6 {
		t.Errorf("CPU() = %v, %v, want 40", got, err)
	}
	for _, hostile := range []string{"", "[]", `{"cpu_stats":{}}`, `{"cpu_stats":{"online_cpus":-1,"system_cpu_usage":1}}`, strings.Repeat("[", maxFile*2)} {
		answers["/v4/x/stats"] = hostile
		if _, err := m.CPU(t.Context()); err == nil || len(err.Error()) > 500 {
			t.Errorf("statistics %.20q: error %v", hostile, err)
		}
	}
}
