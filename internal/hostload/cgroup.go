package hostload

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLevels bounds how far groups nest.
const maxLevels = 32

// readGroups reads the control group of this process and those above it that
// have a quota. Bounded says whether any has. Without control groups there are
// no gauges.
func readGroups(root fs.FS, cpus int, now time.Time) (gauges []gauge, bounded bool, err error) {
	member, err := readFile(root, "proc/self/cgroup")
	if err == nil {
		var mounted string
		if mounted, err = readFile(root, "proc/self/mountinfo"); err == nil {
			return readHierarchy(root, parseMember(member), parseMounts(mounted), cpus, now)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return nil, false, err
}

func readHierarchy(root fs.FS, member map[string]string, mounts []mount, cpus int, now time.Time) ([]gauge, bool, error) {
	version := versionOne
	levels := groupDirs(root, member, mounts, "cpuacct")
	if len(levels) == 0 {
		version = versionTwo
		levels = groupDirs(root, member, mounts, unified)
	}
	if len(levels) == 0 {
		return nil, false, nil
	}
	quotas, sets := levels, levels
	if version == versionOne {
		quotas, sets = groupDirs(root, member, mounts, "cpu"), groupDirs(root, member, mounts, "cpuset")
	}
	all, err := cpusOf(root, version, sets, cpus)
	if err != nil {
		return nil, false, err
	}
	clock := float64(now.UnixNano()) / 1e9
	var gauges []gauge
	bounded := false
	for i, dir := range levels {
		used, ok, err := version.usage(root, dir)
		if err != nil {
			return nil, false, err
		}
		share, limited := all, false
		if ok && i < len(quotas) { // version 1 may have mounted them apart, at other heights
			quota, has, err := version.quota(root, quotas[i])
			if err != nil {
				return nil, false, err
			}
			if limited = has; has {
				share = min(quota, all)
			}
		}
		if ok && (limited || i == 0) {
			gauges = append(gauges, gauge{name: dir, used: used, clock: clock, share: share})
		}
		bounded = bounded || limited
	}
	return gauges, bounded, nil
}

// cpusOf returns how many CPUs the group may run on: those of its cpuset, or of
// the nearest group above that says, or of the machine.
func cpusOf(root fs.FS, v version, dirs []string, machine int) (float64, error) {
	for _, dir := range dirs {
		for _, file := range v.cpusets() {
			name := path.Join(dir, file)
			text, err := readFile(root, name)
			if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(text) == "" {
				continue
			}
			if err != nil {
				return 0, err
			}
			n, ok := parseCPUs(strings.TrimSpace(text))
			if !ok {
				return 0, bad(name, text, "a list of CPUs")
			}
			return float64(n), nil
		}
	}
	return float64(max(1, machine)), nil
}

// parseCPUs counts a list like "0-4,6,8-10".
func parseCPUs(list string) (int, bool) {
	const most = 1 << 20
	total := 0
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		a, errA := strconv.ParseUint(low, 10, 32)
		b, errB := strconv.ParseUint(high, 10, 32)
		if errA != nil || errB != nil || b < a || b-a > most {
			return 0, false
		}
		if total += int(b-a) + 1; total > most {
			return 0, false
		}
	}
	return total, total > 0
}

// A version is one of the two kinds of control groups.
type version int

const (
	versionOne version = 1
	versionTwo version = 2
)

func (v version) cpusets() []string {
	if v == versionTwo {
		return []string{"cpuset.cpus.effective"}
	}
	return []string{"cpuset.effective_cpus", "cpuset.cpus"}
}

// usage returns the CPU seconds a group has used, and false if it does not tell.
func (v version) usage(root fs.FS, dir string) (seconds float64, ok bool, err error) {
	name, unit := path.Join(dir, "cpuacct.usage"), 1e9
	if v == versionTwo {
		name, unit = path.Join(dir, "cpu.stat"), 1e6
	}
	text, err := readFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	count := strings.TrimSpace(text)
	if v == versionTwo {
		count = field(text, "usage_usec")
	}
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		return 0, false, bad(name, text, "the CPU time used")
	}
	return float64(n) / unit, true, nil
}

// field returns what stands behind name in lines of names and values.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return f[1]
		}
	}
	return ""
}

// quota returns how many CPUs a group may use at a time, and false if it has no
// bound of its own.
func (v version) quota(root fs.FS, dir string) (cpus float64, limited bool, err error) {
	name := path.Join(dir, "cpu.max")
	if v == versionOne {
		name = path.Join(dir, "cpu.cfs_quota_us")
	}
	text, err := readFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	fields := strings.Fields(text)
	if v == versionOne {
		period, err := readFile(root, path.Join(dir, "cpu.cfs_period_us"))
		if err != nil {
			return 0, false, err
		}
		fields = append(fields, strings.Fields(period)...)
	}
	if len(fields) != 2 {
		return 0, false, bad(name, text, "a quota and a period")
	}
	if fields[0] == "max" || fields[0] == "-1" {
		return 0, false, nil
	}
	quota, errQ := strconv.ParseUint(fields[0], 10, 63)
	period, errP := strconv.ParseUint(fields[1], 10, 63)
	if errQ != nil || errP != nil || quota == 0 || period == 0 {
		return 0, false, bad(name, strings.Join(fields, " "), "a quota and a period above 0")
	}
	return float64(quota) / float64(period), true, nil
}

// unified is the name under which parseMember keeps version 2.
const unified = ""

// parseMember reads /proc/self/cgroup: which group this process is in, for each
// controller; lines of an id, controllers and a path.
func parseMember(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			out[controller] = parts[2]
		}
	}
	return out
}

// A mount is a line of /proc/self/mountinfo.
type mount struct {
	root    string // what of the file system is mounted
	point   string // where
	kind    string
	options []string // of the file system: in version 1 its controllers
}

// parseMounts keeps the mounts of control groups.
func parseMounts(text string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+4 {
			continue
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4]), kind: fields[dash+1]}
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			m.options = strings.Split(fields[dash+3], ",")
			out = append(out, m)
		}
	}
	return out
}

// unescape undoes the octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// groupDirs returns the directories of a controller's groups, from that of this
// process up to the highest one that can be seen; none if it is not mounted.
func groupDirs(root fs.FS, member map[string]string, mounts []mount, controller string) []string {
	group, ok := member[controller]
	if !ok {
		return nil
	}
	for _, m := range mounts {
		if controller == unified && m.kind != "cgroup2" || controller != unified && (m.kind != "cgroup" || !slices.Contains(m.options, controller)) {
			continue
		}
		top := rooted(m.point)
		own := path.Join(top, below(m.root, group))
		// In a container the path may be the host's, while what is mounted is the
		// container's own part.
		if info, err := fs.Stat(root, own); err != nil || !info.IsDir() {
			own = top
		}
		var dirs []string
		for dir := own; len(dirs) < maxLevels; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
			if dir == top {
				return dirs
			}
		}
		return dirs
	}
	return nil
}

// below returns group relative to the part that is mounted, empty if it does not
// lie in it.
func below(mounted, group string) string {
	mounted, group = path.Clean("/"+mounted), path.Clean("/"+group)
	if mounted == "/" {
		return group
	}
	if rest, ok := strings.CutPrefix(group, mounted+"/"); ok {
		return rest
	}
	return ""
}

// rooted makes an absolute path one of an fs.FS.
func rooted(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}
