package portmap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"hedgerow/internal/netwatch"
)

// A router is the address of the router to ask, and our address towards it.
type router struct {
	gateway, local netip.Addr
}

// errNoRouter is a host without an IPv4 router.
var errNoRouter = errors.New("there is no default route of IPv4")

// SystemGateway returns a function for Config.Gateway that reads the host's main
// routing table. It leaves out routes by an interface for which exclude reports
// true, such as our own TAP device; exclude may be nil.
func SystemGateway(exclude func(ifname string) bool) func() (gateway, local netip.Addr, err error) {
	return func() (gateway, local netip.Addr, err error) {
		s, err := netwatch.Read(netwatch.Config{Exclude: exclude})
		if err != nil {
			return gateway, local, err
		}
		for _, r := range s.Routes {
			if r.Gateway.Is4() {
				local, err = localTowards(r.Gateway)
				return r.Gateway, local, err
			}
		}
		return gateway, local, errNoRouter
	}
}

// localTowards returns the address that the system sends from to another one.
// Nothing is sent.
func localTowards(to netip.Addr) (netip.Addr, error) {
	conn, err := net.Dial("udp4", netip.AddrPortFrom(to, pcpPort).String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cannot find the address towards the router: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), nil
}

// connect opens a socket that sends to the router's UDP port only and receives
// only from there.
func (r router) connect(port uint16) (net.Conn, error) {
	conn, err := net.DialUDP("udp4",
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0)),
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.gateway, port)))
	if err != nil {
		return nil, fmt.Errorf("cannot ask the router: %w", err)
	}
	return conn, nil
}

// waits are the times to wait for an answer to a request, and then to its
// repetitions. They are shorter than those of RFC 6887, section 8.1.1, and RFC
// 6886, section 3.1, which begin at 3 s and 250 ms and end after a minute and
// more: a router that has not answered by then is asked again by and by.
var waits = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// maxAnswer is the longest PCP message in bytes (RFC 6887, section 7).
const maxAnswer = 1100

// exchange sends a request, and again each time that the wait for an answer is
// over, until accept returns true for an answer. It returns errSilent when none
// comes. accept returns false for anything but the answer.
func exchange(ctx context.Context, conn net.Conn, request []byte, accept func(answer []byte) bool) error {
	// A read that runs ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxAnswer)
	for _, wait := range waits {
		deadline := time.Now().Add(wait)
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		if ctx.Err() != nil { // it may have ended before the deadline was set
			return ctx.Err()
		}
		// A request that cannot be sent now may succeed the next time, and the
		// error may be that of an earlier one.
		_, _ = conn.Write(request)
		for {
			n, err := conn.Read(buf)
			if err == nil && accept(buf[:n]) {
				return nil
			}
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				// The router says that nothing listens at that port, or that
				// there is no route. It may be starting: the next request is for
				// then.
				if err := pause(ctx, time.Until(deadline)); err != nil {
					return err
				}
			}
			break
		}
	}
	return errSilent
}

// pause waits so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
