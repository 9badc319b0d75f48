//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/nftables"
)

// miniupnpdConfig lets the hosts of the home map the ports above 1023.
const miniupnpdConfig = `ext_ifname=%s
listening_ip=%s
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// Miniupnpd starts Debian's miniupnpd on the router, which then maps ports by PCP,
// NAT-PMP and UPnP. The program is its path, the folder is for its files; it ends
// with ctx. It maps nothing at an address for documentation.
func (r *Router) Miniupnpd(ctx context.Context, program, dir string) (*Cmd, error) {
	if err := r.miniupnpdChains(); err != nil {
		return nil, fmt.Errorf("the tables of miniupnpd: %w", err)
	}
	conf := filepath.Join(dir, "miniupnpd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, miniupnpdConfig, WANLink, LANLink), 0o600); err != nil {
		return nil, err
	}
	return r.Command(ctx, program, "-d", "-f", conf, "-P", filepath.Join(dir, "pid")), nil
}

// miniupnpdChains makes the chains that miniupnpd puts its rules in.
func (r *Router) miniupnpdChains() error {
	c, err := r.Namespace.rules(nftables.TableFamilyINet, "filter")
	if err != nil {
		return err
	}
	c.AddTable(c.table)
	for _, chain := range []nftables.Chain{
		{Name: "miniupnpd", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter},
		{Name: "prerouting_miniupnpd", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest},
		{Name: "postrouting_miniupnpd", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource},
	} {
		chain.Table = c.table
		c.AddChain(&chain)
	}
	return c.Flush()
}
