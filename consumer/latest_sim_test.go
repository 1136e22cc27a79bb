package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/internal/sim"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
)

// A tip is an application that begins at LATEST: workers that come and go, a function
// that fails, calls that take their time or are refused, a table that fails for a
// while at any moment, all of it made from a seed.
type tip struct {
	*world
	seed sim.Seed

	calm   atomic.Bool // nothing goes wrong any more
	broken atomic.Bool // the table fails

	draws sync.Mutex // guards drawn
	drawn map[string]uint64

	notes sync.Mutex // guards what follows
	all   []placed
	first map[string]checkpoint.Position // by shard: the oldest record that anybody was given
	done  map[string]bool
}

// A placed is a record that was put.
type placed struct {
	shard, data string
	at          checkpoint.Position
}

// TestSimulationOfLatest: the application begins, in each shard, with the oldest
// record that any worker was given. What is behind that is dealt with in the end,
// however little the first workers could store.
func TestSimulationOfLatest(t *testing.T) {
	t.Parallel()
	sim.Run(t, 10, func(t *testing.T, seed sim.Seed) {
		p := &tip{
			world: newWorld(t, 2), seed: seed, drawn: map[string]uint64{},
			first: map[string]checkpoint.Position{}, done: map[string]bool{},
		}
		p.srv.Inject(kinesistest.Fault{
			Operation: "UpdateItem", Error: kinesistest.InternalFailure, Match: func(*kinesistest.Call) bool { return p.broken.Load() },
		})
		p.puts(5)
		p.rest(3 * time.Second)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { p.keepPutting(ctx) })
		wg.Go(p.breakTable)
		for i := range 3 {
			a := p.run(p.worker(fmt.Sprint("a", i), p.options), p.handler())
			p.rest(8 * time.Second)
			b := p.run(p.worker(fmt.Sprint("b", i), p.options), p.handler())
			p.rest(17 * time.Second)
			_ = a() // that it could not give its leases back, say
			p.rest(8 * time.Second)
			_ = b()
		}
		p.calm.Store(true)
		last := p.run(p.worker("last", p.options), p.handler())
		time.Sleep(30 * time.Second)
		stop()
		wg.Wait()
		time.Sleep(time.Minute)
		if err := last(); err != nil {
			t.Error(err)
		}
		p.check()
	})
}

// draw returns a number below limit.
func (p *tip) draw(limit int, what string) int {
	p.draws.Lock()
	defer p.draws.Unlock()
	p.drawn[what]++
	return p.seed.IntN(limit, "tip", what, p.drawn[what])
}

// rest lets up to so much time pass.
func (p *tip) rest(most time.Duration) {
	time.Sleep(time.Duration(p.draw(int(most/time.Millisecond), "rest")) * time.Millisecond)
}

func (p *tip) options(o *consumer.Options) {
	o.Start = consumer.FromLatest()
	was := o.Lease
	o.Lease = func(l *lease.Options) { was(l); l.DrainTimeout = 2 * time.Second }
	if p.seed%3 > 0 {
		fanOut(o)
	}
}

// worker is world.worker on a network that takes its time.
func (p *tip) worker(id string, optFns ...func(*consumer.Options)) *consumer.Consumer {
	cfg := p.srv.ConfigFor(id)
	cfg.HTTPClient = p.slow(cfg.HTTPClient)
	return p.workerOn(id, kinesis.NewFromConfig(cfg), optFns...)
}

// slow refuses some reads. Its answers say when they were sent, which may be long
// after they were made.
func (p *tip) slow(next aws.HTTPClient) aws.HTTPClient {
	return doer(func(r *http.Request) (*http.Response, error) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		p.rest(400 * time.Millisecond)
		refusal := map[string]string{
			"GetRecords": "ExpiredIteratorException", "GetShardIterator": "LimitExceededException", "SubscribeToShard": "LimitExceededException",
		}[op]
		if refusal != "" && !p.calm.Load() && p.draw(4, "refuse") == 0 {
			return refuse(refusal), nil
		}
		resp, err := next.Do(r)
		if err == nil {
			p.rest(400 * time.Millisecond)
			resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
}

// refuse returns an answer that is an error.
func refuse(code string) *http.Response {
	body := fmt.Appendf(nil, `{"__type":%q,"message":"test"}`, code)
	return &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// handler notes what it is given and what it is done with.
func (p *tip) handler() consumer.Handler {
	return consumer.EachRecord(func(_ context.Context, r *consumer.Record) error {
		fails := !p.calm.Load() && p.draw(3, "fail") == 0
		p.notes.Lock()
		defer p.notes.Unlock()
		if first, ok := p.first[r.ShardID]; !ok || r.Position.Compare(first) < 0 {
			p.first[r.ShardID] = r.Position
		}
		if fails {
			return errNo
		}
		p.done[string(r.Data)] = true
		return nil
	}, func(o *consumer.EachOptions) { o.Concurrency = 1 + int(p.seed%4) })
}

// keepPutting puts records, with a lull now and then, until ctx ends.
func (p *tip) keepPutting(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if p.rest(400 * time.Millisecond); p.draw(20, "lull") == 0 {
			p.rest(14 * time.Second)
		}
		data := fmt.Sprint("x", n)
		out, err := p.client.PutRecord(context.WithoutCancel(ctx), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), Data: []byte(data), PartitionKey: aws.String(data),
		})
		if err != nil {
			p.t.Error(err)
			return
		}
		p.notes.Lock()
		p.all = append(p.all, placed{*out.ShardId, data, checkpoint.At(*out.SequenceNumber)})
		p.notes.Unlock()
	}
}

// breakTable has the table fail now and then.
func (p *tip) breakTable() {
	for !p.calm.Load() {
		p.rest(12 * time.Second)
		p.broken.Store(true)
		p.rest(15 * time.Second)
		p.broken.Store(false)
	}
}

func (p *tip) check() {
	p.notes.Lock()
	defer p.notes.Unlock()
	for _, r := range p.all {
		if first, ok := p.first[r.shard]; ok && r.at.Compare(first) >= 0 && !p.done[r.data] {
			p.t.Errorf("%s of %s, behind the first record read, was never done", r.data, r.shard)
		}
	}
	if len(p.first) == 0 {
		p.t.Error("nothing was read: the test tests nothing")
	}
}
