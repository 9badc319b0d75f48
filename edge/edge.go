package edge

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// Edge is one member of a community. Make it with New and run it with Run.
type Edge struct {
	cfg  Config
	host Host
	flow
	membership
	loopState
	guards

	underlay

	peers     *peerBook
	keys      *keyring
	staged    staged
	unvouched unvouched
	state     *state
}

// flow is the data plane and what the control loop tells it. It is there when
// begun is closed.
type flow struct {
	plane *dataplane.Plane
	drops *dataplane.Drops  // the plane's
	draft *dataplane.Draft  // of its table
	send  *dataplane.Sender // the control loop's
	begun chan struct{}
}

// underlay is what the edge knows of the network that carries its packets.
type underlay struct {
	links     []*link
	addresses addresses
	ports     portSample
	near      near
	turns     []*turnLink
	turnAt    time.Time // when it is looked at next who needs a relay
}

// membership is what the edge is in its community.
type membership struct {
	cid       [16]byte
	statement []byte
	features  uint32
	lease     netip.Prefix   // zero before the first ACK
	prefixes  []netip.Prefix // of the device
	pins      pins
}

// loopState belongs to the control loop itself.
type loopState struct {
	requests      chan func(now time.Time)
	resolved      chan resolution
	loaded        chan loadedKeys
	failed        error // why Run has to end
	dirty         bool  // the table has to be published
	directChanged bool  // DIRECT sets have to be recomputed
	ready         bool
	forwarding    forwarding
	sweepAt       time.Time
	random        rand.Source
	echoes        echoes
	workers       sync.WaitGroup
	running       context.Context // ends when Run is about to return; for look-ups
	done          chan struct{}   // closed when Run returns
}

// guards are the budgets against floods of handshakes and questions.
type guards struct {
	guard        *crypto.Guard
	load         load
	noticeBudget budget
	queryBudget  budget
	callBudget   budget
	wantedMACs   wantedMACs
}

// resolution is the outcome of looking up a supernode or a STUN server.
type resolution struct {
	link  *link // nil: a STUN server
	addrs []netip.AddrPort
	err   error
}

// loadedKeys is the outcome of reading the community again.
type loadedKeys struct {
	community *crypto.Community
	err       error
	answer    chan error // of a Reload, or nil
}

