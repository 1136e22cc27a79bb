// Command service is a microservice with the producer inside: what is POSTed to
// it is put into a stream, with the last element of the path as the partition
// key. What to watch: it answers 202 as soon as the record is accepted and 503
// when the buffer is full, and SIGTERM loses nothing.
//
//	go run ./examples/service -stream clicks -endpoint http://127.0.0.1:4567
//	curl -i -d 'a click' http://127.0.0.1:8080/records/user-7
//	curl http://127.0.0.1:8080/stats
//
// 202 means accepted, not stored: a sender that has to know waits for the
// result (see put in handler.go). The exit status is 0 if everything accepted
// was stored, 1 if not, and 2 for a wrong flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/kinesis-go/kinesis/examples/internal/awsclients"
	"github.com/kinesis-go/kinesis/producer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the program's flags.
type options struct {
	aws    awsclients.Flags
	stream string
	listen string
	buffer int64
	drain  time.Duration
}

// run returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := &options{}
	fs := flag.NewFlagSet("service", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.stream, "stream", "", "`name` or ARN of the stream")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to serve HTTP on")
	fs.Int64Var(&o.buffer, "buffer", 64<<20, "`bytes` of records to hold before answering 503, at least 65536")
	fs.DurationVar(&o.drain, "drain", 25*time.Second, "how long to wait at the end for requests and records")
	o.aws.Register(fs, false)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := o.aws.Validate(); err != nil || o.stream == "" || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "service: -stream is needed, and flags alone:", errors.Join(err))
		return 2
	}
	if err := serve(ctx, o, stdout, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "service:", err)
		return 1
	}
	return 0
}

// serve serves until ctx ends, then drains: first the requests, then the
// producer. The order matters: a request may still put.
func serve(ctx context.Context, o *options, stdout io.Writer, log *slog.Logger) error {
	work := context.WithoutCancel(ctx)
	client, err := o.aws.Kinesis(work)
	if err != nil {
		return err
	}
	p, err := producer.New(client, o.stream, func(p *producer.Options) {
		p.Logger = log
		p.MaxBufferedBytes = o.buffer
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return errors.Join(err, p.Close(work))
	}
	s := &service{producer: p, log: log}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.draining.Store(true) })
	ended := make(chan error, 1)
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() { ended <- server.Serve(listener) })
	fmt.Fprintf(stdout, "serving on http://%s\n", listener.Addr())
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	limited, cancel := context.WithTimeout(work, o.drain)
	defer cancel()
	err = errors.Join(err, server.Shutdown(limited), p.Close(limited))
	st := p.Stats()
	fmt.Fprintf(stdout, "accepted %d, stored %d, not stored %d, unknown %d\n", st.Accepted, st.Stored, st.NotStored, st.Unknown)
	if err == nil && st.Stored != st.Accepted {
		err = fmt.Errorf("%d records were not stored", st.Accepted-st.Stored)
	}
	return err
}
