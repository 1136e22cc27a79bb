// Command put puts the lines of a file, or of standard input, into a stream, each
// line without its newline as one record. What to watch: with -results every
// record's fate is a JSON line; the last line counts them.
//
//	go run ./examples/put -stream clicks -input access.log -key 1
//	tail -F access.log | go run ./examples/put -endpoint http://127.0.0.1:4567 -stream clicks -results
//
// SIGTERM or Ctrl-C ends the input, and the records put until then are still sent.
// The exit status is 0 only if all of them were stored, and 2 for a wrong flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kinesis-go/kinesis/producer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "put:", err)
		return 2
	}
	if o.input != "-" {
		f, err := os.Open(o.input)
		if err != nil {
			fmt.Fprintln(stderr, "put: -input:", err)
			return 2
		}
		defer f.Close()
		stdin = f
	}
	all, err := put(ctx, o, stdin, stdout)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "put:", err)
		return 1
	case !all:
		return 1
	}
	return 0
}

// put puts the lines of in, waits for their results and writes the last line. It
// reports whether all of them were stored.
func put(ctx context.Context, o *options, in io.Reader, out io.Writer) (all bool, err error) {
	work := context.WithoutCancel(ctx)
	client, err := o.aws.Kinesis(work)
	if err != nil {
		return false, err
	}
	p, err := producer.New(client, o.stream, func(p *producer.Options) {
		p.Aggregate = o.aggregate
		p.RecordMaxBufferedTime = o.maxBuffered
		p.RecordTTL = max(p.RecordTTL, 2*o.maxBuffered)
	})
	if err != nil {
		return false, err
	}
	f := &feeder{producer: p, options: o, tally: &tally{out: out, results: o.results}}
	err = errors.Join(f.feed(ctx, work, in), p.Close(work))
	return f.tally.finish(), errors.Join(err, f.tally.broken)
}
