package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A speaker knows one protocol.
type speaker interface {
	protocol() Protocol
	// find returns the router's service if it speaks the protocol. It leaves
	// nothing at the router. The error is a fault, or one of this host.
	find(ctx context.Context, r router) (service, error)
}

// A service is a router that speaks a protocol, and the one port that is mapped
// there.
type service interface {
	// request asks for the mapping, or renews it.
	request(ctx context.Context, w want) (grant, error)
	// check returns errLost when the router has forgotten the mapping or has
	// another address now, nil when not, and errSilent when it does not say.
	check(ctx context.Context) error
	// release deletes the mapping.
	release(ctx context.Context) error
}

// errLost says that a mapping must be made anew.
var errLost = errors.New("the router has lost the mapping")

// want is what a service is asked for.
type want struct {
	port     uint16         // of ours
	external netip.AddrPort // that we had, or zero
	lifetime time.Duration
}

// suggestion returns the external port to ask for: the one that we had, so that
// those who know it still reach us, and else that of ours.
func (w want) suggestion() uint16 {
	if w.external.IsValid() {
		return w.external.Port()
	}
	return w.port
}

// seconds returns the lifetime as the protocols have it.
func (w want) seconds() uint32 { return uint32(w.lifetime / time.Second) }

// grant is what a service gives. The lifetime is the router's choice.
type grant struct {
	external netip.AddrPort
	lifetime time.Duration
}

// maxLifetime bounds what a router may give: with more, its mapping would not be
// looked after for days.
const maxLifetime = 24 * time.Hour

// newGrant returns what a router gave, or a fault if that is nothing.
func newGrant(external netip.AddrPort, seconds uint32) (grant, error) {
	if external.Port() == 0 || seconds == 0 {
		return grant{}, garbledBy("a mapping to no port, or for no time")
	}
	return grant{external, min(time.Duration(seconds)*time.Second, maxLifetime)}, nil
}
