package transport

import (
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message makes one control message as the kernel does, with room behind it.
func message(level, kind int32, payload []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(payload)))
	var h unix.Cmsghdr
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(payload)))
	copy(b, (*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h))[:])
	copy(b[unix.CmsgLen(0):], payload)
	return b
}

func number(v int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

func TestSegmentSize(t *testing.T) {
	gro := message(unix.IPPROTO_UDP, unix.UDP_GRO, number(1400))
	ttl := message(unix.IPPROTO_IP, unix.IP_TTL, number(64))
	huge := slices.Clone(gro)
	for i := range unsafe.Sizeof(unix.Cmsghdr{}.Len) {
		huge[i] = 0xff
	}
	for name, tt := range map[string]struct {
		control []byte
		want    int
	}{
		"nothing":         {nil, 0},
		"GRO":             {gro, 1400},
		"behind another":  {slices.Concat(ttl, gro), 1400},
		"behind an odd":   {slices.Concat(message(1, 2, []byte{1, 2, 3}), gro), 1400},
		"of another kind": {ttl, 0},
		"negative":        {message(unix.IPPROTO_UDP, unix.UDP_GRO, number(-1)), 0},
		"too short":       {message(unix.IPPROTO_UDP, unix.UDP_GRO, []byte{1, 2}), 0},
		"cut":             {gro[:len(gro)-8], 0},
		"header cut":      {gro[:unix.SizeofCmsghdr-1], 0},
		"length 0":        {make([]byte, 64), 0},
		"length huge":     {huge, 0},
		"at the very end": {gro[:unix.CmsgLen(4)], 1400},
	} {
		if got := segmentSize(tt.control); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func FuzzSegmentSize(f *testing.F) {
	f.Add(message(unix.IPPROTO_UDP, unix.UDP_GRO, number(1400)))
	f.Add(slices.Concat(message(unix.IPPROTO_IP, unix.IP_TTL, number(64)), message(unix.IPPROTO_UDP, unix.UDP_GRO, number(7))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size := segmentSize(b); size < 0 || size > 0 && len(b) < unix.CmsgLen(4) {
			t.Errorf("%d of %x", size, b)
		}
	})
}

// TestPut has the standard parser read what put writes.
func TestPut(t *testing.T) {
	for _, tt := range []struct {
		ttl uint8
		seg int
	}{{0, 0}, {5, 0}, {0, 1400}, {255, 65507}} {
		var c control
		all, ttlAlone := c.put(tt.ttl, tt.seg)
		var ttl uint8
		var seg int
		messages, err := unix.ParseSocketControlMessage(c.bytes()[:all])
		for _, m := range messages {
			switch {
			case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL && len(m.Data) == 4:
				ttl = uint8(binary.NativeEndian.Uint32(m.Data))
			case m.Header.Level == unix.IPPROTO_UDP && m.Header.Type == unix.UDP_SEGMENT && len(m.Data) == 2:
				seg = int(binary.NativeEndian.Uint16(m.Data))
			default:
				t.Errorf("%+v: strange message %+v", tt, m)
			}
		}
		if err != nil || ttl != tt.ttl || seg != tt.seg {
			t.Errorf("%+v: ttl %d, segment size %d, %v", tt, ttl, seg, err)
		}
		if messages, err := unix.ParseSocketControlMessage(c.bytes()[:ttlAlone]); err != nil || len(messages) != min(int(tt.ttl), 1) {
			t.Errorf("%+v: without the segment size %v, %v", tt, messages, err)
		}
	}
}
