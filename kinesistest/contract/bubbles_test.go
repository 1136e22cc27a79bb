//go:build go1.26

package contract_test

// http2InBubbles says whether net/http's HTTP/2 server may run in several test
// bubbles of one process.
const http2InBubbles = true
