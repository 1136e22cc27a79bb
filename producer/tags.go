package producer

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"github.com/kinesis-go/kinesis/aggregation"
)

// IDTag is the key of the tag that carries a record's ID.
const IDTag = aggregation.IDTag

const maxIDBytes = 256

// Ids gives records names. What comes before the number is random and not the
// producer's id, since a program that is started again under the same id must
// not give the same names to other records.
type ids struct {
	prefix string
	last   atomic.Uint64
}

func newIDs() ids { return ids{prefix: rand.Text() + "-"} }

func (n *ids) next() string { return n.prefix + strconv.FormatUint(n.last.Add(1), 36) }

// tag returns all tags of a record, checked and in memory of their own, and gives
// it an ID if records are to have one.
func (p *Producer) tag(ctx context.Context, r *Record) (aggregation.Tags, error) {
	if r.ID == "" && r.Tags == (aggregation.Tags{}) && !p.opts.RecordIDs && p.opts.Tags == nil {
		return r.Tags, nil
	}
	tags := slices.Collect(r.Tags.All())
	if p.opts.Tags != nil {
		if ctx == nil {
			ctx = context.Background() //nolint:forbidigo // TryPut's caller has none
		}
		tags = slices.AppendSeq(tags, p.opts.Tags(ctx, *r).All())
	}
	if r.ID == "" {
		r.ID = idOf(tags)
	} else {
		tags = slices.DeleteFunc(tags, func(t aggregation.Tag) bool { return t.Key == IDTag })
		tags = append(tags, aggregation.Tag{Key: IDTag, Value: r.ID})
	}
	if r.ID == "" && p.opts.RecordIDs {
		r.ID = p.ids.next()
		tags = append(tags, aggregation.Tag{Key: IDTag, Value: r.ID})
	}
	if len(r.ID) > maxIDBytes || !utf8.ValidString(r.ID) {
		return aggregation.Tags{}, &RecordError{"ID", quote(r.ID), fmt.Sprintf("must be at most %d bytes of UTF-8", maxIDBytes)}
	}
	if len(tags) == 0 {
		return aggregation.Tags{}, nil
	}
	out, err := aggregation.NewTags(tags...)
	if err != nil { // those of a record that was read may hold anything
		return out, &RecordError{"Tags", err.Error(), "must be valid UTF-8"}
	}
	return out, nil
}

// idOf returns the ID among tags, if there is one.
func idOf(tags []aggregation.Tag) string {
	for _, t := range tags {
		if t.Key == IDTag {
			return t.Value
		}
	}
	return ""
}

// cloneTags returns tags in memory of their own: those of a record in an
// aggregate are in the aggregate's, which is used again.
func cloneTags(tags aggregation.Tags) aggregation.Tags {
	if tags == (aggregation.Tags{}) {
		return tags
	}
	out, err := aggregation.NewTags(slices.Collect(tags.All())...)
	if err != nil {
		panic("producer: checked tags refused: " + err.Error())
	}
	return out
}

// tagBytes is what tags are charged.
func tagBytes(tags aggregation.Tags) (n int64) {
	if tags == (aggregation.Tags{}) {
		return 0
	}
	for t := range tags.All() {
		n += int64(len(t.Key) + len(t.Value) + tagOverhead)
	}
	return n
}
