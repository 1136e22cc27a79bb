package dynamo

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// encode appends a response as JSON. It knows the types that responses of
// operations on items are made of, because encoding/json reads and checks
// again what an item's own encoder wrote; the rest is left to it.
func encode(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case Item:
		return v.Append(b), nil
	case []Item:
		b = append(b, '[')
		for i, it := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = it.Append(b)
		}
		return append(b, ']'), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case string:
		return attr.AppendString(b, v), nil
	case map[string]any:
		return encodeObject(b, v)
	}
	out, err := json.Marshal(v)
	return append(b, out...), err
}

func encodeObject(b []byte, fields map[string]any) (_ []byte, err error) {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(attr.AppendString(b, name), ':')
		if b, err = encode(b, fields[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
