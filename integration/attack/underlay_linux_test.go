package attack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/protocol"
)

// enough is how many datagrams a test of uniformity takes at least.
const enough = 10_000

// Everything that five edges and a supernode send from their first datagram on
// is captured: registrations, handshakes, TCP, UDP, pings and broadcasts,
// direct and relayed, over IPv4 and IPv6. Nothing in it can be read, and the
// first 32 bytes of every datagram are noise.
func TestUnderlayShowsNothing(t *testing.T) {
	s := newScene(t)
	wire := lab.Must(s.lab.Internet().Capture())
	stun := []string{"-l", superAddr, "--stun", superAddr}
	left := s.join(s.home("edge-named-l", "198.51.100.1", lab.PortRestricted), stun...)
	right := s.join(s.home("edge-named-r", "198.51.100.2", lab.PortRestricted), stun...)
	far := s.join(s.home("edge-named-f", "198.51.100.3", lab.SymmetricRandom))
	away := s.join(s.home("edge-named-a", "198.51.100.4", lab.SymmetricRandom))
	six := s.join(lab.Must(s.lab.Host("edge-named-6", "2001:db8:6::6")), "-l", "[2001:db8:1::1]:7654")
	members := []*member{left, right, far, away, six}
	tap := lab.Must(left.at.Capture(device))
	s.awaitPath(left, right, control.PathDirect)
	s.awaitPath(far, away, control.PathRelay)
	s.awaitPath(six, far, control.PathRelay)

	var all sync.WaitGroup
	all.Go(func() { s.talk(left, right, 1500) })
	all.Go(func() { s.talk(far, away, 6500) })
	all.Go(func() { s.talk(away, far, 6500) })
	all.Go(func() { s.talk(six, far, 1500) })
	all.Wait()
	// An edge that comes back while the supernode is away shakes hands with
	// those it knew: directly.
	super := netip.MustParseAddrPort(superAddr).Addr()
	if err := errors.Join(right.Stop(), s.lab.Internet().Block(super), right.Start(s.ctx)); err != nil {
		t.Fatal(err)
	}
	s.awaitKeepalive(wire, right)
	if err := s.lab.Internet().Unblock(super); err != nil {
		t.Fatal(err)
	}
	s.awaitPath(left, right, control.PathDirect)
	time.Sleep(settle)
	if err := wire.Stop(); err != nil {
		t.Fatal(err)
	}
	s.checkClear(wire.Packets(), tap.Packets(), members)
	s.checkUniform(wire.Packets())
	s.checkLegs(wire.Packets())
}

// checkLegs searches what the supernode sent for what it received: no eight bytes
// of a packet, wherever they are in it, are those of a packet on another leg of its
// way, nor of another copy that the supernode sent. So no capture of two legs can be
// put together by comparing bytes.
func (s *scene) checkLegs(packets []lab.Packet) {
	s.t.Helper()
	type leg struct {
		from, to netip.AddrPort
	}
	seen, size := make(map[[8]byte]leg), 0
	shared := make(map[string]int)
	for _, p := range packets {
		from, to, b, ok := p.UDP()
		if !ok || isSTUN(b) || !isSuper(from) && !isSuper(to) {
			continue
		}
		size += len(b)
		here := leg{from, to}
		for at := range len(b) - 7 {
			eight := [8]byte(b[at:])
			if there, ok := seen[eight]; ok && there != here {
				shared[fmt.Sprintf("%v to %v and %v to %v", there.from, there.to, from, to)]++
			}
			seen[eight] = here
		}
	}
	for legs, n := range shared {
		s.t.Errorf("%d strings of eight bytes on the legs %s", n, legs)
	}
	s.t.Logf("%d strings of eight bytes on the legs to and from the supernode, %d on more than one; %d bytes", len(seen), len(shared), size)
	if size < 1<<20 {
		s.t.Error("too little to tell")
	}
}

// keepaliveLen is the length of a DATA packet with an empty control body.
const keepaliveLen = protocol.HeaderLen + 1 + protocol.TagLen

// awaitKeepalive waits for an empty packet of a member to another one: the first
// packet of a session that has nothing to say yet.
func (s *scene) awaitKeepalive(wire *lab.Capture, m *member) {
	s.t.Helper()
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		for _, d := range datagrams(wire.Packets()) {
			if len(d.payload) == keepaliveLen && !isSuper(d.from) && !isSuper(d.to) {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s greeted nobody directly:\n%s", m.Name, m.Log())
		}
	}
}

// talk sends clear text in everything that people send, and so many datagrams
// of mixed sizes.
func (s *scene) talk(a, b *member, datagrams int) {
	if err := s.tryTalk(a, b, datagrams); err != nil {
		s.t.Errorf("%s to %s: %v", a.Name, b.Name, err)
	}
}

