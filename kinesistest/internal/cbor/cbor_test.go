package cbor

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestToJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"the map of a client for Java", "bf 6a53747265616d4e616d65 6173 ff", `{"StreamName":"s"}`},
		{"blob", "bf 6444617461 43000102 ff", `{"Data":"AAEC"}`},
		{"time in milliseconds", "a1 6954696d657374616d70 c1 1b00000193532a24fb", `{"Timestamp":1732267091.195}`},
		{"time on a second", "a1 6174 c1 1903e8", `{"t":1}`},
		{"lists of either form", "a2 6161 82 01 02 6162 9f 03 ff", `{"a":[1,2],"b":[3]}`},
		{"numbers", "86 00 1818 190100 1a00010000 1b000000e8d4a51000 20", `[0,24,256,65536,1000000000000,-1]`},
		{"floats", "82 fa3fc00000 fb4009000000000000", `[1.5,3.125]`},
		{"constants", "84 f4 f5 f6 f7", `[false,true,null,null]`},
		{"strings in pieces", "82 7f 6161 6162 ff 5f 4100 4101 ff", `["ab","AAE="]`},
		{"text that needs escapes", "63 225c0a", `"\"\\\n"`},
		{"nothing", "a0", `{}`},
	} {
		got, err := ToJSON(unhex(t, c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestToJSONRefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":                            "",
		"text cut short":                   "63 6161",
		"blob longer than any":             "5b ffffffffffffffff",
		"list longer than the body":        "9b ffffffffffffffff",
		"map without its break":            "bf 6161 01",
		"list without its break":           "9f",
		"something after the value":        "a0 00",
		"member without a value":           "bf 6161 ff",
		"name that is no text":             "a1 01 02",
		"half float":                       "f9 3c00",
		"reserved length":                  "1c",
		"tag of another kind":              "c2 4101",
		"time that is text":                "c1 6161",
		"time before 1970":                 "c1 20",
		"number beyond 64 bits":            "1b ffffffffffffffff",
		"not a number":                     "fb 7ff8000000000000",
		"text that is not UTF-8":           "61 ff",
		"string in pieces of another kind": "5f 6161 ff",
		"string in pieces in pieces":       "5f 5f ff ff",
		"deeply nested":                    strings.Repeat("81", 100) + "00",
	} {
		if got, err := ToJSON(unhex(t, in)); err == nil {
			t.Errorf("%s: %s, want an error", name, got)
		}
	}
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`{"StreamName":"s"}`, "bf 6a53747265616d4e616d65 6173 ff"},
		{`{"Data":"AAEC"}`, "bf 6444617461 43000102 ff"},
		{`{"Data":"AAECAw=="}`, "bf 6444617461 4400010203 ff"},
		{`{"Data":""}`, "bf 6444617461 40 ff"},
		{`{"ATimestamp":1732267091.195}`, "bf 6a4154696d657374616d70 c1 1b00000193532a24fb ff"},
		{`{"EndedAt":1732267091.195}`, "bf 67456e6465644174 c1 1b00000193532a24fb ff"},
		{`[0,24,256,65536,1000000000000,-1,1.5]`, "9f 00 1818 190100 1a00010000 1b000000e8d4a51000 20 fb3ff8000000000000 ff"},
		{`{"a":[true,false,null]}`, "bf 6161 9f f5 f4 f6 ff ff"},
	} {
		got, err := FromJSON([]byte(c.in))
		if err != nil || hex.EncodeToString(got) != strings.ReplaceAll(c.want, " ", "") {
			t.Errorf("%s: %x, %v, want %s", c.in, got, err, c.want)
		}
	}
}

func TestFromJSONRefusesWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, in := range []string{``, `{`, `[1`, `{"a"`, `{"Data":"?"}`, `{"Timestamp":-1}`, `{"Timestamp":1e16}`} {
		if got, err := FromJSON([]byte(in)); err == nil {
			t.Errorf("%s: %x, want an error", in, got)
		}
	}
}

// Whatever comes in is refused or becomes JSON that keeps its meaning there and
// back.
func FuzzToJSON(f *testing.F) {
	for _, s := range []string{
		"bf 6a53747265616d4e616d65 6173 ff", "bf 6444617461 43000102 ff", "a1 6954696d657374616d70 c1 1b00000193532a24fb",
		"86 00 1818 190100 1a00010000 1b000000e8d4a51000 20", "82 fa3fc00000 fb4009000000000000", "82 7f 6161 6162 ff 5f 4100 4101 ff",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		text, err := ToJSON(in)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x became %q", in, text)
		}
		back, err := FromJSON(text)
		if err != nil {
			return // Data or a Timestamp of another type than Kinesis's
		}
		if again, err := ToJSON(back); err != nil || !json.Valid(again) {
			t.Fatalf("%x became %q and %x, and then %q, %v", in, text, back, again, err)
		}
	})
}
