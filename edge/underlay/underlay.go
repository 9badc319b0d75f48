package underlay

import (
	"log/slog"
	"time"
)

// Underlay is what an edge knows of the network below it. Its parts are made by
// New and are always the same ones.
type Underlay struct {
	Addresses *Addresses
	STUN      *STUN
	TURN      *TURN
	LAN       *LANDiscovery
	Ports     *PortSampler
	Sockets   *Sockets
	Names     *Names
	Lifetime  *Lifetime
	NAT64     *NAT64

	cfg *Config
}

// New returns an Underlay that has started nothing and sent nothing.
func New(cfg Config) *Underlay {
	if cfg.Resolver == nil {
		cfg.Resolver = SystemResolver
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refused == nil {
		cfg.Refused = func(Refusal) bool { return true }
	}
	u := &Underlay{cfg: &cfg, Names: &Names{cfg: &cfg}}
	u.NAT64 = newNAT64(u.cfg, u.Names)
	u.NAT64.changed = u.remeasure
	u.Names.made = made{func() <-chan struct{} { return u.NAT64.settled }, u.NAT64.inward}
	u.Addresses = newAddresses(u.cfg)
	u.Lifetime = newLifetime(u.cfg, u.Addresses)
	u.Addresses.looked = u.NAT64.look
	u.STUN = newSTUN(u.cfg, u.Addresses)
	u.TURN = newTURN(u.cfg, u.Addresses)
	u.LAN = newLANDiscovery(u.cfg, u.Addresses)
	u.Sockets = &Sockets{cfg: u.cfg}
	u.Ports = &PortSampler{cfg: u.cfg, addresses: u.Addresses}
	return u
}

// Start begins to look around. statement is the identity's signed statement, which
// is announced on the LAN. The addresses of the interfaces are known when it
// returns.
func (u *Underlay) Start(now time.Time, statement []byte) {
	u.Addresses.look(now)
	u.Lifetime.start(now)
	u.lookUpServers(now)
	u.watchNetwork()
	u.watchRouters()
	u.mapPort()
	u.LAN.start(now, statement)
}