func (s *scene) tryTalk(a, b *member, datagrams int) error {
	if err := s.transfer(a, b); err != nil {
		return fmt.Errorf("TCP: %w", err)
	}
	if err := s.ping(a, b); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if _, err := a.at.Ping(s.ctx, b.addr6); err != nil {
		return err
	}
	in, err := b.at.ListenUDP("udp4", netip.AddrPortFrom(b.addr, 0).String())
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := a.at.ListenUDP("udp4", netip.AddrPortFrom(a.addr, 0).String())
	if err != nil {
		return err
	}
	defer out.Close()
	to := in.LocalAddr().(*net.UDPAddr).AddrPort()
	everybody := netip.MustParseAddrPort("255.255.255.255:9")
	text := make([]byte, 0, 4000)
	for len(text) < 3000 {
		text = append(text, clearText...)
	}
	for i := range datagrams {
		size := len(clearText) + i*i%1300
		if i%97 == 0 {
			size = 3000 // fragments of the overlay's own IP
		}
		if _, err := out.WriteToUDPAddrPort(text[:size], to); err != nil {
			return err
		}
		if i%16 == 0 {
			if _, err := out.WriteToUDPAddrPort(text[:200+i%500], everybody); err != nil {
				return fmt.Errorf("broadcast: %w", err)
			}
		}
		if i%4 == 3 {
			time.Sleep(pause)
		}
	}
	return nil
}

// transfer sends 300 kB of clear text over TCP.
func (s *scene) transfer(a, b *member) error {
	l, err := b.at.Listen("tcp4", netip.AddrPortFrom(b.addr, 0).String())
	if err != nil {
		return err
	}
	defer l.Close()
	received := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			received <- 0
			return
		}
		defer c.Close()
		n, _ := io.Copy(io.Discard, c)
		received <- n
	}()
	c, err := a.at.Dial(s.ctx, "tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	const lines = 8000
	for range lines {
		if _, err := io.WriteString(c, clearText+"\n"); err != nil {
			return err
		}
	}
	if err := c.Close(); err != nil {
		return err
	}
	if n := <-received; n != lines*int64(len(clearText)+1) {
		return fmt.Errorf("%d bytes arrived", n)
	}
	return nil
}

// ping sends an echo request with clear text and awaits its reply.
func (s *scene) ping(a, b *member) error {
	echo := &icmp.Echo{ID: 7, Seq: 1, Data: []byte(clearText)}
	request, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: echo}).Marshal(nil)
	if err != nil {
		return err
	}
	var conn *icmp.PacketConn
	if err := a.at.Do(func() (err error) { conn, err = icmp.ListenPacket("ip4:icmp", a.addr.String()); return err }); err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * soon))
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: b.addr.AsSlice()}); err != nil {
		return err
	}
	for buf := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if m, err := icmp.ParseMessage(1, buf[:n]); err == nil && m.Type == ipv4.ICMPTypeEchoReply && from.String() == b.addr.String() {
			return nil
		}
	}
}

// checkClear searches the underlay for what crossed the overlay. The same
// search must find it on a member's device.
func (s *scene) checkClear(wire, tap []lab.Packet, members []*member) {
	s.t.Helper()
	list := patterns(s.secrets().community, members)
	seen := make(map[string]int)
	size := 0
	for _, p := range wire {
		_, _, b, ok := p.UDP()
		if !ok {
			// The lab's own ARP, neighbour discovery and errors: they have
			// headers and addresses of their own, but nothing of the overlay's.
			for _, name := range find(p.Frame[14:], list) {
				if !slices.Contains([]string{"ARP packet", "IPv6 link-local address", "IPv4 header"}, name) {
					seen[name]++
				}
			}
			continue
		}
		size += len(b)
		for _, name := range find(b, list) {
			seen[name]++
		}
	}
	for name, n := range seen {
		s.t.Errorf("%s on the underlay in %d datagrams", name, n)
	}
	s.t.Logf("%d patterns are in none of %d packets, %d bytes of payload", len(list)+1, len(wire), size)

	control := make(map[string]bool)
	for _, p := range tap {
		for _, name := range find(p.Frame, list) {
			control[name] = true
		}
	}
	left, right := members[0].Name, members[1].Name
	for _, name := range []string{"plaintext", "IPv4 header", "ARP packet", "IPv6 prefix",
		"MAC of " + left, "MAC of " + right, fmt.Sprintf("IPv4 addresses %s, %s", left, right)} {
		if !control[name] {
			s.t.Errorf("the search does not find %q on the device of %s either", name, left)
		}
	}
}

