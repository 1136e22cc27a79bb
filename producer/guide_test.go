package producer_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// What docs/producer.md shows and says: its code, and its figures.

// A click is what a program wants to put.
type click struct {
	user string
	data []byte
}

// putRaw is the loop that many programs have, and its four faults: it drops what
// was refused, waits for one call at a time, sends small records one by one and
// gives up when the call fails.
func putRaw(ctx context.Context, client *kinesis.Client, clicks []click) error {
	for batch := range slices.Chunk(clicks, 500) {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
		for _, c := range batch {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &c.user, Data: c.data})
		}
		if _, err := client.PutRecords(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func putAll(ctx context.Context, p *producer.Producer, clicks []click) error {
	for _, c := range clicks {
		err := p.PutAsync(ctx, producer.Record{PartitionKey: c.user, Data: c.data}, func(r producer.Result) {
			if r.Err != nil {
				keep(r) // the record, of whose Data keep makes a copy, and what became of it
			}
		})
		if err != nil {
			return err // ctx has ended, or the producer is closed
		}
	}
	return p.Flush(ctx)
}

var kept struct {
	mu      sync.Mutex
	results []producer.Result
}

func keep(r producer.Result) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	r.Record.Data = bytes.Clone(r.Record.Data) // which is the producer's
	kept.results = append(kept.results, r)
}

func newLikeTheKPL(client *kinesis.Client) (*producer.Producer, error) {
	return producer.New(client, "clicks", func(o *producer.Options) {
		o.RecordMaxBufferedTime = 100 * time.Millisecond // the KPL's default, and ours
		o.RecordTTL = 30 * time.Second                   // likewise
		o.AggregationMaxBytes = 51_200                   // AggregationMaxSize
		o.CollectionMaxRecords = 500                     // CollectionMaxCount
		o.MaxInFlight = 24                               // MaxConnections
	})
}

func alarm(events *producer.Events, misplaced func(shard string)) {
	events.Entry = func(e producer.EntryInfo) {
		if e.ShardID != "" && e.Predicted != "" && e.ShardID != e.Predicted {
			misplaced(e.ShardID) // the stream was resharded
		}
	}
}

func TestGuideRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, 2)
		var clicks []click
		for i := range 1200 {
			clicks = append(clicks, click{fmt.Sprint("user-", i%50), []byte(fmt.Sprint("click ", i))})
		}
		if err := putRaw(t.Context(), w.client, clicks[:600]); err != nil {
			t.Fatal(err)
		}
		p, err := newLikeTheKPL(w.client)
		if err != nil {
			t.Fatal(err)
		}
		if err := putAll(t.Context(), p, clicks[600:]); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var events producer.Events
		alarm(&events, func(string) {})
		if n := len(w.stored()); n != 1200 || len(kept.results) != 0 || events.Entry == nil {
			t.Errorf("%d of 1200 stored, %d kept", n, len(kept.results))
		}
	})
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// guideHas fails the test if the guide does not have the lines of a table.
func guideHas(t *testing.T, table []string) {
	t.Helper()
	if guide := read(t, "../docs/producer.md"); !strings.Contains(guide, strings.Join(table, "\n")+"\n") {
		t.Errorf("docs/producer.md does not have this table:\n%s", strings.Join(table, "\n"))
	}
}

// The figures are of simulated time, and the same everywhere: 4 shards, 2,000
// records of 100 bytes a second for 3 seconds, 1,000 keys, a service that takes
// 20 ms.
func TestWhatRecordMaxBufferedTimeBuys(t *testing.T) {
	t.Parallel()
	table := []string{
		"| RecordMaxBufferedTime | records per Kinesis record | calls a second | p50 from Put to stored | p99 |",
		"|---|---|---|---|---|",
	}
	for _, buffered := range []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4, func(o *producer.Options) {
				o.RecordMaxBufferedTime, o.ProducerID = buffered, "guide"
				o.RateLimit = 0 // 2,000 records a second singly are near the limit of 4 shards
			})
			if _, err := w.Put(t.Context(), producer.Record{PartitionKey: "warm up"}); err != nil {
				t.Fatal(err)
			}
			w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: 10*time.Millisecond + 11, DelayAfter: 10 * time.Millisecond})
			before := w.Stats()
			var mu sync.Mutex
			var took []time.Duration
			const seconds, rate = 3, 2000
			data := make([]byte, 100)
			for i := range seconds * rate {
				put := time.Now()
				if err := w.PutAsync(t.Context(), producer.Record{PartitionKey: fmt.Sprint("user-", i%1000), Data: data}, func(r producer.Result) {
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(put))
				}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second/rate + 7) // no two things at one instant
			}
			w.close()
			s := w.Stats()
			slices.Sort(took)
			table = append(table, fmt.Sprintf("| %d ms | %.0f | %.0f | %.0f ms | %.0f ms |", buffered.Milliseconds(),
				seconds*rate/float64(s.KinesisRecords-before.KinesisRecords), float64(s.Requests-before.Requests)/seconds,
				took[len(took)/2].Seconds()*1000, took[len(took)*99/100].Seconds()*1000))
		})
	}
	guideHas(t, table)
}

// The PUT payload units of a million records: 25 KiB each, rounded up for each
// Kinesis record.
func TestWhatAggregationCosts(t *testing.T) {
	t.Parallel()
	table := []string{
		"| data | one by one | aggregated, 51,200 bytes | aggregated, 25,600 bytes |",
		"|---|---|---|---|",
	}
	for _, size := range []int{100, 1000, 5000, 16_000, 20_000, 30_000} {
		row := fmt.Sprintf("| %s bytes |", thousands(size))
		for _, maxBytes := range []int{0, 51_200, 25_600} {
			synctest.Test(t, func(t *testing.T) {
				row += fmt.Sprintf(" %s |", thousands(putUnits(t, size, maxBytes)))
			})
		}
		table = append(table, row)
	}
	guideHas(t, table)
}

// putUnits returns the PUT payload units of a million records.
func putUnits(t *testing.T, size, maxBytes int) int {
	w := newServer(t, 1, kinesistest.Unthrottled)
	p, err := producer.New(w.client, stream, unpaced, func(o *producer.Options) {
		o.Aggregate, o.AggregationMaxBytes = maxBytes > 0, cmp.Or(maxBytes, o.AggregationMaxBytes)
		o.RecordMaxBufferedTime = 10 * time.Second // full ones only
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Put(t.Context(), producer.Record{PartitionKey: "warm up"}); err != nil {
		t.Fatal(err)
	}
	records := max(200, 500_000/size)
	for i := range records {
		if err := p.PutAsync(t.Context(), producer.Record{PartitionKey: fmt.Sprint("user-", 1000+i%1000), Data: make([]byte, size)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	units := 0
	for r := range w.srv.Records(stream) {
		units += (len(r.Data) + len(r.PartitionKey) + 25_599) / 25_600
	}
	return int(float64(units-1) / float64(records) * 1e6) // without the warm-up
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
