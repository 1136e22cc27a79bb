package kinesistest

import (
	"sync"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A Call is a request as a [Fault] sees it.
type Call struct {
	Service   string // [Kinesis] or [DynamoDB]
	Operation string // such as "PutRecords"
	Client    string // the name given to [Server.ConfigFor], "" for none

	// Stream is the name of the stream, also where the request has an ARN or a
	// shard iterator; Table that of the table, "" if there are several.
	Stream, Table string

	// Tables are the tables of a batch or a transaction, or Table alone.
	Tables []string

	// Shard is the shard of a request that names one. A put names none.
	Shard string

	// Keys are the partition key of a PutRecord, or for DynamoDB the strings,
	// numbers and binaries in the key attributes of the rows that the request
	// names. A Query has that of its KeyConditionExpression, a Scan none.
	Keys []string

	// Body is the JSON of the request. It is not to be changed.
	Body []byte

	records func() []PutRecord
}

// A PutRecord is a record in a PutRecord or a PutRecords that is not applied
// yet.
type PutRecord struct {
	Index        int // in the request
	ShardID      string
	PartitionKey string
}

// Records returns the records of a PutRecord or a PutRecords and the shards
// they go to as the stream is now; nil for every other call, and for one that
// the service will refuse.
func (c *Call) Records() []PutRecord {
	if c.records == nil {
		return nil
	}
	return c.records()
}

// An Answer is what a call gets back: Body, or Err if it is not nil.
type Answer struct {
	Body []byte // JSON, empty where the operation has no output
	Err  *Error

	// Cut loses the answer: the caller sees its connection reset.
	Cut bool

	// Damage is what becomes of the answer's bytes on their way.
	Damage Damage

	opened *opened // by SubscribeToShard, which has no Body
}

// An Error is an error response of AWS.
type Error struct {
	Status  int // HTTP status; 0 means 400
	Code    string
	Message string

	fields map[string]any // further members, of errors made by the services
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errors that faults often answer with. [Fault.Error] takes them as they are.
var (
	// Throttled is what both services answer when a shard or a table gets more
	// than it may.
	Throttled = &Error{400, "ProvisionedThroughputExceededException", "Rate exceeded, by a fault", nil}

	// InternalFailure is Kinesis's own failure, HTTP status 500.
	InternalFailure = &Error{500, "InternalFailure", "Internal Service Failure", nil}

	// ServiceUnavailable is HTTP status 503.
	ServiceUnavailable = &Error{503, "ServiceUnavailable", "Service Unavailable", nil}

	// ExpiredToken is the answer to credentials that were good once.
	ExpiredToken = &Error{400, "ExpiredTokenException", "The security token included in the request is expired", nil}

	// AccessDenied is the answer to credentials whose policy does not allow the
	// call.
	AccessDenied = &Error{400, "AccessDeniedException", "User is not authorized to perform this action, by a fault", nil}

	// KMSThrottling is what reads and writes of an encrypted stream answer when
	// its key is asked too often. The SDK does not try again by itself.
	KMSThrottling = &Error{400, "KMSThrottlingException", "The request was denied due to request throttling", nil}

	// KMSAccessDenied, KMSDisabled, KMSInvalidState, KMSNotFound and
	// KMSOptInRequired are the other ways in which a stream's key fails. They
	// end when somebody mends the key.
	KMSAccessDenied  = &Error{400, "KMSAccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access", nil}
	KMSDisabled      = &Error{400, "KMSDisabledException", "The key is disabled, by a fault", nil}
	KMSInvalidState  = &Error{400, "KMSInvalidStateException", "The key is pending deletion, by a fault", nil}
	KMSNotFound      = &Error{400, "KMSNotFoundException", "The key does not exist, by a fault", nil}
	KMSOptInRequired = &Error{400, "KMSOptInRequired", "The AWS access key ID needs a subscription for the service", nil}
)

func answerOf(body []byte, e *api.Error) Answer {
	if e == nil {
		return Answer{Body: body}
	}
	return Answer{Err: &Error{e.Status, e.Code, e.Message, e.Fields}}
}

// look fills in what the body of c says it is about.
func (s *Server) look(c *Call) {
	if c.Service == Kinesis {
		n := s.streams.Names(c.Body)
		c.Stream, c.Shard = n.Stream, n.Shard
		if n.PartitionKey != "" {
			c.Keys = []string{n.PartitionKey}
		}
		if c.Operation == "PutRecords" || c.Operation == "PutRecord" {
			c.records = sync.OnceValue(func() []PutRecord { return s.route(c) })
		}
		return
	}
	n := s.tables.Names(c.Operation, c.Body)
	c.Tables, c.Keys = n.Tables, n.Keys
	if len(n.Tables) == 1 {
		c.Table = n.Tables[0]
	}
}

func (s *Server) route(c *Call) []PutRecord {
	var out []PutRecord
	s.streams.Route(c.Body, c.Operation == "PutRecord", func(i int, shardID, key string) {
		out = append(out, PutRecord{i, shardID, key})
	})
	return out
}
