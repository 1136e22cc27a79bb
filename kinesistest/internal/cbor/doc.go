// Package cbor turns the bodies that Kinesis's clients for Java send and expect,
// of the content type application/x-amz-cbor-1.1, into the JSON that all other
// clients speak, and back.
//
// The two differ in two kinds of values. A blob is a byte string, where JSON has
// base64. A time is tag 1 and a whole number of milliseconds, where JSON has
// seconds; the number under CBOR's own tag 1 would be seconds too. JSON does
// not tell these from strings and numbers, so their names do.
package cbor
