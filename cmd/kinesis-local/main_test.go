package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// TestMain runs the program itself if a test starts this binary again.
func TestMain(m *testing.M) {
	if os.Getenv("KINESIS_LOCAL_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestServesUntilToldToEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int)
	go func() {
		status <- run(ctx, []string{"-listen", "127.0.0.1:0", "-stream", "clicks=3", "-region", "eu-west-1"}, w, io.Discard)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.Fields(line)[len(strings.Fields(line))-1]
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: &url,
		Region:       "eu-west-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
	out, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	if err != nil || len(out.Shards) != 3 {
		t.Errorf("ListShards = %+v, %v, want 3 shards", out, err)
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("run = %d, want 0", got)
	}
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it still answers after its end")
	}
}

// The certificate that it makes is enough to trust it.
func TestServesTLS(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int)
	go func() {
		status <- run(ctx, []string{"-listen", "127.0.0.1:0", "-tls-listen", "127.0.0.1:0"}, w, io.Discard)
		w.Close()
	}()
	lines := bufio.NewReader(r)
	var words [2][]string
	for i := range words {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		words[i] = strings.Fields(line)
	}
	plain, secure, certificate := words[0][5], words[1][5], words[1][len(words[1])-1]
	if !strings.HasPrefix(secure, "https://127.0.0.1:") || certificate != secure+"/certificate.pem" {
		t.Fatalf("TLS at %s, certificate at %s", secure, certificate)
	}
	resp, err := http.Get(plain + "/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("certificate %q", text)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	again, err := (&http.Client{Transport: transport}).Get(certificate)
	if err != nil {
		t.Fatal(err)
	}
	again.Body.Close()
	if again.ProtoMajor != 2 {
		t.Errorf("HTTP/%d over TLS", again.ProtoMajor)
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("run = %d, want 0", got)
	}
}

func TestServesACertificateOfTheUsers(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // it has one
	defer web.Close()
	key, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for kind, der := range map[string][]byte{"CERTIFICATE": web.Certificate().Raw, "PRIVATE KEY": key} {
		file := filepath.Join(t.TempDir(), "x.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, map[string]string{"CERTIFICATE": "-cert", "PRIVATE KEY": "-key"}[kind], file)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int)
	go func() {
		status <- run(ctx, append(files, "-listen=", "-tls-listen", "127.0.0.1:0"), w, io.Discard)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	if resp, err := web.Client().Get(words[len(words)-1]); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("run = %d, want 0", got)
	}
}

func TestEndsOnSignals(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := exec.CommandContext(t.Context(), exe, "-listen", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "KINESIS_LOCAL_MAIN=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "http://127.0.0.1:") {
			t.Errorf("first line = %q, %v", line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(lines); len(rest) > 0 {
			t.Errorf("after %v it wrote %q", sig, rest)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v: %v, want status 0", sig, err)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		args   string
		status int
		says   string
	}{
		{"-listen 127.0.0.1:0", 0, ""},
		{"-listen 127.0.0.1:0 -limits=false -shard-limit 0 -window 1s", 0, ""},
		{"-h", 0, "-listen"},
		{"-nonsense", 2, "-nonsense"},
		{"clicks", 2, "clicks"},
		{"-listen 127.0.0.1:99999", 1, "-listen"},
		{"-account-id 12", 2, "-account-id"},
		{"-region a:b", 2, "-region"},
		{"-shard-limit -1", 2, "-shard-limit"},
		{"-window -1s", 2, "-window"},
		{"-listen= -tls-listen 127.0.0.1:0", 0, ""},
		{"-listen=", 2, "-tls-listen"},
		{"-listen 127.0.0.1:0 -tls-listen 127.0.0.1:99999", 1, "-tls-listen"},
		{"-tls-listen 127.0.0.1:0 -cert a", 2, "-key"},
		{"-tls-listen 127.0.0.1:0 -key a", 2, "-cert"},
		{"-cert a -key b", 2, "-tls-listen"},
		{"-tls-listen 127.0.0.1:0 -cert nowhere -key nowhere", 2, "nowhere"},
		{"-stream clicks", 2, "-stream"},
		{"-stream clicks=many", 2, "-stream"},
		{"-stream clicks=0", 2, "-stream"},
		{"-stream bad!name=1", 2, "-stream"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if got := run(ended, strings.Fields(tt.args), &stdout, &stderr); got != tt.status {
			t.Errorf("run(%s) = %d, want %d: %s", tt.args, got, tt.status, stderr.String())
		}
		if !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("run(%s) wrote %q, want it to name %s", tt.args, stderr.String(), tt.says)
		}
		if (tt.status != 0 || tt.says != "") && stdout.Len() > 0 {
			t.Errorf("run(%s) wrote %q to standard output", tt.args, stdout.String())
		}
	}
}
