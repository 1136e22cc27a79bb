// Package eventstream writes the frames of AWS's event streams, of the content
// type application/vnd.amazon.eventstream. A frame is, in big-endian order:
//
//	4  bytes of the whole frame
//	4  bytes of its headers
//	4  CRC-32 of the eight bytes before
//	   the headers: a byte of length and the name, the type 7, two bytes of
//	   length and the text
//	   the payload
//	4  CRC-32 of everything before
package eventstream

import (
	"encoding/binary"
	"hash/crc32"
)

// ContentType is that of a body made of frames.
const ContentType = "application/vnd.amazon.eventstream"

const (
	preludeBytes  = 12
	checksumBytes = 4
	typeText      = 7
)

// A Header is a header of a frame. Names have up to 255 bytes, values up to
// 65,535; what is longer is cut.
type Header struct{ Name, Value string }

// Append appends a frame to dst.
func Append(dst []byte, headers []Header, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, preludeBytes)...)
	for _, h := range headers {
		name, value := h.Name[:min(len(h.Name), 1<<8-1)], h.Value[:min(len(h.Value), 1<<16-1)]
		dst = append(dst, byte(len(name)))
		dst = append(dst, name...)
		dst = append(dst, typeText)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
		dst = append(dst, value...)
	}
	size := len(dst) - start - preludeBytes
	dst = append(dst, payload...)
	frame := dst[start:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+checksumBytes))
	binary.BigEndian.PutUint32(frame[4:], uint32(size))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(frame))
}

// Event returns the headers of an event of a type.
func Event(name, contentType string) []Header {
	return []Header{{":event-type", name}, {":content-type", contentType}, {":message-type", "event"}}
}

// Exception returns the headers of an exception that ends the stream.
func Exception(name, contentType string) []Header {
	return []Header{{":exception-type", name}, {":content-type", contentType}, {":message-type", "exception"}}
}
