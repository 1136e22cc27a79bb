// Command quickstart shows the whole library at work with nothing installed but
// Go: it puts records into a stream, reads them with a fleet of workers, and
// meanwhile splits a shard, merges two and kills a worker. What to watch: who
// holds which shard, how the dead worker's shards find a new owner, the lease
// table as a Java worker would see it, and the last line, which says whether
// anything was lost.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -records 1000000 -shards 8 -workers 5
//	go run ./examples/quickstart -input access.log -key 1 -digest
//	go run ./examples/quickstart -region eu-central-1        # on AWS
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

	"github.com/kinesis-go/kinesis/examples/internal/verdict"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0 if no record was lost or out of order, 1 if
// one was or the run failed, 2 for a wrong flag.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 2
	}
	s := &show{opts: o, out: newScreen(stdout), errs: stderr, verdict: verdict.New()}
	ok, err := s.play(ctx)
	s.clean(context.WithoutCancel(ctx))
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "quickstart: interrupted, so there is no verdict")
		return 1
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}
