package dynamo_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

// A town is a fleet on the tables of an embedded DynamoDB, each worker with a store
// and options of its own. It belongs in a bubble. It judges as it goes: positions
// never go back, and no two workers lead by the lock.
type town struct {
	*testing.T
	srv       *kinesistest.Server
	client    *dynamodb.Client
	shards    int
	byShuffle bool // leaders are elected by shuffle at times: several may be for a moment

	mu      sync.Mutex // guards what follows
	workers map[string]*townsman
	holders map[string]string // shard → worker that was given it last
	done    map[string]int    // the position stored of each shard
	leaders map[string]bool
	crashed map[string]bool
	lines   []string
}

type townsman struct {
	stop context.CancelFunc
	done chan error
	dead bool
}

func newTown(t *testing.T, shards int) *town {
	srv := kinesistest.NewServer()
	return &town{
		T: t, srv: srv, client: dynamodb.NewFromConfig(srv.Config()), shards: shards,
		workers: make(map[string]*townsman), holders: make(map[string]string), done: make(map[string]int), leaders: make(map[string]bool),
		crashed: make(map[string]bool),
	}
}

func (f *town) note(format string, args ...any) {
	f.lines = append(f.lines, time.Now().Format("02 15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// start starts a worker.
func (f *town) start(id string, optFns ...func(*dynamo.Options)) {
	f.Helper()
	store, err := dynamo.New(dynamodb.NewFromConfig(f.srv.ConfigFor(id)), "app", optFns...)
	if err != nil {
		f.Fatal(err)
	}
	w := &townsman{done: make(chan error, 1)}
	c, err := lease.New(store, shards(f.shards), func(o *lease.Options) {
		o.WorkerID = id
		o.Events.Elected = func(i lease.ElectedInfo) { f.elected(w, id, i.Leading) }
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(f.Context())
	w.stop = stop
	f.mu.Lock()
	f.workers[id] = w
	f.note("%s starts", id)
	f.mu.Unlock()
	go func() {
		w.done <- c.Run(ctx, func(fetch, work context.Context, h *lease.Held) error { return f.hold(w, id, fetch, work, h) })
	}()
}

// elected notes who leads. By shuffle several may for a moment, by the lock never.
func (f *town) elected(w *townsman, id string, leading bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.dead {
		return
	}
	f.note("%s leads: %v", id, leading)
	if !leading {
		delete(f.leaders, id)
		return
	}
	f.leaders[id] = true
}

func (f *town) hold(w *townsman, id string, fetch, work context.Context, h *lease.Held) error {
	shard := h.Shard().ID
	at := 0
	if p := h.Position(); p.IsRecord() {
		at, _ = strconv.Atoi(p.SequenceNumber)
	}
	f.mu.Lock()
	if w.dead {
		f.mu.Unlock()
		return nil
	}
	if at < f.done[shard] {
		f.Errorf("%s begins %s at %d, and %d was stored", id, shard, at, f.done[shard])
	}
	f.note("%s holds %s at %d", id, shard, at)
	f.holders[shard] = id
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.holders[shard] == id && !w.dead {
			delete(f.holders, shard)
		}
	}()
	for tick := time.NewTicker(5 * time.Second); ; {
		select {
		case <-fetch.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		if h.Checkpoint(work, checkpoint.At(strconv.Itoa(at+1))) == nil {
			at++
			f.mu.Lock()
			f.done[shard] = max(f.done[shard], at)
			f.mu.Unlock()
		}
	}
}

// leave stops a worker, and its error is to be nil.
func (f *town) leave(id string) {
	f.Helper()
	w := f.remove(id)
	w.stop()
	if err := <-w.done; err != nil {
		f.Errorf("%s: %v", id, err)
	}
	f.mu.Lock()
	delete(f.leaders, id)
	f.mu.Unlock()
}

// crash ends a worker as if its process had been killed.
func (f *town) crash(id string) {
	w := f.remove(id)
	f.mu.Lock()
	w.dead, f.crashed[id] = true, true
	delete(f.leaders, id)
	for shard, holder := range f.holders {
		if holder == id {
			delete(f.holders, shard)
		}
	}
	f.note("%s crashes", id)
	f.mu.Unlock()
	f.srv.Inject(kinesistest.Fault{Client: id, Error: kinesistest.ServiceUnavailable})
	w.stop()
	<-w.done
}

func (f *town) remove(id string) *townsman {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.workers[id]
	delete(f.workers, id)
	return w
}

func (f *town) end() {
	f.mu.Lock()
	ids := slices.Sorted(maps.Keys(f.workers))
	f.mu.Unlock()
	for _, id := range ids {
		f.leave(id)
	}
	f.srv.Close()
	if f.Failed() {
		for _, l := range f.lines {
			f.Log(l)
		}
	}
}

// counts returns how many shards each worker holds.
func (f *town) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int)
	for _, id := range f.holders {
		out[id]++
	}
	return out
}

// wait lets time pass, and no two workers may lead at any moment of it, nor none for
// longer than it takes to see a leader die.
func (f *town) wait(d time.Duration) {
	f.Helper()
	const every = 500 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
		f.mu.Lock()
		if len(f.leaders) > 1 && !f.byShuffle {
			f.Errorf("%v lead at %v", slices.Sorted(maps.Keys(f.leaders)), time.Now())
			f.leaders = make(map[string]bool)
		}
		f.mu.Unlock()
	}
}

// want checks that every shard is held, that every worker has its part, and that
// positions move on.
func (f *town) want(workers ...string) {
	f.Helper()
	f.mu.Lock()
	before := maps.Clone(f.done)
	f.mu.Unlock()
	f.wait(15 * time.Second)
	counts := f.counts()
	total := 0
	for id, n := range counts {
		total += n
		if !slices.Contains(workers, id) {
			f.Errorf("%s holds %d shards", id, n)
		}
	}
	for _, id := range workers {
		if least := f.shards / len(workers); counts[id] < least {
			f.Errorf("%s holds %d shards, its part is %d: %v", id, counts[id], least, counts)
		}
	}
	if total != f.shards {
		f.Errorf("%d of %d shards are held: %v", total, f.shards, counts)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for shard, n := range before {
		if f.done[shard] <= n {
			f.Errorf("%s stays at %d", shard, n)
		}
	}
}

const (
	stateTable   = "app-CoordinatorState"
	workersTable = "app-WorkerMetricStats"
)

// makeTable makes a table as the KCL does.
func (f *town) makeTable(name, key string) {
	f.Helper()
	_, err := f.client.CreateTable(f.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		f.Fatal(err)
	}
}

// makeLegacy makes what a worker of KCL 3.4 leaves: its tables, with its version.
func (f *town) makeLegacy() {
	f.makeTable("app", "leaseKey")
	f.makeTable(stateTable, "key")
	f.makeTable(workersTable, "wid")
	put(f.T, f.client, stateTable, item{"key": s("Migration3.0"), "cv": s("CLIENT_VERSION_3X"), "mb": s("old"), "mts": n("1")})
}

// rows returns the keys of the rows of a table that are no leases, sorted, without
// those that crashed workers have left.
func (f *town) rows(table, key string) []string {
	f.Helper()
	out, err := f.client.Scan(f.Context(), &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		f.Fatal(err)
	}
	keys := []string{}
	for _, it := range out.Items {
		id := it[key].(*types.AttributeValueMemberS).Value
		if _, isLease := it["leaseCounter"]; !isLease && !f.crashed[id] {
			keys = append(keys, id)
		}
	}
	slices.Sort(keys)
	return keys
}

// row returns an attribute of a row, empty if there is none.
func (f *town) row(table, keyName, key, attr string) string {
	f.Helper()
	out, err := f.client.GetItem(f.Context(), &dynamodb.GetItemInput{
		TableName: &table, Key: item{keyName: s(key)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		f.Fatal(err)
	}
	switch v := out.Item[attr].(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

// backdate makes a row of a migration older: its waits count from what it says.
func (f *town) backdate(table, keyName, key string, d time.Duration) {
	f.Helper()
	at := strconv.FormatInt(time.Now().Add(-d).UnixMilli(), 10)
	if _, err := f.client.UpdateItem(f.Context(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: item{keyName: s(key)}, UpdateExpression: aws.String("SET mts = :t"), ExpressionAttributeValues: item{":t": n(at)},
	}); err != nil {
		f.Fatal(err)
	}
}
