package dynamo_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo"
)

func setLifetime(t *testing.T, c *dynamodb.Client, attribute string, on bool) error {
	_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName: aws.String("leases"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &on},
	})
	return err
}

func TestRowsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone []string
		c, s := newClient(t, func(o *dynamo.Options) {
			o.ExpiryLag = time.Minute
			o.Applied = func(a dynamo.Applied) {
				if a.Op == "TimeToLive" && a.After == nil {
					gone = append(gone, a.Before["leaseKey"].Text())
				}
			}
		})
		leaseTable(t, c, "leases")
		put := func(key string, expires types.AttributeValue) {
			lease := newLease(key, "worker-A", 0)
			if expires != nil {
				lease["expires"] = expires
			}
			putLease(t, c, lease)
		}
		in := func(d time.Duration) types.AttributeValue {
			return num(strconv.FormatInt(time.Now().Add(d).Unix(), 10))
		}
		put("before", in(time.Hour))
		if err := setLifetime(t, c, "expires", true); err != nil {
			t.Fatal(err)
		}
		put("hour", in(time.Hour))
		put("two hours", in(2*time.Hour))
		put("never", nil)
		put("text", str("1"))
		put("six years ago", in(-6*365*24*time.Hour))
		want := func(keys ...string) {
			t.Helper()
			var got []string
			for _, it := range must(s.Items("leases")) {
				got = append(got, it["leaseKey"].Text())
			}
			if diff := cmp.Diff(keys, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		}
		time.Sleep(time.Hour + 30*time.Second)
		want("before", "hour", "never", "six years ago", "text", "two hours")
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"never", "six years ago", "text", "two hours"}, leasesOf(t, c, "worker-A")); diff != "" {
			t.Errorf("leases of the index (-want +got):\n%s", diff)
		}
		if err := setLifetime(t, c, "expires", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		want("never", "six years ago", "text", "two hours")
		if len(gone) != 2 {
			t.Errorf("applied expiries = %q, want before and hour", gone)
		}
	})
}

func TestLifetimeChangesOnceAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t)
		leaseTable(t, c, "leases")
		for i, step := range []struct {
			after     time.Duration
			attribute string
			on        bool
			want      string
		}{
			{0, "expires", false, "TimeToLive is already disabled"},
			{0, "expires", true, ""},
			{0, "expires", true, "TimeToLive is already enabled"},
			{0, "other", true, "TimeToLive is active on a different AttributeName: current AttributeName is expires"},
			{0, "other", false, "TimeToLive is active on a different AttributeName: current AttributeName is expires"},
			{59 * time.Minute, "expires", false, "Time to live has been modified multiple times within a fixed interval"},
			{time.Minute, "expires", false, ""},
			{time.Hour, "other", true, ""},
		} {
			time.Sleep(step.after)
			if err := setLifetime(t, c, step.attribute, step.on); message(err) != step.want {
				t.Errorf("step %d = %v, want %q", i, err, step.want)
			}
		}
	})
}
