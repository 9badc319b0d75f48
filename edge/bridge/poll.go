package bridge

import (
	"encoding/binary"
	"time"
)

// Bounds of asking for stations on our own LAN.
const (
	maxPolls = 1024
	pollAge  = int64(10 * time.Second)
	pollWait = int64(150 * time.Millisecond) // within which a station answers on its own LAN
)

// Ask returns what we know of a station on our own side, for a question of somebody who
// heard it elsewhere since ago. The next frame of the station is written down at once.
// addr is the IPv4 address to ask for on our LAN, zeros if that is not known or of no
// use: whoever asks there calls Polled.
func (f *FDB[E]) Ask(now int64, key Key, since time.Duration) (a Answer, addr [4]byte) {
	var here E
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Key = key
	e, ok := f.entries[key]
	if !ok || e.edge != here || f.old(now, e) {
		return a, addr
	}
	a.Known, a.Ago = true, time.Duration(now-e.seen)
	if a.Ago < since {
		a.Since = true
		return a, addr
	}
	e.note |= noteWatched
	f.entries[key] = e
	at, polled := f.polls[key]
	polled = polled && at > e.seen
	a.Polled = polled && now-at >= pollWait
	if !polled && len(f.polls) < maxPolls {
		binary.BigEndian.PutUint32(addr[:], e.addr)
	}
	return a, addr
}

// Polled notes that a station was asked for on our own LAN.
func (f *FDB[E]) Polled(now int64, key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls[key] = now
}

// Lengths and numbers of the frames below (RFC 826, RFC 903).
const (
	ethLen       = 14
	vlanTagLen   = 4
	minFrame     = 60
	typeVLAN     = 0x8100
	typeARP      = 0x0806
	typeRARP     = 0x8035
	arpRequest   = 1
	rarpRequest  = 3
	arpHardware  = 1 // Ethernet
	arpProtoIPv4 = 0x0800
)

// AppendPoll appends a frame that asks for a station on our LAN: an ARP probe of its
// address (RFC 5227, section 2.1.1), which claims none, from our own hardware address.
// It is a broadcast, because switches may be wrong about where the station is.
func AppendPoll(dst []byte, self [6]byte, key Key, addr [4]byte) []byte {
	at := len(dst)
	dst = appendHeader(dst, self, key.VLAN, typeARP)
	dst = appendARP(dst, arpRequest, self)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	return pad(append(dst, addr[:]...), at)
}

// AppendMoved appends a frame that tells the switches of our LAN that a station is
// behind us now: a RARP request in the station's name, as hypervisors send it for a
// machine that has moved. It says nothing of addresses.
func AppendMoved(dst []byte, key Key) []byte {
	at := len(dst)
	dst = appendHeader(dst, key.MAC, key.VLAN, typeRARP)
	dst = appendARP(dst, rarpRequest, key.MAC)
	dst = append(dst, key.MAC[:]...)
	return pad(append(dst, 0, 0, 0, 0), at)
}

func appendHeader(dst []byte, src [6]byte, vlan uint16, typ uint16) []byte {
	dst = append(dst, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	dst = append(dst, src[:]...)
	if vlan != 0 {
		dst = binary.BigEndian.AppendUint16(dst, typeVLAN)
		dst = binary.BigEndian.AppendUint16(dst, vlan)
	}
	return binary.BigEndian.AppendUint16(dst, typ)
}

// appendARP appends an ARP packet up to the sender's IPv4 address, which is none.
func appendARP(dst []byte, op uint16, sender [6]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, arpHardware)
	dst = binary.BigEndian.AppendUint16(dst, arpProtoIPv4)
	dst = append(dst, 6, 4)
	dst = binary.BigEndian.AppendUint16(dst, op)
	dst = append(dst, sender[:]...)
	return append(dst, 0, 0, 0, 0)
}

// pad appends what the frame that begins at an index lacks to the shortest one.
func pad(dst []byte, at int) []byte {
	for len(dst)-at < minFrame {
		dst = append(dst, 0)
	}
	return dst
}
