package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kinesis/checkpoint"
)

// scripted is a Kinesis whose GetRecords answers are a list of functions, the
// last one repeated. It notes every call and when it came.
type scripted struct {
	get      []func(it string) (*kinesis.GetRecordsOutput, error)
	iterator func(*kinesis.GetShardIteratorInput) error
	shards   []types.Shard
	listErr  error

	begun time.Time
	calls []string
	n     int
}

func (s *scripted) note(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf("%v ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

func (s *scripted) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	at := string(in.ShardIteratorType)
	if in.StartingSequenceNumber != nil {
		at += "=" + *in.StartingSequenceNumber
	}
	if in.Timestamp != nil {
		at += "=" + in.Timestamp.Sub(s.begun).String()
	}
	s.note("iterator %s", at)
	if s.iterator != nil {
		if err := s.iterator(in); err != nil {
			return nil, err
		}
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String("it-" + at)}, nil
}

func (s *scripted) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	s.note("get %s", *in.ShardIterator)
	f := s.get[min(s.n, len(s.get)-1)]
	s.n++
	return f(*in.ShardIterator)
}

func (s *scripted) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	s.note("list")
	return &kinesis.ListShardsOutput{Shards: s.shards}, s.listErr
}

// gives returns an answer: the records, the next iterator ("" for the end) and
// how far behind the reader is.
func gives(next string, behind time.Duration, seqs ...int) func(string) (*kinesis.GetRecordsOutput, error) {
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(behind.Milliseconds())}
	if next != "" {
		out.NextShardIterator = &next
	}
	for _, n := range seqs {
		out.Records = append(out.Records, wireRecord(strconv.Itoa(n), "k", nil))
	}
	return func(string) (*kinesis.GetRecordsOutput, error) { return out, nil }
}

func fails(code string) func(string) (*kinesis.GetRecordsOutput, error) {
	return func(string) (*kinesis.GetRecordsOutput, error) { return nil, &smithy.GenericAPIError{Code: code} }
}

// poll runs a poller from a position for a number of pages in a bubble and
// returns the sequence numbers read, the calls made and the last page.
func poll(t *testing.T, s *scripted, from checkpoint.Position, pages int, events *Events) (read []string, last page) {
	t.Helper()
	o := defaults()
	if events != nil {
		o.Events = *events
	}
	s.begun = time.Now()
	p := &poller{interval: time.Second, place: &place{
		client: s, stream: streamRef{name: "clicks"}, shardID: "shardId-000000000000",
		start: s.begun.Add(-time.Hour), identity: "w", opts: &o, from: from,
	}}
	for range pages {
		pg, err := p.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range pg.records {
			read = append(read, *r.SequenceNumber)
		}
		last = pg
	}
	return read, last
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestPollerPacesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){
			gives("a", time.Minute, 1, 2), // behind: as fast as a shard allows
			gives("b", time.Minute),       // a gap is no tip
			gives("c", 0, 3),              // at the tip: the interval
			gives("d", 0),
		}}
		read, _ := poll(t, s, checkpoint.TrimHorizon, 4, nil)
		expect(t, "read", read, []string{"1", "2", "3"})
		expect(t, "calls", s.calls, []string{
			"0s iterator TRIM_HORIZON", "0s get it-TRIM_HORIZON", "200ms get a", "400ms get b", "1.4s get c",
		})
	})
}

// An expired iterator is made again behind the last record, not at it (KCL#1014),
// and not where the tenure began.
func TestPollerResumesBehindTheLastRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){
			gives("a", 0, 7), fails("ExpiredIteratorException"), gives("b", 0, 8),
		}}
		read, _ := poll(t, s, checkpoint.At("5"), 2, nil)
		expect(t, "read", read, []string{"7", "8"})
		expect(t, "calls", s.calls, []string{
			"0s iterator AT_SEQUENCE_NUMBER=5", "0s get it-AT_SEQUENCE_NUMBER=5", "1s get a",
			"1.2s iterator AFTER_SEQUENCE_NUMBER=7", "1.2s get it-AFTER_SEQUENCE_NUMBER=7",
		})
	})
}

