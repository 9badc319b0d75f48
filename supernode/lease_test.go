package supernode

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hedgerow/protocol"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestPoolOf(t *testing.T) {
	for _, test := range []struct {
		cid  [16]byte
		want string
		core string // what the pool was once
	}{
		{[16]byte{}, "10.64.0.0/18", "10.64.0.0/20"},
		{[16]byte{0, 0x3f}, "10.64.0.0/18", "10.64.0.0/20"},
		{[16]byte{0, 0x40}, "10.64.0.0/18", "10.64.16.0/20"},
		{[16]byte{0x80}, "10.96.0.0/18", "10.96.0.0/20"},
		{[16]byte{0xff, 0xff}, "10.127.192.0/18", "10.127.240.0/20"},
	} {
		if got, core := poolOf(netip.Prefix{}, test.cid); got != prefix(test.want) || core != prefix(test.core) || !defaultPools.Overlaps(got) {
			t.Errorf("%x: %v, %v, want %s, %s", test.cid[:2], got, core, test.want, test.core)
		}
		if got, core := poolOf(prefix("192.0.2.0/24"), test.cid); got != prefix("192.0.2.0/24") || core.IsValid() {
			t.Errorf("configured: %v, %v", got, core)
		}
	}
}

func TestLeasable(t *testing.T) {
	for s, want := range map[string]bool{
		"10.1.2.1/24": true, "10.1.2.0/24": false, "10.1.2.255/24": false, "10.1.2.255/23": true,
		"10.1.2.3/32": true, "10.1.2.2/31": true, "10.1.2.3/31": true, "10.1.2.0/8": true,
		"0.0.0.0/0": false, "224.0.0.1/24": false, "127.0.0.1/8": false,
		"fd00::1/64": true, "::/64": false, "ff02::1/64": false, "::1/128": false,
		"::ffff:10.0.0.1/120": false, "10.0.0.1/7": false, "224.0.0.1/4": false, "240.0.0.1/8": false, "2001:db8::1/7": false,
	} {
		if got := leasable(prefix(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	if leasable(netip.Prefix{}) {
		t.Error("the zero prefix")
	}
}

func TestChooseAddress(t *testing.T) {
	for _, network := range []string{"10.64.16.0/20", "192.0.2.0/24", "192.0.2.64/30", "10.0.0.0/8", "fd00::/64"} {
		inUse, taken := map[netip.Addr]bool{}, new(leased)
		first := map[int]netip.Prefix{}
		n := 1000
		if bits := prefix(network).Addr().BitLen() - prefix(network).Bits(); bits < 12 {
			n = 1<<bits - 2
		}
		for i := range n {
			p, ok := chooseAddress(prefix(network), [32]byte{byte(i), byte(i >> 8)}, taken)
			if !ok || !leasable(p) || p.Masked() != prefix(network) || inUse[p.Addr()] {
				t.Fatalf("%s: number %d got %v, %v", network, i, p, ok)
			}
			inUse[p.Addr()], first[i] = true, p
			taken.add(p.Addr())
		}
		a, _ := chooseAddress(prefix(network), [32]byte{}, new(leased))
		if a != first[0] {
			t.Errorf("%s: the choice for one identity was %v, is %v", network, first[0], a)
		}
		if n < 1000 {
			if p, ok := chooseAddress(prefix(network), [32]byte{0xff, 0xff}, taken); ok {
				t.Errorf("%s is full, still it gave %v", network, p)
			}
		}
	}
}

func TestThousandIdentitiesKeepTheirLeases(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	n := 1000
	if race {
		n = 200
	}
	leases, owners := map[string]protocol.Ack{}, map[netip.Addr]string{}
	pool, _ := poolOf(netip.Prefix{}, c.ID())
	for i := range n {
		name := fmt.Sprint("edge ", i)
		ack := r.edge(c, name, i).join().ack
		if owner, inUse := owners[ack.Lease.Addr()]; inUse || !leasable(ack.Lease) || ack.Lease.Masked() != pool {
			t.Fatalf("%s got %v, which is %s's", name, ack.Lease, owner)
		}
		owners[ack.Lease.Addr()], leases[name] = name, ack
	}
	r = r.restart(cfg)
	if st := r.s.Status(); st.Leases != n || st.Edges != 0 {
		t.Fatalf("after the restart: %+v", st)
	}
	// In another order, and newcomers first.
	for i := range n / 10 {
		ack := r.edge(c, fmt.Sprint("newcomer ", i), 2000+i).join().ack
		if owner, inUse := owners[ack.Lease.Addr()]; inUse {
			t.Fatalf("newcomer got %v, which is %s's", ack.Lease, owner)
		}
		owners[ack.Lease.Addr()] = "newcomer"
	}
	for i := n - 1; i >= 0; i-- {
		name := fmt.Sprint("edge ", i)
		if got := r.edge(c, name, i).join().ack; got.Lease != leases[name].Lease || got.Handle != leases[name].Handle {
			t.Fatalf("%s had %v, has %v", name, leases[name], got)
		}
	}
}

func TestWantedAddresses(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	pool, _ := poolOf(netip.Prefix{}, c.ID())
	ask := func(name string, wanted string, features uint32) (*protocol.Ack, *protocol.Nak) {
		t.Helper()
		r.now = r.now.Add(time.Second)
		e := r.edge(c, name, 1)
		e.connect()
		m := e.request()
		m.Features = features
		if wanted != "" {
			m.Prefix = prefix(wanted)
		}
		return e.register(m)
	}
	got := func(name, wanted string, features uint32, want string) *protocol.Ack {
		t.Helper()
		ack, nak := ask(name, wanted, features)
		if ack == nil || ack.Lease != prefix(want) || ack.Code != 0 || !ack.Holder.IsZero() {
			t.Fatalf("%s wants %s: ACK %+v NAK %+v", name, wanted, ack, nak)
		}
		return ack
	}
	macOf := func(name string) protocol.MAC { return protocol.MAC(identity(name).MAC(c.ID())) }

	got("a", "10.1.2.1/24", 0, "10.1.2.1/24")
	got("a", "10.1.2.1/16", 0, "10.1.2.1/16") // the same address in another network
	got("b", "10.1.2.2/24", protocol.FeatureStatic, "10.1.2.2/24")
	got("v6", "fd00::5/64", 0, "fd00::5/64")

	// Taken: static is refused, preferred gets another one of that network.
	ack, nak := ask("c", "10.1.2.2/24", protocol.FeatureStatic)
	if ack != nil || nak.Code != protocol.CodeIPTaken || nak.Holder != macOf("b") || nak.Prefix != prefix("10.1.2.2/24") {
		t.Errorf("static clash: ACK %+v NAK %+v", ack, nak)
	}
	replacement, _ := ask("c", "10.1.2.2/24", 0)
	if replacement == nil || replacement.Code != protocol.CodeIPTaken || replacement.Holder != macOf("b") ||
		replacement.Lease.Masked() != prefix("10.1.2.0/24") || replacement.Lease.Addr() == netip.MustParseAddr("10.1.2.2") {
		t.Fatalf("replacement %+v", replacement)
	}
	// The replacement is stable, also when the choice would be another by now.
	for range 3 {
		if again, _ := ask("c", "10.1.2.2/24", 0); again.Lease != replacement.Lease {
			t.Errorf("was %v, is %v", replacement.Lease, again.Lease)
		}
	}
	// Without a wish an address of the pool, and then the same again.
	pooled, _ := ask("c", "", 0)
	if pooled.Lease.Masked() != pool || pooled.Code != 0 {
		t.Errorf("pool: %+v", pooled)
	}
	got("c", "", 0, pooled.Lease.String())
	// The old ones are free again.
	got("d", replacement.Lease.String(), protocol.FeatureStatic, replacement.Lease.String())
	// Nothing wanted at all.
	if ack, _ := ask("d", "", protocol.FeatureNoAddress); ack == nil || ack.Lease.IsValid() || ack.LeaseSeconds != 0 {
		t.Errorf("no address: %+v", ack)
	}
	got("e", replacement.Lease.String(), 0, replacement.Lease.String())

	// What no host can have.
	if ack, nak := ask("f", "10.1.2.0/24", protocol.FeatureStatic); ack != nil || nak.Code != protocol.CodePool {
		t.Errorf("network address: ACK %+v NAK %+v", ack, nak)
	}
	if ack, _ := ask("f", "10.1.2.255/24", 0); ack == nil || ack.Lease.Masked() != prefix("10.1.2.0/24") || !leasable(ack.Lease) {
		t.Errorf("broadcast address: %+v", ack)
	}
	// A network that is full: the pool has one.
	got("g", "10.9.9.1/30", 0, "10.9.9.1/30")
	got("h", "10.9.9.2/30", 0, "10.9.9.2/30")
	if ack, _ := ask("i", "10.9.9.1/30", 0); ack == nil || ack.Lease.Masked() != pool || ack.Code != protocol.CodeIPTaken || ack.Holder != macOf("g") {
		t.Errorf("full network: %+v", ack)
	}
	assertUnique(t, r)
}

// assertUnique checks that no address and no MAC has two owners.
func assertUnique(t *testing.T, r *rig) {
	t.Helper()
	for _, c := range r.s.registry.communities {
		seen := map[netip.Addr]protocol.MAC{}
		for mac, reg := range c.byMAC {
			if reg.mac != mac || c.byOwner[reg.owner] != reg || r.s.registry.byHandle[reg.handle] != reg {
				t.Errorf("%v is entered wrongly", mac)
			}
			if !reg.lease.IsValid() {
				continue
			}
			if other, twice := seen[reg.lease.Addr()]; twice || c.byAddr[reg.lease.Addr()] != reg {
				t.Errorf("%v is held by %v and %v", reg.lease, mac, other)
			}
			seen[reg.lease.Addr()] = mac
		}
		if len(seen) != len(c.byAddr) || len(c.byOwner) != len(c.byMAC) {
			t.Errorf("%d addresses held, %d entered", len(seen), len(c.byAddr))
		}
	}
}

func TestConfiguredPool(t *testing.T) {
	r := newRig(t, Config{Pool: prefix("192.0.2.77/29")})
	c, other := testCommunity("c", "k"), testCommunity("other", "k")
	for i := range 6 {
		ack := r.edge(c, fmt.Sprint("e", i), i).join().ack
		if ack.Lease.Masked() != prefix("192.0.2.72/29") {
			t.Errorf("%v", ack.Lease)
		}
	}
	e := r.edge(c, "e6", 6)
	e.connect()
	if ack, nak := e.register(e.request()); ack == nil || ack.Lease.IsValid() || ack.Code != protocol.CodePool {
		t.Errorf("full pool: ACK %+v NAK %+v", ack, nak)
	}
	if st := r.s.Status(); st.Leases != 7 { // one of them has no address
		t.Errorf("%+v", st)
	}
	// Every community has all of it to itself.
	r.edge(other, "o", 7).join()
	// A day later it is free again, except for those who are still here.
	r.now = r.now.Add(leaseTime)
	r.pass(expiryPause, sweepPause)
	if ack := r.edge(c, "e6", 8).join().ack; ack.Lease.Masked() != prefix("192.0.2.72/29") {
		t.Errorf("after the leases: %+v", ack)
	}
}

func TestEndedLeaseMayGoToAnother(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	join := func(name string, n int) (*protocol.Ack, *protocol.Nak) {
		e := r.edge(c, name, n)
		e.connect()
		m := e.request()
		m.Prefix, m.Features = prefix("10.1.2.1/24"), protocol.FeatureStatic
		return e.register(m)
	}
	if ack, _ := join("a", 1); ack == nil {
		t.Fatal("not free")
	}
	r.pass(offlineTime+sweepPause, time.Second)
	r.now = r.now.Add(firstLease - offlineTime - time.Minute)
	if _, nak := join("b", 2); nak == nil || nak.Code != protocol.CodeIPTaken {
		t.Fatalf("given away: %+v", nak)
	}
	r.now = r.now.Add(2 * time.Minute)
	if ack, nak := join("b", 2); ack == nil {
		t.Fatalf("refused after the lease: %+v", nak)
	}
	assertUnique(t, r)
	if _, nak := join("a", 3); nak == nil || nak.Code != protocol.CodeIPTaken {
		t.Errorf("two owners: %+v", nak)
	}
}

func TestChangedPoolMovesLeases(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, Config{StateDir: dir})
	c := testCommunity("c", "k")
	before := r.edge(c, "e", 1).join().ack.Lease
	r = r.restart(Config{StateDir: dir, Pool: prefix("172.20.0.0/24")})
	if got := r.edge(c, "e", 1).join().ack.Lease; got.Masked() != prefix("172.20.0.0/24") {
		t.Errorf("was %v, is %v", before, got)
	}
	assertUnique(t, r)
}

func TestCheckPool(t *testing.T) {
	for s, ok := range map[string]bool{
		"10.0.0.0/8": true, "192.0.2.0/30": true, "192.0.2.0/31": false, "10.0.0.0/7": false,
		"fd00::/64": false, "224.0.0.0/24": false, "127.0.0.0/8": false, "0.0.0.0/8": false,
	} {
		if err := CheckPool(prefix(s)); (err == nil) != ok {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestPreferredNumberIsSpread(t *testing.T) {
	const n = 4096
	seen := map[netip.Addr]int{}
	for i := range n {
		var owner [32]byte
		binary.BigEndian.PutUint32(owner[:], uint32(i))
		p, _ := chooseAddress(prefix("10.64.0.0/20"), owner, new(leased))
		seen[p.Addr()]++
	}
	// Of 4096 balls in as many boxes about 1-1/e hit an empty one.
	if len(seen) < n/2 {
		t.Errorf("%d identities prefer only %d numbers", n, len(seen))
	}
}
