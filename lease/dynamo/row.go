package dynamo

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kinesis/checkpoint"
	"github.com/kinesis-go/kinesis/lease"
)

// The attributes of a lease row.
const (
	attrKey          = "leaseKey"
	attrType         = "entityType"
	attrOwner        = "leaseOwner"
	attrLeaving      = "checkpointOwner"
	attrCounter      = "leaseCounter"
	attrSwitches     = "ownerSwitchesSinceCheckpoint"
	attrCheckpoint   = "checkpoint"
	attrSub          = "checkpointSubSequenceNumber"
	attrPending      = "pendingCheckpoint"
	attrPendingSub   = "pendingCheckpointSubSequenceNumber"
	attrPendingState = "pendingCheckpointState"
	attrParents      = "parentShardId"
	attrChildren     = "childShardIds"
	attrStart        = "startingHashKey"
	attrEnd          = "endingHashKey"
	attrThroughput   = "throughputKBps"
	attrStream       = "streamName" // tables of many streams only
	attrShard        = "shardId"    // tables of many streams only

	// Ours alone; the KCL leaves them as they are.
	attrRun    = "kinesisGoRun"
	attrSince  = "kinesisGoSince"  // epoch milliseconds
	attrReadTo = "kinesisGoReadTo" // epoch milliseconds
	attrMoved  = "kinesisGoMoved"  // map of the below

	moveAt     = "at" // epoch milliseconds
	moveFrom   = "from"
	moveTo     = "to"
	moveReason = "reason"
)

// The values of entityType that are understood.
const (
	typeLease   = "LEASE"
	typeWorker  = "WORKER_METRIC_STATS"
	typeLock    = "LEADER"
	typeVersion = "CLIENT_VERSION_MIGRATION"
	typeTable   = "TABLE_MIGRATION"
	typeStream  = "STREAM"
)

// A kind is what a row is.
type kind int

const (
	kindOther kind = iota // left alone; also no row at all
	kindLease
	kindWorker
	kindLock
)

// kindOf tells rows apart. A row without a type is a lease: those made before
// KCL 3.5 have none.
func kindOf(it item) kind {
	if len(it) == 0 {
		return kindOther
	}
	t, present := it[attrType]
	if !present {
		key, _ := text(it, attrKey)
		if key == lockKey || key == versionKey || key == tableKey {
			return kindOther
		}
		return kindLease
	}
	s, _ := t.(*types.AttributeValueMemberS)
	if s == nil {
		return kindOther
	}
	switch s.Value {
	case typeLease:
		return kindLease
	case typeWorker:
		return kindWorker
	case typeLock:
		return kindLock
	}
	return kindOther
}

func addItem(snap *lease.Snapshot, it item) {
	key, _ := text(it, attrKey)
	var err error
	switch kindOf(it) {
	case kindLease:
		var row lease.Row
		if row, err = decodeRow(it); err == nil {
			snap.Rows = append(snap.Rows, row)
		}
	case kindWorker:
		var w lease.Worker
		if w, err = decodeWorker(it, attrKey); err == nil {
			snap.Workers = append(snap.Workers, w)
		}
	case kindLock:
		if key == lockKey {
			snap.Lock = decodeLock(it)
		}
	}
	if err != nil {
		snap.Bad = append(snap.Bad, &lease.RowError{Key: key, Err: err})
	}
}

func sortSnapshot(s *lease.Snapshot) {
	slices.SortFunc(s.Rows, func(a, b lease.Row) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortFunc(s.Workers, func(a, b lease.Worker) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Bad, func(a, b *lease.RowError) int { return cmp.Compare(a.Key, b.Key) })
}

// maxSet bounds the ids in a row. A shard has two parents and two children.
const maxSet = 64

// decodeRow reads a lease row. The error names the attribute that is wrong.
func decodeRow(it item) (lease.Row, error) {
	var r lease.Row
	d := decoder{it: it}
	r.Key = d.need(attrKey)
	r.Owner = d.text(attrOwner)
	r.Leaving = d.text(attrLeaving)
	r.Counter = d.count(attrCounter, required)
	r.Switches = d.count(attrSwitches, optional)
	r.Checkpoint = d.position(attrCheckpoint, attrSub)
	if _, ok := it[attrPending]; ok {
		r.Pending = &lease.Pending{At: d.position(attrPending, attrPendingSub), State: d.bytes(attrPendingState)}
	}
	r.Parents = d.set(attrParents)
	r.Children = d.set(attrChildren)
	r.Range = d.hashRange()
	r.Throughput = d.float(attrThroughput)
	r.Run = d.text(attrRun)
	r.Since = d.millis(attrSince)
	r.Moved = decodeMove(it[attrMoved])
	r.ReadTo = decodeReadTo(it)
	r.Stream = d.text(attrStream)
	if r.Shard = d.text(attrShard); r.Shard == "" {
		r.Shard = r.Key
	}
	return r, d.err
}

// encodeRow writes a row as it is created.
func encodeRow(r lease.Row) item {
	it := item{
		attrKey: str(r.Key), attrType: str(typeLease),
		attrCounter: num(r.Counter), attrSwitches: num(r.Switches),
		attrCheckpoint: str(r.Checkpoint.SequenceNumber), attrSub: num(r.Checkpoint.SubSequenceNumber),
	}
	optional := map[string]string{attrOwner: r.Owner, attrLeaving: r.Leaving, attrStream: r.Stream}
	if r.Stream != "" {
		optional[attrShard] = r.Shard
	}
	for attr, v := range optional {
		if v != "" {
			it[attr] = str(v)
		}
	}
	if len(r.Parents) > 0 {
		it[attrParents] = set(r.Parents)
	}
	if len(r.Children) > 0 {
		it[attrChildren] = set(r.Children)
	}
	if r.Range != nil {
		it[attrStart], it[attrEnd] = str(r.Range.Start.String()), str(r.Range.End.String())
	}
	if r.Throughput != nil {
		it[attrThroughput] = float(*r.Throughput)
	}
	if r.Run != "" {
		it[attrRun] = str(r.Run)
	}
	if !r.Since.IsZero() {
		it[attrSince] = num(r.Since.UnixMilli())
	}
	if !r.ReadTo.IsZero() {
		it[attrReadTo] = num(r.ReadTo.UnixMilli())
	}
	if r.Moved != nil {
		it[attrMoved] = encodeMove(r.Moved)
	}
	if p := r.Pending; p != nil {
		it[attrPending], it[attrPendingSub] = str(p.At.SequenceNumber), num(p.At.SubSequenceNumber)
		if p.State != nil {
			it[attrPendingState] = &types.AttributeValueMemberB{Value: p.State}
		}
	}
	return it
}

// decodeMove reads an explanation, nil if it cannot be understood: nothing rests
// on it.
func decodeMove(v types.AttributeValue) *lease.Move {
	m, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		return nil
	}
	d := decoder{it: m.Value}
	move := lease.Move{
		At: d.millis(moveAt), From: d.text(moveFrom), To: d.text(moveTo), Reason: lease.Reason(d.text(moveReason)),
	}
	if d.err != nil {
		return nil
	}
	return &move
}

