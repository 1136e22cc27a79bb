package lease

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// takeCase is a table as one worker sees it: owner → leases, "" for nobody. A '*'
// before the owner means that it has not renewed for the failover time, '!' for
// three times as long.
func TestTakerTakesAsKCL2Does(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		owners []string
		most   int // leases a worker may have; 0: any number
		take   int
		from   string // "" for nobody
		steal  bool
	}{
		{name: "nothing there"},
		{name: "new leases, whatever the part", owners: []string{"!", "!", "!", "!", "b"}, take: 4},
		{name: "new leases, up to the bound", owners: []string{"!", "!", "!", "me"}, most: 2, take: 1},
		{name: "released ones up to the part", owners: []string{"", "", "", "b"}, take: 2},
		{name: "released ones, the part is rounded up", owners: []string{"", "", "", "b", "b"}, take: 3},
		{name: "of a dead worker", owners: []string{"*d", "*d", "b", "b", "me"}, take: 2, from: "d"},
		{name: "dead for long, beyond the part", owners: []string{"!d", "!d", "me", "me", "b", "b"}, take: 2, from: "d"},
		{name: "no part left", owners: []string{"*d", "me", "me", "b"}, take: 0},
		{name: "one at a time", owners: []string{"b", "b", "b", "b", "b", "b"}, take: 1, from: "b", steal: true},
		{name: "from the one that has most", owners: []string{"a", "b", "b", "b", "c"}, take: 1, from: "b", steal: true},
		{name: "not while one is free", owners: []string{"b", "b", "b", "b", ""}, take: 1},
		{name: "off by one is left alone", owners: []string{"b", "b", "me"}, take: 0},
		{name: "two short, nobody above the part", owners: []string{"a", "a", "b", "b", "c", "c", "d"}, take: 1, from: "a", steal: true},
		{name: "one short, nobody above the part", owners: []string{"a", "a", "b", "b", "me"}, take: 0},
		{name: "more workers than leases", owners: []string{"a", "b"}, take: 0},
		{name: "as many workers as leases", owners: []string{"a", "a"}, take: 1, from: "a", steal: true},
		{name: "the bound is below the part", owners: []string{"b", "b", "b", "b", "me"}, most: 1, take: 0},
		{name: "a worker of its own", owners: []string{"me", "me", "me"}, take: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			o := newObserver(timing{failover: 10 * time.Second}, "me")
			var rows []Row
			for i, owner := range tt.owners {
				r := Row{Key: fmt.Sprint(i), Owner: owner}
				v := &rowView{since: now}
				if owner != "" && (owner[0] == '*' || owner[0] == '!') {
					v.since = now.Add(-10*time.Second - 1)
					if owner[0] == '!' {
						v.since = now.Add(-30*time.Second - 1)
						v.never = len(owner) == 1
					}
					r.Owner = owner[1:]
				}
				o.rows[r.Key] = v
				rows = append(rows, r)
			}
			most := tt.most
			if most == 0 {
				most = math.MaxInt32
			}
			tk := taker{me: "me", leases: most, failover: 10 * time.Second, luck: func(string) uint64 { return 0 }}
			take, steal := tk.planTake(now, o, rows)
			if len(take) != tt.take || steal != (tt.steal && tt.take > 0) {
				t.Errorf("takes %d, steal %v, want %d, %v", len(take), steal, tt.take, tt.steal)
			}
			for _, r := range take {
				if r.Owner != tt.from {
					t.Errorf("takes a lease of %q, want of %q", r.Owner, tt.from)
				}
			}
		})
	}
}

// The boundaries are those of the KCL: what is exactly as old is not yet expired.
func TestTakerCountsToTheFailoverTimeExactly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for age, want := range map[time.Duration]int{10 * time.Second: 0, 10*time.Second + 1: 1} {
		o := newObserver(timing{failover: 10 * time.Second}, "me")
		o.rows["a"] = &rowView{since: now.Add(-age)}
		tk := taker{me: "me", leases: 9, failover: 10 * time.Second, luck: func(string) uint64 { return 0 }}
		if take, _ := tk.planTake(now, o, []Row{{Key: "a", Owner: "d"}}); len(take) != want {
			t.Errorf("%v after its last renewal %d leases are taken, want %d", age, len(take), want)
		}
	}
}
