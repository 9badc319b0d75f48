package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// mostPorts bounds how many ports of a bridge are looked at; Linux has 1023 at
// most (BR_MAX_PORTS).
const mostPorts = 1024

// links asks the kernel about interfaces, bridges and their ports. Its sockets
// stay in the namespace of the thread that opened it, whichever thread asks.
// Package netlink does not tell the path cost of a port, nor half of the options of
// a bridge.
type links struct {
	sockets map[int]*nl.SocketHandle
	// routes lists routes as picked out by the kernel (NETLINK_GET_STRICT_CHK, Linux 4.20).
	routes *nl.SocketHandle
}

// openLinks opens the sockets. The netfilter one may be missing: a kernel without
// nftables has nothing to say there.
func openLinks() (*links, error) {
	l := &links{sockets: make(map[int]*nl.SocketHandle)}
	var err error
	if l.sockets[unix.NETLINK_ROUTE], err = openNetlink(unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	if l.routes, err = openNetlink(unix.NETLINK_ROUTE); err != nil {
		l.close()
		return nil, err
	}
	_ = unix.SetsockoptInt(l.routes.Socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) // without it, all are listed
	if s, err := openNetlink(unix.NETLINK_NETFILTER); err == nil {
		l.sockets[unix.NETLINK_NETFILTER] = s
	}
	return l, nil
}

// openNetlink opens a socket in the namespace of the calling thread.
func openNetlink(family int) (*nl.SocketHandle, error) {
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), family)
	if err != nil {
		return nil, err
	}
	limit := &unix.Timeval{Sec: 2} // the kernel answers at once
	_ = s.SetReceiveTimeout(limit)
	_ = s.SetSendTimeout(limit)
	return &nl.SocketHandle{Socket: s}, nil
}

func (l *links) close() {
	for _, s := range l.sockets {
		s.Close()
	}
	if l.routes != nil {
		l.routes.Close()
	}
}

// request makes a request on our own sockets.
func (l *links) request(kind, flags int) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = l.sockets
	return r
}

// byIndex returns an interface, or nil if there is none.
func (l *links) byIndex(index int) (*link, error) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return l.one(msg)
}

// byName returns an interface, or nil if there is none.
func (l *links) byName(name string) (*link, error) {
	return l.one(nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
}

func (l *links) one(data ...nl.NetlinkRequestData) (*link, error) {
	r := l.request(unix.RTM_GETLINK, unix.NLM_F_ACK)
	for _, d := range data {
		r.AddData(d)
	}
	list, err := r.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENODEV) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLink(list[0])
}

// ports returns the ports of a bridge.
func (l *links) ports(bridge int) (list []link, err error) {
	r := l.request(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))
	err = r.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(msg []byte) bool {
		// Linux before 4.6 lists all interfaces.
		if p, err := parseLink(msg); err == nil && p.master == bridge {
			list = append(list, *p)
		}
		return len(list) < mostPorts
	})
	return list, err
}

// setCost sets the path cost of a port.
func (l *links) setCost(index, cost int) error {
	r := l.request(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(index)
	r.AddData(msg)
	port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	port.AddRtAttr(nl.IFLA_BRPORT_COST, nl.Uint32Attr(uint32(cost)))
	r.AddData(port)
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// A link is an interface as the kernel describes it.
type link struct {
	index  int
	name   string
	kind   string // "bridge", "tun", "veth"; empty: a card
	up     bool
	mtu    int
	mac    [6]byte
	master int // index of the bridge that it is a port of; 0: none
	lower  int // index of the interface that it is stacked on; 0: none
	port   portOptions
	bridge bridgeOptions
}

// portOptions are those of a port of a bridge.
type portOptions struct {
	state                            uint8
	cost                             int
	isolated                         bool
	learning, unicast, group, others bool // learns; floods unknown unicast, multicast, broadcast
}

// Linux's states of a port (linux/if_bridge.h) in which it passes nothing for a
// reason that time does not remove.
const (
	portDisabled = 0
	portBlocking = 4
)

// bridgeOptions are those of a bridge.
type bridgeOptions struct {
	stp       uint32
	ageing    uint32 // in hundredths of a second
	vlans     bool   // frames are sorted by their VLAN
	pvid      uint16 // VLAN of new ports
	groupMask uint16 // which groups 01:80:c2:00:00:0X are forwarded
	filter4   bool   // IPv4 goes through the rules of iptables
	filter6   bool
}

// parseLink reads an RTM_NEWLINK message without its header.
func parseLink(msg []byte) (*link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return nil, unix.EBADMSG
	}
	head := nl.DeserializeIfInfomsg(msg)
	l := &link{index: int(head.Index), up: head.Flags&unix.IFF_UP != 0}
	elsewhere := false // what it is stacked on is in another namespace, and its index means nothing here
	err := eachAttribute(msg[unix.SizeofIfInfomsg:], func(kind uint16, b []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = text(b)
		case unix.IFLA_MTU:
			l.mtu = int(number(b))
		case unix.IFLA_ADDRESS:
			copy(l.mac[:], net.HardwareAddr(b))
		case unix.IFLA_MASTER:
			l.master = int(number(b))
		case unix.IFLA_LINK:
			l.lower = int(number(b))
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_LINKINFO:
			l.parseInfo(b)
		}
	})
	if elsewhere || l.kind == "veth" { // a veth names its other end so
		l.lower = 0
	}
	return l, err
}

