package attr

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

const (
	maxDigits   = 38
	maxExponent = 126  // 9.99e125 is 0.999e126
	minExponent = -129 // 1e-130 is 0.1e-129
)

// A Decimal is an exact number as DynamoDB keeps it: up to 38 significant
// digits, magnitude from 1e-130 to 9.99e125. The zero Decimal is 0.
type Decimal struct {
	neg    bool
	digits string // significant digits, no zero at either end; "" is 0
	exp    int    // the value is 0.digits × 10^exp
}

var (
	errOverflow  = Invalidf("Number overflow. Attempting to store a number with magnitude larger than supported range")
	errUnderflow = Invalidf("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	errDigits    = Invalidf("Attempting to store more than 38 significant digits in a Number")
)

// ParseDecimal reads a number such as -12.50 or 1e10.
func ParseDecimal(s string) (Decimal, error) {
	rest := s
	neg := strings.HasPrefix(rest, "-")
	if neg || strings.HasPrefix(rest, "+") {
		rest = rest[1:]
	}
	exp := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		n, err := strconv.Atoi(rest[i+1:])
		if errors.Is(err, strconv.ErrRange) {
			// Far beyond either bound, so that only the sign matters.
			n = 1 << 30
			if rest[i+1] == '-' {
				n = -n
			}
		} else if err != nil {
			return Decimal{}, notNumeric(s)
		}
		exp, rest = max(-1<<30, min(n, 1<<30)), rest[:i]
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return Decimal{}, notNumeric(s)
	}
	return normalise(neg, whole+fraction, exp+len(whole))
}

func notNumeric(s string) error {
	if s == "" {
		return Invalidf("The parameter cannot be converted to a numeric value")
	}
	return Invalidf("The parameter cannot be converted to a numeric value: %s", s)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// normalise returns ±0.digits × 10^exp with the zeros at both ends removed,
// or the bound it breaks.
func normalise(neg bool, digits string, exp int) (Decimal, error) {
	cut := strings.TrimLeft(digits, "0")
	exp -= len(digits) - len(cut)
	cut = strings.TrimRight(cut, "0")
	switch {
	case cut == "":
		return Decimal{}, nil
	case len(cut) > maxDigits:
		return Decimal{}, errDigits
	case exp > maxExponent:
		return Decimal{}, errOverflow
	case exp < minExponent:
		return Decimal{}, errUnderflow
	}
	return Decimal{neg: neg, digits: cut, exp: exp}, nil
}

func decimalOf(i int64) Decimal {
	d, _ := ParseDecimal(strconv.FormatInt(i, 10))
	return d
}

// String returns the number without an exponent, such as -12.5.
func (d Decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	var b strings.Builder
	if d.neg {
		b.WriteByte('-')
	}
	switch n := len(d.digits); {
	case d.exp <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -d.exp))
		b.WriteString(d.digits)
	case d.exp >= n:
		b.WriteString(d.digits)
		b.WriteString(strings.Repeat("0", d.exp-n))
	default:
		b.WriteString(d.digits[:d.exp])
		b.WriteByte('.')
		b.WriteString(d.digits[d.exp:])
	}
	return b.String()
}

// Compare returns -1, 0 or 1 as d is less than, equal to or greater than e.
func (d Decimal) Compare(e Decimal) int { return strings.Compare(d.sortKey(), e.sortKey()) }

// sortKey is sign, exponent and digits as bytes that order as the numbers
// do. A negative number has its exponent and digits mirrored, and ends in a
// byte above any digit, because -12 is greater than -123.
func (d Decimal) sortKey() string {
	if d.digits == "" {
		return "1"
	}
	b := make([]byte, 0, len(d.digits)+3)
	if !d.neg {
		b = append(b, '2', byte(d.exp-minExponent))
		return string(append(b, d.digits...))
	}
	b = append(b, '0', byte(maxExponent-d.exp))
	for i := range len(d.digits) {
		b = append(b, '0'+'9'-d.digits[i])
	}
	return string(append(b, '~'))
}

// Neg returns -d.
func (d Decimal) Neg() Decimal {
	d.neg = d.digits != "" && !d.neg
	return d
}

// Add returns d + e, or an error if the sum has more than 38 digits or is
// beyond the range.
func (d Decimal) Add(e Decimal) (Decimal, error) {
	unit := min(d.exp-len(d.digits), e.exp-len(e.digits))
	sum := d.scaled(unit)
	sum.Add(sum, e.scaled(unit))
	text := sum.String()
	neg := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	return normalise(neg, text, unit+len(text))
}

// scaled returns d as a whole multiple of 10^unit.
func (d Decimal) scaled(unit int) *big.Int {
	n := new(big.Int)
	if d.digits == "" {
		return n
	}
	n.SetString(d.digits+strings.Repeat("0", d.exp-len(d.digits)-unit), 10)
	if d.neg {
		n.Neg(n)
	}
	return n
}
