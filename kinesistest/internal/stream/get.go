package stream

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const recordsPage = 10_000

type getRecordsInput struct {
	ShardIterator *string
	StreamARN     *string
	StreamId      *string
	Limit         *int
	DryRun        bool
}

// A page is the answer to a GetRecords, gathered under the lock and written
// without it.
type page struct {
	shard    *shard
	views    []view
	records  int
	bytes    int
	full     bool   // cut because of its bytes
	next     string // the next iterator, "" at the end of the shard
	behind   int64  // milliseconds
	children []childShard
}

type childShard struct {
	id      string
	parents []string
	hashes  hashKeyRange
}

func (s *Service) getRecords(body []byte) ([]byte, *api.Error) {
	var in getRecordsInput
	if e := decode(body, &in); e != nil {
		return nil, e
	}
	it, e := s.openIterator(&in)
	if e != nil {
		return nil, e
	}
	var p page
	e = s.withNumber(it.stream, func(st *stream, now time.Time) *api.Error {
		account := s.opts.Identity.AccountID
		if e := st.readable(account); e != nil {
			return e
		}
		if in.StreamARN != nil && *in.StreamARN != st.arn {
			return invalid("StreamARN %s is not the stream of the ShardIterator.", *in.StreamARN)
		}
		if int(it.shard) >= len(st.shards) || st.expired(st.shards[it.shard], now) {
			return noShard(shardID(it.shard), st.name, account)
		}
		sh := st.shards[it.shard]
		if !sh.mayRead(now, &s.opts.Limits) {
			return rateExceeded(sh, st.name, account)
		}
		if in.DryRun {
			return dryRun()
		}
		st.expire(sh, now, s.opts.KeepTrimmed)
		limit := recordsPage
		if in.Limit != nil {
			limit = *in.Limit
		}
		p = s.page(st, sh, it.counter, limit, now)
		sh.didRead(now, p, &s.opts.Limits)
		return nil
	})
	if e != nil {
		return nil, e
	}
	return p.appendJSON(nil), nil
}

