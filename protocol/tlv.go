package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MsgType is the type of a control message. Types from 0x80 on are critical: a
// receiver that does not know one drops the whole body.
type MsgType uint8

// The messages between two edges, in a pair session.
const (
	MsgPing      MsgType = 0x01
	MsgPong      MsgType = 0x02
	MsgCand      MsgType = 0x03
	MsgCall      MsgType = 0x04
	MsgCallAck   MsgType = 0x05
	MsgGo        MsgType = 0x06
	MsgSalt      MsgType = 0x07
	MsgKeyUpdate MsgType = 0x08
	MsgHosts     MsgType = 0x09
	MsgClose     MsgType = 0x0a
	MsgAbout     MsgType = 0x0b
	MsgForward   MsgType = 0x0c
	MsgForwarded MsgType = 0x0d
	MsgStatement MsgType = 0x0e
	MsgHostAsk   MsgType = 0x11
	MsgHostIs    MsgType = 0x12
	MsgSegment   MsgType = 0x10
	MsgRoutes    MsgType = 0x13
	MsgList      MsgType = 0x14
	MsgListWant  MsgType = 0x15
	MsgListPart  MsgType = 0x16
)

// The messages between an edge and a supernode, in a hop session, which also
// knows PING and PONG.
const (
	MsgRegister   MsgType = 0x20
	MsgAck        MsgType = 0x21
	MsgNak        MsgType = 0x22
	MsgQuery      MsgType = 0x23
	MsgPeerInfo   MsgType = 0x24
	MsgPunch      MsgType = 0x25
	MsgUnregister MsgType = 0x26
	MsgLoad       MsgType = 0x27
	MsgWhoami     MsgType = 0x28
	MsgSeen       MsgType = 0x29
	MsgDirect     MsgType = 0x2a
	MsgLimited    MsgType = 0x2b
	MsgRedirect   MsgType = 0x2c
	MsgRotate     MsgType = 0x2d
)

// MsgAnnounce is the only message in GROUP packets.
const MsgAnnounce MsgType = 0x30

var msgNames = map[MsgType]string{
	MsgPing: "PING", MsgPong: "PONG", MsgCand: "CAND", MsgCall: "CALL",
	MsgCallAck: "CALLACK", MsgGo: "GO", MsgSalt: "SALT",
	MsgKeyUpdate: "KEYUPDATE", MsgHosts: "HOSTS", MsgClose: "CLOSE",
	MsgAbout: "ABOUT", MsgForward: "FORWARD", MsgForwarded: "FORWARDED", MsgStatement: "STATEMENT", MsgHostAsk: "HOSTASK", MsgHostIs: "HOSTIS",
	MsgSegment: "SEGMENT", MsgRoutes: "ROUTES",
	MsgList: "LIST", MsgListWant: "LISTWANT", MsgListPart: "LISTPART",
	MsgRegister: "REGISTER", MsgAck: "ACK", MsgNak: "NAK",
	MsgQuery: "QUERY", MsgPeerInfo: "PEER_INFO", MsgPunch: "PUNCH",
	MsgUnregister: "UNREGISTER", MsgLoad: "LOAD", MsgWhoami: "WHOAMI",
	MsgSeen: "SEEN", MsgDirect: "DIRECT", MsgLimited: "LIMITED", MsgRedirect: "REDIRECT", MsgRotate: "ROTATE", MsgAnnounce: "ANNOUNCE",
}

// String returns the message's name as in the specification, or its number.
func (t MsgType) String() string {
	if s, ok := msgNames[t]; ok {
		return s
	}
	return fmt.Sprintf("MESSAGE-0x%02x", uint8(t))
}

// Errors of the message parsers, besides ErrShort and ErrLength.
var (
	// ErrCritical says that a message or member is unknown and marked as one
	// that must not be skipped.
	ErrCritical = errors.New("protocol: unknown critical message")
	// ErrValue says that a field has a value that it cannot have.
	ErrValue = errors.New("protocol: impossible value")
	// ErrMissing says that a member that has to be there is not.
	ErrMissing = errors.New("protocol: member missing")
	// ErrDuplicate says that a member is there twice that may be there once.
	ErrDuplicate = errors.New("protocol: member twice")
	// ErrTooMany says that a list is longer than its bound.
	ErrTooMany = errors.New("protocol: too many entries")
)

// tlvLen is the size of the type and length in front of a value.
const tlvLen = 3

// critical is the bit of the types that must not be skipped.
const critical = 0x80

// NextTLV splits the first message off a control body, or the first member off a
// message's value. It fails with ErrShort if b ends within it, and with
// ErrCritical if the type is 0x80 or above: version 1 has none, so the type is
// unknown and the caller has to drop the whole body. Callers skip unknown types
// below 0x80 by a switch. value and rest alias b.
func NextTLV(b []byte) (typ uint8, value, rest []byte, err error) {
	if len(b) < tlvLen {
		return 0, nil, nil, ErrShort
	}
	if b[0]&critical != 0 {
		return 0, nil, nil, ErrCritical
	}
	end := tlvLen + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < end {
		return 0, nil, nil, ErrShort
	}
	return b[0], b[tlvLen:end:end], b[end:], nil
}

// CheckControl walks a whole control body without reading the values, so that
// a body with an unknown critical message or a broken length can be dropped
// before its first message has had an effect. It fails as NextTLV does.
func CheckControl(body []byte) error {
	for len(body) > 0 {
		_, _, rest, err := NextTLV(body)
		if err != nil {
			return err
		}
		body = rest
	}
	return nil
}

// beginTLV appends a type and room for a length. at is where the length is,
// for endTLV.
func beginTLV[T ~uint8](dst []byte, typ T) (b []byte, at int) {
	return append(dst, byte(typ), 0, 0), len(dst) + 1
}

// endTLV fills in the length of the value that was appended since beginTLV.
func endTLV(dst []byte, at int) []byte {
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}
