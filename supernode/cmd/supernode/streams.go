package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/transport"
	"hedgerow/transport/stream"
)

// streamChoice says where edges come by TLS that cannot use UDP, and with which
// certificate.
type streamChoice struct {
	Off              bool
	Listen           []netip.AddrPort // empty: the number of the UDP port, on every address
	Certificate, Key string           // files; empty: a self-signed one
}

// streamFlags are the options that choose it.
func streamFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringSliceFlag{Name: "tls-listen", Usage: "accept edges whose network blocks UDP at TCP `ADDR:PORT`, or off; may be repeated; default: the number of the UDP port"},
		&ucli.StringFlag{Name: "tls-cert", Usage: "PEM `FILE` of the TLS certificate, read again when it changes; default: a self-signed one"},
		&ucli.StringFlag{Name: "tls-key", Usage: "PEM `FILE` of its key"},
	}
}

// parseStreams reads --tls-listen, --tls-cert and --tls-key.
func (cmd *command) parseStreams(c *ucli.Context, faults *cli.Faults) (s streamChoice) {
	listen := cli.Strings(c, "tls-listen")
	if text := cmd.place.Env("SUPERNODE_TLS_LISTEN"); len(listen) == 0 && text != "" {
		listen = strings.Split(text, ",")
	}
	s.Certificate = cmd.place.Option(c, "tls-cert", "SUPERNODE_TLS_CERT")
	s.Key = cmd.place.Option(c, "tls-key", "SUPERNODE_TLS_KEY")
	if (s.Certificate == "") != (s.Key == "") {
		faults.Addf("--tls-cert and --tls-key belong together: give both files or none")
	}
	if s.Off = slices.Contains(listen, "off"); s.Off {
		if len(listen) > 1 {
			faults.Addf("--tls-listen off contradicts --tls-listen %s", listen[(slices.Index(listen, "off")+1)%len(listen)])
		}
		return s
	}
	for _, text := range listen {
		at, err := parseListen(text)
		if err != nil {
			faults.Add(err)
			continue
		}
		s.Listen = append(s.Listen, at)
	}
	return s
}

// parseListen reads an address with a port, or a port alone, which is that of
// every address.
func parseListen(text string) (netip.AddrPort, error) {
	addr, number, ok := parseAddress(text)
	if !ok || number == 0 {
		return netip.AddrPort{}, fmt.Errorf("--tls-listen %s is neither an address with a port, such as 0.0.0.0:443 or :443, nor off", text)
	}
	if !addr.IsValid() {
		addr = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(addr, number), nil
}

// listen opens the TCP ports. address and first are those of UDP; one that is not valid is
// every address.
func (s *streamChoice) listen(address netip.Addr, first uint16) (listeners []net.Listener, err error) {
	if s.Off {
		return nil, nil
	}
	at := s.Listen
	if len(at) == 0 {
		if !address.IsValid() {
			address = netip.IPv6Unspecified()
		}
		at = []netip.AddrPort{netip.AddrPortFrom(address, first)}
	}
	for _, a := range at {
		text := a.String()
		if a.Addr() == netip.IPv6Unspecified() {
			text = ":" + strconv.Itoa(int(a.Port())) // on a host without IPv6 too
		}
		l, err := net.Listen("tcp", text)
		if err != nil {
			for _, opened := range listeners {
				_ = opened.Close()
			}
			return nil, listenError(a, err, "Choose another place with --tls-listen ADDR:PORT, or do without with --tls-listen off.")
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// listenError puts a refused TCP port into words; advice is what to type.
func listenError(a netip.AddrPort, err error, advice string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &cli.Error{Code: cli.Failure, Text: fmt.Sprintf("TCP port %d is taken by another process. %s", a.Port(), advice), Err: err}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return cli.Errorf(cli.Failure, "", "%s is no address of this host. %s", a.Addr(), advice)
	case errors.Is(err, syscall.EACCES):
		return cli.Errorf(cli.Permission, "", "TCP port %d needs more rights: ports below 1024 belong to root. %s", a.Port(), advice)
	}
	return cli.Errorf(cli.Failure, "", "cannot open TCP port %d: %w. %s", a.Port(), err, advice)
}

// newStreams makes the stream server of the listeners, whose streams are
// transports beside a socket.
func (p *process) newStreams(sides *transport.Sides) (*stream.Server, error) {
	cfg := stream.ServerConfig{Listeners: p.listeners, Sides: sides, Log: p.log}
	if key := p.options.Obfs.Bytes; len(key) > 0 {
		cfg.Path = crypto.ObfsStreamPath(key)
	}
	if files := p.options.Streams; files.Certificate != "" {
		loaded, err := stream.LoadCertificate(files.Certificate, files.Key, p.log)
		if err != nil {
			return nil, cli.Failed(err, "Choose others with --tls-cert FILE and --tls-key FILE.")
		}
		cfg.Certificate = loaded.Certificate
	} else {
		own, err := stream.SelfSigned(p.id.Seed)
		if err != nil {
			return nil, cli.Errorf(cli.Failure, "", "%w", err)
		}
		cfg.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }
	}
	return stream.NewServer(cfg)
}
