package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// An Env is what a check works with: the clients, and names of its own, so that
// what one check breaks does not spread.
type Env struct {
	Kinesis  *kinesis.Client
	DynamoDB *dynamodb.Client

	id string
}

// names counts the streams and tables of this process.
var names atomic.Uint64

// name returns a name for a stream or a table that nothing else has.
func (e *Env) name() string {
	id := strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '+' {
			return '-'
		}
		return r
	}, e.id)
	return fmt.Sprintf("contract-%s-%x-%d", id, time.Now().Unix(), names.Add(1))
}

// code returns AWS's code of an error, "" if it has none.
func code(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}

// refused fails unless err is an error with one of the codes.
func refused(what string, err error, codes ...string) error {
	if err == nil {
		return fmt.Errorf("%s: accepted, want %s", what, strings.Join(codes, " or "))
	}
	got := code(err)
	for _, c := range codes {
		if got == c {
			return nil
		}
	}
	return fmt.Errorf("%s: %w, want %s", what, err, strings.Join(codes, " or "))
}

// Codes of refusal that AWS's documents leave open: the service's own check of
// an argument, or the one of its front end.
const (
	invalidArgument = "InvalidArgumentException"
	validation      = "ValidationException"
	notFound        = "ResourceNotFoundException"
	inUse           = "ResourceInUseException"
	throughput      = "ProvisionedThroughputExceededException"
	limitExceeded   = "LimitExceededException"
)

