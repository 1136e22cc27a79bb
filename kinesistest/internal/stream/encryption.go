package stream

import (
	"time"

	"github.com/kinesis-go/kinesis/kinesistest/internal/api"
)

const (
	kms          = "KMS"
	noEncryption = "NONE"
)

type encryptionInput struct {
	ref
	EncryptionType *string
	KeyId          *string
}

func (in *encryptionInput) check() *api.Error {
	var v violations
	v.notNil("encryptionType", in.EncryptionType != nil)
	v.oneOf("encryptionType", in.EncryptionType, noEncryption, kms)
	v.notNil("keyId", in.KeyId != nil)
	v.length("keyId", in.KeyId, 1, 2048)
	if e := v.err(); e != nil {
		return e
	}
	if *in.EncryptionType != kms {
		return invalid("EncryptionType must be KMS, not %s.", *in.EncryptionType)
	}
	return nil
}

func (s *Service) startEncryption(in *encryptionInput) (any, *api.Error) {
	if e := in.check(); e != nil {
		return nil, e
	}
	return nil, s.encrypt(in.ref, *in.KeyId)
}

func (s *Service) stopEncryption(in *encryptionInput) (any, *api.Error) {
	if e := in.check(); e != nil {
		return nil, e
	}
	return nil, s.encrypt(in.ref, "")
}

// encrypt has records from the end of the window on encrypted with a key, or
// with none. A key that the stream has already is no change.
func (s *Service) encrypt(r ref, key string) *api.Error {
	return s.with(r, func(st *stream, now time.Time) *api.Error {
		if e := st.idle(s.opts.Identity.AccountID); e != nil {
			return e
		}
		if st.key == key {
			return nil
		}
		changes := &st.keyStarts
		if key == "" {
			changes = &st.keyStops
		}
		if l := s.opts.Limits.KeyChanges; !changes.has(now, l) {
			return limitExceeded("The encryption of stream %s under account %s may be changed %d times in 24 hours.", st.name, s.opts.Identity.AccountID, l)
		}
		changes.add(now)
		st.enter(updating, s.opts.Updating, now, func(time.Time) { st.key = key })
		return nil
	})
}

// encryptionType is how the service names whether st is encrypted.
func (st *stream) encryptionType() string {
	if st.key == "" {
		return noEncryption
	}
	return kms
}
