package address

// Refusal says why a Policy or a Budget lets no probe go to an address.
type Refusal uint8

// The reasons. The numbers are not sent to anybody.
const (
	// Allowed is no refusal.
	Allowed Refusal = iota
	// RefusedInvalid is no address and port that anybody can have, or an IPv4
	// address in its IPv6-mapped form, which callers unmap first.
	RefusedInvalid
	// RefusedReserved is an address that no peer can have: unspecified, loopback,
	// multicast, broadcast, link-local without a zone, class E.
	RefusedReserved
	// RefusedPort is a port that is never probed on a peer's word.
	RefusedPort
	// RefusedSide is a side address, which means something to this edge alone.
	RefusedSide
	// RefusedOverlay is an address of an overlay, to which packets would go through
	// the overlay itself.
	RefusedOverlay
	// RefusedSupernode is a supernode's address and port.
	RefusedSupernode
	// RefusedRate is more than all unverified addresses together may be sent.
	RefusedRate
	// RefusedAddressRate is more than one unverified IP address may be sent.
	RefusedAddressRate
	// RefusedClaim is more than an IP address gets that only a peer names and that
	// never answered.
	RefusedClaim
	// RefusedTable is one IP address more than a Budget remembers.
	RefusedTable
	// RefusalEnd is one past the last reason.
	RefusalEnd
)

var refusalNames = [RefusalEnd]string{
	"allowed", "invalid-address", "reserved-address", "forbidden-port", "side-address", "overlay-address",
	"supernode-address", "over-rate", "over-address-rate", "unproven-claim", "table-full",
}

// String returns the name of the reason, in lower case with hyphens.
func (r Refusal) String() string {
	if r < RefusalEnd {
		return refusalNames[r]
	}
	return "unknown"
}
