package dynamo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
)

// invalidf returns a ValidationException of the family that AWS begins with
// these words.
func invalidf(format string, args ...any) error {
	return attr.Invalidf("One or more parameter values were invalid: "+format, args...)
}

// constraint returns the ValidationException of a member that breaks its
// declared constraint. member is written as the service model does: limit.
func constraint(value any, member, want string) error {
	if s, ok := value.(string); ok {
		value = "'" + s + "'"
	} else if value == nil {
		value = "null"
	} else {
		value = fmt.Sprintf("'%v'", value)
	}
	return &violations{[]string{fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, member, want)}}
}

// violations are members that break their declared constraints. AWS finds them
// before any other fault of a request, and reports all of them at once.
type violations struct{ list []string }

func (v *violations) Error() string { return v.Unwrap().Error() }

// Unwrap returns the error of the wire.
func (v *violations) Unwrap() error {
	plural := "s"
	if len(v.list) == 1 {
		plural = ""
	}
	return attr.Invalidf("%d validation error%s detected: %s", len(v.list), plural, strings.Join(v.list, "; "))
}

func errNoTable(name string) error {
	return api.Errorf("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
}

func errInUse(format string, args ...any) error {
	return api.Errorf("ResourceInUseException", format, args...)
}

// errUnknown is the answer to an operation that is not there: one of DynamoDB
// that this server lacks says so.
func errUnknown(op string) *api.Error {
	e := &api.Error{Status: 400, Code: "UnknownOperationException"}
	if slices.Contains(strings.Fields(missing), op) {
		e.Message = op + ": not implemented by this server"
	}
	return e
}

const missing = `BatchExecuteStatement CreateBackup CreateGlobalTable DeleteBackup DeleteResourcePolicy DescribeBackup
	DescribeContributorInsights DescribeExport DescribeGlobalTable DescribeGlobalTableSettings DescribeImport
	DescribeKinesisStreamingDestination DescribeTableReplicaAutoScaling DisableKinesisStreamingDestination
	EnableKinesisStreamingDestination ExecuteStatement ExecuteTransaction ExportTableToPointInTime GetResourcePolicy ImportTable
	ListBackups ListContributorInsights ListExports ListGlobalTables ListImports PutResourcePolicy RestoreTableFromBackup
	RestoreTableToPointInTime UpdateContributorInsights UpdateGlobalTable UpdateGlobalTableSettings
	UpdateKinesisStreamingDestination UpdateTableReplicaAutoScaling`

// errNotFound is what operations on items answer for a missing table.
func errNotFound() error {
	return api.Errorf("ResourceNotFoundException", "Requested resource not found")
}

// errCondition is the answer to a write whose condition is false; it carries
// the row if the request asked for it and it exists.
func errCondition(row Item) error {
	e := api.Errorf("ConditionalCheckFailedException", "The conditional request failed")
	if row != nil {
		e.Fields = map[string]any{"Item": row}
	}
	return e
}

var errKeyShape = attr.Invalidf("The provided key element does not match the schema")

var (
	errItemSize   = attr.Invalidf("Item size has exceeded the maximum allowed size")
	errUpdateSize = attr.Invalidf("Item size to update has exceeded the maximum allowed size")
)
