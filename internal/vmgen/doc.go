// Package vmgen reports that this machine is a virtual one that was restored from a
// snapshot, or cloned, with its memory: whatever it held that may be used once only is
// held by another machine, too.
//
// The hypervisor gives such a machine another generation identifier (vmgenid). Linux
// from 6.10 on tells programs so by a uevent of the device, on the netlink socket that
// also tells of hardware (udev(7)), in network namespaces of the first user namespace.
// Where there is no such device, or an older kernel, nothing is ever reported, and what
// Clock finds is all that there is: the wall clock of a machine that was restored is set
// forward, and its monotonic clock is not.
package vmgen
