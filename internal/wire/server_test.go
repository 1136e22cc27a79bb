//go:build unix

package wire_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childVariable makes a process of this test binary a server: what a client
// costs is only seen where the server is another process.
const childVariable = "WIRE_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := serveChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveChild serves ready-made bodies over TLS until its standard input ends. It
// prints its address and its certificate.
func serveChild() error {
	cert, err := selfSigned()
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	pages := map[string][]byte{"json": pageJSON(pageRecords, recordBytes), "cbor": pageCBOR(pageRecords, recordBytes)}
	puts := putAnswers(putRecords)
	srv := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			format := "json"
			if strings.Contains(r.Header.Get("Content-Type"), "cbor") {
				format = "cbor"
			}
			body := puts[format]
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
				body = pages[format]
			}
			w.Header().Set("Content-Type", "application/x-amz-"+format+"-1.1")
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body)
		}),
	}
	fmt.Println(ln.Addr())
	if err := pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}); err != nil {
		return err
	}
	fmt.Println()
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(ln, "", "") }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = srv.Close()
	<-served
	return nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// startChild starts the server and returns its URL and a transport to it that
// speaks HTTP/1.1 or HTTP/2.
func startChild(b *testing.B, http2 bool) (string, *http.Transport) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	var cert strings.Builder
	for line := ""; line != "\n"; cert.WriteString(line) {
		if line, err = lines.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert.String()))
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Protocols: &protocols}
	b.Cleanup(tr.CloseIdleConnections)
	return "https://" + strings.TrimSpace(address), tr
}
