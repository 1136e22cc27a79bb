package attr

import "github.com/kinesis-go/kinesis/kinesistest/internal/api"

// Invalidf returns a ValidationException. Texts are AWS's own where they are
// known, capitals and stops included.
func Invalidf(format string, args ...any) error {
	return api.Errorf("ValidationException", format, args...)
}

// Misshapenf returns a SerializationException: the JSON is not of the shape
// that the service model describes.
func Misshapenf(format string, args ...any) error {
	return api.Errorf("SerializationException", format, args...)
}
