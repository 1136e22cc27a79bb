//go:build java

package sidebyside

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// A machine is where a worker runs: an ECS task whose one container may use all of
// one CPU. Every record keeps that busy for the same time. It tells its use as ECS
// does, from which both sides make percentages of their own.
type machine struct {
	url   string
	begun time.Time

	mu     sync.Mutex
	record time.Duration // that one takes
	busy   time.Duration
	last   map[string]any // cpu_stats of the answer before
}

// machine begins to serve the metadata of a machine.
func (w *world) machine(record time.Duration) *machine {
	w.t.Helper()
	m := &machine{begun: time.Now(), record: record, last: map[string]any{}}
	mux := http.NewServeMux()
	answer := func(path string, value func() any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(rw).Encode(value()) })
	}
	limits := map[string]any{"CPU": 1}
	answer("/v4", func() any { return map[string]any{"DockerId": "one"} })
	answer("/v4/task", func() any {
		return map[string]any{"Limits": limits, "Containers": []any{map[string]any{"DockerId": "one", "Limits": limits}}}
	})
	answer("/v4/stats", m.stats)
	srv := httptest.NewServer(mux)
	w.t.Cleanup(srv.Close)
	m.url = srv.URL + "/v4"
	w.machines = append(w.machines, m)
	return m
}

// works notes a record.
func (m *machine) works() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy += m.record
}

// stats returns the counters since the begin, in nanoseconds, beside those that
// were returned before.
func (m *machine) stats() any {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.last
	m.last = map[string]any{
		"cpu_usage":        map[string]any{"total_usage": m.busy.Nanoseconds()},
		"system_cpu_usage": time.Since(m.begun).Nanoseconds(),
		"online_cpus":      1,
	}
	return map[string]any{"cpu_stats": m.last, "precpu_stats": before}
}
