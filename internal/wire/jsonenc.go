package wire

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// appendPutRecordsJSON appends what the SDK would write.
func appendPutRecordsJSON(b []byte, in *kinesis.PutRecordsInput) []byte {
	b = grow(b, putRecordsSize(in, base64.StdEncoding.EncodedLen))
	w := objectWriter{b: append(b, '{')}
	w.bool(`"DryRun":`, in.DryRun)
	if in.Records != nil {
		w.name(`"Records":`)
		w.b = append(w.b, '[')
		for i := range in.Records {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			e := &in.Records[i]
			w.b, w.more = append(w.b, '{'), false
			if e.Data != nil {
				w.name(`"Data":"`)
				w.b = append(appendBase64(w.b, e.Data), '"')
			}
			w.text(`"ExplicitHashKey":`, e.ExplicitHashKey)
			w.text(`"PartitionKey":`, e.PartitionKey)
			w.b = append(w.b, '}')
		}
		w.b, w.more = append(w.b, ']'), true
	}
	w.text(`"StreamARN":`, in.StreamARN)
	w.text(`"StreamId":`, in.StreamId)
	w.text(`"StreamName":`, in.StreamName)
	return append(w.b, '}')
}

// appendGetRecordsJSON appends what the SDK would write.
func appendGetRecordsJSON(b []byte, in *kinesis.GetRecordsInput) []byte {
	w := objectWriter{b: append(b, '{')}
	w.bool(`"DryRun":`, in.DryRun)
	if in.Limit != nil {
		w.name(`"Limit":`)
		w.b = strconv.AppendInt(w.b, int64(*in.Limit), 10)
	}
	w.text(`"ShardIterator":`, in.ShardIterator)
	w.text(`"StreamARN":`, in.StreamARN)
	w.text(`"StreamId":`, in.StreamId)
	return append(w.b, '}')
}

// putRecordsSize is about how long a body will be, and no less but for escapes.
func putRecordsSize(in *kinesis.PutRecordsInput, blob func(int) int) int {
	n := 4 << 10
	for i := range in.Records {
		e := &in.Records[i]
		n += blob(len(e.Data)) + 64
		for _, s := range []*string{e.PartitionKey, e.ExplicitHashKey} {
			if s != nil {
				n += len(*s)
			}
		}
	}
	return n
}

// grow returns b, which is empty, or another with room for n bytes.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b
	}
	return make([]byte, 0, n)
}

// An objectWriter writes the members of a JSON object.
type objectWriter struct {
	b    []byte
	more bool // a member was written
}

// name writes what comes before a value; quoted is the name, in quotes, and what
// follows it.
func (w *objectWriter) name(quoted string) {
	if w.more {
		w.b = append(w.b, ',')
	}
	w.more = true
	w.b = append(w.b, quoted...)
}

func (w *objectWriter) text(quoted string, s *string) {
	if s != nil {
		w.name(quoted)
		w.b = appendText(w.b, *s)
	}
}

func (w *objectWriter) bool(quoted string, v *bool) {
	if v != nil {
		w.name(quoted)
		w.b = strconv.AppendBool(w.b, *v)
	}
}

const hexDigits = "0123456789abcdef"

// appendText appends a string in quotes, with the escapes that the SDK writes.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), string(utf8.RuneError)...)
			start = i + 1
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), '\\', 'u', '2', '0', '2', hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}
