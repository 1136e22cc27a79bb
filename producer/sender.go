package producer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/internal/wire"
)

var outerPartitionKey = aws.String(aggregation.OuterPartitionKey)

// withoutRetries makes the producer's retry loop the only one.
func withoutRetries(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// send makes one PutRecords call and hands the answer to the flusher. It runs
// on a goroutine of its own.
func (p *Producer) send(ctx context.Context, r *request) {
	defer func() {
		p.inbox.mu.Lock()
		p.inbox.answers = append(p.inbox.answers, r)
		p.inbox.mu.Unlock()
		p.signal(nil)
	}()
	in, err := p.input(r)
	r.attempt.Start = time.Now()
	r.sealed.Store(true)
	if err != nil {
		r.err = &unsentError{err}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.RequestTimeout)
	var c courier
	r.out, r.err = wire.Call(ctx, p.wire, p.client.PutRecords, in, withoutRetries, c.hire)
	cancel()
	r.held = c.held()
	r.attempt.Duration = time.Since(r.attempt.Start)
	if r.err == nil && (r.out == nil || len(r.out.Records) != len(r.parcels)) {
		r.err = errAnswer
	}
	if r.err != nil {
		r.attempt.Code, r.attempt.Message = describe(r.err)
	}
	p.report(r)
}

// report tells the events of a request.
func (p *Producer) report(r *request) {
	if f := p.opts.Events.Request; f != nil {
		call(&p.callbacks, f, r.info())
	}
	f := p.opts.Events.Entry
	if f == nil || r.err != nil {
		return
	}
	for i, q := range r.parcels {
		e := &r.out.Records[i]
		info := EntryInfo{
			Predicted:      q.lane.shard.ID,
			ShardID:        aws.ToString(e.ShardId),
			SequenceNumber: aws.ToString(e.SequenceNumber),
			Code:           aws.ToString(e.ErrorCode),
			Message:        aws.ToString(e.ErrorMessage),
			UserRecords:    len(q.entries),
			Bytes:          q.size(),
			Attempt:        q.attempts.total + 1,
			Buffered:       r.attempt.Start.Sub(p.time(q.born)),
		}
		call(&p.callbacks, f, info)
	}
}

// input seals the parcels and makes the call's input of them.
func (p *Producer) input(r *request) (*kinesis.PutRecordsInput, error) {
	in := &kinesis.PutRecordsInput{
		StreamName: p.stream.name,
		StreamARN:  p.stream.arn,
		Records:    make([]types.PutRecordsRequestEntry, len(r.parcels)),
	}
	for i, q := range r.parcels {
		data, err := q.seal()
		if err != nil {
			return nil, err
		}
		if data == nil {
			data = []byte{} // the SDK takes nil for missing
		}
		e := &in.Records[i]
		e.Data = data
		if !q.naked() {
			e.PartitionKey = outerPartitionKey
		} else if key := &q.entries[0].key; *key != "" {
			e.PartitionKey = key
		}
		e.ExplicitHashKey = q.explicitHashKey()
	}
	return in, nil
}

func (r *request) info() RequestInfo {
	info := RequestInfo{
		Start: r.attempt.Start, Duration: r.attempt.Duration,
		Records: len(r.parcels), Bytes: r.bytes, Err: r.err,
	}
	for _, q := range r.parcels {
		info.UserRecords += len(q.entries)
	}
	if r.err != nil {
		info.Failed = info.Records
		return info
	}
	for i := range r.out.Records {
		if code := aws.ToString(r.out.Records[i].ErrorCode); code != "" {
			info.Failed++
			if code == codeThroughput {
				info.Throttled++
			}
		}
	}
	return info
}

// An unsentError is why a request was never sent.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return "producer: make request: " + e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

var errAnswer = errors.New("producer: the answer to PutRecords does not fit the request")

const codeThroughput = "ProvisionedThroughputExceededException"

// A fault is what the failure of a whole request means.
type fault int

const (
	faultRetry   fault = iota // not stored; worth another try
	faultMaybe                // no answer, or one that vouches for nothing; worth another try
	faultRefused              // not stored, because of something in this request
	faultFatal                // not stored, and no try will be better
	faultGarbled              // answered, but nobody can tell what
)

// codes says what the errors mean that Kinesis and what stands before it answer
// with. Those not listed are judged by HTTP status.
var codes = map[string]fault{
	codeThroughput:             faultRetry,
	"LimitExceededException":   faultRetry,
	"KMSThrottlingException":   faultRetry,
	"ThrottlingException":      faultRetry,
	"Throttling":               faultRetry,
	"TooManyRequestsException": faultRetry,
	"RequestLimitExceeded":     faultRetry,
	"SlowDown":                 faultRetry,
	"ResourceInUseException":   faultRetry, // the stream is being created

	// Credentials get renewed, and clocks corrected by the SDK.
	"ExpiredTokenException":     faultRetry,
	"ExpiredToken":              faultRetry,
	"RequestExpired":            faultRetry,
	"RequestTimeTooSkewed":      faultRetry,
	"InvalidSignatureException": faultRetry,
	"SignatureDoesNotMatch":     faultRetry,

	"InvalidArgumentException": faultRefused,
	"ValidationException":      faultRefused,
	"SerializationException":   faultRefused,

	"ResourceNotFoundException":           faultFatal,
	"AccessDeniedException":               faultFatal,
	"AccessDenied":                        faultFatal,
	"UnrecognizedClientException":         faultFatal,
	"InvalidClientTokenId":                faultFatal,
	"MissingAuthenticationToken":          faultFatal,
	"MissingAuthenticationTokenException": faultFatal,
	"IncompleteSignature":                 faultFatal,
	"OptInRequired":                       faultFatal,
	"UnknownOperationException":           faultFatal,
	"KMSAccessDeniedException":            faultFatal,
	"KMSDisabledException":                faultFatal,
	"KMSInvalidStateException":            faultFatal,
	"KMSNotFoundException":                faultFatal,
	"KMSOptInRequired":                    faultFatal,
	"DryRunOperationException":            faultFatal,
	"InternalFailure":                     faultMaybe,
	"InternalFailureException":            faultMaybe,
	"ServiceUnavailable":                  faultMaybe,
	"ServiceUnavailableException":         faultMaybe,
	"RequestTimeout":                      faultMaybe,
	"RequestTimeoutException":             faultMaybe,
}

// classify says what the failure of a request means for its records. When in
// doubt they may be stored.
func classify(err error) fault {
	var unsent *unsentError
	switch {
	case errors.As(err, &unsent):
		return faultFatal
	case errors.Is(err, errAnswer):
		return faultGarbled
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if f, ok := codes[api.ErrorCode()]; ok {
			return f
		}
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && status.HTTPStatusCode() != 0 { // 0: there was no response
		switch code := status.HTTPStatusCode(); {
		case code == http.StatusRequestEntityTooLarge:
			return faultRefused
		case code >= 400 && code < 500 && code != http.StatusRequestTimeout:
			return faultRetry
		}
		return faultMaybe
	}
	if api != nil && api.ErrorFault() == smithy.FaultClient {
		return faultRetry
	}
	// Whoever could not connect, or sign, has sent nothing.
	var op *net.OpError
	var dns *net.DNSError
	var params *smithy.InvalidParamsError
	var encode *smithy.SerializationError
	switch {
	case errors.As(err, &params), errors.As(err, &encode):
		return faultRefused
	case errors.As(err, &op) && op.Op == "dial", errors.As(err, &dns):
		return faultRetry
	}
	return faultMaybe
}

// describe returns the code and message to show for a failed request.
func describe(err error) (code, message string) {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode(), api.ErrorMessage()
	}
	return "", err.Error()
}
