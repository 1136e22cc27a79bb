package lease

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/internal/shardmap"
)

// graph reads "6<0,1 7<2,3 4*": shards with their parents, an asterisk for open.
func graph(text string) []Shard {
	var out []Shard
	for _, f := range strings.Fields(text) {
		id, parents, _ := strings.Cut(f, "<")
		s := Shard{ID: strings.TrimSuffix(id, "*"), Closed: !strings.HasSuffix(f, "*")}
		if parents = strings.TrimSuffix(parents, "*"); parents != "" {
			s.Parents = strings.Split(parents, ",")
		}
		out = append(out, s)
	}
	return out
}

func ids(list string) map[string]bool {
	out := make(map[string]bool)
	for _, id := range strings.Fields(list) {
		out[id] = true
	}
	return out
}

// The vectors are those of the KCL's own tests of its shard syncer.
func TestPlanRows(t *testing.T) {
	t.Parallel()
	const (
		a = "0 1 2 3 4* 5 6<0,1 7<2,3 8<6,7* 9<5* 10<5*"
		b = "0 1 2<0,1 3<2 4<2 5<3,4 6<5 7<5 8<6,7 9<8* 10<8*"
		c = "0 1* 2 3 4<0 5<0 6<2,3* 7<4* 8<4* 9<5* 10<5*"
	)
	latest, horizon, timestamp := checkpoint.Latest, checkpoint.TrimHorizon, checkpoint.AtTimestamp
	tests := []struct {
		graph        string
		start        checkpoint.Position
		leased, want string
	}{
		{a, latest, "3 4 5", "2 6"},
		{a, latest, "4 5 7", "6"},
		{a, latest, "2 6", "3 4 9 10"},
		{a, latest, "4 9 10", "8"},
		{a, latest, "4 5 6 7", ""},
		{a, latest, "0 1 2 3 4 5 6 7", ""},
		{a, latest, "0 1 4 7 9 10", ""},
		{a, latest, "", "4 8 9 10"},
		{a, horizon, "3 4 5", "0 1 2"},
		{a, horizon, "4 5 7", "0 1"},
		{a, horizon, "2 6", "3 4 5"},
		{a, horizon, "4 9 10", "0 1 2 3"},
		{a, horizon, "4 5 6 7", ""},
		{a, horizon, "", "0 1 2 3 4 5"},
		{a, timestamp, "3 4 5", "0 1 2"},
		{a, timestamp, "4 9 10", "0 1 2 3"},
		{a, timestamp, "", "0 1 2 3 4 5"},
		{b, latest, "6", "7"},
		{b, latest, "5", ""},
		{b, latest, "0 1 2 3 4 5", ""},
		{b, latest, "", "9 10"},
		{b, horizon, "5", ""},
		{b, horizon, "", "0 1"},
		{c, latest, "9 10", "1 6 7 8"},
	}
	for _, tt := range tests {
		got, err := planRows(graph(tt.graph), ids(tt.leased), tt.start)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range got {
			names = append(names, s.ID)
			want := tt.start
			if s.at != want && s.at != checkpoint.TrimHorizon {
				t.Errorf("shard %s starts at %v", s.ID, s.at)
			}
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%v, rows {%s}: new rows {%s}, want {%s}", tt.start, tt.leased, got, tt.want)
		}
	}
}

// A fleet that was down while its shard was split, and until that shard was past its
// retention, reads what is left of the children, whatever it began with.
func TestChildrenOfATrimmedParentBeginAtTheirOldestRecord(t *testing.T) {
	t.Parallel()
	for leased, want := range map[string]checkpoint.Position{"0 1": checkpoint.TrimHorizon, "1": checkpoint.Latest} {
		plan, err := planRows(graph("1* 2<0* 3<0*"), ids(leased), checkpoint.Latest)
		if err != nil || len(plan) != 2 || plan[0].at != want || plan[1].at != want {
			t.Errorf("with rows %s: %+v, %v; want both at %v", leased, plan, err, want)
		}
	}
}

