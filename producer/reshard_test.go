package producer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/producer"
)

// The stream is doubled and halved under load, twice each: readers of the
// KCL get every record, once, and with Ordered in the order of Put.
func TestStreamIsScaledUnderLoad(t *testing.T) {
	t.Parallel()
	for _, order := range []bool{false, true} {
		for _, aggregate := range []bool{false, true} {
			for _, latency := range []time.Duration{0, 40 * time.Millisecond} {
				t.Run(fmt.Sprintf("ordered %v, aggregate %v, latency %v", order, aggregate, latency), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { scaleUnderLoad(t, order, aggregate, latency) })
				})
			}
		}
	}
}

func scaleUnderLoad(t *testing.T, order, aggregate bool, latency time.Duration) {
	w := newServer(t, 4, kinesistest.Unthrottled, func(o *kinesistest.Options) { o.StreamUpdating = 100 * time.Millisecond })
	p, err := producer.New(w.client, stream, func(o *producer.Options) {
		o.Ordered, o.Aggregate, o.AggregationMaxBytes, o.RecordTTL = order, aggregate, 1500, time.Hour
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Producer = p
	w.srv.Inject(kinesistest.Fault{Operation: "PutRecords", Delay: latency / 2, DelayAfter: latency / 2})
	w.srv.Inject(kinesistest.Fault{Operation: "ListShards", DelayAfter: latency})
	targets := map[int]int32{500: 8, 1000: 16, 1500: 8, 2000: 4}
	for i := range 2500 {
		if err := w.send(fmt.Sprint("key-", i%200), fmt.Sprintf("%05d", i)); err != nil {
			t.Fatal(err)
		}
		if n := targets[i]; n > 0 {
			if _, err := w.client.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{
				StreamName: aws.String(stream), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling,
			}, patient); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	w.close()
	if got := w.check(); got[producer.Stored] != 2500 {
		t.Errorf("outcomes %v", got)
	}
	if n := w.duplicates(); n > 0 {
		t.Errorf("%d duplicates", n)
	}
	if order {
		w.checkOrder(true)
	}
	if n := len(w.srv.Shards(stream)); n != 4+8+16+8+4 {
		t.Errorf("the stream has had %d shards: it was not scaled as meant", n)
	}
}
