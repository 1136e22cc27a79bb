package dynamo

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

func (s *Service) putItem(r *request) (any, error) {
	w := &write{op: r.op, table: r.table(s.opts.Identity), key: r.needItem("Item"), put: true, reveal: r.reveal()}
	values, capacity := r.returnValues(), r.capacity()
	r.ignore("ReturnItemCollectionMetrics")
	s.conditional(r, w)
	return s.finish(r, w, values, capacity)
}

func (s *Service) deleteItem(r *request) (any, error) {
	w := &write{op: r.op, table: r.table(s.opts.Identity), key: r.needItem("Key"), remove: true, reveal: r.reveal()}
	values, capacity := r.returnValues(), r.capacity()
	r.ignore("ReturnItemCollectionMetrics")
	s.conditional(r, w)
	return s.finish(r, w, values, capacity)
}

func (s *Service) updateItem(r *request) (any, error) {
	w := &write{op: r.op, table: r.table(s.opts.Identity), key: r.needItem("Key"), reveal: r.reveal()}
	values := r.enum("ReturnValues", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
	capacity := r.capacity()
	r.ignore("ReturnItemCollectionMetrics")
	legacy := []string{"AttributeUpdates", "Expected", "ConditionalOperator"}
	r.mixed(legacy, []string{"UpdateExpression", "ConditionExpression"})
	old := slices.ContainsFunc(legacy, r.has)
	p := r.params(s, 2, "UpdateExpression", "ConditionExpression")
	if old {
		w.update, w.cond = r.attributeUpdates(), r.expected()
	} else {
		w.update = r.update(p)
		w.cond = r.condition("ConditionExpression", p)
		r.used(p)
	}
	return s.finish(r, w, values, capacity)
}

// conditional takes the condition of a put or delete.
func (s *Service) conditional(r *request, w *write) {
	legacy := []string{"Expected", "ConditionalOperator"}
	r.mixed(legacy, []string{"ConditionExpression"})
	old := slices.ContainsFunc(legacy, r.has)
	p := r.params(s, 1, "ConditionExpression")
	if old {
		w.cond = r.expected()
		return
	}
	w.cond = r.condition("ConditionExpression", p)
	r.used(p)
}

// update takes the update expression; nil if it is absent.
func (r *request) update(p *expr.Params) *expr.Update {
	text, ok := r.str("UpdateExpression")
	if !ok || r.err != nil {
		return nil
	}
	u, err := expr.ParseUpdate(text, p)
	r.fail(err)
	return u
}

// finish refuses what r has left, and carries out w.
func (s *Service) finish(r *request, w *write, values, capacity string) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	c, err := s.write(w)
	if err != nil {
		return nil, err
	}
	return c.reply(values, capacity), nil
}

func (s *Service) getItem(r *request) (any, error) {
	name, key := r.table(s.opts.Identity), r.needItem("Key")
	consistent, _ := r.bool("ConsistentRead")
	capacity := r.capacity()
	projection := s.shown(r)
	if err := r.done(); err != nil {
		return nil, err
	}
	it, err := s.read(name, key)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if it != nil {
		out["Item"] = projection.Of(it)
	}
	if capacity != "NONE" {
		out["ConsumedCapacity"] = consumed(capacity, name, readUnits(it.Size(), consistent))
	}
	return out, nil
}

// shown takes the projection of a read of single items.
func (s *Service) shown(r *request) expr.Projection {
	r.mixed([]string{"AttributesToGet"}, []string{"ProjectionExpression"})
	if r.has("AttributesToGet") {
		return r.attributesToGet()
	}
	p := r.params(s, 0, "ProjectionExpression")
	projection := r.projection(p)
	r.used(p)
	return projection
}

// read returns the item with the given key, nil if there is none.
func (s *Service) read(name string, key Item) (Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(name, time.Now())
	if err != nil {
		return nil, err
	}
	if err := t.key.checkKey(key, s.opts.Limits); err != nil {
		return nil, err
	}
	return t.get(key), nil
}

// readUnits are the units of reading bytes: one for each 4 KiB, half of that
// if the read may be stale.
func readUnits(bytes int, consistent bool) float64 {
	units := float64(max(1, (bytes+4095)/4096))
	if !consistent {
		units /= 2
	}
	return units
}
