package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/handshake"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// compose makes an edge whose clock begins at a time. The owners are made from the
// bottom up: each knows those below it.
func compose(cfg Config, now time.Time) (*Edge, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	st, err := loadState(cfg.StateDir, now, cfg.Host.Log)
	if err != nil {
		return nil, err
	}
	st.belong(cfg.Identity.ID)
	store, err := loadList(cfg.Community, st, now, cfg.Host.Log)
	if err != nil {
		return nil, err
	}
	lists := &listKeeper{admission: store.newAdmission(cfg.Community, [32]byte(cfg.Identity.ID)), store: store, self: cfg.Name, base: cfg.Community, log: cfg.Host.Log}
	cfg.Community = lists.community(cfg.Community)
	e := &Edge{cfg: cfg, state: st, background: &background{requests: make(chan func(time.Time)), done: make(chan struct{})}}
	st.loop, store.loop = e.background, e.background
	covers := new(dataplane.Covers)
	plane := dataplane.New(dataplane.Config{
		Covers: covers,
		Self:   protocol.MAC(cfg.Ethernet.MAC), Community: cfg.Community, ClockOffset: cfg.Host.ClockOffset, NoRelay: cfg.Reach.NoRelay, InheritTOS: cfg.Reach.InheritTOS, Padding: cfg.Reach.Padding, Started: now, Sockets: cfg.Host.Own.Sockets, Filter: cfg.Ethernet.Filter,
		Bridge: cfg.Ethernet.Bridge, Storm: cfg.Ethernet.Storm, Stations: cfg.Ethernet.Stations, Gate: newGate(&cfg), Transparent: cfg.Ethernet.Transparent,
	})
	e.data = data{lists: lists, plane: plane, cover: covers, draft: dataplane.NewDraft(), send: plane.NewSender(cfg.Queues[0].Conn)}
	random := newRandom(cfg.Host.Rand)
	e.random = random
	e.composeUser()
	e.composeSelf(random)
	e.composePaths(random)
	e.composeSessions(random)
	composeSegments(e)
	e.composeServers(random)
	composeServerLists(e, random)
	e.peers.prepare = func(p *peer) {
		e.sessions.prepare(p)
		e.paths.routing.prepare(p)
		e.servers.directory.prepare(p)
	}
	e.data.stations = &stations{
		peers: e.peers, pairs: pairSender{e.data.send}, plane: e.data.plane, device: e.cfg.Queues[0].Frames, needed: e.needed, log: e.cfg.Host.Log,
	}
	e.data.stations.open()
	e.data.listeners = &listeners{
		groups: e.data.plane.Members(), plane: e.data.plane, device: e.cfg.Queues[0].Frames, filter: e.cfg.Ethernet.Filter, supernodes: e.servers.list,
	}
	e.data.listeners.open()
	composeChores(e)
	return e, nil
}

// composeUser makes what the user is told by, the book of peers that this needs,
// and the list of supernodes, which every owner reads.
func (e *Edge) composeUser() {
	for i, cfg := range e.cfg.Supernodes {
		s := newSupernode(i, cfg)
		if key, serial := e.state.knownKey(cfg.Name, cfg.Key); key != nil {
			s.pin(*key)
			s.init.rotation.serial = serial
		}
		e.servers.list = append(e.servers.list, s)
	}
	e.servers.list = e.servers.list.addSeconds()
	refusals := newRefusals(e.cfg.Host.Log)
	e.keys = &keyring{
		community: e.cfg.Community, schedule: crypto.NewSchedule(e.cfg.Community, e.cfg.Host.Build),
		salts: saltSource{static: e.cfg.Identity.Static, rand: e.cfg.Host.Rand}, plane: e.data.plane, draft: e.data.draft, log: e.cfg.Host.Log,
	}
	e.keys.open()
	e.peers = &peers{
		self: protocol.MAC(e.cfg.Ethernet.MAC), pins: pins{state: e.state, cid: e.cfg.Community.ID(), admission: e.data.lists.admission}, keys: e.keys,
		supernodes: e.servers.list, plane: e.data.plane, draft: e.data.draft, refusals: refusals,
	}
	e.peers.open()
	d := &describer{peers: e.peers, supernodes: e.servers.list, plane: e.data.plane}
	e.user = user{
		refusals: refusals, describer: d,
		reports: &reporter{tell: e.cfg.Host.Report, plane: e.data.plane, keys: e.keys, describer: d},
	}
	e.user.limits = &limits{refusals: refusals, reports: e.user.reports}
	e.keys.report = e.user.reports.report
	e.cfg.Transports.Swallowed = func(now time.Time, server netip.AddrPort, name string) bool {
		return e.user.recursion.swallowed(now, server, name)
	}
	e.user.recursion = &recursion{own: e.cfg.Host.Own, nat64: e.cfg.Transports.NAT64, device: e.cfg.Host.Interface, reports: e.user.reports}
}

