package tap

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"hedgerow/internal/deadline"
)

// Times of the watch. The kernel's events come in bursts, of which the last is
// looked at soon enough. What makes no event, as a switch under /proc/sys or a rule
// of the firewall, is found by looking now and then.
const (
	settleFor  = 100 * time.Millisecond
	lookEvery  = 10 * time.Second // at everything
	pollEvery  = time.Second
	renewEvery = addressLife / 4 * time.Second
)

// Watch looks at the interface and its bridge at every event until ctx ends, sets
// right what others changed where the user can want nothing else, and tells the
// rest. A failure of the kernel to tell is told, too.
func (d *Device) Watch(ctx context.Context, w Watching) {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	g := &guard{device: d, watching: w, vigil: vigil{
		name: d.cfg.Name, mac: d.mac, mtu: d.cfg.MTU, fixed: w.Fixed, most: w.Most, port: d.port.Port, link: w.Link,
	}}
	g.run(ctx)
}

// guard is Watch.
type guard struct {
	device   *Device
	watching Watching
	vigil    vigil
	told     Condition
	remarks  []string
	renewed  time.Time
	chains   []chain   // of the firewall, which may be long and so is read seldom
	readAt   time.Time // when

	forwarding forwarding
}

func (g *guard) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	soon := true // the timer is set to a look at what an event was about
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-g.watching.Events:
			if !ok {
				g.watching.Events = nil
			}
			if !soon {
				timer.Reset(settleFor)
				soon = true
			}
		case <-timer.C:
			soon = false
			g.round(time.Now())
			timer.Reset(g.watching.rest(time.Now()))
		}
	}
}

// rest returns how long after a look the next one is, if there is no event.
func (w *Watching) rest(now time.Time) time.Duration {
	if w.Events == nil {
		return pollEvery
	}
	return deadline.Next(now, lookEvery, w.Phase).Sub(now)
}

// round looks, mends, looks again at what came of it, and tells.
func (g *guard) round(now time.Time) {
	s, err := g.see(now)
	if errors.Is(err, ErrClosed) {
		return
	}
	if err != nil {
		g.tell(Condition{MTU: g.told.MTU, Bridge: g.told.Bridge, Notes: []string{changed("cannot ask the kernel about %s, whose changes go unnoticed: %s.", g.device.cfg.Name, reason(err))}})
		return
	}
	do, notes := g.vigil.look(now, s)
	for _, m := range do {
		g.vigil.repairs[m].fault = ""
		if err := g.mend(m, s); err != nil {
			g.vigil.repairs[m].fault = reason(err)
		}
	}
	c := s.condition(g.told)
	if slices.Contains(do, mendMTU) && g.vigil.repairs[mendMTU].fault == "" {
		c.MTU = g.vigil.mtu
	}
	if slices.Contains(do, mendJoin) && g.vigil.repairs[mendJoin].fault == "" {
		c.Bridge = s.bridge.name
	}
	if g.device.port.Address && now.Sub(g.renewed) >= renewEvery {
		g.renewed = now
		g.renew()
	}
	c.Notes = append(notes, g.vigil.notes(now)...)
	c.Notes = append(c.Notes, s.unforwarded(g.watching.Behind, g.device.holderName())...)
	g.tell(c)
	if remarks := s.remarks(); g.device.port.Bridge != "" && !slices.Equal(remarks, g.remarks) {
		g.remarks = remarks
		for _, text := range remarks {
			g.watching.Log.Info(text)
		}
	}
}

// condition returns what a sight says of the device, without notes; one that is not
// there has what it had.
func (s *sight) condition(last Condition) Condition {
	if s.device == nil {
		return Condition{MTU: last.MTU, Bridge: last.Bridge}
	}
	c := Condition{MTU: s.device.mtu}
	if s.master != nil && s.master.kind == bridgeKind {
		c.Bridge = s.master.name
	}
	return c
}

// tell says in the log what begins to be true, and tells when anything changed.
func (g *guard) tell(c Condition) {
	for _, text := range c.Notes {
		if !slices.Contains(g.told.Notes, text) {
			g.watching.Log.Warn(text)
		}
	}
	if c.MTU != g.told.MTU || c.Bridge != g.told.Bridge || !slices.Equal(c.Notes, g.told.Notes) {
		g.told = c
		g.watching.Tell(c)
	}
}

// see asks the kernel.
func (g *guard) see(now time.Time) (s *sight, err error) {
	g.device.netif.mu.Lock()
	defer g.device.netif.mu.Unlock()
	if g.device.isClosed() {
		return nil, ErrClosed
	}
	s = new(sight)
	if len(g.watching.Behind) > 0 {
		if err := g.seeForwarding(now, s); err != nil {
			return nil, err
		}
	}
	if s.device, err = g.device.links.byIndex(g.device.netif.found.Attrs().Index); err != nil || s.device == nil {
		s.deleted = err == nil && !attached(g.device.queues[0].Fd())
		return s, err
	}
	if s.device.master != 0 {
		if s.master, err = g.device.links.byIndex(s.device.master); err != nil {
			return s, err
		}
	}
	if g.device.port.Bridge == "" {
		s.missing, err = g.device.netif.missing(s.device.index)
		return s, err
	}
	if s.bridge, err = g.device.links.byName(g.device.port.Bridge); err != nil {
		return s, err
	}
	switch known := g.device.port.bridge.Attrs().Index; {
	case s.bridge != nil && s.bridge.kind != bridgeKind:
		s.bridge = nil
	case s.bridge == nil && s.master != nil && s.master.index == known:
		s.bridge = s.master // it was renamed
	}
	if s.bridge == nil {
		return s, nil
	}
	if s.missing, err = g.device.netif.missing(s.bridge.index); err != nil {
		return s, err
	}
	s.ports, err = g.device.links.ports(s.bridge.index)
	s.ports = slices.DeleteFunc(s.ports, func(p link) bool { return p.index == s.device.index })
	s.filter4, s.filter6 = netfilterOn()
	if err == nil && now.Sub(g.readAt) >= lookEvery {
		g.readAt = now
		g.chains, err = g.device.links.forwardChains(s.meets)
	}
	s.chains = g.chains
	return s, err
}

// mend does one thing.
func (g *guard) mend(m mend, s *sight) error {
	l := g.device.netif
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.device.isClosed() {
		return ErrClosed
	}
	switch m {
	case mendMAC:
		return l.handle.LinkSetHardwareAddr(l.found, g.device.mac[:])
	case mendMTU:
		return l.handle.LinkSetMTU(l.found, g.vigil.mtu)
	case mendJoin:
		if err := g.device.enslave(s.bridge); err != nil {
			return err
		}
		if g.device.port.Address {
			return l.renew()
		}
		return nil
	case mendAddress:
		return l.putBack()
	}
	if err := l.handle.LinkSetUp(l.found); err != nil || l.bridge != nil {
		return err
	}
	return l.putBack() // the kernel takes the IPv6 addresses from an interface that is set down
}

// renew keeps the addresses of the bridge alive; the next round tries again.
func (g *guard) renew() {
	l := g.device.netif
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.device.isClosed() || l.bridge == nil {
		return
	}
	if err := l.renew(); err != nil {
		g.watching.Log.Warn("cannot renew the addresses of the bridge", "bridge", l.holderName(), "err", err)
	}
}
