package kinesistest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// Each way for a subscription to break, as the SDK sees it.
func TestSubscriptionsBreak(t *testing.T) {
	kms := &kinesistest.Error{Code: "KMSDisabledException", Message: "off"}
	tests := []struct {
		name  string
		fault kinesistest.Breakage
		after time.Duration // the end comes so long after the beginning
		fits  func(error) bool
	}{
		{"cut", kinesistest.Breakage{Kind: kinesistest.BreakCut, AfterEvents: 2}, 10 * time.Second, func(err error) bool { return err != nil }},
		{"cut by time", kinesistest.Breakage{Kind: kinesistest.BreakCut, After: 7 * time.Second}, 7 * time.Second, func(err error) bool { return err != nil }},
		{"cut at once", kinesistest.Breakage{Kind: kinesistest.BreakCut}, 0, func(err error) bool { return err != nil }},
		{"cut by both", kinesistest.Breakage{Kind: kinesistest.BreakCut, AfterEvents: 1, After: 7 * time.Second}, 7 * time.Second, func(err error) bool { return err != nil }},
		// The SDK takes a stream that ends in the middle of a frame for one that
		// ends well.
		{"truncate", kinesistest.Breakage{Kind: kinesistest.BreakTruncate, AfterEvents: 1}, 5 * time.Second, func(err error) bool { return err == nil }},
		{"end", kinesistest.Breakage{Kind: kinesistest.BreakEnd, AfterEvents: 3}, 15 * time.Second, func(err error) bool { return err == nil }},
		{"corrupt", kinesistest.Breakage{Kind: kinesistest.BreakCorrupt, AfterEvents: 1}, 10 * time.Second, func(err error) bool { return err != nil }},
		{"error", kinesistest.Breakage{Kind: kinesistest.BreakError, AfterEvents: 1}, 5 * time.Second, isError[*types.InternalFailureException]},
		{"error of a kind", kinesistest.Breakage{Kind: kinesistest.BreakError, Error: kms}, 0, isError[*types.KMSDisabledException]},
		{"nothing", kinesistest.Breakage{}, 5 * time.Minute, func(err error) bool { return err == nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withFan(t, 1, func(c *fan) {
				c.srv.Inject(kinesistest.Fault{Operation: "SubscribeToShard", Stream: "s", Shard: shard0, Times: 1, Subscription: tt.fault})
				s := c.subscribe(shard0, latest)
				defer s.Close()
				start := time.Now()
				for e := next(s); e != nil; e = next(s) {
				}
				if since := time.Since(start); since != tt.after || !tt.fits(s.Err()) {
					c.Errorf("ended after %v, want %v, with %v", since, tt.after, s.Err())
				}
				time.Sleep(5 * time.Second)
				again := c.subscribe(shard0, latest) // the fault was for one
				defer again.Close()
				if next(again) == nil {
					c.Errorf("the next one ends with %v", again.Err())
				}
			})
		})
	}
}

func TestSubscriptionStalls(t *testing.T) {
	withFan(t, 1, func(c *fan) {
		remove := c.srv.Inject(kinesistest.Fault{Subscription: kinesistest.Breakage{Kind: kinesistest.BreakStall, AfterEvents: 1}})
		s := c.subscribe(shard0, latest)
		defer s.Close()
		next(s)
		c.put("x")
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case e := <-s.Events():
			c.Errorf("a stalled subscription has %v", e)
		default:
		}
		remove()
		if got, _ := read(c.T, s, 1); got != "x" {
			c.Errorf("afterwards it has %q", got)
		}
		time.Sleep(5 * time.Second)
		c.srv.Inject(kinesistest.Fault{For: time.Minute, Times: 1, Subscription: kinesistest.Breakage{Kind: kinesistest.BreakStall}})
		start := time.Now()
		short := c.subscribe(shard0, latest)
		if next(short) == nil || time.Since(start) != time.Minute {
			c.Errorf("a stall of a minute ended after %v with %v", time.Since(start), short.Err())
		}
		short.Close()
		stalled := c.srv.Inject(kinesistest.Fault{Subscription: kinesistest.Breakage{Kind: kinesistest.BreakStall}})
		defer stalled()
		last := c.subscribe(shard0, latest)
		defer last.Close()
		c.srv.Close()
		if e := next(last); e != nil || last.Err() == nil {
			c.Errorf("a stalled one of a closed server: %v, %v", e, last.Err())
		}
	})
}

// Faults of the call itself leave no subscription behind: the shard's consumer
// has one again after 5 seconds, and nobody is told of another.
func TestFaultsOfTheSubscribingCall(t *testing.T) {
	for name, f := range map[string]kinesistest.Fault{
		"error":         {Error: kinesistest.Throttled},
		"applied error": {Error: kinesistest.Throttled, Applied: true},
		"lost request":  {Lose: kinesistest.LoseRequest},
		"lost response": {Lose: kinesistest.LoseResponse},
		"another answer": {Intercept: func(_ context.Context, _ *kinesistest.Call, next func() kinesistest.Answer) kinesistest.Answer {
			next()
			return kinesistest.Answer{Err: kinesistest.InternalFailure}
		}},
		"cut": {Intercept: func(_ context.Context, _ *kinesistest.Call, next func() kinesistest.Answer) kinesistest.Answer {
			a := next()
			a.Cut = true
			return a
		}},
	} {
		t.Run(name, func(t *testing.T) {
			withFan(t, 1, func(c *fan) {
				f.Operation, f.Times = "SubscribeToShard", 1
				c.srv.Inject(f)
				if s, err := c.try(shard0, latest); err == nil {
					s.Close()
					c.Error("it opened")
				}
				time.Sleep(5 * time.Second)
				s := c.subscribe(shard0, latest)
				defer s.Close()
				c.put("x")
				if got, _ := read(c.T, s, 1); got != "x" {
					c.Errorf("the next one has %q", got)
				}
			})
		})
	}
}

// A body is read by one and closed by another, as one of net/http is.
func TestCloseEndsARead(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		c := newFan(t, srv, newClient(srv))
		resp := c.post(t.Context(), "http://x.invalid", srv.Config().HTTPClient)
		frame(t, resp.Body)
		ended := make(chan error)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		resp.Body.Close()
		if err := <-ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("Read = %v, want an error", err)
		}
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		resp = c.post(ctx, "http://x.invalid", srv.Config().HTTPClient)
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("when the request's context ends: %v", err)
		}
	})
}
