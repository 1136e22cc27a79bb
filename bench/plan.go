package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kinesis/bench/internal/process"
	"github.com/kinesis-go/kinesis/bench/internal/server"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// A Case is a task for all contestants of its kind.
type Case struct {
	Name      string
	Title     string
	Get       bool // read, else put
	Records   int  // for a contestant of Weight 1
	Size      int
	Aggregate bool
	Rate      int                       // records a second, 0 as fast as it goes
	Fault     func(*kinesistest.Server) // put in when the part that counts begins
	TTL       time.Duration             // default 5 minutes
	Once      bool                      // in the first round only
	Without   func(c Contestant) bool   // who does not take part
}

const (
	shards = 8
	keys   = 1000
)

var cases = []Case{
	{Name: "put-100B", Title: "Put 100 B", Records: 250_000, Size: 100, Aggregate: true},
	{Name: "put-1KiB", Title: "Put 1 KiB", Records: 100_000, Size: 1 << 10, Aggregate: true},
	{Name: "put-20KiB", Title: "Put 20 KiB", Records: 8_000, Size: 20 << 10, Aggregate: true},
	{Name: "put-100B-bare", Title: "Put 100 B, not aggregated", Records: 100_000, Size: 100},
	{Name: "put-paced", Title: "Put 100 B, 10,000 a second for 10 s", Records: 100_000, Size: 100, Aggregate: true, Rate: 10_000, Once: true, Without: unpaced},
	{Name: "put-throttled", Title: "Put 100 B, 10 % of entries refused", Records: 100_000, Size: 100, Aggregate: true, Fault: refuse, Once: true, Without: unpaced},
	{Name: "put-outage", Title: "Put 100 B, 2,000 a second for 60 s, 30 s of them an outage", Records: 120_000, Size: 100, Aggregate: true, Rate: 2_000, Fault: outage, Once: true, Without: impatient},
	{Name: "get-1KiB", Title: "Read 1 KiB", Get: true, Records: 200_000, Size: 1 << 10},
	{Name: "get-100B", Title: "Read 100 B, aggregated", Get: true, Records: 1_000_000, Size: 100, Aggregate: true, Without: func(c Contestant) bool { return c.Raw }},
}

// unpaced are those that know no pace and no retry.
func unpaced(c Contestant) bool { return c.Raw }

// impatient are those of whom an outage is no test: they give every record up that
// meets it.
func impatient(c Contestant) bool { return !strings.HasPrefix(c.Name, "ours") && c.Name != "kpl" }

// refuse throttles one entry in ten.
func refuse(s *kinesistest.Server) {
	var n atomic.Int64
	s.Inject(kinesistest.Fault{
		Service: kinesistest.Kinesis, Operation: "PutRecords", Error: kinesistest.Throttled,
		Entries: func(int, string, string) bool { return n.Add(1)%10 == 0 },
	})
}

// outage fails every call for half a minute.
func outage(s *kinesistest.Server) {
	s.Inject(kinesistest.Fault{
		Service: kinesistest.Kinesis, Start: 10 * time.Second, For: 30 * time.Second, Error: kinesistest.ServiceUnavailable,
	})
}

// A Contestant is a library under test, in one of its settings.
type Contestant struct {
	Name, Title string
	Get         bool
	Dir         string   // of its program
	Class       string   // of Java, else the program is in Go
	Args        []string // beside those of the case; a later one wins
	Weight      int      // how many times as many records it gets, to be long enough to measure
	Rounds      int      // at most so many, 0 for all
	Raw         bool     // no library: what it stores is not looked at
}

var contestants = []Contestant{
	{Name: "ours", Title: "this library", Dir: "put/ours", Weight: 6},
	{Name: "ours-cbor", Title: "this library, CBOR", Dir: "put/ours", Args: []string{"wire=cbor"}, Weight: 6},
	{Name: "kpl", Title: "KPL 1.1.1", Dir: "java/put", Class: "Put", Weight: 1},
	{Name: "a8m", Title: "a8m/kinesis-producer 7e5fa98", Dir: "put/a8m", Weight: 3},
	{Name: "achunariov", Title: "achunariov/kinesis-producer 0.3.2", Dir: "put/achunariov", Weight: 2},
	{Name: "sdk", Title: "AWS SDK and a minimal aggregator", Dir: "put/sdk", Weight: 3},
	{Name: "raw", Title: "net/http, ready-made body", Dir: "put/raw", Weight: 6, Raw: true},

	{Name: "ours", Title: "this library, EachBatch", Get: true, Dir: "get/ours", Args: []string{"mode=batch"}, Weight: 3},
	{Name: "ours-record", Title: "this library, EachRecord", Get: true, Dir: "get/ours", Args: []string{"mode=record"}, Weight: 3},
	{Name: "ours-cbor", Title: "this library, EachBatch, CBOR", Get: true, Dir: "get/ours", Args: []string{"mode=batch", "wire=cbor"}, Weight: 3},
	{Name: "ours-keyed", Title: "this library, EachRecord, 8 at a time", Get: true, Dir: "get/ours", Args: []string{"mode=keyed"}, Weight: 3},
	{Name: "ours-fanout", Title: "this library, EachBatch, fan-out", Get: true, Dir: "get/ours", Args: []string{"mode=batch", "retrieval=fanout"}, Weight: 3},
	{Name: "kcl-fanout", Title: "KCL 3.5.1, fan-out", Get: true, Dir: "java/get", Class: "Get", Args: []string{"retrieval=fanout"}, Weight: 3, Rounds: 1},
	{Name: "kcl", Title: "KCL 3.5.1", Get: true, Dir: "java/get", Class: "Get", Weight: 3, Rounds: 1},
	{Name: "harlow", Title: "harlow/kinesis-consumer 0.5.0", Get: true, Dir: "get/harlow", Weight: 1},
	{Name: "vmware", Title: "vmware-go-kcl-v2 1.0.0", Get: true, Dir: "get/vmware", Weight: 1},
	{Name: "sdk", Title: "AWS SDK, GetRecords", Get: true, Dir: "get/sdk", Weight: 1},
	{Name: "raw", Title: "net/http, body dropped", Get: true, Dir: "get/raw", Weight: 3, Raw: true},
}

