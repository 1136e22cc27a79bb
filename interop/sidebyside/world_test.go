//go:build java

package sidebyside

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kinesis/interop/endpoint"
)

// failover is that of all workers but those at rest. It leaves a JVM on a busy
// machine time to renew.
const failover = 5 * time.Second

// A world is a server, streams with records being put, and the workers of one
// application.
type world struct {
	t        *testing.T
	dir      string
	url, tls string
	server   *process
	kinesis  *kinesis.Client
	dynamodb *dynamodb.Client

	stream, app string
	streams     []string // that one and those added
	list        string   // file that names the streams, of an application that reads many
	parts       []string
	begun       time.Time
	flows       []*flow
	machines    []*machine
	drained     time.Time // when the test itself began to read the streams
	whole       bool      // events keep the data of their records

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something happened
	events   []event
	held     map[string]map[string]int // worker to shard to tenure
	tenures  map[string]int            // of worker and shard
	workers  map[string]*worker
	sent     map[string]bool     // ids acknowledged
	seen     map[string]bool     // ids delivered
	got      map[position]int    // deliveries
	stored   map[position]string // ids of what readers are to get, known when nothing is put any more
	misled   map[position]string // and of what stands in aggregates that they are to drop
	badRows  map[string]string
	stalls   []stall
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

	machine *machine // that it runs on, or nil
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
		t: t, dir: dir, stream: "orders", streams: []string{"orders"}, app: "orders-app", begun: time.Now(),
		changed: make(chan struct{}), held: map[string]map[string]int{}, tenures: map[string]int{}, workers: map[string]*worker{},
		sent: map[string]bool{}, seen: map[string]bool{}, got: map[position]int{}, badRows: map[string]string{}, pending: map[string]time.Time{},
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
	w.kinesis = kinesis.NewFromConfig(endpoint.Config(w.url))
	w.dynamodb = dynamodb.NewFromConfig(endpoint.Config(w.url))
	w.watch()
	w.watchClock()
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
	k := &worker{name: name, java: true, wire: w.tap(name, false)}
	argv := []string{
		"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	}
	for _, f := range flags { // of the machine, such as -Daws.cborEnabled=false
		if strings.HasPrefix(f, "-D") {
			argv = append(argv, f)
		}
	}
	for _, f := range flags {
		if url, ok := strings.CutPrefix(f, "--measure="); ok {
			argv = append([]string{"env", "ECS_CONTAINER_METADATA_URI_V4=" + url}, argv...)
		}
	}
	argv = append(argv, "-cp", classpath("kcl", version), "interop.KclWorker",
		"--worker="+name, "--app="+w.app, "--stream="+w.stream, "--kinesis="+url, "--dynamodb="+k.wire.url,
		fmt.Sprintf("--failover=%d", failover.Milliseconds()))
	if w.list != "" {
		argv = append(argv, "--streams="+w.list)
	}
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
	k := &worker{name: name, wire: w.tap(name, true)}
	argv := append([]string{
		filepath.Join(cache, "worker"), "-worker", name, "-app", w.app, "-stream", w.stream,
		"-kinesis", w.url, "-dynamodb", k.wire.url, "-failover", failover.String(), "-streams", w.list,
	}, flags...)
	w.begin(k, "ours", argv)
	return k
}

func (w *world) begin(k *worker, part string, argv []string) {
	w.t.Helper()
	if !strings.Contains(strings.Join(w.parts, "+"), part) {
		w.parts = append(w.parts, part)
	}
	for _, m := range w.machines {
		if strings.Contains(strings.Join(argv, " ")+" ", m.url+" ") {
			k.machine = m
		}
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
	e.Shard = w.label(e.Stream, e.Shard)
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
	case "stalled":
		w.stalls = append(w.stalls, stall{e.Worker, e.at().Add(-time.Duration(e.Late) * time.Millisecond), e.at()})
	case "record":
		e.id = id(e.Data)
		w.seen[e.id] = true
		w.got[position{e.Shard, e.Seq, e.Sub}]++
		if k := w.workers[e.Worker]; k != nil && k.machine != nil {
			k.machine.works()
		}
		if !w.whole {
			e.Data = nil
		}
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