// New validates a configuration and makes an edge of it. It reads the state
// directory and starts nothing.
func New(cfg Config) (*Edge, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	st, err := loadState(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	c := cfg.Community
	e := &Edge{
		cfg: cfg, host: cfg.Host, peers: newPeerBook(), state: st, keys: newKeyring(c, cfg.Host.Build, cfg.Host.Rand),
	}
	e.cid = c.ID()
	e.pins = pins{state: st, cid: e.cid}
	e.features = protocol.FeaturePartial
	if !crypto.HardwareAES() {
		e.features |= protocol.FeatureChaCha
	}
	e.requests = make(chan func(time.Time))
	e.resolved = make(chan resolution, 4)
	e.loaded = make(chan loadedKeys, 1)
	e.done = make(chan struct{})
	e.begun = make(chan struct{})
	e.guard = crypto.NewGuard(cfg.Identity.Static, cfg.Host.Rand)
	e.load = newLoad()
	e.noticeBudget = budget{rate: 10, burst: 20}
	e.queryBudget = budget{rate: 100, burst: 200}
	e.callBudget = budget{rate: callRate, burst: callBurst}
	e.forwarding = forwarding{ways: make(map[netip.AddrPort]*between), budget: budget{rate: forwardsRate, burst: forwardsBurst}}
	e.wantedMACs = make(wantedMACs)
	var seed [32]byte
	e.fill(seed[:])
	e.random = rand.NewChaCha8(seed)
	for i, s := range cfg.Supernodes {
		e.links = append(e.links, newLink(i, s, st.supernodeKey(s.Name)))
	}
	e.addresses = addresses{budget: address.NewBudget()}
	e.addresses.sources = address.Sources{Port: cfg.Queues[0].Conn.LocalAddr().Port(), Static: cfg.Advertise}
	e.addresses.policy.Payload = dataplane.WantedPayload(cfg.MTU)
	e.addresses.policy.PingLen = protocol.PingDatagramLen
	e.addresses.policy.Side = sidePrefix
	return e, nil
}

// Run carries frames until ctx ends, then says good-bye to supernodes and
// peers, closes device and socket, and returns when every goroutine has
// ended. It returns nil after a clean end.
func (e *Edge) Run(ctx context.Context) error {
	defer close(e.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.running = ctx
	if err := e.begin(ctx, time.Now()); err != nil {
		e.close()
		return err
	}
	ended := make(chan error, len(e.cfg.Queues))
	var serving sync.WaitGroup
	for _, q := range e.cfg.Queues {
		serving.Go(func() { ended <- e.plane.Serve(q, e.cfg.Device.Features()) })
	}
	err := e.loop(ctx, ended)
	e.rememberPeers() // those of the last seconds, too
	e.goodbye()       // while streams still take it
	cancel()
	e.closeFans()
	for _, q := range e.cfg.Queues {
		q.Waiter.Stop()
	}
	serving.Wait() // descriptors stay open while somebody waits for them
	e.close()
	e.workers.Wait()
	e.store()
	return err
}

// close lets go of the sockets and of the device.
func (e *Edge) close() {
	for _, q := range e.cfg.Queues {
		q.Conn.Close()
	}
	e.cfg.Device.Close()
}

// begin sets up what the loop goes on from.
func (e *Edge) begin(ctx context.Context, now time.Time) error {
	e.plane = dataplane.New(dataplane.Config{
		Self: protocol.MAC(e.cfg.MAC), Community: e.keys.community, ClockOffset: e.host.ClockOffset, NoRelay: e.cfg.NoRelay, Started: now,
	})
	e.drops, e.draft, e.send = e.plane.Drops(), dataplane.NewDraft(), e.plane.NewSender(e.cfg.Queues[0].Conn)
	close(e.begun)
	wall := e.plane.Wall(now)
	e.statement = e.cfg.Identity.SignStatement(crypto.Statement{
		ID: [32]byte(e.cfg.Identity.ID), Static: e.cfg.Identity.Static, CID: e.cid, MAC: [6]byte(e.plane.Self()),
		Seq: e.state.nextSeq(wall), Expiry: uint64(wall.Add(365 * 24 * time.Hour).Unix()),
	})
	e.store() // the number must not come twice, however we end
	e.keys.clock.check(now, e.host.BootClock, e.host.Machine)
	e.rollEpochs(now)
	if e.keys.group == nil {
		return ErrScheduleEnded
	}
	e.publish(now)
	e.setAddress(now, e.keys.community.ULA(e.cfg.Identity.ID))
	e.addresses.gatherAt = now
	if e.state.dir != "" {
		e.state.storeAt = now.Add(storeEvery)
	}
	e.sweepAt = now.Add(dataplane.SweepEvery)
	e.tickAddresses(now)
	for _, l := range e.links {
		e.resolve(now, l)
		e.tickStream(now, l)
	}
	e.lookUpSTUN()
	e.lookUpTURN()
	e.recallPeers(now)
	if e.cfg.Keys != nil {
		e.workers.Go(func() { e.watchKeys(ctx) })
	}
	e.watchNetwork(ctx)
	e.send.Flush()
	return nil
}

// watchKeys reads the community again whenever its source says so.
func (e *Edge) watchKeys(ctx context.Context) {
	for e.cfg.Keys.Changed(ctx) == nil {
		c, err := e.cfg.Keys.Load(ctx)
		select {
		case e.loaded <- loadedKeys{community: c, err: err}:
		case <-ctx.Done():
			return
		}
	}
}

// resolve looks up a supernode's addresses in the background. A literal
// address is taken at once.
func (e *Edge) resolve(now time.Time, l *link) {
	l.where.again = time.Time{}
	if a, err := netip.ParseAddr(l.cfg.Host); err == nil {
		e.takeResolution(now, resolution{link: l, addrs: []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), l.cfg.Port)}})
		return
	}
	if l.where.resolving {
		return
	}
	l.where.resolving = true
	e.lookUp(l, l.cfg.Host, l.cfg.Port)
}