// openIterator checks the request and takes its iterator apart.
func (s *Service) openIterator(in *getRecordsInput) (token, *api.Error) {
	var v violations
	v.notNil("shardIterator", in.ShardIterator != nil)
	v.length("shardIterator", in.ShardIterator, 1, tokenLongest)
	v.streamID(in.StreamId)
	if in.Limit != nil && *in.Limit < 1 {
		v.add(*in.Limit, "limit", "Member must have value greater than or equal to 1")
	}
	v.streamARN(in.StreamARN)
	if e := v.err(); e != nil {
		return token{}, e
	}
	if in.Limit != nil && *in.Limit > recordsPage {
		return token{}, invalid("Limit %d is greater than %d.", *in.Limit, recordsPage)
	}
	it, ok := s.read(*in.ShardIterator, tokenIterator)
	if !ok {
		return token{}, invalid("Invalid ShardIterator.")
	}
	now := s.now()
	if life := s.opts.Limits.IteratorLife; life > 0 && now.UnixMilli()-it.at > life.Milliseconds() {
		return token{}, api.Errorf("ExpiredIteratorException",
			"Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			time.UnixMilli(it.at).UTC().Format(time.UnixDate), now.UTC().Format(time.UnixDate), life.Milliseconds())
	}
	return it, nil
}

// mayRead reports whether a GetRecords is within the shard's budgets. Calls
// that are refused cost nothing.
func (sh *shard) mayRead(now time.Time, l *Limits) bool {
	nanos := now.UnixNano()
	return nanos >= sh.readPause && sh.readCalls.has(nanos, 1, l.ReadCallsPerShard) && sh.readBytes.has(nanos, 1, l.ReadBytesPerShard)
}

// didRead charges a GetRecords. The bytes of a page are known only afterwards,
// so they may leave a debt; a page that is full stops reading for a while.
func (sh *shard) didRead(now time.Time, p page, l *Limits) {
	nanos := now.UnixNano()
	sh.readCalls.take(nanos, 1, l.ReadCallsPerShard)
	sh.readBytes.take(nanos, p.bytes, l.ReadBytesPerShard)
	if p.full {
		sh.readPause = nanos + int64(l.FullPagePause)
	}
}

// page gathers what a GetRecords from a counter on returns. st is locked.
func (s *Service) page(st *stream, sh *shard, counter uint64, limit int, now time.Time) page {
	counter = max(counter, sh.log.first)
	most := s.opts.Limits.BytesPerPage
	if most <= 0 {
		most = 1 << 62
	}
	p := page{shard: sh}
	p.views, counter = sh.log.views(counter, limit, most)
	p.count()
	p.full = p.bytes >= most || p.records < limit && counter < sh.log.next
	p.behind = sh.behind(counter, now)
	if sh.closed == 0 || counter < sh.log.next {
		p.next = s.iterator(st, sh, counter, now)
		return p
	}
	p.children = st.childShards(sh)
	return p
}

// count fills in how much the views hold.
func (p *page) count() {
	for _, v := range p.views {
		p.records += len(v.segment.index) - v.from
		for i := v.from; i < len(v.segment.index); i++ {
			r := v.segment.at(i)
			p.bytes += len(r.PartitionKey) + len(r.Data)
		}
	}
}

// behind returns how old the record with a counter is, 0 if there is none, in
// milliseconds.
func (sh *shard) behind(counter uint64, now time.Time) int64 {
	if counter >= sh.log.next {
		return 0
	}
	// Also what arrived within this millisecond is still to be read.
	return max(1, now.UnixMilli()-sh.log.get(counter).Arrival)
}

// childShards describes the children of sh.
func (st *stream) childShards(sh *shard) []childShard {
	var out []childShard
	for _, c := range st.children(sh) {
		parents := []string{c.parent.id}
		if c.adjacent != nil {
			parents = append(parents, c.adjacent.id)
		}
		out = append(out, childShard{c.id, parents, c.hashKeyRange()})
	}
	return out
}

func (p *page) appendJSON(dst []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, 512+p.bytes/3*4+p.records*160)
	}
	dst = append(dst, '{')
	if len(p.children) > 0 {
		dst = append(p.appendChildren(dst), ',')
	}
	dst = append(dst, `"MillisBehindLatest":`...)
	dst = strconv.AppendInt(dst, p.behind, 10)
	if p.next != "" {
		dst = append(dst, `,"NextShardIterator":"`...)
		dst = append(dst, p.next...)
		dst = append(dst, '"')
	}
	dst = append(dst, ',')
	return append(p.appendRecords(dst), '}')
}

// appendRecords writes the member Records.
func (p *page) appendRecords(dst []byte) []byte {
	dst = append(dst, `"Records":[`...)
	comma := false
	for _, v := range p.views {
		for i := v.from; i < len(v.segment.index); i++ {
			if comma {
				dst = append(dst, ',')
			}
			comma = true
			dst = p.shard.appendRecord(dst, v.segment.at(i))
		}
	}
	return append(dst, ']')
}

// appendChildren writes the member ChildShards.
func (p *page) appendChildren(dst []byte) []byte {
	dst = append(dst, `"ChildShards":[`...)
	for i, c := range p.children {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"ShardId":%q,"ParentShards":[%q`, c.id, c.parents[0])
		for _, parent := range c.parents[1:] {
			dst = fmt.Appendf(dst, `,%q`, parent)
		}
		dst = fmt.Appendf(dst, `],"HashKeyRange":{"StartingHashKey":%q,"EndingHashKey":%q}}`,
			c.hashes.StartingHashKey, c.hashes.EndingHashKey)
	}
	return append(dst, ']')
}

func (sh *shard) appendRecord(dst []byte, r Stored) []byte {
	dst = append(dst, `{"ApproximateArrivalTimestamp":`...)
	dst = millis(r.Arrival).append(dst)
	dst = append(dst, `,"Data":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, r.Data)
	dst = append(dst, '"')
	if r.Encrypted {
		dst = append(dst, `,"EncryptionType":"KMS"`...)
	}
	if r.PartitionKey != nil {
		dst = append(dst, `,"PartitionKey":`...)
		dst = appendString(dst, r.PartitionKey)
	}
	dst = append(dst, `,"SequenceNumber":"`...)
	dst = sh.sequence(r.counter, r.Arrival).append(dst)
	return append(dst, `"}`...)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become the
// replacement character.
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
		} else {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
