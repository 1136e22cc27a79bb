package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/kinesis-go/kinesis/aggregation"
)

// kinesisEvent returns an event of Kinesis records at the sequence numbers 1, 2, …, one
// for each list of user records: a list of one is a bare record.
func kinesisEvent(t *testing.T, lists ...[]string) (event events.KinesisEvent) {
	t.Helper()
	for i, list := range lists {
		data := []byte(list[0])
		if len(list) > 1 {
			enc := aggregation.NewEncoder(50 << 10)
			for _, d := range list {
				if err := enc.Append(aggregation.Record{PartitionKey: "k-" + d, Data: []byte(d)}); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if data, err = enc.Seal(); err != nil {
				t.Fatal(err)
			}
		}
		seq := string(rune('1' + i))
		event.Records = append(event.Records, events.KinesisEventRecord{
			EventID: "shardId-000000000000:" + seq,
			Kinesis: events.KinesisRecord{SequenceNumber: seq, PartitionKey: "k-" + list[0], Data: slices.Clone(data)},
		})
	}
	return event
}

func TestAnswerNamesTheRecordToGoOnFrom(t *testing.T) {
	t.Parallel()
	damaged := kinesisEvent(t, []string{"a", "b"})
	damaged.Records[0].Kinesis.Data[9] ^= 1
	whole := string(damaged.Records[0].Kinesis.Data)
	for _, tt := range []struct {
		name, fail string
		event      events.KinesisEvent
		put        string // in order, the one that fails included
		answer     string
	}{
		{"nothing", "", events.KinesisEvent{}, "", ""},
		{"all well", "", kinesisEvent(t, []string{"a"}, []string{"b", "c"}), "a b c", ""},
		{"a bare record", "b", kinesisEvent(t, []string{"a"}, []string{"b"}, []string{"c"}), "a b", "2"},
		{"the first of an aggregate", "b", kinesisEvent(t, []string{"a"}, []string{"b", "c"}), "a b", "2"},
		{"the last of an aggregate", "c", kinesisEvent(t, []string{"a"}, []string{"b", "c"}, []string{"d"}), "a b c", "2"},
		{"the very first", "a", kinesisEvent(t, []string{"a", "b"}), "a", "1"},
		{"what is no aggregate stays whole", "", damaged, whole, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var put []string
			answer, err := handler(func(_ context.Context, r record) error {
				if put = append(put, string(r.data)); r.shard != "shardId-000000000000" || string(r.data) != whole && r.partitionKey != "k-"+string(r.data) {
					t.Errorf("%s has the key %q and the shard %q", r.data, r.partitionKey, r.shard)
				}
				if string(r.data) == tt.fail {
					return errors.New("refused")
				}
				return nil
			})(t.Context(), tt.event)
			if err != nil || strings.Join(put, " ") != tt.put {
				t.Errorf("put %q, %v; want %q", put, err, tt.put)
			}
			got := ""
			for _, f := range answer.BatchItemFailures {
				got += f.ItemIdentifier
			}
			if got != tt.answer {
				t.Errorf("answered %q, want %q", got, tt.answer)
			}
		})
	}
}

// Whatever fails and as often as it does, invoking the function again from where
// it says brings each record into the sink once, in order.
func TestRetriesFillTheSinkOnce(t *testing.T) {
	t.Parallel()
	lists := [][]string{{"a"}, {"b", "c", "d"}, {"e"}, {"f", "g"}}
	var positions []string
	var out bytes.Buffer
	all := newSink(&out)
	if _, err := handler(func(ctx context.Context, r record) error {
		positions = append(positions, r.position.String())
		return all.put(ctx, r)
	})(t.Context(), kinesisEvent(t, lists...)); err != nil {
		t.Fatal(err)
	}
	for _, first := range positions {
		for _, second := range positions {
			var got bytes.Buffer
			s := newSink(&got)
			event := kinesisEvent(t, lists...)
			for _, s.fail = range []string{first, second, ""} {
				answer, err := handler(s.put)(t.Context(), event)
				if err != nil {
					t.Fatal(err)
				}
				if again := from(event, answer); len(again.Records) > 0 {
					event = again
				}
			}
			lines := slices.DeleteFunc(strings.Split(got.String(), "\n"), func(l string) bool { return strings.HasSuffix(l, "left out") })
			if strings.Join(lines, "\n") != out.String() {
				t.Errorf("failing at %s, then %s:\n%swant\n%s", first, second, got.String(), out.String())
			}
		}
	}
}

// A function that is short of time says how far it is instead of being killed.
func TestStopsBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	event := kinesisEvent(t, []string{"a"}, []string{"b", "c"}, []string{"d"})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		slow := func(context.Context, record) error { time.Sleep(1200 * time.Millisecond); return nil }
		answer, err := handler(slow)(ctx, event)
		if err != nil || ctx.Err() != nil || len(answer.BatchItemFailures) != 1 || answer.BatchItemFailures[0].ItemIdentifier != "2" {
			t.Errorf("answered %+v, %v with ctx at %v; want record 2 in time", answer, err, ctx.Err())
		}
	})
}

func TestRunShowsARetry(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), "", &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{`"itemIdentifier":"49546986683135544286507457936321625675700192471156785155"`, "order 2: again, left out", "order 4"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	event, err := json.Marshal(kinesisEvent(t, []string{"from a file"}))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, event, 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := run(t.Context(), file, &out); err != nil || !strings.Contains(out.String(), "from a file") {
		t.Errorf("run(%s) = %v\n%s", file, err, out.String())
	}
	if err := run(t.Context(), filepath.Join(t.TempDir(), "none"), &out); err == nil {
		t.Error("a file that is not there was read")
	}
}