// The stored position may lie inside an aggregate, so an iterator that expires
// before the first record was read is made AT it again.
func TestPollerRepeatsTheFirstPosition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){fails("ExpiredIteratorException"), gives("b", 0, 5)}}
		poll(t, s, checkpoint.At("5"), 1, nil)
		if got := s.calls[2]; got != "200ms iterator AT_SEQUENCE_NUMBER=5" {
			t.Errorf("second iterator: %s", got)
		}
	})
}

// LATEST means another place with each call. Once the shard has answered, what
// arrived afterwards counts as not read.
func TestPollerPinsLatest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){
			gives("a", 0), gives("b", 0), fails("ExpiredIteratorException"), gives("c", 0, 1),
		}}
		read, _ := poll(t, s, checkpoint.Latest, 3, nil)
		expect(t, "read", read, []string{"1"})
		expect(t, "calls", s.calls, []string{
			"0s iterator LATEST", "0s get it-LATEST", "1s get a", "2s get b",
			"2.2s iterator AT_TIMESTAMP=1s", "2.2s get it-AT_TIMESTAMP=1s",
		})
	})
}

func TestPollerBacksOffFromThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttled := fails("ProvisionedThroughputExceededException")
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){throttled, throttled, throttled, throttled, throttled, throttled, gives("a", 0, 1)}}
		var failures []int
		read, _ := poll(t, s, checkpoint.AtTimestamp, 1, &Events{ReadFailed: func(i ReadFailedInfo) {
			if failures = append(failures, i.Failures); !i.Throttled || i.Stream != "clicks" {
				t.Errorf("reported %+v, want throttling", i)
			}
		}})
		expect(t, "read", read, []string{"1"})
		if !slices.Equal(failures, []int{1, 2, 3, 4, 5, 6}) || s.calls[0] != "0s iterator AT_TIMESTAMP=-1h0m0s" {
			t.Errorf("failures %v, first call %s", failures, s.calls[0])
		}
		for i, c := range s.calls[1:] {
			if !strings.HasSuffix(c, "get it-AT_TIMESTAMP=-1h0m0s") {
				t.Errorf("call %d is %s: throttling is no reason for a new iterator", i+1, c)
			}
		}
		if took := time.Since(s.begun); took < 1200*time.Millisecond || took > 20*time.Second {
			t.Errorf("six throttled calls took %v", took)
		}
	})
}

// The last page of a closed shard has records and no next iterator.
func TestPollerDeliversTheLastPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){
			func(string) (*kinesis.GetRecordsOutput, error) {
				out, _ := gives("", 0, 1, 2)("")
				out.ChildShards = []types.ChildShard{{
					ShardId: aws.String("shardId-000000000001"), ParentShards: []string{"shardId-000000000000"},
					HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String("9")},
				}}
				return out, nil
			},
		}}
		read, last := poll(t, s, checkpoint.TrimHorizon, 1, nil)
		expect(t, "read", read, []string{"1", "2"})
		if !last.end || len(last.children) != 1 || last.children[0].ID != "shardId-000000000001" || last.children[0].Range.End.Lo != 9 {
			t.Errorf("last page: end %v, children %+v", last.end, last.children)
		}
	})
}

