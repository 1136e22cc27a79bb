package expr

import (
	"strings"
	"unicode/utf8"
)

// A kind is the kind of a token.
type kind int

const (
	end      kind = iota // the end of the text
	word                 // a name or keyword
	nameRef              // #name
	valueRef             // :value
	number               // an unsigned integer
	sign                 // punctuation or a comparison
	bad                  // a character that is in no token
)

// A token is one piece of an expression and where it stood.
type token struct {
	kind       kind
	text       string
	start, end int // byte offsets in the expression
}

// is reports whether t is the keyword kw, in any mix of case.
func (t token) is(kw string) bool { return t.kind == word && strings.EqualFold(t.text, kw) }

// scan splits text into tokens, the last of which is an end token.
func scan(text string) []token {
	tokens := make([]token, 0, len(text)/4+1)
	for i := 0; i < len(text); {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
			continue
		}
		k, n := classify(text[i:])
		tokens = append(tokens, token{k, text[i : i+n], i, i + n})
		i += n
	}
	return append(tokens, token{end, "<EOF>", len(text), len(text)})
}

// classify returns the kind and length of the token that text begins with.
func classify(text string) (kind, int) {
	c := text[0]
	switch {
	case isLetter(c):
		return word, 1 + wordLen(text[1:])
	case isDigit(c):
		n := 1
		for n < len(text) && isDigit(text[n]) {
			n++
		}
		return number, n
	case c == '#' || c == ':':
		n := wordLen(text[1:])
		if n == 0 {
			return bad, 1
		}
		if c == '#' {
			return nameRef, 1 + n
		}
		return valueRef, 1 + n
	case strings.HasPrefix(text, "<>") || strings.HasPrefix(text, "<=") || strings.HasPrefix(text, ">="):
		return sign, 2
	case strings.IndexByte("()[].,=<>+-", c) >= 0:
		return sign, 1
	}
	_, n := utf8.DecodeRuneInString(text)
	return bad, n
}

// wordLen returns how many leading bytes of text may continue a word.
func wordLen(text string) int {
	n := 0
	for n < len(text) && (isLetter(text[n]) || isDigit(text[n]) || text[n] == '_') {
		n++
	}
	return n
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
