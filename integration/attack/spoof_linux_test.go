package attack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// spoofer sends UDP datagrams from any address, as a stranger could whose
// provider does not filter.
type spoofer struct{ four, six int }

// newSpoofer opens raw sockets in a namespace. On the internet router they
// reach every public address.
func newSpoofer(t *testing.T, n *lab.Namespace) *spoofer {
	t.Helper()
	var s spoofer
	err := n.Do(func() (err error) {
		// With IPPROTO_RAW the IP header is ours (raw(7)).
		if s.four, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		s.six, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.four); unix.Close(s.six) })
	return &s
}

// send sends one datagram.
func (s *spoofer) send(from, to netip.AddrPort, payload []byte) error {
	size := 8 + len(payload)
	if to.Addr().Is4() {
		src, dst := from.Addr().As4(), to.Addr().As4()
		// The kernel fills in the length, the identification and the checksum.
		p := append(make([]byte, 0, 20+size), 0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
		p = append(append(p, src[:]...), dst[:]...)
		p = appendUDP(p, src[:], dst[:], from.Port(), to.Port(), payload)
		return unix.Sendto(s.four, p, 0, &unix.SockaddrInet4{Addr: dst})
	}
	src, dst := from.Addr().As16(), to.Addr().As16()
	p := append(make([]byte, 0, 40+size), 0x60, 0, 0, 0, byte(size>>8), byte(size), unix.IPPROTO_UDP, 64)
	p = append(append(p, src[:]...), dst[:]...)
	p = appendUDP(p, src[:], dst[:], from.Port(), to.Port(), payload)
	return unix.Sendto(s.six, p, 0, &unix.SockaddrInet6{Addr: dst})
}

// appendUDP appends a UDP header with its checksum (RFC 768), and the payload.
func appendUDP(p, src, dst []byte, from, to uint16, payload []byte) []byte {
	at, size := len(p), uint16(8+len(payload))
	for _, v := range []uint16{from, to, size, 0} {
		p = binary.BigEndian.AppendUint16(p, v)
	}
	p = append(p, payload...)
	sum := add16(add16(add16(uint32(size)+unix.IPPROTO_UDP, src), dst), p[at:])
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	check := ^uint16(sum)
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(p[at+6:], check)
	return p
}

// add16 adds big-endian words to a sum.
func add16(sum uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// datagram is one captured UDP datagram of the underlay.
type datagram struct {
	from, to netip.AddrPort
	payload  []byte
}

// datagrams returns the UDP datagrams of a capture, without STUN and without
// what the lab itself sends.
func datagrams(packets []lab.Packet) (list []datagram) {
	for _, p := range packets {
		if from, to, payload, ok := p.UDP(); ok && !isSTUN(payload) {
			list = append(list, datagram{from, to, payload})
		}
	}
	return list
}

// isSTUN recognises STUN by its cookie and its length (RFC 8489, section 5).
func isSTUN(b []byte) bool {
	const cookie = 0x2112a442
	return len(b) >= 20 && b[0]&0xc0 == 0 && binary.BigEndian.Uint32(b[4:]) == cookie &&
		int(binary.BigEndian.Uint16(b[2:]))+20 == len(b)
}
