package stream

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/internal/shardmap"
	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A Record is a record to be put.
type Record struct {
	PartitionKey    string
	ExplicitHashKey string // "" for none
	Data            []byte
	NoKey           bool // there was no partition key
	Encrypted       bool // at rest
}

// A putEntry is a Record as a request carries it.
type putEntry struct {
	Record
	key, hash *string
	noData    bool
	own       shardmap.HashKey // as its keys have it
	hashKey   shardmap.HashKey // where it goes
	shard     *shard
	result    putResult
}

type putResult struct {
	sequence sequence
	err      *api.Error
}

// A putRequest is a PutRecord or a PutRecords.
type putRequest struct {
	ref
	client    string
	entries   []putEntry
	noEntries bool // PutRecords without Records
	single    bool
	ordering  *string
	dryRun    bool
	encrypted bool   // as it was stored
	scratch   []byte // the data of the entries
}

// decode reads the body of a put. The entries' data are parts of r.scratch.
func (r *putRequest) decode(body []byte) error {
	r.scratch = r.scratch[:0]
	// Growing scratch would strand the data decoded before.
	if need := len(body)/4*3 + 3; cap(r.scratch) < need {
		r.scratch = make([]byte, 0, need)
	}
	r.noEntries = true
	s := &scanner{b: body}
	if r.single {
		r.entries = append(r.entries[:0], putEntry{noData: true})
		r.noEntries = false
	}
	return s.document(func(name []byte) (err error) {
		switch string(name) {
		case "StreamName":
			r.StreamName, err = s.stringMember("StreamName")
		case "StreamARN":
			r.StreamARN, err = s.stringMember("StreamARN")
		case "StreamId":
			r.StreamId, err = s.stringMember("StreamId")
		case "DryRun":
			r.dryRun, err = s.boolMember("DryRun")
		case "Records":
			if r.single {
				return s.skip()
			}
			return r.decodeEntries(s)
		case "SequenceNumberForOrdering":
			r.ordering, err = s.stringMember("SequenceNumberForOrdering")
		default:
			if r.single {
				return r.decodeMember(s, name, &r.entries[0])
			}
			return s.skip()
		}
		return err
	})
}

func (r *putRequest) decodeEntries(s *scanner) error {
	r.entries = r.entries[:0]
	if r.noEntries = s.null(); r.noEntries {
		return nil
	}
	return s.array(func() error {
		r.entries = append(r.entries, putEntry{noData: true})
		if s.null() {
			return nil
		}
		e := &r.entries[len(r.entries)-1]
		return s.object(func(name []byte) error { return r.decodeMember(s, name, e) })
	})
}

func (r *putRequest) decodeMember(s *scanner, name []byte, e *putEntry) (err error) {
	switch string(name) {
	case "Data":
		start, ok := len(r.scratch), false
		r.scratch, ok, err = s.blobMember("Data", r.scratch)
		e.Data, e.noData = r.scratch[start:len(r.scratch):len(r.scratch)], !ok
	case "PartitionKey":
		e.key, err = s.stringMember("PartitionKey")
	case "ExplicitHashKey":
		e.hash, err = s.stringMember("ExplicitHashKey")
	default:
		return s.skip()
	}
	return err
}

// check judges what can be judged without the stream, and finds the hash key of
// each entry.
func (r *putRequest) check(l *Limits) *api.Error {
	var v violations
	if r.noEntries {
		v.add(nil, "records", notNull)
	} else if n := len(r.entries); n == 0 {
		v.add("[]", "records", "Member must have length greater than or equal to 1")
	} else if l.RecordsPerRequest > 0 && n > l.RecordsPerRequest {
		v.add("["+strconv.Itoa(n)+" records]", "records", "Member must have length less than or equal to %d", l.RecordsPerRequest)
	}
	total := 0
	for i := range r.entries {
		e := &r.entries[i]
		if e.noData {
			v.add(nil, r.member(i, "data"), notNull)
		}
		r.checkKey(&v, i, e)
		if e.hash != nil && !hashKeyPattern(*e.hash) {
			v.add(*e.hash, r.member(i, "explicitHashKey"), `Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})`)
		}
		if len(v) >= 10 {
			break
		}
		total += len(e.Data) + len(e.PartitionKey)
	}
	if e := v.err(); e != nil {
		return e
	}
	if !r.single && l.BytesPerRequest > 0 && total > l.BytesPerRequest {
		return invalid("Records size exceeds %d MB limit", l.BytesPerRequest>>20)
	}
	for i := range r.entries {
		if e := r.entries[i].hashed(); e != nil {
			return e
		}
	}
	return nil
}

// member names a member of the i-th entry as AWS does.
func (r *putRequest) member(i int, name string) string {
	if r.single {
		return name
	}
	return "records." + strconv.Itoa(i+1) + ".member." + name
}

