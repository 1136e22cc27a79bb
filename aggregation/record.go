package aggregation

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/kinesis-go/kinesis/internal/shardmap"
)

const (
	// Magic is what every aggregate starts with.
	Magic = "\xf3\x89\x9a\xc2"

	// OuterPartitionKey is the partition key that the KPL gives the Kinesis
	// record around an aggregate. Where that record lands is decided by its
	// explicit hash key, so the key has no meaning.
	OuterPartitionKey = "a"
)

// A Record is a user record: what a program puts, and one element of an
// aggregate.
//
// Records handed out by an [Aggregate] alias the bytes given to [Decode], the
// strings as well as Data: those bytes must not change while a record is in
// use, and a record kept for long keeps all of them alive ([strings.Clone] and
// [bytes.Clone] cut it loose). The capacity of Data ends with its length, so
// appending to it reallocates and cannot reach a neighbour.
type Record struct {
	// PartitionKey decides the record's shard, unless ExplicitHashKey does.
	PartitionKey string

	// ExplicitHashKey is the record's hash key in decimal, or empty if the
	// partition key decides.
	ExplicitHashKey string

	// Data is the payload. It may be empty.
	Data []byte

	// Tags are the record's tags. The KPL writes none and the KCL ignores them.
	Tags Tags
}

// A HashKey is a place on the ring of hash keys, 0 to 2^128-1. Its String
// method gives the decimal form that Kinesis uses.
type HashKey = shardmap.HashKey

// A HashRange is the hash keys of one shard, both ends included.
type HashRange = shardmap.Range

// ParseHashRange reads the range of a shard from its StartingHashKey and
// EndingHashKey, as ListShards and DescribeStream return them.
func ParseHashRange(starting, ending string) (HashRange, error) {
	r, err := shardmap.ParseRange(starting, ending)
	if err != nil {
		return HashRange{}, fmt.Errorf("aggregation: shard range: %w", err)
	}
	return r, nil
}

// HashKey returns the hash key that decides the record's shard: the explicit
// hash key if there is one, else the MD5 of the partition key.
//
// The explicit hash key may be in any form [NormalizeHashKey] takes; anything
// else is an error, as is a process that may not compute MD5.
func (r Record) HashKey() (HashKey, error) {
	if r.ExplicitHashKey != "" {
		return parseHashKey(r.ExplicitHashKey)
	}
	if err := shardmap.CheckMD5(); err != nil {
		return HashKey{}, fmt.Errorf("aggregation: hash key: %w", err)
	}
	return shardmap.HashOf(r.PartitionKey), nil
}

// NormalizeHashKey returns the canonical form of an explicit hash key: digits
// without leading zeros. It takes what the KPL takes, which is a decimal
// integer from 0 to 2^128-1 with white space around it, a plus sign and leading
// zeros allowed, so " 0042 " and "+42" are "42". A canonical key comes back as
// it is and costs no allocation.
func NormalizeHashKey(s string) (string, error) {
	if _, err := shardmap.ParseHashKey(s); err == nil {
		return s, nil
	}
	k, err := parseHashKey(s)
	if err != nil {
		return "", err
	}
	return k.String(), nil
}

func parseHashKey(s string) (HashKey, error) {
	k, err := shardmap.ParseHashKey(s)
	if err == nil {
		return k, nil
	}
	bare := strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	bare = strings.TrimPrefix(bare, "+")
	for len(bare) > 1 && bare[0] == '0' {
		bare = bare[1:]
	}
	if k, lenient := shardmap.ParseHashKey(bare); lenient == nil {
		return k, nil
	}
	return HashKey{}, fmt.Errorf("aggregation: explicit %w", err)
}

// view returns b as a string without copying it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
