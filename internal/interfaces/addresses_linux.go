package interfaces

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unusable are the flags of addresses that nothing may be sent from.
const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED

// addressesOf asks the kernel once for the addresses of all interfaces, by index.
func addressesOf([]net.Interface) (map[int][]Address, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	// An interrupted dump ends early: the next look finds the rest.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	byIndex := make(map[int][]Address)
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		ones, _ := a.Mask.Size()
		byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], Address{
			Prefix:     plain(netip.PrefixFrom(ip, ones)),
			Deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
			Unusable:   a.Flags&unusable != 0,
		})
	}
	return byIndex, nil
}
