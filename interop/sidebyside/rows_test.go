//go:build java

package sidebyside

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// attributes says which attributes a kind of row may have, and of what type; '!'
// marks those that it must have. It is what the KCL's own readers demand.
var attributes = map[string]string{
	"LEASE": "leaseKey:S! leaseOwner:S leaseCounter:N! ownerSwitchesSinceCheckpoint:N! checkpoint:S! checkpointSubSequenceNumber:N! " +
		"pendingCheckpoint:S pendingCheckpointSubSequenceNumber:N pendingCheckpointState:B parentShardId:SS childShardIds:SS " +
		"startingHashKey:S! endingHashKey:S! throughputKBps:N checkpointOwner:S entityType:S streamName:S shardId:S",
	"WORKER_METRIC_STATS":      "leaseKey:S! entityType:S! lut:N! sts:M! opr:M! properties:M sup:N! slu:N!",
	"LEADER":                   "leaseKey:S! entityType:S ownerName:S! leaseDuration:S! recordVersionNumber:S!",
	"CLIENT_VERSION_MIGRATION": "leaseKey:S! entityType:S cv:S! mb:S! mts:N! h:L",
	"TABLE_MIGRATION":          "leaseKey:S! entityType:S tm:S! mb:S! mts:N! h:L",
}

type item = map[string]types.AttributeValue

// judgeRow says what is wrong with a row, or nothing.
func judgeRow(r item) string {
	kind := str(r["entityType"])
	if kind == "" {
		kind = "LEASE"
	}
	spec, ok := attributes[kind]
	if !ok {
		return "a row of an unknown kind: " + kind
	}
	want := map[string]string{}
	for _, f := range strings.Fields(spec) {
		name, typ, _ := strings.Cut(f, ":")
		typ, must := strings.CutSuffix(typ, "!")
		want[name] = typ
		if _, ok := r[name]; must && !ok {
			return "lacks " + name
		}
	}
	for name, v := range r {
		if strings.HasPrefix(name, "kinesisGo") {
			continue // ours, which the KCL leaves as they are
		}
		if got := typeOf(v); want[name] != got {
			return fmt.Sprintf("%s is %s, want %q", name, got, want[name])
		}
	}
	if kind == "LEASE" {
		return judgeLease(r)
	}
	return ""
}

func judgeLease(r item) string {
	low, ok1 := new(big.Int).SetString(str(r["startingHashKey"]), 10)
	high, ok2 := new(big.Int).SetString(str(r["endingHashKey"]), 10)
	if !ok1 || !ok2 || low.Cmp(high) >= 0 {
		return "its range of hash keys is none"
	}
	for _, name := range []string{"checkpoint", "pendingCheckpoint"} {
		v, ok := r[name]
		if !ok {
			continue
		}
		if !slices.Contains([]string{"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END"}, str(v)) && strings.Trim(str(v), "0123456789") != "" {
			return name + " is no position: " + str(v)
		}
	}
	if r["checkpointOwner"] != nil && str(r["checkpointOwner"]) == str(r["leaseOwner"]) {
		return "it is handed over to its owner"
	}
	return ""
}

func str(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

func typeOf(v types.AttributeValue) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "*types.AttributeValueMember")
}

// rows returns the rows of the application's table by key, none without a table.
func (w *world) rows(ctx context.Context) map[string]item {
	rows := map[string]item{}
	out, err := w.dynamodb.Scan(ctx, &dynamodb.ScanInput{TableName: &w.app, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return rows
	}
	for _, r := range out.Items {
		rows[str(r["leaseKey"])] = r
	}
	return rows
}

// text returns a row as one line.
func text(r item) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%s=%s ", k, str(r[k]))
	}
	return b.String()
}
