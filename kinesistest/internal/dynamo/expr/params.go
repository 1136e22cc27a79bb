package expr

import (
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// Bounds of AWS. Options of the service may lift MaxBytes.
const (
	MaxBytes     = 4096 // of one expression's text
	maxOperators = 300  // operators and functions in one expression
	maxIn        = 100  // operands in an IN list
)

// Params are what the expressions of one request share: what #names and
// :values stand for, and which of them were used.
type Params struct {
	Names  map[string]string
	Values map[string]attr.Value

	// MaxBytes bounds the text of an expression; negative means no bound and
	// zero means AWS's 4096.
	MaxBytes int

	used map[string]bool
}

// Unused returns an error if a name or value was given that none of the
// expressions parsed so far used.
func (p *Params) Unused() error {
	if idle := unused(p.Names, p.used); idle != "" {
		return attr.Invalidf("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", idle)
	}
	if idle := unused(p.Values, p.used); idle != "" {
		return attr.Invalidf("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", idle)
	}
	return nil
}

func unused[V any](given map[string]V, used map[string]bool) string {
	var idle []string
	for key := range given {
		if !used[key] {
			idle = append(idle, key)
		}
	}
	slices.Sort(idle)
	return strings.Join(idle, ", ")
}

func (p *Params) use(ref string) {
	if p.used == nil {
		p.used = map[string]bool{}
	}
	p.used[ref] = true
}

// ValidRef reports whether key is a placeholder that an expression can
// mention, given its first character.
func ValidRef(key string, first byte) bool {
	return len(key) > 1 && key[0] == first && wordLen(key[1:]) == len(key)-1
}
