package tap

import (
	"fmt"
	"log/slog"
	"strings"
)

// Bounds and default of an interface's MTU in bytes, Ethernet header not
// counted. MinMTU is IPv4's (RFC 791) and Linux's for Ethernet; below 1280 (RFC
// 8200) the kernel disables IPv6 on the interface. MaxMTU is 64 KiB less the 14
// bytes of the Ethernet header.
const (
	MinMTU     = 68
	MaxMTU     = 65521
	DefaultMTU = 1370
)

// MaxQueues is how many queues a device of Linux can have (MAX_TAP_QUEUES).
const MaxQueues = 256

// MaxName is the longest name of an interface in bytes (IFNAMSIZ less the
// closing zero).
const MaxName = 15

// Config says which device to open and how to set it up.
type Config struct {
	// Name is the interface's name, 1 to 15 bytes, for example "edge0". On
	// Windows it is the adapter's name in the Control Panel and may be longer.
	Name string
	// MAC is the hardware address to set; zero leaves the present one.
	MAC [6]byte
	// MTU in bytes, 68 to 65521; zero means 1370.
	MTU int
	// Port makes the interface a port of a bridge. Its MAC is then another one than
	// MAC, one that the bridge does not take over; Device.MAC returns MAC all the
	// same, as the one of the edge. MTU has to be of Port.MTU.
	Port Port
	// Backend is which backend to use; zero is BackendAuto.
	Backend Backend
	// Queues is how many queues to open, 1 to 256; zero means 1. There may be
	// fewer: see Device.Queues.
	Queues int
	// NoCarrier leaves the interface without a carrier, until SetCarrier, where the kernel
	// can do that.
	NoCarrier bool
	// Without are features not to use although the kernel has them, as if it
	// refused; features that build on them are not used either. It is for tests
	// and comparisons.
	Without Features
	// Log gets one warning about each thing that the kernel refuses and that
	// makes the device slower; nil discards the warnings.
	Log *slog.Logger
	// Routers lets the host take router advertisements (RFC 4861) that come by the interface:
	// addresses, and a default route that is used where there is no other one. Without it
	// the host takes none. A port never does. Linux alone tells one from the other.
	Routers bool
	// Alias is a text by which others on this host recognise the interface (Linux), unless
	// it has one already; empty sets none.
	Alias string
	// OneFrame makes ReadBatch read one frame a call, to measure what batches
	// gain.
	OneFrame bool
}

// withDefaults returns the configuration with the documented defaults.
func (c Config) withDefaults() Config {
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate refuses names that the system would refuse late or change silently:
// it cuts a long name, and replaces "%d" by a number.
func (c Config) validate() error {
	if fault := nameFault(c.Name); fault != "" {
		return &OpenError{Sentence: fmt.Sprintf("%q cannot be the name of an interface: %s. Choose another -d name.", c.Name, fault)}
	}
	if c.MTU < MinMTU || c.MTU > MaxMTU {
		return &OpenError{Sentence: fmt.Sprintf("an MTU of %d bytes is impossible: it must be between %d and %d.", c.MTU, MinMTU, MaxMTU)}
	}
	if c.MAC[0]&1 != 0 {
		return &OpenError{Sentence: fmt.Sprintf("%s cannot be the MAC of an interface: it is a group address (the first byte is odd).", macString(c.MAC))}
	}
	if c.Queues < 1 || c.Queues > MaxQueues {
		return &OpenError{Sentence: fmt.Sprintf("%d queues are impossible: there must be between 1 and %d.", c.Queues, MaxQueues)}
	}
	if c.Port != (Port{}) {
		if err := c.Port.validate(); err != nil {
			return err
		}
	}
	if int(c.Backend) >= len(backendNames) {
		return &OpenError{Sentence: fmt.Sprintf("%s does not exist: use %s.", c.Backend, strings.Join(backendNames[:], ", "))}
	}
	return nil
}

// nameFault returns the fault of an interface's name, or "". The rules are those
// of Linux (dev_valid_name), and "%" besides.
func nameFault(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxName:
		return fmt.Sprintf("it has %d bytes and %d are allowed", len(name), maxName)
	case name == "." || name == "..":
		return "it is the name of a directory"
	}
	for _, r := range name {
		switch {
		case r < ' ' || r == 0x7f:
			return "it contains a control character"
		case strings.ContainsRune(forbiddenInName, r):
			return fmt.Sprintf("it contains %q", r)
		}
	}
	return ""
}

// macString writes an address as 02:5c:1e:9a:40:11.
func macString(mac [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
}