func shard(id string, closed bool, parents ...string) types.Shard {
	s := types.Shard{ShardId: &id, SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1")}}
	if closed {
		s.SequenceNumberRange.EndingSequenceNumber = aws.String("2")
	}
	if len(parents) > 0 {
		s.ParentShardId = &parents[0]
	}
	if len(parents) > 1 {
		s.AdjacentParentShardId = &parents[1]
	}
	return s
}

// Servers that do not name the children with the last page list them. A shard
// that is listed as open has not ended: its page is read again.
func TestPollerChecksAnEndWithoutChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{shards: []types.Shard{shard("shardId-000000000000", false)}}
		s.get = []func(string) (*kinesis.GetRecordsOutput, error){
			gives("", 0, 1),
			func(it string) (*kinesis.GetRecordsOutput, error) {
				s.shards = []types.Shard{
					shard("shardId-000000000000", true),
					shard("shardId-000000000001", false, "shardId-000000000000"),
					shard("shardId-000000000002", false, "shardId-000000000009", "shardId-000000000000"),
					shard("shardId-000000000003", false, "shardId-000000000009"),
				}
				return gives("", 0, 1)(it)
			},
		}
		read, last := poll(t, s, checkpoint.TrimHorizon, 1, nil)
		expect(t, "read", read, []string{"1"})
		if !last.end || len(last.children) != 2 || s.n != 2 {
			t.Errorf("end %v, children %+v after %d calls; want two children after two calls", last.end, last.children, s.n)
		}
		if got := s.calls[len(s.calls)-2]; !strings.HasSuffix(got, "get it-TRIM_HORIZON") {
			t.Errorf("the page was read again by %q, want the same iterator: its records were not delivered", got)
		}
	})
}

func TestPollerTellsAGoneShardFromAGoneStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The stream cannot be seen, then it can, without the shard.
		s := &scripted{listErr: &smithy.GenericAPIError{Code: "ResourceNotFoundException"}}
		var skipped []SkippedInfo
		s.get = []func(string) (*kinesis.GetRecordsOutput, error){
			fails("ResourceNotFoundException"),
			func(it string) (*kinesis.GetRecordsOutput, error) {
				s.listErr = nil
				s.shards = []types.Shard{shard("shardId-000000000005", false, "shardId-000000000000")}
				return fails("ResourceNotFoundException")(it)
			},
		}
		_, last := poll(t, s, checkpoint.At("3"), 1, &Events{Skipped: func(i SkippedInfo) { skipped = append(skipped, i) }})
		if !last.end || len(last.children) != 1 || s.n != 2 {
			t.Errorf("end %v, children %v after %d calls", last.end, last.children, s.n)
		}
		if len(skipped) != 1 || skipped[0].Reason != SkippedTrimmed || skipped[0].From != checkpoint.At("3") || skipped[0].To != checkpoint.ShardEnd {
			t.Errorf("reported %+v, want everything behind 3", skipped)
		}
	})
}

func TestPollerGoesOnAtTheHorizonWhenItsPositionIsTrimmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0, 9)}}
		s.iterator = func(in *kinesis.GetShardIteratorInput) error {
			if in.ShardIteratorType == types.ShardIteratorTypeAtSequenceNumber {
				return &smithy.GenericAPIError{Code: "InvalidArgumentException", Message: "trimmed"}
			}
			return nil
		}
		var skipped []SkippedInfo
		read, _ := poll(t, s, checkpoint.At("3"), 1, &Events{Skipped: func(i SkippedInfo) { skipped = append(skipped, i) }})
		expect(t, "read", read, []string{"9"})
		if len(skipped) != 1 || skipped[0].From != checkpoint.At("3") || skipped[0].To != checkpoint.TrimHorizon || skipped[0].Err == nil {
			t.Errorf("reported %+v, want what lies between 3 and the horizon", skipped)
		}
	})
}

func TestPollerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &scripted{begun: time.Now(), get: []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0)}}
		p := &poller{interval: time.Minute, place: &place{client: s, shardID: "shardId-000000000000", from: checkpoint.TrimHorizon}}
		if _, err := p.next(ctx); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := p.next(ctx); !errors.Is(err, cause) || time.Since(s.begun) != time.Second {
			t.Errorf("next returned %v after %v, want the cause after 1s", err, time.Since(s.begun))
		}
	})
}

