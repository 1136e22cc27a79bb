package dynamo

import (
	"slices"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/expr"
)

func (s *Service) putItem(r *request) (any, error) {
	w := &write{op: r.op, client: r.client, table: r.table(s.opts.Identity), key: r.needItem("Item"), put: true, reveal: r.reveal()}
	out := wanted{r.returnValues(), r.capacity(), r.metrics()}
	s.conditional(r, w)
	return s.finish(r, w, out)
}

func (s *Service) deleteItem(r *request) (any, error) {
	w := &write{op: r.op, client: r.client, table: r.table(s.opts.Identity), key: r.needItem("Key"), remove: true, reveal: r.reveal()}
	out := wanted{r.returnValues(), r.capacity(), r.metrics()}
	s.conditional(r, w)
	return s.finish(r, w, out)
}

func (s *Service) updateItem(r *request) (any, error) {
	w := &write{op: r.op, client: r.client, table: r.table(s.opts.Identity), key: r.needItem("Key"), reveal: r.reveal()}
	out := wanted{r.anyReturn(), r.capacity(), r.metrics()}
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
	return s.finish(r, w, out)
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
func (s *Service) finish(r *request, w *write, out wanted) (any, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	c, err := s.write(w)
	if err != nil {
		return nil, err
	}
	return c.reply(out), nil
}

func (s *Service) getItem(r *request) (any, error) {
	name, key := r.table(s.opts.Identity), r.needItem("Key")
	consistent, _ := r.bool("ConsistentRead")
	capacity := r.capacity()
	projection := s.shown(r)
	if err := r.done(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	it, u, err := s.read(name, key, consistent, 1, s.now())
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if it != nil {
		out["Item"] = projection.Of(it)
	}
	if capacity != "NONE" {
		out["ConsumedCapacity"] = u.consumed(capacity)
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

// read returns the item with the given key, nil if there is none, and what
// reading it used, which is times times what it uses by itself. The lock is held.
func (s *Service) read(name string, key Item, consistent bool, times float64, now time.Time) (Item, usage, error) {
	t, err := s.open(name, now)
	if err != nil {
		return nil, usage{}, err
	}
	if err := t.key.checkKey(key, s.opts.Limits); err != nil {
		return nil, usage{}, err
	}
	hash := key[t.key.hash.Name].SortKey()
	if err := s.admit(t, nil, hash, false, now); err != nil {
		return nil, usage{}, err
	}
	it := t.get(key)
	if !consistent && s.stale() {
		it = t.past.get(t, t.key.place(key), now.Add(-s.opts.ReadLag))
	}
	u := usage{t: t, table: times * readUnits(it.Size(), consistent)}
	s.spend(u, nil, hash, now)
	return it, u, nil
}
