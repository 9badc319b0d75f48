//go:build linux

package lab

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A Packet is one captured frame.
type Packet struct {
	Time  time.Time // when the kernel saw it; of the first few, when it was read
	Frame []byte    // from the destination address on, without the check sequence
}

// Offsets of the fields that are used of tpacket_auxdata (linux/if_packet.h).
const (
	auxStatus = 0
	auxTCI    = 16
	auxTPID   = 18
	auxLen    = 20
)

// newPacket copies a frame out of the reader's buffer, with the time and the
// VLAN tag, which the kernel delivers beside it.
func newPacket(frame, control []byte) Packet {
	p := Packet{Time: time.Now()}
	messages, _ := unix.ParseSocketControlMessage(control)
	var tag []byte
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			p.Time = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= auxLen:
			if binary.NativeEndian.Uint32(m.Data[auxStatus:])&unix.TP_STATUS_VLAN_VALID != 0 {
				tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(m.Data[auxTPID:]))
				tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(m.Data[auxTCI:]))
			}
		}
	}
	p.Frame = make([]byte, 0, len(frame)+len(tag))
	if len(tag) > 0 && len(frame) >= 12 {
		p.Frame = append(p.Frame, frame[:12]...)
		p.Frame = append(p.Frame, tag...)
		frame = frame[12:]
	}
	p.Frame = append(p.Frame, frame...)
	return p
}

// UDP returns the addresses and the payload of a UDP datagram over IPv4 or
// IPv6, which is part of Frame. It is false for everything else, fragments and
// tagged frames included.
func (p Packet) UDP() (from, to netip.AddrPort, payload []byte, ok bool) {
	const header = 14
	if len(p.Frame) < header {
		return
	}
	ip := p.Frame[header:]
	var source, destination netip.Addr
	var segment []byte
	switch binary.BigEndian.Uint16(p.Frame[12:]) {
	case unix.ETH_P_IP:
		// A fragment has its more-fragments bit or an offset.
		if len(ip) < 20 || ip[9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return
		}
		size, whole := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if size < 20 || whole < size || whole > len(ip) {
			return
		}
		source, destination = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		segment = ip[size:whole]
	case unix.ETH_P_IPV6:
		if len(ip) < 40 || ip[6] != unix.IPPROTO_UDP {
			return
		}
		whole := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if whole > len(ip) {
			return
		}
		source, destination = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		segment = ip[40:whole]
	default:
		return
	}
	if len(segment) < 8 {
		return
	}
	from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(segment))
	to = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(segment[2:]))
	return from, to, segment[8:], true
}

// The header of a pcap file with times in nanoseconds, and its link type.
const (
	pcapMagic    = 0xa1b23c4d
	pcapEthernet = 1
)

// WritePcap writes the frames recorded so far as a pcap file.
func (c *Capture) WritePcap(w io.Writer) error {
	little := binary.LittleEndian
	file := little.AppendUint32(nil, pcapMagic)
	file = little.AppendUint16(file, 2) // version 2.4
	file = little.AppendUint16(file, 4)
	file = append(file, make([]byte, 8)...) // time zone and accuracy: always 0
	file = little.AppendUint32(file, captureFrame)
	file = little.AppendUint32(file, pcapEthernet)
	if _, err := w.Write(file); err != nil {
		return err
	}
	for _, p := range c.Packets() {
		record := little.AppendUint32(nil, uint32(p.Time.Unix()))
		record = little.AppendUint32(record, uint32(p.Time.Nanosecond()))
		record = little.AppendUint32(record, uint32(len(p.Frame)))
		record = little.AppendUint32(record, uint32(len(p.Frame)))
		if _, err := w.Write(append(record, p.Frame...)); err != nil {
			return err
		}
	}
	return nil
}
