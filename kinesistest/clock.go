package kinesistest

import (
	"net/http"
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

// now is the time by the server's clock.
func (s *Server) now() time.Time { return time.Now().Add(s.opts.ClockOffset) }

const (
	// signedTime is the form of X-Amz-Date.
	signedTime = "20060102T150405Z"

	// skewAllowed is by how much a signature's time may differ from the server's.
	skewAllowed = 5 * time.Minute
)

// skewed refuses a request whose signature is of another time, if clocks differ
// at all: otherwise requests without a signature, or with an old one, are taken
// as well.
func (s *Server) skewed(h http.Header) *api.Error {
	if s.opts.ClockOffset == 0 {
		return nil
	}
	signed, err := time.Parse(signedTime, h.Get("X-Amz-Date"))
	if err != nil {
		return nil //nolint:nilerr // it is not signed, which is not checked
	}
	now := s.now().UTC()
	switch earliest, latest := now.Add(-skewAllowed), now.Add(skewAllowed); {
	case signed.Before(earliest):
		return api.Errorf("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			signed.Format(signedTime), earliest.Format(signedTime), now.Format(signedTime))
	case signed.After(latest):
		return api.Errorf("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			signed.Format(signedTime), latest.Format(signedTime), now.Format(signedTime))
	}
	return nil
}