// Rows are "0f 1": an f says that the shard is finished.
func rowsOf(shards []Shard, list string) (rows []Row) {
	for _, f := range strings.Fields(list) {
		r := Row{Checkpoint: checkpoint.At("7"), Shard: strings.TrimSuffix(f, "f")}
		if r.Key = r.Shard; r.Shard != f {
			r.Checkpoint = checkpoint.ShardEnd
		}
		for _, s := range shards {
			if s.ID == r.Shard {
				r.Parents = s.Parents
			}
			for _, p := range s.Parents {
				if p == r.Shard {
					r.Children = append(r.Children, s.ID)
				}
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func TestOrphansAreWhatNobodyWouldBegin(t *testing.T) {
	t.Parallel()
	const merged = "0 1 2<0,1*"
	tests := []struct{ graph, rows, want string }{
		{"0 1<0* 2<0*", "0f 1", "2"},
		{"0 1<0* 2<0*", "0f", "1 2"},
		{"0 1<0* 2<0*", "0", ""},       // they are made when 0 is finished
		{"0 1<0* 2<0*", "", ""},        // a table without rows begins elsewhere
		{"0 1<0* 2<0*", "1 2", ""},     // the row of 0 was removed
		{"0 1<0 2<1*", "0f 2", ""},     // 1 was read to its end
		{"0 1<0 2<1 3<2*", "0f 3", ""}, // and so was all between
		{"0 1<0 2<1*", "0f", "1"},      // whose end makes 2
		{merged, "0f 1f", "2"},
		{merged, "0f 1", "2"},
		{merged, "0f", ""},           // 1 gets its row first
		{"1 2<0,1*", "0f 1f", "2"},   // 0 is trimmed
		{"1 2<0,1*", "0f", ""},       // 1 has never been read
		{"2<0,1*", "0f 1f", "2"},     // both are
		{"0* 1<1* 2<2,0*", "0f", ""}, // lists that contradict themselves end all the same
	}
	for _, tt := range tests {
		shards := graph(tt.graph)
		var got []string
		for _, s := range orphans(shards, rowsOf(shards, tt.rows)) {
			if s.at != checkpoint.TrimHorizon {
				t.Errorf("%s with rows %q: %s begins at %v", tt.graph, tt.rows, s.ID, s.at)
			}
			got = append(got, s.ID)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s with rows %q: %q, want %q", tt.graph, tt.rows, got, tt.want)
		}
	}
}

// Lineages are removed from their beginning, when all children have been read from.
func TestRowsThatCanGo(t *testing.T) {
	t.Parallel()
	const g = "0 1<0 2<0* 3<1*"
	for rows, want := range map[string]string{
		"0f 1 2":     "0",
		"0f 1":       "", // 2 has no row
		"0 1 2":      "", // 0 is not finished
		"0f 1f 2 3":  "0",
		"1f 2 3":     "1",
		"0f 1f 2f 3": "0", // 2 is finished and nobody needs its row, but it is open in the list
	} {
		list := rowsOf(graph(g), rows)
		var got []string
		for _, r := range list {
			if removable(r, indexRows(list)) {
				got = append(got, r.Shard)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("rows %q: %q can go, want %q", rows, got, want)
		}
	}
}

func TestPlanRowsRefusesAListThatContradictsItself(t *testing.T) {
	t.Parallel()
	if _, err := planRows(graph("0* 1<0* 2<0*"), nil, checkpoint.TrimHorizon); err == nil {
		t.Error("an open shard with children gave no error")
	}
	// A cycle ends, whatever comes out.
	if _, err := planRows(graph("0<1 1<0 2<1*"), nil, checkpoint.TrimHorizon); err != nil {
		t.Errorf("a cycle: %v", err)
	}
}

func TestHole(t *testing.T) {
	t.Parallel()
	row := func(start, end string, finished bool) Row {
		r, err := shardmap.ParseRange(start, end)
		if err != nil {
			t.Fatal(err)
		}
		out := Row{Range: &r, Checkpoint: checkpoint.TrimHorizon}
		if finished {
			out.Checkpoint = checkpoint.ShardEnd
		}
		return out
	}
	last := shardmap.MaxHashKey.String()
	tests := []struct {
		name string
		rows []Row
		want string
	}{
		{"whole", []Row{row("0", last, false)}, ""},
		{"unsorted halves", []Row{row("100", last, false), row("0", "99", false)}, ""},
		{"parent beside its children", []Row{row("0", last, false), row("0", "99", false), row("100", last, false)}, ""},
		{"a shorter range sorts last", []Row{row("0", last, false), row("5", "9", false)}, ""},
		{"nothing", nil, "0-" + last},
		{"all finished", []Row{row("0", last, true)}, "0-" + last},
		{"start", []Row{row("5", last, false)}, "0-4"},
		{"middle", []Row{row("0", "4", false), row("6", last, false), row("5", "5", true)}, "5-5"},
		{"end", []Row{row("0", "4", false)}, "5-" + last},
		{"a row without a range is not judged", []Row{row("0", "4", false), {Checkpoint: checkpoint.Latest}}, ""},
	}
	for _, tt := range tests {
		got := ""
		if h := hole(tt.rows); h != nil {
			got = h.Start.String() + "-" + h.End.String()
		}
		if got != tt.want {
			t.Errorf("%s: hole %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A fleet that finishes shards in any order, each after its parents, never
// leaves a hole, and a sync at any moment creates nothing.
func TestFinishedLineagesHaveNoHole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var shards []Shard
		for i, r := range shardmap.Split(1 + rnd.IntN(4)) {
			shards = append(shards, Shard{ID: strconv.Itoa(i), Range: &r})
		}
		rows := make(map[string]Row)
		for _, s := range shards {
			rows[s.ID] = Row{Key: s.ID, Shard: s.ID, Range: s.Range, Checkpoint: checkpoint.TrimHorizon}
		}
		for range 60 {
			if rnd.IntN(2) == 0 {
				shards = reshard(rnd, shards)
			} else {
				finishOne(rnd, shards, rows)
			}
			list := make([]Row, 0, len(rows))
			leased := make(map[string]bool)
			for id, r := range rows {
				list = append(list, r)
				leased[id] = true
			}
			if h := hole(list); h != nil {
				t.Fatalf("seed %d: hole %v", seed, *h)
			}
			plan, err := planRows(shards, leased, checkpoint.Latest)
			if err != nil || len(plan) > 0 {
				t.Fatalf("seed %d: a sync plans %v, %v", seed, plan, err)
			}
		}
	}
}

// reshard splits an open shard or merges it with its neighbour.
func reshard(rnd *rand.Rand, shards []Shard) []Shard {
	var open []int
	for i, s := range shards {
		if !s.Closed {
			open = append(open, i)
		}
	}
	slices.SortFunc(open, func(a, b int) int { return shards[a].Range.Start.Compare(shards[b].Range.Start) })
	n := rnd.IntN(len(open))
	p := &shards[open[n]]
	next := strconv.Itoa(len(shards))
	if n+1 < len(open) && rnd.IntN(2) == 0 {
		q := &shards[open[n+1]]
		p.Closed, q.Closed = true, true
		return append(shards, Shard{ID: next, Parents: []string{p.ID, q.ID}, Range: &HashRange{Start: p.Range.Start, End: q.Range.End}})
	}
	p.Closed = true
	id, r, mid := p.ID, *p.Range, p.Range.Middle()
	return append(shards,
		Shard{ID: next, Parents: []string{id}, Range: &HashRange{Start: r.Start, End: mid.Prev()}},
		Shard{ID: strconv.Itoa(len(shards) + 1), Parents: []string{id}, Range: &HashRange{Start: mid, End: r.End}})
}

// finishOne does to the rows what Held.Finish does.
func finishOne(rnd *rand.Rand, shards []Shard, rows map[string]Row) {
	for _, i := range rnd.Perm(len(shards)) {
		s := shards[i]
		r, ok := rows[s.ID]
		blocked := slices.ContainsFunc(s.Parents, func(p string) bool { pr, ok := rows[p]; return ok && !pr.Finished() })
		if !ok || r.Finished() || !s.Closed || blocked {
			continue
		}
		for _, c := range shards {
			if _, ok := rows[c.ID]; !ok && slices.Contains(c.Parents, s.ID) {
				rows[c.ID] = Row{Key: c.ID, Shard: c.ID, Parents: c.Parents, Range: c.Range, Checkpoint: checkpoint.TrimHorizon}
			}
		}
		r.Checkpoint = checkpoint.ShardEnd
		rows[s.ID] = r
		return
	}
}
