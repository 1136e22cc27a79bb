package stream

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	mostTags          = 50 // of a resource
	mostTagsInRequest = 200
	tagsPage          = 50
	longestTagKey     = 128
	longestTagValue   = 256
)

type tag struct {
	Key   string
	Value string
}

// tags checks the form of tags to be set.
func (v *violations) tags(tags map[string]string) {
	if len(tags) > mostTagsInRequest {
		v.add("{...}", "tags", "Member must have length less than or equal to %d", mostTagsInRequest)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		value := tags[k]
		v.length("tags", &k, 1, longestTagKey)
		v.length("tags."+k, &value, 0, longestTagValue)
	}
}

// checkTags judges the tags that a resource is to have.
func checkTags(tags map[string]string, resource string) *api.Error {
	if len(tags) > mostTags {
		return invalid("Failed to add tags to %s because a resource cannot have more than %d tags associated with it.", resource, mostTags)
	}
	for k, value := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return invalid("Failed to add tags to %s: the tag key %.128s begins with aws:, which is reserved.", resource, k)
		case strings.ContainsFunc(k+value, oddInTag):
			return invalid("Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . : / = + - %% @.")
		}
	}
	return nil
}

func oddInTag(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r) && !strings.ContainsRune("_.:/=+-%@", r)
}

// sortedTags returns tags by key, as they are listed.
func sortedTags(tags map[string]string) []tag {
	out := make([]tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tag{k, tags[k]})
	}
	return out
}

// tagged runs f on the tags of a resource. With change set f may put others
// there.
func (s *Service) tagged(at reach, change bool, f func(resource string, tags *map[string]string) *api.Error) *api.Error {
	return at(func(st *stream, c *consumer, _ time.Time) *api.Error {
		if change {
			if e := st.idle(s.opts.Identity.AccountID); e != nil {
				return e
			}
		}
		if c != nil {
			return f("consumer "+c.name, &c.tags)
		}
		return f("stream "+st.name+" under account "+s.opts.Identity.AccountID, &st.tags)
	})
}

func (s *Service) setTags(at reach, tags map[string]string) *api.Error {
	var v violations
	switch {
	case tags == nil:
		v.add(nil, "tags", notNull)
	case len(tags) == 0:
		v.add("{}", "tags", "Member must have length greater than or equal to 1")
	}
	v.tags(tags)
	if e := v.err(); e != nil {
		return e
	}
	return s.tagged(at, true, func(resource string, have *map[string]string) *api.Error {
		all := make(map[string]string, len(*have)+len(tags))
		maps.Copy(all, *have)
		maps.Copy(all, tags)
		if e := checkTags(all, resource); e != nil {
			return e
		}
		*have = all
		return nil
	})
}

func (s *Service) removeTags(at reach, keys []string) *api.Error {
	var v violations
	switch n := len(keys); {
	case keys == nil:
		v.add(nil, "tagKeys", notNull)
	case n < 1:
		v.add("[]", "tagKeys", "Member must have length greater than or equal to 1")
	case n > mostTags:
		v.add("[...]", "tagKeys", "Member must have length less than or equal to %d", mostTags)
	}
	for _, k := range keys {
		v.length("tagKeys", &k, 1, longestTagKey)
	}
	if e := v.err(); e != nil {
		return e
	}
	return s.tagged(at, true, func(_ string, have *map[string]string) *api.Error {
		*have = maps.Clone(*have)
		for _, k := range keys {
			delete(*have, k)
		}
		return nil
	})
}

type addTagsInput struct {
	ref
	Tags map[string]string
}

func (s *Service) addTagsToStream(in *addTagsInput) (any, *api.Error) {
	return nil, s.setTags(s.byRef(in.ref), in.Tags)
}

type removeTagsInput struct {
	ref
	TagKeys []string
}

func (s *Service) removeTagsFromStream(in *removeTagsInput) (any, *api.Error) {
	return nil, s.removeTags(s.byRef(in.ref), in.TagKeys)
}

type listTagsInput struct {
	ref
	ExclusiveStartTagKey *string
	Limit                *int
}

type listTagsOutput struct {
	Tags        []tag
	HasMoreTags bool
}

func (s *Service) listTagsForStream(in *listTagsInput) (any, *api.Error) {
	var v violations
	v.length("exclusiveStartTagKey", in.ExclusiveStartTagKey, 1, longestTagKey)
	v.between("limit", in.Limit, 1, tagsPage)
	if e := v.err(); e != nil {
		return nil, e
	}
	var out listTagsOutput
	e := s.tagged(s.byRef(in.ref), false, func(_ string, tags *map[string]string) *api.Error {
		out.Tags = sortedTags(*tags)
		return nil
	})
	if after := in.ExclusiveStartTagKey; after != nil {
		out.Tags = slices.DeleteFunc(out.Tags, func(t tag) bool { return t.Key <= *after })
	}
	page := tagsPage
	if in.Limit != nil {
		page = *in.Limit
	}
	if out.HasMoreTags = len(out.Tags) > page; out.HasMoreTags {
		out.Tags = out.Tags[:page]
	}
	return out, e
}

type tagResourceInput struct {
	resourceRef
	Tags map[string]string
}

func (s *Service) tagResource(in *tagResourceInput) (any, *api.Error) {
	return nil, s.setTags(s.byARN(in.resourceRef), in.Tags)
}

type untagResourceInput struct {
	resourceRef
	TagKeys []string
}

func (s *Service) untagResource(in *untagResourceInput) (any, *api.Error) {
	return nil, s.removeTags(s.byARN(in.resourceRef), in.TagKeys)
}

func (s *Service) listTagsForResource(in *resourceRef) (any, *api.Error) {
	var out struct{ Tags []tag }
	e := s.tagged(s.byARN(*in), false, func(_ string, tags *map[string]string) *api.Error {
		out.Tags = sortedTags(*tags)
		return nil
	})
	return out, e
}
