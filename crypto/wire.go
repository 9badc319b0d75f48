package crypto

import "encoding/binary"

// The part of the wire format (PROTOCOL.md, sections 2 and 3) that sealing needs.
// Package protocol owns the format; this package gets headers as bytes and does
// not import protocol, so these few numbers are repeated here.
const (
	headerLen = 16
	tagLen    = 16
	saltLen   = 16
	tailLen   = 8 // of GROUP, random

	initLen   = 192
	respLen   = 128
	cookieLen = 72

	version = 1 // the top three bits of byte 0

	typeInit    = 1
	typeResp    = 2
	typeCookie  = 3
	typeData    = 4
	typeGroup   = 5
	typeRelay   = 6
	typeNotice  = 8
	typeHello   = 9
	typeWelcome = 10

	xfNull        = 0x00
	xfGroupChaCha = 0x01
	xfGroupGCM    = 0x02
	xfDataChaCha  = 0x10
	xfDataGCM     = 0x11
	xfPair        = 0x10 // INIT, RESP and COOKIE between edges
	xfHop         = 0x20

	kiNone = 255

	offXF  = 1
	offKI  = 2
	offFL  = 3
	offRX  = 4
	offCTR = 8
)

// firstByte returns byte 0 of a header of this version and that type.
func firstByte(packetType byte) byte { return version<<5 | packetType }

// counterOf returns the CTR field of a header.
func counterOf(hdr []byte) uint64 { return binary.BigEndian.Uint64(hdr[offCTR:headerLen]) }
