package expr

import (
	"slices"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// A Projection is the part of an item that a request asks for. A nil
// Projection is the whole item.
type Projection []Path

// ParseProjection reads a projection expression: paths between commas.
func ParseProjection(text string, params *Params) (Projection, error) {
	var paths Projection
	_, err := parse("ProjectionExpression", text, params, func(p *parser) {
		for {
			paths = append(paths, p.path())
			if !p.take(",") {
				break
			}
		}
		if clash := distinct(paths); clash != "" {
			p.fault(typePhase, "%s", clash)
		}
	})
	if err != nil {
		return nil, err
	}
	return paths, nil
}

// Of returns the values that the paths lead to, in the structure that holds
// them. The chosen elements of a list come one after the other.
func (pr Projection) Of(it attr.Item) attr.Item {
	if pr == nil || it == nil {
		return it
	}
	next := make(attr.Item, len(pr))
	for name, tails := range branches(pr) {
		if v, ok := it[name.name]; ok {
			if v, ok = pick(v, tails); ok {
				next[name.name] = v
			}
		}
	}
	return next
}

// pick returns the parts of v that paths lead to.
func pick(v attr.Value, paths []Path) (attr.Value, bool) {
	if len(paths[0]) == 0 {
		return v, true
	}
	if paths[0][0].list {
		return pickElements(v, branches(paths))
	}
	if v.Kind() != attr.Map {
		return attr.Value{}, false
	}
	next := attr.Item{}
	for s, tails := range branches(paths) {
		if e, ok := s.into(v); ok {
			if e, ok = pick(e, tails); ok {
				next[s.name] = e
			}
		}
	}
	return attr.M(next), len(next) > 0
}

func pickElements(v attr.Value, wanted map[step][]Path) (attr.Value, bool) {
	indexes := make([]int, 0, len(wanted))
	for s := range wanted {
		indexes = append(indexes, s.index)
	}
	slices.Sort(indexes)
	var list []attr.Value
	for _, i := range indexes {
		s := step{index: i, list: true}
		if e, ok := s.into(v); ok {
			if e, ok = pick(e, wanted[s]); ok {
				list = append(list, e)
			}
		}
	}
	return attr.L(list), len(list) > 0
}

// branches groups paths by their first step.
func branches(paths []Path) map[step][]Path {
	groups := make(map[step][]Path, len(paths))
	for _, p := range paths {
		groups[p[0]] = append(groups[p[0]], p[1:])
	}
	return groups
}
