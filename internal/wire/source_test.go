package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Records of every size come out of every way of arriving, larger than the window
// and smaller, and each has its bytes to itself.
func TestLargeRecordsOutOfASmallWindow(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	sizes := []int{0, 1, 3, 8, 100, 1 << 10, blockBytes/4 - 1, blockBytes / 4, blockBytes, windowBytes + 1, 300 << 10, 5, 40 << 10}
	var data [][]byte
	text, binary := `{"Records":[`, "\xa1\x67Records\x9f"
	for i, n := range sizes {
		data = append(data, payload(rng, n))
		if i > 0 {
			text += ","
		}
		text += `{"Data":"` + base64.StdEncoding.EncodeToString(data[i]) + `","PartitionKey":"` + fmt.Sprint(i) + `"}`
		binary += "\xa1\x64Data" + string(appendHead(nil, cborBytes, uint64(n))) + string(data[i])
	}
	text, binary = text+`]}`, binary+"\xff"
	for _, length := range []bool{true, false} {
		for _, piece := range []int{977, tlsPiece, 1 << 20} {
			for cbor, body := range map[bool]string{false: text, true: binary} {
				way := way{piece: piece, window: windowBytes, length: length}
				var out kinesis.GetRecordsOutput
				if err := way.decode(cbor, body, func(r reader) { decodeGetRecords(r, &out) }); err != nil {
					t.Fatalf("CBOR %v in pieces of %d: %v", cbor, piece, err)
				}
				for i, r := range out.Records {
					clear(r.Data[len(r.Data):cap(r.Data)])
					if !bytes.Equal(r.Data, data[i]) || r.Data == nil {
						t.Fatalf("CBOR %v in pieces of %d: record %d of %d bytes has %d others", cbor, piece, i, len(data[i]), len(r.Data))
					}
				}
				if len(out.Records) != len(data) {
					t.Fatalf("%d records", len(out.Records))
				}
				// What ends early is an error, wherever it does.
				for range 20 {
					cut := body[:rng.IntN(len(body))]
					if err := way.decode(cbor, cut, func(r reader) { decodeGetRecords(r, &out) }); err == nil {
						t.Fatalf("CBOR %v: %d of %d bytes were taken for an answer", cbor, len(cut), len(body))
					}
				}
			}
		}
	}
}

const tlsPiece = 16 << 10

// Who keeps one record keeps a block, not the answer.
func TestRecordsLieInSmallBlocks(t *testing.T) {
	t.Parallel()
	var d blocks
	starts := map[*byte]int{}
	for left := int64(4 << 20); left > 0; left -= 1 << 10 {
		if len(d.free) < 1<<10 {
			starts[&d.take(1<<10, left)[0]] = d.size
			continue
		}
		d.take(1<<10, left)
	}
	for _, n := range starts {
		if n > blockBytes {
			t.Errorf("a block of %d bytes, want at most %d", n, blockBytes)
		}
	}
	if d.kept < 4<<20 || d.kept > 4<<20+blockBytes {
		t.Errorf("%d bytes for 4 MiB of data", d.kept)
	}
}

// What a transport sends of a body that is taken away under it must not pass for
// the whole.
func TestBodyThatIsTakenAwayDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := &body{buf: []byte("hello")}
	if n, err := b.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	b.detach()
	if n, err := b.Read(make([]byte, 3)); n != 0 || !errors.Is(err, errDetached) {
		t.Errorf("Read after detach = %d, %v, want the error %v", n, err, errDetached)
	}
}
