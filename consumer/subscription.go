package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	// subscribeTimeout ends a SubscribeToShard that does not answer. Its answer
	// begins at once, whether or not there are records.
	subscribeTimeout = 10 * time.Second

	// silence is how long a subscription may say nothing while it is read. The
	// service sends an event about every 5 s if there is nothing to send.
	silence = 15 * time.Second
)

var (
	errSilent    = fmt.Errorf("consumer: the subscription said nothing for %v", silence)
	errTorn      = errors.New("consumer: the subscription was cut within an event")
	errNoAnswer  = fmt.Errorf("consumer: SubscribeToShard did not answer for %v", subscribeTimeout)
	errNoStream  = errors.New("consumer: SubscribeToShard answered without a stream")
	errEndedWell = fmt.Errorf("consumer: the subscription has ended: %w", io.EOF)
)

// A subscription reads one shard by enhanced fan-out, for 5 minutes at most. It
// belongs to one goroutine, which closes it.
type subscription struct {
	*place
	account *account
	events  *kinesis.SubscribeToShardEventStream
	gate    *gate // nil if the client is not the SDK's
	cancel  context.CancelFunc
	opened  time.Time // at the latest
	served  int       // events
}

// subscribe opens a subscription where the reading goes on.
func (f *fanOut) subscribe(ctx context.Context, p *place, a *account, arn string) (*subscription, error) {
	at, called := p.resume(), time.Now()
	// What the call is given lives as long as its events.
	life, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(subscribeTimeout, func() { cancel(errNoAnswer) })
	client := new(gatedClient)
	out, err := f.client.SubscribeToShard(life, &kinesis.SubscribeToShardInput{
		ConsumerARN: &arn, ShardId: &p.shardID,
		StartingPosition: &types.StartingPosition{Type: at.kind, SequenceNumber: at.sequence, Timestamp: at.at},
	}, f.perCall(client, p.wire))
	if !late.Stop() && err == nil {
		err = errNoAnswer
	}
	if cause := context.Cause(life); cause != nil && err != nil {
		err = cause
	}
	var events *kinesis.SubscribeToShardEventStream
	if out != nil {
		events = out.GetStream()
	}
	if err == nil && events == nil {
		err = errNoStream
	}
	s := &subscription{place: p, account: a, events: events, gate: client.gate, opened: time.Now(), cancel: func() { cancel(nil) }}
	if err != nil {
		s.close()
		return nil, err
	}
	p.begun(at, called, out.ResultMetadata)
	if err := p.pinStart(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the subscription and waits for the SDK's goroutines, which a
// cancelled context alone does not end.
func (s *subscription) close() {
	if s.events != nil {
		_ = s.events.Close() // says what Err does
	}
	s.cancel()
	if s.events != nil {
		for range s.events.Events() { // closed by whoever sends
		}
	}
}

// next returns the next event as a page. It waits for room first, then for the
// server, and only the latter can take too long. The error is the cause of ctx's
// end, or says why the subscription is over.
func (s *subscription) next(ctx context.Context) (page, error) {
	n := s.account.expected()
	if s.gate != nil {
		var err error
		if n, err = s.announced(ctx); err != nil {
			return page{}, err
		}
	}
	room, err := s.account.reserve(ctx, n)
	if err != nil {
		return page{}, err
	}
	e, err := s.event(ctx)
	if err != nil {
		room.cancel()
		return page{}, err
	}
	pg, err := s.page(ctx, e)
	if err != nil {
		room.cancel()
		return page{}, err
	}
	pg.mem = room.settle(pg.records, pg.buffer)
	s.served++
	s.took(pg, aws.ToString(e.ContinuationSequenceNumber))
	return pg, nil
}

// announced waits until the next event has begun to come, and returns how long it
// is.
func (s *subscription) announced(ctx context.Context) (int64, error) {
	wait, cancel := context.WithTimeoutCause(ctx, silence, errSilent)
	defer cancel()
	if n, ok := s.gate.ask(wait); ok {
		return n, nil
	}
	return 0, s.over(ctx, wait)
}

// event waits for the event that was announced. It may come slowly, but must come
// on.
func (s *subscription) event(ctx context.Context) (types.SubscribeToShardEvent, error) {
	watch := time.NewTimer(silence)
	defer watch.Stop()
	var read int64
	if s.gate != nil {
		read = s.gate.read.Load()
		if !s.gate.grant(ctx) {
			return types.SubscribeToShardEvent{}, s.over(ctx, ctx)
		}
	}
	for {
		select {
		case e, ok := <-s.events.Events():
			if !ok {
				return types.SubscribeToShardEvent{}, s.over(ctx, ctx)
			}
			if m, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
				return m.Value, nil
			}
			return types.SubscribeToShardEvent{}, fmt.Errorf("consumer: an event of a kind not known: %T", e)
		case <-ctx.Done():
			return types.SubscribeToShardEvent{}, context.Cause(ctx)
		case <-watch.C:
		}
		if s.gate == nil || s.gate.read.Load() == read {
			return types.SubscribeToShardEvent{}, errSilent
		}
		read = s.gate.read.Load()
		watch.Reset(silence)
	}
}

// over says why nothing more comes.
func (s *subscription) over(ctx, wait context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case wait.Err() != nil:
		return context.Cause(wait)
	case s.events.Err() != nil:
		return s.events.Err()
	case s.gate != nil && s.gate.torn.Load():
		return errTorn
	}
	return errEndedWell
}

// page makes a page of an event. Without a number to go on by the shard has
// ended.
func (s *subscription) page(ctx context.Context, e types.SubscribeToShardEvent) (page, error) {
	pg := page{
		at: time.Now(), records: e.Records, behind: time.Duration(aws.ToInt64(e.MillisBehindLatest)) * time.Millisecond,
		beat: len(e.Records) == 0,
	}
	if aws.ToString(e.ContinuationSequenceNumber) != "" {
		return pg, nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	children, err := s.childrenAtEnd(call, e.ChildShards)
	if err != nil {
		return page{}, err // the event is read again by the next subscription
	}
	pg.end, pg.beat, pg.children = true, false, children
	return pg, nil
}
