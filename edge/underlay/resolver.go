package underlay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Resolver turns host names into addresses; *net.Resolver is one.
type Resolver interface {
	// LookupNetIP is that of net.Resolver: network is "ip", "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// SystemResolver is the resolver of this machine. Where it is Go's own, as on Linux and
// the BSDs, it notes which name servers it asks.
var SystemResolver = NewResolver(nil)

// NewResolver returns the resolver of this machine with sockets that control sets up before
// they are connected, as in net.Dialer; nil: they are as they are. With control it is Go's
// own on every system.
func NewResolver(control func(network, address string, c syscall.RawConn) error) *net.Resolver {
	d := net.Dialer{Control: control}
	return &net.Resolver{PreferGo: control != nil, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		noteNameServer(ctx, address)
		return d.DialContext(ctx, network, address)
	}}
}

// nameServers are those that a look-up has asked.
type nameServers struct {
	mu    sync.Mutex
	hosts []string
}

// nameServersKey is for the *nameServers of a context.
type nameServersKey struct{}

// maxNameServers is how many are noted, one more than resolv.conf(5) can name.
const maxNameServers = 4

// of returns a context whose look-up notes the servers.
func (s *nameServers) of(ctx context.Context) context.Context {
	return context.WithValue(ctx, nameServersKey{}, s)
}

// note notes a server.
func (s *nameServers) note(address string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hosts) < maxNameServers && !slices.Contains(s.hosts, host) {
		s.hosts = append(s.hosts, host)
	}
}

// blame returns err with the servers' names, if it says that none answered: the resolver
// leaves them out when the time is over.
func (s *nameServers) blame(err error) error {
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsTimeout {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hosts) == 0 {
		return err
	}
	named := *dns
	named.Server = strings.Join(s.hosts, ", ")
	return &named
}

// noteNameServer notes a server that a look-up asks, by the context of that.
func noteNameServer(ctx context.Context, address string) {
	if s, ok := ctx.Value(nameServersKey{}).(*nameServers); ok {
		s.note(address)
	}
}
