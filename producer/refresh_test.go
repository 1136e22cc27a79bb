package producer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/producer"
)

// A changing stream describes itself as it was set, and counts who asks.
type changing struct {
	*stub
	mu      sync.Mutex
	summary types.StreamDescriptionSummary
	err     error
	asked   int
}

func (c *changing) set(s types.StreamDescriptionSummary, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary, c.err = s, err
}

func (c *changing) looks() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *changing) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	s := c.summary
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &s}, c.err
}

// PutRecords takes records without hash keys, as an AUTO stream does.
func (c *changing) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	for i := range in.Records {
		if in.Records[i].ExplicitHashKey == nil {
			in.Records[i].ExplicitHashKey = aws.String("0")
		}
	}
	return c.stub.PutRecords(ctx, in, f...)
}

var (
	large = types.StreamDescriptionSummary{MaxRecordSizeInKiB: aws.Int32(10240)}
	auto  = types.StreamDescriptionSummary{RecordDistributionStrategy: types.RecordDistributionStrategyAuto}
)

// A stream that comes to take larger records gets them: a record that was too
// large for the stream as it was known has it looked at again.
func TestLargerRecordsAreLearntOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &changing{stub: newStub(2)}
		p, err := producer.New(s, "s", unpaced)
		if err != nil {
			t.Fatal(err)
		}
		put := func(size int) error {
			_, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, size)})
			return err
		}
		var refused *producer.RecordError
		if err := put(2 << 20); !errors.As(err, &refused) {
			t.Errorf("Put of 2 MiB = %v", err)
		}
		s.set(large, nil)
		before := s.looks()
		for range 100 {
			if err := put(2 << 20); !errors.As(err, &refused) {
				t.Errorf("Put of 2 MiB = %v at once after a look", err)
			}
		}
		if n := s.looks() - before; n > 0 {
			t.Errorf("%d looks at the stream for records that are too large", n)
		}
		time.Sleep(11 * time.Second)
		if err := put(2 << 20); err != nil {
			t.Errorf("Put of 2 MiB = %v", err)
		}
		if err := put(11 << 20); !errors.As(err, &refused) {
			t.Errorf("Put of 11 MiB = %v", err)
		}
		s.set(types.StreamDescriptionSummary{}, nil)
		time.Sleep(11 * time.Second)
		if err := p.TryPut(producer.Record{PartitionKey: "", Data: nil}, nil); !errors.As(err, &refused) {
			t.Errorf("TryPut without a key = %v", err)
		}
		time.Sleep(time.Second)
		if err := p.TryPut(producer.Record{PartitionKey: "k", Data: make([]byte, 2<<20)}, nil); !errors.As(err, &refused) {
			t.Errorf("TryPut of 2 MiB = %v, although the last one had the stream looked at", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// While records are sent the stream is looked at every RefreshInterval, and then
// no records are aggregated any more if it spreads them itself. While none are it
// is left alone.
func TestStreamIsLookedAtWhileInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &changing{stub: newStub(2)}
		p, err := producer.New(s, "s", unpaced, func(o *producer.Options) { o.RefreshInterval = time.Minute })
		if err != nil {
			t.Fatal(err)
		}
		single := func() bool {
			before := p.Stats().KinesisRecords
			for range 10 {
				if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "k"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			return p.Stats().KinesisRecords == before+10
		}
		for range 600 { // ten minutes
			if single() {
				t.Fatal("not aggregated")
			}
			time.Sleep(time.Second)
		}
		if n := s.looks(); n < 9 || n > 11 {
			t.Errorf("%d looks in ten minutes", n)
		}
		before := s.looks()
		time.Sleep(24 * time.Hour)
		if n := s.looks() - before; n != 0 {
			t.Errorf("%d looks in an idle day", n)
		}
		s.set(auto, nil)
		single()
		time.Sleep(time.Second)
		if !single() {
			t.Error("aggregated on a stream that has turned AUTO")
		}
		s.set(types.StreamDescriptionSummary{}, errors.New("no answer"))
		for range 180 {
			if !single() {
				t.Fatal("a look that failed has changed what is known")
			}
			time.Sleep(time.Second)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TryPut refuses for now, and not for good, what the stream may take for all that
// is known.
func TestTryPutDoesNotJudgeAnUnknownStream(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]producer.Record{
		"large":         {PartitionKey: "k", Data: make([]byte, 2<<20)},
		"without a key": {Data: []byte("x")},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &changing{stub: newStub(2)}
			summary := large
			summary.RecordDistributionStrategy = types.RecordDistributionStrategyAuto
			s.set(summary, nil)
			p, err := producer.New(s, "s")
			if err != nil {
				t.Fatal(err)
			}
			if err := p.TryPut(r, nil); !errors.Is(err, producer.ErrFull) {
				t.Errorf("%s: the first TryPut = %v, want ErrFull", name, err)
			}
			time.Sleep(time.Second)
			if err := p.TryPut(r, nil); err != nil {
				t.Errorf("%s: TryPut a second later = %v", name, err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := p.Stats(); got.Stored != 1 {
				t.Errorf("%s: Stats = %+v", name, got)
			}
			if err := p.TryPut(r, nil); !errors.Is(err, producer.ErrClosed) {
				t.Errorf("%s: TryPut after Close = %v", name, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p, err := producer.New(newStub(2), "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.TryPut(producer.Record{}, nil); !errors.Is(err, producer.ErrClosed) {
			t.Errorf("TryPut of a closed producer that knows nothing = %v, want ErrClosed", err)
		}
	})
}

// Records count for more where they are not aggregated, and those that wait come
// to count for more when the stream changes under them.
func TestChargeFollowsTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const records, single = 100, 384 + 1 + 10
		s := &changing{stub: newStub(1)}
		p, err := producer.New(deafTo{s}, "s", func(o *producer.Options) {
			o.MaxInFlight, o.RequestTimeout, o.RecordTTL, o.CollectionMaxRecords = 1, time.Hour, time.Hour, 1
		})
		if err != nil {
			t.Fatal(err)
		}
		look := func(summary types.StreamDescriptionSummary) {
			s.set(summary, nil)
			time.Sleep(11 * time.Second)
			var refused *producer.RecordError
			if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, 2<<20)}); !errors.As(err, &refused) {
				t.Errorf("Put of 2 MiB = %v", err)
			}
		}
		put := func() {
			if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: "k", Data: make([]byte, 10)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		buffered := func(when string, want int64) {
			t.Helper()
			if got := p.Stats().BufferedBytes; got != want {
				t.Errorf("%s %d bytes are buffered, want %d", when, got, want)
			}
		}
		look(auto)
		put()
		time.Sleep(time.Second) // it is under way from here on
		for range records {
			put()
		}
		buffered("on an AUTO stream", single*(1+records))
		look(types.StreamDescriptionSummary{})
		buffered("when they are aggregated", single*(1+records))
		for range records {
			put()
		}
		buffered("with others", single*(1+records)+(128+1+10)*records)
		look(auto)
		buffered("on an AUTO stream again", single*(1+2*records))
		closeNow(t, p)
		buffered("after Close", 0)
	})
}

// deafTo never answers PutRecords.
type deafTo struct{ *changing }

func (deafTo) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, f ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	return deaf{}.PutRecords(ctx, in, f...)
}
