package dynamo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

// Names are the tables and rows that a request is about.
type Names struct {
	Tables []string // in order of their names

	// Keys are the texts of the key attributes of the rows that the request
	// names, in order. The key of a query is its hash attribute's.
	Keys []string
}

// Names reads what a request is about. A request that the service will refuse
// may name less.
func (s *Service) Names(op string, body []byte) Names {
	var j map[string]any
	if json.Unmarshal(body, &j) != nil {
		return Names{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := naming{s, map[string]bool{}, map[string]bool{}}
	n.one(j)
	if op == "Query" {
		n.query(j)
	}
	if list, ok := j["TransactItems"].([]any); ok {
		for _, e := range list {
			action, _ := e.(map[string]any)
			for _, one := range action {
				n.one(one)
			}
		}
	}
	if tables, ok := j["RequestItems"].(map[string]any); ok {
		for name, requests := range tables {
			n.batch(name, requests)
		}
	}
	return Names{slices.Sorted(maps.Keys(n.tables)), slices.Sorted(maps.Keys(n.keys))}
}

// naming collects Names.
type naming struct {
	s            *Service
	tables, keys map[string]bool
}

// one reads a structure with a TableName and a Key or an Item.
func (n *naming) one(j any) {
	fields, _ := j.(map[string]any)
	if name, ok := fields["TableName"].(string); ok {
		t := n.table(name)
		n.row(t, fields["Key"])
		n.row(t, fields["Item"])
	}
}

// batch reads what a batch asks of one table.
func (n *naming) batch(name string, requests any) {
	t := n.table(name)
	switch requests := requests.(type) {
	case []any: // of BatchWriteItem
		for _, e := range requests {
			w, _ := e.(map[string]any)
			for _, one := range w {
				fields, _ := one.(map[string]any)
				n.row(t, fields["Key"])
				n.row(t, fields["Item"])
			}
		}
	case map[string]any: // of BatchGetItem
		keys, _ := requests["Keys"].([]any)
		for _, key := range keys {
			n.row(t, key)
		}
	}
}

// table notes a table and returns it, nil if there is none.
func (n *naming) table(name string) *table {
	name = strings.TrimPrefix(name, n.s.opts.Identity.ARN("dynamodb", "table/"))
	n.tables[name] = true
	return n.s.tables[name]
}

// row notes the key attributes of a row.
func (n *naming) row(t *table, j any) {
	if t == nil || j == nil {
		return
	}
	it, err := attr.DecodeItem(j)
	if err != nil {
		return
	}
	for _, name := range t.key.names() {
		n.value(it[name])
	}
}

func (n *naming) value(v Value) {
	if v.Kind().Ordered() {
		n.keys[v.Text()] = true
	}
}

// query notes the hash attribute of a query.
func (n *naming) query(j map[string]any) {
	name, _ := j["TableName"].(string)
	t := n.table(name)
	text, ok := j["KeyConditionExpression"].(string)
	if t == nil || !ok {
		return
	}
	key := t.key
	if name, ok := j["IndexName"].(string); ok {
		ix, ok := t.index(name)
		if !ok {
			return
		}
		key = ix.key
	}
	r := &request{fields: maps.Clone(j)}
	p := &expr.Params{MaxBytes: n.s.opts.Limits.ExpressionBytes, Names: r.names(), Values: r.values()}
	if c, err := expr.ParseKeyCondition(text, p, key.hash, key.rng); err == nil && r.err == nil {
		n.value(c.Hash)
	}
}
