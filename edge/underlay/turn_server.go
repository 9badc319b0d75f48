package underlay

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Bounds of TURN (RFC 8656), which serves two edges that have neither a direct
// path nor a supernode that relays.
const (
	allocateRetry = 5 * time.Second // after the first failure, doubling
	allocateMost  = 5 * time.Minute
	maxTURN       = 4   // servers of the configuration, and as many of supernodes
	maxPermitted  = 256 // addresses of peers that one allocation serves; more are not

	// What one peer can have permitted, who may name any address: so many at a time, and
	// so many new ones a second of all peers, each of which is a request to the server.
	peerPermitted = 16
	permitRate    = 10
	permitBurst   = maxPermitted
)

// TURN allocates relayed addresses on TURN servers while peers need them. Each
// becomes a candidate like others.
type TURN struct {
	cfg       *Config
	addresses *Addresses
	servers   []*turnServer
	needs     turnNeeds
	holding   sync.WaitGroup // goroutines that hold allocations
}

// turnServer is one TURN server.
type turnServer struct {
	addr           netip.AddrPort
	user, password string
	by             int         // the supernode that hands it out; byUser: the configuration names it
	allocation     *allocation // nil: none, and none is asked for
	failed         string      // why there is none, as it was logged
	failures       int         // in a row
	backOff        timer.Timer // while it is set, no allocation is asked for
}

// failing reports whether the last request for an allocation had none.
func (x *turnServer) failing() bool { return x.allocation == nil && x.failures > 0 }

func newTURN(cfg *Config, a *Addresses) *TURN {
	return &TURN{cfg: cfg, addresses: a, needs: turnNeeds{cfg: cfg, until: make(map[netip.Addr]time.Time)}}
}

// byUser stands for the configuration among those that name TURN servers.
const byUser = -1

// AddServer adds a server that the configuration names, or says its credential. Four
// are used; more are refused. A server without a valid address is no server.
func (t *TURN) AddServer(now time.Time, s protocol.TURNServer) { t.add(now, byUser, s) }

// Offer adds the server that a supernode hands out, or renews its credential; the
// next allocation uses it. A supernode has one server: another one takes the place of
// the one before, but of no allocation. It changes nothing of a server that the
// configuration names, nor of one that another supernode names unless that has failed:
// two supernodes may share a server, and the credentials of the one that is gone end.
// The servers of four supernodes are used.
func (t *TURN) Offer(now time.Time, supernode int, s protocol.TURNServer) { t.add(now, supernode, s) }

func (t *TURN) add(now time.Time, by int, s protocol.TURNServer) {
	if !s.Addr.IsValid() || t.cfg.Transports.TURN == nil || t.cfg.Transports.Sides == nil {
		return
	}
	holder, own, others := t.find(by, s.Addr)
	switch {
	case holder != nil && (by == byUser || holder == own || holder.by != byUser && holder.failing()): // the user's word comes first
		if own != nil && own != holder {
			if own.allocation != nil {
				return
			}
			t.drop(own)
		}
		holder.by, holder.user, holder.password = by, s.User, s.Password
	case holder != nil, own == nil && others == maxTURN:
		t.cfg.refuse(RefusedTURNServer, s.Addr, nil)
	case own == nil:
		t.use(now, by, s)
	case own.allocation == nil: // the back-off stays, whatever the address: it is this supernode's
		own.addr, own.user, own.password = s.Addr, s.User, s.Password
	}
}

// find returns the server at an address, the one that a supernode hands out, nil if there
// are none, and how many servers others like by name: supernodes, or the configuration.
func (t *TURN) find(by int, at netip.AddrPort) (holder, own *turnServer, others int) {
	for _, x := range t.servers {
		if x.addr == at {
			holder = x
		}
		switch {
		case by != byUser && x.by == by:
			own = x
		case (x.by == byUser) == (by == byUser):
			others++
		}
	}
	return holder, own, others
}

// drop forgets a server without an allocation.
func (t *TURN) drop(x *turnServer) {
	x.backOff.Stop()
	t.servers = slices.DeleteFunc(t.servers, func(other *turnServer) bool { return other == x })
}

// use begins to use a server.
func (t *TURN) use(now time.Time, by int, s protocol.TURNServer) {
	x := &turnServer{addr: s.Addr, user: s.User, password: s.Password, by: by}
	x.backOff = timer.New(t.cfg.Timers, "turn: back-off", func(now time.Time) { t.serve(now, x, t.needs.addrs(now)) })
	t.servers = append(t.servers, x)
	t.serve(now, x, t.needs.addrs(now))
}

// Need says that a peer needs a TURN server, and at which addresses it may be, if any is
// known. The caller repeats that while it is so: a need lasts for NeedLasts.
// Private addresses are not permitted, as no TURN server reaches them, and of one peer
// no more than the first 16.
func (t *TURN) Need(now time.Time, addrs []netip.Addr) {
	needed := t.needs.add(now, addrs)
	for _, x := range t.servers {
		t.serve(now, x, needed)
	}
}

// ByTURN returns the peer's end of a side address that leads through a TURN
// server; ok is false for every other address.
func (t *TURN) ByTURN(side netip.AddrPort) (peer netip.AddrPort, ok bool) {
	for _, x := range t.servers {
		if x.allocation != nil {
			if peer, ok := x.allocation.sides.far(side); ok {
				return peer, true
			}
		}
	}
	return netip.AddrPort{}, false
}

// hurry ends the back-off of every server: the network is another one.
func (t *TURN) hurry(now time.Time) {
	for _, x := range t.servers {
		if x.backOff.IsSet() {
			x.backOff.Set(now)
		}
	}
}

// serve allocates at a server if some peer needs one, or has the allocation
// that there is let addresses through.
func (t *TURN) serve(now time.Time, x *turnServer, needed []netip.Addr) {
	switch {
	case x.allocation != nil && x.allocation.relayed.IsValid():
		t.permit(now, x, needed)
	case x.allocation != nil || x.backOff.IsSet() || !now.Before(t.needs.any):
	case x.by != byUser && t.cfg.Receivers.OfPeer(now, x.addr):
		x.backOff.Set(now.Add(allocateMost))
		t.cfg.refuse(RefusedTURNServer, x.addr, nil)
	default:
		t.allocate(now, x)
	}
}