// calm repeats f while its rate is exceeded: what the checks do to set a scene
// must not depend on how fast they do it.
func calm(ctx context.Context, f func() error) error {
	for {
		err := f()
		if c := code(err); c != limitExceeded && c != throughput {
			return err
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until repeats f until it reports true, for half a minute.
func until(ctx context.Context, what string, f func() (bool, error)) error {
	for start := time.Now(); time.Since(start) < 30*time.Second; {
		ok, err := f()
		if ok || err != nil && code(err) != limitExceeded {
			return err
		}
		if err := sleep(ctx, pollEvery(ctx)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: not within 30 seconds", what)
}

// stream makes an active stream and returns its name.
func (e *Env) stream(ctx context.Context, shards int32) (string, error) {
	name := e.name()
	err := calm(ctx, func() error {
		_, err := e.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("CreateStream: %w", err)
	}
	return name, e.active(ctx, name)
}

// active waits until a stream is ACTIVE.
func (e *Env) active(ctx context.Context, name string) error {
	return until(ctx, "stream ACTIVE", func() (bool, error) {
		out, err := e.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, err
	})
}

// shards returns all listed shards of a stream, over all pages.
func (e *Env) shards(ctx context.Context, in *kinesis.ListShardsInput) ([]types.Shard, error) {
	var all []types.Shard
	for {
		out, err := e.Kinesis.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("ListShards: %w", err)
		}
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: in.MaxResults}
	}
}

// ids returns the ids of the shards a filter shows, separated by spaces.
func (e *Env) ids(ctx context.Context, name string, f *types.ShardFilter) (string, error) {
	shards, err := e.shards(ctx, &kinesis.ListShardsInput{StreamName: &name, ShardFilter: f})
	return shardIDs(shards), err
}

// shardIDs returns the indexes in the ids of shards, separated by spaces.
func shardIDs(shards []types.Shard) string {
	var ids []string
	for _, sh := range shards {
		ids = append(ids, cmp.Or(strings.TrimLeft(strings.TrimPrefix(*sh.ShardId, "shardId-"), "0"), "0"))
	}
	return strings.Join(ids, " ")
}

// shard0 is the id of a stream's first shard.
const shard0 = "shardId-000000000000"

// iterator makes a shard iterator.
func (e *Env) iterator(ctx context.Context, in *kinesis.GetShardIteratorInput) (*string, error) {
	var out *kinesis.GetShardIteratorOutput
	err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.GetShardIterator(ctx, in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("GetShardIterator(%s): %w", in.ShardIteratorType, err)
	}
	return out.ShardIterator, nil
}

// oldest makes an iterator at the trim horizon of a stream's first shard.
func (e *Env) oldest(ctx context.Context, name string) (*string, error) {
	return e.iterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
}

// tip makes an iterator behind the newest record of a stream's first shard.
func (e *Env) tip(ctx context.Context, name string) (*string, error) {
	return e.iterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeLatest})
}

func (e *Env) get(ctx context.Context, in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
	var out *kinesis.GetRecordsOutput
	err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.GetRecords(ctx, in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("GetRecords: %w", err)
	}
	return out, nil
}

// read reads from an iterator until it is at the tip or the shard ends. The
// last page is returned too.
func (e *Env) read(ctx context.Context, in *kinesis.GetShardIteratorInput) ([]types.Record, *kinesis.GetRecordsOutput, error) {
	it, err := e.iterator(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	var all []types.Record
	for range 100 {
		page, err := e.get(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return nil, nil, err
		}
		all = append(all, page.Records...)
		if page.NextShardIterator == nil || aws.ToInt64(page.MillisBehindLatest) == 0 {
			return all, page, nil
		}
		it = page.NextShardIterator
	}
	return nil, nil, errors.New("100 pages and not at the tip")
}

// readAll reads a shard from its trim horizon.
func (e *Env) readAll(ctx context.Context, name, shard string) ([]types.Record, *kinesis.GetRecordsOutput, error) {
	return e.read(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
}

// put stores a record and returns its shard and sequence number.
func (e *Env) put(ctx context.Context, name, key, data string) (*kinesis.PutRecordOutput, error) {
	var out *kinesis.PutRecordOutput
	err := calm(ctx, func() (err error) {
		out, err = e.Kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: []byte(data)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("PutRecord: %w", err)
	}
	return out, nil
}

// fill stores n records in a one-shard stream and returns their numbers.
func (e *Env) fill(ctx context.Context, name string, n int) ([]string, error) {
	var numbers []string
	for i := range n {
		out, err := e.put(ctx, name, "key", fmt.Sprint("record ", i))
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, *out.SequenceNumber)
	}
	return numbers, nil
}

// putMebibytes stores n records of 1 MiB, at the rate that one shard takes.
func (e *Env) putMebibytes(ctx context.Context, name string, n int) error {
	for range n {
		if _, err := e.put(ctx, name, "key", text(1<<20-len("key"))); err != nil {
			return err
		}
		if err := sleep(ctx, 1100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// mebibytes makes a stream of one shard with n records of 1 MiB, and an iterator at
// the first.
func (e *Env) mebibytes(ctx context.Context, n int) (*string, error) {
	name, err := e.stream(ctx, 1)
	if err != nil {
		return nil, err
	}
	if err := e.putMebibytes(ctx, name, n); err != nil {
		return nil, err
	}
	return e.oldest(ctx, name)
}

// filled makes a stream of one shard with n records.
func (e *Env) filled(ctx context.Context, n int) (name string, numbers []string, err error) {
	if name, err = e.stream(ctx, 1); err != nil {
		return "", nil, err
	}
	numbers, err = e.fill(ctx, name, n)
	return name, numbers, err
}

// sameNumbers fails unless records are those with the given numbers, in order.
func sameNumbers(what string, got []types.Record, want []string) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: %d records, want %d", what, len(got), len(want))
	}
	for i, r := range got {
		if *r.SequenceNumber != want[i] {
			return fmt.Errorf("%s: record %d is %s, want %s", what, i, *r.SequenceNumber, want[i])
		}
	}
	return nil
}

// less compares sequence numbers and hash keys.
func less(a, b string) bool {
	x, _ := new(big.Int).SetString(a, 10)
	y, _ := new(big.Int).SetString(b, 10)
	return x != nil && y != nil && x.Cmp(y) < 0
}

// ring is 2^128-1, the last hash key.
var ring = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))

// tiles fails unless the hash ranges of shards cover the ring once.
func tiles(shards []types.Shard) error {
	next := new(big.Int)
	for range shards {
		found := false
		for _, sh := range shards {
			if *sh.HashKeyRange.StartingHashKey == next.String() {
				end, ok := new(big.Int).SetString(*sh.HashKeyRange.EndingHashKey, 10)
				if !ok {
					return fmt.Errorf("shard %s ends at %q", *sh.ShardId, *sh.HashKeyRange.EndingHashKey)
				}
				next, found = end.Add(end, big.NewInt(1)), true
				break
			}
		}
		if !found {
			return fmt.Errorf("no shard starts at hash key %s", next)
		}
	}
	if next.Sub(next, big.NewInt(1)).Cmp(ring) != 0 {
		return fmt.Errorf("hash keys from %s on have no shard", next)
	}
	return nil
}

// text returns n bytes.
func text(n int) string { return strings.Repeat("x", n) }
