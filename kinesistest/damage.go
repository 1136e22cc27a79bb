package kinesistest

import (
	"io"
	"net/http"
	"slices"
	"strconv"
)

// A Damage is what becomes of an answer on its way. The call was applied.
type Damage int

// What can become of an answer.
const (
	DamageNothing Damage = iota // the zero value

	// TruncateBody ends the connection in the middle of the body.
	TruncateBody

	// ShortenBody leaves half of the body, and a length that agrees with it, as
	// a proxy may.
	ShortenBody

	// GarbleBody overwrites bytes in the middle of the body, so that it is no
	// JSON any more.
	GarbleBody

	// WrongChecksum falsifies the X-Amz-Crc32 of an answer of DynamoDB. Some
	// SDKs try again then; that for Go writes to its log. Kinesis sends none.
	WrongChecksum
)

// apply damages a response.
func (d Damage) apply(resp *http.Response) *http.Response {
	body, whole := resp.Body.(*responseBody)
	if !whole {
		return resp
	}
	switch d {
	case TruncateBody:
		body.data, body.cut = body.data[:len(body.data)/2], true
	case ShortenBody:
		body.data = body.data[:len(body.data)/2]
		resp.ContentLength = int64(len(body.data))
		resp.Header.Set("Content-Length", strconv.Itoa(len(body.data)))
	case GarbleBody:
		body.data = slices.Clone(body.data) // it may be the fault's own
		middle := body.data[len(body.data)/2:]
		clear(middle[:min(8, len(middle))]) // JSON has no zero bytes, also not in strings
	case WrongChecksum:
		if sum, err := strconv.ParseUint(resp.Header.Get("X-Amz-Crc32"), 10, 32); err == nil {
			resp.Header["X-Amz-Crc32"] = []string{strconv.FormatUint(sum^1, 10)}
		}
	}
	return resp
}

// end is the error behind the last byte.
func (b *responseBody) end() error {
	if b.cut {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}
