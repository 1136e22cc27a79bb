package kinesistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// certificatePath is where a server gives its certificate away.
const certificatePath = "/certificate.pem"

// certificateLife is within what the pickiest of clients trusts.
const certificateLife = 800 * 24 * time.Hour

// certificate returns the certificate that the server has made for itself,
// after making it. s.mu is held.
func (s *Server) certificate() (*tls.Certificate, error) {
	if s.selfSigned != nil {
		return s.selfSigned, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("kinesistest: making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("kinesistest: making a serial number: %w", err)
	}
	now := time.Now()
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "kinesistest"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
		DNSNames:     names,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		// It signs itself, so whoever is given it as an authority trusts it.
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("kinesistest: making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("kinesistest: making a certificate: %w", err)
	}
	s.selfSigned = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return s.selfSigned, nil
}

// CertificatePEM returns the certificate of [Server.ListenTLS] in the form that
// AWS_CA_BUNDLE, curl's --cacert and a Java keystore read, nil before the first
// call of ListenTLS without certificates of the caller's. A server also gives it
// to whoever asks for /certificate.pem.
func (s *Server) CertificatePEM() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.selfSigned == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.selfSigned.Certificate[0]})
}

// TLSConfig returns a client's configuration that trusts [Server.CertificatePEM]
// and nothing else, for an [http.Transport]; that also needs ForceAttemptHTTP2
// to speak HTTP/2.
func (s *Server) TLSConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CertificatePEM())
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// giveCertificate answers a GET of certificatePath.
func (s *Server) giveCertificate(w http.ResponseWriter) bool {
	text := s.CertificatePEM()
	if text == nil {
		return false
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(text) // the client is gone if it fails
	return true
}
