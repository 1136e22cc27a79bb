package dynamo

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

const (
	maxTransactionBytes = 4 << 20
	tokenLife           = 10 * time.Minute
)

var errSameItem = attr.Invalidf("Transaction request cannot include multiple operations on one item")

// A token remembers a transaction that was applied, by what it asked for, so
// that sending it again does nothing.
type token struct {
	request [sha256.Size]byte
	until   time.Time
}

func (s *Service) transactWriteItems(r *request) (any, error) {
	id, given := r.str("ClientRequestToken")
	if given {
		r.length(id, len(id), "ClientRequestToken", 1, 36)
	}
	out := wanted{capacity: r.capacity(), metrics: r.metrics()}
	asked, err := json.Marshal(r.fields)
	if err != nil {
		return nil, err
	}
	subs := r.actions(s)
	writes := make([]*write, 0, len(subs))
	for _, sub := range subs {
		w := s.action(sub)
		r.fail(sub.done())
		writes = append(writes, w)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transact(writes, id, sha256.Sum256(asked), out)
}

// actions takes TransactItems.
func (r *request) actions(s *Service) []*request {
	if !r.has("TransactItems") {
		r.required("TransactItems")
	}
	subs := r.objects("TransactItems")
	if r.err == nil && len(subs) == 0 {
		r.violate("[]", "TransactItems", "Member must have length greater than or equal to 1")
	}
	if most := s.opts.Limits.Transaction; over(len(subs), most) {
		r.violate(fmt.Sprintf("%d actions", len(subs)), "TransactItems", fmt.Sprintf("Member must have length less than or equal to %d", most))
		return nil
	}
	return subs
}

// needs are the expressions that an action cannot be without.
var needs = map[string]string{"ConditionCheck": "ConditionExpression", "Update": "UpdateExpression"}

// action reads one write of a transaction. Faults are left in r.
func (s *Service) action(r *request) *write {
	var w *write
	for _, kind := range []string{"ConditionCheck", "Put", "Delete", "Update"} {
		sub := r.object(kind)
		if sub == nil {
			continue
		}
		if w != nil {
			r.fail(attr.Invalidf("TransactItems can only contain one of Check, Put, Update or Delete"))
			return w
		}
		w = &write{op: "TransactWriteItems", client: r.client, table: sub.table(s.opts.Identity), put: kind == "Put", remove: kind == "Delete", check: kind == "ConditionCheck", reveal: sub.reveal()}
		member := "Key"
		if w.put {
			member = "Item"
		}
		w.key = sub.needItem(member)
		if member := needs[kind]; member != "" && !sub.has(member) {
			sub.required(member)
		}
		if kind == "Update" {
			p := sub.params(s, 2, "UpdateExpression", "ConditionExpression")
			w.update = sub.update(p)
			w.cond = sub.condition("ConditionExpression", p)
			sub.used(p)
		} else {
			p := sub.params(s, 1, "ConditionExpression")
			w.cond = sub.condition("ConditionExpression", p)
			sub.used(p)
		}
		r.fail(sub.done())
	}
	if w == nil && len(r.fields) == 0 {
		r.fail(attr.Invalidf("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"))
	}
	return w
}

// transact carries out all of writes, or none. The lock is held.
func (s *Service) transact(writes []*write, id string, asked [sha256.Size]byte, w wanted) (any, error) {
	now := s.now()
	for old, t := range s.tokens {
		if now.After(t.until) {
			delete(s.tokens, old)
		}
	}
	out, used, groups := map[string]any{}, usages{}, collections{}
	if t, ok := s.tokens[id]; ok && id != "" {
		if t.request != asked {
			return nil, api.Errorf("IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request.")
		}
		// Seeing that it is done costs the reading of the rows.
		for _, w := range writes {
			if t, err := s.open(w.table, now); err == nil {
				used.add(usage{t: t, table: readUnits(t.get(w.key).Size(), true)}, 2)
			}
		}
		used.report(out, w.capacity, (*usage).transacted)
		return out, nil
	}
	changes, err := s.prepareTransaction(writes, now)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		u := c.used()
		s.commit(c, now)
		used.add(u, 2)
		if !c.check {
			groups.add(c)
		}
	}
	if id != "" {
		s.tokens[id] = token{asked, now.Add(tokenLife)}
	}
	used.report(out, w.capacity, (*usage).transacted)
	groups.report(out, w.metrics)
	return out, nil
}

