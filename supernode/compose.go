package supernode

import (
	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
)

// compose makes the owners from the bottom up: each knows those below it. boot is the
// number of this start, of which the indices of sessions have the last byte.
func (s *Server) compose(boot uint8) {
	cfg, log := &s.cfg, s.cfg.Log
	s.sockets = newSockets(cfg, crypto.NewMask(crypto.SupernodeMaskKey(s.identity.Static, nil)), s.refused)
	s.sender = &controlSender{s.refused}
	s.registry = newRegistry(cfg.Limits, cfg.Pool)
	s.newcomers = bucket.NewSources(sourceTable)
	s.prober = &prober{sender: s.sender, store: s.store, random: s.random, log: log}
	resetter := &resetter{seed: s.identity.Seed, refused: s.refused}
	s.sessions = &sessions{
		boot: boot, byIdx: make(map[uint32]*hop), maxGuests: cfg.Limits.Guests, registry: s.registry, store: s.store,
		prober: s.prober, resetter: resetter, refused: s.refused, log: log,
	}
	s.sessions.sweeping = timer.New(&s.timers, "end dead sessions", s.sessions.sweep)
	s.expiring = timer.New(&s.timers, "end leases", s.expire)
	s.strangers = strangers{
		handshakes: newHandshakes(s.identity, cfg.Limits.InitRate, s.sessions, s.random, s.refused),
		greeter:    newGreeter(s.identity.Static, cfg.HelloOff, s.random, s.refused),
		binding:    newBinding(s.refused),
	}
	s.relayer = &relayer{sessions: s.sessions, registry: s.registry, sockets: s.sockets, refused: s.refused, limits: cfg.Limits}
	s.turn = &turnServer{
		cfg: cfg.TURN, secret: turnSecret(s.identity.Seed), tables: &s.mu, registry: s.registry, refused: s.refused, log: log, now: cfg.Now,
	}
	s.notices = &notices{
		resetter: resetter, registry: s.registry, sender: s.sender, refused: s.refused, out: newOutbox(s.sockets.mask), alarm: newAlarm(),
	}
	s.notices.next = timer.New(&s.timers, "send notices", s.notices.send)
}
