package offload

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// canary surrounds what a function may write to.
const canary = 64

// fenced is b between canaries; intact says whether they still sing.
func fenced(b []byte) []byte {
	fence := bytes.Repeat([]byte{0x5a}, canary)
	return append(append(bytes.Clone(fence), b...), fence...)
}

func intact(t *testing.T, buf []byte) {
	t.Helper()
	fence := bytes.Repeat([]byte{0x5a}, canary)
	if !bytes.Equal(buf[:canary], fence) || !bytes.Equal(buf[len(buf)-canary:], fence) {
		t.Fatal("written outside of the frame")
	}
}

// makeRight gives a frame that can be parsed the checksums that a kernel would
// have given it, so that the fuzzer gets past them; it returns the vnet header.
func makeRight(frame []byte) Header {
	l, err := parse(frame)
	if err != nil {
		return Header{}
	}
	if !l.v6 {
		h := frame[l.ip:l.transport]
		binary.BigEndian.PutUint16(h[ipv4Checksum:], 0)
		binary.BigEndian.PutUint16(h[ipv4Checksum:], ^slowSum(h))
	}
	partial := fold(l.pseudo(frame) + uint32(l.end-l.transport))
	binary.BigEndian.PutUint16(frame[l.transport+l.checksumOffset():], partial)
	h := Header{Flags: FlagNeedsCsum, CsumStart: uint16(l.transport), CsumOffset: uint16(l.checksumOffset()), GSOType: GSOTCPv4}
	switch {
	case l.protocol == protoUDP:
		h.GSOType = GSOUDPL4
	case l.v6:
		h.GSOType = GSOTCPv6
	}
	return h
}

// seeds calls add with super-frames of many kinds.
func seeds(f *testing.F, add func(frame []byte, h Header)) {
	for variant := range 8 {
		s := plain(variant&1 != 0, variant&2 != 0)
		if s.payload = pattern(50); variant&4 != 0 {
			s.tags, s.flags, s.ext, s.df = []uint16{typeSTag, typeTag}, tcpACK|tcpPSH|tcpECE|tcpCWR, []byte{extHop, extRouting, extDest}, true
			s.options = routerAlert(0)
		}
		add(s.super(f, 20))
	}
}

func FuzzCut(f *testing.F) {
	seeds(f, func(frame []byte, h Header) {
		var b [HeaderLen]byte
		h.Put(b[:])
		f.Add(frame, b[:], 0)
		f.Add(frame, b[:], 200)
	})
	f.Fuzz(func(t *testing.T, frame, header []byte, maxFrame int) {
		if len(header) < HeaderLen {
			return
		}
		h := Parse(header)
		buf := fenced(frame)
		var c Cutter
		if err := c.Start(buf, canary, len(frame), h, maxFrame); err != nil {
			if _, _, _, ok := c.Next(); ok || c.Count() != 0 || !bytes.Equal(buf, fenced(frame)) {
				t.Fatal("segments in spite of an error, or something was written")
			}
			return
		}
		var payload []byte
		count, headers := 0, 0
		for ; ; count++ {
			off, n, sh, ok := c.Next()
			if !ok {
				break
			}
			if off < canary || n < 0 || off+n > canary+len(frame) {
				t.Fatalf("segment at %d with %d bytes", off, n)
			}
			got := buf[off : off+n]
			if h.GSOType == GSONone {
				if !bytes.Equal(got, frame) || sh != h {
					t.Fatal("a plain frame was changed")
				}
				payload = got
				continue
			}
			l, err := parse(got)
			if err != nil || l.end != n || !l.partialHere(sh) || sh.GSOType != GSONone {
				t.Fatalf("segment %d: %v, %+v", count, err, sh)
			}
			if l.protocol == protoTCP && maxFrame > 0 && n > maxFrame || l.end-l.payload > int(h.GSOSize) {
				t.Fatalf("segment %d has %d bytes", count, n)
			}
			headers = l.payload
			payload = append(payload, got[l.payload:]...)
		}
		if count != c.Count() || !bytes.Equal(payload, frame[headers:]) {
			t.Fatalf("%d segments, Count %d, or another payload", count, c.Count())
		}
		intact(t, buf)
	})
}

