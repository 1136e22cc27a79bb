package lines

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// all reads every line, and reports too long ones as "<long>".
func all(t *testing.T, r *Reader) []string {
	t.Helper()
	var got []string
	for {
		line, err := r.Next()
		var long *TooLongError
		switch {
		case err == io.EOF:
			return got
		case errors.As(err, &long):
			got = append(got, "<long>")
		case err != nil:
			t.Fatalf("Next: %v", err)
		default:
			got = append(got, string(line))
		}
	}
}

func TestReaderKeepsEveryByteButNewlines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200_000)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty input", "", nil},
		{"one newline is one empty line", "\n", []string{""}},
		{"newline at the end starts no line", "a\nb\n", []string{"a", "b"}},
		{"last line without newline", "a\nb", []string{"a", "b"}},
		{"blank lines", "\n\na\n\n", []string{"", "", "a", ""}},
		{"carriage returns", "a\r\n\r\nb\r", []string{"a\r", "\r", "b\r"}},
		{"longer than the buffer", long + "\n" + long + "!", []string{long, long + "!"}},
		{"exactly the buffer", strings.Repeat("y", 64<<10) + "\n\nz", []string{strings.Repeat("y", 64<<10), "", "z"}},
		{"bytes that are no text", "\xff\x00\n\xfe", []string{"\xff\x00", "\xfe"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, src := range map[string]io.Reader{
				"at once":      strings.NewReader(tt.in),
				"by halves":    iotest.HalfReader(strings.NewReader(tt.in)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got := all(t, NewReader(src, MaxBytes))
				if strings.Join(got, "|") != strings.Join(tt.want, "|") || len(got) != len(tt.want) {
					t.Errorf("%s: %d lines %.80q, want %d lines %.80q", name, len(got), got, len(tt.want), tt.want)
				}
			}
		})
	}
}

func TestReaderGoesOnAfterALongLine(t *testing.T) {
	t.Parallel()
	in := "ab\n" + strings.Repeat("x", 300_000) + "\nabcd\nabcde\nc"
	got := all(t, NewReader(strings.NewReader(in), 4))
	if want := "ab|<long>|abcd|<long>|c"; strings.Join(got, "|") != want {
		t.Errorf("lines = %q, want %s", got, want)
	}

	r := NewReader(strings.NewReader("ab\n"+strings.Repeat("x", 300_000)), 4)
	r.Next()
	_, err := r.Next()
	var long *TooLongError
	if !errors.As(err, &long) || long.Line != 2 || long.MaxBytes != 4 {
		t.Errorf("Next = %v, want a TooLongError of line 2 and 4 bytes", err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("Next behind the last = %v, want io.EOF", err)
	}
}

func TestReaderDoesNotKeepALongLineInMemory(t *testing.T) {
	t.Parallel()
	r := NewReader(io.LimitReader(endless{}, 64<<20), 1000)
	if _, err := r.Next(); err == nil {
		t.Fatal("a line of 64 MiB was accepted")
	}
	if cap(r.buf) > 1<<20 {
		t.Errorf("%d bytes are held after a refused line, want at most 1 MiB", cap(r.buf))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReaderPassesOnAReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	r := NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), MaxBytes)
	if line, err := r.Next(); err != nil || string(line) != "a" {
		t.Fatalf("Next = %q, %v", line, err)
	}
	if _, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("Next = %v, want %v: half a line is no record", err, broken)
	}
}

func TestReaderYieldsTheSameLinesAsSplit(t *testing.T) {
	t.Parallel()
	var in []byte
	for i := range 5000 {
		in = append(in, bytes.Repeat([]byte{byte('a' + i%26)}, i*i%700)...)
		in = append(in, '\n')
	}
	got := all(t, NewReader(bytes.NewReader(in), MaxBytes))
	want := strings.Split(strings.TrimSuffix(string(in), "\n"), "\n")
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Error("lines differ from strings.Split's")
	}
}

func TestReadyPromisesAWholeLine(t *testing.T) {
	t.Parallel()
	pr, pw := io.Pipe()
	defer pw.Close()
	r := NewReader(pr, MaxBytes)
	if r.Ready() {
		t.Error("ready before anything was read")
	}
	var writing sync.WaitGroup
	writing.Go(func() { io.WriteString(pw, "a\nb\nhalf") })
	for _, want := range []bool{true, false} {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if got := r.Ready(); got != want {
			t.Errorf("Ready = %t, want %t", got, want)
		}
	}
	writing.Wait()
}
