//go:build java

package sidebyside

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/producer"
)

// failover is that of all workers but those at rest. It leaves a JVM on a busy
// machine time to renew.
const failover = 5 * time.Second

// A world is a server, a stream with records being put, and the workers of one
// application.
type world struct {
	t        *testing.T
	dir      string
	url, tls string
	server   *process
	kinesis  *kinesis.Client
	dynamodb *dynamodb.Client

	stream, app string
	parts       []string
	begun       time.Time
	putting     context.CancelFunc
	put         sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something happened
	events   []event
	held     map[string]map[string]int // worker to shard to tenure
	tenures  map[string]int            // of worker and shard
	workers  map[string]*worker
	sent     map[string]bool // ids acknowledged
	seen     map[string]bool // ids delivered
	badRows  map[string]string
	pending  map[string]time.Time // shard being handed over, since
	handoffs []time.Duration
}

// A worker is a process that reads the stream.
type worker struct {
	*process
	name   string
	java   bool
	wire   *wire
	over   bool // it is meant to have ended, or to end
	killed time.Time
}

// newWorld starts a server with a stream.
func newWorld(t *testing.T, shards int, args ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "sidebyside-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the output of all processes is in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	w := &world{
		t: t, dir: dir, stream: "orders", app: "orders-app", begun: time.Now(),
		changed: make(chan struct{}), held: map[string]map[string]int{}, tenures: map[string]int{}, workers: map[string]*worker{},
		sent: map[string]bool{}, seen: map[string]bool{}, badRows: map[string]string{}, pending: map[string]time.Time{},
	}
	urls := make(chan string, 2)
	argv := append([]string{filepath.Join(cache, "kinesis-local"), "-listen", "127.0.0.1:0", "-tls-listen", "127.0.0.1:0",
		"-stream", fmt.Sprintf("%s=%d", w.stream, shards)}, args...)
	w.server = start(t, dir, "kinesis-local", func(line []byte) {
		_, rest, _ := strings.Cut(string(line), " at ")
		url, _, _ := strings.Cut(rest, " ")
		urls <- url
	}, argv...)
	for _, url := range []*string{&w.url, &w.tls} {
		select {
		case *url = <-urls:
		case <-w.server.done:
			t.Fatalf("kinesis-local ended: %s", tail(w.server.log))
		case <-time.After(20 * time.Second):
			t.Fatal("kinesis-local says no address after 20s")
		}
	}
	w.kinesis = kinesis.NewFromConfig(config(w.url))
	w.dynamodb = dynamodb.NewFromConfig(config(w.url))
	w.watch()
	return w
}

// watch judges the rows of the table all the time.
func (w *world) watch() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			rows := w.rows(ctx)
			w.mu.Lock()
			for key, r := range rows {
				if fault := judgeRow(r); fault != "" {
					w.badRows[key] = fault + ": " + text(r)
				}
				_, was := w.pending[key]
				if now := r["checkpointOwner"] != nil; now && !was {
					w.pending[key] = time.Now()
				} else if !now && was {
					w.handoffs = append(w.handoffs, time.Since(w.pending[key]))
					delete(w.pending, key)
				}
			}
			w.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	})
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

// java starts a KCL worker of a version.
func (w *world) java(version, name string, flags ...string) *worker {
	return w.javaOn(w.url, version, name, flags...)
}

// javaOn is java with another address of Kinesis.
func (w *world) javaOn(url, version, name string, flags ...string) *worker {
	w.t.Helper()
	k := &worker{name: name, java: true, wire: tap(w.t, w.dir, name, w.url, false)}
	argv := []string{
		"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	}
	for _, f := range flags { // of the machine, such as -Daws.cborEnabled=false
		if strings.HasPrefix(f, "-D") {
			argv = append(argv, f)
		}
	}
	argv = append(argv, "-cp", classpath("kcl", version), "interop.KclWorker",
		"--worker="+name, "--app="+w.app, "--stream="+w.stream, "--kinesis="+url, "--dynamodb="+k.wire.url,
		fmt.Sprintf("--failover=%d", failover.Milliseconds()))
	for _, f := range flags {
		if !strings.HasPrefix(f, "-D") {
			argv = append(argv, f)
		}
	}
	w.begin(k, "KCL "+version, argv)
	return k
}

// ours starts a worker of this library.
func (w *world) ours(name string, flags ...string) *worker {
	w.t.Helper()
	k := &worker{name: name, wire: tap(w.t, w.dir, name, w.url, true)}
	argv := append([]string{
		filepath.Join(cache, "worker"), "-worker", name, "-app", w.app, "-stream", w.stream,
		"-kinesis", w.url, "-dynamodb", k.wire.url, "-failover", failover.String(),
	}, flags...)
	w.begin(k, "ours", argv)
	return k
}

func (w *world) begin(k *worker, part string, argv []string) {
	w.t.Helper()
	if !strings.Contains(strings.Join(w.parts, "+"), part) {
		w.parts = append(w.parts, part)
	}
	k.process = start(w.t, w.dir, k.name, w.take, argv...)
	w.mu.Lock()
	w.workers[k.name] = k
	w.mu.Unlock()
}

// take is given each line of a worker.
func (w *world) take(line []byte) {
	e, err := decode(line)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		e = event{Time: time.Now().UnixMilli(), Kind: "failed", Error: fmt.Sprintf("no event: %q: %v", line, err)}
	}
	lease := e.Worker + " " + e.Shard
	switch e.Kind {
	case "leaseGained":
		w.tenures[lease]++
		for _, shards := range w.held { // a former owner may tell of it later
			delete(shards, e.Shard)
		}
		if w.held[e.Worker] == nil {
			w.held[e.Worker] = map[string]int{}
		}
		w.held[e.Worker][e.Shard] = w.tenures[lease]
	case "leaseLost", "shardEnded":
		delete(w.held[e.Worker], e.Shard)
	case "record":
		w.seen[id(e.Data)] = true
	}
	e.tenure = w.tenures[lease]
	w.events = append(w.events, e)
	w.wake()
}

