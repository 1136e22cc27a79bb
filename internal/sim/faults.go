package sim

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// Errors of the service that kinesistest has no name for.
var (
	expiredToken = &kinesistest.Error{Status: 400, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"}
	notThere     = &kinesistest.Error{Status: 400, Code: "ResourceNotFoundException", Message: "The stream is not there yet"}
	refused      = &kinesistest.Error{Status: 400, Code: "InvalidArgumentException", Message: "Refused by a fault"}
	kmsThrottled = &kinesistest.Error{Status: 400, Code: "KMSThrottlingException", Message: "The request was denied due to request throttling."}
)

// PutFaults are the ways in which putting into a stream goes wrong.
func PutFaults(stream string) []Kind {
	puts := kinesistest.Fault{Operation: "PutRecords"}
	with := func(change func(f *kinesistest.Fault)) kinesistest.Fault {
		f := puts
		change(&f)
		return f
	}
	return append([]Kind{
		{"one hot shard", 20 * time.Second, func(w *World, n uint64) func() { return w.throttleShard(stream, n) }},
		{"throttled entries", 10 * time.Second, func(w *World, n uint64) func() { return w.failEntries("throttled", n, kinesistest.Throttled) }},
		{"failed entries", 10 * time.Second, func(w *World, n uint64) func() { return w.failEntries("failed", n, kinesistest.InternalFailure) }},
		Calling("throttled calls", 10*time.Second, with(func(f *kinesistest.Fault) { f.Error = kinesistest.Throttled })),
		Calling("outage", 30*time.Second, with(func(f *kinesistest.Fault) { f.Error = kinesistest.ServiceUnavailable })),
		Calling("failing after storing", 10*time.Second, with(func(f *kinesistest.Fault) { f.Error, f.Applied = kinesistest.InternalFailure, true })),
		Calling("lost requests", 10*time.Second, with(func(f *kinesistest.Fault) { f.Lose = kinesistest.LoseRequest })),
		Calling("lost answers", 10*time.Second, with(func(f *kinesistest.Fault) { f.Lose = kinesistest.LoseResponse })),
		Calling("hanging", 10*time.Second, with(func(f *kinesistest.Fault) { f.Hang = true })),
		Calling("slow service", 20*time.Second, with(func(f *kinesistest.Fault) { f.Delay = 2 * time.Second })),
		Calling("late answers", 10*time.Second, with(func(f *kinesistest.Fault) { f.DelayAfter = 8 * time.Second })),
		Calling("truncated answers", 10*time.Second, with(func(f *kinesistest.Fault) { f.Damage = kinesistest.TruncateBody })),
		Calling("shortened answers", 10*time.Second, with(func(f *kinesistest.Fault) { f.Damage = kinesistest.ShortenBody })),
		Calling("expired credentials", 10*time.Second, kinesistest.Fault{Service: kinesistest.Kinesis, Error: expiredToken}),
		Calling("refused calls", 5*time.Second, with(func(f *kinesistest.Fault) { f.Error = refused })),
		Calling("KMS throttling", 10*time.Second, with(func(f *kinesistest.Fault) { f.Error = kmsThrottled })),
		Calling("failing listings", 20*time.Second, kinesistest.Fault{Operation: "ListShards", Error: kinesistest.InternalFailure}),
		Calling("hanging listings", 20*time.Second, kinesistest.Fault{Operation: "ListShards", Hang: true}),
		Calling("failing descriptions", 20*time.Second, kinesistest.Fault{Operation: "DescribeStreamSummary", Error: kinesistest.InternalFailure}),
		{"endless bodies", 8 * time.Second, (*World).endlessBodies},
		{"no credentials", 8 * time.Second, (*World).noCredentials},
		{"stuck credentials", 8 * time.Second, (*World).stuckCredentials},
		{"recreated stream", 3 * time.Second, func(w *World, n uint64) func() { return w.recreate(stream, n) }},
	}, Reshards(stream)...)
}

// Reshards are the ways in which a stream changes its shards.
func Reshards(stream string) []Kind {
	pick := func(w *World, what string, n uint64) int { return w.Seed.IntN(1000, what, "shard", n) }
	return []Kind{
		{"split", 0, func(w *World, n uint64) func() { w.Split(stream, pick(w, "split", n)); return nil }},
		{"merge", 0, func(w *World, n uint64) func() { w.Merge(stream, pick(w, "merge", n)); return nil }},
		{"twice the shards", 0, func(w *World, _ uint64) func() { w.Scale(stream, 2*len(w.Open(stream))); return nil }},
		{"half the shards", 0, func(w *World, _ uint64) func() { w.Scale(stream, (len(w.Open(stream))+1)/2); return nil }},
	}
}

// Spreading is a kind in which a stream spreads its records itself, whatever
// their keys. Nobody is told, and no order of keys survives it.
func Spreading(stream string) Kind {
	return Kind{"spreading", 15 * time.Second, func(w *World, _ uint64) func() {
		w.Distribute(stream, types.RecordDistributionStrategyAuto)
		return func() { w.Distribute(stream, types.RecordDistributionStrategyUserPartitionKey) }
	}}
}

// Calling is a kind in which calls meet f, each time with another probability.
// Calls of no named client pass.
func Calling(name string, longest time.Duration, f kinesistest.Fault) Kind {
	return Kind{name, longest, func(w *World, n uint64) func() {
		rate := Pick(w.Seed, fmt.Sprint(name, n), 0.1, 0.5, 1)
		f := f
		f.Match = func(c *kinesistest.Call) bool {
			return c.Client != "" && w.Seed.Chance(name, w.luck(c), n) < rate
		}
		return w.Server.Inject(f)
	}}
}

func (w *World) throttleShard(stream string, n uint64) func() {
	open := w.Open(stream)
	if len(open) == 0 {
		return nil
	}
	shard := open[w.Seed.IntN(len(open), "hot", "", n)].ID
	w.Note("%s throttles", shard)
	return w.Server.Inject(kinesistest.Fault{Operation: "PutRecords", Shard: shard, Error: kinesistest.Throttled})
}

func (w *World) failEntries(name string, n uint64, e *kinesistest.Error) func() {
	rate := Pick(w.Seed, fmt.Sprint(name, n), 0.1, 0.5, 0.9)
	return w.Server.Inject(kinesistest.Fault{Operation: "PutRecords", Error: e, Entries: func(i int, shard, _ string) bool {
		return w.Seed.Chance(name, fmt.Sprint(shard, i, w.Since()), n) < rate
	}})
}

func (w *World) endlessBodies(n uint64) func() {
	return w.eachLink(func(l *link) {
		l.endless = func(r *http.Request) bool {
			return strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutRecords") &&
				w.Seed.Chance("endless", fmt.Sprint(l.client, w.Since()), n) < 0.3
		}
	}, func(l *link) { l.endless = nil })
}

func (w *World) noCredentials(uint64) func() {
	return w.eachLink(func(l *link) { l.signing = errCredentials }, func(l *link) { l.signing = nil })
}

func (w *World) stuckCredentials(uint64) func() {
	stuck := make(chan struct{})
	end := w.eachLink(func(l *link) { l.stuck = stuck }, func(l *link) {
		if l.stuck == stuck {
			l.stuck = nil
		}
	})
	return func() {
		end()
		close(stuck)
	}
}

// eachLink changes all links, and changes them back.
func (w *World) eachLink(change, back func(*link)) (end func()) {
	apply := func(f func(*link)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, l := range w.links {
			l.mu.Lock()
			f(l)
			l.mu.Unlock()
		}
	}
	apply(change)
	return func() { apply(back) }
}

// recreate deletes a stream and makes another one of that name. Its shards are
// numbered alike, so a client that notices nothing cannot tell them from those of
// before: each is refused until it has seen that the stream was not there.
func (w *World) recreate(stream string, n uint64) func() {
	if len(w.Open(stream)) == 0 {
		return nil // it is being recreated
	}
	w.mu.Lock()
	links := maps.Clone(w.links)
	w.mu.Unlock()
	for _, l := range links {
		l.mu.Lock()
		l.ignorant = true
		l.mu.Unlock()
	}
	w.DeleteStream(stream)
	return func() {
		w.CreateStream(stream, 1+w.Seed.IntN(6, "recreate", "", n))
		w.Server.Inject(kinesistest.Fault{Operation: "PutRecords", Error: notThere, Match: func(c *kinesistest.Call) bool {
			l := links[c.Client]
			if l == nil {
				return false
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.ignorant
		}})
	}
}
