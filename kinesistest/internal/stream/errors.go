package stream

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

func invalid(format string, args ...any) *api.Error {
	return api.Errorf("InvalidArgumentException", format, args...)
}

func notFound(stream, account string) *api.Error {
	return api.Errorf("ResourceNotFoundException", "Stream %s under account %s not found.", stream, account)
}

func limitExceeded(format string, args ...any) *api.Error {
	return api.Errorf("LimitExceededException", format, args...)
}

// wrongMode is how the service refuses an operation that a stream's capacity
// mode does not have.
func wrongMode(format string, args ...any) *api.Error {
	return api.Errorf("ValidationException", format, args...)
}

func serialization(message string) *api.Error {
	return api.Errorf("SerializationException", "%s", message)
}

func internalFailure() *api.Error {
	return &api.Error{Status: 500, Code: "InternalFailure", Message: "Internal Service Failure"}
}

func rateExceeded(sh *shard, stream, account string) *api.Error {
	return api.Errorf("ProvisionedThroughputExceededException",
		"Rate exceeded for shard %s in stream %s under account %s.", sh.id, stream, account)
}

func dryRun() *api.Error {
	return api.Errorf("DryRunOperationException", "The request would have succeeded, but the DryRun parameter is set.")
}

// violations gathers what is wrong with a request's members, to be told at
// once and in AWS's words.
type violations []string

func (v *violations) add(value any, member, constraint string, args ...any) {
	shown := "null"
	if value != nil {
		if shown = fmt.Sprint(value); len(shown) > 256 {
			shown = shown[:256] + "..."
		}
		shown = "'" + shown + "'"
	}
	*v = append(*v, "Value "+shown+" at '"+member+"' failed to satisfy constraint: "+fmt.Sprintf(constraint, args...))
}

func (v violations) err() *api.Error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return api.Errorf("ValidationException", "1 validation error detected: %s", v[0])
	}
	return api.Errorf("ValidationException", "%d validation errors detected: %s", len(v), strings.Join(v, "; "))
}

const notNull = "Member must not be null"

// streamName checks the name of a stream or a shard: 1 to 128 of the
// characters a-z, A-Z, 0-9, '_', '.', '-'. A nil one passes.
func (v *violations) streamName(member string, s *string) {
	if s == nil {
		return
	}
	switch {
	case len(*s) < 1:
		v.add(*s, member, "Member must have length greater than or equal to 1")
	case len(*s) > 128:
		v.add(*s, member, "Member must have length less than or equal to 128")
	}
	for i := range len(*s) {
		if c := (*s)[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			v.add(*s, member, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
			return
		}
	}
}

// required is streamName for a member that must be there.
func (v *violations) required(member string, s *string) {
	if s == nil {
		v.add(nil, member, notNull)
	}
	v.streamName(member, s)
}

// oneOf checks a member whose values are listed. A nil one passes.
func (v *violations) oneOf(member string, s *string, values ...string) {
	if s != nil && !slices.Contains(values, *s) {
		v.add(*s, member, "Member must satisfy enum value set: [%s]", strings.Join(values, ", "))
	}
}

// length checks how many characters a member has. A nil one passes.
func (v *violations) length(member string, s *string, low, high int) {
	if s == nil {
		return
	}
	switch n := utf8.RuneCountInString(*s); {
	case n < low:
		v.add(*s, member, "Member must have length greater than or equal to %d", low)
	case n > high:
		v.add(*s, member, "Member must have length less than or equal to %d", high)
	}
}

// notNil fails for a member that must be there.
func (v *violations) notNil(member string, there bool) {
	if !there {
		v.add(nil, member, notNull)
	}
}

func (v *violations) between(member string, n *int, low, high int) {
	switch {
	case n == nil:
	case *n < low:
		v.add(*n, member, "Member must have value greater than or equal to %d", low)
	case *n > high:
		v.add(*n, member, "Member must have value less than or equal to %d", high)
	}
}

// streamARN checks the form arn:aws…:kinesis:region:account:stream/name.
func (v *violations) streamARN(s *string) {
	if s == nil {
		return
	}
	p := strings.SplitN(*s, ":", 6)
	if len(*s) > 2048 || len(p) != 6 || p[0] != "arn" || !strings.HasPrefix(p[1], "aws") || p[2] != "kinesis" ||
		len(p[4]) != 12 || strings.Trim(p[4], "0123456789") != "" ||
		!strings.HasPrefix(p[5], "stream/") || len(p[5]) == len("stream/") {
		v.add(*s, "streamARN", `Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
	}
}

// streamID checks the form of a StreamId, which the service knows and does not
// use. A nil one passes.
func (v *violations) streamID(s *string) {
	if s == nil {
		return
	}
	lower := func(s string) bool {
		return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	}
	if before, after, ok := strings.Cut(*s, "-"); !ok || len(before) != 20 || len(after) != 3 || !lower(before) || !lower(after) {
		v.add(*s, "streamId", "Member must satisfy regular expression pattern: [a-z0-9]{20}-[a-z0-9]{3}")
	}
}

// splitARN returns the name and the account in a stream ARN of good form.
func splitARN(arn string) (name, account string) {
	p := strings.SplitN(arn, ":", 6)
	return strings.TrimPrefix(p[5], "stream/"), p[4]
}
