package kinesistest_test

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kinesis/kinesistest"
)

// The same damage arrives in memory and over a network.
func TestDamage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		damage kinesistest.Damage
		fits   func(body []byte, length int64, sum string, err error) bool
	}{
		{kinesistest.DamageNothing, func(b []byte, length int64, sum string, err error) bool {
			return err == nil && json.Valid(b) && sum == checksum(b)
		}},
		{kinesistest.TruncateBody, func(b []byte, length int64, sum string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && !json.Valid(b) && len(b) > 0 && int64(len(b)) < length
		}},
		{kinesistest.ShortenBody, func(b []byte, length int64, sum string, err error) bool {
			return err == nil && !json.Valid(b) && len(b) > 0 && int64(len(b)) == length
		}},
		{kinesistest.GarbleBody, func(b []byte, length int64, sum string, err error) bool {
			return err == nil && !json.Valid(b) && int64(len(b)) == length && sum != checksum(b)
		}},
		{kinesistest.WrongChecksum, func(b []byte, length int64, sum string, err error) bool {
			return err == nil && json.Valid(b) && sum != checksum(b)
		}},
	}
	srv := kinesistest.NewServer()
	defer srv.Close()
	url := listen(t, srv)
	for _, tt := range tests {
		remove := srv.Inject(kinesistest.Fault{Operation: "ListTables", Damage: tt.damage})
		for where, do := range map[string]func() (body []byte, length int64, sum string, err error){
			"in memory": func() ([]byte, int64, string, error) {
				return listTables(t, srv.Config().HTTPClient, "http://x.invalid")
			},
			"by socket": func() ([]byte, int64, string, error) { return listTables(t, http.DefaultClient, url) },
		} {
			if body, length, sum, err := do(); !tt.fits(body, length, sum, err) {
				t.Errorf("damage %d %s: body %q of %d, checksum %s, %v", tt.damage, where, body, length, sum, err)
			}
		}
		remove()
	}
}

func checksum(b []byte) string { return strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10) }

// The SDK tells each damage from an answer.
func TestDamageIsSeenByTheSDK(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		streams := newClient(srv)
		tables := dynamodb.NewFromConfig(srv.Config(), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
		for _, d := range []kinesistest.Damage{kinesistest.TruncateBody, kinesistest.ShortenBody, kinesistest.GarbleBody} {
			remove := srv.Inject(kinesistest.Fault{Damage: d})
			if _, err := put(t.Context(), streams, "key"); err == nil {
				t.Errorf("damage %d: PutRecord saw nothing", d)
			}
			if _, err := tables.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err == nil {
				t.Errorf("damage %d: ListTables saw nothing", d)
			}
			remove()
		}
		if got := stored(srv); len(got) != 3 {
			t.Errorf("%d records stored, want all 3: damage comes after applying", len(got))
		}
	})
}

func TestDelayFromADistribution(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		series := func(seed uint64) (delays []time.Duration) {
			defer srv.Inject(kinesistest.Fault{Operation: "PutRecord", Delay: time.Second, DelayFrom: kinesistest.Exponential(time.Second), Seed: seed})()
			for range 50 {
				start := time.Now()
				if _, err := put(t.Context(), client, "key"); err != nil {
					t.Fatal(err)
				}
				delays = append(delays, time.Since(start))
			}
			return delays
		}
		one, again, other := series(1), series(1), series(2)
		same, total := 0, time.Duration(0)
		for i, d := range one {
			if d < time.Second {
				t.Errorf("call %d took %v, less than Delay", i, d)
			}
			if d != again[i] {
				t.Errorf("call %d took %v and then %v with the same seed", i, d, again[i])
			}
			if d == other[i] {
				same++
			}
			total += d
		}
		if same > 5 {
			t.Errorf("%d of 50 delays are those of another seed", same)
		}
		if mean := total / 50; mean < 1500*time.Millisecond || mean > 2500*time.Millisecond {
			t.Errorf("mean delay %v, want about 2s", mean)
		}
	})
}

func TestDistributions(t *testing.T) {
	t.Parallel()
	const second = time.Second
	tests := []struct {
		name string
		d    kinesistest.Distribution
		u    float64
		want time.Duration
	}{
		{"uniform", kinesistest.Uniform(second, 3*second), 0, second},
		{"uniform", kinesistest.Uniform(second, 3*second), 0.5, 2 * second},
		{"exponential", kinesistest.Exponential(second), 0, 0},
		{"exponential", kinesistest.Exponential(second), 1 - 1/math.E, second},
		{"long tail", kinesistest.LongTail(10*time.Millisecond, second), 0, 0},
		{"long tail", kinesistest.LongTail(10*time.Millisecond, second), 0.5, 10 * time.Millisecond},
		{"long tail", kinesistest.LongTail(10*time.Millisecond, second), 0.99, second},
		{"long tail of nothing", kinesistest.LongTail(0, 0), 0.5, 0},
		{"a century at most", kinesistest.LongTail(1, math.MaxInt64), 1, 100 * 365 * 24 * time.Hour},
	}
	for _, tt := range tests {
		if got := tt.d(tt.u); (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("%s(%v) = %v, want %v", tt.name, tt.u, got, tt.want)
		}
	}
}

func TestFaultLastsForItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		client := newClient(srv)
		defer srv.Inject(kinesistest.Fault{Operation: "Put*", Start: 2 * time.Second, For: 3 * time.Second, Error: kinesistest.Throttled})()
		var seen strings.Builder
		for range 7 {
			if _, err := put(t.Context(), client, "key"); err != nil {
				seen.WriteByte('x')
			} else {
				seen.WriteByte('.')
			}
			time.Sleep(time.Second)
		}
		if got := seen.String(); got != "..xxx.." {
			t.Errorf("calls of seven seconds: %s, want ..xxx..", got)
		}
	})
}

// A call that hangs in a fault that ends does not hang beyond it.
func TestHangEndsWithItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *kinesistest.Server) {
		mustCreate(t, srv, "s", 1)
		defer srv.Inject(kinesistest.Fault{Operation: "PutRecord", Hang: true, For: time.Minute})()
		start := time.Now()
		_, err := put(t.Context(), newClient(srv), "key")
		if took := time.Since(start); err == nil || took != time.Minute {
			t.Errorf("the call ended after %v with %v, want a reset after a minute", took, err)
		}
	})
}

// listTables posts a ListTables and returns what arrives of the answer.
func listTables(t *testing.T, client aws.HTTPClient, url string) (body []byte, length int64, sum string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return body, resp.ContentLength, resp.Header.Get("X-Amz-Crc32"), err
}
