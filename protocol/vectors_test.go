package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

// vector is a line of testdata.
type vector struct {
	name, codec, err string
	bytes            []byte
}

// vectors reads testdata/good.txt or bad.txt.
func vectors(t testing.TB, file string) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		v := vector{name: f[0]}
		v.codec, _, _ = strings.Cut(f[0], "/")
		if len(f) == 3 {
			v.err = f[1]
		}
		if last := f[len(f)-1]; last != "-" {
			if v.bytes, err = hex.DecodeString(last); err != nil {
				t.Fatalf("%s: %v", v.name, err)
			}
		}
		if codecs[v.codec] == nil {
			t.Fatalf("%s: no such parser", v.name)
		}
		list = append(list, v)
	}
	return list
}

func TestGoodVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range vectors(t, "good.txt") {
		seen[v.name] = true
		value, again, err := codecs[v.codec](v.bytes)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if !bytes.Equal(again, v.bytes) {
			t.Errorf("%s: encodes as\n%x, want\n%x", v.name, again, v.bytes)
		}
		want, ok := values[v.name]
		if !ok {
			t.Errorf("%s: no value to compare with", v.name)
		} else if !reflect.DeepEqual(value, want) {
			t.Errorf("%s: parses as\n%+v, want\n%+v", v.name, value, want)
		}
	}
	for name := range values {
		if !seen[name] {
			t.Errorf("%s: no vector", name)
		}
	}
}

var errorNames = map[string]error{
	"short": ErrShort, "length": ErrLength, "version": ErrVersion, "type": ErrType,
	"flags": ErrFlags, "critical": ErrCritical, "value": ErrValue,
	"missing": ErrMissing, "duplicate": ErrDuplicate, "too-many": ErrTooMany,
	"inner": ErrInner, "padding": ErrPadding, "kind": ErrKind, "room": ErrRoom,
	"checksum": ErrChecksum,
}

func TestBadVectors(t *testing.T) {
	for i, v := range vectors(t, "bad.txt") {
		want := errorNames[v.err]
		if want == nil {
			t.Fatalf("line %d: no error %q", i+2, v.err)
		}
		if _, _, err := codecs[v.codec](v.bytes); !errors.Is(err, want) {
			t.Errorf("line %d: %s %x: %v, want %v", i+2, v.codec, v.bytes, err, want)
		}
	}
}

// TestFlippedVectors runs every good vector with each byte changed and with
// each shorter length. Whatever is accepted has to encode to what parses to
// the same value.
func TestFlippedVectors(t *testing.T) {
	for _, v := range vectors(t, "good.txt") {
		for i := range v.bytes {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				b := bytes.Clone(v.bytes)
				b[i] ^= flip
				checkStable(t, codecs[v.codec], b)
			}
			checkStable(t, codecs[v.codec], bytes.Clone(v.bytes[:i]))
		}
	}
}

// checkStable fails unless bytes that parse encode to bytes that parse to the
// same value.
func checkStable(t *testing.T, c codec, b []byte) {
	t.Helper()
	value, again, err := c(b)
	if err != nil {
		return
	}
	value2, again2, err := c(again)
	if err != nil {
		t.Fatalf("%x: encodes to %x, which fails: %v", b, again, err)
	}
	if !reflect.DeepEqual(value, value2) || !bytes.Equal(again, again2) {
		t.Fatalf("%x: parses as %+v, then as %+v", b, value, value2)
	}
}