func (r *putRequest) checkKey(v *violations, i int, e *putEntry) {
	if e.NoKey = e.key == nil; e.NoKey {
		return // the stream decides
	}
	e.PartitionKey = *e.key
	switch n := utf8.RuneCountInString(e.PartitionKey); {
	case n < 1:
		v.add("", r.member(i, "partitionKey"), "Member must have length greater than or equal to 1")
	case n > 256:
		v.add(e.PartitionKey, r.member(i, "partitionKey"), "Member must have length less than or equal to 256")
	}
}

func hashKeyPattern(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s == "0" || len(s) >= 1 && len(s) <= 39 && s[0] != '0'
}

// hashed finds the hash key that the entry's keys mean.
func (e *putEntry) hashed() *api.Error {
	if e.hash == nil {
		e.own = shardmap.HashOf(e.PartitionKey)
		return nil
	}
	e.ExplicitHashKey = *e.hash
	k, err := shardmap.ParseHashKey(*e.hash)
	if err != nil {
		return invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", *e.hash)
	}
	e.own = k
	return nil
}

// put stores what it can of r and leaves each entry's result in it.
func (s *Service) put(body []byte, r *putRequest, reject Reject) *api.Error {
	if err := r.decode(body); err != nil {
		return serialization(err.Error())
	}
	if err := shardmap.CheckMD5(); err != nil {
		return &api.Error{Status: 500, Code: "InternalFailure", Message: err.Error()}
	}
	if e := r.check(&s.opts.Limits); e != nil {
		return e
	}
	// The entries are routed, and shown to reject, without the lock; if the
	// stream is resharded meanwhile, once more.
	var routes *routing
	for {
		done := false
		e := s.with(r.ref, func(st *stream, now time.Time) *api.Error {
			if e := st.readable(s.opts.Identity.AccountID); e != nil {
				return e
			}
			if st.routes != routes {
				routes = st.routes
				return s.admit(st, r, now)
			}
			done = true
			s.store(st, r, now)
			return nil
		})
		if e != nil || done {
			return e
		}
		if r.dryRun {
			return dryRun()
		}
		r.rejected(reject, routes)
	}
}

// rejected routes the entries and asks reject about each.
func (r *putRequest) rejected(reject Reject, routes *routing) {
	for i := range r.entries {
		e := &r.entries[i]
		e.shard = routes.find(e.hashKey)
		if reject != nil && e.result.err == nil {
			e.result.err = reject(i, e.shard.id, e.PartitionKey)
		}
	}
}

// admit judges r by the settings of its stream. st is locked.
func (s *Service) admit(st *stream, r *putRequest, now time.Time) *api.Error {
	account := s.opts.Identity.AccountID
	spread := st.distribution == auto
	for i := range r.entries {
		e := &r.entries[i]
		if e.NoKey && !spread {
			var v violations
			v.add(nil, r.member(i, "partitionKey"), notNull)
			return v.err()
		}
		if n, most := len(e.Data)+len(e.PartitionKey), st.maxRecordSize<<10; n > most && s.opts.Limits.RecordSizes {
			return invalid("Record size of %d bytes, partition key included, exceeds the maximum record size of %d KiB of stream %s under account %s.",
				n, st.maxRecordSize, st.name, account)
		}
		e.hashKey = st.place(i, e.own)
	}
	if spread {
		st.spread += uint64(len(r.entries))
	}
	if r.ordering == nil {
		return nil
	}
	if spread {
		return invalid("SequenceNumberForOrdering is not supported by stream %s under account %s, which distributes records itself.", st.name, account)
	}
	if q, ok := parseSequence(*r.ordering); !ok || q.stored > max(now.Unix(), st.epoch)+1 {
		return invalid("ExclusiveMinimumSequenceNumber %.200s used in PutRecord on stream %s under account %s is invalid.", *r.ordering, st.name, account)
	}
	return nil
}

// place returns the hash key by which the i-th entry of a request goes to its
// shard. A stream of the strategy AUTO gives every shard as many records,
// whatever their keys say.
func (st *stream) place(i int, own shardmap.HashKey) shardmap.HashKey {
	if st.distribution != auto {
		return own
	}
	open := st.routes.shards
	return open[(st.spread+uint64(i))%uint64(len(open))].hashes.Start
}

