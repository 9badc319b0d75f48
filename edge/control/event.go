package control

import (
	"fmt"
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// EventKind names what an Event reports.
type EventKind uint8

const (
	// EventResolveFailed: Supernode could not be resolved (Err); Addr is
	// the last good address, if one is being tried.
	EventResolveFailed EventKind = iota + 1
	// EventNoAnswer: Supernode at Addr has not answered; Count INITs were
	// sent over Elapsed. Err is fs.ErrPermission if this host's own firewall let none out.
	// Text says why, if that is known.
	EventNoAnswer
	// EventPinned: Supernode's key (Key) was trusted on first use.
	EventPinned
	// EventKeyChanged: Supernode shows another key (Key) than the pinned one;
	// the edge refuses to register with it. Text is OtherKey's.
	EventKeyChanged
	// EventRegistered: Supernode at Addr accepted us; RTT was measured. Text names
	// the stream, unless it was by UDP. KeyIndex is the epoch that is sent under.
	EventRegistered
	// EventLease: the device has Prefix.
	EventLease
	// EventAddressReplaced: Wanted is held by MAC, so Prefix was leased.
	EventAddressReplaced
	// EventAddressRefused: the static address Wanted is held by MAC; the edge
	// ends.
	EventAddressRefused
	// EventMACTaken: another identity holds our MAC address at Supernode.
	EventMACTaken
	// EventRefused: Supernode refused us for the reason in Err; Text is Refusal's, if its
	// operator did.
	EventRefused
	// EventWrongKey: our community's name is in use with another key, and we are alone.
	EventWrongKey
	// EventAlone: no other edge is registered in our community.
	EventAlone
	// EventMapping: NAT behaviour was classified (Text).
	EventMapping
	// EventReady: the device is up and the edge is registered; Elapsed since the
	// edge was made.
	EventReady
	// EventPeerPath: Peer is reachable, or its path changed between direct and
	// relayed; RTT is that of the path.
	EventPeerPath
	// EventPeerGone: Peer, reported by EventPeerPath before, is no longer reachable.
	EventPeerGone
	// EventSupernodeLost: Supernode no longer answers.
	EventSupernodeLost
	// EventScheduleEnds: the key schedule ends in Elapsed.
	EventScheduleEnds
	// EventStream: UDP to Supernode seems blocked, so a stream is used (Text). Err is as
	// for EventNoAnswer.
	EventStream
	// EventStreamFailed: no stream to Supernode could be made either (Err).
	EventStreamFailed
	// EventReloaded: the community was read again; Err if that failed.
	EventReloaded
	// EventLeaseRefused: the address Prefix that Supernode leases is not taken, for
	// the reason in Text, which is LeaseRefusal's.
	EventLeaseRefused
	// EventNoLease: Supernode has no free address, so the edge is registered without one;
	// Text is NoLease's.
	EventNoLease
	// EventIdentityTwice: another machine uses our identity; Text names who noticed it.
	EventIdentityTwice
	// EventOlder: Supernode at Addr speaks the protocol as it was before version 1
	// was final, and does not understand us.
	EventOlder
	// EventRecursion: what is sent to Addr would go into the overlay itself, or did;
	// Text is Recursion's.
	EventRecursion
	// EventViolation: somebody's frames are dropped or limited, as Text says.
	EventViolation
	// EventSegment: this bridge forwards on its segment, stands by, or neither (Text).
	EventSegment
	// EventLimited: Supernode has not relayed all that we sent, as Text says.
	EventLimited
	// EventAddressTwice: Peer has our address (Prefix), too; Text is AddressTwice's.
	EventAddressTwice
	// EventNameMoved: Supernode's name stands for Addr now, while the one where it led
	// before answers; Text is NameMoved's.
	EventNameMoved
	// EventRedirected: Supernode has said where it is found from now on, or that is not
	// used any more; Text is Redirected's or NotRedirected's.
	EventRedirected
	// EventRotated: Supernode has another key (Key) in the place of the one that it was known
	// by; Text is Rotated's.
	EventRotated
)

// Event is one change of state that the edge reports to its user. Fields that do not
// belong to its kind are zero.
type Event struct {
	// Kind says which fields are set.
	Kind EventKind
	// Time is when it happened.
	Time time.Time
	// Supernode is the supernode as typed, "vps.example:7654".
	Supernode string
	// Addr is the supernode's address and port.
	Addr netip.AddrPort
	// RTT is a measured round trip; 0 when there is none.
	RTT time.Duration
	// Elapsed is a length of time that the kind explains.
	Elapsed time.Duration
	// Prefix is an address of the device with its prefix length, and Wanted the
	// one that was asked for.
	Prefix, Wanted netip.Prefix
	// MAC is a hardware address.
	MAC protocol.MAC
	// Count is a number that the kind explains.
	Count int
	// Peer is the other edge.
	Peer Peer
	// Key is a supernode's static public key.
	Key [32]byte
	// KeyIndex is the index of an epoch.
	KeyIndex uint8
	// Text is words that the kind explains.
	Text string
	// Err is why something failed.
	Err error
}

// NoAnswer is the sentence about a supernode that did not answer a number of INITs in some
// time. obfs says that the edge has an obfuscation key: with another one the supernode does
// not answer either.
func NoAnswer(supernode string, tries int, elapsed time.Duration, obfs bool) string {
	doubt := "if it has an obfuscation key, give that with --obfs-key-file FILE"
	if obfs {
		doubt = "if it has another obfuscation key than this edge, or none, it answers nothing: correct --obfs-key-file FILE, or leave it out"
	}
	return fmt.Sprintf("no answer from %s over UDP (%d tries, %.0f s): check the address, the server's firewall, or that the supernode runs; %s. [E08]",
		supernode, tries, elapsed.Seconds(), doubt)
}

// IdentityTwice is the sentence about another machine that uses an edge's identity in a
// community, as by has noticed.
func IdentityTwice(by, community string) string {
	return fmt.Sprintf("another machine uses the identity of this edge, or its state was put back while the clock was wrong (noticed by %s): "+
		"two such edges throw each other out. On the copy, stop the edge and type 'edge identity new -c %s'. [E13]", by, community)
}

// AddressTwice is the sentence about a member that has an edge's address, too: by its name
// and identity. static says that the edge's user insists on the address.
func AddressTwice(a netip.Addr, name, id string, static bool) string {
	what := "One of the two gets another address, within a minute if a supernode can be asked by both; if it stays so, start one of them anew."
	if static {
		what = "Start one of the two with another address (-a static:IP/LEN)."
	}
	return fmt.Sprintf("%s (%s) has the address %s as well: what is sent there reaches one or the other. %s [E51]", name, id, a, what)
}

// Recursion is the sentence about an address of the underlay that leads into the overlay
// itself. who is reached there, empty if nobody is known to be; device is the overlay's.
func Recursion(to netip.AddrPort, who, device string) string {
	if who != "" {
		who = " for " + who
	}
	return fmt.Sprintf("ignoring %s%s: it is inside this overlay, since what this host sends there comes out of %s. "+
		"'ip route get %s' shows the route: remove it, or give the address a route outside. [E19]", to, who, device, to.Addr().WithZone(""))
}

// OlderSupernode is the sentence about a supernode of an older protocol.
func OlderSupernode(supernode string) string {
	return fmt.Sprintf("%s answers, but speaks the protocol as it was before version 1 was final: update that supernode. [E22]", supernode)
}

// NoLease is the sentence about a supernode that has no free address for an edge.
func NoLease(supernode string) string {
	return fmt.Sprintf("%s has no free IPv4 address: this edge is registered without one, is reached by IPv6 only, and asks again every minute. Choose an address outside the pool with -a, or have the supernode's operator start it with a larger --pool. [E56]", supernode)
}

// LeaseRefusal is the sentence about a lease that an edge does not take: supernode
// leases it, and why is the rest of the sentence behind "it", with what to type.
func LeaseRefusal(supernode string, lease netip.Prefix, why string) string {
	return fmt.Sprintf("the address %s that %s leases is not taken, the edge goes on without it: it %s. [E12]", lease, supernode, why)
}

// DeviceTakesNothing is the sentence about a bridge whose device takes no frames.
func DeviceTakesNothing(device string) string {
	return fmt.Sprintf("the device %s takes no frames, so nothing is bridged: it is down, or gone. Type 'ip link set %[1]s up'. [E28]", device)
}

// SegmentMeets is the sentence about a bridge that stands by for another one, with whose
// LAN its own is one in a VLAN alone.
func SegmentMeets(other string, vlan uint16) string {
	return fmt.Sprintf("the LAN here and that of %s are one in VLAN %d alone, and this edge stands by for all of its LAN: hosts here in other VLANs reach nobody. "+
		"Take that VLAN off the cable between the two, or name at this edge the VLANs that it carries, without this one: --vlan 0,20. [E44]", other, vlan)
}

// SegmentReflects is the sentence about a segment on which our own frames come back.
const SegmentReflects = "frames of this edge come back from the LAN behind its device: two ports of one switch are cabled to each other, " +
	"or something else bridges this LAN to itself. Find it, or turn on spanning tree in the switches. [E29]"
