package dynamo

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// An expression collects what a request says of attributes. Every attribute is
// named through a placeholder, so that none collides with a reserved word.
type expression struct {
	names  map[string]string
	values item

	conditions, sets, removes []string
}

func newExpression() *expression {
	return &expression{names: make(map[string]string)}
}

func (x *expression) name(attr string) string {
	x.names["#"+attr] = attr
	return "#" + attr
}

func (x *expression) value(v types.AttributeValue) string {
	if x.values == nil {
		x.values = make(item)
	}
	id := ":v" + strconv.Itoa(len(x.values))
	x.values[id] = v
	return id
}

func (x *expression) require(condition string) { x.conditions = append(x.conditions, condition) }

func (x *expression) exists(attr string) string  { return "attribute_exists(" + x.name(attr) + ")" }
func (x *expression) missing(attr string) string { return "attribute_not_exists(" + x.name(attr) + ")" }

func (x *expression) equals(attr string, v types.AttributeValue) string {
	return x.name(attr) + " = " + x.value(v)
}

// text requires the attribute to be s, or not to be there if s is empty.
func (x *expression) text(attr, s string) string {
	if s == "" {
		return x.missing(attr)
	}
	return x.equals(attr, str(s))
}

func (x *expression) set(attr string, v types.AttributeValue) {
	x.sets = append(x.sets, x.name(attr)+" = "+x.value(v))
}

func (x *expression) add(attr string, n int64) {
	x.sets = append(x.sets, x.name(attr)+" = "+x.name(attr)+" + "+x.value(num(n)))
}

func (x *expression) remove(attr string) { x.removes = append(x.removes, x.name(attr)) }

// condition returns nil if nothing is required.
func (x *expression) condition() *string {
	if len(x.conditions) == 0 {
		return nil
	}
	return aws.String(strings.Join(x.conditions, " AND "))
}

func (x *expression) update() *string {
	var parts []string
	if len(x.sets) > 0 {
		parts = append(parts, "SET "+strings.Join(x.sets, ", "))
	}
	if len(x.removes) > 0 {
		parts = append(parts, "REMOVE "+strings.Join(x.removes, ", "))
	}
	return aws.String(strings.Join(parts, " "))
}

// expressionOf says what w requires and changes, as lease.Write.Apply does.
func expressionOf(w lease.Write) *expression {
	x := newExpression()
	x.requireSeen(w)
	switch w.Op {
	case lease.Create, lease.Delete:
		return x
	case lease.Handoff:
		x.set(attrOwner, str(w.Owner))
		x.set(attrLeaving, str(w.Seen.Owner))
		x.setMoved(w)
		return x
	case lease.SetChildren:
		x.set(attrChildren, set(w.Children))
		return x
	case lease.SetRange:
		x.set(attrStart, str(w.Range.Start.String()))
		x.set(attrEnd, str(w.Range.End.String()))
		return x
	case lease.Renew:
		x.setThroughput(w)
		x.setRun(w)
		if !w.Since.IsZero() {
			x.set(attrSince, num(w.Since.UnixMilli()))
		}
	case lease.Take, lease.Assign:
		x.setOwner(w)
		x.setMoved(w)
	case lease.Release:
		x.setMoved(w)
		if w.Seen.Leaving != "" {
			x.remove(attrLeaving)
		} else {
			x.setOwner(w)
		}
	case lease.Checkpoint:
		x.setCheckpoint(w)
		x.setThroughput(w)
		x.setRun(w)
	case lease.Rewind:
		x.setCheckpoint(w)
		x.remove(attrSince)
		x.add(attrCounter, 2)
		return x
	case lease.Prepare:
		x.setPending(w.Pending)
		x.setRun(w)
	}
	x.add(attrCounter, 1)
	return x
}

// requireSeen adds the conditions of w.
func (x *expression) requireSeen(w lease.Write) {
	switch w.Op {
	case lease.Create:
		x.require(x.missing(attrKey))
		return
	case lease.SetChildren, lease.SetRange:
		x.require(x.exists(attrCounter)) // a row of another kind has none
		return
	case lease.Handoff:
		x.require(x.exists(attrCounter))
		x.require(x.text(attrOwner, w.Seen.Owner))
		x.require(x.missing(attrLeaving))
		return
	case lease.Assign:
		x.require(x.exists(attrCounter))
		x.require(x.text(attrOwner, w.Seen.Owner))
		x.require(x.text(attrLeaving, w.Seen.Leaving))
		return
	}
	seen := []string{
		x.equals(attrCounter, num(w.Seen.Counter)),
		x.text(attrOwner, w.Seen.Owner),
		x.text(attrLeaving, w.Seen.Leaving),
	}
	if w.Op != lease.Delete {
		x.conditions = append(x.conditions, seen...)
		return
	}
	at := w.Seen.Checkpoint
	seen = append(seen, x.text(attrCheckpoint, at.SequenceNumber))
	sub := x.equals(attrSub, num(at.SubSequenceNumber))
	if at.SubSequenceNumber == 0 {
		sub = "(" + sub + " OR " + x.missing(attrSub) + ")"
	}
	seen = append(seen, sub)
	x.require("(" + x.missing(attrKey) + " OR (" + strings.Join(seen, " AND ") + "))")
}

func (x *expression) setOwner(w lease.Write) {
	if w.Owner != "" {
		x.set(attrOwner, str(w.Owner))
	} else if w.Seen.Owner != "" {
		x.remove(attrOwner)
	}
	if w.Op != lease.Release {
		x.remove(attrLeaving)
	}
	if n := w.Switched(); n != 0 {
		x.add(attrSwitches, n)
	}
}

func (x *expression) setCheckpoint(w lease.Write) {
	x.setPosition(attrCheckpoint, attrSub, w.Checkpoint)
	x.set(attrSwitches, num(0))
	x.remove(attrPending)
	x.remove(attrPendingSub)
	x.remove(attrPendingState)
	if w.Op == lease.Checkpoint && len(w.Children) > 0 {
		x.set(attrChildren, set(w.Children))
	}
}

func (x *expression) setThroughput(w lease.Write) {
	if w.Throughput != nil {
		x.set(attrThroughput, float(*w.Throughput))
	}
}

func (x *expression) setRun(w lease.Write) {
	if w.Run != "" {
		x.set(attrRun, str(w.Run))
	}
	if !w.ReadTo.IsZero() && w.Op != lease.Prepare {
		x.set(attrReadTo, num(w.ReadTo.UnixMilli()))
	}
}

func (x *expression) setMoved(w lease.Write) {
	if w.Moved != nil {
		x.set(attrMoved, encodeMove(w.Moved))
	}
}

func (x *expression) setPending(p *lease.Pending) {
	x.setPosition(attrPending, attrPendingSub, p.At)
	if p.State == nil {
		x.remove(attrPendingState)
	} else {
		x.set(attrPendingState, &types.AttributeValueMemberB{Value: p.State})
	}
}

func (x *expression) setPosition(attr, sub string, p checkpoint.Position) {
	x.set(attr, str(p.SequenceNumber))
	x.set(sub, num(p.SubSequenceNumber))
}
