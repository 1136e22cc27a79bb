package lease_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// What Fenced says is what Apply does: a fenced write is refused if counter, owner
// or leaving worker are not as seen, any other one is not refused for the counter.
func TestFencedWritesAreRefusedWhenTheRowHasChanged(t *testing.T) {
	t.Parallel()
	seen := lease.Row{Key: "s", Shard: "s", Owner: "a", Leaving: "b", Counter: 7, Checkpoint: checkpoint.At("5")}
	end := &lease.HashRange{}
	at := checkpoint.At("6")
	for op := lease.Create; ; op++ {
		row := seen
		if op == lease.Handoff {
			row.Leaving = ""
		}
		w := lease.Write{Op: op, Seen: row, Row: row, Owner: "c", Checkpoint: at, Children: []string{"t"}, Range: end, Pending: &lease.Pending{At: at}}
		if w.Validate() != nil {
			if op < lease.Delete {
				t.Fatalf("%v: %v", op, w.Validate())
			}
			break
		}
		if op == lease.Create {
			if w.Fenced() {
				t.Errorf("%v is fenced, and there is nothing to be fenced by", op)
			}
			continue
		}
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			t.Parallel()
			if _, err := w.Apply(&row); err != nil {
				t.Fatalf("Apply(as seen) = %v", err)
			}
			counter, owner, leaving := row, row, row
			counter.Counter++
			owner.Owner = "d"
			leaving.Leaving = "d"
			refused := func(cur lease.Row) bool {
				var conflict *lease.ConflictError
				_, err := w.Apply(&cur)
				return errors.As(err, &conflict)
			}
			if got := refused(counter); got != w.Fenced() {
				t.Errorf("with another counter: refused is %v, Fenced() is %v", got, w.Fenced())
			}
			if w.Fenced() && (!refused(owner) || !refused(leaving)) {
				t.Error("it is fenced, and went through with another owner or leaving worker")
			}
		})
	}
}