// parseInfo reads what is peculiar to the interface's kind, and to its master's.
func (l *link) parseInfo(b []byte) {
	var own, port []byte
	var master string
	_ = eachAttribute(b, func(kind uint16, b []byte) {
		switch kind {
		case nl.IFLA_INFO_KIND:
			l.kind = text(b)
		case nl.IFLA_INFO_DATA:
			own = b
		case nl.IFLA_INFO_SLAVE_KIND:
			master = text(b)
		case nl.IFLA_INFO_SLAVE_DATA:
			port = b
		}
	})
	if l.kind == bridgeKind {
		_ = eachAttribute(own, l.bridge.set)
	}
	if master == bridgeKind {
		_ = eachAttribute(port, l.port.set)
	}
}

// bridgeKind is the kernel's word for a bridge.
const bridgeKind = "bridge"

func (p *portOptions) set(kind uint16, b []byte) {
	n := number(b)
	switch kind {
	case nl.IFLA_BRPORT_STATE:
		p.state = uint8(n)
	case nl.IFLA_BRPORT_COST:
		p.cost = int(n)
	case nl.IFLA_BRPORT_ISOLATED:
		p.isolated = n != 0
	case nl.IFLA_BRPORT_LEARNING:
		p.learning = n != 0
	case nl.IFLA_BRPORT_UNICAST_FLOOD:
		p.unicast = n != 0
	case nl.IFLA_BRPORT_MCAST_FLOOD:
		p.group = n != 0
	case nl.IFLA_BRPORT_BCAST_FLOOD:
		p.others = n != 0
	}
}

func (o *bridgeOptions) set(kind uint16, b []byte) {
	n := number(b)
	switch kind {
	case nl.IFLA_BR_STP_STATE:
		o.stp = uint32(n)
	case nl.IFLA_BR_AGEING_TIME:
		o.ageing = uint32(n)
	case nl.IFLA_BR_VLAN_FILTERING:
		o.vlans = n != 0
	case nl.IFLA_BR_VLAN_DEFAULT_PVID:
		o.pvid = uint16(n)
	case nl.IFLA_BR_GROUP_FWD_MASK:
		o.groupMask = uint16(n)
	case nl.IFLA_BR_NF_CALL_IPTABLES:
		o.filter4 = n != 0
	case nl.IFLA_BR_NF_CALL_IP6TABLES:
		o.filter6 = n != 0
	}
}

// eachAttribute calls f with every attribute in a list of them.
func eachAttribute(b []byte, f func(kind uint16, value []byte)) error {
	list, err := nl.ParseRouteAttr(b)
	for _, a := range list {
		f(a.Attr.Type&attributeType, a.Value)
	}
	return err
}

// attributeType is the bits of an attribute's type that are no flags (NLA_TYPE_MASK).
const attributeType = 0x3fff

// number reads an attribute of 1, 2 or 4 bytes; 0 if it is none.
func number(b []byte) uint32 {
	switch len(b) {
	case 1:
		return uint32(b[0])
	case 2:
		return uint32(binary.NativeEndian.Uint16(b))
	case 4:
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

// text reads an attribute that is a string, which ends with a zero or without.
func text(b []byte) string {
	if n := bytes.IndexByte(b, 0); n >= 0 {
		b = b[:n]
	}
	return string(b)
}
