package aggregation_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log"

	"github.com/kinesis-go/kinesis/aggregation"
)

// The data of a Kinesis record, as GetRecords or a Lambda event brings it.
var kinesisData, _ = hex.DecodeString("f3899ac20a03706b311a0908001a0568656c6c6f1a0908001a05776f726c64f5fb92b07d5dc986bb5915e9657557aa")

func Example() {
	agg, err := aggregation.Decode(kinesisData)
	if err != nil {
		// Not an aggregate: the record is its own payload.
		fmt.Printf("%s\n", kinesisData)
		return
	}
	for sub, r := range agg.Records() {
		fmt.Printf("%d %s %s\n", sub, r.PartitionKey, r.Data)
	}
	// Output:
	// 0 pk1 hello
	// 1 pk1 world
}

func Example_encode() {
	enc := aggregation.NewEncoder(50 << 10)
	for _, word := range []string{"hello", "world"} {
		err := enc.Append(aggregation.Record{PartitionKey: "pk1", Data: []byte(word)})
		if errors.Is(err, aggregation.ErrFull) {
			// Seal and send this aggregate, then append the record to the next.
		} else if err != nil {
			log.Fatal(err)
		}
	}
	data, err := enc.Seal()
	if err != nil {
		log.Fatal(err)
	}
	hash, err := enc.First().HashKey()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Data            %x\n", data)
	fmt.Println("PartitionKey   ", aggregation.OuterPartitionKey)
	fmt.Println("ExplicitHashKey", hash)
	// Output:
	// Data            f3899ac20a03706b311a0908001a0568656c6c6f1a0908001a05776f726c64f5fb92b07d5dc986bb5915e9657557aa
	// PartitionKey    a
	// ExplicitHashKey 329398341438914906102347661116985167824
}

// Whatever is wrong, the Kinesis record is whole and can be delivered as it is;
// what began like an aggregate is worth a report besides.
func ExampleMalformedError() {
	damaged := append([]byte(nil), kinesisData...)
	damaged[15] ^= 1

	for _, data := range [][]byte{[]byte("plain"), damaged} {
		_, err := aggregation.Decode(data)
		var bad *aggregation.MalformedError
		switch {
		case errors.As(err, &bad):
			fmt.Println("report:", bad.Reason)
		case errors.Is(err, aggregation.ErrNotAggregated):
			fmt.Println("ordinary record")
		}
	}
	// Output:
	// ordinary record
	// report: digest mismatch
}

// A reader that knows its shard drops aggregates that a reshard sent there by
// mistake: the KPL sends their records again.
func ExampleAggregate_InRange() {
	agg, err := aggregation.Decode(kinesisData)
	if err != nil {
		log.Fatal(err)
	}
	shard, err := aggregation.ParseHashRange("0", "170141183460469231731687303715884105727")
	if err != nil {
		log.Fatal(err)
	}
	in, err := agg.InRange(shard)
	fmt.Println(in, err)
	// Output: false <nil>
}

// A record that is alone is sent bare, with its own keys.
func ExampleEncoder_First() {
	enc := aggregation.NewEncoder(50 << 10)
	if err := enc.Append(aggregation.Record{PartitionKey: "user-7", Data: []byte("click")}); err != nil {
		log.Fatal(err)
	}
	if enc.Len() == 1 {
		r := enc.First()
		fmt.Printf("%s %s\n", r.PartitionKey, r.Data)
	}
	// Output: user-7 click
}

// A reader that takes records in portions rests between them.
func ExampleCursor() {
	agg, err := aggregation.Decode(kinesisData)
	if err != nil {
		log.Fatal(err)
	}
	cursor := agg.Cursor()
	sub, r, _ := cursor.Next()
	fmt.Printf("%d %s\n", sub, r.Data)
	fmt.Println("… later …")
	sub, r, _ = cursor.Next()
	fmt.Printf("%d %s\n", sub, r.Data)
	// Output:
	// 0 hello
	// … later …
	// 1 world
}

func ExampleNormalizeHashKey() {
	key, err := aggregation.NormalizeHashKey(" 0042 ")
	fmt.Println(key, err)
	// Output: 42 <nil>
}
