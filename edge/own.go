package edge

import (
	"net"
	"net/netip"

	"hedgerow/edge/bridge"
	"hedgerow/edge/underlay"
	"hedgerow/internal/stack"
	"hedgerow/tap"
)

// Own tells an edge what is its own, so that the overlay never carries itself. The zero
// value tells nothing.
type Own struct {
	Stack   Stack           // what of this host leads into the overlay
	Sockets *bridge.Sockets // those of the underlay, which whoever opens them adds
	// NeedsSource reports whether packets to an address have to be made to leave from an
	// address of this host, which the other end knows us by: the system would choose
	// another one, and the route from that one leads out of its own interface. It may ask
	// the kernel. Default: never.
	NeedsSource func(to, local netip.Addr) bool
	// Routes says to which internet this host has a route past the overlay. It may ask the
	// kernel. Default: there is one of each family that the host has an address of.
	Routes func() underlay.Routes
	// Device says what became of the device since the start; default: nothing. It must
	// not block.
	Device func() tap.Condition
}

// Stack tells what of this host leads into the overlay; *stack.Stack is one. Its methods
// may be called from any goroutine, and take no longer than a question to the kernel.
type Stack interface {
	// Egress returns where packets to an address go.
	Egress(to netip.Addr) stack.Egress
	// Stations returns the hardware addresses of this host.
	Stations() []net.HardwareAddr
	// Forget has everything asked of the system again.
	Forget()
}
