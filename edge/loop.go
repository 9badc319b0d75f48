package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		var ev event
		var some bool
		select {
		case ev = <-e.mailbox.known:
			some = true
		default:
			timer.Reset(time.Until(e.deadline()))
			select {
			case ev = <-e.mailbox.known:
				some = true
			case ev = <-e.mailbox.strangers:
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
func (e *Edge) handleEvents(now time.Time, ev event) {
	e.handleEvent(now, ev)
	for range eventBurst {
		select {
		case ev = <-e.mailbox.known:
			e.handleEvent(now, ev)
		default:
			return
		}
	}
}

// handleEvent handles one thing that the data goroutines told.
func (e *Edge) handleEvent(now time.Time, ev event) {
	switch ev.kind {
	case eventPair:
		e.confirm(now, ev)
		e.handlePair(now, ev)
	case eventConfirmed:
		e.confirm(now, ev)
	case eventRoamed:
		if p := e.peers.byView[ev.peer]; p != nil && p.path != nil {
			e.heardFrom(now, p, ev.from)
			e.pollPath(now, p)
			e.wake(p)
		}
	case eventNeed:
		if p := e.peers.byView[ev.peer]; p != nil {
			e.need(now, p)
		}
	case eventWantMAC:
		e.wantMAC(now, ev.mac)
	case eventStage:
		e.staged.add(now, ev.peer, ev.raw, &e.drops)
		if p := e.peers.byView[ev.peer]; p != nil {
			e.need(now, p)
			e.releaseStagedIfReady(now, p)
		}
	case eventUnvouched:
		e.handleUnvouched(now, ev)
	case eventHop:
		e.handleHop(now, ev)
	case eventAnswer:
		e.handleAnswer(now, ev)
	case eventInit:
		e.handleInit(now, ev)
	case eventSTUN:
		e.handleSTUN(now, ev)
	case eventForward:
		e.forward(ev)
	case eventLearn:
		e.learnEpoch(now, ev.ki)
	case eventSendError:
		for _, p := range e.peers.byStatic {
			if p.path != nil && p.view.route.Load().direct == ev.from {
				if ev.tooBig {
					p.path.TooBig(now, ev.from)
				} else {
					p.path.SendFailed(now, ev.from)
				}
				e.pollPath(now, p)
				e.wake(p)
			}
		}
	}
	e.send.flush()
}

// handleAnswer hands an answer to whoever waits for it.
func (e *Edge) handleAnswer(now time.Time, ev event) {
	h, err := protocol.ParseHeader(ev.raw)
	if err != nil {
		e.drops.drop(dropHeader)
		return
	}
	if ev.link != nil && (h.XF == protocol.XFHop || h.Type == protocol.TypeReset || h.Type == protocol.TypeWelcome) {
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
	if r := p.view.route.Load(); r.relay != nil && (!r.direct.IsValid() || r.dual) {
		if l := e.links[r.relay.id]; l.session != nil && l.ping.next.Sub(now) > hopWatch {
			l.ping.next = now.Add(hopWatch)
		}
	}
	e.wake(p)
}

// releaseStagedIfReady sends what waits for a peer that can be reached by now.
func (e *Edge) releaseStagedIfReady(now time.Time, p *peer) {
	if r := p.view.route.Load(); r.session != nil && (!e.noRelay || r.direct.IsValid()) {
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
	e.staged.expire(now, &e.drops)
	e.unvouched.expire(now, &e.drops)
	if due(now, e.sweepAt) {
		e.sweepAt = now.Add(fdbSweep)
		e.fdb.sweep(e.since(now))
		e.groupRx.Sweep(e.wall(now))
	}
	if e.directChanged {
		e.updateDirect(now)
	}
	if e.dirty {
		e.publish(now)
	}
	e.send.flush()
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
	e.send.flush()
}