// decodeReadTo reads how far reading has got, zero if it cannot be understood.
func decodeReadTo(it item) time.Time {
	d := decoder{it: it}
	return d.millis(attrReadTo)
}

func encodeMove(m *lease.Move) types.AttributeValue {
	it := item{moveAt: num(m.At.UnixMilli()), moveReason: str(string(m.Reason))}
	if m.From != "" {
		it[moveFrom] = str(m.From)
	}
	if m.To != "" {
		it[moveTo] = str(m.To)
	}
	return &types.AttributeValueMemberM{Value: it}
}

// A decoder reads attributes and keeps the first error.
type decoder struct {
	it  item
	err error
}

const (
	required = true
	optional = false
)

func (d *decoder) fail(attr, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %s", attr, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) text(attr string) string {
	s, ok := text(d.it, attr)
	if !ok {
		d.fail(attr, "not a string")
	}
	return s
}

func (d *decoder) need(attr string) string {
	s := d.text(attr)
	if s == "" {
		d.fail(attr, "missing")
	}
	return s
}

func (d *decoder) number(attr string, must bool) (string, bool) {
	v, present := d.it[attr]
	if !present {
		if must {
			d.fail(attr, "missing")
		}
		return "", false
	}
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		d.fail(attr, "not a number")
		return "", false
	}
	return n.Value, true
}

func (d *decoder) count(attr string, must bool) int64 {
	s, ok := d.number(attr, must)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		d.fail(attr, "%.40q is not a count", s)
		return 0
	}
	return n
}

func (d *decoder) float(attr string) *float64 {
	s, ok := d.number(attr, optional)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		d.fail(attr, "%.40q is not a throughput", s)
		return nil
	}
	return &f
}

func (d *decoder) position(attr, sub string) checkpoint.Position {
	p := checkpoint.Position{SequenceNumber: d.need(attr), SubSequenceNumber: d.count(sub, optional)}
	if d.err == nil {
		if err := p.Validate(); err != nil {
			d.fail(attr, "%v", err)
		}
	}
	return p
}

func (d *decoder) bytes(attr string) []byte {
	v, present := d.it[attr]
	if !present {
		return nil
	}
	b, ok := v.(*types.AttributeValueMemberB)
	if !ok {
		d.fail(attr, "not binary")
		return nil
	}
	return b.Value
}

func (d *decoder) set(attr string) []string {
	v, present := d.it[attr]
	if !present {
		return nil
	}
	ss, ok := v.(*types.AttributeValueMemberSS)
	if !ok || len(ss.Value) > maxSet {
		d.fail(attr, "not a set of at most %d strings", maxSet)
		return nil
	}
	out := slices.Clone(ss.Value)
	slices.Sort(out)
	return out
}

func (d *decoder) hashRange() *lease.HashRange {
	start, end := d.text(attrStart), d.text(attrEnd)
	if start == "" && end == "" {
		return nil
	}
	r, err := lease.ParseHashRange(start, end)
	if err != nil {
		d.fail(attrStart, "%v", err)
		return nil
	}
	return &r
}

// text returns a string attribute, empty if it is not there, and false if it is
// of another type.
func text(it item, attr string) (string, bool) {
	v, present := it[attr]
	if !present {
		return "", true
	}
	s, ok := v.(*types.AttributeValueMemberS)
	if !ok {
		return "", false
	}
	return s.Value, true
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func float(f float64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatFloat(f, 'f', -1, 64)}
}

func set(list []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: list} }
