// Package stack tells what of this host leads into an overlay: the interfaces that are
// stacked on the TAP device of an edge or above it, and the routes that leave by them.
//
// An overlay whose datagrams enter it again carries itself ("recursive routing"): each
// frame makes another one. So an edge neither offers nor probes what leads there.
//
// The stack is the device, the bridge that it is a port of, what is made from these
// (VLANs, macvlans, VXLANs), and the near end of a veth pair whose other end is a port of
// such a bridge. The devices of other communities' edges on this host are in it as well,
// with what is above them: two overlays that each take the other for their underlay
// would carry each other for ever, and neither can see that.
//
// Linux alone tells what is stacked on what; elsewhere the stack is the device.
package stack
