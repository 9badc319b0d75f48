package supernode

import (
	"hedgerow/internal/timer"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/lists"
)

// compose makes the owners from the bottom up: each knows those below it. boot is the
// number of this start, which is the first byte of every session's index.
func (s *Server) compose(random random, boot uint8, keys *resetKeys, rotated rotationFile) {
	cfg, log := &s.cfg, s.cfg.Log
	s.sockets = newSockets(cfg, s.refused)
	s.registry = newRegistry(cfg.Limits, cfg.Pool, newFront(log))
	s.registry.lists = newLists(s)
	sender := &controlSender{s.refused}
	allowance, lanes := newAllowance(s.registry.front), make(lanes)
	prober := &prober{sender: sender, lanes: lanes, registry: s.registry, store: s.store, random: random, log: log}
	hidden := newCover(cfg.Cover.ObfsKey)
	resetter := newResetter(keys, &s.sockets.keys, boot, hidden, s.refused)

	s.sessions = &sessions{
		boot: boot, byIdx: make(map[uint32]*hop), guests: newGuests(cfg.Limits.Guests, s.registry), lanes: lanes, registry: s.registry, store: s.store,
		prober: prober, resetter: resetter, refused: s.refused, log: log,
	}
	s.sessions.returning.lanes = lanes
	s.sessions.returning.end = timer.New(&s.timers, "end the lanes of returning edges", s.sessions.returning.over)
	s.sessions.sweeping = timer.New(&s.timers, "end dead sessions", s.sessions.sweep)
	s.strangers = strangers{
		cover:      hidden,
		handshakes: newHandshakes(cfg, s.sessions, random, &s.mu, s.refused),
		greeter:    newGreeter(cfg.Identity.Static, &cfg.Cover, random, s.refused, s.registry.front),
		binding:    newBinding(hidden, s.refused),
	}
	s.sockets.keys = s.strangers.handshakes.newKeys(cfg.Identity, &rotated)
	s.relayer = &relayer{months: newMonths(s), sessions: s.sessions, sender: sender, registry: s.registry, sockets: s.sockets, allowance: allowance, crowded: newCrowded(cfg.Limits.LineBytes), refused: s.refused, limits: cfg.Limits}
	s.turn = &turnServer{
		cfg: cfg.TURN, failed: &s.health.turn, secret: turnSecret(rotated.first(cfg.Identity)), tables: &s.mu, registry: s.registry, spent: s.relayer.spendByTURN, refused: s.refused, log: log, now: cfg.Now,
	}
	s.notices = &notices{
		pushes: newPushes(), resetter: resetter, registry: s.registry, sender: sender, allowance: allowance, refused: s.refused,
		out: newOutbox(), alarm: newAlarm(),
	}
	s.notices.next = timer.New(&s.timers, "send notices", s.notices.send)
	registrar := &registrar{
		policy: admission.New(cfg.Rules, cfg.Proofs), registry: s.registry, sessions: s.sessions, store: s.store, prober: prober, notices: s.notices, turn: s.turn, refused: s.refused,
		allowance: allowance, resetKeys: keys, random: random, log: log, proofs: newProofs(),
	}
	registrar.expiry.next = timer.New(&s.timers, "end leases", registrar.expire)
	s.reviews = &reviews{registrar: registrar, sender: sender, out: s.notices.out, alarm: s.notices.alarm}
	s.reviews.next = timer.New(&s.timers, "look who is still admitted", s.reviews.step)
	s.composeHealth(registrar.policy)
	s.controls = &controls{
		sessions: s.sessions, prober: prober, registrar: registrar, redirects: newRedirects(s, sender), rotation: newRotation(s, sender, rotated), members: &members{registry: s.registry, allowance: allowance, sender: sender},
		sender: sender, allowance: allowance, refused: s.refused, tables: &s.mu,
	}
	s.composeListings(registrar, sender)
	s.composeStore()
}

// composeListings makes the owners of lists of members. Those on the disk are read.
func (s *Server) composeListings(registrar *registrar, sender *controlSender) {
	table, l := s.registry.lists, newListings(s.registry.lists, s.registry)
	s.reviews.lists = &listReviews{
		table: table, listings: l, registrar: registrar, sessions: s.sessions.byIdx, sender: sender, out: s.notices.out, alarm: s.notices.alarm, log: s.cfg.Log,
		tables: &s.mu, gate: s.sockets.gate, now: s.cfg.Now,
	}
	s.reviews.lists.looking = timer.New(&s.timers, "look at lists of members", s.reviews.lists.look)
	s.reviews.lists.next = timer.New(&s.timers, "look who is in a list of members", s.reviews.lists.step)
	s.controls.listings, registrar.listed = l, l.judge
}

// newLists returns the lists of members that are in the state directory.
func newLists(s *Server) *lists.Table {
	return lists.New(lists.Config{Dir: s.cfg.StateDir, Disk: s.store.cfg.disk, Log: s.cfg.Log, Sources: s.registry.front.sourcesIn})
}

// newRedirects returns what tells edges of a move. The one of before is read.
func newRedirects(s *Server, sender *controlSender) *redirects {
	d := &redirects{rounds: newRounds(s.notices, sender, packetsAPace), disk: s.store.cfg.disk}
	d.say = d.told
	d.next = timer.New(&s.timers, "tell edges of a move", d.step)
	d.load(s.cfg.StateDir, s.cfg.Log)
	return d
}

// newRotation returns what tells edges of another key of ours.
func newRotation(s *Server, sender *controlSender, rotated rotationFile) *rotation {
	d := &rotation{
		rounds: newRounds(s.notices, sender, rotationsAPace), keys: &s.sockets.keys, file: rotated,
		files: stateFiles{s.cfg.StateDir, s.store.cfg.disk, s.cfg.Now, s.cfg.Log},
	}
	d.say = d.told
	d.next = timer.New(&s.timers, "tell edges of another key", d.step)
	return d
}

// newRounds returns what tells edges of something that changes seldom.
func newRounds(n *notices, sender *controlSender, most int) rounds {
	return rounds{registry: n.registry, sender: sender, out: n.out, alarm: n.alarm, most: most}
}

// composeStore has what waits for the disk sent when the disk has it.
func (s *Server) composeStore() {
	s.controls.acknowledger = &acknowledger{
		store: s.store, sessions: s.sessions, sockets: s.sockets, answer: s.controls.answer, tables: &s.mu, now: s.cfg.Now,
		of: make(map[*hop]int), out: newOutbox(),
	}
	s.store.all, s.store.written = (&records{&s.mu, s.registry}).each, s.controls.acknowledger.send
	s.store.cfg.remade = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.registry.lists.Remade()
	}
}

// composeHealth makes what tells of the others. The labels are of a policy.
func (s *Server) composeHealth(policy *admission.Policy) {
	h := &s.health
	h.started, h.refused, h.registry, h.store = s.cfg.Now(), s.refused, s.registry, s.store
	h.proofs = s.cfg.Proofs
	h.listing = &listing{walker: walker{tables: &s.mu}, registry: s.registry, policy: policy, sockets: s.sockets, months: s.relayer.months}
	h.looking = timer.New(&s.timers, "look at the counters", h.watch)
	s.registry.events = newEventLog(s.refused, policy)
}
