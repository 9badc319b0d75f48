package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// reachability is how a peer may be reached.
type reachability struct {
	path       *path.Machine         // nil without a session
	since      time.Time             // when the next hop of its route became what it is; zero: there was none yet
	relay      relayProbe            // of the path through a supernode
	quality    quality               // of the direct path
	direct     [maxSupernodes]uint32 // its handles in the DIRECT sets; 0: it is not in them
	call       call                  // punching's
	turn       turnNeed
	sockets    []*underlay.SideSocket // that the path has of its own
	asked      asked
	lan        netip.AddrPort // where the peer was met on a LAN that both share
	introducer netip.AddrPort // stands for the third edge through which the peer was last heard
	forwards   forwards       // the introducers'
	routes     bucket.Bucket  // the subnets owner's: what the peer is told of networks behind us
	segment    peerSegment    // the successions owner's: what it says of its LAN
	polling    timer.Timer    // when one of the machines has something to do next
}

// forwards are what the introducers let a peer cause.
type forwards struct {
	asked   bucket.Bucket // what the peer may have us forward
	brought bucket.Bucket // what the peer brings as an introducer
}

// relayProbe measures the relayed path to a peer.
type relayProbe struct {
	ping     pingOut
	loss     path.Loss // of those pings
	size     relaySize
	oneSided bool        // several pings in a row had no answer: the session has to be made anew
	silent   bool        // and none was answered since
	sought   time.Time   // the directory's: when it last asked for a second supernode that knows the peer
	unheard  time.Time   // when the supernode heard the peer last, as that said because it is long ago; zero: it does not say so
	timer    timer.Timer // of the next ping
}

// restart forgets what was measured: frames are relayed by another supernode.
func (o *relayProbe) restart() {
	o.size, o.loss, o.silent, o.unheard = newRelaySize(), path.Loss{}, false, time.Time{}
}

// pingOut is a ping that waits for its pong.
type pingOut struct {
	nonce     [8]byte
	sent      time.Time
	rtt       time.Duration // smoothed; 0: not measured
	variation time.Duration // of the round trip, smoothed
	missed    int           // in a row, without an answer
}

// answered notes that the pong has come.
func (o *pingOut) answered(now time.Time) {
	o.measure(now.Sub(o.sent))
	o.forget()
}

// forget waits for no pong any more.
func (o *pingOut) forget() { o.sent, o.missed = time.Time{}, 0 }

// waits reports whether a pong with a nonce is waited for.
func (o *pingOut) waits(nonce [8]byte) bool { return !o.sent.IsZero() && o.nonce == nonce }

// measure takes a round trip into account, as RFC 6298, section 2, does.
func (o *pingOut) measure(sample time.Duration) {
	if o.rtt == 0 {
		o.rtt, o.variation = max(sample, 1), sample/2
		return
	}
	o.variation += ((o.rtt - sample).Abs() - o.variation) / 4
	o.rtt += (sample - o.rtt) / 8
}

// timeout returns how long to wait for a pong: 4 variations longer than the round trip
// takes, as RFC 6298, section 2, has it, and no less than it says or an eighth.
func (o *pingOut) timeout(least time.Duration) time.Duration {
	return max(least, o.rtt+max(4*o.variation, o.rtt/8))
}

// call is what a peer and we told each other of our NATs.
type call struct {
	stamp  uint32          // of our CALL, in milliseconds since its sender began
	sent   time.Time       // when; zero: none waits for its CALLACK
	mine   address.Pattern // as last told the peer
	theirs address.Pattern // as last heard from it
	heard  time.Time
	answer bucket.Bucket // for its CALLs
}

// turnNeed is whether a peer needs the help of a TURN server.
type turnNeed struct {
	since time.Time   // since when there is traffic without a direct path; zero: not so
	timer timer.Timer // when the need is looked at again
}

func (n *turnNeed) stop() {
	n.since = time.Time{}
	n.timer.Stop()
}

// setCandidates hands a peer's candidates to its path, if there is one.
func (r *reachability) setCandidates(now time.Time, m protocol.Candidates) {
	if r.path == nil {
		return
	}
	list := make([]address.Candidate, 0, len(m.List))
	for _, c := range m.List {
		list = append(list, address.Candidate{Kind: address.CandidateKind(c.Kind), Addr: c.Addr})
	}
	r.path.SetCandidates(now, m.Gen, list)
}

// asked are the addresses of this host that a peer sends to, by where it sends from.
//
// A host with several addresses is known to its peers by any of them. What it sends has to
// leave from the one that the peer sends to: a NAT or a firewall in front of the peer lets
// nothing else in, and the peer takes it for somebody who has moved. Answers go back the
// way they came (dataplane.Origin); what an edge sends of its own accord leaves from what
// is kept here.
//
// An address is kept only where the system would choose another one and where the route
// from it leads out of its own interface, as policy routing makes it. On a host that was
// plugged in while its Wi-Fi is still up, the peers' packets come to the address of the
// Wi-Fi until they know the new one, and to answer from there by the cable would lose
// everything.
type asked map[netip.AddrPort]source

// source is an address of this host that a peer sends to, and whether what goes back has
// to be made to leave from it.
type source struct {
	local  netip.Addr
	needed bool
}

// maxAsked bounds how many addresses of one peer are kept: its path knows no more.
const maxAsked = 20
