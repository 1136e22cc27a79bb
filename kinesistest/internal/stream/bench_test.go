package stream

import (
	"encoding/json"
	"fmt"
	"testing"
)

// The engine alone, without HTTP: 500 records of 1 KiB in a request, 10,000
// shards in a listing.

func benchStream(b *testing.B, shards int) *Service {
	s := New(Options{})
	if e := s.CreateStream("s", shards); e != nil {
		b.Fatal(e)
	}
	return s
}

func benchPut(b *testing.B, records int) []byte {
	var entries []object
	for i := range records {
		entries = append(entries, object{"PartitionKey": fmt.Sprint("key ", i), "Data": data(1 << 10)})
	}
	body, err := json.Marshal(object{"StreamName": "s", "Records": entries})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func BenchmarkPutRecords(b *testing.B) {
	s, body := benchStream(b, 4), benchPut(b, 500)
	b.SetBytes(500 << 10)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, e := s.Call("PutRecords", body, nil); e != nil {
			b.Fatal(e)
		}
		if n++; n%200 == 0 { // 100 MB at most
			for _, sh := range s.streams["s"].shards {
				sh.log.trim(sh.log.next, false)
			}
		}
	}
}

func BenchmarkGetRecords(b *testing.B) {
	s, body := benchStream(b, 1), benchPut(b, 500)
	for range 16 {
		if _, e := s.Call("PutRecords", body, nil); e != nil {
			b.Fatal(e)
		}
	}
	st := s.streams["s"]
	it, err := json.Marshal(object{"ShardIterator": s.iterator(st, st.shards[0], 1, s.now())})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(8000 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, e := s.Call("GetRecords", it, nil); e != nil {
			b.Fatal(e)
		}
	}
}

func BenchmarkGetRecordsEmpty(b *testing.B) {
	s := benchStream(b, 1)
	st := s.streams["s"]
	it, err := json.Marshal(object{"ShardIterator": s.iterator(st, st.shards[0], 1, s.now())})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, e := s.Call("GetRecords", it, nil); e != nil {
			b.Fatal(e)
		}
	}
}

func BenchmarkCreateTenThousandShards(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchStream(b, 10_000)
	}
}

func BenchmarkListShards(b *testing.B) {
	s := benchStream(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, e := s.Call("ListShards", []byte(`{"StreamName":"s"}`), nil); e != nil {
			b.Fatal(e)
		}
	}
}
