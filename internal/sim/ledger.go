package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Outcome is what a program was told about a record.
type Outcome int

// What can become of a record.
const (
	OK      Outcome = iota // it is stored
	Failed                 // it is not stored and will not be
	Unknown                // it may be stored
)

// A Put is a record that a program wanted to put, and what it was told.
type Put struct {
	ID     string // unique; the record's data begins with it and a blank
	Key    string
	Data   []byte
	Called time.Duration

	refused  error
	deadline time.Duration // its fate is due by then; 0 is no deadline
	fates    []Fate
	index    int // among the puts of the key
}

// A Fate is what a program was told about a record it had put.
type Fate struct {
	At      time.Duration
	Outcome Outcome
	Why     string // of Failed and Unknown

	// Where the record is, if it is OK.
	ShardID        string
	SequenceNumber string
	Sub            int
	Sent           time.Duration // when the call that stored it was

	// Confirmed counts the attempts of which the program says that they stored
	// the record, Doubtful those of which it does not know.
	Confirmed, Doubtful int
}

// A Ledger is what a program that puts was told. It is safe for concurrent use.
type Ledger struct {
	// Ordered says that records of one key are to be stored in the order of
	// their puts.
	Ordered bool

	mu     sync.Mutex
	slack  time.Duration
	resent int64 // aggregates stored and sent again
	puts   []*Put
	ids    map[string]*Put
	keys   map[string]int // puts by key
	odd    []Violation    // found on the way
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{ids: make(map[string]*Put), keys: make(map[string]int)}
}

// Put notes that a record is about to be put. The puts of one key are to come
// one after another.
func (l *Ledger) Put(p Put) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.index = l.keys[p.Key]
	l.keys[p.Key]++
	l.puts = append(l.puts, &p)
	l.ids[p.ID] = &p
}

// Accepted notes that a record's fate is due by a deadline.
func (l *Ledger) Accepted(id string, deadline time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[id].deadline = deadline
}

// Delay says that fates may come so much later than so far, because the program
// itself was slow to take them.
func (l *Ledger) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slack += d
}

// Resent notes that the program admits to have sent so many aggregates again
// that were stored, because it could not tell whether their shard holds all of
// their records.
func (l *Ledger) Resent(aggregates int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resent += aggregates
}

// Refused notes that a record was not accepted.
func (l *Ledger) Refused(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[id].refused = err
}

// Ended notes a record's fate; data is the record as the program got it back.
func (l *Ledger) Ended(id, key string, data []byte, f Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.ids[id]
	p.fates = append(p.fates, f)
	if key != p.Key || !bytes.Equal(data, p.Data) {
		l.odd = append(l.odd, Violation{"S10", fmt.Sprintf("the fate of %s is told about %s %.40q", id, key, data)})
	}
}

// Counts returns how many records had which outcome, and how many were refused.
func (l *Ledger) Counts() (outcomes [3]int, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.puts {
		switch {
		case p.refused != nil:
			refused++
		case len(p.fates) > 0:
			outcomes[p.fates[0].Outcome]++
		}
	}
	return outcomes, refused
}

// Due returns the ids, beginning with prefix, of the records that are accepted
// and have no fate.
func (l *Ledger) Due(prefix string) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.puts {
		if p.deadline > 0 && len(p.fates) == 0 && strings.HasPrefix(p.ID, prefix) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// Check compares what the program was told with the truth, after the program has
// ended: S9 result truth, S10 no cross-talk, S11 aggregates readable, S15
// nothing dropped, and S6, order, if the ledger is Ordered.
func (l *Ledger) Check(truth []Entry) []Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &checking{found: slices.Clone(l.odd), entries: make(map[string][]*Entry), resent: make(map[string]bool)}
	for i := range truth {
		id, _, _ := strings.Cut(string(truth[i].Data), " ")
		if p := l.ids[id]; p == nil {
			c.violate("S10", "%s of %s holds %.40q, which nobody put", truth[i].SequenceNumber, truth[i].ShardID, truth[i].Data)
		} else {
			c.entries[id] = append(c.entries[id], &truth[i])
		}
	}
	for _, p := range l.puts {
		c.checkPut(p, c.entries[p.ID])
		if due := p.deadline + l.slack; p.deadline > 0 && len(p.fates) > 0 && p.fates[0].At > due {
			c.violate("S9", "%s has its fate at %v, due by %v", p.ID, p.fates[0].At, due)
		}
	}
	if n := int64(len(c.resent)); n > l.resent {
		c.violate("S10", "%d aggregates were stored again without need, and %d are admitted: %v", n, l.resent, slices.Sorted(maps.Keys(c.resent)))
	}
	if l.Ordered {
		c.checkOrder(l.ids, truth)
	}
	return c.found
}

