//go:build linux

package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A condition is a chain of the table inet lab that is empty, or holds the rules
// that make the road worse.
const (
	lossChain    = "loss"
	policerChain = "policer"
	sizeChain    = "size"
	udpChain     = "udp"
	hopsChain    = "hops"
)

// lossParts is the resolution of SetLoss: parts in a whole.
const lossParts = 10_000

// SetLoss drops this share of the forwarded datagrams at random, from 0 (none,
// the start) to 100 percent. Links that join datagrams into one packet would
// lose them together: the first loss turns the offloads of the whole lab off.
func (f *Forwarding) SetLoss(percent float64, which Traffic) error {
	if !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("%s: loss of %v percent", f.space.name, percent)
	}
	return f.single(lossChain, percent > 0, concat(which.match(), chance(percent), count("lost"), drop()))
}

// SetPathLoss is SetLoss for the UDP between two addresses of one family, in
// both directions, and replaces it there.
func (f *Forwarding) SetPathLoss(a, b netip.Addr, percent float64) error {
	if !(percent >= 0 && percent <= 100) || a.Is4() != b.Is4() {
		return fmt.Errorf("%s: loss of %v percent between %v and %v", f.space.name, percent, a, b)
	}
	between := func(from, to netip.Addr) []expr.Any {
		family := familyOf(a)
		return concat(UDP.match(), nfproto(family.protocol), []expr.Any{
			network(family.source, 2*family.length),
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append(from.AsSlice(), to.AsSlice()...)},
		}, chance(percent), count("lost"), drop())
	}
	return f.single(lossChain, percent > 0, between(a, b), between(b, a))
}

// chance matches a share of packets at random.
func chance(percent float64) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: lossParts, Type: unix.NFT_NG_RANDOM}, hostOrder(),
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: hton32(uint32(percent * lossParts / 100))},
	}
}

// SetPolicer drops the datagrams that exceed a rate per second, after a burst of
// so many, over all flows and both directions together. A rate of 0 ends it.
// Like SetLoss it turns the offloads of the whole lab off.
func (f *Forwarding) SetPolicer(rate, burst int, which Traffic) error {
	if rate < 0 || burst < 0 {
		return fmt.Errorf("%s: a policer of %d datagrams a second and %d at once", f.space.name, rate, burst)
	}
	return f.single(policerChain, rate > 0, concat(which.match(), []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(rate), Unit: expr.LimitTimeSecond, Burst: uint32(burst), Over: true},
	}, count("policed"), drop()))
}

// SetSizeHole silently drops packets longer than this many bytes, IP header
// included: a black hole for path MTU discovery. 0 ends it. Each fragment counts
// for itself. Packets to the router itself are dropped too. Like SetLoss it
// turns the offloads of the whole lab off.
func (f *Forwarding) SetSizeHole(bytes int, which Traffic) error {
	if bytes < 0 {
		return fmt.Errorf("%s: a size of %d bytes", f.space.name, bytes)
	}
	return f.single(sizeChain, bytes > 0, concat(which.match(), longerThan(uint32(bytes)), count("toolong"), drop()))
}

// single makes a condition of rules that look at single datagrams, or ends it.
func (f *Forwarding) single(chain string, on bool, rules ...[]expr.Any) error {
	if !on {
		return f.set(chain)
	}
	if err := f.space.lab.DisableOffloads(); err != nil {
		return err
	}
	return f.set(chain, rules...)
}

// BlockUDP drops all forwarded UDP silently, that of flows which exist
// included, until UnblockUDP.
func (f *Forwarding) BlockUDP() error {
	return f.set(udpChain, concat(UDP.match(), count("blocked"), drop()))
}

// UnblockUDP ends BlockUDP, and does nothing without it.
func (f *Forwarding) UnblockUDP() error { return f.set(udpChain) }

// SetHops makes the router as long as so many routers in a row, from 1 (itself,
// the start) to 255: a packet whose TTL would end on one of the others is
// dropped, without a message. The internet of the lab is one hop, where a
// datagram that should die on the path in the field may well arrive.
func (f *Forwarding) SetHops(hops int) error {
	if hops < 1 || hops > 255 {
		return fmt.Errorf("%s: %d hops", f.space.name, hops)
	}
	if hops == 1 {
		return f.set(hopsChain)
	}
	// The router has subtracted one already.
	expired := func(family byte, offset uint32) []expr.Any {
		return concat(nfproto(family), []expr.Any{
			network(offset, 1), &expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: []byte{byte(hops)}},
		}, count("expired"), drop())
	}
	return f.set(hopsChain, expired(unix.NFPROTO_IPV4, 8), expired(unix.NFPROTO_IPV6, 7))
}

// set makes a condition of these rules; without any it ends.
func (f *Forwarding) set(chain string, rules ...[]expr.Any) error {
	r, err := f.rules()
	if err != nil {
		return err
	}
	c := &nftables.Chain{Table: r.table, Name: chain}
	r.FlushChain(c)
	for _, rule := range rules {
		r.rule(c, rule)
	}
	if err := r.Flush(); err != nil {
		return fmt.Errorf("%s: %s: %w", f.space.name, chain, err)
	}
	return nil
}
