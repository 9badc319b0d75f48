package stun

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// lines returns the fields of every line of a vector file.
func lines(t testing.TB, file string) [][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			all = append(all, f)
		}
	}
	return all
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	for _, f := range lines(t, "testdata/rfc5769.txt") {
		if f[0] == name {
			return unhex(t, f[1])
		}
	}
	t.Fatalf("no vector %q", name)
	return nil
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var txid5769 = [12]byte{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}

func TestRFC5769Responses(t *testing.T) {
	for name, want := range map[string]string{
		"response-ipv4": "192.0.2.1:32853",
		"response-ipv6": "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
	} {
		got, err := ParseResponse(vector(t, name))
		if err != nil || got.ID != txid5769 || got.Mapped != netip.MustParseAddrPort(want) || got.Other.IsValid() {
			t.Errorf("%s: %+v %v, want %v", name, got, err, want)
		}
	}
}

func TestRFC5769Requests(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:32853")
	req := vector(t, "request")
	if r, err := ParseRequest(req); err != nil || r.ID != txid5769 {
		t.Fatalf("ParseRequest: %+v %v", r, err)
	}
	answer, err := AppendResponse([]byte("kept"), req, from, netip.AddrPort{})
	if err != nil || !bytes.HasPrefix(answer, []byte("kept")) {
		t.Fatalf("AppendResponse: %x %v", answer, err)
	}
	if got, err := ParseResponse(answer[4:]); err != nil || got.ID != txid5769 || got.Mapped != from {
		t.Errorf("answer: %+v %v", got, err)
	}
	if _, err := ParseRequest(vector(t, "request-long-term")); err != nil {
		t.Error("a request with long-term credentials was not recognised:", err)
	}
}

func TestRequestIsNeverShorterThanAnswer(t *testing.T) {
	req := AppendRequest(nil, txid5769)
	if len(req) != RequestLen {
		t.Errorf("a request has %d bytes", len(req))
	}
	for _, from := range []string{"192.0.2.1:1024", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1024"} {
		addr := netip.MustParseAddrPort(from)
		answer, err := AppendResponse(nil, req, addr, addr)
		if err != nil || len(answer) > len(req) {
			t.Errorf("%s: %d bytes for %d, %v", from, len(answer), len(req), err)
		}
		want := netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
		if got, err := ParseResponse(answer); err != nil || got.Mapped != want || got.Other != want {
			t.Errorf("%s: came back as %+v, %v", from, got, err)
		}
	}
	bare := unhex(t, "000100002112a442b7e7a701bc34d686fa87dfae")
	if answer, err := AppendResponse(nil, bare, netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.9:1024")); err != nil || len(answer) != 32 {
		t.Errorf("bare request: %d bytes, %v", len(answer), err)
	}
	if _, err := AppendResponse(nil, req, netip.AddrPort{}, netip.AddrPort{}); !errors.Is(err, ErrAttribute) {
		t.Errorf("no address: %v", err)
	}
}

// A request may ask for the server's other port, and for nothing else.
func TestChangeRequest(t *testing.T) {
	want := Request{ID: txid5769, ChangePort: true}
	b := want.Append(nil)
	if got, err := ParseRequest(b); err != nil || got != want || len(b) != RequestLen+8 {
		t.Errorf("%+v %v, %d bytes", got, err, len(b))
	}
	bare := unhex(t, "0001000c2112a442b7e7a701bc34d686fa87dfae")
	for _, attributes := range []string{"0003000400000004" + "80220000", "0003000400000006" + "80220000", "00030003000000" + "00" + "80220000"} {
		if got, err := ParseRequest(append(bytes.Clone(bare), unhex(t, attributes)...)); !errors.Is(err, ErrAttribute) {
			t.Errorf("%s: %+v %v", attributes, got, err)
		}
	}
}

