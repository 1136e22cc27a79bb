// Command kinesis-local serves Kinesis and DynamoDB from memory at one address,
// for programs in any language and for a look by hand. What it stores is gone
// when it ends.
//
//	go run ./cmd/kinesis-local -stream clicks=4
//	aws kinesis list-shards --stream-name clicks --endpoint-url http://127.0.0.1:4567
//
// With -tls-listen it serves HTTPS too, or alone with -listen "". Without -cert
// and -key it makes a certificate for localhost, 127.0.0.1 and ::1, anew at each
// start, and gives it to whoever asks:
//
//	go run ./cmd/kinesis-local -tls-listen 127.0.0.1:4568
//	curl -ko ca.pem https://127.0.0.1:4568/certificate.pem
//	AWS_CA_BUNDLE=ca.pem aws kinesis list-streams --endpoint-url https://127.0.0.1:4568
//
// When it is ready it writes a line with its URL to standard output, and one
// more for TLS. It ends with status 0 on SIGINT and SIGTERM, with 2 if a flag is
// wrong and with 1 if it cannot listen. Package kinesistest says what it does and how strictly.
package main

import (
	"context"
	"crypto/tls"
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
	listen, tlsListen string
	cert, key         string // files
	region, accountID string
	limits            bool
	shards            int
	window            time.Duration
	streams           []streamFlag
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
	if status := s.serve(srv, stdout, stderr); status != 0 {
		return status
	}
	<-ctx.Done()
	return 0
}

// serve listens, says where and returns the status to end with if it cannot.
func (s *settings) serve(srv *kinesistest.Server, stdout, stderr io.Writer) int {
	var certs []tls.Certificate
	if s.cert != "" {
		c, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			fmt.Fprintln(stderr, "kinesis-local: -cert, -key:", err)
			return 2
		}
		certs = append(certs, c)
	}
	var lines []string
	if s.listen != "" {
		url, err := srv.Listen(s.listen)
		if err != nil {
			fmt.Fprintln(stderr, "kinesis-local: -listen:", err)
			return 1
		}
		lines = append(lines, "kinesis-local: Kinesis and DynamoDB at "+url)
	}
	if s.tlsListen != "" {
		url, err := srv.ListenTLS(s.tlsListen, certs...)
		if err != nil {
			fmt.Fprintln(stderr, "kinesis-local: -tls-listen:", err)
			return 1
		}
		line := "kinesis-local: Kinesis and DynamoDB at " + url
		if len(certs) == 0 {
			line += " with the certificate " + url + "/certificate.pem"
		}
		lines = append(lines, line)
	}
	for _, line := range lines { // only when all is ready
		fmt.Fprintln(stdout, line)
	}
	return 0
}

// parse reads the flags; what is wrong with them is already on stderr.
func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	fs := flag.NewFlagSet("kinesis-local", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.listen, "listen", "127.0.0.1:4567", "`address` to serve HTTP/1.1 and unencrypted HTTP/2 on, empty for none")
	fs.StringVar(&s.tlsListen, "tls-listen", "", "`address` to serve HTTP/1.1 and HTTP/2 over TLS on")
	fs.StringVar(&s.cert, "cert", "", "`file` with the certificate for -tls-listen, in PEM form; a new one without")
	fs.StringVar(&s.key, "key", "", "`file` with the key of -cert, in PEM form")
	fs.StringVar(&s.region, "region", "us-east-1", "region in ARNs")
	fs.StringVar(&s.accountID, "account-id", "123456789012", "account in ARNs, 12 `digits`")
	fs.BoolVar(&s.limits, "limits", true, "enforce the limits per second, of shards and of control calls")
	fs.IntVar(&s.shards, "shard-limit", 20_000, "open shards of all streams, 0 for no limit")
	fs.DurationVar(&s.window, "window", 0, "how long streams, consumers and tables stay CREATING, UPDATING and DELETING")
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
		{s.listen == "" && s.tlsListen == "", "neither -listen nor -tls-listen: want an address"},
		{(s.cert == "") != (s.key == ""), "-cert and -key: want both or neither"},
		{s.cert != "" && s.tlsListen == "", "-cert and -key: want -tls-listen too"},
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
	o.ConsumerCreating, o.ConsumerDeleting = s.window, s.window
	o.TableCreating, o.TableDeleting, o.IndexCreating = s.window, s.window, s.window
	o.Limits.ShardsPerAccount = s.shards
	o.JournalEntries = 0 // there is nobody to ask for it
	if !s.limits {
		kinesistest.Unthrottled(o)
	}
}
