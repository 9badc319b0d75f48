package edge

import (
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/handshake"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// supernode is what we know of one supernode. How it is reached is the connector's,
// what it knows of us is the registrar's; the other owners read both.
type supernode struct {
	view *dataplane.Supernode
	cfg  Supernode
	key  *[32]byte    // nil until pinned
	mask *crypto.Mask // of its datagrams, nil until pinned

	// The connector's.
	kin    kin
	where  whereabouts
	hello  helloOut
	init   hopInit
	reset  resetIn
	hop    hopSessions
	stream supernodeStream

	// The registrar's.
	grant     grant
	keepalive keepalive
	direct    directSet

	reported supernodeReport // of both
}

// kin are the two supernodes of one name that has come to stand for another host (moved.go).
type kin struct {
	first  *supernode // nil: it is this one
	second *supernode // nil: it is this one, or there is no room for one

	pausing timer.Timer // of the place where it says that it is
}

// whereabouts are a supernode's underlay addresses.
type whereabouts struct {
	name      *underlay.Name   // nil: it is an address
	published []netip.AddrPort // addresses that the queues know as its own
	named     []netip.AddrPort // what the name stands for
	good      netip.AddrPort   // where it answered by UDP last, in this run or the one before
	addrs     []netip.AddrPort // that are tried: named, and good
	at        int
	failed    time.Time        // since when the name cannot be looked up; zero: it can
	fault     error            // why, as the user was told
	forbidden []netip.AddrPort // of addrs, those to which this host's own firewall let nothing out at the last try
	pointer   pointer          // where it says that it is
	moved     []netip.AddrPort // of the addresses that the name came to stand for, those that the user was told of
}

// leads returns where a supernode is to be found: where it says, or where its name leads.
func (w *whereabouts) leads() []netip.AddrPort {
	if w.pointer.active() {
		return w.pointer.addrs
	}
	return w.named
}

// newSupernode returns a supernode of the configuration, or a second place of one.
func newSupernode(id int, cfg Supernode) *supernode {
	return &supernode{view: dataplane.NewSupernode(id), cfg: cfg, hello: helloOut{mask: crypto.HelloMask(cfg.ObfsKey)}}
}

// helloOut is a HELLO that waits for its WELCOME.
type helloOut struct {
	mask     *crypto.Mask // of both
	active   bool
	to       netip.AddrPort // not valid: each of the supernode's in turn
	nonce    [16]byte
	sent     time.Time
	attempts int
	begun    time.Time
	older    bool // what answered last spoke the protocol as it was before version 1 was final
	other    otherKey
	retry    timer.Timer
}

// otherKey is the key that a supernode whose key is known has shown in a WELCOME; zeros: none.
type otherKey struct {
	key  [32]byte
	from netip.AddrPort
}

// end waits for no WELCOME any more.
func (h *helloOut) end() {
	h.active, h.to, h.attempts, h.other = false, netip.AddrPort{}, 0, otherKey{}
	h.retry.Stop()
}

// hopInit is our side of the handshakes with a supernode.
type hopInit struct {
	initiator *handshake.Initiator // nil until the supernode's key is known
	to        netip.AddrPort       // not valid: each of the supernode's in turn
	retry     timer.Timer
	rotation  rotation
}

// active reports whether a handshake is under way.
func (i *hopInit) active() bool { return i.initiator != nil && i.initiator.Active() }

// hopSessions are the sessions with a supernode.
type hopSessions struct {
	session *dataplane.HopSession // sealed under; nil before the first
	old     *dataplane.HopSession // still opened
	at      netip.AddrPort        // where session's packets go: what answered its INIT
	moved   time.Time             // when it last went over to a stream, or back
	hash    [32]byte              // Noise handshake hash of session
	fresh   bool                  // the registrar has to register on session
	broken  bool                  // the registrar has to give session up: its stream has ended
	rekey   timer.Timer
	route   dataplane.HopRoute // as the queues know it
}

// supernodeStream is the stream to one supernode, and the further socket that is tried
// beside it.
type supernodeStream struct {
	conn    underlay.Stream // nil: none
	side    netip.AddrPort  // stands for conn
	place   netip.AddrPort  // where the supernode says that it is, if conn leads there or a dial does
	dialing bool
	tries   int       // failures in a row
	next    time.Time // when another may be made
	failed  string    // why the last one could not be made
	making  timer.Timer
	sparing timer.Timer // set while the supernode is reached without the stream
	further furtherSocket
}

// grant is what a supernode knows of us and granted.
type grant struct {
	done      bool                  // we are registered
	on        *dataplane.HopSession // the session on which we registered
	token     [16]byte              // of the RESET that may end the session
	pending   bool                  // a REGISTER waits for its answer
	leased    bool                  // an address, which has to be renewed
	offer     netip.Prefix          // what it leases, taken or not
	holder    protocol.MAC          // who has the address that we want there; zero: nobody
	fault     string                // why the offer is not taken, as the user is told; empty: it is
	faultAt   time.Time             // when that was told last
	twinAt    time.Time             // when a word about another machine with our identity was last acted on
	attempts  int
	others    int  // edges in our community besides us
	nameInUse bool // others used our community's name with another key before it was here
	retry     timer.Timer
	renew     timer.Timer
}

// keepalive are the pings that keep the mapping to a supernode open, and notice
// when it is gone.
type keepalive struct {
	pingOut
	late bool      // an answer is overdue, and none has come since
	last time.Time // when the ping was sent that was answered last
	next timer.Timer
}

// directSet is the DIRECT set as a supernode was told.
type directSet struct {
	handles []uint32
	repeats int
	unsure  bool // the supernode may still leave out who has to get our floods from it
	again   timer.Timer
}

// supernodeReport is what the user was told about a supernode.
type supernodeReport struct {
	noAnswer, lost, alone, wrongKey, ready, older bool
	otherKey                                      string // that it shows another key; empty: it does not
	refused                                       uint8  // the code of the NAK that the user was told of
	refusal                                       string // the sentence about it, where there is one for it
	exhausted                                     bool   // it has no free address for us
}

// id returns the supernode's place in the configuration.
func (s *supernode) id() int { return s.view.ID() }

// timer returns a timer of a queue that calls call with the supernode.
func (s *supernode) timer(q *timer.Queue, name string, call func(now time.Time, s *supernode)) timer.Timer {
	return timer.New(q, name, func(now time.Time) { call(now, s) })
}

// registered reports whether the supernode has us registered.
func (s *supernode) registered() bool { return s.grant.done }

// dormant reports whether the supernode is the second one of a name, and is not needed.
func (s *supernode) dormant() bool { return s.kin.first != nil && len(s.where.addrs) == 0 }

// current reports whether the supernode has us registered on the session in use.
func (s *supernode) current() bool { return s.grant.done && s.grant.on == s.hop.session }

// addr returns the address that the next packet without a session goes to.
func (s *supernode) addr() netip.AddrPort {
	if len(s.where.addrs) == 0 {
		return netip.AddrPort{}
	}
	return s.where.addrs[s.where.at%len(s.where.addrs)]
}

// maySend notes that something is about to be sent to an address. Should this host's own
// firewall refuse it, sendFailed is called at once.
func (w *whereabouts) maySend(to netip.AddrPort) {
	w.forbidden = slices.DeleteFunc(w.forbidden, func(a netip.AddrPort) bool { return a == to })
}

// sendFailed notes that this host's own firewall has refused a datagram to a supernode.
func (l supernodes) sendFailed(ev dataplane.SendRefused) {
	for _, s := range l {
		w := &s.where
		if ev.Forbidden && slices.Contains(w.addrs, ev.Addr) && !slices.Contains(w.forbidden, ev.Addr) {
			w.forbidden = append(w.forbidden, ev.Addr)
		}
	}
}

// isForbidden reports whether this host's own firewall lets nothing out to any address of
// a supernode.
func (s *supernode) isForbidden() bool {
	return len(s.where.addrs) > 0 && !slices.ContainsFunc(s.where.addrs, func(a netip.AddrPort) bool { return !slices.Contains(s.where.forbidden, a) })
}

// fault returns why a supernode does not answer by UDP, nil: that is not known here.
func (s *supernode) fault() error {
	if s.isForbidden() {
		return fs.ErrPermission
	}
	return nil
}

// missing returns the IP version, 4 or 6, of all addresses of the supernode, if this host has
// no way to that; else 0.
func (s *supernode) missing(policy *address.Policy) int {
	for _, a := range s.where.addrs {
		if !policy.OfMissing(a.Addr()) {
			return 0
		}
	}
	if len(s.where.addrs) == 0 {
		return 0
	}
	return policy.Missing
}

// target returns to, or if that is not valid the address that is next in turn.
func (s *supernode) target(to netip.AddrPort) netip.AddrPort {
	if to.IsValid() {
		return to
	}
	return s.addr()
}

// shownAddr returns the supernode's underlay address for the user.
func (s *supernode) shownAddr() netip.AddrPort {
	if s.hop.at.IsValid() && !underlay.IsSide(s.hop.at) {
		return s.hop.at
	}
	if s.streaming() && s.stream.place.IsValid() {
		return s.stream.place
	}
	return s.addr()
}

// pin fixes the supernode's key and the mask that comes with it.
func (s *supernode) pin(key [32]byte) {
	s.key = &key
	s.mask = s.cfg.maskOf(key)
}

// maskOf returns the mask of what travels between us and a supernode with a key.
func (s *Supernode) maskOf(key [32]byte) *crypto.Mask {
	return crypto.NewMask(crypto.SupernodeMaskKey(key, s.ObfsKey))
}

// initMask returns the mask of the INITs to a supernode.
func (s *supernode) initMask() *crypto.Mask {
	if next := s.init.rotation.next; next != nil {
		return next.mask
	}
	return s.mask
}

// secondMask returns another mask that datagrams of a supernode may have; nil: none.
func (s *supernode) secondMask() *crypto.Mask {
	r := &s.init.rotation
	switch {
	case r.next != nil:
		return r.next.mask
	case s.hop.old == nil || s.hop.old.Crypto().Static() == *s.key:
		r.former = nil
	}
	return r.former
}

// streaming reports whether the session in use runs over the stream.
func (s *supernode) streaming() bool { return s.stream.conn != nil && s.hop.at == s.stream.side }

// byFurther reports whether the session in use runs by another local port.
func (s *supernode) byFurther() bool {
	return s.stream.further.socket != nil && s.hop.at == s.stream.further.side
}

// fallenBack reports whether the session in use runs by anything but the data socket.
func (s *supernode) fallenBack() bool { return s.streaming() || s.byFurther() }

// streamText says which stream the session in use runs over; empty: none.
func (s *supernode) streamText() string {
	if !s.streaming() {
		return ""
	}
	return s.stream.conn.String()
}

// silentSince returns since when the supernode has not answered by UDP though it
// was asked, zero: it has.
func (s *supernode) silentSince() time.Time {
	switch {
	case s.registered() && !s.streaming():
		return time.Time{}
	case s.hello.active:
		return s.hello.begun
	case s.init.active():
		return s.init.initiator.Begun()
	}
	return s.where.failed // its name cannot be resolved here; a proxy may know it
}

// publishHop tells the queues how the supernode is reached: in the session on which
// it has us registered, since it relays in no other.
func (s *supernode) publishHop() {
	if s.grant.on == s.hop.session && s.hop.session != nil {
		s.hop.route = dataplane.HopRoute{Session: s.hop.session.Crypto(), Addr: s.hop.at, Mask: s.mask, ECN: s.hop.session.ECN()}
	}
	if s.hop.route.Session == nil {
		return
	}
	s.hop.route.DirectSet = len(s.direct.handles) > 0 && !s.direct.unsure
	s.view.SetRoute(s.hop.route)
}

// leader returns the supernode itself, of two of one name the first.
func (s *supernode) leader() *supernode {
	if s.kin.first != nil {
		return s.kin.first
	}
	return s
}

// supernodes are all supernodes of the configuration, in its order.
type supernodes []*supernode

// registered reports whether a supernode has us registered.
func (l supernodes) registered() bool { return slices.ContainsFunc(l, (*supernode).registered) }

// named returns the supernode that has a name now, or nil.
func (l supernodes) named(name *underlay.Name) *supernode {
	for _, s := range l {
		if s.where.name == name {
			return s
		}
	}
	return nil
}

// relayFor returns the best supernode that knows a peer, or nil.
func (l supernodes) relayFor(p *peer) *supernode {
	var best *supernode
	for _, s := range l {
		if p.handles[s.id()] == 0 || s.hop.session == nil {
			continue
		}
		if best == nil || s.registered() && (!best.registered() || best.kin.second == s && best.where.pointer.has(s.hop.at)) {
			best = s // of one that moves: before it ends where it was
		}
	}
	return best
}

// spareFor returns another supernode that has us registered and knows a peer, while the
// answer of the one that relays to the peer is late; else nil. One at the same address is
// the same one.
func (l supernodes) spareFor(p *peer, s *supernode) *supernode {
	if !s.keepalive.late {
		return nil
	}
	var spare *supernode
	for _, other := range l {
		if other == s || !other.registered() || p.handles[other.id()] == 0 || other.hop.at == s.hop.at {
			continue
		}
		if spare == nil || spare.keepalive.late && !other.keepalive.late {
			spare = other
		}
	}
	return spare
}

// relays reports whether a supernode that has us registered knows a peer.
func (l supernodes) relays(p *peer) bool {
	s := l.relayFor(p)
	return s != nil && s.registered()
}

// name returns what the user calls a supernode, empty for nil.
func (l supernodes) name(view *dataplane.Supernode) string {
	if view == nil {
		return ""
	}
	return l[view.ID()].cfg.Name
}

// doubtDirect lets the supernodes carry floods to everybody until they surely know
// of a peer that leaves the DIRECT set. The peers that get a copy too many
// drop it as a replay.
func (l supernodes) doubtDirect() {
	for _, s := range l {
		if s.registered() && len(s.direct.handles) > 0 {
			s.direct.unsure = true
			s.publishHop()
		}
	}
}

// hopSender sends control messages to supernodes, inside the hop sessions.
type hopSender struct {
	out *dataplane.Sender
}

// send sends control messages to a supernode. build appends the messages.
func (h hopSender) send(s *supernode, build func([]byte) []byte) {
	if s.hop.session == nil {
		return
	}
	r := dataplane.HopRoute{Session: s.hop.session.Crypto(), Addr: s.hop.at, Mask: s.mask}
	h.out.SealHop(r, build)
}

// LogValue names the supernode in log lines as the user typed it.
func (s *supernode) LogValue() slog.Value { return slog.StringValue(s.cfg.Name) }
