package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// A message of an event stream is
//
//	total length (4) · headers' length (4) · CRC-32 of these (4)
//	headers · payload · CRC-32 of everything before (4)
//
// with big-endian numbers. A header is the length of its name (1), the name, a
// type (1) and a value, which for the type of strings is a length (2) and that
// many bytes.
const (
	preludeBytes = 12
	crcBytes     = 4
	headerString = 7
)

// An eventProtocol is the SDK's protocol for one subscription, with its events
// decoded here. One goroutine uses it at a time.
type eventProtocol struct {
	*awsjson.Protocol
	codec *Codec
}

// DeserializeEventMessage implements [smithyhttp.ClientProtocol].
func (p *eventProtocol) DeserializeEventMessage(schema *smithy.Schema, registry *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	var prelude [preludeBytes]byte
	size, err := readPrelude(r, prelude[:])
	if err != nil {
		return nil, err
	}
	window := p.codec.window(int64(size))
	defer p.codec.putWindow(window)
	message, err := readMessage(r, *window, prelude[:])
	if err != nil {
		return nil, err
	}
	*window = message
	if payload, ok := eventPayload(message, "SubscribeToShardEvent"); ok {
		event, body := &types.SubscribeToShardEvent{}, newReader(false, whole(payload))
		decodeEvent(body, event)
		if err := body.state().err; err != nil {
			return nil, fmt.Errorf("wire: decode event: %w", err)
		}
		return event, nil
	}
	// What the SDK makes of it may refer to it.
	return p.Protocol.DeserializeEventMessage(schema, registry, bytes.NewReader(bytes.Clone(message)))
}

// DeserializeInitialResponse implements [smithyhttp.ClientProtocol]. A stream
// that begins with an error ends with that; the SDK says that it expected
// something else.
func (p *eventProtocol) DeserializeInitialResponse(schema *smithy.Schema, r io.Reader, out smithy.Deserializable) error {
	var prelude [preludeBytes]byte
	if _, err := readPrelude(r, prelude[:]); err != nil {
		return err
	}
	message, err := readMessage(r, nil, prelude[:])
	if err != nil {
		return err
	}
	if kind, _ := header(message, eventstream.MessageTypeHeader); kind == eventstream.ExceptionMessageType || kind == eventstream.ErrorMessageType {
		if _, err := p.Protocol.DeserializeEventMessage(schemas.SubscribeToShardEventStream, kinesis.TypeRegistry, bytes.NewReader(message)); err != nil {
			return err
		}
	}
	return p.Protocol.DeserializeInitialResponse(schema, bytes.NewReader(message), out)
}

// readPrelude reads how long a message is, as its checksum says that it was sent.
// Its error is io.EOF where the stream ends before a message.
func readPrelude(r io.Reader, prelude []byte) (size int, err error) {
	if _, err := io.ReadFull(r, prelude); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // io.ReadFull's and the SDK's word for the end
		}
		return 0, fmt.Errorf("wire: read event: %w", err)
	}
	total, headers := binary.BigEndian.Uint32(prelude), binary.BigEndian.Uint32(prelude[4:])
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return 0, fmt.Errorf("wire: read event: %w", eventstream.ChecksumError{})
	}
	if total < preludeBytes+crcBytes || total > maxBodyBytes || headers > total-preludeBytes-crcBytes {
		return 0, fmt.Errorf("wire: an event has %d bytes with %d of headers, want up to %d", total, headers, maxBodyBytes)
	}
	return int(total), nil
}

// readMessage reads the message that begins with a prelude, whole and as its
// checksum says it was sent, into buf if there is room.
func readMessage(r io.Reader, buf, prelude []byte) ([]byte, error) {
	size := int(binary.BigEndian.Uint32(prelude))
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	message := buf[:size]
	copy(message, prelude)
	if _, err := io.ReadFull(r, message[preludeBytes:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("wire: read event: %w", err)
	}
	end := len(message) - crcBytes
	if crc32.ChecksumIEEE(message[:end]) != binary.BigEndian.Uint32(message[end:]) {
		return nil, fmt.Errorf("wire: read event: %w", eventstream.ChecksumError{})
	}
	return message, nil
}

// eventPayload returns the payload of a message that is an event of a kind.
func eventPayload(message []byte, kind string) ([]byte, bool) {
	if t, ok := header(message, eventstream.MessageTypeHeader); !ok || t != eventstream.EventMessageType {
		return nil, false
	}
	if t, ok := header(message, eventstream.EventTypeHeader); !ok || t != kind {
		return nil, false
	}
	payload := message[preludeBytes+binary.BigEndian.Uint32(message[4:]) : len(message)-crcBytes]
	return payload, len(payload) > 0
}

// header returns the value of a header that is a string. A message with headers
// of other types has none: it is for the SDK.
func header(message []byte, name string) (value string, ok bool) {
	b := message[preludeBytes : preludeBytes+binary.BigEndian.Uint32(message[4:])]
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+3 || b[n] != headerString {
			return "", false
		}
		m := n + 3 + int(binary.BigEndian.Uint16(b[n+1:]))
		if len(b) < m {
			return "", false
		}
		if string(b[1:n]) == name {
			value, ok = string(b[n+3:m]), true // the last of a name counts, as for the SDK
		}
		b = b[m:]
	}
	return value, ok
}
