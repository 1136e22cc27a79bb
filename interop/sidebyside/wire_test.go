//go:build java

package sidebyside

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A wire stands between one worker and DynamoDB, and notes what passes.
type wire struct {
	url string

	mu     sync.Mutex
	calls  map[string]int // by operation
	faults []string       // writes that no worker of ours may send
}

// tap starts a wire to the server for a worker. With ours it judges every write.
func (world *world) tap(name string, ours bool) *wire {
	t, url := world.t, world.url
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(world.dir, name+".wire"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: "http://" + l.Addr().String(), calls: map[string]int{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		w.pass(rw, r, client, url, ours, log)
		world.noteStall(name, begun, 0)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
		client.CloseIdleConnections()
		_ = log.Close()
	})
	return w
}

func (w *wire) pass(rw http.ResponseWriter, r *http.Request, client *http.Client, url string, ours bool, log io.Writer) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header = r.Header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.calls[op]++
	if ours {
		if fault := unconditional(op, body); fault != "" {
			w.faults = append(w.faults, fault)
		}
	}
	line, err := json.Marshal(map[string]any{"t": time.Now().UnixMilli(), "op": op, "status": resp.StatusCode, "request": string(body), "answer": string(answer)})
	if err == nil {
		fmt.Fprintf(log, "%s\n", line)
	}
	w.mu.Unlock()
	for k, v := range resp.Header {
		rw.Header()[k] = v
	}
	rw.WriteHeader(resp.StatusCode)
	_, _ = rw.Write(answer) // a worker that was killed does not read it
}

// count returns the number of calls so far.
func (w *wire) count() (reads, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for op, c := range w.calls {
		switch op {
		case "PutItem", "UpdateItem", "DeleteItem":
			writes += c
		default:
			reads += c
		}
	}
	return reads, writes
}

// unconditional says what is wrong with a write of ours, or nothing: every write
// has a condition, and one of a lease names its counter or its owner.
func unconditional(op string, body []byte) string {
	switch op {
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem":
	default:
		return ""
	}
	type write struct {
		ConditionExpression *string
		TableName           string
		Key, Item           map[string]map[string]any
	}
	var request struct {
		write
		TransactItems []map[string]write
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return fmt.Sprintf("%s: %v: %s", op, err, body)
	}
	writes := map[string][]write{op: {request.write}}
	if op == "TransactWriteItems" {
		writes = map[string][]write{}
		for _, item := range request.TransactItems {
			for kind, w := range item {
				writes[kind] = append(writes[kind], w)
			}
		}
	}
	for kind, all := range writes {
		for _, w := range all {
			if strings.HasSuffix(w.TableName, "-WorkerMetricStats") {
				continue // of KCL 3.0 to 3.4: each worker has a row to itself there
			}
			key := fmt.Sprint(w.Key["leaseKey"]["S"], w.Item["leaseKey"]["S"])
			if op == "TransactWriteItems" && strings.HasPrefix(key, "<nil>Leader") {
				continue // the lock moves on the condition of where it was
			}
			if fault := judge(kind, w.ConditionExpression, key); fault != "" {
				return fmt.Sprintf("%s: %s", fault, body)
			}
		}
	}
	return ""
}

func judge(op string, condition *string, key string) string {
	lease := strings.Contains(key, "shardId-")
	switch {
	case condition == nil || *condition == "":
		return op + " without a condition"
	case strings.HasPrefix(op, "Put") && lease && !strings.Contains(*condition, "attribute_not_exists(#"):
		return op + " over a row that may exist"
	case strings.HasPrefix(op, "Update") && lease &&
		!strings.Contains(*condition, "#leaseCounter") && !strings.Contains(*condition, "#leaseOwner"):
		return op + " of a lease on no condition of its counter or owner"
	}
	return ""
}
