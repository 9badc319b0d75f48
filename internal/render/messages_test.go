package render

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/protocol"
)

func TestSentences(t *testing.T) {
	addr := netip.MustParseAddrPort("203.0.113.10:7654")
	sn := "vps.example:7654"
	mac := [6]byte{2, 5: 0x31}
	nx := &net.DNSError{Err: "no such host", Name: "vps.example", Server: "192.168.1.1:53", IsNotFound: true}
	for _, tt := range []struct {
		ev   control.Event
		want string
	}{
		{control.Event{Kind: control.EventWrongKey, Supernode: sn},
			`the name "mynetwork" is in use on vps.example with another key, or another authority in its file: check -k. [E06]`},
		{control.Event{Kind: control.EventNoAnswer, Supernode: sn, Addr: addr, Count: 6, Elapsed: 12 * time.Second},
			"no answer from vps.example:7654 over UDP (6 tries, 12 s): check the address, the server's firewall, or that the supernode runs; if it has an obfuscation key, give that with --obfs-key-file FILE. [E08]"},
		{control.Event{Kind: control.EventNoAnswer, Supernode: sn, Addr: addr, Err: &net.OpError{Err: os.NewSyscallError("sendto", syscall.ECONNREFUSED)}},
			"203.0.113.10:7654 refused: no supernode is listening on that port. [E09]"},
		{control.Event{Kind: control.EventNoAnswer, Supernode: sn, Addr: addr, Err: fs.ErrPermission},
			"this host's own firewall lets nothing out to vps.example:7654 over UDP: look at its rules for what is sent ('nft list ruleset', 'iptables -L OUTPUT'), " +
				"and for a full table of connections ('dmesg | grep conntrack'). [E58]"},
		{control.Event{Kind: control.EventStream, Supernode: sn, Text: "TLS to vps.example", Err: fs.ErrPermission},
			"this host's own firewall lets nothing out to vps.example:7654 over UDP: look at its rules for what is sent ('nft list ruleset', 'iptables -L OUTPUT'), " +
				"and for a full table of connections ('dmesg | grep conntrack'). TLS to vps.example serves, which is slower, and direct paths are off until it lets UDP out. [E58]"},
		{control.Event{Kind: control.EventResolveFailed, Supernode: sn, Addr: addr, Err: nx},
			"cannot resolve vps.example: NXDOMAIN from 192.168.1.1. Trying on; the last good address 203.0.113.10 is used meanwhile. [E10]"},
		{control.Event{Kind: control.EventResolveFailed, Supernode: sn, Err: &net.DNSError{Err: "server misbehaving"}},
			"cannot resolve vps.example: server misbehaving. Trying on; -l ADDRESS:7654 needs no name server. [E10]"},
		{control.Event{Kind: control.EventResolveFailed, Supernode: sn, Err: &net.DNSError{IsTimeout: true}},
			"no answer from any name server about vps.example: look at the network, and at the name servers of this machine ('resolvectl status', /etc/resolv.conf). " +
				"Trying on; -l ADDRESS:7654 needs no name server. [E54]"},
		{control.Event{Kind: control.EventAddressReplaced, Wanted: netip.MustParsePrefix("10.64.0.7/24"), Prefix: netip.MustParsePrefix("10.64.0.12/24"), MAC: mac},
			"10.64.0.7 is already used by 02:00:00:00:00:31. Got 10.64.0.12 instead. [E11]"},
		{control.Event{Kind: control.EventNoLease, Supernode: sn, Text: control.NoLease(sn)}, sn + " has no free IPv4 address: this edge is registered without one, is reached by IPv6 only, and asks again every minute. Choose an address outside the pool with -a, or have the supernode's operator start it with a larger --pool. [E56]"},
		{control.Event{Kind: control.EventLeaseRefused, Supernode: sn, Prefix: netip.MustParsePrefix("10.64.0.7/24"), Text: "overlaps wlan0 (10.64.0.0/16): choose another"},
			"the address 10.64.0.7/24 that vps.example:7654 leases is not taken, the edge goes on without it: it overlaps wlan0 (10.64.0.0/16): choose another. [E12]"},
		{control.Event{Kind: control.EventIdentityTwice, Text: sn},
			"another machine uses the identity of this edge, or its state was put back while the clock was wrong (noticed by vps.example:7654): " +
				"two such edges throw each other out. On the copy, stop the edge and type 'edge identity new -c mynetwork'. [E13]"},
		{control.Event{Kind: control.EventMACTaken, MAC: mac},
			"another edge uses mac 02:00:00:00:00:31 (cloned machine image?). Stop this edge and type 'edge identity new -c mynetwork', or use -m random. [E57]"},
		{control.Event{Kind: control.EventRefused, Supernode: sn, Err: errors.New("the community is full")},
			"vps.example:7654 refused this edge: the community is full."},
		{control.Event{Kind: control.EventRefused, Supernode: sn, Err: errors.New("community not served"), Text: control.Refusal(sn, "mynetwrok", protocol.CodeNotServed, time.Time{})},
			`vps.example:7654 does not serve community "mynetwrok": look at -c, where capitals count, or ask its operator to allow it. Trying on. [E07]`},
		{control.Event{Kind: control.EventKeyChanged, Text: control.OtherKey(sn, [32]byte{0xfb, 0xff}, false, false)},
			"vps.example:7654 shows another key (-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA) than the one trusted so far: not registering there. " +
				"If that is what 'supernode id' prints there, as after 'supernode rotate-key', type -l vps.example:7654#-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; otherwise somebody stands between."},
		{control.Event{Kind: control.EventPinned, Supernode: sn, Key: [32]byte{0xab}},
			"trusting vps.example:7654 at first sight, with key qwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA. Compare it with what 'supernode id' prints there; " +
				"to pin it yourself type -l vps.example:7654#qwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA."},
		{control.Event{Kind: control.EventStream, Supernode: sn, Text: "TLS to vps.example"},
			"no answer from vps.example:7654 over UDP: it looks blocked. Using TLS to vps.example; direct paths are off until UDP returns. [E08]"},
		{control.Event{Kind: control.EventStreamFailed, Supernode: sn, Err: errors.New("connection refused")},
			"no stream to vps.example:7654 either: connection refused"},
		{control.Event{Kind: control.EventAddressRefused, Wanted: netip.MustParsePrefix("10.64.0.7/24"), MAC: mac},
			"10.64.0.7 is already used by 02:00:00:00:00:31. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one."},
		{control.Event{Kind: control.EventNoAnswer, Supernode: sn, Text: control.NoFamily(sn, 6)},
			"vps.example:7654 has an IPv6 address alone, and this host has no IPv6: give the supernode an IPv4 address, or name another one with -l. [E55]"},
		{control.Event{Kind: control.EventSupernodeLost, Supernode: sn}, "vps.example:7654 no longer answers; trying on. Direct paths stay."},
		{control.Event{Kind: control.EventScheduleEnds, Elapsed: 100 * time.Hour},
			"the key schedule ends in 4 days: make new keys with 'edge keygen' and give them to every member."},
	} {
		m := Messages{Community: "mynetwork", IdentityFile: "/var/lib/edge/mynetwork/id"}
		if got := m.Of(tt.ev); got != (Message{Level: slog.LevelWarn, Text: tt.want}) {
			t.Errorf("%+v\nwant %q", got, tt.want)
		}
	}
}

