package turn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// method is a method of TURN (RFC 8656, section 17).
type method uint16

const (
	methodAllocate         method = 0x003
	methodRefresh          method = 0x004
	methodCreatePermission method = 0x008
	methodChannelBind      method = 0x009
)

// String returns the method's name as in RFC 8656.
func (m method) String() string {
	switch m {
	case methodAllocate:
		return "Allocate"
	case methodRefresh:
		return "Refresh"
	case methodCreatePermission:
		return "CreatePermission"
	case methodChannelBind:
		return "ChannelBind"
	}
	return "0x" + strconv.FormatUint(uint64(m), 16)
}

// Message types that the package distinguishes before it decodes: a method with
// the bits of its class (RFC 8489, section 5).
const (
	typeSend = 0x0016 // indication
	typeData = 0x0017 // indication

	classMask    = 0x0110
	classRequest = 0x0000
	classSuccess = 0x0100
	classError   = 0x0110
)

// Attributes that are looked at before pion decodes them.
const (
	attrChannelNumber    = 0x000C
	attrLifetime         = 0x000D
	attrNonce            = 0x0015
	attrEvenPort         = 0x0018
	attrReservationToken = 0x0022
)

const (
	protocolUDP = 17  // of REQUESTED-TRANSPORT
	maxText     = 763 // bytes of a realm or a nonce (RFC 8489, sections 14.9 and 14.10)

	// maxDatagram is the size of the longest datagram that is relayed, framing
	// included: a full Ethernet payload. pion's relays read no more than 1600.
	maxDatagram = 1500
	// sendOverhead is the framing of an indication: a header, an IPv4 peer's
	// address, and the header of the data with its padding.
	sendOverhead = 20 + 12 + 4 + 3
)

// request is a client's request. Fields without an attribute in its method are
// ignored.
type request struct {
	method   method
	lifetime time.Duration  // Refresh; 0 deletes the allocation
	peer     netip.AddrPort // CreatePermission and ChannelBind
	channel  uint16         // ChannelBind
}

// credential signs requests (RFC 8489, section 9.2). Without a nonce they are
// not signed.
type credential struct {
	user, password string
	realm, nonce   string
}

// codeNone stands for the code of a refusal without one.
const codeNone = -1

// answer is a server's answer. code is 0 for a success.
type answer struct {
	code         int
	reason       string
	realm, nonce string
	relayed      netip.AddrPort // Allocate
	lifetime     time.Duration  // Allocate and Refresh
}

// messageType returns the type of a STUN message; the caller has checked its
// length.
func messageType(pkt []byte) uint16 { return binary.BigEndian.Uint16(pkt) }

// printable returns a reason without control characters, cut at 64 bytes.
func printable(reason []byte) string {
	b := make([]byte, 0, 64)
	for _, c := range reason[:min(len(reason), 64)] {
		if c >= ' ' && c <= '~' {
			b = append(b, c)
		}
	}
	return string(b)
}

// unmap returns an address in the form in which it is compared.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// addrPort returns an address of UDP, the zero AddrPort for any other.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return unmap(u.AddrPort())
}

// attributeOf returns the value of the first attribute of a kind, nil if a message,
// whose attributes are measured, has none.
func attributeOf(pkt []byte, kind uint16) []byte {
	if len(pkt) < stunHeaderLen {
		return nil
	}
	for b := pkt[stunHeaderLen:]; len(b) >= attributeLen; {
		n := int(binary.BigEndian.Uint16(b[2:]))
		padded := attributeLen + (n+3)&^3
		if padded > len(b) {
			return nil
		}
		if binary.BigEndian.Uint16(b) == kind {
			return b[attributeLen : attributeLen+n]
		}
		b = b[padded:]
	}
	return nil
}
