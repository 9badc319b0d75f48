package edge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/handover"
	"hedgerow/internal/timer"
)

// Edge is one member of a community. Make it with New and run it with Run. It is
// the composition of its owners, each of which has its own state and its own
// deadline; the package comment says who owns what.
type Edge struct {
	cfg        Config
	data       data
	background *background
	random     *random
	self       *self
	state      *state
	user       user

	peers    *peers
	keys     *keyring
	sessions *sessions
	paths    paths
	servers  servers
	underlay *underlay.Underlay
	chores   chores
	owners   []owner // in the order in which they tick
}

// data is what the control loop shares with the queues.
type data struct {
	plane *dataplane.Plane
	draft *dataplane.Draft  // of the table that the queues read
	send  *dataplane.Sender // the control loop's
	cover *dataplane.Covers // of STUN to supernodes
	guard *guard            // whose rules the queues hold frames to
	lists *listKeeper       // of who is a member

	stations  *stations  // questions about the plane's stations
	listeners *listeners // who has members of which multicast groups
}

// paths are the owners of how peers are reached, and hosts behind them.
type paths struct {
	routing     *routing
	punching    *punching
	introducers *introducers
	links       *links
	segment     *segment // nil: we are no bridge
	successions *successions
	subnets     *subnets
}

// servers are the owners of what concerns supernodes.
type servers struct {
	list      supernodes
	connector *connector
	further   *furtherSockets
	registrar *registrar
	directory *directory
	addresses *deviceAddresses
	finder    *finder
	lists     *serverLists

	duplicates *duplicates // of our address
}

// user is what the user is told and may ask.
type user struct {
	reports   *reporter
	describer *describer
	echoes    *echoes
	refusals  *refusals
	recursion *recursion
	limits    *limits
}

// chores are what the loop does now and then for no owner in particular.
type chores struct {
	timers   *timer.Queue
	network  timers // the underlay's
	clock    clockWatch
	storing  timer.Timer
	sweeping timer.Timer
	keyFault string // why the community could not be read again, empty: it could
}

func (c *chores) deadline() time.Time { return c.timers.Next() }
func (c *chores) tick(now time.Time)  { c.timers.Run(now) }

// New validates a configuration and makes an edge of it. It reads the state
// directory and starts nothing.
func New(cfg Config) (*Edge, error) { return compose(cfg, time.Now()) }

// Run carries frames until ctx ends, then says good-bye to supernodes and
// peers, closes device and socket, and returns when every goroutine has
// ended. It returns nil after a clean end. Once HandOver has succeeded it ends at once, and
// says good-bye to nobody.
func (e *Edge) Run(ctx context.Context) error {
	defer close(e.background.done)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.background.running = ctx
	ended := make(chan error, len(e.cfg.Queues))
	var serving sync.WaitGroup
	serve := func() {
		for _, q := range e.cfg.Queues {
			serving.Go(func() { ended <- e.data.plane.Serve(q, e.cfg.Device.Features()) })
		}
	}
	if e.state.resumed != nil {
		serve() // frames have waited long enough
	}
	if err := e.begin(time.Now()); err != nil {
		stop(e, &serving)
		return err
	}
	if e.state.resumed == nil {
		serve()
	}
	err := e.loop(ctx, ended)
	handed := e.data.plane.Gates().Handed()
	if handed {
		cancel(handover.ErrHandedOver) // what is held for us elsewhere is the successor's
	} else {
		goodbye(e)
		cancel(nil)
	}
	e.paths.routing.closeSockets()
	e.servers.further.close()
	e.underlay.TURN.GiveBack()
	stop(e, &serving)
	e.background.workers.Wait()
	if !handed {
		e.state.keepNow()
	}
	return err
}

// goodbye tells everybody that this edge ends.
func goodbye(e *Edge) {
	e.state.remember(e.peers) // those of the last seconds, too
	e.paths.segment.goodbye(time.Now())
	e.paths.subnets.end()
	e.sessions.goodbye() // while streams still carry it
	e.servers.registrar.goodbye()
	e.data.send.Flush()
}

// stop ends the queues, and lets go of the sockets and of the device.
func stop(e *Edge, serving *sync.WaitGroup) {
	for _, q := range e.cfg.Queues {
		q.Waiter.Stop()
	}
	serving.Wait() // descriptors stay open while a queue waits for them
	for _, q := range e.cfg.Queues {
		q.Conn.Close()
	}
	e.cfg.Device.Close()
}

