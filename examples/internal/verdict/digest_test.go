package verdict

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// plain is the digest of lines, computed the plain way.
func plain(lines []string) [sha256.Size]byte {
	slices.Sort(lines)
	var all strings.Builder
	for _, l := range lines {
		all.WriteString(l + "\n")
	}
	return sha256.Sum256([]byte(all.String()))
}

func TestDigestsOfRunsOfAnySizeAreThoseOfTheSortedLines(t *testing.T) {
	t.Parallel()
	for _, maxBytes := range []int{1, 100, 5000, 1 << 20} {
		t.Run(strconv.Itoa(maxBytes), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := New()
			v.keepDigests(dir, maxBytes)
			rng := rand.New(rand.NewPCG(1, uint64(maxBytes)))
			var put, delivered []string
			for i := range 200 {
				data := bytes.Repeat([]byte{byte('a' + rng.IntN(3))}, rng.IntN(30))
				if i == 7 {
					data = bytes.Repeat([]byte("\x00\xff\r\t"), 3000)
				}
				key := "k" + strconv.Itoa(rng.IntN(20))
				put = append(put, key+"\t"+string(data))
				v.Put("s", strconv.Itoa(i), 0, key, data)
				if i%10 == 3 {
					continue
				}
				delivered = append(delivered, key+"\t"+string(data))
				for range 1 + rng.IntN(2) {
					v.Delivered("s", strconv.Itoa(i), 0, key, data)
				}
			}
			got, err := v.Digests()
			if err != nil {
				t.Fatal(err)
			}
			if got.Put != plain(put) || got.Delivered != plain(delivered) {
				t.Error("digests differ from those of the sorted lines")
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%d temporary files are left", len(left))
			}
			if _, err := v.Digests(); err == nil {
				t.Error("a second call of Digests gives digests of nothing")
			}
		})
	}
}

func TestDigestsLeaveOutCopiesAndWhatWasNeverStored(t *testing.T) {
	t.Parallel()
	v := New()
	v.keepDigests(t.TempDir(), 10)
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	v.Delivered("s", "1", 0, "k", a) // the first attempt, whose response was lost
	v.Put("s", "5", 0, "k", a)
	v.Delivered("s", "5", 0, "k", a)
	v.Unknown("k", b) // stored
	v.Unknown("k", c) // not stored
	v.Delivered("s", "2", 0, "k", b)
	v.Delivered("s", "3", 0, "k", b)
	got, err := v.Digests()
	if err != nil {
		t.Fatal(err)
	}
	if want := plain([]string{"k\ta", "k\tb"}); got.Put != want || got.Delivered != want {
		t.Errorf("digests %x and %x, want %x twice", got.Put, got.Delivered, want)
	}
}

func TestDigestsAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		var n naive
		v := New()
		v.keepDigests(t.TempDir(), 200)
		n.play(rand.New(rand.NewPCG(seed, 2)), v)
		s := n.summary()
		got, err := v.Digests()
		if err != nil {
			t.Fatal(err)
		}
		if whole := s.Lost == 0 && s.Foreign == 0; whole != (got.Put == got.Delivered) && !n.swapped() {
			t.Fatalf("seed %d: digests are equal: %t, with %+v", seed, got.Put == got.Delivered, s)
		}
	}
}

// swapped reports whether a lost record's content was delivered elsewhere, where
// the digests and the positions may disagree.
func (n *naive) swapped() bool {
	at := map[string]bool{}
	for _, g := range n.gets {
		at[g.position()+g.content()] = true
	}
	for _, p := range n.puts {
		if !at[p.position()+p.content()] {
			return true
		}
	}
	return false
}

func TestDigestIsThatOfSortAndSha256sum(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lines")
	v := New()
	v.KeepDigests(t.TempDir())
	var lines strings.Builder
	for i := range 1000 {
		key, data := strconv.Itoa(i*7919%1000), strings.Repeat("Zz é", i%5)
		v.Put("s", strconv.Itoa(i), 0, key, []byte(data))
		fmt.Fprintf(&lines, "%s\t%s\n", key, data)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := v.Digests()
	if err != nil {
		t.Fatal(err)
	}
	want := plain(strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n"))
	if got.Put != want {
		t.Errorf("digest %x, want %x", got.Put, want)
	}
	cmd := exec.Command("sh", "-c", `LC_ALL=C sort "$0" | sha256sum`, file)
	if out, err := cmd.Output(); err == nil && !strings.HasPrefix(string(out), fmt.Sprintf("%x ", got.Put)) {
		t.Errorf("digest %x, sort | sha256sum says %s", got.Put, out)
	}
}

func TestDigestsReportAFullDisk(t *testing.T) {
	t.Parallel()
	v := New()
	v.keepDigests(filepath.Join(t.TempDir(), "missing"), 10)
	for i := range 100 {
		v.Put("s", strconv.Itoa(i), 0, "key", []byte("data"))
	}
	if _, err := v.Digests(); err == nil {
		t.Error("Digests succeeded though no file could be written")
	}
	if got := v.Summary(); got.Put != 100 {
		t.Errorf("Summary = %+v, want 100 put all the same", got)
	}
}

func TestCloseRemovesTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := New()
	v.keepDigests(dir, 10)
	for i := range 10 {
		v.Put("s", strconv.Itoa(i), 0, "key", []byte("data"))
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
	if err := v.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
