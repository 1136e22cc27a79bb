package aggregation_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kinesis-go/kinesis/aggregation"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt")

// maxGolden leaves out the vectors that nobody would read.
const maxGolden = 200

// TestGolden shows the format to a reader: every vector's bytes, annotated, and
// what Decode makes of them.
func TestGolden(t *testing.T) {
	t.Parallel()
	const path = "testdata/golden.txt"
	var out strings.Builder
	for _, v := range readVectors(t).Vectors {
		if len(v.Hex) > maxGolden {
			continue
		}
		fmt.Fprintf(&out, "# %s\n# %s\n", v.Name, v.Note)
		if v.ProducerEmit {
			fmt.Fprintln(&out, "# The KPL writes exactly these bytes.")
		}
		text := annotate(v.Hex)
		if got := bytesOfAnnotated(t, text); !bytes.Equal(got, v.Hex) {
			t.Errorf("%s: the annotated bytes are %x, want %x", v.Name, got, []byte(v.Hex))
		}
		out.WriteString(text)
		fmt.Fprintf(&out, "----\n%s\n", decoded(v.Hex))
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("%s differs from what the package does; see the change with: go test ./aggregation -run Golden -update", path)
	}
}

// decoded is the form below the line.
func decoded(data []byte) string {
	a, err := aggregation.Decode(data)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d records\n", a.Len())
	for sub, r := range a.Records() {
		fmt.Fprintf(&out, "%d: partition key %q", sub, r.PartitionKey)
		if r.ExplicitHashKey != "" {
			fmt.Fprintf(&out, ", explicit hash key %s", r.ExplicitHashKey)
		}
		hash, err := r.HashKey()
		fmt.Fprintf(&out, ", data %q, hash key %v", r.Data, hash)
		if err != nil {
			fmt.Fprintf(&out, " (%v)", err)
		}
		for t := range r.Tags.All() {
			fmt.Fprintf(&out, ", tag %q", t.Key)
			if t.HasValue {
				fmt.Fprintf(&out, "=%q", t.Value)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// annotate is the form above the line: bytes on the left, their meaning on the
// right. It reads with protowire, knowing nothing of the package.
func annotate(data []byte) string {
	var n notes
	magic := len(aggregation.Magic)
	if !bytes.HasPrefix(data, []byte(aggregation.Magic)) {
		n.add(0, "no magic", data)
		return n.String()
	}
	n.add(0, "magic", data[:magic])
	if len(data) < magic+16 {
		n.add(0, "too short for a digest", data[magic:])
		return n.String()
	}
	end := len(data) - 16
	n.fields(0, "AggregatedRecord", data[magic:end])
	digest := "digest of the message"
	if !bytes.Equal(wrap(data[magic:end]), data) {
		digest = "not the digest of the message"
	}
	n.add(0, digest, data[end:])
	return n.String()
}

type notes struct{ strings.Builder }

func (n *notes) add(depth int, note string, parts ...[]byte) {
	line := strings.Repeat("  ", depth)
	for _, p := range parts {
		if len(p) > 0 {
			line += hex.EncodeToString(p) + " "
		}
	}
	fmt.Fprintf(n, "%-48s| %s\n", line, note)
}

// schema names the fields of the format; those with a message of their own name
// that, too.
var schema = map[string]map[protowire.Number][2]string{
	"AggregatedRecord": {1: {"partition key"}, 2: {"explicit hash key"}, 3: {"record", "Record"}},
	"Record":           {1: {"partition key index"}, 2: {"explicit hash key index"}, 3: {"data"}, 4: {"tag", "Tag"}},
	"Tag":              {1: {"tag key"}, 2: {"tag value"}},
}

func (n *notes) fields(depth int, message string, b []byte) {
	for len(b) > 0 {
		number, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			n.add(depth, "no field", b)
			return
		}
		size := protowire.ConsumeFieldValue(number, kind, b[tag:])
		name := schema[message][number]
		if name[0] == "" {
			name[0] = fmt.Sprintf("unknown field %d", number)
		}
		if size < 0 {
			n.add(depth, name[0]+", malformed or cut off", b)
			return
		}
		value := b[tag : tag+size]
		switch kind {
		case protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			n.add(depth, fmt.Sprintf("%s %d", name[0], v), b[:tag], value)
		case protowire.BytesType:
			content, _ := protowire.ConsumeBytes(value)
			length := value[:len(value)-len(content)]
			if name[1] != "" {
				n.add(depth, name[0], b[:tag], length)
				n.fields(depth+1, name[1], content)
			} else {
				n.add(depth, fmt.Sprintf("%s %q", name[0], content), b[:tag], length, content)
			}
		default:
			n.add(depth, name[0], b[:tag], value)
		}
		b = b[tag+size:]
	}
}

// bytesOfAnnotated reads the bytes back.
func bytesOfAnnotated(t *testing.T, text string) []byte {
	t.Helper()
	var out []byte
	for line := range strings.Lines(text) {
		left, _, _ := strings.Cut(line, "|")
		b, err := hex.DecodeString(strings.Join(strings.Fields(left), ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, b...)
	}
	return out
}
