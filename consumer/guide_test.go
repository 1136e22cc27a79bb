package consumer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/kinesistest"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
	"github.com/kinesis-go/kinesis/producer"
)

// What docs/operating.md says: its tables, its code and the permissions it asks
// for.

// A sink is a table of a system downstream, and beside it how far each shard is.
type sink struct {
	total map[string]int
	rows  map[string]sinkRow
}

type sinkRow struct {
	counter  int64
	position checkpoint.Position
}

// apply adds r to the sink unless it is there, and refuses a worker that has
// lost its shard.
func (s *sink) apply(e lease.Epoch, r *consumer.Record) error {
	row := s.rows[r.ShardID]
	if e.Counter < row.counter {
		return lease.ErrLost
	}
	if r.Position.Compare(row.position) > 0 {
		s.total[r.PartitionKey]++ // what the record means
		row.position = r.Position
	}
	row.counter = e.Counter
	s.rows[r.ShardID] = row
	return nil
}

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the code of a language in the guide.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var out []string
	for _, rest := range strings.Split(guide(t), "\n```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		out = append(out, block)
	}
	if len(out) == 0 {
		t.Fatalf("docs/operating.md has no %s", language)
	}
	return out
}

func TestGuideSinkTakesEachRecordOnce(t *testing.T) {
	t.Parallel()
	s := &sink{total: map[string]int{}, rows: map[string]sinkRow{}}
	record := func(sub int64) *consumer.Record {
		return &consumer.Record{
			Origin: &consumer.Origin{ShardID: id(0)}, PartitionKey: "k",
			Position: checkpoint.Position{SequenceNumber: "49", SubSequenceNumber: sub},
		}
	}
	first, second := lease.Epoch{Owner: "a", Counter: 3}, lease.Epoch{Owner: "b", Counter: 5}
	for i, err := range []error{
		s.apply(first, record(0)), s.apply(first, record(1)),
		s.apply(second, record(1)), s.apply(second, record(2)), // from the last checkpoint on
	} {
		if err != nil {
			t.Errorf("apply %d: %v", i, err)
		}
	}
	if err := s.apply(first, record(3)); !errors.Is(err, lease.ErrLost) || s.total["k"] != 3 {
		t.Errorf("a worker without the shard: %v, total %d; want ErrLost, 3", err, s.total["k"])
	}
}

// shardsFor is the formula of the guide.
func shardsFor(records, in, out float64) int {
	return int(math.Ceil(max(in/1024, records/1000, out/2048)))
}

func TestGuideSizesStreams(t *testing.T) {
	t.Parallel()
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(s), ",", ""), 64)
		if err != nil {
			t.Error(err)
		}
		return f
	}
	_, table, _ := strings.Cut(guide(t), "|---|---:|---:|---:|---:|---:|\n")
	rows := 0
	for line := range strings.Lines(table) {
		cell := strings.Split(line, "|")
		if len(cell) != 8 {
			break
		}
		rows++
		records, in, readers, out, shards := number(cell[2]), number(cell[3]), number(cell[4]), number(cell[5]), number(cell[6])
		if math.Abs(in*readers-out) > readers {
			t.Errorf("%s: out %v, want %v times %v", cell[1], out, readers, in)
		}
		if want := shardsFor(records, in, out); float64(want) != shards {
			t.Errorf("%s: %v shards, want %d", cell[1], shards, want)
		}
	}
	if rows < 5 {
		t.Errorf("%d rows", rows)
	}
}

// actions returns what each statement of the guide's policies allows.
func actions(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, block := range blocks(t, "json") {
		var policy struct {
			Statement []struct {
				Sid    string
				Action []string
			}
		}
		if err := json.Unmarshal([]byte(block), &policy); err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		for _, s := range policy.Statement {
			out[s.Sid] = s.Action
		}
	}
	return out
}

