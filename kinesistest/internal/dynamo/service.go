package dynamo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// A Value is an attribute value; an Item is a row. Both are immutable.
type (
	Value = attr.Value
	Item  = attr.Item
)

// Options set what a Service names itself, how long its tables take to
// change, and its limits.
type Options struct {
	Identity api.Identity

	// CreateTable, DeleteTable and CreateIndex are how long a table stays
	// CREATING and DELETING, and an index CREATING, DELETING or a table
	// UPDATING otherwise. Zero: the reply to the request shows the state and
	// the next request finds it over.
	CreateTable, DeleteTable, CreateIndex time.Duration

	// IndexLag is how far global indexes are behind their tables.
	IndexLag time.Duration

	// ReadLag is how old what an eventually consistent read shows may be. With
	// ReadLagProbability, chosen by a hash of ReadLagSeed and the number of the
	// read, it shows the table as it was that long ago, else as it is.
	ReadLag            time.Duration
	ReadLagProbability float64
	ReadLagSeed        uint64

	// ExpiryLag is how long after its time to live is over a row stays.
	ExpiryLag time.Duration

	// ClockOffset is how far the service's clock is ahead of the machine's.
	ClockOffset time.Duration

	// Applied, if set, is called once per applied row write, in the order of
	// application, under the service's lock: it must return quickly and must
	// not call the Service.
	Applied func(Applied)

	Limits Limits
}

// Limits are DynamoDB's bounds. A zero field is AWS's own bound and a
// negative one is no bound.
type Limits struct {
	ItemBytes       int // 400 KiB an item
	HashKeyBytes    int // 2048
	RangeKeyBytes   int // 1024
	ExpressionBytes int // 4096
	PageBytes       int // 1 MiB of items read for a page of Scan or Query
	BatchWrites     int // 25 writes of a BatchWriteItem
	BatchGets       int // 100 keys of a BatchGetItem
	Transaction     int // 100 actions of a transaction

	// Provisioned applies the throughput of provisioned tables and indexes.
	Provisioned bool

	// The capacity units a second of one hash key in a table, and of a table or
	// an index that is billed on demand; zero is no bound.
	KeyReadUnits, KeyWriteUnits           int
	OnDemandReadUnits, OnDemandWriteUnits int
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		aws   int
	}{
		{&l.ItemBytes, 400 << 10}, {&l.HashKeyBytes, 2048}, {&l.RangeKeyBytes, 1024}, {&l.ExpressionBytes, 4096},
		{&l.PageBytes, 1 << 20}, {&l.BatchWrites, 25}, {&l.BatchGets, 100}, {&l.Transaction, 100},
	} {
		if *f.field == 0 {
			*f.field = f.aws
		}
	}
	return l
}

// over reports whether n breaks a bound.
func over(n, bound int) bool { return bound >= 0 && n > bound }

// Applied is the ground truth of one row write that succeeded, also of one
// that changed nothing.
type Applied struct {
	Table string

	// Op is PutItem, UpdateItem, DeleteItem, BatchWriteItem, TransactWriteItems
	// or, for a row whose time to live is over, TimeToLive.
	Op     string
	Client string // as given to CallAs
	Key    Item   // the key attributes of the row

	// Before and After are the row on either side of the write, nil where it
	// did not exist.
	Before, After Item

	// Condition is what the write was conditional on, with names and values
	// put in, such as leaseCounter = {"N":"7"}; "" for an unconditional one.
	Condition string
}

// A Service holds tables. It is safe for concurrent use.
type Service struct {
	opts Options

	mu     sync.Mutex // guards tables and all below it; held for memory work only
	tables map[string]*table
	made   int              // tables made so far
	reads  uint64           // eventually consistent reads so far, with ReadLag
	tokens map[string]token // of transactions applied in the last minutes
}

// New returns a service without tables.
func New(o Options) *Service {
	o.Limits = o.Limits.withDefaults()
	return &Service{opts: o, tables: map[string]*table{}, tokens: map[string]token{}}
}

// now is the time by the service's clock.
func (s *Service) now() time.Time { return time.Now().Add(s.opts.ClockOffset) }

// An operation reads its members from a request and returns the response, or
// an *api.Error.
type operation func(*Service, *request) (any, error)

var operations = map[string]operation{
	"BatchGetItem":              (*Service).batchGetItem,
	"BatchWriteItem":            (*Service).batchWriteItem,
	"CreateTable":               (*Service).createTable,
	"DeleteItem":                (*Service).deleteItem,
	"DeleteTable":               (*Service).deleteTable,
	"DescribeContinuousBackups": (*Service).describeContinuousBackups,
	"DescribeEndpoints":         (*Service).describeEndpoints,
	"DescribeLimits":            (*Service).describeLimits,
	"DescribeTable":             (*Service).describeTable,
	"DescribeTimeToLive":        (*Service).describeTimeToLive,
	"GetItem":                   (*Service).getItem,
	"ListTables":                (*Service).listTables,
	"ListTagsOfResource":        (*Service).listTagsOfResource,
	"PutItem":                   (*Service).putItem,
	"Query":                     (*Service).query,
	"Scan":                      (*Service).scan,
	"TagResource":               (*Service).tagResource,
	"TransactGetItems":          (*Service).transactGetItems,
	"TransactWriteItems":        (*Service).transactWriteItems,
	"UntagResource":             (*Service).untagResource,
	"UpdateContinuousBackups":   (*Service).updateContinuousBackups,
	"UpdateItem":                (*Service).updateItem,
	"UpdateTable":               (*Service).updateTable,
	"UpdateTimeToLive":          (*Service).updateTimeToLive,
}

// Call runs one operation, named as in X-Amz-Target after the dot, on a JSON
// body and returns the JSON response. It does not block beyond the service's
// lock.
func (s *Service) Call(ctx context.Context, op string, body []byte) ([]byte, *api.Error) {
	return s.CallAs(ctx, "", op, body)
}

// CallAs is Call for a client with a name, which Applied tells.
func (s *Service) CallAs(_ context.Context, client, op string, body []byte) ([]byte, *api.Error) {
	run, ok := operations[op]
	if !ok {
		return nil, errUnknown(op)
	}
	r, err := newRequest(op, body)
	if err != nil {
		return nil, asAPI(err)
	}
	r.client = client
	response, err := run(s, r)
	if err != nil {
		return nil, asAPI(err)
	}
	out, err := encode(nil, response)
	if err != nil {
		return nil, asAPI(err)
	}
	return out, nil
}

// asAPI returns the error of the wire, for the caller to change: errors that
// are kept in variables are copied. Every error of this package has a code; one
// that has none is a fault of the server's.
func asAPI(err error) *api.Error {
	var known *api.Error
	if !errors.As(err, &known) {
		return &api.Error{Status: 500, Code: "InternalServerError", Message: err.Error()}
	}
	e := *known
	return &e
}

// Tables returns the names of all tables in order.
func (s *Service) Tables() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(s.now())
	return slices.Sorted(maps.Keys(s.tables))
}

// Items returns all items of a table in key order.
func (s *Service) Items(name string) ([]Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(s.now())
	t, ok := s.tables[name]
	if !ok {
		return nil, errNoTable(name)
	}
	entries := slices.Clone(t.rows)
	slices.SortFunc(entries, func(a, b *entry) int { return a.compareKeys(b) })
	items := make([]Item, len(entries))
	for i, e := range entries {
		items[i] = e.item
	}
	return items, nil
}
