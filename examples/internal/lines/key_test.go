package lines

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestKeyIsTheNthField(t *testing.T) {
	t.Parallel()
	hash := func(s string) string { return digest([]byte(s)) }
	tests := []struct {
		line string
		n    int
		want string
	}{
		{"a,b,c", 1, "a"},
		{"a,b,c", 2, "b"},
		{"a,b,c", 3, "c"},
		{"a,b,c", 4, hash("a,b,c")},
		{"a b\tc", 2, "b"},
		{"a b\tc", 3, "c"},
		{"a   b", 2, "b"},
		{"a, b ,c", 2, "b"},
		{"a, b ,c", 3, "c"},
		{"a,,c", 2, hash("a,,c")},
		{"a,,c", 3, "c"},
		{",b", 1, hash(",b")},
		{",b", 2, "b"},
		{"a,", 2, hash("a,")},
		{"  a b ", 1, "a"},
		{"  a b ", 2, "b"},
		{"  a b ", 3, hash("  a b ")},
		{"a,b\r", 2, "b"},
		{"", 1, hash("")},
		{"", 0, hash("")},
		{" \t", 1, hash(" \t")},
		{"a,b", 0, hash("a,b")},
		{"M\xfcller,x", 1, "M\uFFFDller"},
		{"größe 7", 1, "größe"},
	}
	for _, tt := range tests {
		if got := Key([]byte(tt.line), tt.n); got != tt.want {
			t.Errorf("Key(%q, %d) = %q, want %q", tt.line, tt.n, got, tt.want)
		}
	}
}

func TestKeyFitsKinesis(t *testing.T) {
	t.Parallel()
	fits := func(field string) string {
		t.Helper()
		key := Key([]byte(field+",x"), 1)
		if n := len(utf16.Encode([]rune(key))); key == "" || n > 256 || !utf8.ValidString(key) {
			t.Errorf("Key of a field of %d bytes is %q: %d units, valid %t", len(field), key, n, utf8.ValidString(key))
		}
		return key
	}
	for _, c := range []string{"a", "é", "日", "😀", "\xff", "\xf0\x9f"} {
		for n := 200; n < 300; n++ {
			fits(strings.Repeat(c, n))
			fits("ab" + strings.Repeat(c, n))
		}
	}
	for _, c := range []string{"a", "é", "日"} {
		if whole := strings.Repeat(c, 256); fits(whole) != whole {
			t.Errorf("256 times %q does not stay as it is", c)
		}
		base := strings.Repeat(c, 300)
		if fits(base+"1") == fits(base+"2") {
			t.Errorf("two long fields of %q with different ends have one key", c)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("a, b\tc"), 2)
	f.Add([]byte("\xff\xfe,"), 1)
	f.Fuzz(func(t *testing.T, line []byte, n int) {
		key := Key(line, n%1000)
		if units := len(utf16.Encode([]rune(key))); units < 1 || units > 256 || !utf8.ValidString(key) {
			t.Errorf("Key(%q, %d) = %q: %d units, valid %t", line, n%1000, key, units, utf8.ValidString(key))
		}
	})
}
