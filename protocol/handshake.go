package protocol

import "encoding/binary"

// Sizes in bytes of the sealed payloads of a handshake.
const (
	InitPayloadLen = 48
	RespPayloadLen = 32
)

// RespChallenge is the flag of a RESP that makes no session: both sides
// discard its keys, and the initiator sends a new INIT with the challenge in
// it.
const RespChallenge = 1

// InitPayload is the payload of an INIT.
type InitPayload struct {
	// Stamp rises with every INIT of a static key: its wall clock in
	// nanoseconds, or one more than the last.
	Stamp uint64
	// Features are the Feature bits.
	Features uint32
	// VMin and VMax are the lowest and highest version that it speaks.
	VMin, VMax uint8
	// Flags is zero in version 1.
	Flags uint16
	// MAC is its hardware address.
	MAC MAC
	// MTU is that of its TAP device in bytes.
	MTU uint16
	// Challenge is the one that the responder gave, or zeros.
	Challenge [16]byte
}

// Put writes the payload to dst.
func (p *InitPayload) Put(dst *[InitPayloadLen]byte) {
	*dst = [InitPayloadLen]byte{}
	binary.BigEndian.PutUint64(dst[0:], p.Stamp)
	binary.BigEndian.PutUint32(dst[8:], p.Features)
	dst[12], dst[13] = p.VMin, p.VMax
	binary.BigEndian.PutUint16(dst[14:], p.Flags)
	copy(dst[16:], p.MAC[:])
	binary.BigEndian.PutUint16(dst[22:], p.MTU)
	copy(dst[24:], p.Challenge[:])
}

// ParseInitPayload reads an opened payload. The eight bytes at its end are
// ignored. It fails with ErrLength if it has not InitPayloadLen bytes, and
// with ErrVersion if the initiator does not speak this version.
func ParseInitPayload(b []byte) (InitPayload, error) {
	if len(b) != InitPayloadLen {
		return InitPayload{}, ErrLength
	}
	r := reader{b: b}
	p := InitPayload{Stamp: r.u64(), Features: r.u32(), VMin: r.u8(), VMax: r.u8(), Flags: r.u16()}
	r.copyTo(p.MAC[:])
	p.MTU = r.u16()
	r.copyTo(p.Challenge[:])
	if p.VMin > Version || p.VMax < Version {
		return InitPayload{}, ErrVersion
	}
	return p, nil
}

// RespPayload is the payload of a RESP.
type RespPayload struct {
	// Features are the Feature bits.
	Features uint32
	// Version is the one that the session speaks.
	Version uint8
	// Flags is RespChallenge or 0.
	Flags uint8
	// MTU is that of its TAP device in bytes, 0 for a supernode.
	MTU uint16
	// MAC is its hardware address, zeros for a supernode.
	MAC MAC
	// Challenge is what the initiator has to echo if Flags has RespChallenge.
	Challenge [16]byte
}

// Put writes the payload to dst.
func (p *RespPayload) Put(dst *[RespPayloadLen]byte) {
	*dst = [RespPayloadLen]byte{}
	binary.BigEndian.PutUint32(dst[0:], p.Features)
	dst[4], dst[5] = p.Version, p.Flags
	binary.BigEndian.PutUint16(dst[6:], p.MTU)
	copy(dst[8:], p.MAC[:])
	copy(dst[14:], p.Challenge[:])
}

// ParseRespPayload reads an opened payload. The two bytes at its end are
// ignored. It fails with ErrLength if it has not RespPayloadLen bytes, with
// ErrVersion, and with ErrFlags.
func ParseRespPayload(b []byte) (RespPayload, error) {
	if len(b) != RespPayloadLen {
		return RespPayload{}, ErrLength
	}
	r := reader{b: b}
	p := RespPayload{Features: r.u32(), Version: r.u8(), Flags: r.u8(), MTU: r.u16()}
	r.copyTo(p.MAC[:])
	r.copyTo(p.Challenge[:])
	switch {
	case p.Version != Version:
		return RespPayload{}, ErrVersion
	case p.Flags&^(RespChallenge|RespIgnored) != 0:
		return RespPayload{}, ErrFlags
	}
	return p, nil
}
