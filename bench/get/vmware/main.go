// Command vmware reads with github.com/vmware/vmware-go-kcl-v2, which keeps
// leases of its own kind in DynamoDB.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	cfg := a.Config()
	kcl := config.NewKinesisClientLibConfig("bench-vmware", a.Stream, "us-east-1", "w").
		WithInitialPositionInStream(config.TRIM_HORIZON).WithMaxRecords(10_000).WithIdleTimeBetweenReadsInMillis(200).
		WithMaxLeasesForWorker(100).WithShardSyncIntervalMillis(500).WithFailoverTimeMillis(10_000)
	if a.Retrieval == "fanout" {
		kcl.WithEnhancedFanOutConsumer(true).WithEnhancedFanOutConsumerName("bench-vmware")
	}
	store := checkpoint.NewDynamoCheckpoint(kcl).WithDynamoDB(dynamodb.NewFromConfig(cfg))
	g := contest.NewGetter(a)
	w := worker.NewWorker(factory{g}, kcl).WithKinesis(kinesis.NewFromConfig(cfg)).WithCheckpointer(store)
	g.Run(func(ctx context.Context) error {
		if err := w.Start(); err != nil {
			return err
		}
		<-ctx.Done()
		w.Shutdown()
		return nil
	})
}

type factory struct{ g *contest.Getter }

func (f factory) CreateProcessor() interfaces.IRecordProcessor { return processor(f) }

type processor struct{ g *contest.Getter }

func (processor) Initialize(*interfaces.InitializationInput) {}

func (p processor) ProcessRecords(in *interfaces.ProcessRecordsInput) {
	for i := range in.Records {
		p.g.Got(in.Records[i].Data)
	}
	if n := len(in.Records); n > 0 {
		contest.Must(in.Checkpointer.Checkpoint(in.Records[n-1].SequenceNumber))
	}
}

func (processor) Shutdown(*interfaces.ShutdownInput) {}
