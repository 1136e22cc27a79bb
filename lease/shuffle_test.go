package lease

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The vectors were made by OpenJDK 17.
func TestShuffleIsJavas(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/java-shuffle.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			IDs, Sorted, Shuffled []string
		}
		LeaderIndex []int
		Random      []struct {
			Seed   int64
			Bound  int32
			Values []int32
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 20 || len(vectors.LeaderIndex) < 300 || len(vectors.Random) < 40 {
		t.Fatalf("%d cases, %d leaders, %d numbers", len(vectors.Cases), len(vectors.LeaderIndex), len(vectors.Random))
	}
	for _, c := range vectors.Cases {
		got := append([]string(nil), c.Sorted...)
		shuffleJava(got, leaderSeed)
		if diff := cmp.Diff(c.Shuffled, got); diff != "" {
			t.Errorf("%d ids: %s", len(c.IDs), diff)
		}
		var rows []Row
		for _, id := range append(c.IDs, c.IDs...) {
			rows = append(rows, Row{Key: "k", Owner: id}, Row{Key: "free"})
		}
		if got := shuffleLeader(rows); got != c.Shuffled[0] {
			t.Errorf("leader of %q is %q, want %q", c.IDs, got, c.Shuffled[0])
		}
	}
	for i, want := range vectors.LeaderIndex {
		ids := make([]string, i+1)
		for j := range ids {
			ids[j] = string(rune('A' + j))
		}
		sorted := append([]string(nil), ids...)
		shuffleJava(ids, leaderSeed)
		if ids[0] != sorted[want] {
			t.Errorf("of %d workers the leader is another than number %d", i+1, want)
		}
	}
	for _, v := range vectors.Random {
		r := newJavaRandom(v.Seed)
		for i, want := range v.Values {
			if got := r.intN(v.Bound); got != want {
				t.Errorf("Random(%d): number %d below %d is %d, want %d", v.Seed, i, v.Bound, got, want)
			}
		}
	}
}

func TestNobodyLeadsByShuffleWithoutOwners(t *testing.T) {
	t.Parallel()
	if got := shuffleLeader([]Row{{Key: "a"}, {Key: "b"}}); got != "" {
		t.Errorf("leader %q, want none: then everybody leads", got)
	}
}
