//go:build !go1.26

package contract_test

// Until Go 1.26 net/http's HTTP/2 server keeps channels of one request for those
// of another, which ends a process in which the two are of different bubbles. TLS
// is then checked with HTTP/1.1.
const http2InBubbles = false
