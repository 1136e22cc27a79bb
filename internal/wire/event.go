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
}

// DeserializeEventMessage implements [smithyhttp.ClientProtocol].
func (p *eventProtocol) DeserializeEventMessage(schema *smithy.Schema, registry *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	message, err := readMessage(r)
	if err != nil {
		return nil, err
	}
	if payload, ok := eventPayload(message, "SubscribeToShardEvent"); ok {
		event := &types.SubscribeToShardEvent{}
		if err := decodeEventJSON(payload, event); err != nil {
			return nil, fmt.Errorf("wire: decode event: %w", err)
		}
		return event, nil
	}
	return p.Protocol.DeserializeEventMessage(schema, registry, bytes.NewReader(message))
}

// DeserializeInitialResponse implements [smithyhttp.ClientProtocol]. A stream
// that begins with an error ends with that; the SDK says that it expected
// something else.
func (p *eventProtocol) DeserializeInitialResponse(schema *smithy.Schema, r io.Reader, out smithy.Deserializable) error {
	message, err := readMessage(r)
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

// readMessage reads a message into a buffer of its own, whole and as its
// checksums say it was sent. Its error is io.EOF where the stream ends before a
// message.
func readMessage(r io.Reader) ([]byte, error) {
	var prelude [preludeBytes]byte
	if _, err := io.ReadFull(r, prelude[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF // io.ReadFull's and the SDK's word for the end
		}
		return nil, fmt.Errorf("wire: read event: %w", err)
	}
	size, headers := binary.BigEndian.Uint32(prelude[:]), binary.BigEndian.Uint32(prelude[4:])
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return nil, fmt.Errorf("wire: read event: %w", eventstream.ChecksumError{})
	}
	if size < preludeBytes+crcBytes || size > maxBodyBytes || headers > size-preludeBytes-crcBytes {
		return nil, fmt.Errorf("wire: an event has %d bytes with %d of headers, want up to %d", size, headers, maxBodyBytes)
	}
	message := make([]byte, size)
	copy(message, prelude[:])
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
