package dataplane

import (
	"net/netip"
	"slices"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// hub is a supernode as far as relaying goes: it checks the hop tag of a RELAY
// packet and gives it the header of its receiver.
type hub struct {
	rig     *rig
	addr    netip.AddrPort
	mask    *crypto.Mask
	scratch *crypto.Scratch
	members []*member
	handle  map[*member]uint32
	legs    map[*member]*crypto.HopSession // its ends of the hop sessions
	direct  map[*member][]*member          // the DIRECT sets
	flags   protocol.Flags                 // of the last packet
}

// relayedPacket is a packet on its way from a hub to a member.
type relayedPacket struct {
	to  *member
	pkt []byte
}

// hub adds a supernode at which every member is registered; it becomes the
// relay of all routes that have none.
func (r *rig) hub() *hub {
	n := byte(len(r.hubs) + 1)
	h := &hub{
		rig: r, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, n}), 7654),
		mask: crypto.NewMask([16]byte{n, 0xaa}), scratch: crypto.NewScratch(),
		handle: make(map[*member]uint32), legs: make(map[*member]*crypto.HopSession), direct: make(map[*member][]*member),
	}
	r.hubs = append(r.hubs, h)
	for i, m := range r.members {
		h.handle[m] = 0xab00 + uint32(n)<<4 + uint32(i)
		h.register(m, int(n)-1)
	}
	for _, a := range r.members {
		for b := range a.view {
			a.reroute(b, func(p *Route) {
				if p.Supernode == nil {
					p.Supernode, p.Handle = a.links[h], h.handle[b]
				}
			})
		}
	}
	return h
}

// register makes the hop session with a member.
func (h *hub) register(m *member, id int) {
	up, down := h.rig.keys(), h.rig.keys()
	local, remote := h.rig.index+1, h.rig.index+2
	h.rig.index += 2
	ends := [2]*crypto.HopSession{}
	for i, cfg := range []crypto.SessionConfig{
		{Keys: crypto.SplitKeys{Send: up, Recv: down}, Local: local, Remote: remote},
		{Keys: crypto.SplitKeys{Send: down, Recv: up}, Local: remote, Remote: local},
	} {
		cfg.XF, cfg.KI, cfg.Created = uint8(protocol.XFHop), protocol.KINone, h.rig.now
		s, err := crypto.NewHopSession(cfg)
		if err != nil {
			h.rig.tb.Fatal(err)
		}
		ends[i] = s
	}
	h.members, h.legs[m], m.legs[h] = append(h.members, m), ends[1], ends[0]
	l := NewSupernode(id)
	l.SetRoute(HopRoute{Session: ends[0], Addr: h.addr, Mask: h.mask})
	m.links[h] = l
	m.change(func(d *Draft) {
		d.SetHop(NewHopSession(ends[0], l, 0))
		d.SetSource(h.addr, Source{Supernode: l, Mask: h.mask})
		d.SetSupernodes(append(slices.Clone(m.draft.next.supernodes), l))
	})
}

// relay re-heads a RELAY packet of a member for those that it goes to.
func (h *hub) relay(from *member, pkt []byte) (out []relayedPacket) {
	h.rig.tb.Helper()
	h.mask.Show(h.scratch, pkt)
	hdr, err := protocol.ParseHeader(pkt)
	if err != nil || hdr.Type != protocol.TypeRelay || hdr.RX != h.legs[from].LocalIndex() {
		h.rig.tb.Fatalf("header at the supernode: %+v %v", hdr, err)
	}
	packet, err := h.legs[from].OpenRelay(h.scratch, pkt)
	if err != nil {
		h.rig.tb.Fatalf("at the supernode: %v", err)
	}
	h.flags = hdr.Flags
	handle, _ := protocol.SplitRelayCTR(hdr.CTR)
	for _, m := range h.members {
		all := handle == protocol.HandleAll
		except := hdr.Flags&protocol.FlagExceptDirect != 0 && slices.Contains(h.direct[from], m)
		if m != from && (h.handle[m] == handle || all && !except) {
			out = append(out, relayedPacket{m, h.seal(h.handle[from], m, packet)})
		}
	}
	return out
}

// seal wraps a packet for a member, as coming from a handle.
func (h *hub) seal(handle uint32, to *member, packet []byte) []byte {
	ctr, err := h.legs[to].ReserveRelay()
	if err != nil {
		h.rig.tb.Fatal(err)
	}
	pkt := append(make([]byte, protocol.RelayOverhead), packet...)
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone,
		RX: h.legs[to].RemoteIndex(), CTR: protocol.RelayCTR(handle, ctr),
	}.Put(pkt)
	h.mask.Veil(h.scratch, pkt)
	h.legs[to].SealRelay(h.scratch, pkt)
	h.mask.Hide(h.scratch, pkt)
	return pkt
}