// methods returns the permissions that the calls of an interface take.
func methods[API any](service string) []string {
	set := map[string]bool{}
	typ := reflect.TypeFor[API]()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		if name == "TransactWriteItems" { // asks for what it is made of
			name = "ConditionCheckItem"
		}
		set[service+":"+name] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// The policies allow the calls that the code can make, and no others.
func TestGuideAllowsEveryCallAndNoOther(t *testing.T) {
	t.Parallel()
	allowed := actions(t)
	union := func(sids ...string) []string {
		set := map[string]bool{}
		for _, sid := range sids {
			for _, a := range allowed[sid] {
				set[a] = true
			}
		}
		return slices.Sorted(maps.Keys(set))
	}
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"producer", union("Producer"), methods[producer.KinesisAPI]("kinesis")},
		{"polling", union("Polling"), methods[consumer.KinesisAPI]("kinesis")},
		{"fan-out", union("Polling", "FanOutStream", "FanOutConsumer"), methods[consumer.FanOutAPI]("kinesis")},
		{"lease table", union("LeaseTable", "LeaseTableMade", "LeaseTableMigrated"), methods[dynamo.DynamoDBAPI]("dynamodb")},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-calls +policy):\n%s", tt.name, diff)
		}
	}
}

// A fleet that has its table and its consumer gets by with the narrow policies:
// every call it makes is in them.
func TestGuideAllowsWhatAFleetCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		var mu sync.Mutex
		called := map[string]bool{}
		watch := func() {
			w.srv.Inject(kinesistest.Fault{Match: func(c *kinesistest.Call) bool {
				mu.Lock()
				defer mu.Unlock()
				if c.Client == "w1" || c.Client == "w2" {
					called[map[string]string{kinesistest.Kinesis: "kinesis", kinesistest.DynamoDB: "dynamodb"}[c.Service]+":"+c.Operation] = true
				}
				return false
			}})
		}
		fanOut := func(o *consumer.Options) { o.Retrieval, o.FanOutConsumer = consumer.Auto, app }
		w.puts(100)
		stop := w.run(w.worker("w1", fanOut), w.handler("w1"))
		w.settle(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}

		watch() // not before: table and consumer were to be made
		a, b := w.run(w.worker("w1", fanOut), w.handler("w1")), w.run(w.worker("w2"), w.handler("w2"))
		time.Sleep(time.Minute)
		w.split(id(0))
		w.merge(id(2), id(3))
		w.puts(100)
		w.settle(10 * time.Minute)
		if err := errors.Join(a(), b()); err != nil {
			t.Error(err)
		}
		allowed := actions(t)
		for call := range called {
			if !slices.Contains(slices.Concat(allowed["Polling"], allowed["FanOutStream"], allowed["FanOutConsumer"], allowed["LeaseTable"]), call) {
				t.Errorf("the fleet called %s, which the guide does not allow", call)
			}
		}
		if len(called) < 6 {
			t.Errorf("only %v were called", called)
		}
	})
}

// The figures are of a fleet that has come to rest.
func TestGuideTellsWhatATableCosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ workers, shards int }{{1, 1}, {1, 10}, {3, 10}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			var writes, reads int
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, int32(tt.shards))
				var stops []func() error
				for i := range tt.workers {
					name := fmt.Sprint("w", i)
					stops = append(stops, w.run(w.worker(name, func(o *consumer.Options) { o.PollInterval = time.Minute }), w.handler(name)))
				}
				time.Sleep(200 * time.Second) // two minutes after the last change
				var mu sync.Mutex
				remove := w.srv.Inject(kinesistest.Fault{Service: kinesistest.DynamoDB, Match: func(c *kinesistest.Call) bool {
					mu.Lock()
					defer mu.Unlock()
					switch c.Operation {
					case "PutItem", "UpdateItem", "DeleteItem":
						writes++
					default:
						reads++
					}
					return false
				}})
				time.Sleep(time.Minute)
				remove()
				for _, stop := range stops {
					if err := stop(); err != nil {
						t.Error(err)
					}
				}
			})
			t.Logf("| %d | %d | %d | %d |", tt.workers, tt.shards, writes, reads)
			line := regexp.MustCompile(fmt.Sprintf(`\n\| %d \| %d \| (\d+) \| (\d+) \|`, tt.workers, tt.shards)).FindStringSubmatch(guide(t))
			if line == nil {
				t.Fatal("the guide has no such line")
			}
			for i, got := range []int{writes, reads} {
				if told, err := strconv.Atoi(line[i+1]); err != nil || float64(got) > 1.2*float64(told)+5 || float64(got) < 0.8*float64(told)-5 {
					t.Errorf("%d a minute, the guide tells %d", got, told)
				}
			}
		})
	}
}