// begin sets up what the loop goes on from.
func (e *Edge) begin(now time.Time) error {
	e.user.recursion.look(now)
	if e.state.resumed == nil {
		wall := e.data.plane.Wall(now)
		seq := e.state.nextSeq(wall)
		e.self.sign(wall, seq)
		e.keys.countFrom(seq)
		e.state.keepNow() // the number must not come twice, however we end
	}
	e.chores.clock.check(now, e.cfg.Host.BootClock, e.cfg.Host.Machine)
	e.chores.clock.next.Set(now.Add(clockEvery))
	e.keys.roll(now)
	if e.keys.group == nil {
		return ErrScheduleEnded
	}
	if !e.cfg.Address.Bare {
		e.servers.addresses.set(now, e.keys.community.ULA(e.cfg.Identity.ID))
	}
	e.chores.sweeping.Set(now.Add(dataplane.SweepEvery))
	if e.cfg.StateDir != "" {
		e.chores.storing.Set(now.Add(storeEvery))
	}
	if e.state.resumed == nil {
		e.servers.addresses.assume(now)
		e.paths.segment.begin(now)
		e.paths.subnets.begin(now)
		e.servers.connector.begin(now)
		recallPeers(e, now)
	} else {
		goOn(e, now)
	}
	beginOwners(e, now)
	e.settle(now)
	return nil
}

// beginOwners is begin for what begins alike after another process.
func beginOwners(e *Edge, now time.Time) {
	e.underlay.Start(now, e.self.statement)
	e.paths.links.begin()
	e.servers.finder.begin(now)
	e.data.lists.begin(now)
	e.data.listeners.begin(now)
	e.peers.pins.aged(e.peers.rightClock(now))
	if e.cfg.Keys != nil {
		e.background.Go(e.watchKeys)
	}
	if e.chores.clock.told = e.cfg.Host.Watch.Clock != nil; e.chores.clock.told {
		e.background.Go(func(ctx context.Context) { watchSet(ctx, e) })
	}
	if e.cfg.Host.Watch.Forks != nil {
		e.background.Go(func(ctx context.Context) { watchForks(ctx, e) })
	}
}

// membersChanged has everything follow from a new list of members: whose sessions end, who
// is bound to which address, who is a hub. Whoever has come to be a member is told anew
// what it was not told before.
func membersChanged(e *Edge, now time.Time) {
	admission := e.self.isolation.admission
	for _, p := range e.peers.byStatic {
		if p.known() && admission.refuses(p.identity.statement.ID) {
			e.peers.unbind(p)
		} else {
			e.peers.bind(p)
		}
		if p.sessions.current != nil && admission.exchanges(p) && !p.view.Standing().Rights.Has(bridge.Exchange) {
			e.sessions.initiate(p)
		}
		e.peers.mark(p)
	}
	if e.self.isolation.replace(e.keys.community) {
		isolate(e)
	}
	e.servers.finder.begin(now)
	e.servers.lists.changed(now, false)
}

// keysRolled has the keys of the authority count beside those of the community's source.
func keysRolled(e *Edge, now time.Time) {
	if err := e.keys.replace(now, e.data.lists.community(e.data.lists.base)); err != nil {
		e.cfg.Host.Log.Error("the authority's key cannot be used", "err", err)
	}
}

// watchKeys reads the community again whenever its source says so.
func (e *Edge) watchKeys(ctx context.Context) {
	for e.cfg.Keys.Changed(ctx) == nil {
		c, err := e.cfg.Keys.Load(ctx)
		e.background.Do(func(now time.Time) { _ = e.replaceKeys(now, c, err) })
	}
}

// replaceKeys uses a community that was read again, and tells the user.
func (e *Edge) replaceKeys(now time.Time, c *crypto.Community, err error) error {
	if err == nil {
		err = errHubs(c, e.self.isolation.typed)
	}
	if err == nil {
		err = e.keys.replace(now, e.data.lists.community(c))
	}
	e.chores.keyFault = ""
	if err == nil {
		e.data.lists.base = c
	}
	if err != nil {
		e.chores.keyFault = fmt.Sprintf("the keys could not be read anew, and the old ones stay: %v", err)
	} else if e.self.isolation.replace(c) {
		e.servers.finder.begin(now)
		isolate(e)
	}
	e.user.reports.report(now, control.Event{Kind: control.EventReloaded, Err: err})
	return err
}
