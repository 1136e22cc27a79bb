package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/kinesis-go/kinesis/consumer"
	"github.com/kinesis-go/kinesis/examples/internal/awsclients"
	"github.com/kinesis-go/kinesis/examples/internal/lines"
)

// options are the program's flags.
type options struct {
	records int
	shards  int
	workers int
	input   string
	key     int
	seed    uint64
	app     string
	digest  bool
	stream  string
	way     consumer.Retrieval
	aws     awsclients.Flags

	ownApp bool // the application's name was made up, so its table may go too
}

// What DynamoDB takes for the name of a table and Kinesis for that of a stream.
var (
	appName    = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
)

// embedded reports whether the run brings its own server.
func (o *options) embedded() bool {
	return o.aws == awsclients.Flags{} && o.stream == ""
}

// parse reads the command line. flag.ErrHelp means that help was asked for and
// given; any other error names the flag that is wrong.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&o.records, "records", 100_000, "`number` of stock trades to generate")
	fs.IntVar(&o.shards, "shards", 4, "`number` of shards of the stream, 1 to 1000")
	fs.IntVar(&o.workers, "workers", 3, "`number` of workers that read it, 1 to 100")
	fs.StringVar(&o.input, "input", "", "put the lines of `FILE` instead of trades")
	fs.IntVar(&o.key, "key", 0, "take the partition key from the `N`-th comma- or blank-separated field of a line (0: a hash of the line)")
	fs.Uint64Var(&o.seed, "seed", 1, "`seed` of the generated trades")
	fs.StringVar(&o.app, "app", "", "application `name`, which is also the lease table's (default: quickstart, with a random suffix on a foreign server)")
	fs.BoolVar(&o.digest, "digest", false, "print a SHA-256 over what was put and over what was delivered")
	fs.StringVar(&o.stream, "stream", "", "`name` of a stream on AWS or at -endpoint; created and deleted again if it is not there")
	fs.TextVar(&o.way, "retrieval", consumer.Polling, "how records are got: polling, fanout or auto")
	o.aws.Register(fs, true)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "quickstart puts records, reads them with a fleet of workers while a shard splits,\ntwo merge and a worker dies, and counts whether any was lost.")
			fs.SetOutput(stderr)
			fs.PrintDefaults()
		}
		return nil, err
	}
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(fs.NArg() == 0, "unexpected argument %q: quickstart takes flags only", fs.Arg(0))
	bad(o.records >= 0, "-records %d is negative", o.records)
	bad(o.shards >= 1 && o.shards <= 1000, "-shards %d is not from 1 to 1000", o.shards)
	bad(o.workers >= 1 && o.workers <= 100, "-workers %d is not from 1 to 100", o.workers)
	bad(o.key >= 0, "-key %d is negative: fields are counted from 1, and 0 means a hash of the line", o.key)
	bad(o.key == 0 || o.input != "", "-key %d needs -input", o.key)
	bad(o.app == "" || appName.MatchString(o.app), "-app %q is not 3 to 255 letters, digits, '_', '.' and '-'", o.app)
	bad(o.stream == "" || streamName.MatchString(o.stream), "-stream %q is not 1 to 128 letters, digits, '_', '.' and '-'", o.stream)
	bad(o.input == "" || !set["records"], "-records and -input exclude each other: every line of the file is put")
	if o.input != "" {
		if st, err := os.Stat(o.input); err != nil {
			errs = append(errs, fmt.Errorf("-input: %w", err))
		} else if st.IsDir() {
			errs = append(errs, fmt.Errorf("-input: %s is a directory", o.input))
		}
	}
	errs = append(errs, o.aws.Validate())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o.fillNames()
	return o, nil
}

// fillNames chooses names that were not given. A foreign server remembers those
// of earlier runs, so there they get a suffix of their own.
func (o *options) fillNames() {
	suffix := ""
	if !o.embedded() {
		suffix = "-" + rand.Text()[:8]
	}
	if o.ownApp = o.app == ""; o.ownApp {
		o.app = "quickstart" + suffix
	}
	if o.stream == "" && !o.embedded() {
		o.stream = "quickstart" + suffix
	}
}

// feed opens the source of the records, and returns what closes it.
func (o *options) feed() (feed, io.Closer, error) {
	if o.input == "" {
		return trades(o.records, o.seed), io.NopCloser(nil), nil
	}
	f, err := os.Open(o.input)
	if err != nil {
		return feed{}, nil, fmt.Errorf("-input: %w", err)
	}
	var size int64
	if st, err := f.Stat(); err == nil {
		size = st.Size() // 0 for a pipe, which is then all progress at once
	}
	var done int64
	r := lines.NewReader(f, lines.MaxBytes)
	read := func() (string, []byte, error) {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return "", nil, io.EOF
		}
		if err != nil {
			return "", nil, fmt.Errorf("-input %s: %w", o.input, err)
		}
		done += int64(len(line)) + 1
		return lines.Key(line, o.key), line, nil
	}
	return feed{read, func() float64 { return float64(done) / float64(max(size, 1)) }}, f, nil
}
