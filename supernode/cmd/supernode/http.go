package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/supernode"
	"hedgerow/supernode/metrics"
)

// httpFlag is --http.
func httpFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "http", Usage: "show /metrics, /healthz and /readyz to monitors at TCP `ADDR:PORT`; without ADDR on this host alone; default: none"}
}

// parseHTTP reads --http. Without an address it is the loopback's.
func (cmd *command) parseHTTP(c *ucli.Context, faults *cli.Faults) (at netip.AddrPort) {
	text := cmd.place.Option(c, "http", "SUPERNODE_HTTP")
	if text == "" || text == "off" {
		return at
	}
	whole := text
	if port, _ := strings.CutPrefix(text, ":"); !strings.Contains(port, ":") {
		whole = "127.0.0.1:" + port
	}
	at, err := netip.ParseAddrPort(whole)
	if err != nil || at.Port() == 0 {
		faults.Addf("--http %s is not an address with a port, such as 127.0.0.1:9654, :9654 for this host alone, or 0.0.0.0:9654 for everybody", text)
	}
	return at
}

// openHTTP opens the port of --http, if there is to be one.
func (p *process) openHTTP() error {
	at := p.options.HTTP
	if !at.IsValid() {
		return nil
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return listenError(at, err, "Choose another place with --http ADDR:PORT.")
	}
	p.http = l
	p.service.OnClose(func() { _ = l.Close() })
	if !at.Addr().IsLoopback() {
		p.log.Warn("whoever reaches this address sees how many edges each community has and what is relayed for it: keep strangers out with a firewall, or leave the address out of --http", "address", at)
	}
	return nil
}

// serveHTTP shows s to monitors until ctx ends.
func (p *process) serveHTTP(ctx context.Context, s *supernode.Server) {
	if p.http == nil {
		return
	}
	if err := localapi.ServeOpen(ctx, p.http, metrics.Handler(s)); err != nil {
		p.log.Error("monitors get no answer any more", "err", err)
		note := fmt.Sprintf("monitors get no answer at %s any more. Start the supernode again; the log says why.", p.options.HTTP)
		s.Note(func() string { return note })
	}
}
