package stream

import (
	"fmt"
	"testing"
	"time"
)

// An on-demand stream splits the shards that are hot, without being asked.
func TestOnDemandScaling(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    string
		scaling time.Duration
		size    int // bytes a second, to one key
		want    int // shards after two periods
	}{
		{"hot", onDemand, 3 * time.Second, 600_000, 6},
		{"cool", onDemand, 3 * time.Second, 400_000, 4},
		{"switched off", onDemand, 0, 600_000, 4},
		{"provisioned", provisioned, 3 * time.Second, 600_000, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{OnDemandScaling: tt.scaling, Updating: time.Second}, func(c caller) {
				in := object{"StreamName": "s", "StreamModeDetails": object{"StreamMode": tt.mode}}
				if tt.mode == provisioned {
					in["ShardCount"] = 4
				}
				c.must("CreateStream", in)
				put := object{"StreamName": "s", "PartitionKey": "k", "Data": data(tt.size)}
				last := ""
				for range 9 {
					out := c.must("PutRecord", put)
					if n := out["SequenceNumber"].(string); n <= last {
						c.Fatalf("%s comes after %s", n, last)
					} else {
						last = n
					}
					time.Sleep(time.Second)
				}
				open := c.must("DescribeLimits", object{})["OpenShardCount"]
				if open != float64(tt.want) || *c.summary().OpenShardCount != int32(tt.want) {
					c.Errorf("%v open shards, want %d: %s", open, tt.want, c.lineage())
				}
			})
		})
	}
}

// Load that comes once in a while is not load for long, and many small records
// are.
func TestOnDemandScalingLooksAtThePeriod(t *testing.T) {
	inBubble(t, Options{OnDemandScaling: 4 * time.Second}, func(c caller) {
		c.must("CreateStream", object{"StreamName": "s", "StreamModeDetails": object{"StreamMode": "ON_DEMAND"}})
		large := object{"StreamName": "s", "PartitionKey": "k", "Data": data(1 << 20)[:1<<20]}
		for range 4 {
			c.must("PutRecord", large)
			time.Sleep(5 * time.Second)
		}
		if got := *c.summary().OpenShardCount; got != 4 {
			c.Errorf("%d shards after a few records", got)
		}
		records := make([]object, 600)
		for i := range records {
			records[i] = object{"PartitionKey": fmt.Sprint(i), "ExplicitHashKey": "0", "Data": ""}
		}
		for range 5 {
			c.must("PutRecords", object{"StreamName": "s", "Records": records})
			time.Sleep(time.Second)
		}
		if got := *c.summary().OpenShardCount; got != 5 {
			c.Errorf("%d shards after many small records", got)
		}
	})
}
