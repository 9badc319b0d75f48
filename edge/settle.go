package edge

import "time"

// settlings bounds how often one event may change a peer: what is left then is
// settled with the next event. Two are enough for all that is known to happen.
const settlings = 8

// settle acts on everything that an event has changed, once and in one order: the
// machines of each changed peer are polled, its route follows from them, then the
// owners above act on the route; the registrations and the queues' table come
// next, and last of all the packets leave. So nothing is sent before the queues
// can open the answer, and the code that changes something need not remember what
// depends on it.
func (e *Edge) settle(now time.Time) {
	if e.keys.vouching {
		e.keys.vouching = false
		e.sessions.vouch()
	}
	if e.servers.addresses.changed {
		e.servers.addresses.changed = false
		e.sessions.introduceAll()
		e.data.guard.publish()
		e.servers.duplicates.settleAll(now)
	}
	for left := settlings * (len(e.peers.changed) + 1); left > 0; left-- {
		p := e.peers.nextChanged()
		if p == nil {
			break
		}
		e.settlePeer(now, p)
	}
	e.user.echoes.settle(now)
	e.servers.registrar.settle(now)
	if e.paths.routing.directChanged {
		e.paths.routing.directChanged = false
		e.servers.registrar.updateDirect(now)
	}
	e.paths.routing.sizeGroup()
	e.data.listeners.settleAll(now)
	e.servers.further.settle(now)
	e.servers.connector.settle(now)
	e.data.plane.Publish(e.data.draft)
	e.data.send.Flush()
}

// settlePeer settles one peer, or lets go of one that was forgotten.
func (e *Edge) settlePeer(now time.Time, p *peer) {
	if p.gone {
		p.changed = true // so that mark does nothing any more
		e.sessions.release(p)
		e.data.guard.forget(p)
		e.paths.routing.directChanged = e.paths.routing.directChanged || p.reach.direct != [maxSupernodes]uint32{}
		e.paths.routing.stop(p)
		e.user.reports.gone(now, p)
		p.asking.Stop()
		e.paths.links.settle(now, p)
		e.paths.subnets.settle(now, p)
		e.servers.duplicates.settle(now, p)
		e.data.lists.settle(p)
		return
	}
	e.data.guard.settle(p) // before frames that waited are delivered
	if e.self.isolation.bars(p) {
		bar(now, e.sessions, p)
	}
	wishes := e.paths.routing.settle(now, p)
	if wishes.session {
		e.sessions.initiate(p)
		e.servers.directory.askRelay(now, p)
	}
	if wishes.introduction {
		p.sessions.introduce = true
	}
	e.sessions.settle(now, p)
	e.servers.directory.settle(now, p)
	e.servers.registrar.watch(now, p)
	e.servers.duplicates.settle(now, p)
	e.paths.links.settle(now, p)
	e.paths.subnets.settle(now, p)
	e.data.listeners.settle(now, p)
	e.data.lists.settle(p)
	e.user.reports.settle(now, p)
	e.peers.schedule(p)
	e.paths.routing.schedule(p)
	e.sessions.schedule(p)
}
