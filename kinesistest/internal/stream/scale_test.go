package stream

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kinesis-go/kinesis/internal/shardmap"
)

func (c caller) create(shards int) {
	c.Helper()
	c.must("CreateStream", object{"StreamName": "s", "ShardCount": shards})
}

func (c caller) updateShardCount(n int) (object, string) {
	c.Helper()
	return c.try("UpdateShardCount", object{"StreamName": "s", "TargetShardCount": n, "ScalingType": "UNIFORM_SCALING"})
}

// lineage writes each shard as its index, its parents, and * while it is open.
func (c caller) lineage() string {
	index := func(id string) string {
		return strings.TrimPrefix(strings.TrimLeft(strings.TrimPrefix(id, shardIDPrefix), "0"), "-")
	}
	var out []string
	for i, sh := range c.Shards("s") {
		text := fmt.Sprint(i)
		if sh.ParentID != "" {
			text += "<" + index(sh.ParentID)
		}
		if sh.AdjacentParentID != "" {
			text += "+" + index(sh.AdjacentParentID)
		}
		if sh.EndingSequenceNumber == "" {
			text += "*"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestUpdateShardCountLineage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to int
		want     string // index 0 is written as nothing after < and +
	}{
		{"doubles by splits", 2, 4, "0 1 2<* 3<* 4<1* 5<1*"},
		{"halves by merges", 4, 2, "0 1 2 3 4<+1* 5<2+3*"},
		{"cuts and joins what fits neither", 2, 3, "0 1 2<* 3< 4<1 5<1* 6<3+4*"},
		{"leaves the shards that stay", 4, 4, "0* 1* 2* 3*"},
		{"leaves no slivers where the sizes are rounded", 5, 10, "0 1 2 3 4 5<* 6<* 7<1* 8<1* 9<2* 10<2* 11<3* 12<3* 13<4* 14<4*"},
		{"one to two", 1, 2, "0 1<* 2<*"},
		{"two to one", 2, 1, "0 1 2<+1*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{}, func(c caller) {
				t := c.T
				c.create(tt.from)
				out, code := c.updateShardCount(tt.to)
				if code != "" {
					t.Fatal(code)
				}
				if out["CurrentShardCount"] != float64(tt.from) || out["TargetShardCount"] != float64(tt.to) ||
					out["StreamName"] != "s" || out["StreamARN"] != "arn:aws:kinesis:us-east-1:123456789012:stream/s" {
					t.Errorf("answer %v", out)
				}
				if got := c.lineage(); got != tt.want {
					t.Errorf("shards %s, want %s", got, tt.want)
				}
				if d := c.must("DescribeLimits", object{}); d["OpenShardCount"] != float64(tt.to) {
					t.Errorf("%v open shards, want %d", d["OpenShardCount"], tt.to)
				}
			})
		})
	}
}

func TestUpdateShardCountRefuses(t *testing.T) {
	limits := Limits{ScaleFactor: 2, ShardsPerStream: 10, ShardCountUpdates: 3, ShardsPerAccount: 12}
	inBubble(t, Options{Limits: limits, Updating: time.Second}, func(c caller) {
		t := c.T
		c.create(5)
		for _, tt := range []struct {
			code string
			in   object
		}{
			{"ValidationException", object{"TargetShardCount": 5}},
			{"ValidationException", object{"TargetShardCount": 5, "ScalingType": "OTHER"}},
			{"ValidationException", object{"ScalingType": "UNIFORM_SCALING"}},
			{"ValidationException", object{"ScalingType": "UNIFORM_SCALING", "TargetShardCount": 0}},
			{limited, object{"ScalingType": "UNIFORM_SCALING", "TargetShardCount": 11}},
			{limited, object{"ScalingType": "UNIFORM_SCALING", "TargetShardCount": 2}}, // half of 5 is 2.5
			{"ResourceNotFoundException", object{"ScalingType": "UNIFORM_SCALING", "TargetShardCount": 5, "StreamName": "none"}},
		} {
			if tt.in["StreamName"] == nil {
				tt.in["StreamName"] = "s"
			}
			c.wants(tt.code, "UpdateShardCount", tt.in)
		}
		_, code := c.updateShardCount(10)
		if code != "" {
			t.Fatal(code)
		}
		if _, code := c.updateShardCount(9); code != "ResourceInUseException" {
			t.Errorf("while UPDATING: %q", code)
		}
		time.Sleep(time.Second)
		if _, code := c.updateShardCount(11); code != limited {
			t.Errorf("more than the stream may have: %q", code)
		}
		// The way from 10 to 9 takes 8 pieces more than there are shards.
		if _, code := c.updateShardCount(9); code != limited {
			t.Errorf("more than the account may have on the way: %q", code)
		}
		for range 2 {
			if _, code := c.updateShardCount(10); code != "" {
				t.Error(code)
			}
			time.Sleep(time.Second)
		}
		if _, code := c.updateShardCount(10); code != limited {
			t.Errorf("a fourth time within a day: %q", code)
		}
		time.Sleep(24*time.Hour - 3*time.Second)
		if _, code := c.updateShardCount(10); code != "" {
			t.Errorf("a day after the first: %q", code)
		}
	})
}

