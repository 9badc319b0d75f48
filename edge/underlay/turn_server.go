package underlay

import (
	"net/netip"
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
// configuration or another supernode names. The servers of four supernodes are used.
func (t *TURN) Offer(now time.Time, supernode int, s protocol.TURNServer) { t.add(now, supernode, s) }

func (t *TURN) add(now time.Time, by int, s protocol.TURNServer) {
	if !s.Addr.IsValid() || t.cfg.Transports.TURN == nil || t.cfg.Transports.Sides == nil {
		return
	}
	places := maxTURN
	for _, x := range t.servers {
		switch {
		case x.addr == s.Addr && x.by == by, by != byUser && x.by == by && x.allocation == nil:
			// The back-off stays, whatever the address: it is this supernode's.
			x.addr, x.user, x.password = s.Addr, s.User, s.Password
			return
		case by != byUser && x.by == by:
			return
		case x.addr == s.Addr && by != byUser:
			t.cfg.refuse(RefusedTURNServer, s.Addr, nil)
			return
		case x.addr == s.Addr: // the user's word comes first
			x.by, x.user, x.password = by, s.User, s.Password
			return
		case (x.by == byUser) == (by == byUser):
			places--
		}
	}
	if places == 0 {
		t.cfg.refuse(RefusedTURNServer, s.Addr, nil)
		return
	}
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

// serve allocates at a server if some peer needs one, or has the allocation
// that there is let addresses through.
func (t *TURN) serve(now time.Time, x *turnServer, needed []netip.Addr) {
	switch {
	case x.allocation != nil && x.allocation.relayed.IsValid():
		t.permit(now, x, needed)
	case x.allocation == nil && !x.backOff.IsSet() && now.Before(t.needs.any):
		t.allocate(now, x)
	}
}
