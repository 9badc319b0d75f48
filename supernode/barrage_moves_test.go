package supernode

import (
	"fmt"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// moves are what a tape can have done, by the first byte of a move: each as often as its
// share says.
var moves = func() (all [256]func(*besieged)) {
	i := 0
	for _, m := range []struct {
		share int
		move  func(*besieged)
	}{
		{90, (*besieged).says},
		{24, (*besieged).saysMany},
		{16, (*besieged).saysDamaged},
		{10, (*besieged).saysType},
		{8, (*besieged).saysInner},
		{54, (*besieged).relays},
		{16, (*besieged).relaysTrain},
		{6, (*besieged).registers},
		{8, (*besieged).sendsPacket},
		{4, (*besieged).sendsAny},
		{8, (*besieged).pings},
		{8, (*besieged).waits},
		{2, (*besieged).waitsLong},
		{2, (*besieged).meetsAgain},
	} {
		for range m.share {
			all[i], i = m.move, i+1
		}
	}
	if i != len(all) {
		panic("the shares of the moves are not 256")
	}
	return all
}()

// who returns a hostile edge.
func (b *besieged) who() *farEdge {
	return b.edges[[...]int{hostileMember, hostileOther, hostileStranger, hostileGuest, hostileMember, hostileOther, hostileMember, hostileStranger}[b.tape.Pick(8)]]
}

// renewed has a hostile edge make another session whose one is over, and reports whether
// one has.
func (b *besieged) renewed() bool {
	for i, e := range b.edges[:honestLeft] {
		switch h := b.s.sessions.byIdx[e.Session.RemoteIndex()]; {
		case i == hostileGuest && h == nil:
			e.meet()
			return true
		case i != hostileGuest && (h == nil || h.reg == nil):
			e.renew()
			return true
		}
	}
	return false
}

// sealed sends what an edge has sealed, maybe from an address of somebody who has
// nothing to do with it.
func (b *besieged) sealed(e *farEdge, pkt []byte, err error) {
	if err != nil || len(pkt) > protocol.MaxDatagram {
		return
	}
	b.authentic++
	from := e.addr
	if n := b.tape.Pick(32); n < 4 {
		from = address(50000 + n)
		if b.unproved[from] == nil {
			b.unproved[from] = new(unproved)
		}
	}
	b.send(from, pkt, nil)
}

func (b *besieged) body(e *farEdge, body []byte) {
	if len(body) < 1400 {
		pkt, err := e.Say(adversary.Value{Bytes: body}.Append)
		b.sealed(e, pkt, err)
	}
}

func (b *besieged) says() {
	e := b.who()
	b.body(e, b.message(e))
}

func (b *besieged) saysMany() {
	e := b.who()
	var body []byte
	for range 2 + b.tape.Pick(8) {
		if next := b.message(e); len(body)+len(next) < 1300 {
			body = append(body, next...)
		}
	}
	b.body(e, body)
}

func (b *besieged) saysDamaged() {
	e := b.who()
	body := b.message(e)
	if b.tape.Pick(4) == 0 {
		body = b.register(e).Append(nil)
	}
	for range 1 + b.tape.Pick(4) {
		at := int(b.tape.Byte())<<8 | int(b.tape.Byte())
		switch {
		case len(body) == 0:
		case b.tape.Pick(3) == 0:
			body = body[:at%len(body)]
		default:
			body[at%len(body)] ^= 1 + b.tape.Byte()
		}
	}
	b.body(e, body)
}

func (b *besieged) saysType() {
	e, typ, value := b.who(), b.tape.Byte()&0x3f, b.tape.Bytes(int(b.tape.Byte()))
	b.body(e, append([]byte{typ, 0, byte(len(value))}, value...))
}

func (b *besieged) saysInner() {
	e := b.who()
	pkt, err := e.SayInner(b.tape.Bytes(int(b.tape.Byte())))
	b.sealed(e, pkt, err)
}

func (b *besieged) registers() {
	e := b.who()
	b.body(e, b.register(e).Append(nil))
}

// handleOf returns the handle of an edge, or any.
func (b *besieged) handleOf() uint32 {
	switch n := b.tape.Pick(16); {
	case n < 12:
		return b.edges[n%besiegers].handle
	case n == 12:
		return protocol.HandleAll
	default:
		return uint32(b.tape.Number())
	}
}

// relayed returns a RELAY packet.
func (b *besieged) relayed(e *farEdge) ([]byte, error) {
	flags := protocol.Flags(0)
	if b.tape.Pick(4) == 0 {
		flags = protocol.Flags(b.tape.Byte() & 15)
	}
	handle := b.handleOf()
	return e.Relay(handle, flags, append(b.tape.Bytes(40), make([]byte, 32+b.tape.Pick(256)*b.tape.Pick(6))...))
}

func (b *besieged) relays() {
	e := b.who()
	pkt, err := b.relayed(e)
	b.sealed(e, pkt, err)
}

// relaysTrain sends some packets in one buffer, as the kernel joins them.
func (b *besieged) relaysTrain() {
	e := b.who()
	var train []byte
	seg, n := 0, 2+b.tape.Pick(6)
	for range n {
		pkt, err := e.Relay(b.handleOf(), protocol.Flags(max(0, b.tape.Pick(8)-4)), make([]byte, 200))
		if err != nil || len(train)+len(pkt) > transport.ReadBufferLen {
			return
		}
		train, seg = append(train, pkt...), len(pkt)
	}
	b.authentic += n
	b.in.N, b.in.Addr, b.in.Seg = copy(b.in.Buf, train), e.addr, seg
	b.handle(&b.in)
	b.s.sockets.flush(b.out)
	b.hear()
}

// sendsPacket sends a packet of any header, which does not authenticate.
func (b *besieged) sendsPacket() {
	e := b.who()
	h := protocol.Header{Type: protocol.Type(b.tape.Byte() & 31), XF: protocol.XFHop, KI: protocol.KINone, CTR: b.tape.Number()}
	if b.tape.Pick(2) == 0 && e.Session != nil {
		h.RX = e.Session.RemoteIndex()
	}
	b.send(e.addr, e.Packet(h, append(b.tape.Bytes(200), make([]byte, 32)...)), nil)
}

// sendsAny sends bytes as they are.
func (b *besieged) sendsAny() {
	from := address(50010 + b.tape.Pick(4))
	if b.tape.Pick(2) == 0 {
		b.send(from, stun.AppendRequest(nil, [12]byte{b.tape.Byte()}), nil)
		return
	}
	b.send(from, b.tape.Bytes(int(b.tape.Byte())), nil)
}

// pings answers the last PING that an edge heard, from any address.
func (b *besieged) pings() {
	e := b.who()
	pkt, err := e.Say((&protocol.Pong{Nonce: e.ping, Seen: b.addr(), Highest: b.tape.Number()}).Append)
	b.sealed(e, pkt, err)
}

func (b *besieged) waits() { b.elapse(time.Duration(b.tape.Byte()) * time.Millisecond) }

func (b *besieged) waitsLong() {
	b.elapse(time.Duration(1+b.tape.Pick(64)) * 100 * time.Millisecond)
}

// meetsAgain has a hostile edge make another session, now and then.
func (b *besieged) meetsAgain() {
	if e := b.who(); b.tape.Pick(8) == 0 {
		e.Payload.Stamp = uint64(b.now.UnixNano())
		e.meet()
	} else {
		b.body(e, b.message(e))
	}
}

// addr returns an underlay address.
func (b *besieged) addr() netip.AddrPort {
	list := [...]string{
		"127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254", "198.18.0.1", "192.0.2.1", "10.0.0.1", "::1", "::", "ff02::1", "fe80::1",
		"2001:db8::5", "100::1", "64:ff9b::7f00:1",
	}
	return netip.AddrPortFrom(netip.MustParseAddr(list[b.tape.Pick(len(list))]), uint16(b.tape.Number()))
}

// prefix returns an overlay address.
func (b *besieged) prefix() netip.Prefix {
	list := [...]string{
		"10.64.0.7/24", "10.64.0.8/24", "10.64.0.1/10", "0.0.0.0/0", "129.1.1.1/1", "8.8.8.1/24", "127.0.0.1/8", "224.0.0.1/4", "255.255.255.255/32",
		"10.0.0.0/8", "10.0.0.1/31", "10.0.0.1/30", "10.0.0.1/32", "169.254.1.1/16", "192.168.1.1/24", "::/0", "::1/128", "ff02::1/128", "fd00::1/64",
	}
	return netip.MustParsePrefix(list[b.tape.Pick(len(list))])
}

// hardware returns a hardware address of an edge, a group's, or one of nobody.
func (b *besieged) hardware() protocol.MAC {
	switch n := b.tape.Pick(10); {
	case n < besiegers:
		return b.edges[n].mac
	case n == 6:
		return protocol.MAC{}
	case n == 7:
		return protocol.Broadcast
	case n == 8:
		return protocol.MAC{1, 0, 0x5e, 0, 0, 1}
	default:
		return protocol.MAC{2, 0, 0, 0, 0, b.tape.Byte() & 7}
	}
}

// lies are statements that were signed before.
var lies = make(map[string][]byte)

// statement returns one that verifies, of a hostile identity, or somebody's own.
func (b *besieged) statement(e *farEdge) []byte {
	if b.tape.Pick(4) == 0 {
		return b.edges[b.tape.Pick(besiegers)].statement
	}
	signers := [...]int{hostileMember, hostileOther, hostileStranger, hostileGuest, besiegers, besiegers + 1}
	seqs := [...]uint64{0, 1, 2, 3, 1 << 40, 1<<64 - 1}
	id := *edgesOfBarrage[signers[b.tape.Pick(len(signers))]]
	static, mac, seq := b.tape.Pick(8), b.hardware(), seqs[b.tape.Pick(len(seqs))]
	switch {
	case static < besiegers:
		id.Static = edgesOfBarrage[static].Static
	case static == besiegers:
		id.Static = [32]byte{}
	}
	of := fmt.Sprint(id.ShortID(), static, mac, seq, e.community == communitiesOfBarrage[0])
	if lies[of] == nil {
		lies[of] = id.SignStatement(crypto.Statement{CID: e.cid, MAC: mac, Seq: seq, Expiry: 1 << 40})
	}
	return lies[of]
}

// register returns a REGISTER that proves membership, or almost.
func (b *besieged) register(e *farEdge) *protocol.Register {
	m := e.claim(e.mac, e.statement)
	if b.tape.Pick(3) == 0 {
		m = e.claim(b.hardware(), b.statement(e))
	}
	for range b.tape.Pick(4) {
		switch b.tape.Pick(10) {
		case 0:
			m.Prefix = b.prefix()
		case 1:
			for range b.tape.Pick(17) {
				m.Candidates = append(m.Candidates, b.addr())
			}
		case 2:
			m.Features = uint32(b.tape.Number())
		case 3:
			m.Name = e.community.Name
		case 4:
			m.Name = string(b.tape.Bytes(70))
		case 5:
			m.CID[b.tape.Pick(16)] ^= b.tape.Byte()
		case 6:
			m.SigC[b.tape.Pick(64)] ^= b.tape.Byte()
		case 7:
			m.Token, m.User, m.Password = make([]byte, b.tape.Pick(256)*2), string(b.tape.Bytes(64)), string(b.tape.Bytes(64))
		case 8:
			m.Statement = b.statement(e)
		case 9:
			m.RPK = rendezvousOfBarrage[b.tape.Pick(2)]
		}
	}
	return m
}

// message returns a message of an edge, none of which takes the check of a signature.
func (b *besieged) message(e *farEdge) []byte {
	var m message
	switch b.tape.Pick(13) {
	case 0:
		m = &protocol.Ping{Nonce: [8]byte{b.tape.Byte()}, Gen: uint32(b.tape.Number()), Path: b.tape.Byte(), Pad: int(b.tape.Number() % 1200)}
	case 1:
		m = &protocol.Pong{Nonce: e.ping, Seen: b.addr(), Highest: b.tape.Number(), Received: uint32(b.tape.Number()), Pad: int(b.tape.Number() % 1200)}
	case 2:
		m = &protocol.Whoami{Pad: int(b.tape.Number() % 1200)}
	case 3:
		m = &protocol.Query{}
	case 4:
		m = &protocol.Query{Handle: b.handleOf()}
	case 5:
		m = &protocol.Query{MAC: b.hardware()}
	case 6:
		m = &protocol.Query{MAC: b.hardware(), Handle: b.handleOf()}
	case 7:
		m = &protocol.Punch{Handle: b.handleOf()}
	case 8:
		m = &protocol.Punch{Handle: b.handleOf(), Seen: b.addr(), Delay: time.Duration(b.tape.Number()%70000) * time.Millisecond}
	case 9, 10:
		d := new(protocol.Direct)
		for range b.tape.Byte() {
			d.Handles = append(d.Handles, b.handleOf())
		}
		m = d
	case 11:
		if b.tape.Pick(96) == 0 {
			m = &protocol.Unregister{}
		} else {
			m = &protocol.PeerInfo{CID: e.cid, MAC: b.hardware(), Handle: b.handleOf(), Statement: b.statement(e)}
		}
	default:
		m = &protocol.Load{}
	}
	return m.Append(nil)
}
