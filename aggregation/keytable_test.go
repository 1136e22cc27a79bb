package aggregation

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A keyTable and a plain list of keys, side by side through additions, growth
// and truncation.
func TestKeyTableAgainstAList(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 9))
	table := keyTable{tag: tagPartitionKey}
	var list []string
	index := map[string]int{}
	for step := range 20000 {
		if rng.IntN(200) == 0 {
			n := rng.IntN(len(list) + 1)
			table.truncate(n)
			for _, key := range list[n:] {
				delete(index, key)
			}
			list = list[:n]
		}
		key := fmt.Sprint(rng.IntN(2000))
		want, known := index[key]
		if !known {
			want = len(list)
		}
		e := table.find(key)
		if e.index != want || table.has(e) != known {
			t.Fatalf("step %d: find(%q) = %d, %v, want %d, %v", step, key, e.index, table.has(e), want, known)
		}
		if !known {
			table.add(key, e.hash)
			index[key] = len(list)
			list = append(list, key)
		}
		if i := rng.IntN(len(list)); table.at(i) != list[i] {
			t.Fatalf("step %d: key %d = %q, want %q", step, i, table.at(i), list[i])
		}
		if 2*len(list) > len(table.slots) {
			t.Fatalf("step %d: %d keys in %d slots", step, len(list), len(table.slots))
		}
	}
	used := 0
	for _, s := range table.slots {
		if s != 0 {
			used++
		}
	}
	if used != len(list) {
		t.Errorf("%d slots in use for %d keys", used, len(list))
	}
}

// A hash in common does not make two keys one.
func TestKeyTableComparesKeys(t *testing.T) {
	t.Parallel()
	table := keyTable{tag: tagPartitionKey}
	table.find("a") // makes the seed
	table.add("b", table.hash("a"))
	table.add("c", table.hash("c"))
	if e := table.find("a"); table.has(e) {
		t.Errorf("found %q in place of a key with its hash", table.at(e.index))
	}
	table.add("a", table.hash("a"))
	table.find("c")
	if e := table.find("a"); e.index != 2 {
		t.Errorf("find = %d, want 2", e.index)
	}
}
