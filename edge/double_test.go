package edge

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// elsewhere is an underlay address that nobody has.
var elsewhere = netip.MustParseAddrPort("192.0.2.66:6666")

// memoryDevice is a TAP device without a kernel and without frames of its own.
type memoryDevice struct {
	got  [][]byte // frames that were written
	err  error    // what WriteBatch returns
	have []netip.Prefix

	broken error // what SetAddress and RemoveAddress return
}

func (d *memoryDevice) ReadBatch([]tap.Frame) (int, error) { return 0, nil }

func (d *memoryDevice) WriteBatch(frames []tap.Frame) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	for i := range frames {
		d.got = append(d.got, bytes.Clone(frames[i].Bytes()))
	}
	return len(frames), nil
}

func (d *memoryDevice) SetAddress(p netip.Prefix) error {
	if d.broken != nil {
		return d.broken
	}
	d.have = append(d.have, p)
	return nil
}

func (d *memoryDevice) RemoveAddress(p netip.Prefix) error {
	if d.broken != nil {
		return d.broken
	}
	d.have = slices.DeleteFunc(d.have, func(q netip.Prefix) bool { return q == p })
	return nil
}

func (d *memoryDevice) Close() error { return nil }

func (d *memoryDevice) Features() tap.Features { return 0 }

// take returns what was written since the last call.
func (d *memoryDevice) take() [][]byte {
	got := d.got
	d.got = nil
	return got
}

// sentDatagram is one datagram that was written to a memoryConn.
type sentDatagram struct {
	to  netip.AddrPort
	pkt []byte
}

// memoryConn is a socket without a network, by which nothing comes.
type memoryConn struct {
	addr    netip.AddrPort
	sent    []sentDatagram
	readErr error // what ReadBatch returns
}

func (c *memoryConn) ReadBatch([]transport.Datagram) (int, error) { return 0, c.readErr }

func (c *memoryConn) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		seg := ds[i].Seg
		if seg == 0 {
			seg = ds[i].N
		}
		for pkt := range slices.Chunk(ds[i].Payload(), seg) {
			c.sent = append(c.sent, sentDatagram{ds[i].Addr, bytes.Clone(pkt)})
		}
	}
	return len(ds), nil
}

func (c *memoryConn) LocalAddr() netip.AddrPort { return c.addr }
func (c *memoryConn) Close() error              { return nil }

func (c *memoryConn) take() []sentDatagram {
	sent := c.sent
	c.sent = nil
	return sent
}

func testCommunity() *crypto.Community {
	return &crypto.Community{Name: "tests", Secret: [32]byte{1}, Epochs: []crypto.Epoch{{Index: 7, Key: [32]byte{2}}}}
}

// host returns the address of a host that is behind an edge.
func host(n byte) protocol.MAC { return protocol.MAC{0x52, 0x54, 0, 0, 0, n} }

// manyHosts returns the address of the n-th of many hosts.
func manyHosts(n int) protocol.MAC {
	mac := protocol.MAC{0x52, 0x54}
	binary.BigEndian.PutUint32(mac[2:], uint32(n))
	return mac
}

// destination returns the nth of some underlay addresses.
func destination(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 4000)
}

// ethernet returns a frame with a payload of n bytes that can be recognised.
func ethernet(dst, src protocol.MAC, etherType uint16, n int) []byte {
	f := append(append([]byte(nil), dst[:]...), src[:]...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	for i := range n {
		f = append(f, byte(i*7+n))
	}
	return f
}

// fullFrame is the inner of a whole frame.
func fullFrame(f []byte) []byte { return append([]byte{0}, f...) }
