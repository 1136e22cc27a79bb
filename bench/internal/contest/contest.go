// Package contest is what every contestant of the comparison written in Go
// shares: how it is told what to do, how it says where it is, and what its records
// look like. It imports none of the libraries that are compared.
//
// A contestant is a process. Its arguments are key=value; it prints one JSON
// object a line: {"event":"start"} when it is ready,
// {"event":"end", …} when it is done. It then stays, so that it can be measured,
// until its standard input ends.
package contest

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Args are what a contestant is told.
type Args struct {
	Endpoint string // https://127.0.0.1:port, of Kinesis and DynamoDB
	Stream   string

	Records     int // that count
	Warm        int // put before them, only by those that put
	Size        int // bytes of data
	Keys        int // distinct partition keys
	Aggregate   bool
	Rate        int           // records a second, 0 for as fast as it goes
	Buffered    time.Duration // how long a record may wait for others
	TTL         time.Duration // how long a record may live
	Outstanding int           // records without a result

	Wire      string // "json", "cbor"
	Retrieval string // "polling", "fanout"
	Mode      string // "batch", "record", "keyed"

	Profile string // file for a CPU profile of the part that counts, none if empty
}

// Parse reads key=value arguments and ends the process on one it does not know.
func Parse(args []string) Args {
	var a Args
	number := func(p *int) func(string) error {
		return func(s string) (err error) { *p, err = strconv.Atoi(s); return err }
	}
	text := func(p *string) func(string) error {
		return func(s string) error { *p = s; return nil }
	}
	span := func(p *time.Duration) func(string) error {
		return func(s string) (err error) { *p, err = time.ParseDuration(s); return err }
	}
	known := map[string]func(string) error{
		"endpoint": text(&a.Endpoint), "stream": text(&a.Stream),
		"records": number(&a.Records), "warm": number(&a.Warm), "size": number(&a.Size), "keys": number(&a.Keys),
		"aggregate": func(s string) (err error) { a.Aggregate, err = strconv.ParseBool(s); return err },
		"rate":      number(&a.Rate), "buffered": span(&a.Buffered), "ttl": span(&a.TTL),
		"outstanding": number(&a.Outstanding),
		"wire":        text(&a.Wire), "retrieval": text(&a.Retrieval), "mode": text(&a.Mode),
		"profile": text(&a.Profile),
	}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		set := known[key]
		if set == nil {
			Fail(fmt.Errorf("unknown argument %q", arg))
		}
		if err := set(value); err != nil {
			Fail(fmt.Errorf("argument %q: %w", arg, err))
		}
	}
	return a
}

// Fail ends the process with an error.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Must is Fail for those who have an error only perhaps.
func Must(err error) {
	if err != nil {
		Fail(err)
	}
}

// Config is the AWS configuration that every contestant on version 2 of the SDK
// uses. The server's certificate is not checked, by any contestant.
func (a Args) Config() aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &a.Endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider("bench", "bench", ""),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = TLS()
			t.MaxIdleConnsPerHost = 64
		}),
	}
}

// TLS is the client's side of TLS.
func TLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // a server on loopback made for this run
}

// Sign makes a request one of Kinesis, for those who go without the SDK.
func Sign(a Args, req *http.Request, operation string, body []byte) {
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	sum := sha256.Sum256(body)
	creds, err := a.Config().Credentials.Retrieve(req.Context())
	Must(err)
	Must(v4.NewSigner().SignHTTP(req.Context(), creds, req, hex.EncodeToString(sum[:]), "kinesis", "us-east-1", time.Now()))
}

// Fill makes the data of record id: the id, the time if it is to be measured, and
// bytes.
func Fill(data []byte, id int, timed bool) {
	for i := range data {
		data[i] = byte(i*31 + id)
	}
	binary.BigEndian.PutUint64(data, uint64(id))
	if timed {
		binary.BigEndian.PutUint64(data[8:], uint64(time.Now().UnixNano()))
	}
}

// ID is the id in a record's data, -1 if it has none.
func ID(data []byte) int {
	if len(data) < 8 {
		return -1
	}
	return int(binary.BigEndian.Uint64(data))
}

// Keys are the partition keys: record id has key id modulo their number.
func Keys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%08d", i)
	}
	return keys
}

// An End is what a contestant says when it is done.
type End struct {
	Event    string `json:"event"`
	Stored   int    `json:"stored"`  // results that say so; -1 from those without results
	Failed   int    `json:"failed"`  // results that say the contrary
	Repeats  int    `json:"repeats"` // records delivered more than once
	Mallocs  uint64 `json:"mallocs"` // allocations in that time, 0 if not known
	GCCycles uint32 `json:"gc_cycles"`
}

// A Meter measures the part that counts.
type Meter struct {
	before  runtime.MemStats
	profile *os.File
}

// Start says that it begins.
func Start(a Args) *Meter {
	m := &Meter{}
	if a.Profile != "" {
		f, err := os.Create(a.Profile)
		Must(err)
		Must(pprof.StartCPUProfile(f))
		m.profile = f
	}
	runtime.GC()
	runtime.ReadMemStats(&m.before)
	say(End{Event: "start"})
	return m
}

// End says that it is over, and waits for the end of standard input.
func (m *Meter) End(e End) {
	e.Event = "end"
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	e.Mallocs, e.GCCycles = after.Mallocs-m.before.Mallocs, after.NumGC-m.before.NumGC
	say(e)
	if m.profile != nil {
		pprof.StopCPUProfile()
		Must(m.profile.Close())
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	Must(err)
}

func say(e End) {
	line, err := json.Marshal(e)
	Must(err)
	fmt.Println(string(line))
}
