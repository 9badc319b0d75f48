package main

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"hedgerow/integration/lab"
)

// A flow is numbered datagrams from one host to another one, which sends each
// back.
type flow struct {
	out, echo *net.UDPConn
	tasks     sync.WaitGroup

	mu       sync.Mutex
	sent     int
	returned map[uint64]bool
}

const (
	flowPort = 9000
	flowSize = 200                   // payload of a datagram, in bytes
	flowGap  = 20 * time.Millisecond // 50 a second
	// underWay is how long the last datagrams are waited for.
	underWay = 2 * time.Second
)

// startFlow opens a flow between two hosts at their addresses on the overlay.
// It sends when run is called.
func startFlow(from, to *lab.Host, source, destination netip.Addr) (f *flow, err error) {
	f = &flow{returned: make(map[uint64]bool)}
	if f.echo, err = to.ListenUDP("udp4", netip.AddrPortFrom(destination, flowPort).String()); err != nil {
		return nil, err
	}
	if f.out, err = from.ListenUDP("udp4", netip.AddrPortFrom(source, 0).String()); err != nil {
		f.echo.Close()
		return nil, err
	}
	f.tasks.Go(f.reflect)
	f.tasks.Go(f.receive)
	return f, nil
}

// run sends until ctx ends.
func (f *flow) run(ctx context.Context) {
	to := f.echo.LocalAddr().(*net.UDPAddr).AddrPort()
	tick := time.NewTicker(flowGap)
	defer tick.Stop()
	b := make([]byte, flowSize)
	for number := uint64(0); ; number++ {
		binary.BigEndian.PutUint64(b, number)
		f.mu.Lock()
		f.sent++
		f.mu.Unlock()
		// One that the machine refuses to send is lost like any other.
		_, _ = f.out.WriteToUDPAddrPort(b, to)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reflect sends back what arrives, until the socket is closed.
func (f *flow) reflect() {
	b := make([]byte, 2*flowSize)
	for {
		n, from, err := f.echo.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		_, _ = f.echo.WriteToUDPAddrPort(b[:n], from)
	}
}

// receive notes what came back, until the socket is closed.
func (f *flow) receive() {
	b := make([]byte, 2*flowSize)
	for {
		n, err := f.out.Read(b)
		if err != nil {
			return
		}
		if n == flowSize {
			f.mu.Lock()
			f.returned[binary.BigEndian.Uint64(b)] = true
			f.mu.Unlock()
		}
	}
}

// finish waits for the last datagrams, closes the flow, and returns how many
// were sent and how many of them did not come back.
func (f *flow) finish() (sent, lost int) {
	count := func() (int, int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.sent, f.sent - len(f.returned)
	}
	for end := time.Now().Add(underWay); time.Now().Before(end); time.Sleep(flowGap / 4) {
		if _, lost := count(); lost == 0 {
			break
		}
	}
	f.out.Close()
	f.echo.Close()
	f.tasks.Wait()
	return count()
}