// lookupWait bounds one look-up, so that the next one can be tried.
const lookupWait = 10 * time.Second

// lookUp resolves a name in a goroutine and hands the outcome to the loop.
func (e *Edge) lookUp(l *link, host string, port uint16) {
	e.workers.Go(func() {
		ctx, cancel := context.WithTimeout(e.running, lookupWait)
		defer cancel()
		list, err := e.host.Resolver.LookupNetIP(ctx, "ip", host)
		r := resolution{link: l, err: err}
		for _, a := range list {
			r.addrs = append(r.addrs, netip.AddrPortFrom(a.Unmap(), port))
		}
		select {
		case e.resolved <- r:
		case <-ctx.Done():
		}
	})
}

// takeResolution begins or goes on registering at the addresses found.
func (e *Edge) takeResolution(now time.Time, r resolution) {
	l := r.link
	if l == nil {
		if len(r.addrs) > 0 {
			e.addresses.stun.Add(now, r.addrs[0])
		}
		return
	}
	l.where.resolving = false
	if l.where.failed.IsZero() {
		l.where.failed = now
	}
	if r.err != nil || len(r.addrs) == 0 {
		if r.err == nil {
			r.err = errors.New("it has no address")
		}
		l.where.again = now.Add(resolveRetry)
		e.report(now, Event{Kind: EventResolveFailed, Supernode: l.cfg.Name, Addr: l.addr(), Err: r.err})
		return
	}
	l.where.addrs, l.where.failed = r.addrs, time.Time{}
	for _, a := range r.addrs { // it also says whether we have one mapping for all
		e.addresses.stun.Add(now, a)
	}
	e.addresses.policy.Supernodes = nil
	for _, l := range e.links {
		e.addresses.policy.Supernodes = append(e.addresses.policy.Supernodes, l.where.addrs...)
	}
	e.publish(now)
	if l.session == nil && !l.init.active && !l.hello.active {
		e.restartLink(now, l)
	}
}

// lookUpSTUN resolves the configured STUN servers.
func (e *Edge) lookUpSTUN() {
	for _, s := range e.cfg.STUN {
		host, port, err := net.SplitHostPort(s)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err != nil || err2 != nil {
			e.host.Log.Warn("not a STUN server", "server", s)
			continue
		}
		e.lookUp(nil, host, uint16(n))
	}
}

// lookUpTURN resolves the configured TURN servers.
func (e *Edge) lookUpTURN() {
	for _, s := range e.cfg.TURN {
		e.workers.Go(func() {
			for wait := resolveRetry; ; {
				list, err := e.host.Resolver.LookupNetIP(e.running, "ip4", s.Host)
				if err == nil && len(list) > 0 {
					server := protocol.TURNServer{Addr: netip.AddrPortFrom(list[0].Unmap(), s.Port), User: s.User, Password: s.Password}
					select {
					case e.requests <- func(now time.Time) { e.takeTURN(now, server) }:
					case <-e.running.Done():
					}
					return
				}
				select {
				case <-time.After(wait):
				case <-e.running.Done():
					return
				}
			}
		})
	}
}

// freeIndex returns a session index that none of our sessions has.
func (e *Edge) freeIndex() uint32 {
	for {
		i := uint32(e.random.Uint64())
		if e.draft.Session(i) == nil && e.draft.Hop(i) == nil && e.peers.pending[i] == nil {
			return i
		}
	}
}

// fill fills b with random bytes.
func (e *Edge) fill(b []byte) {
	if _, err := io.ReadFull(e.host.Rand, b); err != nil {
		panic("edge: no randomness: " + err.Error())
	}
}

// jitter returns a random duration below d.
func (e *Edge) jitter(d time.Duration) time.Duration {
	return time.Duration(e.random.Uint64() % uint64(d))
}

func (e *Edge) report(now time.Time, ev Event) {
	ev.Time = e.plane.Wall(now)
	e.host.Report(ev)
}

// fail ends Run with an error.
func (e *Edge) fail(err error) {
	if e.failed == nil {
		e.failed = err
	}
}

// isClosed reports whether an error of the device or socket is the end that
// Close brings.
func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF)
}
