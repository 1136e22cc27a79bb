package kinesistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
	"github.com/kinesis-go/kinesis/kinesistest/internal/stream"
)

// ErrClosed is the error of a call to a [Server] that is closed.
var ErrClosed = errors.New("kinesistest: server closed")

// A Server is one region of one account: its Kinesis streams and its DynamoDB
// tables, empty at first. It is safe for concurrent use and an [http.Handler].
type Server struct {
	opts     Options
	streams  *stream.Service
	tables   *dynamo.Service
	journal  journal
	requests atomic.Uint64
	faults   atomic.Pointer[[]*rule] // in the order they were injected

	closed chan struct{} // ends calls that hang or sleep

	mu        sync.Mutex
	closing   bool
	calls     sync.WaitGroup // added to under mu, while not closing
	listeners []*listener

	selfSigned *tls.Certificate // of ListenTLS, nil before it is needed
}

// NewServer returns a running server. It does no I/O and starts no goroutine,
// so it may be made inside a [testing/synctest] bubble, and for use there it
// must be made inside.
//
// Options that make no sense are a programming error, on which NewServer
// panics with a text that names each field.
func NewServer(optFns ...func(*Options)) *Server {
	o := defaults()
	for _, f := range optFns {
		f(&o)
	}
	if err := o.validate(); err != nil {
		panic(err)
	}
	s := &Server{opts: o, closed: make(chan struct{})}
	s.faults.Store(new([]*rule))
	s.journal.limit = o.JournalEntries
	id := api.Identity{Partition: "aws", Region: o.Region, AccountID: o.AccountID}
	s.streams = stream.New(stream.Options{
		Identity:    id,
		Limits:      stream.Limits(o.Limits),
		Creating:    o.StreamCreating,
		Updating:    o.StreamUpdating,
		Deleting:    o.StreamDeleting,
		KeepTrimmed: o.KeepTrimmed,

		OnDemandScaling: o.OnDemandScaling,
		ClockOffset:     o.ClockOffset,

		ConsumerCreating: o.ConsumerCreating,
		ConsumerDeleting: o.ConsumerDeleting,
		Appended:         s.journal.appended,
	})
	tables := o.Tables.service()
	tables.Identity, tables.Applied, tables.ClockOffset = id, s.journal.applied, o.ClockOffset
	tables.CreateTable, tables.DeleteTable, tables.CreateIndex = o.TableCreating, o.TableDeleting, o.IndexCreating
	s.tables = dynamo.New(tables)
	return s
}

// Close ends the server: calls that wait in a fault end, listeners stop, later
// calls fail with [ErrClosed]. It returns when every call and every goroutine
// of [Server.Listen] has ended. What the server stored can still be inspected.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	listeners := s.listeners
	s.mu.Unlock()
	if first {
		close(s.closed)
	}
	for _, l := range listeners {
		l.close()
	}
	s.calls.Wait()
}

// enter counts a call in; the caller counts it out with s.calls.Done.
func (s *Server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// Config returns a configuration for the SDK's clients of Kinesis and
// DynamoDB. Its HTTP client serves each request on the caller's goroutine, in
// memory, and its credentials are made up.
func (s *Server) Config() aws.Config { return s.ConfigFor("") }

// ConfigFor is [Server.Config] for a client with a name, by which a [Fault]
// can single it out: tests that cut off one worker of a fleet give each worker
// its own.
func (s *Server) ConfigFor(client string) aws.Config {
	return aws.Config{
		Region:       s.opts.Region,
		BaseEndpoint: aws.String("http://kinesistest." + s.opts.Region + ".invalid"),
		HTTPClient:   &transport{server: s, client: client},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAKINESISTEST", SecretAccessKey: "not-a-secret", Source: "kinesistest"}, nil
		}),
	}
}

// CreateStream makes a provisioned stream, as the operation of that name does.
// Its errors wrap an [Error].
func (s *Server) CreateStream(name string, shards int) error {
	if e := s.streams.CreateStream(name, shards); e != nil {
		return fmt.Errorf("kinesistest: creating stream %q: %w", name, answerOf(nil, e).Err)
	}
	return nil
}

var _ http.Handler = (*Server)(nil)
