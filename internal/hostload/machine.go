package hostload

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
)

// readMachine reads the machine's counters.
func readMachine(root fs.FS) ([]gauge, error) {
	const name = "proc/stat"
	text, err := readFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnavailable
	}
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(text, "\n")
	return parseStat(name, first)
}

// parseStat reads the line of all CPUs: "cpu user nice system idle iowait …" in
// ticks. As in the KCL the columns behind do not count, and waiting for a disk
// counts as use.
func parseStat(name, line string) ([]gauge, error) {
	const want = `"cpu" and five counts`
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return nil, bad(name, line, want)
	}
	const idle = 3
	g := gauge{name: name, share: 1}
	for i, f := range fields[1:6] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil, bad(name, line, want)
		}
		g.clock += float64(n)
		if i != idle {
			g.used += float64(n)
		}
	}
	return []gauge{g}, nil
}
