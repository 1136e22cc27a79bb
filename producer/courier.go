package producer

import (
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// maxAnswerBytes bounds the answer to a call. The longest that there are, of a
// PutRecords that failed 500 times or a ListShards of 1,000 shards, have less
// than half a megabyte.
const maxAnswerBytes = 8 << 20

var errLongAnswer = errors.New("producer: the answer has more than 8 MiB")

// A courier carries one call: it knows whether the call ever left, and it does
// not read an answer without an end. It belongs to the goroutine of the call.
type courier struct {
	client   kinesis.HTTPClient // nil while the SDK has not asked for options
	departed bool
}

// hire makes the courier the HTTP client of a call.
func (c *courier) hire(o *kinesis.Options) {
	if o.HTTPClient != nil {
		c.client, o.HTTPClient = o.HTTPClient, c
	}
}

// held reports whether a call that failed was never sent, for example because
// there were no credentials to sign it with.
func (c *courier) held() bool { return c.client != nil && !c.departed }

// Do sends a request.
func (c *courier) Do(r *http.Request) (*http.Response, error) {
	c.departed = true
	resp, err := c.client.Do(r)
	if err == nil && resp.Body != nil {
		resp.Body = &answerBody{resp.Body, maxAnswerBytes}
	}
	return resp, err
}

// An answerBody ends with an error where an answer is too long.
type answerBody struct {
	io.ReadCloser
	left int
}

func (b *answerBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errLongAnswer
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
