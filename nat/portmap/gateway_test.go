package portmap

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The addresses of the tests. On loopback the router is us.
var (
	wan       = netip.MustParseAddr("203.0.113.7")
	testHome  = router{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.20")}
	loopback  = router{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")}
	otherHome = router{netip.MustParseAddr("192.168.2.1"), netip.MustParseAddr("192.168.2.20")}
)

const testPort = 41641

// gateway is a router that speaks PCP and NAT-PMP, or one of them.
type gateway struct {
	mu       sync.Mutex
	wan      netip.Addr
	booted   time.Time
	noPCP    bool // answers in version 0
	noPMP    bool // answers in version 2
	off      bool // answers nothing
	refuse   byte // result code of what would map
	most     uint32
	first    uint16 // external port of the next new mapping; 0: as suggested
	junk     []byte // comes before every answer
	nonces   map[uint16][pcpNonceLen]byte
	mappings map[uint16]uint16 // external ports by ours
	heard    []time.Time
	deletes  int
}

func newGateway() *gateway {
	return &gateway{
		wan: wan, booted: time.Now(), most: 7200,
		nonces: make(map[uint16][pcpNonceLen]byte), mappings: make(map[uint16]uint16),
	}
}

// set changes the router.
func (g *gateway) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// reboot forgets everything.
func (g *gateway) reboot() {
	g.set(func() {
		g.booted = time.Now()
		clear(g.mappings)
		clear(g.nonces)
	})
}

// mapped returns the external port of ours, 0 for none.
func (g *gateway) mapped() uint16 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mappings[testPort]
}

func (g *gateway) deleted() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deletes
}

// answer returns what the router sends for a request.
func (g *gateway) answer(b []byte) (answers [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = append(g.heard, time.Now())
	if g.off || len(b) < 2 {
		return nil
	}
	if g.junk != nil {
		answers = append(answers, g.junk)
	}
	epoch := uint32(time.Since(g.booted) / time.Second)
	switch {
	case b[0] == pcpVersion && g.noPCP:
		return append(answers, []byte{0, b[1] | 0x80, 0, 1, 0, 0, 0, 0})
	case b[0] == pmpVersion && g.noPMP:
		return append(answers, append([]byte{2, b[1] | 0x80, 0, 1}, make([]byte, 20)...))
	case b[0] == pcpVersion:
		return append(answers, g.answerPCP(b, epoch))
	}
	return append(answers, g.answerPMP(b, epoch))
}

func (g *gateway) answerPCP(b []byte, epoch uint32) []byte {
	a := append([]byte{pcpVersion, b[1] | pcpResponse, 0, 0}, make([]byte, 20)...)
	binary.BigEndian.PutUint32(a[8:], epoch)
	if b[1] == pcpAnnounce {
		return a
	}
	m := append([]byte(nil), b[pcpHeaderLen:]...)
	internal := binary.BigEndian.Uint16(m[16:])
	nonce := [pcpNonceLen]byte(m)
	if known, ok := g.nonces[internal]; ok && known != nonce {
		a[3] = 2
	} else {
		a[3] = g.refuse
	}
	if a[3] != 0 {
		binary.BigEndian.PutUint32(a[4:], 1800)
		return append(a, m...)
	}
	g.nonces[internal] = nonce
	external, life := g.change(internal, binary.BigEndian.Uint16(m[18:]), binary.BigEndian.Uint32(b[4:]))
	binary.BigEndian.PutUint32(a[4:], life)
	binary.BigEndian.PutUint16(m[18:], external)
	return append(append(a, m[:20]...), appendMapped(nil, g.wan)...)
}

func (g *gateway) answerPMP(b []byte, epoch uint32) []byte {
	a := binary.BigEndian.AppendUint32([]byte{0, b[1] | pmpResponse, 0, 0}, epoch)
	if b[1] == pmpAddress {
		return append(a, g.wan.AsSlice()...)
	}
	if a[3] = g.refuse; a[3] != 0 {
		return append(append(a, b[4:6]...), 0, 0, 0, 0, 0, 0)
	}
	internal := binary.BigEndian.Uint16(b[4:])
	external, life := g.change(internal, binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint32(b[8:]))
	a = binary.BigEndian.AppendUint16(a, internal)
	a = binary.BigEndian.AppendUint16(a, external)
	return binary.BigEndian.AppendUint32(a, life)
}

// change makes, renews or deletes a mapping.
func (g *gateway) change(internal, suggested uint16, life uint32) (external uint16, granted uint32) {
	if life == 0 {
		delete(g.mappings, internal)
		delete(g.nonces, internal)
		g.deletes++
		return 0, 0
	}
	external, ok := g.mappings[internal]
	if !ok {
		if external = suggested; g.first != 0 {
			external, g.first = g.first, 0
		}
		g.mappings[internal] = external
	}
	return external, min(life, g.most)
}

// pipe connects to the router by a pipe, for bubbles of testing/synctest.
func (g *gateway) pipe(router) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, err := theirs.Read(buf)
			if err != nil {
				return
			}
			for _, a := range g.answer(buf[:n]) {
				if _, err := theirs.Write(a); err != nil {
					return
				}
			}
		}
	}()
	return ours, nil
}

// listen serves on loopback and returns how to connect.
func (g *gateway) listen(end func(func())) func(router) (net.Conn, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, a := range g.answer(buf[:n]) {
				conn.WriteToUDPAddrPort(a, from)
			}
		}
	})
	end(func() {
		conn.Close()
		done.Wait()
	})
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return func(r router) (net.Conn, error) { return r.connect(port) }
}
