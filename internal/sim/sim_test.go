package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/go-cmp/cmp"
)

// A checker that never complains checks nothing: each kind of lie is found.
func TestLedgerFindsEveryLie(t *testing.T) {
	t.Parallel()
	at := func(id string, n int) Entry {
		return Entry{ShardID: "s", SequenceNumber: fmt.Sprint(100 + n), PartitionKey: "k", Data: []byte(id + " data")}
	}
	ok := func(n int) Fate {
		return Fate{Outcome: OK, ShardID: "s", SequenceNumber: fmt.Sprint(100 + n), Confirmed: 1}
	}
	doubt := func(f Fate) Fate { f.Doubtful++; return f }
	end := func(id string, fates ...Fate) func(*Ledger) {
		return func(l *Ledger) {
			for _, f := range fates {
				l.Ended(id, "k", []byte(id+" data"), f)
			}
		}
	}
	tests := []struct {
		name  string
		does  []func(*Ledger)
		truth []Entry
		want  string
	}{
		{"all is well", []func(*Ledger){end("a", ok(1)), end("b", Fate{Outcome: Failed})}, []Entry{at("a", 1)}, ""},
		{"unknown may be there", []func(*Ledger){end("a", Fate{Outcome: Unknown, Doubtful: 1}), end("b", Fate{Outcome: Unknown, Doubtful: 1})}, []Entry{at("a", 1)}, ""},
		{"no fate", []func(*Ledger){end("a", ok(1))}, []Entry{at("a", 1)}, "S15: b"},
		{"two fates", []func(*Ledger){end("a", ok(1), ok(1)), end("b", ok(2))}, []Entry{at("a", 1), at("b", 2)}, "S9: a"},
		{"late", []func(*Ledger){func(l *Ledger) { l.Accepted("a", time.Second) }, end("a", Fate{At: 2 * time.Second, Outcome: Failed}), end("b", ok(2))}, []Entry{at("b", 2)}, "S9: a has its fate at 2s"},
		{"late because the program was", []func(*Ledger){func(l *Ledger) { l.Accepted("a", time.Second); l.Delay(time.Second) }, end("a", Fate{At: 2 * time.Second, Outcome: Failed}), end("b", ok(2))}, []Entry{at("b", 2)}, ""},
		{"not where it should be", []func(*Ledger){end("a", ok(1)), end("b", ok(2))}, []Entry{at("a", 1)}, "S9: b is said to be stored"},
		{"failed and there", []func(*Ledger){end("a", ok(1)), end("b", Fate{Outcome: Failed, Confirmed: 1})}, []Entry{at("a", 1), at("b", 2)}, "S9: b failed"},
		{"refused and there", []func(*Ledger){end("a", ok(1)), func(l *Ledger) { l.Refused("b", errors.New("full")) }}, []Entry{at("a", 1), at("b", 2)}, "S9: b was refused"},
		{"another's fate", []func(*Ledger){func(l *Ledger) { l.Ended("a", "k", []byte("b data"), ok(1)) }, end("b", ok(2))}, []Entry{at("a", 1), at("b", 2)}, "S10: the fate of a"},
		{"nobody's record", []func(*Ledger){end("a", ok(1)), end("b", ok(2))}, []Entry{at("a", 1), at("b", 2), at("c", 3)}, "S10: 103 of s holds"},
		{"changed on the way", []func(*Ledger){end("a", ok(1)), end("b", ok(2))}, []Entry{at("a", 1), {ShardID: "s", SequenceNumber: "102", PartitionKey: "k", Data: []byte("b date")}}, "S9: b was put as"},
		{"twice after no doubt", []func(*Ledger){end("a", ok(1)), end("b", ok(3))}, []Entry{at("a", 1), at("b", 2), at("b", 3)}, "S10: b is stored at"},
		{"twice after doubt", []func(*Ledger){end("a", ok(1)), end("b", doubt(ok(3)))}, []Entry{at("a", 1), at("b", 2), at("b", 3)}, ""},
		{"sent again, not admitted", []func(*Ledger){end("a", ok(1)), end("b", Fate{Outcome: OK, ShardID: "s", SequenceNumber: "103", Confirmed: 2})}, []Entry{at("a", 1), at("b", 2), at("b", 3)}, "S10: 1 aggregates"},
		{"sent again and admitted", []func(*Ledger){end("a", ok(1)), end("b", Fate{Outcome: OK, ShardID: "s", SequenceNumber: "103", Confirmed: 2}), func(l *Ledger) { l.Resent(1) }}, []Entry{at("a", 1), at("b", 2), at("b", 3)}, ""},
		{"hidden", []func(*Ledger){end("a", ok(1)), end("b", ok(2))}, []Entry{at("a", 1), {ShardID: "s", SequenceNumber: "102", PartitionKey: "k", Data: []byte("b data"), Hidden: true}}, "S11: b"},
		{"hidden in a stream it was not sent to", []func(*Ledger){end("a", ok(1)), end("b", ok(2))}, []Entry{at("a", 1), {ShardID: "s", SequenceNumber: "102", Created: time.Second, PartitionKey: "k", Data: []byte("b data"), Hidden: true}}, ""},
		{"out of order", []func(*Ledger){end("a", ok(2)), end("b", ok(1))}, []Entry{at("b", 1), at("a", 2)}, "S6: a of k is stored for the first time behind b\nS6: a of k is stored for the last"},
		{"a run is repeated in doubt", []func(*Ledger){end("a", doubt(ok(3))), end("b", doubt(ok(4)))}, []Entry{at("a", 1), at("b", 2), at("a", 3), at("b", 4)}, ""},
		{"repeated behind others", []func(*Ledger){end("a", doubt(ok(3))), end("b", ok(2))}, []Entry{at("a", 1), at("b", 2), at("a", 3)}, "S6: a of k is stored for the last time behind b"},
	}
	for _, tt := range tests {
		l := NewLedger()
		l.Ordered = true
		for _, id := range []string{"a", "b"} {
			l.Put(Put{ID: id, Key: "k", Data: []byte(id + " data")})
		}
		for _, do := range tt.does {
			do(l)
		}
		var got string
		for _, v := range l.Check(tt.truth) {
			got += v.Invariant + ": " + v.What + "\n"
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Count(got, "\n") > 1+strings.Count(tt.want, "\n") {
			t.Errorf("%s: violations %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The same seed draws the same schedule; another seed another one, and one in
// ten is free of faults.
func TestScheduleIsDrawnFromTheSeed(t *testing.T) {
	t.Parallel()
	draw := func(t *testing.T, seed Seed) (drawn []string) {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, seed)
			for _, f := range w.Draw(PutFaults("s"), time.Minute) {
				if f.From < 0 || f.To < f.From || f.To > time.Minute || f.To-f.From > f.Longest {
					t.Errorf("seed %d: %s from %v to %v", seed, f.Name, f.From, f.To)
				}
				drawn = append(drawn, fmt.Sprint(f.Name, f.N, f.From, f.To))
			}
		})
		return drawn
	}
	seen := make(map[string]bool)
	for seed := Seed(1); seed <= 20; seed++ {
		a := draw(t, seed)
		if b := draw(t, seed); !cmp.Equal(a, b) {
			t.Errorf("seed %d draws %v, then %v", seed, a, b)
		}
		if (len(a) == 0) != (seed%10 == 0) {
			t.Errorf("seed %d draws %d faults", seed, len(a))
		}
		seen[fmt.Sprint(a)] = true
	}
	if len(seen) != 19 {
		t.Errorf("20 seeds, two of them without faults, draw %d schedules, want 19", len(seen))
	}
}

// What is in a stream that was deleted stays true.
func TestTruthOutlivesTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 1)
		client := kinesis.NewFromConfig(w.Config("c"))
		put := func(data string) {
			if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("k"), Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
		}
		w.CreateStream("s", 2)
		put("first")
		w.Split("s", 0)
		w.DeleteStream("s")
		w.CreateStream("s", 1)
		put("second")
		truth := w.Truth("s")
		if len(truth) != 2 || string(truth[0].Data) != "first" || truth[0].Incarnation != 0 || string(truth[1].Data) != "second" || truth[1].Incarnation != 1 {
			t.Errorf("truth %+v", truth)
		}
		if c := w.Calls("c", "PutRecord"); c.Total != 2 || c.Most != 1 || c.Now != 0 {
			t.Errorf("calls %+v", c)
		}
	})
}

