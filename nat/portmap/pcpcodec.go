package portmap

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// The numbers of RFC 6887: the server's port (section 19.1), the version, and
// the lengths in bytes of the fixed parts (sections 7 and 11.1).
const (
	pcpPort      = 5351
	pcpVersion   = 2
	pcpHeaderLen = 24
	pcpMapLen    = 36
	pcpNonceLen  = 12
)

// Opcodes (RFC 6887, section 19.2), and the bit that marks a response.
const (
	pcpAnnounce = 0
	pcpMap      = 1
	pcpResponse = 0x80
)

// protocolUDP is the number of UDP in IP.
const protocolUDP = 17

// pcpResults are the result codes (RFC 6887, section 7.4) as people read them.
var pcpResults = [...]string{
	1:  "unsupported version",
	2:  "not authorised",
	3:  "malformed request",
	4:  "unsupported operation",
	5:  "unsupported option",
	6:  "malformed option",
	7:  "it has no connection to the network",
	8:  "out of resources",
	9:  "unsupported protocol",
	10: "too many mappings for one user",
	11: "cannot provide the external address",
	12: "another NAT is between it and this host",
	13: "too many peers",
}

// pcpMapping is the MAP opcode (RFC 6887, section 11.1): the requested values,
// and in a response the granted ones.
type pcpMapping struct {
	nonce    [pcpNonceLen]byte
	internal uint16         // port
	external netip.AddrPort // suggested, zero for any, or assigned
	lifetime uint32         // in seconds; 0 deletes
}

// appendPCPAnnounce appends a request that only asks how the server is (RFC
// 6887, section 14.1.1): 24 bytes.
func appendPCPAnnounce(b []byte, client netip.Addr) []byte {
	return appendPCPHeader(b, pcpAnnounce, 0, client)
}

// appendPCPMap appends a request for a mapping of UDP: 60 bytes.
func appendPCPMap(b []byte, client netip.Addr, m pcpMapping) []byte {
	b = appendPCPHeader(b, pcpMap, m.lifetime, client)
	b = append(b, m.nonce[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.internal)
	b = binary.BigEndian.AppendUint16(b, m.external.Port())
	return appendMapped(b, m.external.Addr())
}

func appendPCPHeader(b []byte, opcode byte, lifetime uint32, client netip.Addr) []byte {
	b = append(b, pcpVersion, opcode, 0, 0)
	b = binary.BigEndian.AppendUint32(b, lifetime)
	return appendMapped(b, client)
}

// appendMapped appends an IPv4 address as PCP has it: mapped into IPv6. None is
// the address 0.0.0.0 (RFC 6887, section 5).
func appendMapped(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
	}
	long := a.As16()
	return append(b, long[:]...)
}

// pcpAnswer is a response of the server.
type pcpAnswer struct {
	opcode  byte
	result  byte
	epoch   time.Duration // since the server's tables began
	mapping pcpMapping    // of MAP; with an error the lifetime is the error's
}

// parsePCP reads a response. It returns false for bytes that are none (RFC 6887,
// section 8.3). A server that does not support version 2 answers in its own
// version, of which only the first four bytes are defined (section 9): result is
// then "unsupported version".
func parsePCP(b []byte) (a pcpAnswer, ok bool) {
	if len(b) < 4 || b[1]&pcpResponse == 0 {
		return a, false
	}
	a.opcode, a.result = b[1]&^pcpResponse, b[3]
	if b[0] != pcpVersion {
		return a, a.result == 1
	}
	if len(b) < pcpHeaderLen || len(b) > maxAnswer || len(b)%4 != 0 {
		return a, false
	}
	a.mapping.lifetime = binary.BigEndian.Uint32(b[4:])
	a.epoch = time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Second
	if a.opcode != pcpMap {
		return a, true
	}
	m := b[pcpHeaderLen:]
	if len(m) < pcpMapLen || m[pcpNonceLen] != protocolUDP {
		return a, false
	}
	copy(a.mapping.nonce[:], m)
	a.mapping.internal = binary.BigEndian.Uint16(m[16:])
	addr := netip.AddrFrom16([16]byte(m[20:36])).Unmap()
	a.mapping.external = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(m[18:]))
	return a, true
}

// fault returns the meaning of the result code, or nil for success.
func (a *pcpAnswer) fault() error {
	switch {
	case a.result == 0:
		return nil
	case int(a.result) < len(pcpResults):
		return refusedFor(pcpResults[a.result])
	}
	return refusedFor(fmt.Sprintf("PCP error %d", a.result))
}
