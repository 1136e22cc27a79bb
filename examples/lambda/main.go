// Command lambda is an AWS Lambda function behind a Kinesis event source. It takes
// aggregates apart, hands each user record to a sink, and answers with the record
// to go on from when one fails. What to watch: the answer names the Kinesis record
// that holds the one that failed, so the others of its aggregate come again; the
// sink knows a repeat by its position.
//
//	go run ./examples/lambda                  # two invocations, the first of which fails
//	go run ./examples/lambda -event FILE      # one, with an event as Lambda sends it
//	GOOS=linux go build -tags lambda.norpc -o bootstrap ./examples/lambda   # for runtime provided.al2023
//
// The event source mapping needs FunctionResponseTypes ReportBatchItemFailures;
// without it Lambda takes every answer for success.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/kinesis-go/kinesis/aggregation"
)

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		s := newSink(os.Stdout)
		lambda.Start(handler(s.put))
		return
	}
	file := flag.String("event", "", "invoke the function once with the event in this `file`")
	flag.Parse()
	if err := run(context.Background(), *file, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lambda:", err)
		os.Exit(1)
	}
}

// run invokes the function as Lambda would and shows what it answers.
func run(ctx context.Context, file string, out io.Writer) error {
	s := newSink(out)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var event events.KinesisEvent
		if err := json.Unmarshal(text, &event); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		_, err = invoke(ctx, handler(s.put), event, out)
		return err
	}
	event, err := demonstration()
	if err != nil {
		return err
	}
	s.fail = "49546986683135544286507457936321625675700192471156785155+1"
	answer, err := invoke(ctx, handler(s.put), event, out)
	if err != nil {
		return err
	}
	s.fail = ""
	if again := from(event, answer); len(again.Records) > 0 {
		fmt.Fprintln(out, "lambda invokes it again from there:")
		_, err = invoke(ctx, handler(s.put), again, out)
	}
	return err
}

// invoke calls the function and prints its answer.
func invoke(ctx context.Context, fn function, event events.KinesisEvent, out io.Writer) (events.KinesisEventResponse, error) {
	answer, err := fn(ctx, event)
	if err != nil {
		return answer, err
	}
	text, err := json.Marshal(answer)
	fmt.Fprintf(out, "answer: %s\n", text)
	return answer, err
}

// from returns the part of the event that Lambda sends again after an answer: from
// the lowest record named on.
func from(event events.KinesisEvent, answer events.KinesisEventResponse) (again events.KinesisEvent) {
	for _, failure := range answer.BatchItemFailures {
		for i, r := range event.Records {
			if r.Kinesis.SequenceNumber == failure.ItemIdentifier {
				again.Records = event.Records[i:]
			}
		}
	}
	return again
}

// demonstration returns an event with a bare record and an aggregate of three.
func demonstration() (events.KinesisEvent, error) {
	enc := aggregation.NewEncoder(50 << 10)
	var errs []error
	for _, order := range []string{"order 2", "order 3", "order 4"} {
		errs = append(errs, enc.Append(aggregation.Record{PartitionKey: "user-7", Data: []byte(order)}))
	}
	packed, err := enc.Seal()
	errs = append(errs, err)
	var event events.KinesisEvent
	for i, data := range [][]byte{[]byte("order 1"), packed} {
		seq := fmt.Sprint("4954698668313554428650745793632162567570019247115678515", 4+i)
		event.Records = append(event.Records, events.KinesisEventRecord{
			EventID: "shardId-000000000006:" + seq,
			Kinesis: events.KinesisRecord{PartitionKey: "user-7", SequenceNumber: seq, Data: data},
		})
	}
	return event, errors.Join(errs...)
}