// An entry is one contestant's turn at a case.
type entry struct {
	Case       Case
	Contestant Contestant
}

func schedule(wanted *regexp.Regexp, names []string, more ...string) (plan []entry) {
	for _, c := range cases {
		if !wanted.MatchString(c.Name) {
			continue
		}
		for _, who := range contestants {
			if who.Get != c.Get || c.Without != nil && c.Without(who) || names != nil && !slices.Contains(names, who.Name) {
				continue
			}
			who.Args = append(slices.Clone(who.Args), more...)
			plan = append(plan, entry{c, who})
		}
	}
	return plan
}

// outstanding is how many records may be without a result.
const outstanding = 20_000

// runTimeout ends a run that hangs.
const runTimeout = 3 * time.Minute

// measure runs a contestant once.
func measure(ctx context.Context, bin string, e entry, scale float64) (Run, error) {
	c := e.Case
	run := Run{Case: c.Name, Contestant: e.Contestant.Name, Records: int(float64(c.Records) * scale)}
	if c.Rate == 0 && c.Fault == nil {
		run.Records *= e.Contestant.Weight
	}
	warm := min(run.Records/5, outstanding)
	s, err := server.New(shards)
	if err != nil {
		return Run{}, err
	}
	defer s.Close() //nolint:errcheck // nothing depends on it any more
	if c.Get {
		warm = 0
		if err := s.Load(run.Records, c.Size, keys, c.Aggregate); err != nil {
			return Run{}, err
		}
	}
	child := process.New(e.command(ctx, bin, s.Endpoint, run.Records, warm))
	if c.Get {
		s.OnRead = child.Begin
	}
	if err := child.Start(); err != nil {
		return Run{}, err
	}
	u, err := child.Wait(runTimeout, func(event string) {
		run.Wire = s.Received() - run.Wire
		if event == "start" && !c.Get {
			child.Begin()
		}
		if event == "start" && c.Fault != nil {
			c.Fault(s.Server)
		}
	})
	if err != nil {
		// A library that crashes is a result too: what it says, without the stacks.
		run.Broken, _, _ = strings.Cut(err.Error(), "\n\n")
		if ctx.Err() != nil || e.Contestant.Name == "ours" {
			return Run{}, err
		}
		return run, nil
	}
	run.Seconds, run.CPU, run.Memory, run.Mallocs = u.Time.Seconds(), u.CPU.Seconds(), u.Memory, u.Mallocs
	run.Stored, run.Failed, run.Repeats = u.Stored, u.Failed, u.Repeats
	if !c.Get && !e.Contestant.Raw {
		err = run.check(s, warm, c.Rate > 0)
	}
	return run, err
}

// check looks at what has arrived.
func (r *Run) check(s *server.Server, warm int, timed bool) error {
	a, err := s.Check(warm, r.Records, keys, timed)
	if err != nil {
		return err
	}
	r.Lost, r.Repeats, r.WrongKey, r.Misplaced, r.Reordered, r.Entries = a.Lost, a.Repeated, a.WrongKey, a.Misplaced, a.Reordered, a.Entries
	r.P50, r.P99, r.P999 = a.P50.Seconds(), a.P99.Seconds(), a.P999.Seconds()
	return nil
}

func (e entry) command(ctx context.Context, bin, endpoint string, records, warm int) *exec.Cmd {
	c := e.Case
	ttl := c.TTL
	if ttl == 0 {
		ttl = 5 * time.Minute
	}
	args := append([]string{
		"endpoint=" + endpoint, "stream=" + server.Stream,
		fmt.Sprintf("records=%d", records), fmt.Sprintf("warm=%d", warm), fmt.Sprintf("size=%d", c.Size),
		fmt.Sprintf("keys=%d", keys), fmt.Sprintf("aggregate=%t", c.Aggregate), fmt.Sprintf("rate=%d", c.Rate),
		"buffered=100ms", fmt.Sprintf("ttl=%v", ttl), fmt.Sprintf("outstanding=%d", outstanding),
	}, e.Contestant.Args...)
	if c.Fault != nil && c.Rate > 0 { // an outage must fit
		args[len(args)-1-len(e.Contestant.Args)] = fmt.Sprintf("outstanding=%d", 10*outstanding)
	}
	dir := e.Contestant.Dir
	if class := e.Contestant.Class; class != "" {
		jars := filepath.Join(dir, "target/dependency/*") + ":" + filepath.Join(dir, "target/classes")
		cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars, class}, args...)...)
		cmd.Env = append(cmd.Environ(), "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
		return cmd
	}
	return exec.CommandContext(ctx, filepath.Join(bin, strings.ReplaceAll(dir, "/", "-")), args...)
}
