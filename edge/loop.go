package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// eventBurst is how many events are handled before deadlines are looked at.
const eventBurst = 64

// loop is the control loop. It owns every mutable state but the data
// goroutines' buffers, reads the clock once per event, and sleeps until the
// earliest deadline.
func (e *Edge) loop(ctx context.Context, ended <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for e.failed == nil {
		var ev dataplane.Event
		var some bool
		select {
		case ev = <-e.plane.Known():
			some = true
		default:
			timer.Reset(time.Until(e.deadline()))
			select {
			case ev = <-e.plane.Known():
				some = true
			case ev = <-e.plane.Strangers():
				some = true
			case f := <-e.requests:
				f(time.Now())
			case r := <-e.resolved:
				e.takeResolution(time.Now(), r)
			case k := <-e.loaded:
				e.takeKeys(time.Now(), k)
			case err := <-ended:
				if !isClosed(err) {
					return fmt.Errorf("edge: %w", err)
				}
				return errors.New("edge: device or socket was closed")
			case <-timer.C:
			case <-ctx.Done():
				return nil
			}
		}
		now := time.Now()
		if some {
			e.handleEvents(now, ev)
		}
		e.tick(now)
	}
	return e.failed
}

// handleEvents handles an event and those that wait behind it.
func (e *Edge) handleEvents(now time.Time, ev dataplane.Event) {
	e.handleEvent(now, ev)
	for range eventBurst {
		select {
		case ev = <-e.plane.Known():
			e.handleEvent(now, ev)
		default:
			return
		}
	}
}

// handleEvent handles one thing that the data plane told.
func (e *Edge) handleEvent(now time.Time, ev dataplane.Event) {
	switch ev := ev.(type) {
	case dataplane.PairMessages:
		e.confirm(now, dataplane.Confirmed{Peer: ev.Peer, Session: ev.Session, Origin: ev.Origin})
		e.handlePair(now, ev)
	case dataplane.Confirmed:
		e.confirm(now, ev)
	case dataplane.Roamed:
		if p := e.peers.byView[ev.Peer]; p != nil && p.path != nil {
			e.heardFrom(now, p, ev.Addr)
			e.pollPath(now, p)
			e.wake(p)
		}
	case dataplane.Needed:
		if p := e.peers.byView[ev.Peer]; p != nil {
			e.need(now, p)
		}
	case dataplane.MACWanted:
		e.wantMAC(now, ev.MAC)
	case dataplane.Staged:
		e.staged.add(now, ev.Peer, ev.Frame, e.drops)
		if p := e.peers.byView[ev.Peer]; p != nil {
			e.need(now, p)
			e.releaseStagedIfReady(now, p)
		}
	case dataplane.Unvouched:
		e.handleUnvouched(now, ev)
	case dataplane.HopPacket:
		e.handleHop(now, ev)
	case dataplane.HandshakeAnswer:
		e.handleAnswer(now, ev)
	case dataplane.InitReceived:
		e.handleInit(now, ev)
	case dataplane.STUNReceived:
		e.handleSTUN(now, ev)
	case dataplane.Forwardable:
		e.forward(ev)
	case dataplane.EpochLearned:
		e.learnEpoch(now, ev.KI)
	case dataplane.SendRefused:
		e.sendRefused(now, ev)
	}
	e.send.Flush()
}

// sendRefused doubts the direct paths to an address, or their size, of which the
// socket refused a datagram.
func (e *Edge) sendRefused(now time.Time, ev dataplane.SendRefused) {
	for _, p := range e.peers.byStatic {
		if p.path == nil || p.view.Route().Direct != ev.Addr {
			continue
		}
		if ev.TooBig {
			p.path.TooBig(now, ev.Addr)
		} else {
			p.path.SendFailed(now, ev.Addr)
		}
		e.pollPath(now, p)
		e.wake(p)
	}
}

