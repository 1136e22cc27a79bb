package aggregation_test

import (
	"crypto/md5"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kinesis-go/kinesis/aggregation"
)

// The oracle is Google's own protobuf, given the format's schema: what it
// accepts and what it marshals is what the package must accept and write.
var oracle = sync.OnceValue(func() protoreflect.FileDescriptor {
	field := func(name string, number int32, label descriptorpb.FieldDescriptorProto_Label, kind descriptorpb.FieldDescriptorProto_Type, message string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Label: label.Enum(), Type: kind.Enum()}
		if message != "" {
			f.TypeName = proto.String(".kpl." + message)
		}
		return f
	}
	message := func(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: &name, Field: fields}
	}
	const (
		required = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED
		optional = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		repeated = descriptorpb.FieldDescriptorProto_LABEL_REPEATED

		kindString  = descriptorpb.FieldDescriptorProto_TYPE_STRING
		kindBytes   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
		kindUint64  = descriptorpb.FieldDescriptorProto_TYPE_UINT64
		kindMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:    proto.String("kpl.proto"),
		Package: proto.String("kpl"),
		Syntax:  proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{
			message("AggregatedRecord",
				field("partition_key_table", 1, repeated, kindString, ""),
				field("explicit_hash_key_table", 2, repeated, kindString, ""),
				field("records", 3, repeated, kindMessage, "Record")),
			message("Record",
				field("partition_key_index", 1, required, kindUint64, ""),
				field("explicit_hash_key_index", 2, optional, kindUint64, ""),
				field("data", 3, required, kindBytes, ""),
				field("tags", 4, repeated, kindMessage, "Tag")),
			message("Tag",
				field("key", 1, required, kindString, ""),
				field("value", 2, optional, kindString, "")),
		},
	}, nil)
	if err != nil {
		panic(err)
	}
	return file
})

func newMessage(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(oracle().Messages().ByName(name))
}

func get(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

func has(m protoreflect.Message, name protoreflect.Name) bool {
	return m.Has(m.Descriptor().Fields().ByName(name))
}

func set(m protoreflect.Message, name protoreflect.Name, v any) {
	m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOf(v))
}

func list(m protoreflect.Message, name protoreflect.Name) protoreflect.List {
	return m.Mutable(m.Descriptor().Fields().ByName(name)).List()
}

// oracleDecode returns the records of a message, and which index is outside its
// table, if the oracle accepts the message at all.
func oracleDecode(tb testing.TB, msg []byte) (out []aggregation.Record, badIndex bool, err error) {
	tb.Helper()
	m := newMessage("AggregatedRecord")
	if err := proto.Unmarshal(msg, m); err != nil {
		return nil, false, err
	}
	pks, ehks, recs := list(m, "partition_key_table"), list(m, "explicit_hash_key_table"), list(m, "records")
	for i := range recs.Len() {
		in := recs.Get(i).Message()
		r := aggregation.Record{Data: get(in, "data").Bytes()}
		pk := get(in, "partition_key_index").Uint()
		if pk >= uint64(pks.Len()) {
			return nil, true, nil
		}
		r.PartitionKey = pks.Get(int(pk)).String()
		if has(in, "explicit_hash_key_index") {
			ehk := get(in, "explicit_hash_key_index").Uint()
			if ehk >= uint64(ehks.Len()) {
				return nil, true, nil
			}
			r.ExplicitHashKey = ehks.Get(int(ehk)).String()
		}
		var tags []string
		for j, list := 0, list(in, "tags"); j < list.Len(); j++ {
			t := list.Get(j).Message()
			tags = append(tags, tagText(get(t, "key").String(), get(t, "value").String(), has(t, "value")))
		}
		// Tags cannot be made from keys that are not UTF-8, so they are compared
		// as text, in the place of one tag's key.
		if tags != nil {
			r.Tags = mustTags(tb, aggregation.Tag{Key: strings.ToValidUTF8(strings.Join(tags, ","), "?")})
		}
		out = append(out, r)
	}
	return out, false, nil
}

func tagText(key, value string, hasValue bool) string {
	return fmt.Sprintf("%q=%q/%v", key, value, hasValue)
}

// foldTags brings decoded records to the form that oracleDecode returns.
func foldTags(tb testing.TB, records []aggregation.Record) []aggregation.Record {
	tb.Helper()
	for i := range records {
		var tags []string
		for t := range records[i].Tags.All() {
			tags = append(tags, tagText(t.Key, t.Value, t.HasValue))
		}
		records[i].Tags = aggregation.Tags{}
		if tags != nil {
			records[i].Tags = mustTags(tb, aggregation.Tag{Key: strings.ToValidUTF8(strings.Join(tags, ","), "?")})
		}
	}
	return records
}

func mustTags(tb testing.TB, tags ...aggregation.Tag) aggregation.Tags {
	tb.Helper()
	t, err := aggregation.NewTags(tags...)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// oracleEncode returns the aggregate of the records as the oracle marshals it.
func oracleEncode(tb testing.TB, records []aggregation.Record) []byte {
	tb.Helper()
	m := newMessage("AggregatedRecord")
	pks, ehks := map[string]uint64{}, map[string]uint64{}
	index := func(table map[string]uint64, name protoreflect.Name, key string) uint64 {
		i, ok := table[key]
		if !ok {
			i = uint64(len(table))
			table[key] = i
			list(m, name).Append(protoreflect.ValueOfString(key))
		}
		return i
	}
	for _, r := range records {
		out := newMessage("Record")
		set(out, "partition_key_index", index(pks, "partition_key_table", r.PartitionKey))
		if r.ExplicitHashKey != "" {
			set(out, "explicit_hash_key_index", index(ehks, "explicit_hash_key_table", r.ExplicitHashKey))
		}
		set(out, "data", append([]byte{}, r.Data...))
		for t := range r.Tags.All() {
			tag := newMessage("Tag")
			set(tag, "key", t.Key)
			if t.HasValue {
				set(tag, "value", t.Value)
			}
			list(out, "tags").Append(protoreflect.ValueOfMessage(tag))
		}
		list(m, "records").Append(protoreflect.ValueOfMessage(out))
	}
	msg, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return wrap(msg)
}

// wrap puts magic and digest around a message.
func wrap(msg []byte) []byte {
	sum := md5.Sum(msg)
	return append(append([]byte(aggregation.Magic), msg...), sum[:]...)
}
