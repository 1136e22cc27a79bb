package stream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// oracle reads the body of a PutRecords with encoding/json alone.
func oracle(body []byte) (*putRequest, bool) {
	r := &putRequest{noEntries: true}
	if len(bytes.Trim(body, " \t\r\n")) == 0 {
		return r, true
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, false
	}
	ok := true
	text := func(members map[string]json.RawMessage, name string) (s *string) {
		if raw, is := members[name]; is {
			ok = ok && json.Unmarshal(raw, &s) == nil
		}
		return s
	}
	r.StreamName, r.StreamARN, r.ordering = text(members, "StreamName"), text(members, "StreamARN"), text(members, "SequenceNumberForOrdering")
	if raw, is := members["DryRun"]; is {
		ok = ok && json.Unmarshal(raw, &r.dryRun) == nil
	}
	var entries []map[string]json.RawMessage
	if raw, is := members["Records"]; is {
		ok = ok && json.Unmarshal(raw, &entries) == nil
	}
	r.noEntries = entries == nil
	for _, m := range entries {
		e := putEntry{key: text(m, "PartitionKey"), hash: text(m, "ExplicitHashKey"), noData: true}
		if raw, is := m["Data"]; is {
			var data *string
			if json.Unmarshal(raw, &data) != nil {
				return nil, false
			}
			if data != nil {
				decoded, err := base64.StdEncoding.DecodeString(*data)
				ok = ok && err == nil
				e.Data, e.noData = decoded, false
			}
		}
		r.entries = append(r.entries, e)
	}
	return r, ok
}

// duplicates reports whether an object in body has a member twice. There the
// two readers may differ about a value that is replaced.
func duplicates(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	var seen []map[string]bool
	key := false
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := len(seen) - 1
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				seen, key = append(seen, map[string]bool{}), true
				continue
			case '[':
				seen, key = append(seen, nil), false
				continue
			}
			seen = seen[:top]
			key = len(seen) > 0 && seen[len(seen)-1] != nil
			continue
		case string:
			if key && top >= 0 && seen[top] != nil {
				if seen[top][v] {
					return true
				}
				seen[top][v], key = true, false
				continue
			}
		}
		key = top >= 0 && seen[top] != nil
	}
}

