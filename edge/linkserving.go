package edge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
)

// serve carries the frames of a link's device until the edge ends, the link is let go of,
// or the device fails, and closes the device. The edge goes on without the link.
func (l *links) serve(k *link) {
	l.background.Go(func(ctx context.Context) {
		stop := context.AfterFunc(ctx, k.Waiter.Stop)
		err := l.server.Serve(k.view, k.Waiter)
		stop()
		if !l.plane.Gates().Handed() {
			_ = k.Device.SetCarrier(false)
		}
		_ = k.Device.Close()
		if err != nil {
			l.background.Do(func(time.Time) { l.failed(k, err) })
		}
	})
}

// failed notes that a link's device is gone.
func (l *links) failed(k *link, err error) {
	k.fault, k.up = err, false
	l.log.Error("a link's device has failed", "device", k.Name, "err", err)
}

// autoLinks are the links of peers that were not named.
type autoLinks struct {
	open    func(id [32]byte, number int) (Link, error)
	opening map[[32]byte]bool // whose devices are being opened
	failed  map[[32]byte]bool // whose devices could not be opened
	links   []*link
	failure string // why a device could not be opened, empty: each could
}

// wants reports whether an identity that was not named has a link, or may have one.
func (a *autoLinks) wants(l *links, id [32]byte) bool {
	if a.open == nil {
		return false
	}
	has := slices.ContainsFunc(a.links, func(k *link) bool { return [32]byte(k.Peer) == id })
	return has || a.opening[id] || a.failed[id] || len(a.links)+len(a.opening)+len(a.failed)+len(l.named) < maxLinks
}

// begin opens a device for a peer that has proved who it is.
func (a *autoLinks) begin(l *links, id [32]byte) {
	if a.open == nil || a.opening[id] || a.failed[id] || !a.wants(l, id) {
		return
	}
	a.opening[id] = true
	number := l.self.state.linkNumber(id, a.taken)
	l.background.Go(func(context.Context) {
		cfg, err := a.open(id, number)
		l.background.Do(func(time.Time) { a.opened(l, id, cfg, err) })
	})
}

// taken reports whether a peer has a link now.
func (a *autoLinks) taken(id [32]byte) bool {
	return a.opening[id] || slices.ContainsFunc(a.links, func(k *link) bool { return [32]byte(k.Peer) == id })
}

// opened gives a peer the device that was opened for it. One that could not be opened is
// not tried again before the next start: the reason is the same for each peer.
func (a *autoLinks) opened(l *links, id [32]byte, cfg Link, err error) {
	delete(a.opening, id)
	if len(a.opening) == 0 { // soon, but not once for each
		l.self.state.keep()
	}
	if err != nil {
		a.failed[id] = true
		a.failure = fmt.Sprintf("no device for %s: %v", crypto.ShortID(id[:]), err)
		l.log.Error("cannot open a link's device", "peer", crypto.ShortID(id[:]), "err", err)
		return
	}
	cfg.Peer = id[:]
	k := l.make(cfg)
	a.links = append(a.links, k)
	l.serve(k)
	for p, have := range l.of {
		if have == nil && p.identity.statement.ID == id {
			l.of[p] = k
			p.view.SetLink(k.view)
			l.peers.mark(p)
			return
		}
	}
	a.close(k) // the peer was forgotten meanwhile
}

// close ends a link whose peer was forgotten.
func (a *autoLinks) close(k *link) {
	a.links = slices.DeleteFunc(a.links, func(have *link) bool { return have == k })
	k.Waiter.Stop()
}
