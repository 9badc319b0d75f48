package protocol

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// fuzz feeds one parser. The fuzzer's bytes are used as they are and, for a
// control message, also as a value behind the right type and length, so that
// they get past the gate.
func fuzz(f *testing.F, name string, typ MsgType) {
	for _, v := range vectors(f, "good.txt") {
		if v.codec == name {
			f.Add(v.bytes)
			if typ != 0 {
				f.Add(v.bytes[tlvLen:])
			}
		}
	}
	for _, v := range vectors(f, "bad.txt") {
		if v.codec == name {
			f.Add(v.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkStable(t, codecs[name], b)
		if typ != 0 && len(b) <= 0xffff {
			checkStable(t, codecs[name], appendMember(nil, uint8(typ), b))
		}
	})
}

func FuzzPing(f *testing.F)       { fuzz(f, "ping", MsgPing) }
func FuzzPong(f *testing.F)       { fuzz(f, "pong", MsgPong) }
func FuzzCandidates(f *testing.F) { fuzz(f, "cand", MsgCand) }
func FuzzCall(f *testing.F)       { fuzz(f, "call", MsgCall) }
func FuzzCallAck(f *testing.F)    { fuzz(f, "callack", MsgCallAck) }
func FuzzGo(f *testing.F)         { fuzz(f, "go", MsgGo) }
func FuzzSalt(f *testing.F)       { fuzz(f, "salt", MsgSalt) }
func FuzzKeyUpdate(f *testing.F)  { fuzz(f, "keyupdate", MsgKeyUpdate) }
func FuzzHosts(f *testing.F)      { fuzz(f, "hosts", MsgHosts) }
func FuzzHostAsk(f *testing.F)    { fuzz(f, "hostask", MsgHostAsk) }
func FuzzHostIs(f *testing.F)     { fuzz(f, "hostis", MsgHostIs) }
func FuzzClose(f *testing.F)      { fuzz(f, "close", MsgClose) }
func FuzzAbout(f *testing.F)      { fuzz(f, "about", MsgAbout) }
func FuzzForward(f *testing.F)    { fuzz(f, "forward", MsgForward) }
func FuzzForwarded(f *testing.F)  { fuzz(f, "forwarded", MsgForwarded) }
func FuzzStatement(f *testing.F)  { fuzz(f, "statement", MsgStatement) }
func FuzzSegment(f *testing.F)    { fuzz(f, "segment", MsgSegment) }
func FuzzRoutes(f *testing.F)     { fuzz(f, "routes", MsgRoutes) }
func FuzzList(f *testing.F)       { fuzz(f, "list", MsgList) }
func FuzzListWant(f *testing.F)   { fuzz(f, "listwant", MsgListWant) }
func FuzzListPart(f *testing.F)   { fuzz(f, "listpart", MsgListPart) }
func FuzzProbe(f *testing.F)      { fuzz(f, "probe", 0) }
func FuzzRegister(f *testing.F)   { fuzz(f, "register", MsgRegister) }
func FuzzAck(f *testing.F)        { fuzz(f, "ack", MsgAck) }
func FuzzNak(f *testing.F)        { fuzz(f, "nak", MsgNak) }
func FuzzQuery(f *testing.F)      { fuzz(f, "query", MsgQuery) }
func FuzzPeerInfo(f *testing.F)   { fuzz(f, "peerinfo", MsgPeerInfo) }
func FuzzPunch(f *testing.F)      { fuzz(f, "punch", MsgPunch) }
func FuzzUnregister(f *testing.F) { fuzz(f, "unregister", MsgUnregister) }
func FuzzLoad(f *testing.F)       { fuzz(f, "load", MsgLoad) }
func FuzzWhoami(f *testing.F)     { fuzz(f, "whoami", MsgWhoami) }
func FuzzSeen(f *testing.F)       { fuzz(f, "seen", MsgSeen) }
func FuzzRedirect(f *testing.F)   { fuzz(f, "redirect", MsgRedirect) }
func FuzzRotate(f *testing.F)     { fuzz(f, "rotate", MsgRotate) }
func FuzzLimited(f *testing.F)    { fuzz(f, "limited", MsgLimited) }
func FuzzDirect(f *testing.F)     { fuzz(f, "direct", MsgDirect) }
func FuzzAnnounce(f *testing.F)   { fuzz(f, "announce", MsgAnnounce) }

func FuzzHeader(f *testing.F)      { fuzz(f, "header", 0) }
func FuzzHello(f *testing.F)       { fuzz(f, "hello", 0) }
func FuzzWelcome(f *testing.F)     { fuzz(f, "welcome", 0) }
func FuzzReset(f *testing.F)       { fuzz(f, "reset", 0) }
func FuzzNotice(f *testing.F)      { fuzz(f, "notice", 0) }
func FuzzInitPayload(f *testing.F) { fuzz(f, "init-payload", 0) }
func FuzzRespPayload(f *testing.F) { fuzz(f, "resp-payload", 0) }
func FuzzInner(f *testing.F)       { fuzz(f, "inner", 0) }

// FuzzDecodeFrame gives every inner to DecodeFrame, partial ones also with the
// checksum field named rightly. A decoded frame has to be valid and to lie in
// the buffer, and nothing outside it and the inner may change.
func FuzzDecodeFrame(f *testing.F) {
	for _, file := range []string{"good.txt", "bad.txt"} {
		for _, v := range vectors(f, file) {
			if v.codec == "inner" || v.codec == "frame" {
				f.Add(v.bytes)
			}
		}
	}
	for _, frame := range [][]byte{
		tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 20)),
		tagged(EtherTypeIPv6, ipv6Packet(20, 0, 43, 60, 6), 0x81000001),
	} {
		s, o, _ := Frame(frame).ChecksumField()
		for _, elide := range []bool{false, true} {
			buf := append(make([]byte, 18), frame...)
			f.Add(buf[EncodePartialFrame(buf, 18, len(frame), elide, uint8(s), uint8(o)):])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const room = 40
		buf := append(bytes.Repeat([]byte{0xee}, room), b...)
		buf = append(buf, 0xee)
		off, n, in, err := DecodeFrame(buf, room, room+len(b), testSelf, testPeer)
		if !bytes.Equal(buf[:25], bytes.Repeat([]byte{0xee}, 25)) || buf[len(buf)-1] != 0xee {
			t.Fatal("wrote outside")
		}
		if err != nil {
			return
		}
		frame := Frame(buf[off : off+n])
		if off < 25 || off+n > room+len(b) || frame.Valid() != nil {
			t.Fatalf("frame at %d, %d bytes", off, n)
		}
		if in.Kind == KindElided && (frame.Dst() != testSelf || frame.Src() != testPeer) {
			t.Fatal("wrong addresses")
		}
		if s, o, ok := frame.ChecksumField(); ok && s+o+2 > len(frame) {
			t.Fatal("checksum field outside the frame")
		} else if in.Partial && (!ok || s != int(in.CsumStart) || o != int(in.CsumOffset)) {
			t.Fatal("partial checksum at another place")
		}
		checkStable(t, frameCodec, b)
	})
}

