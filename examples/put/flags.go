package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kinesis-go/kinesis/examples/internal/awsclients"
)

// options are the program's flags.
type options struct {
	aws         awsclients.Flags
	stream      string
	input       string
	key         int
	rate        float64
	aggregate   bool
	maxBuffered time.Duration
	results     bool
}

// parse reads the command line. flag.ErrHelp means that help was asked for and
// given; any other error names the flags that are wrong.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("put", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.stream, "stream", "", "`name` or ARN of the stream")
	fs.StringVar(&o.input, "input", "-", "put the lines of `FILE`; - is standard input")
	fs.IntVar(&o.key, "key", 0, "take the partition key from the `N`-th comma- or blank-separated field of a line (0: a hash of the line)")
	fs.Float64Var(&o.rate, "rate", 0, "put `N` records a second (0: as fast as the stream takes them)")
	fs.BoolVar(&o.aggregate, "aggregate", true, "pack small records together in the KPL's format")
	fs.DurationVar(&o.maxBuffered, "max-buffered", 100*time.Millisecond, "`time` a record may wait for others to be sent with")
	fs.BoolVar(&o.results, "results", false, "print a JSON line with every record's result")
	o.aws.Register(fs, false)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "put puts the lines of a file into a stream.")
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
	bad(fs.NArg() == 0, "unexpected argument %q: put takes flags only, a file with -input", fs.Arg(0))
	bad(o.stream != "", "-stream is missing: the name of the stream to put into")
	bad(o.key >= 0, "-key %d is negative: fields are counted from 1, and 0 means a hash of the line", o.key)
	bad(o.rate == 0 || o.rate >= 0.001 && o.rate <= 1e9, "-rate %v is neither 0 nor from 0.001 to 1e9 a second", o.rate)
	bad(o.maxBuffered >= 0 && o.maxBuffered <= time.Hour, "-max-buffered %v is not from 0 to 1h", o.maxBuffered)
	errs = append(errs, o.aws.Validate(), readable(o.input))
	return o, errors.Join(errs...)
}

func readable(input string) error {
	if input == "-" {
		return nil
	}
	switch st, err := os.Stat(input); {
	case err != nil:
		return fmt.Errorf("-input: %w", err)
	case st.IsDir():
		return fmt.Errorf("-input: %s is a directory", input)
	}
	return nil
}
