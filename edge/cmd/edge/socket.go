package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hedgerow/internal/cli"
	"hedgerow/internal/durable"
	"hedgerow/transport"
)

// portFile keeps the local UDP port, so that a restarted edge is where its
// peers and the NAT remember it.
const portFile = "port"

// portChoice is the local UDP port. Without Asked it is the one of last time.
type portChoice struct {
	Asked  bool
	Number uint16 // 0: any free one
}

// openSockets opens the UDP sockets, one for each queue: on the port that was
// asked for, else on the one of last time, else on any. There may be fewer than n
// where the system allows no more.
func openSockets(choice portChoice, n int, opts transport.Options, stateDir string) ([]*transport.UDP, error) {
	if choice.Asked {
		conns, err := transport.ListenUDPGroup(choice.Number, n, opts)
		return conns, socketError(err)
	}
	if port := savedPort(stateDir); port != 0 {
		if conns, err := transport.ListenUDPGroup(port, n, opts); err == nil {
			return conns, nil
		}
		// Another process has it by now, and the user did not ask for it.
	}
	conns, err := transport.ListenUDPGroup(0, n, opts)
	if err != nil {
		return nil, socketError(err)
	}
	// Without the file the next start takes another port, nothing worse.
	_ = savePort(stateDir, conns[0].LocalAddr().Port())
	return conns, nil
}

// socketError gives an error of package transport its exit code.
func socketError(err error) error {
	if err == nil {
		return nil
	}
	// A port that is taken has its sentence and its E16 from there.
	return cli.Failed(err, "")
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
	return durable.Replace(filepath.Join(stateDir, portFile), []byte(strconv.Itoa(int(port))+"\n"), 0o600)
}
