package eventstream

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"
)

// The example of AWS's description of the format, its checksums included.
func TestAppend(t *testing.T) {
	t.Parallel()
	want := "0000003d 00000020 07fd8396" +
		"0c 636f6e74656e742d74797065 07 0010 6170706c69636174696f6e2f6a736f6e" +
		"7b27666f6f273a27626172277d 8d9c08b1"
	got := Append([]byte("before"), []Header{{"content-type", "application/json"}}, []byte("{'foo':'bar'}"))
	if before, frame := string(got[:6]), hex.EncodeToString(got[6:]); before != "before" || frame != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%q %s, want %s", before, frame, want)
	}
	if got, want := hex.EncodeToString(Append(nil, nil, nil)), "000000100000000005c248eb7d98c8ff"; got != want {
		t.Errorf("an empty frame: %s, want %s", got, want)
	}
}

func TestHeadersAreCut(t *testing.T) {
	t.Parallel()
	frame := Append(nil, []Header{{strings.Repeat("n", 300), strings.Repeat("v", 1<<17)}}, []byte("payload"))
	if want := 12 + 1 + 255 + 3 + 65535 + 7 + 4; len(frame) != want || int(binary.BigEndian.Uint32(frame)) != want {
		t.Errorf("%d bytes, said to be %d, want %d", len(frame), binary.BigEndian.Uint32(frame), want)
	}
	if !bytes.HasSuffix(frame[:len(frame)-4], []byte("vpayload")) {
		t.Errorf("it ends in %q", frame[len(frame)-20:])
	}
	if sum := crc32.ChecksumIEEE(frame[:len(frame)-4]); sum != binary.BigEndian.Uint32(frame[len(frame)-4:]) {
		t.Errorf("checksum %x, want %x", frame[len(frame)-4:], sum)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("a", "b", []byte("c"))
	f.Fuzz(func(t *testing.T, name, value string, payload []byte) {
		frame := Append(nil, []Header{{name, value}}, payload)
		if int(binary.BigEndian.Uint32(frame)) != len(frame) || crc32.ChecksumIEEE(frame[:len(frame)-4]) != binary.BigEndian.Uint32(frame[len(frame)-4:]) {
			t.Fatalf("frame %x", frame)
		}
		if !bytes.Contains(frame, payload) {
			t.Fatalf("no payload in %x", frame)
		}
	})
}
