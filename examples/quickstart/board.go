package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/lease"
)

// A board shows who holds which shard, as the workers themselves believe.
type board struct {
	mu     sync.Mutex
	holder map[string]string // shard → worker
	moves  int               // shards that changed hands
	last   map[string]string // shard → worker that held it before
}

func newBoard() *board {
	return &board{holder: map[string]string{}, last: map[string]string{}}
}

// watch returns the lease events that keep the board for one worker.
func (f *fleet) watch(w *worker) lease.Events {
	e := f.events
	e.Acquired = func(i lease.AcquiredInfo) { f.board.gain(i.Shard, w.name) }
	e.Lost = func(i lease.LostInfo) { f.board.drop(i.Shard, w.name) }
	e.Released = func(i lease.ReleasedInfo) { f.board.drop(i.Shard, w.name) }
	e.Finished = func(i lease.FinishedInfo) { f.board.drop(i.Shard, w.name) }
	return e
}

func (b *board) gain(shard, worker string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := b.last[shard]; before != "" && before != worker {
		b.moves++
	}
	b.holder[shard], b.last[shard] = worker, worker
}

// drop clears the shard, unless another worker has it by now.
func (b *board) drop(shard, worker string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holder[shard] == worker {
		delete(b.holder, shard)
	}
}

// size returns how many shards have a holder.
func (b *board) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.holder)
}

// shared reports whether so many workers hold shards.
func (b *board) shared(workers int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	holders := map[string]bool{}
	for _, w := range b.holder {
		holders[w] = true
	}
	return len(holders) >= workers
}

// moved returns how often a shard went to another worker.
func (b *board) moved() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.moves
}

// heldBy lists the shards of a worker.
func (b *board) heldBy(worker string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var shards []string
	for s, w := range b.holder {
		if w == worker {
			shards = append(shards, short(s))
		}
	}
	slices.SortFunc(shards, byNumber)
	return shards
}

// String lists every worker with its shards: "worker-1: 0 3 · worker-2: 1".
func (b *board) String() string {
	b.mu.Lock()
	shards := map[string][]string{}
	for s, w := range b.holder {
		shards[w] = append(shards[w], short(s))
	}
	b.mu.Unlock()
	var parts []string
	for _, w := range slices.Sorted(maps.Keys(shards)) {
		slices.SortFunc(shards[w], byNumber)
		parts = append(parts, w+": "+strings.Join(shards[w], " "))
	}
	return strings.Join(parts, " · ")
}

// short cuts "shardId-000000000012" to "12".
func short(shard string) string {
	s := strings.TrimLeft(strings.TrimPrefix(shard, "shardId-"), "0")
	if s == "" {
		return "0"
	}
	return s
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// columns are the attributes of a lease row that a reader wants to see first.
var columns = []string{
	"leaseKey", "leaseOwner", "leaseCounter", "checkpoint", "checkpointSubSequenceNumber",
	"ownerSwitchesSinceCheckpoint", "parentShardId", "childShardIds",
}

// showTable prints the lease rows of the application's table, as any worker,
// Go or Java, sees them.
func showTable(ctx context.Context, out io.Writer, db *dynamodb.Client, table string) error {
	var rows [][]string
	pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read lease table %s: %w", table, err)
		}
		for _, item := range page.Items {
			if _, isLease := item["leaseCounter"]; !isLease {
				continue // the leader's lock, the workers' metrics
			}
			row := make([]string, len(columns))
			for i, c := range columns {
				row[i] = cell(item[c])
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  "+strings.Join(columns, "\t"))
	for i, r := range rows {
		if i == maxTableRows {
			fmt.Fprintf(w, "  … and %d more\n", len(rows)-i)
			break
		}
		fmt.Fprintln(w, "  "+strings.Join(r, "\t"))
	}
	return w.Flush()
}

// maxTableRows keeps a stream of a thousand shards from filling the screen.
const maxTableRows = 32

func cell(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		if len(v.Value) > 24 && strings.Trim(v.Value, "0123456789") == "" {
			return v.Value[:6] + "…" + v.Value[len(v.Value)-12:]
		}
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberSS:
		ids := make([]string, len(v.Value))
		for i, s := range v.Value {
			ids[i] = short(s)
		}
		slices.SortFunc(ids, byNumber)
		return strings.Join(ids, ",")
	}
	return "-"
}

// count writes a number with a separator every three digits.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