// composeSelf makes what this edge is in its community, and what it knows of the
// network below it.
func (e *Edge) composeSelf(random *random) {
	cfg := &e.cfg
	features, keeping := features(cfg)
	e.self = &self{
		cid: cfg.Community.ID(), mac: protocol.MAC(cfg.Ethernet.MAC), identity: cfg.Identity, name: cfg.Name, features: features, keeping: keeping,
		twin: twin{community: cfg.Community.Name, reports: e.user.reports}, state: e.state, isolation: newIsolation([32]byte(cfg.Identity.ID), cfg.Ethernet.Hubs, cfg.Community, e.data.lists.admission), listed: saidOfList{append: e.data.lists.append},
	}
	e.user.describer.isolation = e.self.isolation
	addresses := &deviceAddresses{
		cfg: cfg.Address, supernodes: e.servers.list, device: cfg.Device, state: e.state, reports: e.user.reports, log: cfg.Host.Log,
	}
	addresses.rules = leaseRules{want: cfg.Address, overlap: cfg.Host.Networks, outside: func() []netip.Addr { return addresses.outside(cfg.Host.Addresses) }}
	addresses.open()
	e.servers.addresses = addresses
	e.chores.network = timers{new(timer.Queue)}
	network := cfg.Network
	network.Packets = &lanPackets{edge: e}
	e.underlay = underlay.New(underlay.Config{
		Loop: e.background, Timers: e.chores.network.q, Sender: dataSocket{cfg.Queues[0].Conn, e.user.recursion, e.data.plane, e.data.cover}, Observer: (*networkObserver)(e), Receivers: (*networkObserver)(e),
		Own: underlay.OwnAddresses{
			Interfaces: cfg.Host.Addresses, Routes: cfg.Host.Own.Routes, Port: cfg.Queues[0].Conn.LocalAddr().Port(), Static: cfg.Reach.Advertise,
			Payload: dataplane.WantedPayload(cfg.Ethernet.MTU), Inside: e.user.recursion.inside,
		},
		STUN: cfg.Reach.STUN, TURN: cfg.Reach.TURN, Network: network, Transports: covered(cfg.Transports, cfg.Supernodes, e.data.cover), Resolver: cfg.Host.Resolver, Random: cfg.Host.Rand, Jitter: random.jitter, Log: cfg.Host.Log,
		Refused: func(why underlay.Refusal) bool { return e.user.refusals.counted(refusal(why.String())) },
	})
	phase := random.jitter(time.Minute)
	if e.underlay.Addresses.Policy().Phase = phase; cfg.Host.Watch.Phase != nil {
		cfg.Host.Watch.Phase(phase)
	}
	e.servers.addresses.underlay = e.underlay
	e.user.describer.turn = e.underlay.TURN
	e.self.prefixes = func() []netip.Prefix { return e.servers.addresses.prefixes }
	e.self.candidates = e.underlay.Addresses.Candidates
}

