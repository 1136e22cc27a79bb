// Package lines turns a text file into records: one per line, with a partition
// key taken from it.
package lines

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// MaxBytes is the largest record that any Kinesis stream takes: 10 MiB of data
// and partition key. A stream's own limit may be lower, 1 MiB unless it was
// raised.
const MaxBytes = 10 << 20

// A TooLongError reports a line of more bytes than a record may have.
type TooLongError struct {
	Line     int64 // counted from 1
	MaxBytes int
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("lines: line %d is longer than %d bytes, the most a record can hold", e.Line, e.MaxBytes)
}

// A Reader yields the lines of a stream of bytes. Make one with [NewReader].
type Reader struct {
	r        *bufio.Reader
	maxBytes int
	line     int64
	buf      []byte // a line that did not fit into r's buffer
}

// NewReader returns a reader of the lines of r, none longer than maxBytes.
func NewReader(r io.Reader, maxBytes int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), maxBytes: maxBytes}
}

// Next returns the next line without the newline that ends it, and [io.EOF]
// behind the last. Every other byte belongs to the line, a carriage return too;
// an empty line is an empty record; a newline at the very end of the input
// begins no further line, and a last line without one counts.
//
// The bytes belong to the reader and are overwritten by the following call.
//
// After a [TooLongError] the following call returns the line after the long one;
// after any other error the reader is of no more use.
func (r *Reader) Next() ([]byte, error) {
	r.buf = r.buf[:0]
	r.line++
	long := false
	for {
		part, err := r.r.ReadSlice('\n')
		ended := err == nil
		if ended {
			part = part[:len(part)-1]
		}
		if long = long || len(r.buf)+len(part) > r.maxBytes; !long {
			if ended && len(r.buf) == 0 {
				return part, nil // the common case: no copy
			}
			r.buf = append(r.buf, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("lines: read line %d: %w", r.line, err)
		case long:
			return nil, &TooLongError{Line: r.line, MaxBytes: r.maxBytes}
		case err == io.EOF && len(r.buf) == 0:
			return nil, io.EOF
		default:
			return r.buf, nil
		}
	}
}

// Ready reports whether the next line has been read ahead, so that [Reader.Next]
// will not wait for the input.
func (r *Reader) Ready() bool {
	ahead, _ := r.r.Peek(r.r.Buffered()) // of what there is
	return bytes.IndexByte(ahead, '\n') >= 0
}