// checkUniform tests the first 32 bytes of the datagrams that left edges, and
// of those that left the supernode, every copy of a flood among them.
func (s *scene) checkUniform(packets []lab.Packet) {
	s.t.Helper()
	k := s.secrets()
	sets := map[string]*sampleSet{"edges": {}, "supernode": {}}
	kinds := make(map[string]int)
	stun := 0
	for _, p := range packets {
		from, to, b, ok := p.UDP()
		if !ok {
			continue
		}
		if isSTUN(b) {
			stun++
			continue
		}
		if len(b) < headBytes {
			s.t.Errorf("a datagram of %d bytes from %v to %v", len(b), from, to)
			continue
		}
		set := sets["edges"]
		if isSuper(from) {
			set = sets["supernode"]
		}
		shown := append([]byte(nil), b...)
		for _, kind := range k.show(shown, isSuper(from), isSuper(to)) {
			kinds[kind]++
		}
		set.add(b, shown)
	}
	s.t.Logf("besides %d of STUN: %v", stun, kinds)
	if stun == 0 {
		s.t.Error("no STUN was captured")
	}
	for _, kind := range []string{"HELLO", "WELCOME", "hop INIT", "hop RESP", "hop DATA", "RELAY", "INIT", "RESP",
		"DATA", "keepalive", "GROUP", "relayed INIT", "relayed RESP", "relayed DATA", "relayed GROUP"} {
		if kinds[kind] == 0 {
			s.t.Errorf("no %s was captured", kind)
		}
	}
	for name, set := range sets {
		if len(set.masked) < enough {
			s.t.Errorf("only %d datagrams from %s", len(set.masked), name)
		}
		p := uniformity(set.masked)
		least, at := smallest(p)
		s.t.Logf("%d datagrams from %s: least p %.3g, at byte %d", len(set.masked), name, least, at)
		for at, v := range p {
			if v <= worst {
				s.t.Errorf("datagrams from %s: byte %d is not uniform, p %.3g", name, at, v)
			}
		}
		// The same test of the same datagrams without their mask.
		p = uniformity(set.shown)
		for at := range protocol.HeaderLen - 1 { // the last byte of a counter is even
			if p[at] > worst {
				s.t.Errorf("datagrams from %s: the test takes byte %d of an unmasked header for noise, p %.3g", name, at, p[at])
			}
		}
	}
}

func isSuper(a netip.AddrPort) bool {
	return a == netip.MustParseAddrPort(superAddr) || a == netip.MustParseAddrPort("[2001:db8:1::1]:7654")
}

// sampleSet is datagrams as they were captured, and without their mask.
type sampleSet struct{ masked, shown [][]byte }

func (s *sampleSet) add(masked, shown []byte) {
	s.masked, s.shown = append(s.masked, masked), append(s.shown, shown)
}

// show unmasks a datagram in place, as a member that is a supernode as well
// could, and names what it is and what is inside.
func (k *secrets) show(b []byte, fromHop, toHop bool) []string {
	if !fromHop && !toHop {
		k.edge.Show(k.scratch, b)
		return []string{kindOf(b)}
	}
	whole := append([]byte(nil), b...)
	k.super.Show(k.scratch, b)
	h, err := protocol.ParseHeader(b)
	if len(b) == protocol.HelloLen && (err != nil || h.XF != protocol.XFHop) {
		copy(b, whole)
		k.hello.Show(k.scratch, b)
		return []string{kindOf(b)}
	}
	if err != nil || h.Type != protocol.TypeRelay {
		return []string{"hop " + kindOf(b)}
	}
	whole = append(whole[:0], b...)
	if fromHop {
		k.super.Veil(k.scratch, whole)
	}
	inner := whole[protocol.RelayOverhead:]
	k.edge.Show(k.scratch, inner)
	return []string{"RELAY", "relayed " + kindOf(inner)}
}

func kindOf(b []byte) string {
	h, err := protocol.ParseHeader(b)
	switch {
	case err != nil:
		return "what nobody understands: " + err.Error()
	case h.Type == protocol.TypeData && len(b) == keepaliveLen:
		return "keepalive"
	}
	return h.Type.String()
}

// A packet with one byte inside, the shortest of a session, is masked by its tag
// like any other.
func TestKeepalivesAreUniform(t *testing.T) {
	var key [16]byte
	rand.Read(key[:])
	mask, scratch := crypto.NewMask(key), crypto.NewScratch()
	var keys crypto.SplitKeys
	rand.Read(keys.Send[:])
	for _, xf := range []protocol.Transform{protocol.XFDataGCM, protocol.XFDataChaCha} {
		session := lab.Must(crypto.NewSession(crypto.SessionConfig{Keys: keys, XF: uint8(xf), Remote: 7}))
		var masked, shown [][]byte
		for range enough {
			b := make([]byte, protocol.HeaderLen, 64)
			protocol.Header{Type: protocol.TypeData, XF: xf, RX: 7, CTR: lab.Must(session.Reserve(1))}.Put(b)
			b = session.Seal(scratch, protocol.AppendControl(b))
			shown = append(shown, append([]byte(nil), b...))
			mask.Hide(scratch, b)
			masked = append(masked, b)
		}
		p, at := smallest(uniformity(masked))
		t.Logf("%d keepalives of %d bytes, transform %#x: least p %.3g, at byte %d", enough, len(masked[0]), uint8(xf), p, at)
		if p <= worst {
			t.Errorf("transform %#x: byte %d is not uniform, p %.3g", uint8(xf), at, p)
		}
		if bare := uniformity(shown); bare[0] > worst || bare[14] > worst {
			t.Errorf("transform %#x: the test takes unmasked headers for noise", uint8(xf))
		}
	}
}
