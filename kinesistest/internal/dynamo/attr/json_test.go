package attr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

func decode(t *testing.T, text string) (attr.Value, error) {
	t.Helper()
	var j any
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	return attr.Decode(j)
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"S":""}`, `{"S":"a\"b\\c\nd\u00e9 😀"}`, `{"N":"-1.5"}`, `{"B":""}`, `{"B":"AAECAw=="}`, `{"BOOL":true}`, `{"BOOL":false}`, `{"NULL":true}`,
		`{"SS":["b","a"]}`, `{"NS":["2","1"]}`, `{"BS":["AQ==","Ag=="]}`, `{"L":[]}`, `{"L":[{"S":"x"},{"L":[]}]}`, `{"M":{}}`, `{"M":{"a":{"M":{"b":{"N":"1"}}}}}`,
	} {
		v, err := decode(t, text)
		if err != nil {
			t.Errorf("Decode(%s) = %v", text, err)
			continue
		}
		var want, got any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		out := v.Append(nil)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("Append of %s = %s: %v", text, out, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Append of %s (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(want, any(v.JSON())); diff != "" {
			t.Errorf("JSON of %s (-want +got):\n%s", text, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"L":[`, 40) + `{"S":"x"}` + strings.Repeat(`]}`, 40)
	tests := []struct{ in, want string }{
		{`{}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"X":"a"}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"S":"a","N":"1"}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{`{"SS":[]}`, "One or more parameter values were invalid: An string set  may not be empty"},
		{`{"NS":[]}`, "One or more parameter values were invalid: An number set  may not be empty"},
		{`{"BS":[]}`, "One or more parameter values were invalid: Binary sets should not be empty"},
		{`{"SS":["a b","c","a b"]}`, "One or more parameter values were invalid: Input collection [a b, c, a b] contains duplicates."},
		{`{"NS":["1","1.0"]}`, "Input collection contains duplicates"},
		{`{"BS":["AQ==","AQ=="]}`, "One or more parameter values were invalid: Input collection [AQ==, AQ==]of type BS contains duplicates."},
		{`{"NULL":false}`, "One or more parameter values were invalid: Null attribute value types must have the value of true"},
		{`{"NS":["1","x"]}`, "The parameter cannot be converted to a numeric value: x"},
		{deep, "Nesting Levels have exceeded supported limits: Attributes exceeds nested level limit"},
		{`{"M":{"":{"S":"x"}}}`, "One or more parameter values were invalid: Attribute name length must be between 1 and 65535"},
	}
	for _, tt := range tests {
		if _, err := decode(t, tt.in); err == nil || err.Error() != "ValidationException: "+tt.want {
			t.Errorf("Decode(%s) = %v, want %v", tt.in, err, tt.want)
		}
	}
	for _, in := range []string{`{"S":1}`, `{"N":1}`, `{"B":"%%"}`, `{"BOOL":"true"}`, `{"NULL":"true"}`, `{"L":{}}`, `{"M":[]}`, `{"SS":"a"}`, `{"SS":[1]}`, `"x"`, `null`, `[]`} {
		if _, err := decode(t, in); err == nil || !strings.HasPrefix(err.Error(), "SerializationException: ") {
			t.Errorf("Decode(%s) = %v, want a SerializationException", in, err)
		}
	}
}

// TestSize holds the sizes of AWS's "DynamoDB item sizes and formats".
func TestSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want int
	}{
		{`{"S":"abc"}`, 3}, {`{"S":"é"}`, 2}, {`{"B":"AAECAw=="}`, 4}, {`{"BOOL":true}`, 1}, {`{"NULL":true}`, 1},
		{`{"N":"7"}`, 2}, {`{"N":"-7"}`, 3}, {`{"N":"0"}`, 1}, {`{"N":"12345678901234567890123456789012345678"}`, 20}, {`{"N":"1000000"}`, 2},
		{`{"SS":["ab","c"]}`, 3}, {`{"L":[]}`, 3}, {`{"L":[{"S":"a"},{"S":"b"}]}`, 7}, {`{"M":{"k":{"S":"v"}}}`, 6},
	}
	for _, tt := range tests {
		v, err := decode(t, tt.in)
		if err != nil || v.Size() != tt.want {
			t.Errorf("Size of %s = %d, %v, want %d", tt.in, v.Size(), err, tt.want)
		}
	}
}
