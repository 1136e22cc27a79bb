package kinesistest_test

import (
	"fmt"
	"math"
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

// A fault that can never strike would let its test pass.
func TestFaultsAreJudged(t *testing.T) {
	t.Parallel()
	srv := kinesistest.NewServer()
	defer srv.Close()
	type fault = kinesistest.Fault
	for want, f := range map[string]fault{
		`Fault.Service "S3": `:                   {Service: "S3"},
		`Fault.Operation "Put[": `:               {Operation: "Put["},
		"Fault.Start -1: ":                       {Start: -1},
		"Fault.For -1: ":                         {For: -1},
		"Fault.Skip -1: ":                        {Skip: -1},
		"Fault.Every -1: ":                       {Every: -1},
		"Fault.Times -1: ":                       {Times: -1},
		"Fault.Delay -1: ":                       {Delay: -1},
		"Fault.DelayAfter -1: ":                  {DelayAfter: -1},
		"Fault.Probability 1.1: ":                {Probability: 1.1},
		"Fault.Probability NaN: ":                {Probability: math.NaN()},
		"Fault.Lose 3: ":                         {Lose: 3},
		"Fault.Damage -1: ":                      {Damage: -1},
		"Fault.Error.Status: ":                   {Error: &kinesistest.Error{Status: 200}},
		"Fault.Subscription.Kind 7: ":            {Subscription: kinesistest.Breakage{Kind: 7}},
		"Fault.Subscription.After -1: ":          {Subscription: kinesistest.Breakage{After: -1}},
		"Fault.Subscription.AfterEvents -1: ":    {Subscription: kinesistest.Breakage{AfterEvents: -1}},
		"Fault.Subscription.Error.Status: ":      {Subscription: kinesistest.Breakage{Error: &kinesistest.Error{Status: 7}}},
		"Fault.Skip -1: want 0 or more\nkinesis": {Skip: -1, Every: -1},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}()
			srv.Inject(f)
		}()
	}
	srv.Inject(fault{Operation: "[A-P]ut*", Probability: 1, Error: &kinesistest.Error{Code: "Nothing"}})()
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