// A checking is the comparison of a ledger with the truth.
type checking struct {
	entries map[string][]*Entry
	resent  map[string]bool // sequence numbers of aggregates stored again though a reader takes them
	found   []Violation
}

func (c *checking) violate(invariant, format string, args ...any) {
	c.found = append(c.found, Violation{invariant, fmt.Sprintf(format, args...)})
}

// checkPut checks one record.
func (c *checking) checkPut(p *Put, entries []*Entry) {
	for _, e := range entries {
		if e.PartitionKey != p.Key || !bytes.Equal(e.Data, p.Data) {
			c.violate("S9", "%s was put as %s %.40q and is stored as %s %.40q", p.ID, p.Key, p.Data, e.PartitionKey, e.Data)
		}
	}
	if p.refused != nil {
		if len(entries)+len(p.fates) > 0 {
			c.violate("S9", "%s was refused (%v), and is stored %d times with %d fates", p.ID, p.refused, len(entries), len(p.fates))
		}
		return
	}
	if n := len(p.fates); n != 1 {
		invariant := "S9"
		if n == 0 {
			invariant = "S15"
		}
		c.violate(invariant, "%s, put at %v, has %d fates", p.ID, p.Called, n)
		return
	}
	f := p.fates[0]
	switch f.Outcome {
	case OK:
		c.checkStored(p, f, entries)
	case Failed:
		if len(entries) > 0 {
			c.violate("S9", "%s failed (%s) and is stored at %v", p.ID, f.Why, places(entries))
		}
		return
	}
	c.checkRepeats(p, f, entries)
}

// checkStored checks a record that is said to be stored.
func (c *checking) checkStored(p *Put, f Fate, entries []*Entry) {
	there, visible := false, false
	for _, e := range entries {
		at := e.ShardID == f.ShardID && e.SequenceNumber == f.SequenceNumber && e.Sub == f.Sub
		there = there || at
		// A call that is carried out after its stream was deleted and another one
		// was made, with shards of the same names, learns nothing of either.
		visible = visible || !e.Hidden || at && f.Sent < e.Created
	}
	switch {
	case !there:
		c.violate("S9", "%s is said to be stored at %s %s %d, and is at %v", p.ID, f.ShardID, f.SequenceNumber, f.Sub, places(entries))
	case !visible:
		c.violate("S11", "%s is stored at %v, where the KCL drops it", p.ID, places(entries))
	}
}

// checkRepeats checks that a record is stored more than once only because of
// attempts in doubt, or of aggregates sent again.
func (c *checking) checkRepeats(p *Put, f Fate, entries []*Entry) {
	if len(entries) > f.Confirmed+f.Doubtful {
		c.violate("S10", "%s is stored at %v after %d confirmed attempts and %d in doubt", p.ID, places(entries), f.Confirmed, f.Doubtful)
		return
	}
	for _, e := range entries {
		// Where attempts were in doubt nobody can tell which copy is theirs.
		if !e.Hidden && f.Doubtful == 0 && e.SequenceNumber != f.SequenceNumber {
			c.resent[e.SequenceNumber] = true
		}
	}
}

// checkOrder checks S6 on what the KCL delivers: of the records of a key the
// first copies stand in the order of the puts, and so do the last, and one has
// several only because of an attempt in doubt.
func (c *checking) checkOrder(ids map[string]*Put, truth []Entry) {
	type place struct {
		incarnation int
		key         string
	}
	var copies []*Put // in the order of the stream
	where := make(map[*Put][]int)
	keys := make(map[*Put]place)
	for i := range truth {
		e := &truth[i]
		id, _, _ := strings.Cut(string(e.Data), " ")
		if p := ids[id]; p != nil && !e.Hidden {
			where[p] = append(where[p], len(copies))
			keys[p] = place{e.Incarnation, p.Key}
			copies = append(copies, p)
		}
	}
	firsts, lasts := make(map[place]*Put), make(map[place]*Put)
	follow := func(seen map[place]*Put, p *Put, what string) {
		if before := seen[keys[p]]; before != nil && p.index < before.index {
			c.violate("S6", "%s of %s is stored for the %s time behind %s", p.ID, p.Key, what, before.ID)
			return
		}
		seen[keys[p]] = p
	}
	for at, p := range copies {
		all := where[p]
		if at == all[0] {
			follow(firsts, p, "first")
		}
		if at == all[len(all)-1] {
			follow(lasts, p, "last")
		}
	}
}

func places(entries []*Entry) []string {
	var all []string
	for _, e := range entries {
		s := fmt.Sprint(e.ShardID, " ", e.SequenceNumber, " ", e.Sub)
		if e.Hidden {
			s += " (hidden)"
		}
		all = append(all, s)
	}
	return all
}
