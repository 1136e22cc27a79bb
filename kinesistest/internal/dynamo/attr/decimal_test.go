package attr_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/kinesis-go/kinesis/kinesistest/internal/dynamo/attr"
	"pgregory.net/rapid"
)

func TestDecimalNormalises(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"0.000", "0"}, {"0e99999999999999999999", "0"}, {"1.50", "1.5"}, {"007", "7"}, {"+3", "3"},
		{".5", "0.5"}, {"5.", "5"}, {"-12.340", "-12.34"}, {"1e3", "1000"}, {"1E+3", "1000"}, {"12e-1", "1.2"}, {"0.00120", "0.0012"},
		{"1e-130", "0." + strings.Repeat("0", 129) + "1"},
		{"9e125", "9" + strings.Repeat("0", 125)},
		{strings.Repeat("0", 500) + "1", "1"},
	}
	for _, tt := range tests {
		d, err := attr.ParseDecimal(tt.in)
		if err != nil || d.String() != tt.want {
			t.Errorf("ParseDecimal(%q) = %v, %v, want %v", tt.in, d, err, tt.want)
		}
	}
}

func TestDecimalRefuses(t *testing.T) {
	t.Parallel()
	const (
		notNumber = "The parameter cannot be converted to a numeric value"
		overflow  = "Number overflow. Attempting to store a number with magnitude larger than supported range"
		underflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
		digits    = "Attempting to store more than 38 significant digits in a Number"
	)
	tests := []struct{ in, want string }{
		{"", notNumber}, {"x", notNumber + ": x"}, {"-", notNumber + ": -"}, {".", notNumber + ": ."}, {"1.2.3", notNumber + ": 1.2.3"},
		{"1e", notNumber + ": 1e"}, {"e5", notNumber + ": e5"}, {"0x10", notNumber + ": 0x10"}, {"NaN", notNumber + ": NaN"},
		{"Infinity", notNumber + ": Infinity"}, {"1_000", notNumber + ": 1_000"}, {" 1", notNumber + ":  1"}, {"1e1.5", notNumber + ": 1e1.5"}, {"--1", notNumber + ": --1"},
		{"1e126", overflow}, {"-1e126", overflow}, {"1e99999999999999999999", overflow}, {"1e-131", underflow}, {"1e-99999999999999999999", underflow},
		{strings.Repeat("9", 39), digits}, {"1" + strings.Repeat("0", 37) + "1", digits}, {"0." + strings.Repeat("1", 39), digits},
	}
	for _, tt := range tests {
		d, err := attr.ParseDecimal(tt.in)
		if err == nil || err.Error() != "ValidationException: "+tt.want {
			t.Errorf("ParseDecimal(%q) = %v, %v, want %v", tt.in, d, err, tt.want)
		}
	}
}

// decimals generates numbers over the whole range, short ones often.
func decimals() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		digits := rapid.StringMatching(`-?[0-9]{1,4}|-?[0-9]{1,38}`).Draw(t, "digits")
		exp := rapid.OneOf(rapid.IntRange(-3, 3), rapid.IntRange(-130, 87)).Draw(t, "exp")
		return digits + "e" + big.NewInt(int64(exp)).String()
	})
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("big.Rat does not read %q", s)
	}
	return r
}

// TestDecimalAgreesWithRationals compares order, sums and text with math/big.
func TestDecimalAgreesWithRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		x, err1 := attr.ParseDecimal(a)
		y, err2 := attr.ParseDecimal(b)
		if err1 != nil || err2 != nil {
			t.Skip("out of range")
		}
		ra, rb := rat(t, a), rat(t, b)
		if got, want := x.Compare(y), ra.Cmp(rb); got != want {
			t.Errorf("%s compared with %s = %d, want %d", a, b, got, want)
		}
		if rat(t, x.String()).Cmp(ra) != 0 {
			t.Errorf("%s reads back as %s", a, x)
		}
		again, err := attr.ParseDecimal(x.String())
		if err != nil || again != x {
			t.Errorf("%s is not canonical: %v, %v", x, again, err)
		}
		sum, err := x.Add(y)
		if err != nil {
			return // more than 38 digits
		}
		if want := new(big.Rat).Add(ra, rb); rat(t, sum.String()).Cmp(want) != 0 {
			t.Errorf("%s + %s = %s", a, b, sum)
		}
		if diff, err := sum.Add(y.Neg()); err == nil && diff != x {
			t.Errorf("%s + %s - %s = %s", a, b, b, diff)
		}
	})
}
