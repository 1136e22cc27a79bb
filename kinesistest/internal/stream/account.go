package stream

import (
	"math"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

func (s *Service) describeLimits(*struct{}) (any, *api.Error) {
	s.mu.Lock()
	_, onDemands := s.census(s.now())
	s.mu.Unlock()
	l := &s.opts.Limits
	return struct {
		OpenShardCount, ShardLimit                    int
		OnDemandStreamCount, OnDemandStreamCountLimit int
	}{int(s.openShards.Load()), orMost(l.ShardsPerAccount), onDemands, orMost(l.OnDemandStreams)}, nil
}

// orMost returns a limit as a number, no limit as the largest one.
func orMost(limit int) int {
	if limit <= 0 {
		return math.MaxInt32
	}
	return limit
}

// A commitment is the account's to pay for a minimum of throughput, which On-demand
// Advantage asks for. It lasts a day at least.
type commitment struct {
	started, ended time.Time // ended is when it ends or did, zero if it does not
}

const leastCommitment = 24 * time.Hour

func (c *commitment) on(now time.Time) bool {
	return !c.started.IsZero() && (c.ended.IsZero() || now.Before(c.ended))
}

type commitmentOutput struct {
	MinimumThroughputBillingCommitment commitmentDescription
}

type commitmentDescription struct {
	Status               string
	StartedAt            *millis `json:",omitempty"`
	EarliestAllowedEndAt *millis `json:",omitempty"`
	EndedAt              *millis `json:",omitempty"`
}

func (c *commitment) describe(now time.Time) commitmentOutput {
	at := func(t time.Time) *millis {
		ms := millis(t.UnixMilli())
		return &ms
	}
	d := commitmentDescription{Status: "DISABLED"}
	if !c.started.IsZero() {
		d.StartedAt, d.EarliestAllowedEndAt = at(c.started), at(c.started.Add(leastCommitment))
	}
	switch {
	case c.on(now) && c.ended.IsZero():
		d.Status = "ENABLED"
	case c.on(now):
		d.Status = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
	case !c.started.IsZero():
		d.EndedAt = at(c.ended)
	}
	return commitmentOutput{d}
}

func (s *Service) describeAccountSettings(*struct{}) (any, *api.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commitment.describe(s.now()), nil
}

type updateAccountSettingsInput struct {
	MinimumThroughputBillingCommitment *struct{ Status *string }
}

func (s *Service) updateAccountSettings(in *updateAccountSettingsInput) (any, *api.Error) {
	var v violations
	m := in.MinimumThroughputBillingCommitment
	v.notNil("minimumThroughputBillingCommitment", m != nil)
	if m != nil {
		v.notNil("minimumThroughputBillingCommitment.status", m.Status != nil)
		v.oneOf("minimumThroughputBillingCommitment.status", m.Status, "ENABLED", "DISABLED")
	}
	if e := v.err(); e != nil {
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, now := &s.commitment, s.now()
	switch on := c.on(now); {
	case *m.Status == "ENABLED" && on:
		c.ended = time.Time{}
	case *m.Status == "ENABLED":
		*c = commitment{started: now}
	case on && c.ended.IsZero():
		c.ended = now
		if least := c.started.Add(leastCommitment); now.Before(least) {
			c.ended = least
		}
	}
	return c.describe(now), nil
}

// advantage reports whether the account has On-demand Advantage.
func (s *Service) advantage() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commitment.on(s.now())
}

// committedTo fails unless the account may ask for a warm throughput.
func (s *Service) committedTo(mibps int) *api.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayWarm(mibps, s.now())
}

// mayWarm is committedTo for who holds s.mu.
func (s *Service) mayWarm(mibps int, now time.Time) *api.Error {
	switch {
	case !s.commitment.on(now):
		return api.Errorf("ValidationException", "Warm throughput needs MinimumThroughputBillingCommitment, which account %s has not enabled.",
			s.opts.Identity.AccountID)
	case mibps > mostWarmThroughput:
		return limitExceeded("The warm throughput of a stream is at most %d MiB per second, not %d.", mostWarmThroughput, mibps)
	}
	return nil
}
