package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"hedgerow/internal/cli"
	"hedgerow/transport"
)

// portFile keeps the local UDP port, so that a restarted edge is where its
// peers and the NAT remember it.
const portFile = "port"

// openSocket opens the UDP socket: on the port that was asked for, else on the
// one of last time, else on any.
func openSocket(choice portChoice, stateDir string) (*transport.UDP, error) {
	if choice.Asked {
		conn, err := transport.ListenUDP(choice.Number, transport.Options{})
		return conn, socketError(err)
	}
	if port := savedPort(stateDir); port != 0 {
		if conn, err := transport.ListenUDP(port, transport.Options{}); err == nil {
			return conn, nil
		}
		// Taken by now: nobody asked for just this one.
	}
	conn, err := transport.ListenUDP(0, transport.Options{})
	if err != nil {
		return nil, socketError(err)
	}
	// Without the file the next start takes another port, nothing worse.
	_ = savePort(stateDir, conn.LocalAddr().Port())
	return conn, nil
}

// socketError gives an error of package transport its exit code.
func socketError(err error) error {
	if err == nil {
		return nil
	}
	code := cli.Failure
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		code = cli.Permission
	}
	// A port that is taken has its sentence and its E16 from there.
	return &cli.Error{Code: code, Text: err.Error(), Err: err}
}

// savedPort returns the port of last time, or 0.
func savedPort(stateDir string) uint16 {
	b, err := os.ReadFile(filepath.Join(stateDir, portFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

func savePort(stateDir string, port uint16) error {
	return os.WriteFile(filepath.Join(stateDir, portFile), []byte(strconv.Itoa(int(port))+"\n"), 0o600)
}
