// Command fleet prints who reads what: the shards of an application, the worker
// that holds each one, since when and why, how far behind it is, and why nobody
// reads the others. It only reads the lease table, so it needs no part in the
// fleet. What to watch: start two of examples/consume with one -app, run this with
// -every 2s beside them, and kill one of the two.
//
//	go run ./examples/fleet -app clicks-app
//	go run ./examples/fleet -endpoint http://127.0.0.1:4567 -app clicks-app -every 2s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/kinesis-go/kinesis/examples/internal/awsclients"
	"github.com/kinesis-go/kinesis/lease"
	"github.com/kinesis-go/kinesis/lease/dynamo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var aws awsclients.Flags
	fs := flag.NewFlagSet("fleet", flag.ContinueOnError)
	app := fs.String("app", "", "the application: the `name` of its lease table")
	every := fs.Duration("every", 0, "look again after this long, until interrupted (default: once)")
	aws.Register(fs, true)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := aws.Validate(); err != nil {
		return err
	}
	client, err := aws.DynamoDB(ctx)
	if err != nil {
		return err
	}
	store, err := dynamo.New(client, *app, func(o *dynamo.Options) { o.MustExist = true })
	if err != nil {
		return err
	}
	if err := store.Open(ctx); err != nil {
		return err
	}
	viewer, err := lease.NewViewer(store)
	if err != nil {
		return err
	}
	for {
		fleet, err := viewer.Fleet(ctx)
		if err != nil {
			return err
		}
		if err := show(out, &fleet); err != nil || *every <= 0 {
			return err
		}
		select {
		case <-time.After(*every):
		case <-ctx.Done():
			return nil
		}
	}
}

// show prints a fleet as three tables.
func show(out io.Writer, f *lease.Fleet) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\nWORKER\tALIVE\tLEADS\tLEASES\tKIB/S\tCPU\n", f.At.Format(time.TimeOnly))
	for _, k := range f.Workers {
		cpu := "?"
		if k.CPUKnown {
			cpu = fmt.Sprintf("%.0f %%", k.CPU)
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%d\t%.1f\t%s\n", k.ID, k.Alive, k.Leading, k.Leases, k.Throughput, cpu)
	}
	fmt.Fprintf(w, "\nSHARD\tSTATE\tOWNER\tBEHIND\tSINCE\tWHY\n")
	for _, s := range f.Shards {
		behind, since, why := "?", "?", s.Why
		if s.BehindKnown {
			behind = s.Behind.Round(time.Millisecond).String()
		}
		if !s.Since.IsZero() {
			since = s.Since.Local().Format(time.TimeOnly)
		}
		if why == "" {
			why = string(s.Reason)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Key, s.State, s.Owner, behind, since, why)
	}
	for _, bad := range f.Bad {
		fmt.Fprintf(w, "%v\n", bad)
	}
	return w.Flush()
}
