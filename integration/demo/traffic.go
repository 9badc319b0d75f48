//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"hedgerow/integration/rig"
)

// links returns the names of this namespace's network interfaces.
func links() (string, error) {
	list, err := net.Interfaces()
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " "), err
}

// Ports of the overlay that the demonstration uses.
const (
	broadcastPort = 9000
	transferPort  = 9001
)

const greeting = "hello, neighbours"

// broadcast sends one UDP broadcast and waits until both others have it.
func (s *show) broadcast() error {
	s.say("A broadcast of carol's, as a LAN game sends it, reaches both others:")
	heard := make(chan error, 2)
	others := []*rig.Program{s.alice, s.bob}
	for _, p := range others {
		conn, err := p.Host.ListenUDP("udp4", fmt.Sprintf("0.0.0.0:%d", broadcastPort))
		if err != nil {
			return err
		}
		defer conn.Close()
		go func() {
			b := make([]byte, 1500)
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, from, err := conn.ReadFromUDP(b)
			if err == nil && string(b[:n]) != greeting {
				err = fmt.Errorf("%q is not what was sent", b[:n])
			}
			if err == nil {
				fmt.Printf("           %-6s heard %q from %v\n", p.Name, b[:n], from.IP)
			}
			heard <- err
		}()
	}
	conn, err := s.carol.Host.ListenUDP("udp4", ":0")
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var option error
	if err := raw.Control(func(fd uintptr) {
		option = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
	}); err != nil || option != nil {
		return errors.Join(err, option)
	}
	prefix, err := s.rig.AwaitAddress(s.ctx, s.carol)
	if err != nil {
		return err
	}
	last := prefix.Masked().Addr().As4()
	for i := prefix.Bits(); i < 32; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	if _, err := conn.WriteToUDP([]byte(greeting), &net.UDPAddr{IP: last[:], Port: broadcastPort}); err != nil {
		return err
	}
	for range others {
		err = errors.Join(err, <-heard)
	}
	return err
}

// transfer moves 32 MiB over TCP, directly.
func (s *show) transfer() error {
	s.say("A TCP transfer over the overlay:")
	return s.move(32 << 20)
}

// move sends random bytes from alice to bob and compares what arrived.
func (s *show) move(size int) error {
	listener, err := s.bob.Host.Listen("tcp4", fmt.Sprintf("%v:%d", s.addresses["bob"], transferPort))
	if err != nil {
		return err
	}
	defer listener.Close()
	type receipt struct {
		sum [32]byte
		n   int64
		err error
	}
	got := make(chan receipt, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			got <- receipt{err: err}
			return
		}
		defer conn.Close()
		h := sha256.New()
		n, err := io.Copy(h, conn)
		got <- receipt{sum: [32]byte(h.Sum(nil)), n: n, err: err}
	}()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	began := time.Now()
	conn, err := s.alice.Host.Dial(s.ctx, "tcp4", fmt.Sprintf("%v:%d", s.addresses["bob"], transferPort))
	if err != nil {
		return err
	}
	if deadline, ok := s.ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	_, err = io.Copy(conn, bytes.NewReader(data))
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	r := <-got
	took := time.Since(began)
	if r.err != nil || r.n != int64(size) || r.sum != sha256.Sum256(data) {
		return fmt.Errorf("%d of %d bytes arrived, or others than were sent: %w", r.n, size, r.err)
	}
	fmt.Printf("           alice -> bob: %d MiB in %.2f s, %.0f Mbit/s, arrived as sent\n",
		size>>20, took.Seconds(), float64(size)*8/1e6/took.Seconds())
	return nil
}
