package main

import (
	"net/netip"
	"runtime"
	"slices"
	"strconv"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/tap"
	"hedgerow/transport"
)

// mostQueues bounds how many queues an edge has; beyond a few, cores are better
// left to what sends and receives. defaultQueues is how many it has by default, at most.
const (
	mostQueues    = 16
	defaultQueues = 4
)

// queueChoice is how frames and datagrams are moved.
type queueChoice struct {
	Backend tap.Backend
	Count   int
	Without without
	Port    portChoice
}

// without is what tests and benchmarks do without, although the kernel has it.
type without struct {
	device tap.Features
	socket transport.Options
	batch  bool
}

// parseQueues reads --tap-backend, --queues and --offload; an empty text is
// the default.
func parseQueues(backend, count, without string) (queueChoice, error) {
	c := queueChoice{Count: min(runtime.NumCPU(), defaultQueues)}
	var faults cli.Faults
	if backend != "" {
		var err error
		c.Backend, err = tap.ParseBackend(backend)
		if err != nil {
			faults.Addf("--tap-backend: %v", err)
		}
	}
	if count != "" {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > mostQueues {
			faults.Addf("--queues %s is not a number from 1 to %d", count, mostQueues)
		}
		c.Count = n
	}
	if without != "" {
		faults.Add(c.Without.parse(without))
	}
	return c, faults.Err()
}

// parse reads a list such as "gso=off,gro=off".
func (w *without) parse(list string) error {
	names, err := cli.Offloads(list, "vnet", "csum", "tso", "uso", "gso", "gro", "batch")
	for _, name := range names {
		switch name {
		case "vnet":
			w.device |= tap.FeatureVnet
		case "csum":
			w.device |= tap.FeatureCsum
		case "tso":
			w.device |= tap.FeatureTSO
		case "uso":
			w.device |= tap.FeatureUSO
		case "gso":
			w.socket.NoGSO = true
		case "gro":
			w.socket.NoGRO = true
		case "batch":
			w.batch, w.socket.NoBatch = true, true
		}
	}
	return err
}

// openQueues pairs the queues of the device with sockets. What is left
// over is closed: the kernel would give it a share of the traffic.
func (m *member) openQueues() error {
	frames := m.device.Queues()
	for len(m.estate.sockets) > len(frames) {
		_ = m.estate.sockets[len(m.estate.sockets)-1].Close()
		m.estate.sockets = slices.Delete(m.estate.sockets, len(m.estate.sockets)-1, len(m.estate.sockets))
	}
	sides := transport.NewSides()
	m.transports = underlay.Transports{Sides: sides, NAT64: sides.NAT64(), Open: m.openSocket, Uplinks: m.uplinks, Dial: m.dialStream, TURN: newTURNClient(m.log)}
	for i, socket := range m.estate.sockets {
		q := dataplane.Queue{Frames: frames[i]}
		var first *transport.MuxReader
		if i == 0 { // it also reads the other transports
			var err error
			if first, err = sides.Reader(socket, false); err != nil {
				return cli.Errorf(cli.Failure, "", "%w", err)
			}
			q.Conn = first
		} else {
			q.Conn = sides.Writer(socket)
		}
		w, err := waitFor(frames[i], socket, first)
		if err != nil {
			return cli.Errorf(cli.Failure, "", "%w", err)
		}
		m.service.OnClose(func() { _ = w.Close() })
		q.Waiter = w
		m.queues = append(m.queues, q)
	}
	return nil
}

// openSocket opens one of the further sockets that are needed to get through a NAT.
func (m *member) openSocket(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
	return m.openBound(m.options.Nearby.Underlay, receive)
}

// uplinks returns by which other interfaces an address may be reached, unless the user
// wants one.
func (m *member) uplinks(to netip.Addr) (list []underlay.Uplink) {
	binding := m.options.Nearby.Underlay
	if binding.Interface != "" {
		return nil
	}
	for _, name := range m.device.stack.Uplinks(to) {
		binding.Interface = name
		list = append(list, underlay.Uplink{Name: name, Open: func(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
			return m.openBound(binding, receive)
		}})
	}
	return list
}

// openBound opens a further socket that is bound.
func (m *member) openBound(b transport.Binding, receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
	s, err := transport.OpenSingle(b, m.transports.NAT64, receive)
	if err != nil {
		return nil, err
	}
	m.own.OpenUDP(s.Port())
	return &furtherSocket{Single: s, own: m.own}, nil
}

// furtherSocket is a further socket that is told from others while it is open.
type furtherSocket struct {
	*transport.Single
	own *bridge.Sockets
}

// Close closes the socket. Its port is free for others when it is closed.
func (s *furtherSocket) Close() error {
	s.own.CloseUDP(s.Port())
	return s.Single.Close()
}