func FuzzDecodePut(f *testing.F) {
	for _, s := range []string{
		``, `{}`, ` { } `, `null`, `[]`, `{"Records":[]}`, `{"Records":null}`, `{"Records":[null,{}]}`,
		`{"StreamName":"s","Records":[{"Data":"AAEC","PartitionKey":"k"},{"PartitionKey":"é","ExplicitHashKey":"0","Data":""}]}`,
		`{"Records":[{"Data":"AA\/E","PartitionKey":"\ud83d\ude00\\\"","Unknown":{"a":[1,2,{"b":"]}"}]}}],"StreamARN":"arn","DryRun":true}`,
		"{\n\t\"Records\":\t[\n\t\t{\n\t\t\t\"Data\":\t\"aGk=\",\n\t\t\t\"PartitionKey\":\t\"k\"\n\t\t}\n\t]\n}",
		`{"Records":[{"Data":"AAEC\n","PartitionKey":1}]}`, `{"Records":{}}`, `{"Records":[{"Data":"*"}]}`, `{"Records":[{"Data":"AA"}]}`,
		`{"x":1e5,"y":-0.1,"z":tru}`, `{"x":1`, `{"x" 1}`, `{"a":"b",}`, `{"a":01}`, `{"Data":"AA==","x":"\u12"}`, "{\"a\":\"\x01\"}", "{\"StreamName\":\"\xff\"}",
		`{"DryRun":null,"SequenceNumberForOrdering":null}`, `{"DryRun":"yes"}`, `{}{}`, `{} x`, "\x00", `{"\u0052ecords":[{}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := &putRequest{}
		err := got.decode(body)
		want, ok := oracle(body)
		if duplicates(body) {
			return
		}
		if (err == nil) != ok {
			t.Fatalf("decode = %v, encoding/json takes it: %v", err, ok)
		}
		if err != nil {
			return
		}
		if len(got.entries) != len(want.entries) || got.noEntries != want.noEntries || got.dryRun != want.dryRun {
			t.Fatalf("decode = %+v, want %+v", got, want)
		}
		if diff := cmp.Diff([]*string{want.StreamName, want.StreamARN, want.ordering}, []*string{got.StreamName, got.StreamARN, got.ordering}); diff != "" {
			t.Fatal(diff)
		}
		for i := range want.entries {
			g, w := &got.entries[i], &want.entries[i]
			if diff := cmp.Diff([]*string{w.key, w.hash}, []*string{g.key, g.hash}); diff != "" || !bytes.Equal(g.Data, w.Data) || g.noData != w.noData {
				t.Fatalf("entry %d: %s, data %q (none %v), want %q (none %v)", i, diff, g.Data, g.noData, w.Data, w.noData)
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\x1f\x7f", "é€𝄞", "\xff\xc3", "a\xe2\x82", "\u2028"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		out := appendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(out[1:], &got); err != nil {
			t.Fatalf("%q is not JSON: %v", out, err)
		}
		if want := strings.ToValidUTF8(string(s), "\ufffd"); utf8.Valid(s) && got != string(s) || !utf8.Valid(s) && strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("%q reads back as %q", s, got)
		}
	})
}

// Whatever comes, it gets an answer.
func FuzzCall(f *testing.F) {
	for op := range operations {
		f.Add(op, []byte(`{"StreamName":"s"}`))
	}
	for _, s := range []struct{ op, body string }{
		{"PutRecords", `{"StreamName":"s","Records":[{"Data":"AA==","PartitionKey":"k"}]}`},
		{"PutRecord", `{"StreamName":"s","Data":"AA==","PartitionKey":"k","ExplicitHashKey":"1"}`},
		{"GetRecords", `{"ShardIterator":"AAAA","Limit":1}`},
		{"GetShardIterator", `{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":-1e300}`},
		{"GetShardIterator", `{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_SEQUENCE_NUMBER","StartingSequenceNumber":"49590338271490256608559692538361571095921575989136588898"}`},
		{"ListShards", `{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1e18},"MaxResults":1}`},
		{"ListShards", `{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s","ExclusiveStartShardId":"shardId-999999999999"}`},
		{"SplitShard", `{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"5"}`},
		{"MergeShards", `{"StreamName":"s","ShardToMerge":"shardId-000000000000","AdjacentShardToMerge":"shardId-000000000001"}`},
		{"CreateStream", `{"StreamName":"s2","ShardCount":3,"StreamModeDetails":{"StreamMode":"ON_DEMAND"}}`},
		{"DescribeStream", `{"StreamName":"s","Limit":1e9}`},
		{"UpdateShardCount", `{"StreamName":"s","TargetShardCount":3,"ScalingType":"UNIFORM_SCALING"}`},
		{"UpdateStreamMode", `{"StreamARN":"arn:aws:kinesis:::stream/s","StreamModeDetails":{"StreamMode":"ON_DEMAND"},"WarmThroughputMiBps":9}`},
		{"AddTagsToStream", `{"StreamName":"s","Tags":{"a":"b"}}`},
		{"PutResourcePolicy", `{"ResourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1","Policy":"{}"}`},
		{"EnableEnhancedMonitoring", `{"StreamName":"s","ShardLevelMetrics":["ALL","x",null]}`},
	} {
		f.Add(s.op, []byte(s.body))
	}
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		s := New(Options{Limits: Limits{ShardsPerAccount: 100, RecordsPerRequest: 500}})
		if e := s.CreateStream("s", 2); e != nil {
			t.Fatal(e)
		}
		s.Names(body)
		s.Route(body, op == "PutRecord", func(int, string, string) {})
		out, e := s.Call(op, body, nil)
		switch {
		case e != nil && e.Status == 500:
			t.Fatalf("%s: %v", op, e)
		case e == nil && out != nil && !json.Valid(out):
			t.Fatalf("%s: the answer %q is not JSON", op, out)
		}
		if e := s.CreateStream("after", 1); e != nil {
			t.Fatalf("the service is out of order: %v", e)
		}
	})
}
