package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/internal/cli"
	"hedgerow/tap"
)

// linkChoice says which peers have a device of their own.
type linkChoice struct {
	Named []namedLink
	Auto  string // the devices of all others, with %d for a number; empty: they have none
	Hooks hookChoice
}

// namedLink is a peer and the device that it has.
type namedLink struct {
	Peer   []byte // how its identity begins
	Device string
}

// Bounds of --p2p: those of package edge, which counts devices that were not named, too.
const (
	mostLinks      = 256
	longestNumber  = "511" // of a device that was not named
	linkDigits     = 2 * crypto.LinkPrefixLen
	autoLinkPrefix = "auto:"
)

// parse reads --p2p and the hooks. device is the community's.
func (l *linkChoice) parse(c *ucli.Context, device string, faults *cli.Faults) {
	devices := map[string]bool{device: true}
	peers := map[string]bool{}
	for _, s := range cli.Strings(c, "p2p") {
		if pattern, ok := strings.CutPrefix(s, autoLinkPrefix); ok {
			faults.Add(l.parseAuto(pattern))
			continue
		}
		k, err := parseLink(s)
		if faults.Add(err); err != nil {
			continue
		}
		if devices[k.Device] || peers[string(k.Peer[:crypto.LinkPrefixLen])] {
			faults.Addf("--p2p %s: this peer or device was given already", s)
			continue
		}
		devices[k.Device], peers[string(k.Peer[:crypto.LinkPrefixLen])] = true, true
		l.Named = append(l.Named, k)
	}
	if n := len(l.Named); n > mostLinks {
		faults.Addf("--p2p was given %d times: %d links are the most", n, mostLinks)
	}
	l.Hooks.parse(c, len(l.Named) > 0 || l.Auto != "", faults)
}

// parseAuto reads what follows auto: in --p2p.
func (l *linkChoice) parseAuto(pattern string) error {
	if strings.Count(pattern, "%d") != 1 || strings.Count(pattern, "%") != 1 {
		return fmt.Errorf("--p2p auto:%s: say where the number of a device goes, as in auto:mesh%%d", pattern)
	}
	if l.Auto != "" {
		return fmt.Errorf("--p2p auto:%s: auto was given already", pattern)
	}
	l.Auto = pattern
	return checkDeviceOf("--p2p auto:", strings.Replace(pattern, "%d", longestNumber, 1))
}

// parseLink reads PEER=DEVICE. A peer is meant by its identity: a name or an address is
// what anybody says.
func parseLink(s string) (namedLink, error) {
	peer, device, ok := strings.Cut(s, "=")
	if !ok {
		return namedLink{}, fmt.Errorf("--p2p %s: say PEER=DEVICE, such as 9f3a-71c2-e0b4=mesh0, or auto:mesh%%d for all", s)
	}
	digits := strings.ReplaceAll(peer, "-", "")
	id, err := hex.DecodeString(digits)
	if err != nil || len(digits) < linkDigits || len(id) > 32 {
		return namedLink{}, fmt.Errorf("--p2p %s: %q is no identity of %d digits or more, and a name or a hardware address proves nothing. "+
			"'edge status' shows the identity there, 'edge peers --json' here (id), such as 9f3a-71c2-e0b4", s, peer, linkDigits)
	}
	return namedLink{Peer: id, Device: device}, checkDeviceOf("--p2p "+peer+"=", device)
}

// linkDevices opens the devices of an edge's links.
type linkDevices struct {
	choice  linkChoice
	open    tapOpener
	accept  bridge.Policy
	watches *watches
	like    tap.Config // what all of them have
	own     [crypto.LinkPrefixLen]byte
	cid     [16]byte
}

// linkDevice is the TAP device of a link as the edge gets it.
type linkDevice struct {
	device  tapDevice
	waiter  interface{ Close() error }
	watches *watches
	watch   *watch
	once    sync.Once
}

// SetCarrier plugs the device in or out.
func (d *linkDevice) SetCarrier(up bool) error { return d.device.SetCarrier(up) }

// Close closes the waiter, which holds the device too, and the device.
func (d *linkDevice) Close() (err error) {
	d.once.Do(func() {
		_ = d.waiter.Close()
		d.watches.remove(d.watch)
		err = d.device.Close()
	})
	return err
}

// link opens the device of the link with a peer. It has a carrier when the peer can be
// reached. Nothing but the kernel keeps a peer from being the host's router by its link, so
// it is told whom the user lets be one: all, or this peer.
func (o *linkDevices) link(peer []byte, name string) (edge.Link, error) {
	cfg := o.like
	cfg.Routers = o.accept.Routers.May(peer)
	cfg.Name, cfg.MAC, cfg.NoCarrier = name, crypto.LinkMAC(o.own, [crypto.LinkPrefixLen]byte(peer), o.cid), true
	d, err := openDevice(o.open, cfg)
	if err != nil {
		return edge.Link{}, err
	}
	q := d.Queues()[0]
	w, err := waitForLink(q)
	if err != nil {
		_ = d.Close()
		return edge.Link{}, cli.Errorf(cli.Failure, "", "%w", err)
	}
	x := o.watches.add(d, tap.Watching{Link: true, Log: o.like.Log})
	return edge.Link{Peer: peer, Name: name, Device: &linkDevice{device: d, waiter: w, watches: o.watches, watch: x}, Frames: q, Waiter: w}, nil
}

// links opens the devices that were named, and calls opened with each.
func (o *linkDevices) links(opened func(edge.LinkDevice)) (links edge.Links, err error) {
	for _, n := range o.choice.Named {
		k, err := o.link(n.Peer, n.Device)
		if err != nil {
			return links, err
		}
		opened(k.Device)
		links.Named = append(links.Named, k)
	}
	if pattern := o.choice.Auto; pattern != "" {
		links.Open = func(id [32]byte, number int) (edge.Link, error) {
			return o.link(id[:], strings.Replace(pattern, "%d", strconv.Itoa(number), 1))
		}
	}
	return links, nil
}
