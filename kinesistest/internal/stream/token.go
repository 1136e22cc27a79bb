package stream

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// A token is what the service hands out for a caller to come back with: a
// shard iterator or a NextToken. On the wire it is one line of base64 that
// ends in a checksum.
type token struct {
	kind    byte
	stream  uint64 // its number
	at      int64  // when it was made, Unix milliseconds
	shard   uint32
	counter uint64 // iterator: that of the next record
	filter  byte   // shards: index in filterTypes
	time    int64  // shards: the filter's, Unix milliseconds
	text    string // streams: the name listed last
}

const (
	tokenIterator  = 'I'
	tokenShards    = 'L'
	tokenStreams   = 'S'
	tokenConsumers = 'C'

	tokenFixed    = 1 + 8 + 8 + 4 + 8 + 1 + 8
	tokenChecksum = 8
	tokenLongest  = 512 // of an iterator, on the wire
)

func (s *Service) token(t token) string {
	b := make([]byte, 0, 128)
	b = append(b, t.kind)
	b = binary.BigEndian.AppendUint64(b, t.stream)
	b = binary.BigEndian.AppendUint64(b, uint64(t.at))
	b = binary.BigEndian.AppendUint32(b, t.shard)
	b = binary.BigEndian.AppendUint64(b, t.counter)
	b = append(b, t.filter)
	b = binary.BigEndian.AppendUint64(b, uint64(t.time))
	b = append(b, t.text...)
	b = binary.BigEndian.AppendUint64(b, s.sign(b))
	return base64.StdEncoding.EncodeToString(b)
}

// read takes a token of this service apart.
func (s *Service) read(text string, kind byte) (token, bool) {
	if len(text) > tokenLongest {
		return token{}, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < tokenFixed+tokenChecksum || b[0] != kind {
		return token{}, false
	}
	b, sum := b[:len(b)-tokenChecksum], b[len(b)-tokenChecksum:]
	if binary.BigEndian.Uint64(sum) != s.sign(b) {
		return token{}, false
	}
	return token{
		kind:    b[0],
		stream:  binary.BigEndian.Uint64(b[1:]),
		at:      int64(binary.BigEndian.Uint64(b[9:])),
		shard:   binary.BigEndian.Uint32(b[17:]),
		counter: binary.BigEndian.Uint64(b[21:]),
		filter:  b[29],
		time:    int64(binary.BigEndian.Uint64(b[30:])),
		text:    string(b[tokenFixed:]),
	}, true
}

// parseToken reads a NextToken that is still good.
func (s *Service) parseToken(text string, kind byte) (token, *api.Error) {
	t, ok := s.read(text, kind)
	if !ok {
		return t, invalid("NextToken is invalid.")
	}
	if life := s.opts.Limits.TokenLife; life > 0 && s.now().UnixMilli()-t.at > life.Milliseconds() {
		return t, api.Errorf("ExpiredNextTokenException", "The NextToken has expired.")
	}
	return t, nil
}
