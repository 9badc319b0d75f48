package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// transferFor is how long the TCP transfer goes on.
const transferFor = 2 * time.Second

// transfer sends bytes over TCP from anna to bert and compares what arrived.
func (s *stage) transfer(c *cast) error {
	s.title("A TCP connection between the two homes, end to end encrypted")
	listener, err := c.bert.host.Listen("tcp", netip.AddrPortFrom(c.bert.addr, 5001).String())
	if err != nil {
		return err
	}
	defer listener.Close()
	type outcome struct {
		sum [sha256.Size]byte
		err error
	}
	received := make(chan outcome, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			received <- outcome{err: err}
			return
		}
		defer conn.Close()
		h := sha256.New()
		_, err = io.CopyBuffer(h, onlyReader{conn}, make([]byte, 1<<20))
		received <- outcome{[sha256.Size]byte(h.Sum(nil)), err}
	}()
	conn, err := c.anna.host.Dial(s.ctx, "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	sum := sha256.New()
	sent, err := pour(conn, sum, transferFor)
	if err != nil {
		return err
	}
	r := <-received
	took := time.Since(began)
	if r.err != nil {
		return r.err
	}
	if r.sum != [sha256.Size]byte(sum.Sum(nil)) {
		return errors.New("bert received something else than anna sent")
	}
	s.say("anna sent %.1f MB to bert in %.2f s: %.0f Mbit/s, every byte as it was sent.",
		float64(sent)/1e6, took.Seconds(), float64(sent)*8/1e6/took.Seconds())
	return s.peers(c.anna)
}

// onlyReader hides the other methods of a connection, so that it is read in
// pieces of the given buffer.
type onlyReader struct{ io.Reader }

// pour writes bytes into a connection for a while, ends its stream, and returns
// how many they were.
func pour(conn net.Conn, sum hash.Hash, long time.Duration) (sent int, err error) {
	piece := make([]byte, 1<<16)
	source := rand.NewChaCha8([32]byte{})
	source.Read(piece)
	for end := time.Now().Add(long); time.Now().Before(end); {
		// Every piece is another one.
		source.Read(piece[:64])
		n, err := conn.Write(piece)
		sum.Write(piece[:n])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, conn.(*net.TCPConn).CloseWrite()
}

// broadcast sends one datagram to everybody in the community.
func (s *stage) broadcast(c *cast) error {
	const port = 5002
	s.title("It is one Ethernet: a broadcast by carla reaches everybody")
	var ears []*net.UDPConn
	hearers := []*actor{c.anna, c.bert}
	for _, a := range hearers {
		ear, err := a.host.ListenUDP("udp4", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			return err
		}
		defer ear.Close()
		ears = append(ears, ear)
	}
	mouth, err := c.carla.host.ListenUDP("udp4", netip.AddrPortFrom(c.carla.addr, 0).String())
	if err != nil {
		return err
	}
	defer mouth.Close()
	if err := bind(mouth, "edge0"); err != nil {
		return err
	}
	everybody := netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), port)
	const message = "hello hedgerow"
	s.say("carla sends %q to %s.", message, everybody)
	began := time.Now()
	if _, err := mouth.WriteToUDPAddrPort([]byte(message), everybody); err != nil {
		return err
	}
	b := make([]byte, 2048)
	for i, ear := range ears {
		ear.SetReadDeadline(time.Now().Add(patience))
		n, from, err := ear.ReadFromUDPAddrPort(b)
		if err != nil {
			return fmt.Errorf("%s heard nothing: %w", hearers[i].name, err)
		}
		s.say("%-5s hears %q from %s, after %.1f ms.", hearers[i].name, b[:n], from.Addr(), milliseconds(time.Since(began)))
	}
	return nil
}

// bind keeps the datagrams of a socket on one device: there is no route for a
// broadcast to all on a machine without IPv4.
func bind(c syscall.Conn, device string) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) { fault = unix.BindToDevice(int(fd), device) })
	return errors.Join(err, fault)
}