// features returns the protocol.Feature bits that this edge announces, and those of peers
// with which a session is kept while nothing passes.
func features(cfg *Config) (announced, keeping uint32) {
	announced = protocol.FeaturePartial | protocol.FeatureHosts
	if cfg.Ethernet.Bridge {
		announced |= protocol.FeatureBridge
		keeping |= protocol.FeatureBridge
	}
	if len(cfg.Address.Subnets.Announce) > 0 {
		announced |= protocol.FeatureRoutes
	}
	if !cfg.Address.Subnets.Accept.None() {
		keeping |= protocol.FeatureRoutes
	}
	if !cfg.Ethernet.Transparent {
		announced |= protocol.FeatureMembers
	}
	if !crypto.HardwareAES() {
		announced |= protocol.FeatureChaCha
	}
	if !slices.ContainsFunc(cfg.Queues, func(q dataplane.Queue) bool { return !transport.TellsTOS(q.Conn) }) {
		announced |= protocol.FeatureECN
	}
	return announced, keeping
}

// composePaths makes the owners of how peers are reached.
func (e *Edge) composePaths(random *random) {
	pairs, hops := pairSender{e.data.send}, hopSender{e.data.send}
	n := &introducers{
		peers: e.peers, pairs: pairs, supernodes: e.servers.list, sides: e.cfg.Transports.Sides, plane: e.data.plane,
		refusals: e.user.refusals, self: e.cfg.Identity.Static, isolation: e.self.isolation, byAddr: make(map[netip.AddrPort]*introduced),
		forwards: bucket.NewLimiter(forwardsRate, forwardsBurst), forwarded: bucket.NewLimiter(forwardedRate, forwardedBurst),
	}
	u := &punching{
		peers: e.peers, pairs: pairs, hops: hops, supernodes: e.servers.list, introducers: n, underlay: e.underlay,
		refusals: e.user.refusals, answers: bucket.NewLimiter(callRate, callBurst), log: e.cfg.Host.Log, epoch: e.data.plane.Started(),
	}
	e.paths = paths{introducers: n, punching: u, routing: &routing{
		peers: e.peers, pairs: pairs, supernodes: e.servers.list, underlay: e.underlay, keys: e.keys, introducers: n, punching: u,
		refusals: e.user.refusals, plane: e.data.plane, needsSource: e.cfg.Host.Own.NeedsSource, log: e.cfg.Host.Log, random: random,
	}}
	e.user.echoes = &echoes{pairs: pairs, plane: e.data.plane, random: random, describer: e.user.describer}
	e.user.echoes.open()
}

// composeSessions makes the owner of the pair sessions.
func (e *Edge) composeSessions(random *random) {
	party := &handshake.Party{
		Identity: e.cfg.Identity, CID: e.self.cid, Epochs: e.keys, Index: func() uint32 { return freeIndex(e, random) },
		Features: e.self.features | e.self.isolation.features(), MAC: e.self.mac, MTU: uint16(e.cfg.Ethernet.MTU), Wall: e.data.plane.Wall, Jitter: random.jitter, Rand: e.cfg.Host.Rand,
	}
	e.sessions = &sessions{
		peers: e.peers, pairs: pairSender{e.data.send}, routing: e.paths.routing, inits: e.paths.introducers, keys: e.keys, self: e.self,
		party: party, draft: e.data.draft, plane: e.data.plane, unvouched: unvouched{device: e.cfg.Queues[0].Frames}, refusals: e.user.refusals,
	}
	e.sessions.open()
	l := e.data.lists
	l.peers, l.sessions, l.pairs, l.refusals = e.peers, e.sessions, e.sessions.pairs, e.user.refusals
	l.changed = func(now time.Time) { membersChanged(e, now) }
	l.rolled = func(now time.Time) { keysRolled(e, now) }
	l.open()
}

// newGate returns the gate of a bridge; nil: the edge is none.
func newGate(cfg *Config) *bridge.Gate {
	if !cfg.Ethernet.Bridge {
		return nil
	}
	return bridge.NewGate([32]byte(cfg.Identity.ID), cfg.Community.Tag(), cfg.Ethernet.BPDUs)
}

