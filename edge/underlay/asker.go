package underlay

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// asker is a further socket for a measurement: servers are asked from it where they see
// it, and what they answer is waited for in the same goroutine.
type asker struct {
	conn  Socket
	heard chan heardAnswer
}

// heardAnswer is a datagram that came to an asker.
type heardAnswer struct {
	from netip.AddrPort
	pkt  []byte
}

// openAsker opens one to ask a server, and reports whether the system had a socket left.
func (c *Config) openAsker(server netip.AddrPort) (*asker, bool) {
	a := &asker{heard: make(chan heardAnswer, 4)}
	conn, err := c.Transports.Open(func(from netip.AddrPort, pkt []byte) {
		select {
		case a.heard <- heardAnswer{from, bytes.Clone(pkt)}:
		default: // more than anybody asked for
		}
	})
	if err != nil {
		c.refuse(RefusedSocket, server, err)
		return nil, false
	}
	a.conn = conn
	return a, true
}

func (a *asker) close() { _ = a.conn.Close() }

// seen waits for the answer to one of the requests that were asked, which all count as
// sent when the measurement began. It returns where the server sees the socket that has
// asked. When ctx has ended only what has come by then counts.
func (a *asker) seen(ctx context.Context, began time.Time, asked *address.Bindings) (seen netip.AddrPort, ok bool) {
	for {
		var answer heardAnswer
		select {
		case answer = <-a.heard:
		default:
			select {
			case answer = <-a.heard:
			case <-ctx.Done():
				return netip.AddrPort{}, false
			}
		}
		if seen, err := asked.HandleResponse(began, answer.from, answer.pkt); err == nil {
			return seen, true
		}
	}
}
