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
	id, _ := r.str("ClientRequestToken")
	if len(id) > 36 {
		r.fail(constraint(id, "clientRequestToken", "Member must have length less than or equal to 36"))
	}
	capacity := r.capacity()
	r.ignore("ReturnItemCollectionMetrics")
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
	return s.transact(writes, id, sha256.Sum256(asked), capacity)
}

// actions takes TransactItems.
func (r *request) actions(s *Service) []*request {
	subs := r.objects("TransactItems")
	if r.err == nil && len(subs) == 0 {
		r.fail(constraint("[]", "transactItems", "Member must have length greater than or equal to 1"))
	}
	if most := s.opts.Limits.Transaction; over(len(subs), most) {
		r.fail(constraint(fmt.Sprintf("%d actions", len(subs)), "transactItems", fmt.Sprintf("Member must have length less than or equal to %d", most)))
		return nil
	}
	return subs
}

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
		w = &write{op: "TransactWriteItems", table: sub.table(s.opts.Identity), put: kind == "Put", remove: kind == "Delete", check: kind == "ConditionCheck", reveal: sub.reveal()}
		member := "Key"
		if w.put {
			member = "Item"
		}
		w.key = sub.needItem(member)
		if kind == "Update" {
			p := sub.params(s, 2, "UpdateExpression", "ConditionExpression")
			w.update = sub.update(p)
			w.cond = sub.condition("ConditionExpression", p)
			sub.used(p)
			if w.update == nil {
				sub.fail(constraint(nil, "transactItems.1.member.update.updateExpression", "Member must not be null"))
			}
		} else {
			s.conditional(sub, w)
		}
		if w.check && w.cond == nil {
			sub.fail(constraint(nil, "transactItems.1.member.conditionCheck.conditionExpression", "Member must not be null"))
		}
		r.fail(sub.done())
	}
	if w == nil && len(r.fields) == 0 {
		r.fail(attr.Invalidf("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"))
	}
	return w
}

// transact carries out all of writes, or none. The lock is held.
func (s *Service) transact(writes []*write, id string, asked [sha256.Size]byte, capacity string) (any, error) {
	now := time.Now()
	for old, t := range s.tokens {
		if now.After(t.until) {
			delete(s.tokens, old)
		}
	}
	if t, ok := s.tokens[id]; ok && id != "" {
		if t.request != asked {
			return nil, api.Errorf("IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request.")
		}
		return map[string]any{}, nil
	}
	changes, err := s.prepareTransaction(writes, now)
	if err != nil {
		return nil, err
	}
	units := map[string]float64{}
	for _, c := range changes {
		s.commit(c)
		units[c.table] += 2 * c.units()
	}
	if id != "" {
		s.tokens[id] = token{asked, now.Add(tokenLife)}
	}
	out := map[string]any{}
	addConsumed(out, capacity, units)
	return out, nil
}

// prepareTransaction prepares all writes, or collects the reasons why not.
func (s *Service) prepareTransaction(writes []*write, now time.Time) ([]*change, error) {
	seen := map[string]bool{}
	bytes := 0
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
	for i, w := range writes {
		changes[i], reasons[i] = s.prepare(w, now)
		if reasons[i] != nil {
			failed = true
			continue
		}
		bytes += max(changes[i].before.Size(), changes[i].after.Size())
	}
	if failed {
		return nil, cancelled(reasons)
	}
	if bytes > maxTransactionBytes {
		return nil, attr.Invalidf("Transaction size cannot exceed 4 MB")
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
			if codes[i] == "Validation" {
				codes[i] = "ValidationError"
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

func (s *Service) transactGetItems(r *request) (any, error) {
	capacity := r.capacity()
	type get struct {
		table string
		key   Item
		show  func(Item) Item
	}
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
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, units := map[string]bool{}, map[string]float64{}
	responses := make([]any, len(gets))
	for i, g := range gets {
		t, err := s.open(g.table, now)
		if err != nil {
			return nil, err
		}
		if err := t.key.checkKey(g.key, s.opts.Limits); err != nil {
			return nil, err
		}
		row := t.rowID(g.key)
		if seen[row] {
			return nil, errSameItem
		}
		seen[row] = true
		it := t.get(g.key)
		units[g.table] += 2 * readUnits(it.Size(), true)
		responses[i] = map[string]any{}
		if it != nil {
			responses[i] = map[string]any{"Item": g.show(it)}
		}
	}
	out := map[string]any{"Responses": responses}
	addConsumed(out, capacity, units)
	return out, nil
}
