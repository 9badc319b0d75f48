package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A speaker implements one protocol.
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
	// another address now, nil when not, and errSilent when it does not answer.
	check(ctx context.Context) error
	// release deletes the mapping.
	release(ctx context.Context) error
}

// errLost says that the mapping has to be made anew.
var errLost = errors.New("the router has lost the mapping")

// want is the requested mapping.
type want struct {
	port     uint16         // of ours
	external netip.AddrPort // that we had, or zero
	lifetime time.Duration
}

// suggestion returns the external port to ask for: the previous one, so that
// peers that know it still reach us, or else our own port.
func (w want) suggestion() uint16 {
	if w.external.IsValid() {
		return w.external.Port()
	}
	return w.port
}

// seconds returns the lifetime as the protocols have it.
func (w want) seconds() uint32 { return uint32(w.lifetime / time.Second) }

// grant is the granted mapping. The router chooses the lifetime.
type grant struct {
	external netip.AddrPort
	lifetime time.Duration
}

// maxLifetime bounds the lifetime that we believe: with more, a mapping would
// not be checked for days.
const maxLifetime = 24 * time.Hour

// newGrant returns the router's grant, or a fault if it maps no port or lasts no
// time.
func newGrant(external netip.AddrPort, seconds uint32) (grant, error) {
	if external.Port() == 0 || seconds == 0 {
		return grant{}, garbledBy("a mapping to no port, or for no time")
	}
	return grant{external, min(time.Duration(seconds)*time.Second, maxLifetime)}, nil
}
