package edge

import (
	"net/netip"
	"strings"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// TestValidate finds each fault by itself.
func TestValidate(t *testing.T) {
	good := testConfig()
	if err := good.validate(); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	many := make([]Supernode, maxSupernodes+1)
	for i := range many {
		many[i] = Supernode{Name: "x", Host: "x", Port: 1}
	}
	for want, change := range map[string]func(*Config){
		"no community":              func(c *Config) { c.Community = nil },
		"no identity":               func(c *Config) { c.Identity = nil },
		"0 supernodes":              func(c *Config) { c.Supernodes = nil },
		"9 supernodes":              func(c *Config) { c.Supernodes = many },
		`supernode "s" has no host`: func(c *Config) { c.Supernodes = []Supernode{{Name: "s", Port: 1}} },
		`"p" has no host or port`:   func(c *Config) { c.Supernodes = []Supernode{{Name: "p", Host: "h"}} },
		`token for supernode "t"`: func(c *Config) {
			c.Supernodes = []Supernode{{Name: "t", Host: "h", Port: 1, Token: make([]byte, protocol.MaxToken+1)}}
		},
		"needs its key: type -l u#KEY": func(c *Config) {
			c.Supernodes = []Supernode{{Name: "u", Host: "h", Port: 1, User: "ana", Password: "p"}}
		},
		"the password 129": func(c *Config) {
			c.Supernodes = []Supernode{{Name: "u", Host: "h", Port: 1, Key: &[32]byte{9}, User: "ana", Password: strings.Repeat("p", 129)}}
		},
		"MTU 1279 is outside":     func(c *Config) { c.Ethernet.MTU = MinMTU - 1 },
		"MTU 9001 is outside":     func(c *Config) { c.Ethernet.MTU = MaxMTU + 1 },
		"MTU -1 is outside":       func(c *Config) { c.Ethernet.MTU = -1 },
		"mode needs an address":   func(c *Config) { c.Address.Mode = AddressStatic },
		"gets no lease":           func(c *Config) { c.Address.Bare = true },
		"address mode needs":      func(c *Config) { c.Address.Mode = AddressPrefer },
		"is a group address":      func(c *Config) { c.Ethernet.MAC = [6]byte{1} },
		"ffffffffffff is a group": func(c *Config) { c.Ethernet.MAC = [6]byte(protocol.Broadcast) },
		"is longer than 63 bytes": func(c *Config) { c.Name = strings.Repeat("n", 64) },
		"no device or no queue":   func(c *Config) { c.Device = nil },
		"device or no queue":      func(c *Config) { c.Queues = nil },
		"queue 0 is not complete": func(c *Config) { c.Queues = []dataplane.Queue{{}} },
	} {
		c := testConfig()
		change(&c)
		err := c.validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want one fault %q, got %v", want, err)
		}
		if e, err2 := New(c); e != nil || err2 == nil || err2.Error() != err.Error() {
			t.Errorf("New: %v", err2)
		}
	}
}

// TestValidateLimits accepts what lies just inside.
func TestValidateLimits(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Ethernet.MTU = MinMTU },
		func(c *Config) { c.Ethernet.MTU = MaxMTU },
		func(c *Config) { c.Name = strings.Repeat("n", 63) },
		func(c *Config) {
			c.Address = Address{Mode: AddressStatic, Prefix: netip.MustParsePrefix("10.1.2.3/24")}
		},
		func(c *Config) { c.Address.Mode = AddressNone },
		func(c *Config) { c.Ethernet.MAC = [6]byte{2, 1} },
		func(c *Config) {
			for range maxSupernodes - 1 {
				c.Supernodes = append(c.Supernodes, c.Supernodes[0])
			}
		},
	} {
		c := testConfig()
		change(&c)
		if err := c.validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestValidateAll reports all faults at once.
func TestValidateAll(t *testing.T) {
	c := Config{
		Supernodes: []Supernode{{Name: "one"}, {Name: "two"}}, Address: Address{Mode: AddressStatic},
		Ethernet: Ethernet{MAC: [6]byte{0xff}, MTU: 100}, Name: strings.Repeat("n", 100),
	}
	err := c.validate()
	if err == nil {
		t.Fatal("no fault")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 9 {
		t.Errorf("%d faults, want 9:\n%v", len(lines), err)
	}
	for _, part := range []string{"community", "identity", `"one"`, `"two"`, "MTU", "mode", "group", "name", "device"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about %s in:\n%v", part, err)
		}
	}
}

// TestDefaults fills in what is left out, and leaves the caller's copy alone.
func TestDefaults(t *testing.T) {
	given := testConfig()
	given.Name, given.Host = "", Host{}
	c := given.withDefaults()
	if c.Name != given.Identity.ShortID() || c.Ethernet.MTU != DefaultMTU || c.Ethernet.MAC != given.Identity.MAC(given.Community.ID()) {
		t.Errorf("%q %d %x", c.Name, c.Ethernet.MTU, c.Ethernet.MAC)
	}
	h := c.Host
	if h.Resolver == nil || h.Log == nil || h.Report == nil || h.Rand == nil || h.Addresses == nil {
		t.Errorf("%+v", h)
	}
	h.Report(control.Event{})
	if given.Name != "" || given.Ethernet.MTU != 0 || given.Host.Rand != nil {
		t.Error("the given configuration was changed")
	}
	given.Name, given.Ethernet.MTU, given.Ethernet.MAC = "n", MinMTU, [6]byte{2, 7}
	if c := given.withDefaults(); c.Name != "n" || c.Ethernet.MTU != MinMTU || c.Ethernet.MAC != [6]byte{2, 7} {
		t.Errorf("%q %d %x", c.Name, c.Ethernet.MTU, c.Ethernet.MAC)
	}
}
