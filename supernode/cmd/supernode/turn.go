package main

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/supernode"
)

// turnChoice says where the supernode is a TURN server, too.
type turnChoice struct {
	Listen  netip.AddrPort // not valid: nowhere
	Address netip.Addr     // that the edges are given
	Ports   [2]uint16      // of relays; zeros: the default
}

// turnFlags are the options that choose it.
func turnFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "turn-listen", Usage: "be a TURN server for the edges at UDP `ADDR:PORT`, such as 203.0.113.1:3478; default: none"},
		&ucli.StringFlag{Name: "turn-address", Usage: "`IP` that edges reach it at; default: the address of --turn-listen"},
		&ucli.StringFlag{Name: "turn-ports", Usage: "UDP ports `MIN-MAX` of its relays; default: 49152-65535"},
	}
}

// parseTURN reads --turn-listen, --turn-address and --turn-ports.
func (cmd *command) parseTURN(c *ucli.Context, o *options, faults *cli.Faults) (t turnChoice) {
	listen := cmd.place.Option(c, "turn-listen", "SUPERNODE_TURN_LISTEN")
	address := cmd.place.Option(c, "turn-address", "SUPERNODE_TURN_ADDRESS")
	ports := cmd.place.Option(c, "turn-ports", "SUPERNODE_TURN_PORTS")
	if listen == "" {
		if address != "" || ports != "" {
			faults.Addf("--turn-address and --turn-ports say more about a TURN server: ask for one with --turn-listen ADDR:PORT")
		}
		return t
	}
	text := listen
	if strings.HasPrefix(text, ":") {
		text = o.ipv4().String() + text
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil || !at.Addr().Is4() || at.Port() == 0 {
		faults.Addf("--turn-listen %s is not an IPv4 address with a port, such as 203.0.113.1:3478 or :3478", listen)
		return t
	}
	t.Listen, t.Address = at, at.Addr()
	if a, err := netip.ParseAddr(o.Public); address == "" && err == nil && a.Is4() {
		t.Address = a
	} else if address != "" {
		if t.Address, err = netip.ParseAddr(address); err != nil || !t.Address.Is4() || t.Address.IsUnspecified() {
			faults.Addf("--turn-address %s is not the IPv4 address of a host", address)
		}
	} else if at.Addr().IsUnspecified() {
		faults.Addf("--turn-listen %s is on every address: say at which one the edges reach it with --turn-address IP or --public-address IP", listen)
	}
	if ports != "" {
		t.Ports = parsePortRange(ports, faults)
	}
	return t
}

// ipv4 returns the IPv4 address that the supernode listens on: the unspecified one unless it
// is a single one.
func (o *options) ipv4() netip.Addr {
	if o.Address.Is4() {
		return o.Address
	}
	return netip.IPv4Unspecified()
}

// parsePortRange reads --turn-ports.
func parsePortRange(text string, faults *cli.Faults) (ports [2]uint16) {
	first, last, ok := strings.Cut(text, "-")
	low, lowErr := strconv.ParseUint(first, 10, 16)
	high, highErr := strconv.ParseUint(last, 10, 16)
	if !ok || lowErr != nil || highErr != nil || low == 0 || low > high {
		faults.Addf("--turn-ports %s is not a range of ports, such as 49152-65535", text)
	}
	return [2]uint16{uint16(low), uint16(high)}
}

// open opens the socket of the TURN server; nil where there is to be none. On a host with
// several addresses everything has to leave from the one that edges are told, so of all
// addresses it is that one, unless it is a router's.
func (t *turnChoice) open() (*supernode.TURN, error) {
	if !t.Listen.IsValid() {
		return nil, nil
	}
	at := t.Listen
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(t.Address, at.Port())
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if at != t.Listen && errors.Is(err, syscall.EADDRNOTAVAIL) {
		at = t.Listen
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	}
	if err != nil {
		return nil, turnError(t.Listen, err)
	}
	return t.serveAt(conn), nil
}

// serveAt returns the TURN server at a socket that is open.
func (t *turnChoice) serveAt(conn net.PacketConn) *supernode.TURN {
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &supernode.TURN{Conn: conn, Address: t.Address, Bind: at.Addr().Unmap(), Ports: t.Ports}
}

// turnError puts a refused UDP port into words.
func turnError(a netip.AddrPort, err error) error {
	const advice = "Choose another place with --turn-listen ADDR:PORT."
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.Errorf(cli.Failure, "", "UDP port %d is taken by another process. %s", a.Port(), advice)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return cli.Errorf(cli.Failure, "", "%s is no address of this host; where a router stands for it, give the host's own address to --turn-listen and the router's to --turn-address IP.", a.Addr())
	case errors.Is(err, syscall.EACCES):
		return cli.Errorf(cli.Permission, "", "UDP port %d needs more rights: ports below 1024 belong to root. %s", a.Port(), advice)
	}
	return cli.Errorf(cli.Failure, "", "cannot open UDP port %d: %w. %s", a.Port(), err, advice)
}
