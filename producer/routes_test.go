package producer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// Whoever reads the counts while the shards change has them from one table of
// lanes, the old or the new one, and both say the same.
func TestCountsStayWhenLanesAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := kinesistest.NewServer()
		defer srv.Close()
		if err := srv.CreateStream("s", 3); err != nil {
			t.Fatal(err)
		}
		p, err := New(kinesis.NewFromConfig(srv.Config()), "s")
		if err != nil {
			t.Fatal(err)
		}
		put := func() {
			for i := range 100 {
				if err := p.PutAsync(t.Context(), Record{PartitionKey: fmt.Sprint(i)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		put()
		old := p.routes.Load()
		next := p.newRoutes(facts{maxRecord: defaultRecordBytes}, nil, old)
		p.reroute(next, p.now()) // the flusher sleeps
		put()
		before, _ := old.totals()
		after, taken := p.routes.Load().totals()
		if s := p.Stats(); before != 100 || after != 200 || s.Accepted != 200 || s.BufferedBytes != taken-p.counts.released.Load() {
			t.Errorf("%d records accepted before and %d after, want 100 and 200; Stats = %+v", before, after, s)
		}
		if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}