// handleAnswer hands an answer to whoever waits for it.
func (e *Edge) handleAnswer(now time.Time, ev dataplane.HandshakeAnswer) {
	h, err := protocol.ParseHeader(ev.Packet)
	if err != nil {
		e.drops.Drop(dataplane.DropHeader)
		return
	}
	if ev.Origin.Supernode != nil && (h.XF == protocol.XFHop || h.Type == protocol.TypeReset || h.Type == protocol.TypeWelcome) {
		e.handleHopAnswer(now, h, ev)
		return
	}
	switch h.Type {
	case protocol.TypeResp:
		e.handleResp(now, h, ev)
	case protocol.TypeCookie:
		e.handleCookie(now, h, ev)
	case protocol.TypeNotice:
		e.handleNotice(now, h, ev)
	}
}

// need is called when frames go to or come from a peer: it should have a
// session, its path is in use, and so is the relay.
func (e *Edge) need(now time.Time, p *peer) {
	switch {
	case p.sessions.sealing() == nil:
		e.initiate(now, p)
	default:
		e.tickSessions(now, p)
		e.pollPath(now, p)
		if p.relayPing.next.IsZero() {
			p.relayPing.next = now
		}
	}
	e.findRelay(now, p)
	if r := p.view.Route(); r.Supernode != nil && (!r.Direct.IsValid() || r.Dual) {
		if l := e.links[r.Supernode.ID()]; l.session != nil && l.ping.next.Sub(now) > hopWatch {
			l.ping.next = now.Add(hopWatch)
		}
	}
	e.wake(p)
}

// releaseStagedIfReady sends what waits for a peer that can be reached by now.
func (e *Edge) releaseStagedIfReady(now time.Time, p *peer) {
	if r := p.view.Route(); r.Session != nil && (!e.cfg.NoRelay || r.Direct.IsValid()) {
		e.releaseStaged(now, p)
	}
}

// takeKeys takes over a community that was read again.
func (e *Edge) takeKeys(now time.Time, k loadedKeys) {
	err := k.err
	if err == nil {
		err = e.replaceCommunity(now, k.community)
	}
	e.report(now, Event{Kind: EventReloaded, Err: err})
	if k.answer != nil {
		k.answer <- err
	}
}

// deadline returns when tick has something to do next.
func (e *Edge) deadline() time.Time {
	d := earliest(e.sweepAt, e.keys.deadline())
	d = earliest(earliest(d, e.addresses.deadline()), earliest(e.state.storeAt, e.near.announceAt))
	d = earliest(d, e.turnDeadline())
	d = earliest(earliest(earliest(d, e.staged.deadline()), e.unvouched.deadline()), e.echoes.deadline())
	for _, l := range e.links {
		d = earliest(earliest(d, l.deadline()), e.streamDeadline(l))
	}
	if len(e.peers.queue) > 0 {
		d = earliest(d, e.peers.queue[0].deadline)
	}
	return d
}

// tick does whatever is due, then publishes and sends what came of it.
func (e *Edge) tick(now time.Time) {
	e.tickKeys(now)
	for _, l := range e.links {
		e.tickLink(now, l)
	}
	e.tickPeers(now)
	e.tickEchoes(now)
	e.tickAddresses(now)
	if due(now, e.near.announceAt) {
		e.announceNearby(now)
	}
	e.tickTURN(now)
	e.tickState(now)
	e.staged.expire(now, e.drops)
	e.unvouched.expire(now, e.drops)
	if due(now, e.sweepAt) {
		e.sweepAt = now.Add(dataplane.SweepEvery)
		e.plane.Sweep(now)
	}
	if e.directChanged {
		e.updateDirect(now)
	}
	if e.dirty {
		e.publish(now)
	}
	e.send.Flush()
}

// goodbye tells supernodes and peers that we leave. Nobody answers, so it does
// not wait.
func (e *Edge) goodbye() {
	for _, p := range e.peers.byStatic {
		e.sendPair(p, (&protocol.Close{}).Append)
	}
	for _, l := range e.links {
		e.sendHop(l, (&protocol.Unregister{}).Append)
	}
	e.send.Flush()
}
