package nattest

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Mapper keeps a port of a host mapped on its router: the double of
// nat/portmap. A mapping that was asked for lets everybody in, and lasts until it
// is given back or the router loses it. Its methods may be called from any
// goroutine.
type Mapper struct {
	host *Host
	port uint16
	wake chan struct{}

	at       *Router        // that has the mapping; nil: none has
	internal netip.AddrPort // as at knows it
}

// Mapper returns what asks for a mapping of a port. It does nothing before Run.
func (h *Host) Mapper(port uint16) *Mapper {
	return &Mapper{host: h, port: port, wake: make(chan struct{}, 1)}
}

// Run asks the router for the mapping, and again whenever Wake is called or the
// router says that it has changed (RFC 6886, section 3.2.1), until ctx ends; then
// it gives the mapping back. It calls report with the address by which the
// internet reaches the port whenever that has changed: one that is not valid
// where there is none, or where the router's own is not public.
func (m *Mapper) Run(ctx context.Context, report func(external netip.AddrPort)) {
	m.enter(true)
	defer m.enter(false)
	var told netip.AddrPort
	for {
		select { // the way to the router and back
		case <-ctx.Done():
			return
		case <-time.After(2 * lanDelay):
		}
		if external := m.ask(); external != told {
			told = external
			report(external)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		}
	}
}

// Wake has the router asked again. It does not block.
func (m *Mapper) Wake() { signal(m.wake) }

// enter makes the mapper one that routers tell of changes, or ends that.
func (m *Mapper) enter(in bool) {
	m.host.net.mu.Lock()
	defer m.host.net.mu.Unlock()
	if in {
		m.host.mappers = append(m.host.mappers, m)
		return
	}
	m.host.mappers = slices.DeleteFunc(m.host.mappers, func(x *Mapper) bool { return x == m })
	if m.at != nil && m.at == m.host.realm.gateway {
		m.at.unmap(m.internal)
	}
	m.at = nil
}

// ask asks the router that the host has now.
func (m *Mapper) ask() (external netip.AddrPort) {
	h := m.host
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	r := h.realm.gateway
	a, ok := h.source(netip.IPv4Unspecified())
	if r == nil || !r.maps || !ok {
		return netip.AddrPort{}
	}
	m.at, m.internal = r, netip.AddrPortFrom(a, m.port)
	port, ok := r.mapAsked(m.internal)
	if !ok || r.outer != h.net.public {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(r.addr, port)
}

// SetMapping says whether the router takes requests for mappings, as it does at
// first. One that stops to loses those that it has.
func (r *Router) SetMapping(on bool) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.maps = on
	if !on {
		r.unmapAll()
	}
	r.tellMappers()
}

// Remap gives every mapping that was asked for another external port.
func (r *Router) Remap() {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	var old []uint16 // are not given away again at once
	for _, m := range r.asked {
		old = append(old, m.port)
	}
	for internal, m := range r.asked {
		delete(r.ports, m.port)
		port, ok := r.port(r.net.now(), internal.Port(), false)
		for ok && slices.Contains(old, port) {
			port, ok = r.port(r.net.now(), internal.Port(), false)
		}
		if !ok {
			delete(r.asked, internal)
			continue
		}
		m.port = port
		r.ports[port] = m
	}
	r.tellMappers()
}

// mapAsked returns the external port of the mapping of an internal address, made
// if need be.
func (r *Router) mapAsked(internal netip.AddrPort) (port uint16, ok bool) {
	if m := r.asked[internal]; m != nil {
		return m.port, true
	}
	port, ok = r.port(r.net.now(), internal.Port(), true)
	if !ok {
		return 0, false
	}
	m := &mapping{flow: flow{internal: internal}, port: port, asked: true, permits: make(map[netip.AddrPort]time.Duration)}
	r.asked[internal], r.ports[port] = m, m
	return port, true
}

func (r *Router) unmap(internal netip.AddrPort) {
	if m := r.asked[internal]; m != nil {
		delete(r.asked, internal)
		delete(r.ports, m.port)
	}
}

func (r *Router) unmapAll() {
	for internal := range r.asked {
		r.unmap(internal)
	}
}

// answering returns the mapping that p answers by: one that was asked for, and by
// which its destination has lately sent something. Else it is nil.
func (r *Router) answering(now time.Duration, p *packet) *mapping {
	m := r.asked[p.from]
	if m == nil {
		return nil
	}
	if last, ok := m.permits[p.to]; !ok || now-last >= r.behavior.Timeout {
		return nil
	}
	m.permits[p.to] = now
	return m
}

// tellMappers tells the mappers of the hosts inside that something has changed.
func (r *Router) tellMappers() {
	for _, x := range r.inner.nodes {
		if h, ok := x.(*Host); ok {
			for _, m := range h.mappers {
				m.Wake()
			}
		}
	}
}