// A server that starts at its horizon without a word when a position is trimmed
// gives itself away: the record that was stored as done does not come first.
func TestPollerNoticesThatItsPositionIsGone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		get  []func(string) (*kinesis.GetRecordsOutput, error)
		want string // what is reported
	}{
		{"still there", []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0, 5, 9)}, ""},
		{"gone", []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0, 9)}, "5 to 9"},
		{"gone, after an empty page", []func(string) (*kinesis.GetRecordsOutput, error){gives("a", time.Hour), gives("b", 0, 9)}, "5 to 9"},
		{"gone with all that followed", []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0), gives("", 0)}, "5 to SHARD_END"},
		{"an expired iterator is no reason", []func(string) (*kinesis.GetRecordsOutput, error){gives("a", 0, 5, 6), fails("ExpiredIteratorException"), gives("b", 0, 9)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []string
				s := &scripted{get: tt.get, shards: []types.Shard{shard("shardId-000000000000", true)}}
				poll(t, s, checkpoint.Position{SequenceNumber: "5", SubSequenceNumber: 2}, 2, &Events{Skipped: func(i SkippedInfo) {
					got = append(got, fmt.Sprintf("%s to %s", i.From.SequenceNumber, i.To))
				}})
				if strings.Join(got, ", ") != tt.want {
					t.Errorf("reported %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// Servers have been seen to name children without their parents. The list of
// shards knows better; without it the end of the shard could never be stored.
func TestPollerLooksUpChildrenNamedWithoutParents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{shards: []types.Shard{
			shard("shardId-000000000000", true), shard("shardId-000000000001", false, "shardId-000000000000"),
		}}
		s.get = []func(string) (*kinesis.GetRecordsOutput, error){func(it string) (*kinesis.GetRecordsOutput, error) {
			out, _ := gives("", 0, 1)(it)
			out.ChildShards = []types.ChildShard{{ShardId: aws.String("shardId-000000000001")}}
			return out, nil
		}}
		_, last := poll(t, s, checkpoint.TrimHorizon, 1, nil)
		if !last.end || len(last.children) != 1 || !slices.Equal(last.children[0].Parents, []string{"shardId-000000000000"}) {
			t.Errorf("end %v, children %+v", last.end, last.children)
		}
	})
}

// A stream that lists no shards at all is being deleted, or the answer is wrong:
// no reason to call a shard finished.
func TestPollerDoesNotEndAShardByAnEmptyList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{get: []func(string) (*kinesis.GetRecordsOutput, error){fails("ResourceNotFoundException"), gives("a", 0, 4)}}
		read, last := poll(t, s, checkpoint.At("3"), 1, nil)
		if last.end || !slices.Equal(read, []string{"4"}) {
			t.Errorf("end %v, read %v; want the page that came later", last.end, read)
		}
	})
}

// A shard that is newer than all that are listed is not one that is gone: the child
// of a reshard may be named by its parent's last page before everybody knows it.
func TestPollerDoesNotEndAShardThatIsNewToTheList(t *testing.T) {
	t.Parallel()
	cause := errors.New("not there")
	tests := []struct {
		name   string
		listed []types.Shard
		end    bool
	}{
		{"new", []types.Shard{shard("shardId-000000000003", true), shard("shardId-000000000004", true)}, false},
		{"past its retention", []types.Shard{shard("shardId-000000000006", true), shard("shardId-000000000011", false)}, true},
	}
	for _, tt := range tests {
		o := defaults()
		skipped := 0
		o.Events.Skipped = func(SkippedInfo) { skipped++ }
		p := &place{client: &scripted{shards: tt.listed}, shardID: "shardId-000000000007", opts: &o, from: checkpoint.TrimHorizon}
		pg, err := p.gone(t.Context(), cause)
		if pg.end != tt.end || (err == nil) != tt.end || (skipped > 0) != tt.end {
			t.Errorf("%s: end %v, error %v, %d times reported as skipped; want end %v", tt.name, pg.end, err, skipped, tt.end)
		}
	}
}