// FuzzJoin cuts a super-frame, changes bytes of the segments, joins what can be
// joined, and cuts that again: the frames must be the ones that were joined.
func FuzzJoin(f *testing.F) {
	seeds(f, func(frame []byte, h Header) {
		f.Add(frame, h.GSOSize, []byte{}, false)
		f.Add(frame, h.GSOSize, []byte{}, true)
		f.Add(frame, h.GSOSize, []byte{1, 47, 0x18, 2, 18, 1}, true)
	})
	f.Fuzz(func(t *testing.T, super []byte, size uint16, edits []byte, partial bool) {
		super = bytes.Clone(super)
		h := makeRight(super)
		h.GSOSize = max(size, uint16(len(super)/100+1))
		all := []segment{{super, Header{}}}
		if new(Cutter).Start(super, 0, len(super), h, 0) == nil {
			all = cutAll(t, super, h, 0)
		}
		for ; len(edits) >= 3; edits = edits[3:] {
			s := all[int(edits[0])%len(all)].frame
			if len(s) > 0 {
				s[int(edits[1])%len(s)] ^= edits[2]
				if edits[0]&0x80 != 0 {
					makeRight(s)
				}
			}
		}
		if !partial {
			for i, s := range all {
				if Complete(s.frame, s.h) == nil {
					all[i].h.Flags = 0
				}
			}
		}
		j := both()
		var joined []segment
		var arena []byte
		for _, s := range all {
			if n, ok := j.Join(s.frame, s.h); ok {
				arena = append(arena, s.frame[len(s.frame)-n:]...)
				joined = append(joined, s)
				continue
			}
			recut(t, j, arena, joined)
			j.Begin(s.frame, s.h)
			arena, joined = bytes.Clone(s.frame), []segment{s}
		}
		recut(t, j, arena, joined)
	})
}

// recut finishes what was joined and compares it with its parts.
func recut(t *testing.T, j *Joiner, arena []byte, joined []segment) {
	t.Helper()
	if len(joined) == 0 {
		return
	}
	buf := fenced(arena)
	frame := buf[canary : canary+len(arena)]
	if j.Len() != len(frame) || j.Count() != len(joined) || len(frame) > MaxSuperFrame && len(joined) > 1 {
		t.Fatalf("Len %d, Count %d for %d bytes of %d frames", j.Len(), j.Count(), len(frame), len(joined))
	}
	h := j.Finish(frame)
	intact(t, buf)
	if len(joined) == 1 {
		if h != joined[0].h || !bytes.Equal(frame, joined[0].frame) {
			t.Fatal("a single frame was changed")
		}
		return
	}
	again := cutAll(t, frame, h, 0)
	if len(again) != len(joined) {
		t.Fatalf("%d frames joined, %d cut", len(joined), len(again))
	}
	for i, want := range joined {
		got := again[i].frame
		if want.h.Flags&FlagNeedsCsum == 0 {
			if err := Complete(got, again[i].h); err != nil {
				t.Fatal(err)
			}
		}
		l, err := parse(got)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(want.frame)
		if ip := want[l.ip:]; !l.v6 && ip[ipv4Fragment]&(dontFragment>>8) != 0 {
			copy(ip[ipv4ID:], got[l.ip+ipv4ID:l.ip+ipv4ID+2]) // means nothing
			copy(ip[ipv4Checksum:], got[l.ip+ipv4Checksum:l.ip+ipv4Checksum+2])
		}
		sameZero(want[l.ip+ipv4Checksum:], got[l.ip+ipv4Checksum:], !l.v6)
		sameZero(want[l.transport+l.checksumOffset():], got[l.transport+l.checksumOffset():], true)
		if !bytes.Equal(got, want) {
			t.Fatalf("frame %d of %d, joined and cut again:\n%x, was\n%x", i, len(joined), got, want)
		}
	}
}

// sameZero makes a checksum of 0xffff in one and 0 in the other the same: both
// are zero in ones' complement.
func sameZero(a, b []byte, really bool) {
	x, y := binary.BigEndian.Uint16(a), binary.BigEndian.Uint16(b)
	if really && x+y == 0xffff && (x == 0 || y == 0) {
		copy(a[:2], b)
	}
}

func FuzzComplete(f *testing.F) {
	seeds(f, func(frame []byte, h Header) {
		f.Add(frame, h.Flags, h.CsumStart, h.CsumOffset)
	})
	f.Fuzz(func(t *testing.T, frame []byte, flags uint8, start, offset uint16) {
		Verify(frame)
		buf := fenced(frame)
		err := Complete(buf[canary:canary+len(frame)], Header{Flags: flags, CsumStart: start, CsumOffset: offset})
		intact(t, buf)
		want := bytes.Clone(frame)
		if field := int(start) + int(offset); flags&FlagNeedsCsum != 0 {
			if (err == nil) != (field+2 <= len(frame)) {
				t.Fatalf("%d bytes, field at %d: %v", len(frame), field, err)
			}
			if err == nil {
				check := ^slowSum(frame[start:])
				if check == 0 && offset == udpChecksum {
					check = 0xffff
				}
				binary.BigEndian.PutUint16(want[field:], check)
			}
		}
		if !bytes.Equal(buf[canary:canary+len(frame)], want) {
			t.Fatalf("%x, want %x", buf[canary:canary+len(frame)], want)
		}
	})
}
