// Command kinesis-local serves Kinesis and DynamoDB from memory at one address,
// for programs in any language and for a look by hand. What it stores is gone
// when it ends.
//
//	go run ./cmd/kinesis-local -stream clicks=4
//	aws kinesis list-shards --stream-name clicks --endpoint-url http://127.0.0.1:4567
//
// When it is ready it writes one line with its URL to standard output. It ends
// with status 0 on SIGINT and SIGTERM, with 2 if a flag is wrong and with 1 if
// it cannot listen. Package kinesistest says what it does and how strictly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the flags.
type settings struct {
	listen, region, accountID string
	limits                    bool
	shards                    int
	window                    time.Duration
	streams                   []streamFlag
}

type streamFlag struct {
	name   string
	shards int
}

// run serves until ctx ends and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	srv := kinesistest.NewServer(s.options)
	defer srv.Close()
	for _, st := range s.streams {
		if err := srv.CreateStream(st.name, st.shards); err != nil {
			fmt.Fprintln(stderr, "kinesis-local: -stream:", err)
			return 2
		}
	}
	url, err := srv.Listen(s.listen)
	if err != nil {
		fmt.Fprintln(stderr, "kinesis-local: -listen:", err)
		return 1
	}
	fmt.Fprintln(stdout, "kinesis-local: Kinesis and DynamoDB at", url)
	<-ctx.Done()
	return 0
}

// parse reads the flags; what is wrong with them is already on stderr.
func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	fs := flag.NewFlagSet("kinesis-local", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.listen, "listen", "127.0.0.1:4567", "`address` to serve HTTP/1.1 and unencrypted HTTP/2 on")
	fs.StringVar(&s.region, "region", "us-east-1", "region in ARNs")
	fs.StringVar(&s.accountID, "account-id", "123456789012", "account in ARNs, 12 `digits`")
	fs.BoolVar(&s.limits, "limits", true, "enforce the limits per second, of shards and of control calls")
	fs.IntVar(&s.shards, "shard-limit", 20_000, "open shards of all streams, 0 for no limit")
	fs.DurationVar(&s.window, "window", 0, "how long streams and tables stay CREATING, UPDATING and DELETING")
	fs.Func("stream", "create a stream at the start, as `name=shards`; may be repeated", func(v string) error {
		name, count, ok := strings.Cut(v, "=")
		n, err := strconv.Atoi(count)
		if !ok || err != nil {
			return errors.New("want name=shards")
		}
		s.streams = append(s.streams, streamFlag{name, n})
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{fs.NArg() > 0, fmt.Sprintf("%q is not a flag; kinesis-local takes no arguments", fs.Arg(0))},
		{s.region == "" || strings.Contains(s.region, ":"), fmt.Sprintf("-region %q: want a region name", s.region)},
		{len(s.accountID) != 12 || strings.Trim(s.accountID, "0123456789") != "", fmt.Sprintf("-account-id %q: want 12 digits", s.accountID)},
		{s.shards < 0, fmt.Sprintf("-shard-limit %d: want 0 or more", s.shards)},
		{s.window < 0, fmt.Sprintf("-window %v: want 0 or more", s.window)},
	} {
		if c.wrong {
			fmt.Fprintln(stderr, "kinesis-local:", c.text)
			return nil, errors.New(c.text)
		}
	}
	return s, nil
}

// options is the server's option function.
func (s *settings) options(o *kinesistest.Options) {
	o.Region, o.AccountID = s.region, s.accountID
	o.StreamCreating, o.StreamUpdating, o.StreamDeleting = s.window, s.window, s.window
	o.TableCreating, o.TableDeleting, o.IndexCreating = s.window, s.window, s.window
	o.Limits.ShardsPerAccount = s.shards
	o.JournalEntries = 0 // there is nobody to ask for it
	if !s.limits {
		kinesistest.Unthrottled(o)
	}
}
