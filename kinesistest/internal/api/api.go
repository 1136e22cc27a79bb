// Package api holds what the two fake services share: the shape of an AWS
// error and the identity a server answers under.
package api

import "fmt"

// An Error is an AWS error response: an HTTP status, an exception name as in
// the service model, and a message. Fields are members of the exception beside
// the message, such as Item or CancellationReasons.
type Error struct {
	Status  int // HTTP status; 0 means 400
	Code    string
	Message string
	Fields  map[string]any
}

// Errorf returns a client error (status 400).
func Errorf(code, format string, args ...any) *Error {
	return &Error{Status: 400, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// An Identity is what ARNs and error texts name.
type Identity struct {
	Partition string // "aws"
	Region    string
	AccountID string
}

// ARN returns the name of a resource of a service, such as
// arn:aws:kinesis:us-east-1:123456789012:stream/clicks.
func (id Identity) ARN(service, resource string) string {
	return "arn:" + id.Partition + ":" + service + ":" + id.Region + ":" + id.AccountID + ":" + resource
}
