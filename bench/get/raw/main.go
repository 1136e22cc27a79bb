// Command raw asks for GetRecords with net/http and drops what comes: the floor
// under every reader on the same transport. It finds the next iterator in the
// answer's text and counts the records by their keys, and does no more with it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	sdk := kinesis.NewFromConfig(a.Config())
	out, err := sdk.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: &a.Stream})
	contest.Must(err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: contest.TLS(), ForceAttemptHTTP2: true, DisableCompression: true}}
	g := contest.NewGetter(a)
	g.Run(func(ctx context.Context) error {
		all, ctx := errgroup.WithContext(ctx)
		for _, s := range out.Shards {
			all.Go(func() error {
				it, err := sdk.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
					StreamName: &a.Stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
				})
				if err != nil {
					return err
				}
				return read(ctx, a, client, *it.ShardIterator, g)
			})
		}
		return all.Wait()
	})
}

func read(ctx context.Context, a contest.Args, client *http.Client, iterator string, g *contest.Getter) error {
	var buf bytes.Buffer
	for {
		body, err := json.Marshal(map[string]string{"ShardIterator": iterator})
		if err != nil {
			return err
		}
		if err := fetch(ctx, a, client, body, &buf); err != nil {
			return err
		}
		if n := bytes.Count(buf.Bytes(), []byte(`"SequenceNumber"`)); n > 0 {
			g.Skip(n)
		}
		if iterator, err = next(buf.Bytes()); err != nil {
			return err
		}
		if err := contest.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// next cuts the value of NextShardIterator out of the answer.
func next(answer []byte) (string, error) {
	name := []byte(`"NextShardIterator":"`)
	i := bytes.LastIndex(answer, name)
	if i < 0 {
		return "", fmt.Errorf("no next iterator in %.200q", answer)
	}
	rest := answer[i+len(name):]
	return string(rest[:bytes.IndexByte(rest, '"')]), nil
}

func fetch(ctx context.Context, a contest.Args, client *http.Client, body []byte, into *bytes.Buffer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	contest.Sign(a, req, "GetRecords", body)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	into.Reset()
	if _, err = io.Copy(into, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", resp.StatusCode, into.Bytes())
	}
	return nil
}