// Every kind of fault does something to a client, and its end undoes it.
func TestEveryFaultBitesAndHeals(t *testing.T) {
	t.Parallel()
	for _, kind := range PutFaults("s") {
		if kind.Longest == 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			w := New(t, 1)
			w.CreateStream("s", 1)
			client := kinesis.NewFromConfig(w.Config("c"), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
			call := func(i int) bool {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("s")})
				_, err2 := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("s")})
				out, err3 := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte("x")}}})
				return errors.Join(err, err2, err3) == nil && *out.FailedRecordCount == 0 && time.Since(start) < time.Second
			}
			end := kind.Begin(w, 0)
			time.AfterFunc(30*time.Second, end) // what hangs until then is bitten too
			bitten := false
			for i := 0; i < 60 && !bitten; i++ {
				bitten = !call(i)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			if !bitten {
				t.Errorf("%s does nothing", kind.Name)
			}
			for i := range 10 {
				if !call(i) {
					t.Errorf("%s does not heal", kind.Name)
				}
			}
		})
	}
}

// A stream that spreads its records puts those of one key into many shards.
func TestSpreading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 1)
		w.CreateStream("s", 3)
		client := kinesis.NewFromConfig(w.Config("c"))
		shards := func() int {
			seen := make(map[string]bool)
			for range 3 {
				out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: []byte("x")}}})
				if err != nil {
					t.Fatal(err)
				}
				seen[*out.Records[0].ShardId] = true
			}
			return len(seen)
		}
		before := shards()
		end := Spreading("s").Begin(w, 0)
		during := shards()
		end()
		if after := shards(); before != 1 || during != 3 || after != 1 {
			t.Errorf("records of a key are in %d shards, then %d, then %d; want 1, 3, 1", before, during, after)
		}
	})
}
