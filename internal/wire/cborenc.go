package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// The major types of CBOR, RFC 8949.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// Bytes that begin, or are, an item. The SDK for Java opens maps and lists
// without a count.
const (
	cborOpenArray = 0x9f
	cborOpenMap   = 0xbf
	cborBreak     = 0xff
	cborFalse     = 0xf4
	cborTrue      = 0xf5
)

func appendPutRecordsCBOR(b []byte, in *kinesis.PutRecordsInput) []byte {
	b = grow(b, putRecordsSize(in, func(n int) int { return n + 9 }))
	b = append(b, cborOpenMap)
	b = appendCBORBool(b, "DryRun", in.DryRun)
	if in.Records != nil {
		b = append(appendCBORText(b, "Records"), cborOpenArray)
		for i := range in.Records {
			e := &in.Records[i]
			b = append(b, cborOpenMap)
			if e.Data != nil {
				b = appendHead(appendCBORText(b, "Data"), cborBytes, uint64(len(e.Data)))
				b = append(b, e.Data...)
			}
			b = appendCBORMember(b, "ExplicitHashKey", e.ExplicitHashKey)
			b = appendCBORMember(b, "PartitionKey", e.PartitionKey)
			b = append(b, cborBreak)
		}
		b = append(b, cborBreak)
	}
	b = appendCBORMember(b, "StreamARN", in.StreamARN)
	b = appendCBORMember(b, "StreamId", in.StreamId)
	b = appendCBORMember(b, "StreamName", in.StreamName)
	return append(b, cborBreak)
}

func appendGetRecordsCBOR(b []byte, in *kinesis.GetRecordsInput) []byte {
	b = append(b, cborOpenMap)
	b = appendCBORBool(b, "DryRun", in.DryRun)
	if in.Limit != nil {
		b = appendCBORInt(appendCBORText(b, "Limit"), int64(*in.Limit))
	}
	b = appendCBORMember(b, "ShardIterator", in.ShardIterator)
	b = appendCBORMember(b, "StreamARN", in.StreamARN)
	b = appendCBORMember(b, "StreamId", in.StreamId)
	return append(b, cborBreak)
}

// appendHead appends the beginning of an item: its type, and a count or a value.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborNegative, uint64(-1-n))
	}
	return appendHead(b, cborUint, uint64(n))
}

func appendCBORBool(b []byte, name string, v *bool) []byte {
	switch {
	case v == nil:
		return b
	case *v:
		return append(appendCBORText(b, name), cborTrue)
	}
	return append(appendCBORText(b, name), cborFalse)
}

func appendCBORMember(b []byte, name string, s *string) []byte {
	if s == nil {
		return b
	}
	return appendCBORText(appendCBORText(b, name), *s)
}

// appendCBORText appends a string. Text has to be UTF-8: what is not becomes
// what it becomes in JSON, a replacement character for each byte.
func appendCBORText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}
