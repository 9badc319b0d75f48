package portmap

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// github.com/jackpal/go-nat-pmp is not used: its calls have no context, wait for
// up to 128 s, and open a socket and resend on their own for each, whatever the
// port. The rest of it would be these forty lines.

// The numbers of RFC 6886, section 3. The port is that of PCP.
const (
	pmpVersion    = 0
	pmpAddress    = 0 // opcode: the public address
	pmpMapUDP     = 1 // opcode: a mapping of UDP
	pmpResponse   = 0x80
	pmpHeaderLen  = 8
	pmpAddressLen = 12
	pmpMapLen     = 16
)

// pmpResults are the result codes (RFC 6886, section 3.5) as people read them.
var pmpResults = [...]string{
	1: "unsupported version",
	2: "not authorised",
	3: "it has no connection to the network",
	4: "out of resources",
	5: "unsupported operation",
}

// appendPMPAddress appends a request for the router's public address: 2 bytes
// (RFC 6886, section 3.2).
func appendPMPAddress(b []byte) []byte { return append(b, pmpVersion, pmpAddress) }

// appendPMPMap appends a request for a mapping of UDP: 12 bytes (RFC 6886,
// section 3.3). A lifetime of 0 seconds deletes it, and the external port is
// then 0.
func appendPMPMap(b []byte, internal, external uint16, lifetime uint32) []byte {
	b = append(b, pmpVersion, pmpMapUDP, 0, 0)
	b = binary.BigEndian.AppendUint16(b, internal)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, lifetime)
}

// pmpAnswer is a response of the router.
type pmpAnswer struct {
	opcode   byte
	result   uint16
	epoch    time.Duration // since the router's tables began
	address  netip.Addr    // of pmpAddress
	internal uint16        // of pmpMapUDP, as the following fields
	external uint16
	lifetime uint32 // in seconds
}

// parsePMP reads a response. It returns false for bytes that are none. A
// response with an error may be as short as the header, or come from a server
// that speaks PCP only, which has a form of its own for that (RFC 6887, section
// 9).
func parsePMP(b []byte) (a pmpAnswer, ok bool) {
	if len(b) < 4 || b[1]&pmpResponse == 0 {
		return a, false
	}
	a.opcode = b[1] &^ pmpResponse
	if b[0] != pmpVersion {
		a.result = uint16(b[3])
		return a, b[0] == pcpVersion && a.result == 1
	}
	if len(b) < pmpHeaderLen {
		return a, false
	}
	a.result = binary.BigEndian.Uint16(b[2:])
	a.epoch = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	switch {
	case a.opcode == pmpAddress && len(b) == pmpAddressLen:
		a.address = netip.AddrFrom4([4]byte(b[8:12]))
	case a.opcode == pmpMapUDP && len(b) == pmpMapLen:
		a.internal = binary.BigEndian.Uint16(b[8:])
		a.external = binary.BigEndian.Uint16(b[10:])
		a.lifetime = binary.BigEndian.Uint32(b[12:])
	default:
		return a, a.result != 0
	}
	return a, true
}

// fault returns the meaning of the result code, or nil for success.
func (a *pmpAnswer) fault() error {
	switch {
	case a.result == 0:
		return nil
	case int(a.result) < len(pmpResults):
		return refusedFor(pmpResults[a.result])
	}
	return refusedFor(fmt.Sprintf("NAT-PMP error %d", a.result))
}
