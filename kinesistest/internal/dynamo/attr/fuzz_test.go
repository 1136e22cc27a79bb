package attr_test

import (
	"encoding/json"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// FuzzItem reads any JSON as an item. What is one reads back the same from its
// own JSON, has a size, and orders with itself as equal.
func FuzzItem(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"S":"x"},"n":{"N":"-12.50e3"},"b":{"B":"AQI="},"t":{"BOOL":true},"z":{"NULL":true}}`,
		`{"ss":{"SS":["a","b"]},"ns":{"NS":["1","2.0"]},"bs":{"BS":["AQ==",""]},"l":{"L":[{"M":{"k":{"L":[]}}}]},"m":{"M":{}}}`,
		`{"a":{"S":"x","N":"1"}}`, `{"a":{}}`, `{"a":null}`, `{"":{"S":""}}`, `[1]`, `{"a":{"N":"1e-130"}}`, `{"a":{"NS":["1","1.0"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var it attr.Item
		if json.Unmarshal(body, &it) != nil {
			return
		}
		text := it.Append(nil)
		var again attr.Item
		if err := json.Unmarshal(text, &again); err != nil || !again.Equal(it) {
			t.Errorf("%s reads back as %s, %v", text, again.Append(nil), err)
		}
		if it.Size() != again.Size() || it.Size() < len(it) {
			t.Errorf("size of %s = %d, read back %d", text, it.Size(), again.Size())
		}
		for name, v := range it {
			if order, ok := attr.Compare(v, again[name]); ok && (order != 0 || v.SortKey() != again[name].SortKey()) {
				t.Errorf("%s does not order as equal to itself", text)
			}
		}
	})
}
