package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/kinesis-go/kinesis/producer"
)

// maxBody is how much of a request is read: the largest record of most streams.
const maxBody = 1 << 20

// A service puts what it is sent.
type service struct {
	producer *producer.Producer
	log      *slog.Logger
	draining atomic.Bool
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /records/{key}", s.put)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /stats", s.stats)
	return mux
}

// put accepts a record or says why not. TryPut does not wait: a service that is
// faster than its stream says so to its senders, instead of collecting them. To
// answer only when the record is stored, call Put with the request's context.
func (s *service) put(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	err = s.producer.TryPut(producer.Record{PartitionKey: r.PathValue("key"), Data: data}, s.result)
	var bad *producer.RecordError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.As(err, &bad):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default: // full, or closed
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// result is called for every record, by one goroutine. This is where a record
// that was not stored can be written elsewhere.
func (s *service) result(r producer.Result) {
	if r.Err != nil {
		s.log.Error("record lost", "outcome", r.Outcome, "error", r.Err)
	}
}

// health tells a load balancer to send nothing more while the service drains.
func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	}
}

func (s *service) stats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.producer.Stats()); err != nil {
		s.log.Warn("stats not sent", "error", err)
	}
}