// store appends the entries that nothing speaks against. st is locked.
func (s *Service) store(st *stream, r *putRequest, now time.Time) {
	l := &s.opts.Limits
	r.encrypted = st.key != ""
	runs := map[*shard]*Append{}
	var order []*shard
	for i := range r.entries {
		e := &r.entries[i]
		if e.result.err != nil {
			continue
		}
		sh, size := e.shard, len(e.Data)+len(e.PartitionKey)
		if !sh.writeRecords.has(now.UnixNano(), 1, l.WriteRecordsPerShard) || !sh.writeBytes.has(now.UnixNano(), size, l.WriteBytesPerShard) {
			e.result.err = rateExceeded(sh, st.name, s.opts.Identity.AccountID)
			continue
		}
		sh.writeRecords.take(now.UnixNano(), 1, l.WriteRecordsPerShard)
		sh.writeBytes.take(now.UnixNano(), st.charge(size, l.WriteBytesPerShard), l.WriteBytesPerShard)
		sh.meter.add(size)
		e.Encrypted = r.encrypted
		sh.latest = max(sh.latest, now.UnixMilli()) // the wall clock may step back
		e.result.sequence = sh.sequence(sh.log.add(&e.Record, sh.latest), sh.latest)
		run := runs[sh]
		if run == nil {
			run = &Append{Client: r.client, Stream: st.name, ShardID: sh.id, At: now}
			if s.opts.Appended != nil {
				run.First = e.result.sequence.String()
			}
			runs[sh] = run
			order = append(order, sh)
		}
		run.Count++
	}
	for _, sh := range order {
		sh.notify()
		// Retention is also settled here, for shards that nobody reads.
		st.expire(sh, now, s.opts.KeepTrimmed)
		if s.opts.Appended != nil {
			s.opts.Appended(*runs[sh])
		}
	}
	s.grow(st, order, now)
}

// charge returns what a record takes of its shard's bytes a second. One that is
// larger than those leaves a debt, which an on-demand stream bears for its shards.
func (st *stream) charge(size, rate int) int {
	if st.mode == onDemand && rate > 0 {
		return min(size, rate)
	}
	return size
}

// Route tells yield where the records of a PutRecord or PutRecords would go,
// if it is one that the service takes.
func (s *Service) Route(body []byte, single bool, yield func(i int, shardID, partitionKey string)) {
	r := &putRequest{single: single}
	if r.decode(body) != nil || r.check(&s.opts.Limits) != nil {
		return
	}
	var routes *routing
	e := s.with(r.ref, func(st *stream, _ time.Time) *api.Error {
		if e := st.readable(s.opts.Identity.AccountID); e != nil {
			return e
		}
		routes = st.routes
		for i := range r.entries {
			r.entries[i].hashKey = st.place(i, r.entries[i].own)
		}
		return nil
	})
	if e != nil {
		return
	}
	for i := range r.entries {
		yield(i, routes.find(r.entries[i].hashKey).id, r.entries[i].PartitionKey)
	}
}

// request returns an empty request whose memory may have served before.
func (s *Service) request(client string, single bool) *putRequest {
	r := s.requests.Get().(*putRequest)
	clear(r.entries)
	*r = putRequest{client: client, single: single, entries: r.entries[:0], scratch: r.scratch[:0]}
	return r
}

// recycle gives a request back, unless it is one of the rare large ones.
func (s *Service) recycle(r *putRequest) {
	if cap(r.scratch) <= 2<<20 {
		s.requests.Put(r)
	}
}

func (s *Service) putRecord(client string, body []byte, reject Reject) ([]byte, *api.Error) {
	r := s.request(client, true)
	defer s.recycle(r)
	if e := s.put(body, r, reject); e != nil {
		return nil, e
	}
	e := &r.entries[0]
	if e.result.err != nil {
		return nil, e.result.err
	}
	out := make([]byte, 0, 160)
	out = append(out, `{"SequenceNumber":"`...)
	out = e.result.sequence.append(out)
	out = append(out, `","ShardId":"`...)
	out = append(out, e.shard.id...)
	out = append(out, '"')
	out = r.appendEncryption(out)
	return append(out, '}'), nil
}

func (s *Service) putRecords(client string, body []byte, reject Reject) ([]byte, *api.Error) {
	r := s.request(client, false)
	defer s.recycle(r)
	if e := s.put(body, r, reject); e != nil {
		return nil, e
	}
	failed := 0
	for i := range r.entries {
		if r.entries[i].result.err != nil {
			failed++
		}
	}
	out := make([]byte, 0, 40+128*len(r.entries))
	out = append(out, `{"FailedRecordCount":`...)
	out = strconv.AppendInt(out, int64(failed), 10)
	out = r.appendEncryption(out)
	out = append(out, `,"Records":[`...)
	for i := range r.entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = r.entries[i].appendJSON(out)
	}
	return append(out, "]}"...), nil
}

// appendEncryption appends the member that says so, if the stream is encrypted.
func (r *putRequest) appendEncryption(dst []byte) []byte {
	if r.encrypted {
		dst = append(dst, `,"EncryptionType":"KMS"`...)
	}
	return dst
}

func (e *putEntry) appendJSON(dst []byte) []byte {
	if err := e.result.err; err != nil {
		dst = append(dst, `{"ErrorCode":`...)
		dst = appendString(dst, []byte(err.Code))
		dst = append(dst, `,"ErrorMessage":`...)
		dst = appendString(dst, []byte(err.Message))
		return append(dst, '}')
	}
	dst = append(dst, `{"SequenceNumber":"`...)
	dst = e.result.sequence.append(dst)
	dst = append(dst, `","ShardId":"`...)
	dst = append(dst, e.shard.id...)
	return append(dst, `"}`...)
}
