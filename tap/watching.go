package tap

import (
	"log/slog"
	"net/netip"
	"time"
)

// Watching says what Watch is to do.
type Watching struct {
	// Events are tokens: something of the network has changed. Without them, nil or
	// closed, the interface is looked at every second.
	Events <-chan struct{}
	// Most is the longest packet in bytes that the overlay carries.
	Most int
	// Fixed says that the user chose the MTU, so that it does not follow the bridge.
	Fixed bool
	// Behind are networks to which this host is to forward packets of the device's.
	Behind []netip.Prefix
	// Link says that the device is a line to one peer: it stays down when it is set down,
	// as whoever routes by it may want, and no bridge can have it as a port.
	Link bool
	// Phase is that of the moments at which everything is looked at, whatever the events
	// (deadline.Next): with the user's own, both are one wake-up.
	Phase time.Duration
	// Tell gets what is to be known of the device whenever that changes. It is called
	// from the goroutine of Watch.
	Tell func(Condition)
	// Log gets each sentence once when it begins to be true; nil discards them.
	Log *slog.Logger
}

// A Condition is how the device and its bridge are at a moment.
type Condition struct {
	MTU    int      // of the interface
	Bridge string   // that it is a port of; empty: of none
	Notes  []string // what is wrong, and what was mended in the last minutes
}
