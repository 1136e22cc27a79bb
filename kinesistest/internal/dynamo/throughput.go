package dynamo

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// throughput is a ProvisionedThroughput; zero for on-demand tables.
type throughput struct{ read, write int }

func (r *request) throughput() (u throughput) {
	sub := r.object("ProvisionedThroughput")
	if sub == nil {
		return u
	}
	u.read, _ = sub.number("ReadCapacityUnits", 1)
	u.write, _ = sub.number("WriteCapacityUnits", 1)
	if sub.err == nil && u.read == 0 {
		sub.required("ReadCapacityUnits")
	}
	if sub.err == nil && u.write == 0 {
		sub.required("WriteCapacityUnits")
	}
	if most := max(u.read, u.write); most > maxUnits {
		sub.fail(attr.Invalidf("Given value %d for ReadCapacityUnits or WriteCapacityUnits is out of bounds", most))
	}
	r.fail(sub.done())
	return u
}

// maxUnits bounds a provisioned throughput.
const maxUnits = 1_000_000_000

// ceiling takes OnDemandThroughput, in which -1 is no bound, and whether it is
// given.
func (r *request) ceiling() (u throughput, given bool) {
	sub := r.object("OnDemandThroughput")
	if sub == nil {
		return u, false
	}
	u.read, _ = sub.number("MaxReadRequestUnits", -1)
	u.write, _ = sub.number("MaxWriteRequestUnits", -1)
	r.fail(sub.done())
	return throughput{max(0, u.read), max(0, u.write)}, true
}

// of returns the units of one direction.
func (u throughput) of(write bool) int {
	if write {
		return u.write
	}
	return u.read
}

// throughputChanges is what a table remembers of changes of its throughput.
type throughputChanges struct {
	raised, lowered time.Time
	decreases       int // on the day of lowered
}

// On a day (UTC) a table can lower its throughput four times, and besides once
// for each hour in which it did not.
const dailyDecreases = 4

// check returns the error of another decrease.
func (c *throughputChanges) check(t *table, next throughput, now time.Time) error {
	if !lowers(t.units, next) || c.on(now) < dailyDecreases || now.Sub(c.lowered) >= time.Hour {
		return nil
	}
	return api.Errorf("LimitExceededException", "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "+
		"After the first %d decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. "+
		"Number of decreases today: %d. Last decrease at %s.", dailyDecreases, c.decreases, c.lowered.UTC().Format(time.RFC1123))
}

// note remembers a change.
func (c *throughputChanges) note(old, next throughput, now time.Time) {
	if old == (throughput{}) || next == (throughput{}) {
		return
	}
	if lowers(old, next) {
		c.decreases = c.on(now) + 1
		c.lowered = now
	}
	if next.read > old.read || next.write > old.write {
		c.raised = now
	}
}

// on returns the decreases of now's day.
func (c *throughputChanges) on(now time.Time) int {
	const day = 24 * time.Hour
	if !c.lowered.Truncate(day).Equal(now.Truncate(day)) {
		return 0
	}
	return c.decreases
}

func lowers(old, next throughput) bool {
	provisioned := old != (throughput{}) && next != (throughput{})
	return provisioned && (next.read < old.read || next.write < old.write)
}

// A seal is the key that a table is encrypted with; the zero seal is the one
// that AWS owns.
type seal struct{ key string }

// sealed takes SSESpecification, and whether it is given.
func (r *request) sealed() (s seal, given bool) {
	sub := r.object("SSESpecification")
	if sub == nil {
		return s, false
	}
	on, _ := sub.bool("Enabled")
	kind := sub.enum("SSEType", "KMS", "AES256", "KMS")
	key, named := sub.str("KMSMasterKeyId")
	switch {
	case sub.err != nil:
	case kind == "AES256":
		sub.fail(invalidf("SSEType AES256 is not supported"))
	case !on && named:
		sub.fail(invalidf("KMSMasterKeyId can only be specified when SSE is enabled"))
	case on && !named:
		key = "alias/aws/dynamodb"
	}
	r.fail(sub.done())
	return seal{key}, true
}
