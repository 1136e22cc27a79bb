package cbor

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// FromJSON returns the CBOR of a JSON answer of Kinesis. The member Data is a
// blob, and a number in a member whose name ends in Timestamp or in At is a time.
func FromJSON(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	e := encoder{in: dec, out: make([]byte, 0, len(text))}
	if err := e.value(""); err != nil {
		return nil, fmt.Errorf("cbor: %w", err)
	}
	return e.out, nil
}

// maxSeconds keeps a time's milliseconds within 64 bits.
const maxSeconds = 1e15

type encoder struct {
	in  *json.Decoder
	out []byte
}

// value writes the next value, which is that of the member name.
func (e *encoder) value(name string) error {
	token, err := e.in.Token()
	if err != nil {
		return err
	}
	switch t := token.(type) {
	case json.Delim:
		return e.list(t, name)
	case string:
		return e.text(name, t)
	case json.Number:
		return e.number(name, t)
	case bool:
		b := byte(20)
		if t {
			b = 21
		}
		e.out = append(e.out, typeSimple<<5|b)
	default:
		e.out = append(e.out, typeSimple<<5|22)
	}
	return nil
}

// list writes an array or a map; neither says beforehand how long it is.
func (e *encoder) list(open json.Delim, name string) error {
	major := byte(typeArray)
	if open == '{' {
		major = typeMap
	}
	e.out = append(e.out, major<<5|indefinite)
	for e.in.More() {
		if open == '{' {
			token, err := e.in.Token()
			if err != nil {
				return err
			}
			name, _ = token.(string)
			e.out = appendHead(e.out, typeText, uint64(len(name)))
			e.out = append(e.out, name...)
		}
		if err := e.value(name); err != nil {
			return err
		}
	}
	e.out = append(e.out, breakByte)
	_, err := e.in.Token()
	return err
}

func (e *encoder) text(name, s string) error {
	if name != "Data" {
		e.out = appendHead(e.out, typeText, uint64(len(s)))
		e.out = append(e.out, s...)
		return nil
	}
	n := base64.StdEncoding.DecodedLen(len(s))
	n -= len(s) - len(strings.TrimRight(s, "="))
	e.out = appendHead(e.out, typeBytes, uint64(n))
	var err error
	e.out, err = base64.StdEncoding.AppendDecode(e.out, []byte(s))
	return err
}

func (e *encoder) number(name string, n json.Number) error {
	if strings.HasSuffix(name, "Timestamp") || strings.HasSuffix(name, "At") {
		seconds, err := strconv.ParseFloat(n.String(), 64)
		if err != nil || seconds < 0 || seconds > maxSeconds {
			return fmt.Errorf("%s: %s is no time", name, n)
		}
		e.out = appendHead(e.out, typeTag, tagTime)
		e.out = appendHead(e.out, typeUint, uint64(math.Round(seconds*1000)))
		return nil
	}
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		if i < 0 {
			e.out = appendHead(e.out, typeNegative, uint64(-1-i))
		} else {
			e.out = appendHead(e.out, typeUint, uint64(i))
		}
		return nil
	}
	f, err := n.Float64()
	if err != nil {
		return err
	}
	e.out = append(e.out, typeSimple<<5|27)
	e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(f))
	return nil
}