// A request may ask for an answer to another port, whether the sender counts the padding
// of that port or not.
func TestAnswerPort(t *testing.T) {
	want := Request{ID: txid5769, AnswerPort: 40000}
	b := want.Append(nil)
	if got, err := ParseRequest(b); err != nil || got != want || len(b) != RequestLen+8 {
		t.Errorf("%+v %v, %d bytes", got, err, len(b))
	}
	at := netip.MustParseAddrPort("192.0.2.1:32853")
	if answer, err := AppendResponse(nil, b, at, at); err != nil || len(answer) != 40 {
		t.Errorf("the answer has %d bytes, %v", len(answer), err)
	}
	if long := (Request{ID: txid5769, Long: true}).Append(nil); len(long) != RequestLen+longer {
		t.Errorf("a long request has %d bytes", len(long))
	}
	bare := unhex(t, "0001000c2112a442b7e7a701bc34d686fa87dfae")
	for attributes, want := range map[string]error{
		"002700029c400000" + "80220000": nil, "002700049c400000" + "80220000": nil,
		"002700019c000000" + "80220000": ErrAttribute, "002700039c400000" + "80220000": ErrAttribute,
	} {
		got, err := ParseRequest(append(bytes.Clone(bare), unhex(t, attributes)...))
		if !errors.Is(err, want) || err == nil && got.AnswerPort != 40000 {
			t.Errorf("%s: %+v %v", attributes, got, err)
		}
	}
}

func TestBadVectors(t *testing.T) {
	guard := map[string]error{"message": ErrMessage, "address": ErrAddress, "none": nil}
	for _, f := range lines(t, "testdata/bad.txt") {
		var b []byte
		if len(f) == 3 {
			b = unhex(t, f[2])
		}
		if err := Guard(b); !errors.Is(err, guard[f[1]]) {
			t.Errorf("%s: Guard %v, want %v", f[0], err, guard[f[1]])
		}
		if got, err := ParseResponse(b); err == nil {
			t.Errorf("%s: parsed as %+v", f[0], got)
		}
		if answer, err := AppendResponse(nil, b, netip.MustParseAddrPort("192.0.2.1:1024"), netip.AddrPort{}); err == nil || len(answer) > 0 {
			t.Errorf("%s: answered", f[0])
		}
	}
}

// Every bit of every vector flipped: no panic, and what is still accepted, for
// the flip turned the fingerprint into an attribute that may be skipped, says
// the same as the original.
func TestFlippedVectors(t *testing.T) {
	for _, f := range lines(t, "testdata/rfc5769.txt") {
		b := unhex(t, f[1])
		want, _ := ParseResponse(b)
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				if got, err := ParseResponse(b); err == nil && (got.ID != txid5769 || got.Mapped != want.Mapped) {
					t.Errorf("%s: bit %d of byte %d flipped gives %+v", f[0], bit, i, got)
				}
				if got, err := ParseRequest(b); err == nil && f[0] == "request" && got.ID != txid5769 {
					t.Errorf("%s: bit %d of byte %d flipped gives %+v", f[0], bit, i, got)
				}
				b[i] ^= 1 << bit
			}
		}
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	b := vector(t, "response-ipv6")
	if n := testing.AllocsPerRun(100, func() { _ = Guard(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The fuzzer repairs cookie and length first, so that it is past the gate from
// the start, and leaves the fingerprint out where the input has none.
func FuzzDecode(f *testing.F) {
	for _, l := range lines(f, "testdata/rfc5769.txt") {
		f.Add(unhex(f, l[1]))
	}
	for _, l := range lines(f, "testdata/bad.txt") {
		if len(l) == 3 {
			f.Add(unhex(f, l[2]))
		}
	}
	from := netip.MustParseAddrPort("[2001:db8::1]:4000")
	f.Fuzz(func(t *testing.T, b []byte) {
		for range 2 {
			guarded := Guard(b) == nil
			got, err := ParseResponse(b)
			if err == nil && (!guarded || !got.Mapped.IsValid() || got.Mapped.Port() == 0) {
				t.Fatalf("accepted %+v, guard %v", got, guarded)
			}
			_, err = ParseRequest(b)
			isRequest := err == nil
			answer, err := AppendResponse(nil, b, from, from)
			if (err == nil) != isRequest || isRequest && !guarded {
				t.Fatalf("request %v, answer %v, guard %v", isRequest, err, guarded)
			}
			if err == nil {
				if back, err := ParseResponse(answer); err != nil || back.Mapped != from {
					t.Fatalf("our own answer: %+v %v", back, err)
				}
			}
			if len(b) < headerLen || len(b) > 0xFFFF {
				return
			}
			b = bytes.Clone(b)
			b[0] &= 0x3F
			b[2], b[3] = byte((len(b)-headerLen)>>8), byte(len(b)-headerLen)
			copy(b[4:], []byte{0x21, 0x12, 0xA4, 0x42})
		}
	})
}
