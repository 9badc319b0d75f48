package underlay

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// watcher is a double of netwatch.Watch.
type watcher struct {
	changes chan struct{}
	err     error
}

func (w *watcher) Watch(ctx context.Context, changed func()) error {
	for w.err == nil {
		select {
		case <-w.changes:
			changed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w.err
}

// mapper is a double of portmap.Mapper.
type mapper struct {
	external chan netip.AddrPort
	woken    int
}

func (m *mapper) Run(ctx context.Context, report func(external netip.AddrPort)) {
	for {
		select {
		case a := <-m.external:
			report(a)
		case <-ctx.Done():
			return
		}
	}
}

func (m *mapper) Wake() { m.woken++ }

func TestNetworkChanged(t *testing.T) {
	w := &watcher{}
	m := &mapper{}
	inRig(t, func(_ *rig, cfg *Config) {
		w.changes, m.external = make(chan struct{}), make(chan netip.AddrPort)
		cfg.Network.Watch, cfg.Network.Mapper = w.Watch, m
	}, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(time.Second)
		m.external <- addr("203.0.113.6:4001")
		r.run(time.Second)
		r.told("0s candidates 1", "1s candidates 2")
		r.candidates("mapped 203.0.113.6:4001", "host 192.0.2.7:7000")
		r.logged("external=203.0.113.6:4001", true)

		r.hosts = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
		r.Addresses.Observed(time.Now(), addr("198.51.100.1:7654"), addr("203.0.113.9:2000"))
		r.run(0)
		w.changes <- struct{}{}
		r.run(time.Second)
		r.told("2s candidates 3", "2s network changed", "2s candidates 4")
		r.candidates("mapped 203.0.113.6:4001", "host 192.0.2.9:7000") // the mapper will say what is true now
		if m.woken != 1 {
			t.Errorf("the mapper was woken %d times", m.woken)
		}
		m.external <- netip.AddrPort{}
		r.run(0)
		r.candidates("host 192.0.2.9:7000")
		r.logged("the network of this host has changed", true)
	})
}

func TestWatchFails(t *testing.T) {
	inRig(t, func(_ *rig, cfg *Config) {
		cfg.Network.Watch = (&watcher{err: errText("no netlink")}).Watch
	}, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(0)
		r.logged("no netlink", true)
	})
}