// FuzzFrame gives any bytes to the frame view.
func FuzzFrame(f *testing.F) {
	f.Add(tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 20), 0x81000001))
	f.Add(tagged(EtherTypeIPv6, ipv6Packet(8, 60, 60, 17), 0x88a80001, 0x81000001))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame := Frame(b)
		if frame.Valid() != nil {
			return
		}
		if frame.EtherType() == EtherTypeVLAN || len(frame.Payload()) > len(b)-EthernetLen {
			t.Fatal("a tag is left")
		}
		frame.ChecksumField()
	})
}

// FuzzReassembler lets the fuzzer write a script of pieces: a byte of time, one
// of source and one of counter, one of length, then the body. Bounds have to
// hold after each, and what comes out has to be a frame within its size.
func FuzzReassembler(f *testing.F) {
	f.Add([]byte("\x00\x01\x0a\x04\x00\x00ab\x00\x01\x0b\x02\x81c"))
	f.Add([]byte("\x00\x01\x0b\x02\x81c\xff\x01\x0a\x04\x00\x00ab"))
	f.Add([]byte("\x00\x01\x0c\x04\x02def\x00\x01\x0d\x02\x83g\x00\x01\x0b\x04\x01abc\x00\x01\x0a\x04\x00\x00ab"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var r Reassembler
		now := epoch
		for len(script) >= 4 {
			n := min(int(script[3]), len(script)-4)
			now = now.Add(time.Duration(script[0]) * 10 * time.Millisecond)
			body := script[4 : 4+n]
			if inner, _, done := r.Add(now, uint64(script[1]), uint64(script[2]), body, false); done {
				if len(inner) == 0 || len(inner) > MaxInner || Kind(inner[0]>>kindShift) == KindFragment {
					t.Fatalf("joined %x", inner)
				}
			}
			if len(r.active) > ReassemblySlots || r.held > ReassemblyBytes {
				t.Fatalf("%d in the making, %d bytes", len(r.active), r.held)
			}
			script = script[4+n:]
		}
	})
}

// FuzzPieces cuts an inner and joins it again in an order of the fuzzer's.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("\x00an inner that goes into pieces"), uint16(9), uint64(3))
	f.Add(append([]byte{0x40}, make([]byte, 4000)...), uint16(1400), uint64(1))
	f.Fuzz(func(t *testing.T, inner []byte, maxPiece uint16, order uint64) {
		count := PieceCount(len(inner), int(maxPiece))
		if count == 0 || Kind(inner[0]>>kindShift) == KindFragment {
			return
		}
		var list [][]byte
		for i := range count {
			list = append(list, AppendPiece(nil, inner, i, count)[1:])
		}
		var r Reassembler
		left := make([]int, count)
		for i := range left {
			left[i] = i
		}
		for len(left) > 0 {
			order = order*6364136223846793005 + 1442695040888963407
			k := int(order>>33) % len(left)
			i := left[k]
			left = append(left[:k], left[k+1:]...)
			got, _, done := r.Add(epoch, 1, uint64(i), list[i], false)
			if done != (len(left) == 0) || done && !bytes.Equal(got, inner) {
				t.Fatalf("%d pieces, %d left: done %t", count, len(left), done)
			}
		}
	})
}

// FuzzControl walks a body as a receiver does, all messages and their values.
func FuzzControl(f *testing.F) {
	var all []byte
	for _, v := range vectors(f, "good.txt") {
		if b := v.bytes; len(b) >= tlvLen && int(binary.BigEndian.Uint16(b[1:])) == len(b)-tlvLen {
			all = append(all, b...)
			f.Add(b)
		}
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, body []byte) {
		whole := CheckControl(body)
		for len(body) > 0 {
			_, value, rest, err := NextTLV(body)
			if err != nil {
				if whole == nil {
					t.Fatalf("%v in a body without fault", err)
				}
				return
			}
			if len(value)+len(rest)+tlvLen != len(body) {
				t.Fatal("bytes lost")
			}
			for _, c := range codecs {
				_, _, _ = c(body[:tlvLen+len(value)])
			}
			body = rest
		}
		if whole != nil {
			t.Fatalf("%v, but no message has a fault", whole)
		}
	})
}
