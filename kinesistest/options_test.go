package kinesistest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// A server refuses options that make no sense, and names each field.
func TestOptionsAreJudged(t *testing.T) {
	t.Parallel()
	defer func() {
		text := fmt.Sprint(recover())
		for _, want := range []string{
			`Region "": `, `AccountID "1": `, "StreamUpdating -1: ", "OnDemandScaling -1: ",
			"Limits.WriteBytesPerShard -1: ", "Limits.FullPagePause -1: ", `Limits.ControlCalls["ListStreams"] -1: `,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q does not name %s", text, want)
			}
		}
	}()
	kinesistest.NewServer(func(o *kinesistest.Options) {
		o.Region, o.AccountID = "", "1"
		o.StreamUpdating, o.OnDemandScaling = -1, -1
		o.Limits.WriteBytesPerShard, o.Limits.FullPagePause = -1, -1
		o.Limits.ControlCalls["ListStreams"] = -1
	})
}

// The limits are a copy: who changes a map later changes nothing, and no server
// shares it with another.
func TestLimitsAreTheServersOwn(t *testing.T) {
	t.Parallel()
	var calls map[string]int
	srv := kinesistest.NewServer(func(o *kinesistest.Options) { calls = o.Limits.ControlCalls })
	defer srv.Close()
	if calls["DescribeLimits"] != 1 || calls["DescribeStreamSummary"] != 20 || calls["SplitShard"] != 5 {
		t.Errorf("default rates %v", calls)
	}
	clear(calls)
	kinesistest.NewServer(func(o *kinesistest.Options) {
		if o.Limits.ControlCalls["DescribeLimits"] != 1 || o.Limits.FullPagePause != 5*time.Second {
			t.Errorf("default limits %+v", o.Limits)
		}
	}).Close()
}