// Every kind of event has words, and each belongs to one of the levels.
func TestEveryEventHasWords(t *testing.T) {
	ownWords := []control.EventKind{control.EventMapping, control.EventRecursion, control.EventViolation, control.EventSegment, control.EventLimited, control.EventAddressTwice, control.EventNameMoved, control.EventKeyChanged, control.EventRedirected, control.EventRotated, control.EventNoLease} // the edge's
	m := Messages{Community: "mynetwork", Preferred: netip.MustParsePrefix("10.64.0.7/24")}
	for kind := control.EventResolveFailed; kind <= control.EventRotated; kind++ {
		if slices.Contains(ownWords, kind) {
			continue
		}
		if got := m.Of(control.Event{Kind: kind, Peer: control.Peer{ID: "9f3a-71c2-e0b4"}}); got.Text == "" {
			t.Errorf("kind %d has no words", kind)
		}
	}
	if got := m.Of(control.Event{Kind: control.EventRotated + 1}); got.Text != "" {
		t.Errorf("an unknown kind says %q", got.Text)
	}
}

// Where an address comes from.
func TestAddressOrigin(t *testing.T) {
	got := netip.MustParsePrefix("10.64.0.7/24")
	for _, tt := range []struct {
		m    Messages
		got  netip.Prefix
		want string
	}{
		{Messages{}, got, "10.64.0.7/24 from the supernode"},
		{Messages{Preferred: netip.MustParsePrefix("10.64.0.8/24")}, got, "10.64.0.7/24 from the supernode"},
		{Messages{Preferred: got}, got, "10.64.0.7/24 as asked for, from the supernode"},
		{Messages{Static: true}, got, "10.64.0.7/24 static"},
		{Messages{Static: true}, netip.MustParsePrefix("fd00::7/64"), "fd00::7/64 from the identity"},
	} {
		if m := tt.m.Of(control.Event{Kind: control.EventLease, Prefix: tt.got}); m.Label != "address" || m.Text != tt.want {
			t.Errorf("%+v, want %q", m, tt.want)
		}
	}
}
