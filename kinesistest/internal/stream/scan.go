package stream

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A scanner reads JSON in one pass, for the bodies that carry records. It
// accepts what encoding/json accepts, member names in exact case, and leaves
// everything unusual (escapes, odd UTF-8, unknown members) to encoding/json.
type scanner struct {
	b []byte
	i int
}

var errJSON = errors.New("the request is not valid JSON")

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next returns the next byte that is not white space, without taking it; 0 at
// the end.
func (s *scanner) next() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// take takes c or fails.
func (s *scanner) take(c byte) error {
	if s.next() != c {
		return errJSON
	}
	s.i++
	return nil
}

// null takes a null if one is there.
func (s *scanner) null() bool {
	s.space()
	if bytes.HasPrefix(s.b[s.i:], []byte("null")) {
		s.i += len("null")
		return true
	}
	return false
}

// document reads one object and nothing behind it. An empty document is an
// object without members, as AWS takes it.
func (s *scanner) document(member func(name []byte) error) error {
	if s.next() == 0 && s.i == len(s.b) {
		return nil
	}
	if err := s.object(member); err != nil {
		return err
	}
	if s.space(); s.i != len(s.b) {
		return errJSON
	}
	return nil
}

// object reads an object; member must read the value of each member.
func (s *scanner) object(member func(name []byte) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	if s.next() == '}' {
		s.i++
		return nil
	}
	for {
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// array reads an array; element must read each element.
func (s *scanner) array(element func() error) error {
	if err := s.take('['); err != nil {
		return err
	}
	if s.next() == ']' {
		s.i++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// literal takes a string as it stands, without its quotes.
func (s *scanner) literal() (lit []byte, escaped bool, err error) {
	if err := s.take('"'); err != nil {
		return nil, false, err
	}
	start := s.i
	for {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			return nil, false, errJSON
		}
		s.i += n + 1
		lit = s.b[start : s.i-1]
		// A quote behind an odd number of backslashes is part of the string.
		slashes := len(lit) - len(bytes.TrimRight(lit, `\`))
		if slashes%2 == 0 {
			return lit, escaped || bytes.IndexByte(lit, '\\') >= 0, nil
		}
		escaped = true
	}
}

// text reads a string. The result may alias the document.
func (s *scanner) text() ([]byte, error) {
	lit, escaped, err := s.literal()
	if err != nil {
		return nil, err
	}
	if !escaped && plain(lit) {
		return lit, nil
	}
	var out string
	if err := json.Unmarshal(s.b[s.i-len(lit)-2:s.i], &out); err != nil {
		return nil, errJSON
	}
	return []byte(out), nil
}

// plain reports whether a literal without escapes stands for itself.
func plain(lit []byte) bool {
	ascii := true
	for _, c := range lit {
		if c < ' ' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(lit)
}

// stringMember reads the string of a member, nil for null.
func (s *scanner) stringMember(name string) (*string, error) {
	if s.null() {
		return nil, nil
	}
	if s.next() != '"' {
		return nil, fmt.Errorf("%s is not a string", name)
	}
	b, err := s.text()
	if err != nil {
		return nil, err
	}
	text := string(b)
	return &text, nil
}

// boolMember reads the boolean of a member, false for null.
func (s *scanner) boolMember(name string) (bool, error) {
	start := s.i
	if err := s.skip(); err != nil {
		return false, err
	}
	var out bool
	if err := json.Unmarshal(s.b[start:s.i], &out); err != nil {
		return false, fmt.Errorf("%s is not a boolean", name)
	}
	return out, nil
}

// blobMember reads the base64 string of a member and appends what it encodes
// to dst. It reports false for null.
func (s *scanner) blobMember(name string, dst []byte) ([]byte, bool, error) {
	if s.null() {
		return dst, false, nil
	}
	if s.next() != '"' {
		return dst, false, fmt.Errorf("%s is not a string", name)
	}
	start := s.i
	lit, escaped, err := s.literal()
	if err != nil {
		return dst, false, err
	}
	// A line break must be escaped to stand in a string, but is nothing to the
	// base64 decoder.
	if escaped || bytes.IndexByte(lit, '\n') >= 0 || bytes.IndexByte(lit, '\r') >= 0 {
		s.i = start
		if lit, err = s.text(); err != nil {
			return dst, false, err
		}
	}
	out, err := base64.StdEncoding.AppendDecode(dst, lit)
	if err != nil {
		return dst, false, fmt.Errorf("%s is not base64", name)
	}
	return out, true, nil
}

// skip passes over one value of any kind.
func (s *scanner) skip() error {
	start := s.i
	if err := s.pass(); err != nil {
		return err
	}
	if !json.Valid(s.b[start:s.i]) {
		return errJSON
	}
	return nil
}

// pass is skip without a look at what is inside the value.
func (s *scanner) pass() error {
	s.space()
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, _, err := s.literal(); err != nil {
				return err
			}
			if depth == 0 {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return nil
			}
			if depth == 0 {
				s.i++
				return nil
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return nil
			}
		}
		s.i++
	}
	return errJSON
}

// Names is what a request names, as far as it does.
type Names struct{ Stream, Shard, PartitionKey string }

// Names looks into the body of a request without judging it.
func (s *Service) Names(body []byte) Names {
	var n Names
	in := map[string]*string{
		"StreamName": nil, "StreamARN": nil, "ShardIterator": nil, "PartitionKey": nil,
		"ShardId": nil, "ShardToSplit": nil, "ShardToMerge": nil, "ConsumerARN": nil,
		"ResourceARN": nil, "NextToken": nil,
	}
	scan := &scanner{b: body}
	_ = scan.document(func(name []byte) (err error) { // the operation itself tells what is wrong
		if _, ok := in[string(name)]; !ok {
			return scan.pass()
		}
		in[string(name)], err = scan.stringMember(string(name))
		return err
	})
	value := func(name string) string {
		if p := in[name]; p != nil {
			return *p
		}
		return ""
	}
	n.Stream = value("StreamName")
	if arn := value("StreamARN"); n.Stream == "" {
		arn, _, _ = strings.Cut(cmp.Or(arn, value("ConsumerARN"), value("ResourceARN")), "/consumer/")
		n.Stream = arn[strings.LastIndexByte(arn, '/')+1:]
	}
	n.Shard = cmp.Or(value("ShardId"), value("ShardToSplit"), value("ShardToMerge"))
	n.PartitionKey = value("PartitionKey")
	if it := value("ShardIterator"); it != "" {
		n.Stream, n.Shard = s.Locate(it)
	}
	if t, ok := s.read(value("NextToken"), tokenShards); ok && n.Stream == "" {
		n.Stream = s.nameOf(t.stream)
	}
	return n
}
