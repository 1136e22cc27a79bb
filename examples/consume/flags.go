package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/examples/internal/awsclients"
)

// options are the program's flags.
type options struct {
	stream   string
	app      string
	worker   string
	start    consumer.Start
	way      consumer.Retrieval
	fanOut   string
	failover time.Duration
	every    int
	runFor   time.Duration
	until    int64
	aws      awsclients.Flags
}

// appName is what DynamoDB takes for the name of a table.
var appName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// parse reads the command line. flag.ErrHelp means that help was asked for and
// given; any other error names the flag that is wrong.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("consume", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.stream, "stream", "", "`name` or ARN of the stream (required)")
	fs.StringVar(&o.app, "app", "", "`name` of the application, which is also the lease table's (required)")
	fs.StringVar(&o.worker, "worker", "", "`id` of this worker, different from the others' (default: host name and a random suffix)")
	position := fs.String("position", "TRIM_HORIZON", "where a new application starts: TRIM_HORIZON, LATEST or AT_TIMESTAMP=`RFC3339`")
	fs.TextVar(&o.way, "retrieval", consumer.Polling, "how records are got: polling, fanout or auto, which is fanout if it is possible")
	fs.StringVar(&o.fanOut, "consumer", "", "`name` or ARN of the fan-out consumer (default: the name given by -app)")
	fs.DurationVar(&o.failover, "failover", 10*time.Second, "`time` after which a silent worker's shards are taken; the same for all workers")
	fs.IntVar(&o.every, "checkpoint-every", 0, "checkpoint after so many `records` (0: every 5 s)")
	fs.DurationVar(&o.runFor, "run-for", 0, "stop after this `time` (0: never)")
	fs.Int64Var(&o.until, "until", 0, "stop after so many `records` (0: never)")
	o.aws.Register(fs, true)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "consume reads a stream as one worker of an application, a JSON line per event.")
			fs.SetOutput(stderr)
			fs.PrintDefaults()
		}
		return nil, err
	}
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(fs.NArg() == 0, "unexpected argument %q: consume takes flags only", fs.Arg(0))
	bad(o.stream != "", "-stream is missing")
	bad(o.app != "", "-app is missing")
	bad(o.app == "" || appName.MatchString(o.app), "-app %q is not 3 to 255 letters, digits, '_', '.' and '-'", o.app)
	bad(o.failover >= time.Second && o.failover <= time.Hour, "-failover %v is not from 1s to 1h", o.failover)
	bad(o.every >= 0, "-checkpoint-every %d is negative", o.every)
	bad(o.runFor >= 0, "-run-for %v is negative", o.runFor)
	bad(o.until >= 0, "-until %d is negative", o.until)
	var err error
	o.start, err = start(*position)
	errs = append(errs, err, o.aws.Validate())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.fanOut == "" {
		o.fanOut = o.app
	}
	if o.worker == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		o.worker = host + "-" + rand.Text()[:8]
	}
	return o, nil
}

// start reads the value of -position.
func start(s string) (consumer.Start, error) {
	switch s {
	case "TRIM_HORIZON":
		return consumer.FromTrimHorizon(), nil
	case "LATEST":
		return consumer.FromLatest(), nil
	}
	if at, ok := strings.CutPrefix(s, "AT_TIMESTAMP="); ok {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return consumer.Start{}, fmt.Errorf("-position %s: the time is not RFC 3339, such as 2026-01-31T15:04:05Z", s)
		}
		return consumer.FromTime(t), nil
	}
	return consumer.Start{}, fmt.Errorf("-position %q is none of TRIM_HORIZON, LATEST, AT_TIMESTAMP=RFC3339", s)
}
