package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// codec parses bytes and encodes the value again.
type codec func(b []byte) (value any, again []byte, err error)

// message makes the codec of a control message, with its type and length.
func message[T any, P interface {
	*T
	Append([]byte) []byte
}](typ MsgType, parse func([]byte) (T, error)) codec {
	return func(b []byte) (any, []byte, error) {
		got, value, rest, err := NextTLV(b)
		if err != nil {
			return nil, nil, err
		}
		if MsgType(got) != typ || len(rest) > 0 {
			return nil, nil, errOther
		}
		m, err := parse(value)
		if err != nil {
			return nil, nil, err
		}
		return m, P(&m).Append(nil), nil
	}
}

// errOther stands for bytes that are not for this codec at all.
var errOther = errors.New("another message")

// codecs has every parser of the package by the name that testdata uses.
var codecs = map[string]codec{
	"ping":       message(MsgPing, ParsePing),
	"pong":       message(MsgPong, ParsePong),
	"cand":       message(MsgCand, ParseCandidates),
	"call":       message(MsgCall, ParseCall),
	"callack":    message(MsgCallAck, ParseCallAck),
	"go":         message(MsgGo, ParseGo),
	"salt":       message(MsgSalt, ParseSalt),
	"keyupdate":  message(MsgKeyUpdate, ParseKeyUpdate),
	"hosts":      message(MsgHosts, ParseHosts),
	"hostask":    message(MsgHostAsk, ParseHostAsk),
	"hostis":     message(MsgHostIs, ParseHostIs),
	"close":      message(MsgClose, ParseClose),
	"about":      message(MsgAbout, ParseAbout),
	"forward":    message(MsgForward, ParseForward),
	"forwarded":  message(MsgForwarded, ParseForwarded),
	"statement":  message(MsgStatement, ParseStatement),
	"segment":    message(MsgSegment, ParseSegment),
	"routes":     message(MsgRoutes, ParseRoutes),
	"list":       message(MsgList, ParseList),
	"listwant":   message(MsgListWant, ParseListWant),
	"listpart":   message(MsgListPart, ParseListPart),
	"register":   message(MsgRegister, ParseRegister),
	"ack":        message(MsgAck, ParseAck),
	"nak":        message(MsgNak, ParseNak),
	"query":      message(MsgQuery, ParseQuery),
	"peerinfo":   message(MsgPeerInfo, ParsePeerInfo),
	"punch":      message(MsgPunch, ParsePunch),
	"unregister": message(MsgUnregister, ParseUnregister),
	"load":       message(MsgLoad, ParseLoad),
	"limited":    message(MsgLimited, ParseLimited),
	"redirect":   message(MsgRedirect, ParseRedirect),
	"rotate":     message(MsgRotate, ParseRotate),
	"whoami":     message(MsgWhoami, ParseWhoami),
	"seen":       message(MsgSeen, ParseSeen),
	"direct":     message(MsgDirect, ParseDirect),
	"announce":   message(MsgAnnounce, ParseAnnounce),

	"probe":        probeCodec,
	"header":       headerCodec,
	"hello":        helloCodec,
	"welcome":      welcomeCodec,
	"reset":        resetCodec,
	"notice":       noticeCodec,
	"init-payload": initPayloadCodec,
	"resp-payload": respPayloadCodec,
	"inner":        innerCodec,
	"frame":        frameCodec,
	"tlv":          tlvCodec,
}

func probeCodec(b []byte) (any, []byte, error) {
	if Frame(b).Valid() != nil {
		return nil, nil, ErrShort
	}
	p, err := ParseProbe(b)
	if err != nil {
		return nil, nil, err
	}
	again := p.AppendFrame(nil, Frame(b).Src())
	if typ := binary.BigEndian.Uint16(b[12:]); IsTag(typ) {
		again = AppendTagged(nil, again, typ, binary.BigEndian.Uint16(b[EthernetLen:]))
	}
	return p, append(again, b[len(again):]...), nil
}

func headerCodec(b []byte) (any, []byte, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return nil, nil, err
	}
	return h, append(h.append(nil), b[HeaderLen:]...), nil
}

func helloCodec(b []byte) (any, []byte, error) {
	nonce, err := ParseHello(b)
	return nonce, AppendHello(nil, nonce), err
}

func welcomeCodec(b []byte) (any, []byte, error) {
	nonce, key, err := ParseWelcome(b)
	if err != nil {
		return nil, nil, err
	}
	return key, AppendWelcome(nil, nonce, key, [32]byte(b[64:])), nil
}

func resetCodec(b []byte) (any, []byte, error) {
	index, token, err := ParseReset(b)
	return index, AppendReset(nil, index, token), err
}

func noticeCodec(b []byte) (any, []byte, error) {
	n, err := ParseNotice(b)
	if err != nil {
		return nil, nil, err
	}
	return n, append(n.Append(nil), b[noticeBody:]...), nil
}

func initPayloadCodec(b []byte) (any, []byte, error) {
	p, err := ParseInitPayload(b)
	var again [InitPayloadLen]byte
	p.Put(&again)
	return p, again[:], err
}

func respPayloadCodec(b []byte) (any, []byte, error) {
	p, err := ParseRespPayload(b)
	var again [RespPayloadLen]byte
	p.Put(&again)
	return p, again[:], err
}

// innerCodec writes the inner's fields by the specification and not by
// EncodeFrame, which elides in place: the two are compared elsewhere.
func innerCodec(b []byte) (any, []byte, error) {
	in, err := ParseInner(b)
	if err != nil {
		return nil, nil, err
	}
	again := []byte{byte(in.Kind)<<6 | in.Form<<4}
	if in.Partial {
		again[0] |= 8
		again = append(again, in.CsumStart, in.CsumOffset)
	}
	if in.Form >= FormVLANIPv4 {
		again = append(again, byte(in.TCI>>8), byte(in.TCI))
	}
	again = append(again, in.Body...)
	if pad := len(b) - len(again); pad > 0 {
		again = AppendPadding(again, pad)
	}
	return in, again, nil
}

var (
	testSelf = MAC{2, 0, 0x5e, 0x10, 0, 1}
	testPeer = MAC{2, 0, 0x5e, 0x10, 0, 2}
)

// frameCodec decodes an inner in a buffer with room in front, and encodes the
// frame again.
func frameCodec(b []byte) (any, []byte, error) {
	const room = 18
	buf := append(make([]byte, room), b...)
	off, n, in, err := DecodeFrame(buf, room, len(buf), testSelf, testPeer)
	if err != nil {
		return nil, nil, err
	}
	frame := bytes.Clone(buf[off : off+n])
	again := append(make([]byte, room), frame...)
	start := encodeFrame(again, room, n, in.Kind == KindElided, in.Partial, in.CsumStart, in.CsumOffset)
	again = again[start:]
	if pad := len(b) - len(again); pad > 0 {
		again = AppendPadding(again, pad)
	}
	return Frame(frame), again, nil
}

func tlvCodec(b []byte) (any, []byte, error) {
	typ, value, rest, err := NextTLV(b)
	if err != nil {
		return nil, nil, err
	}
	return typ, append(appendMember(nil, typ, value), rest...), nil
}
