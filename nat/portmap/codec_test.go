package portmap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The bytes, written out field by field from the RFCs.
const (
	pcpAnnounceHex = "02000000" + "00000000" + "00000000000000000000ffffc0a80114"
	pcpMapHex      = "02010000" + "00001c20" + "00000000000000000000ffffc0a80114" +
		"000102030405060708090a0b" + "11000000" + "a2a9" + "a2a9" + "00000000000000000000ffff00000000"
	pcpAnswerHex = "02810000" + "00000e10" + "000003e8" + "000000000000000000000000" +
		"000102030405060708090a0b" + "11000000" + "a2a9" + "c350" + "00000000000000000000ffffcb007107"
	pmpMapHex     = "00010000" + "a2a9" + "a2a9" + "00001c20"
	pmpAddressHex = "00800000" + "000003e8" + "cb007107"
	pmpAnswerHex  = "00810000" + "000003e8" + "a2a9" + "c350" + "00000e10"
)

func TestPCPCodec(t *testing.T) {
	m := pcpMapping{internal: testPort, external: netip.AddrPortFrom(netip.Addr{}, testPort), lifetime: 7200}
	for i := range m.nonce {
		m.nonce[i] = byte(i)
	}
	if got := appendPCPAnnounce(nil, testHome.local); !bytes.Equal(got, unhex(pcpAnnounceHex)) {
		t.Errorf("ANNOUNCE %x", got)
	}
	if got := appendPCPMap(nil, testHome.local, m); !bytes.Equal(got, unhex(pcpMapHex)) {
		t.Errorf("MAP %x", got)
	}
	a, ok := parsePCP(unhex(pcpAnswerHex))
	m.external, m.lifetime = netip.AddrPortFrom(wan, 50000), 3600
	if want := (pcpAnswer{opcode: pcpMap, epoch: 1000 * time.Second, mapping: m}); !ok || a != want || a.fault() != nil {
		t.Errorf("%v, %+v", ok, a)
	}
	if a, ok := parsePCP(unhex("00810001" + "00000000")); !ok || a.fault() == nil {
		t.Errorf("version 0: %v, %+v", ok, a)
	}
	for name, b := range map[string][]byte{
		"empty":          nil,
		"a request":      unhex(pcpMapHex),
		"cut":            unhex(pcpAnswerHex)[:56],
		"an odd length":  append(unhex(pcpAnswerHex), 0),
		"too long":       append(unhex(pcpAnswerHex), make([]byte, 1044)...),
		"TCP":            append(append(unhex(pcpAnswerHex)[:36:36], 6), unhex(pcpAnswerHex)[37:]...),
		"another's form": unhex("0181000000000000"),
	} {
		if a, ok := parsePCP(b); ok {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestPMPCodec(t *testing.T) {
	if got := appendPMPMap(nil, testPort, testPort, 7200); !bytes.Equal(got, unhex(pmpMapHex)) {
		t.Errorf("map %x", got)
	}
	a, ok := parsePMP(unhex(pmpAnswerHex))
	if want := (pmpAnswer{opcode: pmpMapUDP, epoch: 1000 * time.Second, internal: testPort, external: 50000, lifetime: 3600}); !ok || a != want {
		t.Errorf("%v, %+v", ok, a)
	}
	a, ok = parsePMP(unhex(pmpAddressHex))
	if want := (pmpAnswer{epoch: 1000 * time.Second, address: wan}); !ok || a != want {
		t.Errorf("%v, %+v", ok, a)
	}
	if a, ok := parsePMP(unhex("0081000200000000")); !ok || a.fault() == nil {
		t.Errorf("a short error: %v, %+v", ok, a)
	}
	if a, ok := parsePMP(unhex("02800001")); !ok || a.fault() == nil {
		t.Errorf("PCP only: %v, %+v", ok, a)
	}
	for name, b := range map[string][]byte{
		"empty":     nil,
		"a request": unhex(pmpMapHex),
		"cut":       unhex(pmpAnswerHex)[:12],
		"long":      append(unhex(pmpAddressHex), 0),
		"a stump":   unhex("00800000"),
		"version 3": unhex("03800001"),
	} {
		if a, ok := parsePMP(b); ok {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Every result code has a sentence, also those that nobody has defined yet.
func TestResults(t *testing.T) {
	for code := 1; code < 256; code++ {
		for _, err := range []error{(&pcpAnswer{result: byte(code)}).fault(), (&pmpAnswer{result: uint16(code)}).fault()} {
			if f, ok := errors.AsType[*fault](err); !ok || f.kind != refused || f.what == "" {
				t.Errorf("%d: %v", code, err)
			}
		}
	}
}

// A router is asked for IPv4 alone.
func TestPublic(t *testing.T) {
	if !public(netip.MustParseAddr("203.0.113.7")) || public(netip.MustParseAddr("100.64.0.7")) || public(netip.MustParseAddr("2001:db8::1")) {
		t.Error("which addresses are public")
	}
}

func FuzzPCP(f *testing.F) {
	for _, s := range []string{pcpAnnounceHex, pcpMapHex, pcpAnswerHex, "0081000100000000"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parsePCP(b)
		if !ok || a.opcode != pcpMap || b[0] != pcpVersion {
			return
		}
		// What was understood is what is written when it is asked for again.
		again := appendPCPMap(nil, testHome.local, a.mapping)
		if !bytes.Equal(again[24:36], b[24:36]) || !bytes.Equal(again[40:44], b[40:44]) {
			t.Errorf("%x became %x", b, again)
		}
		_ = a.fault()
	})
}

func FuzzPMP(f *testing.F) {
	for _, s := range []string{pmpMapHex, pmpAddressHex, pmpAnswerHex, "0081000200000000", "02800001"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parsePMP(b); ok && a.result == 0 && a.opcode == pmpMapUDP {
			if again := appendPMPMap(nil, a.internal, a.external, a.lifetime); !bytes.Equal(again[4:], b[8:]) {
				t.Errorf("%x became %x", b, again)
			}
		}
	})
}
