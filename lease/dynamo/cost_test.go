package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A till counts the calls of a fleet and what the server charges for them.
type till struct {
	mu           sync.Mutex // guards all fields below
	on           bool
	calls        map[string]int
	reads, write float64 // units
}

func (m *till) charge(what string, c *types.ConsumedCapacity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return
	}
	m.calls[what]++
	if c == nil || c.CapacityUnits == nil {
		return
	}
	if strings.HasPrefix(what, "write") {
		m.write += *c.CapacityUnits
	} else {
		m.reads += *c.CapacityUnits
	}
}

func (m *till) turn(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
}

// A metered client asks the server for the price of each call.
type metered struct {
	*dynamodb.Client
	till *till
}

func (c metered) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, fns ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.UpdateItem(ctx, in, fns...)
	what := "write: lease"
	key := in.Key["leaseKey"].(*types.AttributeValueMemberS).Value
	if !strings.HasPrefix(key, "shardId-") {
		what = "write: worker"
	}
	if key == "Leader" {
		what = "write: lock"
	}
	if out != nil {
		c.till.charge(what, out.ConsumedCapacity)
	}
	return out, err
}

func (c metered) GetItem(ctx context.Context, in *dynamodb.GetItemInput, fns ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.GetItem(ctx, in, fns...)
	if out != nil {
		c.till.charge("read: get", out.ConsumedCapacity)
	}
	return out, err
}

func (c metered) Query(ctx context.Context, in *dynamodb.QueryInput, fns ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.Query(ctx, in, fns...)
	if out != nil {
		c.till.charge("read: query", out.ConsumedCapacity)
	}
	return out, err
}

func (c metered) Scan(ctx context.Context, in *dynamodb.ScanInput, fns ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.Scan(ctx, in, fns...)
	if out != nil {
		c.till.charge("read: scan", out.ConsumedCapacity)
	}
	return out, err
}

// What a fleet at rest costs, on the SDK's own client and with the server's
// prices: two workers, idle streams, default settings. With -v it prints the
// calls; those of the KCL 3.5.1 were measured beside a real one.
func TestCostOfAFleetAtRest(t *testing.T) {
	t.Parallel()
	kcl := map[int]float64{4: 97.4, 32: 610.9} // calls a minute
	for _, n := range []int{4, 32} {
		t.Run(fmt.Sprintf("%d leases", n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.NewServer()
				defer srv.Close()
				m := &till{calls: make(map[string]int)}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				for _, id := range []string{"a", "b"} {
					store, err := dynamo.New(metered{dynamodb.NewFromConfig(srv.ConfigFor(id)), m}, "app")
					if err != nil {
						t.Fatal(err)
					}
					c, err := lease.New(store, shards(n), func(o *lease.Options) { o.WorkerID = id })
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						done <- c.Run(ctx, func(fetch, _ context.Context, _ *lease.Held) error {
							<-fetch.Done()
							return nil
						})
					}()
				}
				time.Sleep(3 * time.Minute)
				m.turn(true)
				const minutes = 2
				time.Sleep(minutes * time.Minute)
				m.turn(false)
				stop()
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				total := 0.0
				for what, calls := range m.calls {
					t.Logf("%-15s %7.1f a minute", what, float64(calls)/minutes)
					total += float64(calls) / minutes
				}
				t.Logf("%-15s %7.1f a minute; KCL 3.5.1 %.1f", "total", total, kcl[n])
				hours := float64(n) * minutes / 60
				t.Logf("per shard and hour: %.0f write units, %.0f read units", m.write/hours, m.reads/hours)
				// A write unit costs as much as five read units. The KCL writes a
				// lease 18.14 times a minute, and reads the table 3.5 times.
				ours := (5*m.write + m.reads) / minutes
				theirs := 5*(18.14*float64(n)+6) + 6*2 + 8
				bound := theirs
				if n < 8*2 {
					bound += 30 * 2
				}
				t.Logf("priced units a minute: %.0f, KCL %.0f", ours, theirs)
				if ours > bound || ours == 0 {
					t.Errorf("%.0f priced units a minute, want at most %.0f", ours, bound)
				}
			})
		})
	}
}