// composeSegments makes the owners of what bridges are on their segments.
func composeSegments(e *Edge) {
	cfg, pairs := &e.cfg, pairSender{e.data.send}
	if e.data.plane.Gate() != nil {
		e.paths.segment = &segment{
			machine: bridge.NewForwarder(protocol.ProbeRank{Priority: cfg.Ethernet.Priority, ID: [32]byte(cfg.Identity.ID)}),
			boot:    func() uint64 { return e.self.seq },
			prober:  bridge.Prober{Identity: cfg.Identity, CID: e.self.cid, Tag: cfg.Community.Tag(), Device: e.self.mac},
			keys:    &probeKeys{keys: e.keys}, device: segmentDevice{frames: cfg.Queues[0].Frames, name: cfg.Host.Interface, condition: cfg.Host.Own.Device}, peers: e.peers, sessions: e.sessions,
			supernodes: e.servers.list, pairs: pairs, plane: e.data.plane, refusals: e.user.refusals, reports: e.user.reports,
		}
	}
	if e.paths.segment != nil {
		e.self.segment = e.paths.segment.appendTo
	}
	e.paths.successions = &successions{
		peers: e.peers, pairs: pairs, own: e.paths.segment.own, plane: e.data.plane, refusals: e.user.refusals, isolation: e.self.isolation,
	}
	e.paths.successions.open()
}

// newRotations makes the owner of which key of a supernode takes the place of which.
func newRotations(e *Edge, hop *handshake.Party) *rotations {
	return &rotations{
		hops: hopSender{e.data.send}, party: hop, state: e.state, reports: e.user.reports, refusals: e.user.refusals,
		begin: func(now time.Time, s *supernode) { e.servers.connector.beginAt(now, s, s.hop.at) },
	}
}

// composeServers makes the owners of what concerns supernodes.
func (e *Edge) composeServers(random *random) {
	hop := *e.sessions.party
	hop.Hop, hop.Epochs, hop.Features = true, nil, e.self.features
	hops := hopSender{e.data.send}
	s := &e.servers
	s.connector = &connector{
		supernodes: s.list, out: e.data.send, plane: e.data.plane, party: &hop, underlay: e.underlay, transports: &e.cfg.Transports,
		streamOnly: e.cfg.Reach.StreamOnly, loop: e.background, reports: e.user.reports,
		locator:  &locator{supernodes: s.list, underlay: e.underlay, covers: e.data.cover, state: e.state, reports: e.user.reports, rotations: newRotations(e, &hop)},
		refusals: e.user.refusals, random: random, draft: e.data.draft,
	}
	s.connector.locator.pointers = &pointers{
		supernodes: s.list, hops: hops, underlay: e.underlay, state: e.state, reports: e.user.reports, refusals: e.user.refusals,
		changed: func(now time.Time, n *supernode) { relocate(s.connector, now, n) },
	}
	s.connector.open()
	s.further = &furtherSockets{supernodes: s.list, connector: s.connector, sockets: e.underlay.Sockets, random: random}
	s.further.open()
	s.directory = &directory{
		supernodes: s.list, hops: hops, pairs: pairSender{e.data.send}, peers: e.peers, sessions: e.sessions, self: e.self, refusals: e.user.refusals,
		queries: bucket.NewLimiter(queryRate, queryBurst), wanted: make(wantedMACs),
	}
	e.data.guard = &guard{
		policy:    e.cfg.Ethernet.Accept.Defaults(e.cfg.Ethernet.Bridge, e.cfg.Address.Mode == AddressNone),
		community: e.cfg.Community, isolation: e.self.isolation, addresses: s.addresses, draft: e.data.draft, directory: s.directory, holders: make(map[netip.Addr]holder),
		violations: violations{device: e.cfg.Host.Interface, reports: e.user.reports},
	}
	s.directory.guard = e.data.guard
	isolate(e)
	e.paths.subnets = &subnets{
		cfg: e.cfg.Address.Subnets, peers: e.peers, sessions: e.sessions, guard: e.data.guard, pairs: pairSender{e.data.send},
		here: subnetsHere{
			serial: func() uint64 { return e.self.seq }, own: func() []netip.Prefix { return s.addresses.prefixes },
			servers: func() []netip.Addr { return s.addresses.outside(e.cfg.Host.Addresses) }, moved: e.user.recursion.look,
		},
		describe: e.user.describer, refusals: e.user.refusals, log: e.cfg.Host.Log,
	}
	e.paths.subnets.open()
	s.registrar = &registrar{
		supernodes: s.list, hops: hops, connector: s.connector, directory: s.directory, peers: e.peers, keys: e.keys, self: e.self,
		addresses: s.addresses, underlay: e.underlay, reports: e.user.reports, refusals: e.user.refusals, random: random, draft: e.data.draft,
	}
	s.registrar.open()
	s.duplicates = &duplicates{
		peers: e.peers, addresses: s.addresses, self: e.self, sessions: e.sessions, directory: s.directory, describer: e.user.describer, reports: e.user.reports,
	}
	s.duplicates.open()
	s.addresses.trouble.contested = s.duplicates.next.NotAfter
	s.connector.released = s.registrar.released
}

