package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/internal/timer"
)

// A supernode may answer another local port where it does not answer the data socket's: a
// router that was started again holds on to a flow that is none any more, a firewall drops
// one port. Or it answers an address that this host has in another network, where the line
// of the preferred default route is dead behind a router that lives. So while the data
// socket gets no answer a further socket is tried, again and again, also while a stream
// serves and where no UDP passes. What is relayed goes by it then; peers reach us there, too.
// The data socket goes on asking by STUN, and takes over when it is answered.
const (
	furtherAfter = 10 * time.Second // without an answer
	furtherAgain = 30 * time.Second // after the first try, doubling
	furtherMost  = 5 * time.Minute  // and a tenth of chance
	furtherTurn  = 3                // INITs, of which the last goes by the further socket
)

// furtherSocket is a socket of another local port, by which a supernode is reached or tried.
type furtherSocket struct {
	socket  *underlay.SideSocket // nil: none is open
	uplink  string               // the interface that it is bound to, empty: to none
	side    netip.AddrPort       // stands for the supernode at its far end
	tries   int                  // since the data socket was answered last
	trying  timer.Timer
	closing timer.Timer // set while the data socket serves, and this one is open still
}

// close closes the socket.
func (f *furtherSocket) close() {
	f.closing.Stop()
	if f.socket == nil {
		return
	}
	f.socket.Close()
	f.socket, f.side = nil, netip.AddrPort{}
}

// furtherSockets is the owner of when supernodes are tried by another local port.
type furtherSockets struct {
	supernodes supernodes
	connector  *connector // begins the handshakes
	sockets    *underlay.Sockets
	random     *random
	timers     timer.Queue
}

// open makes the timers of every supernode.
func (o *furtherSockets) open() {
	for _, s := range o.supernodes {
		s.stream.further.trying = s.timer(&o.timers, "try another local port", o.try)
		s.stream.further.closing = s.timer(&o.timers, "end another local port", func(_ time.Time, s *supernode) { s.stream.further.close() })
	}
}

func (o *furtherSockets) deadline() time.Time { return o.timers.Next() }
func (o *furtherSockets) tick(now time.Time)  { o.timers.Run(now) }

// close closes all of them.
func (o *furtherSockets) close() {
	for _, s := range o.supernodes {
		s.stream.further.close()
	}
}

// helps reports whether another local port may help to reach a supernode.
func (o *furtherSockets) helps(s *supernode) bool {
	if o.connector.streamOnly || !o.sockets.Possible() || s.key == nil || s.kin.first != nil || s.hello.older || !s.addr().Addr().Is4() {
		return false
	}
	return s.streaming() || !s.silentSince().IsZero()
}

// settle registers when another local port is tried, and when it is let go because the
// data socket serves.
func (o *furtherSockets) settle(now time.Time) {
	for _, s := range o.supernodes {
		o.settleOne(now, s)
	}
}

func (o *furtherSockets) settleOne(now time.Time, s *supernode) {
	f := &s.stream.further
	switch {
	case s.registered() && s.byFurther():
		f.trying.Stop()
		f.closing.Stop()
	case o.helps(s):
		f.closing.Stop()
		if !f.trying.IsSet() {
			f.trying.Set(now.Add(o.in(f.tries)))
		}
	default:
		f.trying.Stop()
		if s.registered() && !s.streaming() {
			f.tries = 0
		}
		if f.socket != nil && !f.closing.IsSet() {
			f.closing.Set(now.Add(streamLinger))
		}
	}
}

// in returns the wait before the next try.
func (o *furtherSockets) in(tries int) time.Duration {
	if tries == 0 {
		return furtherAfter
	}
	wait := min(furtherAgain<<min(tries-1, 4), furtherMost)
	return wait + o.random.jitter(wait/10)
}

// try tries another local port. Without a session every third INIT goes by it (retryInit);
// else it gets one of its own.
func (o *furtherSockets) try(now time.Time, s *supernode) {
	f := &s.stream.further
	f.close()
	socket, uplink, err := o.next(s)
	f.tries++
	if err != nil {
		return // the underlay has counted it
	}
	f.socket, f.uplink, f.side = socket, uplink, socket.Side(s.addr())
	if s.streaming() && !s.init.active() {
		o.connector.beginAt(now, s, f.side)
	}
}

// next opens the next socket to try: one by each other uplink in turn, and then one by
// the route that the data socket's packets take.
func (o *furtherSockets) next(s *supernode) (socket *underlay.SideSocket, uplink string, err error) {
	uplinks := o.sockets.Uplinks(s.addr().Addr())
	if turn := s.stream.further.tries % (len(uplinks) + 1); turn < len(uplinks) {
		socket, err = o.sockets.OpenBy(uplinks[turn])
		return socket, uplinks[turn].Name, err
	}
	socket, err = o.sockets.Open()
	return socket, "", err
}
