package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kinesis-go/kinesis/aggregation"
	"github.com/kinesis-go/kinesis/kinesistest"
)

// The test binary is the program when it is told so, to be sent a signal.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_SERVICE") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A program is the service in a process of its own.
type program struct {
	*exec.Cmd
	url    string
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.CommandContext(t.Context(), os.Args[0], append([]string{"-listen", "127.0.0.1:0"}, args...)...)}
	p.Env = append(os.Environ(), "RUN_SERVICE=1")
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.Stderr = bufio.NewReader(out), &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("it did not start: %v, %s", err, p.stderr.String())
	}
	p.url = strings.TrimPrefix(strings.TrimSpace(line), "serving on ")
	return p
}

// end sends SIGTERM and returns the last line and the exit status.
func (p *program) end(t *testing.T) (last string, status int) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // the status tells
	return strings.TrimSpace(string(rest)), p.ProcessState.ExitCode()
}

func post(t *testing.T, url, data string) int {
	t.Helper()
	resp, err := http.Post(url, "text/plain", strings.NewReader(data))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func server(t *testing.T) (*kinesistest.Server, string) {
	t.Helper()
	srv := kinesistest.NewServer()
	t.Cleanup(srv.Close)
	url, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.CreateStream("clicks", 2); err != nil {
		t.Fatal(err)
	}
	return srv, url
}

// Whatever was accepted is stored when the service has ended after SIGTERM.
func TestThousandPostsThenSIGTERM(t *testing.T) {
	t.Parallel()
	srv, url := server(t)
	p := start(t, "-stream", "clicks", "-endpoint", url)
	var wg sync.WaitGroup
	for g := range 10 {
		wg.Go(func() {
			for i := range 100 {
				if status := post(t, fmt.Sprintf("%s/records/user-%d", p.url, i), fmt.Sprint("click ", g, " ", i)); status != http.StatusAccepted {
					t.Errorf("POST answers %d", status)
				}
			}
		})
	}
	wg.Wait()
	last, status := p.end(t)
	if want := "accepted 1000, stored 1000, not stored 0, unknown 0"; last != want || status != 0 {
		t.Errorf("it ends with %q and status %d, want %q and 0; %s", last, status, want, p.stderr.String())
	}
	found := map[string]int{}
	for r := range srv.Records("clicks") {
		agg, err := aggregation.Decode(r.Data)
		if err != nil {
			found[string(r.Data)]++
			continue
		}
		for _, u := range agg.Records() {
			found[string(u.Data)]++
		}
	}
	for g := range 10 {
		for i := range 100 {
			if n := found[fmt.Sprint("click ", g, " ", i)]; n != 1 {
				t.Errorf("click %d %d is stored %d times", g, i, n)
			}
		}
	}
}

// A stream that takes nothing fills the buffer, and then senders are told.
func TestFullBufferIs503(t *testing.T) {
	t.Parallel()
	srv, url := server(t)
	srv.Inject(kinesistest.Fault{Operation: "PutRecords", Error: kinesistest.Throttled})
	p := start(t, "-stream", "clicks", "-endpoint", url, "-buffer", "1000000", "-drain", "1ms")
	if status := post(t, p.url+"/records/"+strings.Repeat("k", 300), "x"); status != http.StatusBadRequest {
		t.Errorf("a key of 300 characters is answered with %d", status)
	}
	if status := post(t, p.url+"/records/k", strings.Repeat("x", 2<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB are answered with %d", status)
	}
	accepted := 0
	for ; accepted < 12; accepted++ {
		status := post(t, p.url+"/records/k", strings.Repeat("x", 100_000))
		if status == http.StatusServiceUnavailable {
			break
		}
		if status != http.StatusAccepted {
			t.Fatalf("POST answers %d", status)
		}
	}
	if accepted < 5 || accepted > 9 {
		t.Errorf("1,000,000 bytes hold %d records of 100,000", accepted)
	}
	for _, path := range []string{"/healthz", "/stats"} {
		resp, err := http.Get(p.url + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s = %v, %v", path, resp, err)
		}
		resp.Body.Close()
	}
	last, status := p.end(t)
	// A call that is under way when the time to drain is over leaves its records unknown.
	var took, stored, refused, unknown int
	if _, err := fmt.Sscanf(last, "accepted %d, stored %d, not stored %d, unknown %d", &took, &stored, &refused, &unknown); err != nil {
		t.Fatalf("it ends with %q: %v", last, err)
	}
	if took != accepted || stored != 0 || refused+unknown != accepted || status != 1 {
		t.Errorf("it ends with %q and status %d, want %d accepted, none stored, and 1", last, status, accepted)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"-stream", "s", "extra"}, {"-stream", "s", "-endpoint", "localhost"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || errs.Len() == 0 {
			t.Errorf("service %v: status %d, %q", args, status, errs.String())
		}
	}
}
