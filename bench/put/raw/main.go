// Command raw sends one ready-made PutRecords body again and again with net/http,
// signed by the SDK's signer: the floor under every producer on the same
// transport. What it stores is the same records each time.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/bench/internal/contest"
)

func main() {
	a := contest.Parse(os.Args[1:])
	body, perCall := ready(a)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: contest.TLS(), ForceAttemptHTTP2: true}}
	send(a, client, body)
	m := contest.Start(a)
	sent := 0
	for ; sent < a.Records; sent += perCall {
		send(a, client, body)
	}
	m.End(contest.End{Stored: sent})
}

type entry struct {
	Data         []byte
	PartitionKey string
}

// ready makes a body of about 4 MiB, and says how many user records are in it.
func ready(a contest.Args) (body []byte, records int) {
	var entries []entry
	keys := contest.Keys(a.Keys)
	data := make([]byte, a.Size)
	enc := aggregation.NewEncoder(50 << 10)
	for bytes, id := 0, 0; bytes < 4<<20 && len(entries) < 500; id++ {
		contest.Fill(data, id, false)
		r := aggregation.Record{PartitionKey: keys[id%len(keys)], Data: data}
		switch {
		case !a.Aggregate || a.Size > 25<<10:
			entries = append(entries, entry{append([]byte(nil), data...), r.PartitionKey})
			bytes += len(data)
			records++
			continue
		case enc.SizeWith(r) > 50<<10:
			sealed, err := enc.Seal()
			contest.Must(err)
			entries = append(entries, entry{append([]byte(nil), sealed...), r.PartitionKey})
			bytes += len(sealed)
			records += enc.Len()
			enc.Reset()
		}
		contest.Must(enc.Append(r))
	}
	body, err := json.Marshal(map[string]any{"StreamName": a.Stream, "Records": entries})
	contest.Must(err)
	return body, records
}

func send(a contest.Args, client *http.Client, body []byte) {
	req, err := http.NewRequest(http.MethodPost, a.Endpoint, bytes.NewReader(body))
	contest.Must(err)
	contest.Sign(a, req, "PutRecords", body)
	resp, err := client.Do(req)
	contest.Must(err)
	answer, err := io.ReadAll(resp.Body)
	contest.Must(err)
	contest.Must(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		contest.Fail(fmt.Errorf("status %d: %.200s", resp.StatusCode, answer))
	}
}