// composeServerLists makes the owner of lists of members that supernodes carry.
func composeServerLists(e *Edge, random *random) {
	l := &serverLists{
		lists: e.data.lists, supernodes: e.servers.list, renew: e.servers.registrar.renew, hops: hopSender{e.data.send}, random: random,
		refusals: e.user.refusals, log: e.cfg.Host.Log,
	}
	l.open()
	e.servers.lists, e.self.listed.claim, e.self.listed.begin = l, l.claim, l.begin
}

// isolate has everything follow from the hubs that there are now.
func isolate(e *Edge) {
	on := e.self.isolation.on()
	e.sessions.party.Features = e.self.features | e.self.isolation.features()
	e.data.draft.SetIsolated(on)
	for _, p := range e.peers.byStatic {
		e.peers.mark(p)
		if p.sessions.current != nil {
			e.sessions.initiate(p) // a handshake says whether there are hubs
		}
	}
}

// composeChores makes the timers of the loop's own, and the list of owners.
func composeChores(e *Edge) {
	q := new(timer.Queue)
	e.chores.timers = q
	e.chores.clock.next = timer.New(q, "watch the clock", e.watchClock)
	e.chores.storing = timer.New(q, "keep the state", e.keepState)
	e.chores.sweeping = timer.New(q, "sweep", func(now time.Time) {
		e.chores.sweeping.Set(e.underlay.Addresses.Policy().Next(now, dataplane.SweepEvery))
		e.data.plane.Sweep(now)
	})
	kept := &keptSessions{peers: e.peers, sessions: e.sessions, policy: e.underlay.Addresses.Policy()}
	kept.open()
	l := &links{
		peers: e.peers, sessions: e.sessions, self: e.self, plane: e.data.plane, server: dataplane.NewLinkServer(e.data.plane, e.cfg.Queues[0].Conn), background: e.background,
		refusals: e.user.refusals, log: e.cfg.Host.Log, describer: e.user.describer,
	}
	l.open(e.cfg.Links)
	e.paths.links, e.user.describer.linkOf = l, l.linkOf
	e.servers.finder = &finder{
		seekers: []seeker{hubSeeker{e.self.isolation, e.peers, e.self.cid}, l, e.data.lists}, directory: e.servers.directory,
	}
	e.servers.finder.open()
	e.owners = []owner{
		e.keys, e.servers.connector, e.servers.further, e.servers.registrar, e.servers.addresses, e.servers.duplicates, e.servers.directory, e.sessions, e.paths.routing, e.peers,
		e.data.stations, e.data.listeners, e.user.echoes, e.paths.successions, e.chores.network, &e.chores, kept, e.servers.finder, e.paths.subnets, e.data.lists, e.servers.lists,
	}
	if e.paths.segment != nil {
		e.owners = append([]owner{e.paths.segment}, e.owners...) // probes go before everything
	}
}

// freeIndex returns a session index that none of our sessions has: a random one, or
// the next that is free. The tables are bounded, and with them the steps.
func freeIndex(e *Edge, random *random) uint32 {
	i := uint32(random.generator.Uint64())
	for e.data.draft.Session(i) != nil || e.data.draft.Hop(i) != nil || e.sessions.pending[i] != nil {
		i++
	}
	return i
}
