package main

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/kinesis-go/kinesis/aggregation"
)

// record is a line of the input. Names are matched in any case, so those of the
// AWS command line do too.
type record struct {
	PartitionKey    string `json:"partitionKey"`
	ExplicitHashKey string `json:"explicitHashKey"`
	Data            []byte `json:"data"`
}

// userRecord is a line of the output.
type userRecord struct {
	I       int64  `json:"i"`
	Sub     int    `json:"sub"`
	Key     string `json:"key"`
	HashKey string `json:"hashKey,omitempty"`
	Data    []byte `json:"data"`
}

// refusal is a line of the output for a line that is no record.
type refusal struct {
	I     int64  `json:"i"`
	Error string `json:"error"`
}

// split writes the user records of line i. It fails if the line is no record;
// what goes wrong with writing comes back at the next flush.
func split(i int64, line []byte, enc *json.Encoder) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	var malformed *aggregation.MalformedError
	agg, err := aggregation.Decode(r.Data)
	switch {
	case errors.Is(err, aggregation.ErrNotAggregated), errors.As(err, &malformed):
		// Never an aggregate, or damaged: the record is its own payload.
		return enc.Encode(userRecord{i, 0, r.PartitionKey, r.ExplicitHashKey, present(r.Data)})
	case err != nil:
		return err
	}
	for sub, u := range agg.Records() {
		if err := enc.Encode(userRecord{i, sub, u.PartitionKey, u.ExplicitHashKey, present(u.Data)}); err != nil {
			return err
		}
	}
	return nil
}

// present makes empty data the JSON string "" and not null.
func present(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}