func TestScaleFactor(t *testing.T) {
	for _, tt := range []struct {
		factor, from, to int
		code             string
	}{
		{2, 3, 6, ""}, {2, 3, 7, limited}, {2, 5, 3, ""}, {2, 5, 2, limited}, {2, 4, 2, ""}, {2, 1, 1, ""},
		{3, 2, 6, ""}, {3, 2, 7, limited}, {3, 7, 3, ""}, {3, 7, 2, limited},
		{1, 2, 2, ""}, {1, 2, 3, limited}, {0, 1, 100, ""}, {0, 100, 1, ""}, {math.MaxInt, 50, 1, ""}, {math.MaxInt, 1, 50, ""},
	} {
		t.Run(fmt.Sprint(tt.factor, tt.from, tt.to), func(t *testing.T) {
			inBubble(t, Options{Limits: Limits{ScaleFactor: tt.factor}}, func(c caller) {
				c.create(tt.from)
				if _, code := c.updateShardCount(tt.to); code != tt.code {
					c.Errorf("from %d to %d with factor %d: %q, want %q", tt.from, tt.to, tt.factor, code, tt.code)
				}
			})
		})
	}
}

// Short-lived shards are empty, and every listing at a time shows a whole ring.
func TestShortLivedShards(t *testing.T) {
	inBubble(t, Options{}, func(c caller) {
		t := c.T
		c.create(3)
		for i := range 30 {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": fmt.Sprint(i), "Data": data(1)})
		}
		time.Sleep(10 * time.Second)
		if _, code := c.updateShardCount(5); code != "" {
			t.Fatal(code)
		}
		time.Sleep(10 * time.Second)
		for i := range 30 {
			c.must("PutRecord", object{"StreamName": "s", "PartitionKey": fmt.Sprint(i), "Data": data(1)})
		}
		shards := c.Shards("s")
		for i, sh := range shards {
			if short := i >= 3 && sh.EndingSequenceNumber != ""; short && sh.Records != 0 || !short && sh.Records == 0 {
				t.Errorf("%s has %d records", sh.ID, sh.Records)
			}
			if sh.EndingSequenceNumber == "" {
				continue
			}
			// A reader is led from each closed shard to its children.
			page := c.must("GetRecords", object{"ShardIterator": c.iterator(sh.ID, "TRIM_HORIZON")})
			if page["NextShardIterator"] != nil || len(page["ChildShards"].([]any)) == 0 {
				t.Errorf("the last page of %s is %v", sh.ID, page)
			}
		}
		now := float64(time.Now().Unix())
		for _, tt := range []struct {
			filter object
			want   int
		}{
			{object{"Type": "AT_TRIM_HORIZON"}, 3},
			{object{"Type": "AT_LATEST"}, 5},
			{object{"Type": "AT_TIMESTAMP", "Timestamp": now - 15}, 3},
			{object{"Type": "AT_TIMESTAMP", "Timestamp": now - 5}, 5},
			{object{"Type": "FROM_TIMESTAMP", "Timestamp": now - 15}, len(shards)},
		} {
			got := c.must("ListShards", object{"StreamName": "s", "ShardFilter": tt.filter})["Shards"].([]any)
			if len(got) != tt.want {
				t.Errorf("%v shows %d shards, want %d", tt.filter, len(got), tt.want)
			}
		}
	})
}

// Whatever the reshards, the open shards tile the ring, are what was asked for,
// and every shard begins above the end of its parents.
func TestReshardsKeepTheRing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{})
		must := func(e error, ok bool) {
			if ok {
				t.Fatal(e)
			}
		}
		e := s.CreateStream("s", rapid.IntRange(1, 12).Draw(t, "shards"))
		must(e, e != nil)
		name := "s"
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			st := s.streams["s"]
			open := st.routes.shards
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				sh := open[rapid.IntRange(0, len(open)-1).Draw(t, "split")]
				at := sh.hashes.Middle().String()
				if distance(sh.hashes.Start, sh.hashes.End) < 4 {
					continue
				}
				if rapid.Bool().Draw(t, "odd") {
					at = sh.hashes.Start.Next().Next().String()
				}
				_, e := s.splitShard(&splitShardInput{ref{StreamName: &name}, &sh.id, &at})
				must(e, e != nil)
			case 1:
				if len(open) > 1 {
					i := rapid.IntRange(0, len(open)-2).Draw(t, "merge")
					_, e := s.mergeShards(&mergeShardsInput{ref{StreamName: &name}, &open[i+1].id, &open[i].id})
					must(e, e != nil)
				}
			default:
				n, kind := rapid.IntRange(1, 24).Draw(t, "scale"), "UNIFORM_SCALING"
				_, e := s.updateShardCount(&updateShardCountInput{ref{StreamName: &name}, &kind, &n})
				must(e, e != nil)
				for i, r := range shardmap.Split(n) {
					if got := s.streams["s"].routes.shards[i].hashes; distance(got.Start, r.Start) > 1<<32 {
						t.Fatalf("shard %d of %d has %v, want %v", i, n, got, r)
					}
				}
			}
		}
		st := s.streams["s"]
		if got := s.openShards.Load(); int(got) != len(st.routes.shards) {
			t.Fatalf("%d shards counted, %d open", got, len(st.routes.shards))
		}
		for _, sh := range st.shards {
			for _, p := range []*shard{sh.parent, sh.adjacent} {
				if p != nil && p.ending.String() >= sh.starting().String() {
					t.Fatalf("%s begins at %s, its parent %s ends at %s", sh.id, sh.starting(), p.id, p.ending)
				}
			}
			if children := st.children(sh); (sh.closed != 0) != (len(children) > 0) {
				t.Fatalf("%s has %d children", sh.id, len(children))
			}
		}
	})
}

// The largest change that a stream may make.
func TestScaleTenThousand(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	if e := s.CreateStream("s", 9000); e != nil {
		t.Fatal(e)
	}
	name, kind, n := "s", "UNIFORM_SCALING", 10_000
	if _, e := s.updateShardCount(&updateShardCountInput{ref{StreamName: &name}, &kind, &n}); e != nil {
		t.Fatal(e)
	}
	if got := len(s.streams["s"].routes.shards); got != n {
		t.Errorf("%d open shards", got)
	}
}
