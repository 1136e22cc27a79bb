//go:build unix

package wire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/internal/wire"
)

// tlsRecord is what TLS hands out at a time.
const tlsRecord = 16 << 10

// inPieces reads a body from memory as it comes out of TLS.
type inPieces struct{ *bytes.Reader }

func (p inPieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), tlsRecord)]) }

// memoryClient is a client whose calls are all answered with a body in memory.
func memoryClient(contentType string, body func() io.Reader, length int) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
		HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(body()),
				ContentLength: int64(length), Request: r,
			}, nil
		}),
	})
}

// BenchmarkGetRecordsFromMemory reads pages of 8,000 records of 1 KiB without a
// network: what is left is copying, decoding and the SDK's middleware. "floor" is
// the same body read into memory of its own.
func BenchmarkGetRecordsFromMemory(b *testing.B) {
	for name, body := range map[string][]byte{"json": pageJSON(pageRecords, recordBytes), "cbor": pageCBOR(pageRecords, recordBytes)} {
		client := memoryClient("application/x-amz-"+name+"-1.1", func() io.Reader { return inPieces{bytes.NewReader(body)} }, len(body))
		codec, in := wire.New(wire.JSON), &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAAAAAAAAGx")}
		floor := func() {
			if _, err := io.ReadFull(inPieces{bytes.NewReader(body)}, make([]byte, len(body))); err != nil {
				b.Fatal(err)
			}
		}
		ours := func() {
			out, err := wire.Call(b.Context(), codec, client.GetRecords, in)
			if err != nil || len(out.Records) != pageRecords {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) { compare(b, pageRecords, []string{"floor", "ours"}, []func(){floor, ours}) })
	}
}

// eventStream is the answer to SubscribeToShard: events of 500 records of 1 KiB.
func eventStream(events, records int) []byte {
	var stream []byte
	frame := func(kind string, payload []byte) {
		var headers []byte
		for _, h := range [][2]string{{":message-type", "event"}, {":event-type", kind}, {":content-type", "application/json"}} {
			headers = append(append(headers, byte(len(h[0]))), h[0]...)
			headers = append(binary.BigEndian.AppendUint16(append(headers, 7), uint16(len(h[1]))), h[1]...)
		}
		m := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
		m = binary.BigEndian.AppendUint32(m, uint32(len(headers)))
		m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(m))
		m = append(append(m, headers...), payload...)
		stream = append(stream, binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(m))...)
	}
	frame("initial-response", []byte("{}"))
	page := bytes.Replace(pageJSON(records, recordBytes), []byte("NextShardIterator"), []byte("ContinuationSequenceNumber"), 1)
	for range events {
		frame("SubscribeToShardEvent", page)
	}
	return stream
}

// BenchmarkSubscribeToShard reads events of 500 records of 1 KiB without a network,
// through the SDK alone and with this package. "floor" is the stream read into
// memory, its checksums computed.
func BenchmarkSubscribeToShard(b *testing.B) {
	const events, records = 20, 500
	stream := eventStream(events, records)
	client := memoryClient("application/vnd.amazon.eventstream", func() io.Reader { return inPieces{bytes.NewReader(stream)} }, -1)
	floor := func() {
		buf := make([]byte, len(stream))
		if _, err := io.ReadFull(inPieces{bytes.NewReader(stream)}, buf); err != nil || crc32.ChecksumIEEE(buf) == 0 {
			b.Fatal(err)
		}
	}
	read := func(optFns ...func(*kinesis.Options)) func() {
		return func() {
			out, err := client.SubscribeToShard(b.Context(), &kinesis.SubscribeToShardInput{
				ConsumerARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/clicks/consumer/app:1"), ShardId: aws.String("shardId-000000000000"),
				StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
			}, optFns...)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for e := range out.GetStream().Events() {
				n += len(e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records)
			}
			if err := out.GetStream().Close(); err != nil || n != events*records {
				b.Fatal(n, err)
			}
		}
	}
	compare(b, events*records, []string{"floor", "ours", "SDK"}, []func(){floor, read(wire.New(wire.JSON).Events), read()})
}
