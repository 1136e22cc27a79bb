package checkpoint_test

import (
	"fmt"

	"github.com/kinesis-go/kinesis/checkpoint"
)

func Example() {
	p := checkpoint.Position{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", SubSequenceNumber: 7}
	fmt.Println(checkpoint.TrimHorizon.Compare(p), p.Compare(checkpoint.ShardEnd))
	fmt.Println(p)
	// Output:
	// -1 -1
	// 49590338271490256608559692538361571095921575989136588898+7
}

func ExampleTracker() {
	var t checkpoint.Tracker
	a, _ := t.Begin(checkpoint.At("1"))
	b, _ := t.Begin(checkpoint.At("2"))
	t.Done(b)
	_, ok := t.Watermark()
	fmt.Println(ok)
	t.Done(a)
	w, _ := t.Watermark()
	fmt.Println(w)
	// Output:
	// false
	// 2
}