// wake tells those who await something. The caller holds mu.
func (w *world) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until holds, called with mu held, is true, and returns how long that took.
func (w *world) await(what string, within time.Duration, holds func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	deadline := time.After(within)
	for {
		w.mu.Lock()
		ok, changed, dead := holds(), w.changed, w.dead()
		w.mu.Unlock()
		if ok {
			return time.Since(begun)
		}
		if dead != nil {
			w.t.Fatalf("%s has ended before %s: %v: %s", dead.name, what, dead.err, tail(dead.log))
		}
		select {
		case <-changed:
		case <-time.After(time.Second):
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("after %v still not: %s; held %v, %d of %d ids seen", within, what, w.held, len(w.seen), len(w.sent))
		}
	}
}

// dead returns a worker that ended and should not have. The caller holds mu.
func (w *world) dead() *worker {
	for _, k := range w.workers {
		select {
		case <-k.done:
			if !k.over {
				return k
			}
		default:
		}
	}
	return nil
}

// holding awaits that a worker holds so many leases.
func (w *world) holding(k *worker, leases int, within time.Duration) time.Duration {
	w.t.Helper()
	return w.await(fmt.Sprintf("%s has %d leases", k.name, leases), within, func() bool { return len(w.held[k.name]) >= leases })
}

// reads awaits that a worker reads a record.
func (w *world) reads(k *worker, within time.Duration) time.Duration {
	w.t.Helper()
	w.mu.Lock()
	from := len(w.events)
	w.mu.Unlock()
	return w.await(k.name+" reads records", within, func() bool {
		for _, e := range w.events[from:] {
			if e.Worker == k.name && e.Kind == "record" {
				return true
			}
		}
		return false
	})
}

// kill ends a worker at once.
func (w *world) kill(k *worker) {
	w.mu.Lock()
	k.killed, k.over = time.Now(), true
	w.mu.Unlock()
	k.signal(syscall.SIGKILL)
	<-k.done
	w.gone(k)
}

// stop ends a worker gracefully.
func (w *world) stop(k *worker) {
	w.t.Helper()
	w.mu.Lock()
	k.over = true
	w.mu.Unlock()
	k.signal(syscall.SIGTERM)
	k.ended(w.t, 90*time.Second)
	w.gone(k)
}

func (w *world) gone(k *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, k.name)
}

// id returns the id in a record's data.
func id(data []byte) string { return string(data[:min(len(data), 10)]) }

// produce puts records of about 500 bytes with our producer, aggregated, until
// the world is finished.
func (w *world) produce(perSecond int) {
	w.t.Helper()
	p, err := producer.New(w.kinesis, w.stream, func(o *producer.Options) { o.RecordMaxBufferedTime = 200 * time.Millisecond })
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.putting = cancel
	w.t.Cleanup(func() { cancel(); w.put.Wait() })
	w.put.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for n := 1; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("id-%07d", n)
			err := p.PutAsync(context.WithoutCancel(ctx), producer.Record{
				PartitionKey: fmt.Sprint("key ", n*7919%1000), Data: []byte(name + strings.Repeat(" x", 250)),
			}, func(r producer.Result) {
				if r.Err != nil {
					w.t.Errorf("put: %v", r.Err)
					return
				}
				w.mu.Lock()
				w.sent[name] = true
				w.mu.Unlock()
			})
			if err != nil {
				w.t.Errorf("put: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
		if err := p.Close(context.WithoutCancel(ctx)); err != nil {
			w.t.Errorf("close the producer: %v", err)
		}
	})
}

// drain ends the producer and awaits that everything was delivered.
func (w *world) drain(within time.Duration) {
	w.t.Helper()
	if w.putting != nil {
		w.putting()
		w.put.Wait()
	}
	w.await("everything is delivered", within, func() bool {
		for name := range w.sent {
			if !w.seen[name] {
				return false
			}
		}
		return true
	})
}

func config(url string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(url),
		HTTPClient: withoutWriterTo{awshttp.NewBuildableClient()},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
}

// withoutWriterTo hides WriteTo of a request's body, which over plain HTTP/1.1
// breaks responses that come before all of the body is sent (aws-sdk-go-v2#1825).
type withoutWriterTo struct{ aws.HTTPClient }

func (c withoutWriterTo) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}