// prepareTransaction prepares all writes, or collects the reasons why not. It
// takes the units they use, also when some fail, but none for those that there
// are no units for: else a client that tries again never gets through.
func (s *Service) prepareTransaction(writes []*write, now time.Time) ([]*change, error) {
	seen := map[string]bool{}
	for _, w := range writes {
		t, err := s.open(w.table, now)
		if err != nil {
			return nil, err
		}
		if !t.key.complete(w.key) {
			continue // prepare says why
		}
		row := t.rowID(w.key)
		if seen[row] {
			return nil, errSameItem
		}
		seen[row] = true
	}
	changes := make([]*change, len(writes))
	reasons := make([]error, len(writes))
	failed := false
	bytes := 0
	for i, w := range writes {
		c, err := s.prepare(w, now)
		if c != nil {
			bytes += max(c.before.Size(), c.after.Size())
			if e := s.admit(c.t, nil, c.hash(), true, now); e != nil {
				c, err = nil, e
			}
		}
		changes[i], reasons[i] = c, err
		failed = failed || err != nil
	}
	if bytes > maxTransactionBytes {
		return nil, attr.Invalidf("Transaction size cannot exceed 4 MB")
	}
	for _, c := range changes {
		if c != nil {
			var u usage
			u.t, u.write = c.t, true
			u.add(c.used(), 2)
			s.spend(u, nil, c.hash(), now)
		}
	}
	if failed {
		return nil, cancelled(reasons)
	}
	return changes, nil
}

// cancelled returns the error of a transaction in which some writes failed.
func cancelled(reasons []error) error {
	list := make([]map[string]any, len(reasons))
	codes := make([]string, len(reasons))
	for i, err := range reasons {
		codes[i] = "None"
		list[i] = map[string]any{}
		if err != nil {
			e := asAPI(err)
			codes[i] = strings.TrimSuffix(e.Code, "Exception")
			if codes[i] == "Validation" || codes[i] == "Throttling" {
				codes[i] += "Error"
			}
			list[i]["Message"] = e.Message
			if it, ok := e.Fields["Item"]; ok {
				list[i]["Item"] = it
			}
		}
		list[i]["Code"] = codes[i]
	}
	e := api.Errorf("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	e.Fields = map[string]any{"CancellationReasons": list}
	return e
}

// A get is one read of a TransactGetItems.
type get struct {
	table string
	key   Item
	show  func(Item) Item
}

func (s *Service) transactGetItems(r *request) (any, error) {
	capacity := r.capacity()
	var gets []get
	for _, sub := range r.actions(s) {
		g := sub.object("Get")
		if g == nil {
			r.fail(attr.Invalidf("Invalid Request: TransactGetRequest should contain a Get request"))
			break
		}
		one := get{table: g.table(s.opts.Identity), key: g.needItem("Key")}
		p := g.params(s, 0, "ProjectionExpression")
		one.show = g.projection(p).Of
		g.used(p)
		r.fail(g.done())
		r.fail(sub.done())
		gets = append(gets, one)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transactGet(gets, capacity, s.now())
}

// transactGet reads the rows that gets name, all at one moment. The lock is
// held.
func (s *Service) transactGet(gets []get, capacity string, now time.Time) (any, error) {
	seen, used := map[string]bool{}, usages{}
	responses := make([]any, len(gets))
	reasons := make([]error, len(gets))
	failed := false
	bytes := 0
	for i, g := range gets {
		t, err := s.open(g.table, now)
		if err != nil {
			return nil, err
		}
		if t.key.complete(g.key) {
			row := t.rowID(g.key)
			if seen[row] {
				return nil, errSameItem
			}
			seen[row] = true
		}
		it, u, err := s.read(g.table, g.key, true, 2, now)
		if err != nil {
			reasons[i], failed = err, true
			continue
		}
		used.add(u, 1)
		bytes += it.Size()
		responses[i] = map[string]any{}
		if it != nil {
			responses[i] = map[string]any{"Item": g.show(it)}
		}
	}
	if failed {
		return nil, cancelled(reasons)
	}
	if bytes > maxTransactionBytes {
		return nil, attr.Invalidf("Transaction size cannot exceed 4 MB")
	}
	out := map[string]any{"Responses": responses}
	used.report(out, capacity, (*usage).transacted)
	return out, nil
}
