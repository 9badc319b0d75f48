package attack

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// junkKind is one way to make datagrams that deserve no answer, or a small one.
type junkKind uint8

const (
	junkNoise    junkKind = iota // random bytes of random length
	junkMutated                  // recorded datagrams, altered, cut or prolonged
	junkRecorded                 // recorded datagrams as they were, from another address
	junkMasked                   // headers that parse, under the right mask, in front of noise
	junkInit                     // INITs of fresh identities, half of them altered
	junkHello                    // HELLOs, half of them altered
	junkSTUN                     // Binding requests, half of them altered
	junkKinds                    // how many there are
)

func (k junkKind) String() string {
	return [...]string{"noise", "mutated", "recorded", "masked", "INIT", "HELLO", "STUN"}[k]
}

// junk makes datagrams for one target. The attacker knows what an ex-member
// knows: the mask, and whom INITs are for.
type junk struct {
	random   *rand.Rand
	scratch  *crypto.Scratch
	mask     *crypto.Mask // of what the target gets
	hello    *crypto.Mask
	hop      bool     // the target is a supernode
	recorded [][]byte // what the target got from others
	inits    [][]byte // for the target, unmasked
	buf      [2048]byte
}

// freshInits is how many identities the INITs come from.
const freshInits = 512

// newJunk prepares to bother a target with that static key.
func newJunk(seed uint64, k *secrets, hop bool, static [32]byte, recorded [][]byte) *junk {
	j := &junk{
		random: rand.New(rand.NewPCG(seed, seed)), scratch: crypto.NewScratch(),
		mask: k.edge, hello: k.hello, hop: hop, recorded: recorded,
	}
	header := protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: k.community.Epochs[0].Index, CTR: protocol.Revision}
	cfg := crypto.HandshakeConfig{CID: k.community.ID()}
	if hop {
		j.mask = k.super
		header.XF, header.KI = protocol.XFHop, protocol.KINone
		cfg = crypto.HandshakeConfig{Hop: true}
	}
	for i := range freshInits {
		var seed, psk [32]byte
		j.fill(seed[:])
		j.fill(psk[:]) // the attacker has no key of the present epoch
		cfg.Local = crypto.NewIdentity(seed)
		if !hop {
			cfg.PSK = psk
		}
		header.RX = j.random.Uint32()
		var hdr [16]byte
		header.Put(hdr[:])
		var payload [48]byte
		opening := protocol.InitPayload{
			Stamp: uint64(time.Now().UnixNano()) + uint64(i), VMin: protocol.Version, VMax: protocol.Version,
			MAC: protocol.MAC{2, byte(i), byte(i >> 8), 1, 1, 1}, MTU: 1370,
		}
		opening.Put(&payload)
		_, pkt, err := crypto.Initiate(cfg, static, hdr, payload, nil)
		j.inits = append(j.inits, lab.Must(pkt, err))
	}
	return j
}

func (j *junk) fill(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, j.random.Uint64())
	}
	for i := range b {
		b[i] = byte(j.random.Uint32())
	}
}

// next makes one datagram, which is valid until the next call.
func (j *junk) next(kind junkKind) []byte {
	switch kind {
	case junkMutated:
		return j.mutate(j.copyOf(j.recorded))
	case junkRecorded:
		return j.copyOf(j.recorded)
	case junkMasked:
		b := j.buf[:protocol.HeaderLen+16+j.random.IntN(400)]
		j.fill(b)
		j.plausible().Put(b)
		j.mask.Hide(j.scratch, b)
		return b
	case junkInit:
		b := j.copyOf(j.inits)
		if j.half() {
			b[j.random.IntN(len(b))] ^= 1 << j.random.IntN(8)
		}
		j.mask.Hide(j.scratch, b)
		return b
	case junkHello:
		var nonce [16]byte
		j.fill(nonce[:])
		b := protocol.AppendHello(j.buf[:0], nonce)
		j.hello.Hide(j.scratch, b)
		if j.half() {
			return j.mutate(b)
		}
		return b
	case junkSTUN:
		var id [12]byte
		j.fill(id[:])
		b := stun.AppendRequest(j.buf[:0], id)
		if j.half() {
			return j.mutateSTUN(b)
		}
		return b
	}
	b := j.buf[:j.random.IntN(1472)]
	j.fill(b)
	return b
}

func (j *junk) half() bool { return j.random.Uint32()&1 == 0 }

func (j *junk) copyOf(list [][]byte) []byte {
	return j.buf[:copy(j.buf[:], list[j.random.IntN(len(list))])]
}

// plausible is a header that its receiver parses.
func (j *junk) plausible() protocol.Header {
	h := protocol.Header{
		Type: protocol.Type(1 + j.random.IntN(10)), RX: j.random.Uint32(), CTR: j.random.Uint64(),
		Flags: protocol.Flags(j.random.IntN(4)),
		XF:    []protocol.Transform{protocol.XFDataChaCha, protocol.XFDataGCM, protocol.XFGroupGCM, protocol.XFGroupChaCha, protocol.XFNull}[j.random.IntN(5)],
	}
	if j.hop {
		h.XF, h.KI = protocol.XFHop, protocol.KINone
	}
	return h
}

// mutate alters up to eight bytes or bits, and now and then the length.
func (j *junk) mutate(b []byte) []byte {
	for range 1 + j.random.IntN(8) {
		at := j.random.IntN(len(b))
		if j.half() {
			b[at] ^= 1 << j.random.IntN(8)
		} else {
			b[at] = byte(j.random.Uint32())
		}
	}
	switch j.random.IntN(4) {
	case 0:
		return b[:j.random.IntN(len(b))]
	case 1:
		longer := min(len(b)+j.random.IntN(64), 1472)
		if longer > len(b) {
			// b begins at the buffer's begin.
			j.fill(j.buf[len(b):longer])
			return j.buf[:longer]
		}
	}
	return b
}

// mutateSTUN leaves the cookie and makes the length fit, so that the message is
// looked at, and puts attributes of any kind and length behind it.
func (j *junk) mutateSTUN([]byte) []byte {
	size := 4 * j.random.IntN(24)
	b := j.buf[:20+size]
	j.fill(b[20:])
	types := []uint16{0x0001, 0x0009, 0x0020, 0x8020, 0x8023, 0x8028, 0x802b, 0x0006, 0x0008}
	for at := 20; at+4 <= len(b); {
		n := j.random.IntN(24)
		binary.BigEndian.PutUint16(b[at:], types[j.random.IntN(len(types))])
		binary.BigEndian.PutUint16(b[at+2:], uint16(n))
		at += 4 + (n+3)&^3
	}
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	if j.random.IntN(4) == 0 {
		b[1] = byte(j.random.Uint32())
	}
	return b
}
