package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
)

// Files of an identity in the state directory of a community.
const (
	// identityFile holds the edge's identity.
	identityFile = "id"
	// machineKept holds whose the identity is: the hash of a machine id, or anyMachine.
	machineKept = "machine"
	// asideMark lies between the name of the identity's file and the time at which it was
	// set aside.
	asideMark = ".aside-"
	// anyMachine says that the identity goes where its directory goes.
	anyMachine = "any"
)

// identityDir is the directory that holds the identity of this machine in a community.
type identityDir struct {
	path    string
	machine string // the hash of this machine's id; empty: the system gives it none
	now     func() time.Time
}

// identityDir returns the directory of a community.
func (cmd *command) identityDir(path string) identityDir {
	return identityDir{path: path, machine: cmd.machine(), now: cmd.now}
}

// thisMachine returns the hash of this machine's id. The id itself is confidential
// (machine-id(5)), and this hash is of no use to other programs.
func thisMachine() string { return machineHash(lastingID(machineFile)) }

// machineHash returns the hash of a machine id; empty: there is none, or none yet.
func machineHash(id string) string {
	if id == "" || id == "uninitialized" {
		return ""
	}
	sum := sha256.Sum256([]byte("hedgerow/1 machine id\x00" + id))
	return hex.EncodeToString(sum[:])
}

// file returns the path of the identity.
func (d identityDir) file() string { return filepath.Join(d.path, identityFile) }

// kept returns whose the identity is by what is written beside it; empty: that is not
// known.
func (d identityDir) kept() string {
	b, err := os.ReadFile(filepath.Join(d.path, machineKept))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// foreign reports whether the identity is another machine's: the directory was copied.
func (d identityDir) foreign() bool {
	kept := d.kept()
	return kept != "" && kept != anyMachine && d.machine != "" && kept != d.machine
}

// own writes whose the identity is, unless that is written.
func (d identityDir) own(whose string) error {
	if whose == "" || whose == d.kept() {
		return nil
	}
	return durable.Replace(filepath.Join(d.path, machineKept), []byte(whose+"\n"), 0o600)
}

// opened is an identity as a start has found or made it.
type opened struct {
	id      *crypto.Identity
	created bool
	left    string // path of another machine's identity that was set aside; empty: none was
}

// open reads the identity, or makes one where there is none. One that belongs to another
// machine is set aside for a new one: two machines with one identity throw each other out.
func (d identityDir) open() (o opened, err error) {
	if _, err := os.Stat(d.file()); err == nil && d.foreign() {
		if o.left, err = d.setAside(); err != nil {
			return opened{}, err
		}
	}
	if o.id, o.created, err = crypto.LoadIdentity(d.file()); err != nil {
		return opened{}, err
	}
	if kept := d.kept(); kept == anyMachine {
		return o, nil
	}
	return o, d.own(d.machine)
}

// setAside moves the identity away and returns where it is.
func (d identityDir) setAside() (path string, err error) {
	for at := d.now().UTC(); ; at = at.Add(time.Second) {
		path = d.file() + asideMark + at.Format("20060102T150405Z")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return path, os.Rename(d.file(), path)
		}
	}
}

// aside returns the path of the identity that was set aside last; empty: there is none.
func (d identityDir) aside() string {
	list, _ := os.ReadDir(d.path) // sorted by name, and so by time
	for _, entry := range slices.Backward(list) {
		if strings.HasPrefix(entry.Name(), identityFile+asideMark) {
			return filepath.Join(d.path, entry.Name())
		}
	}
	return ""
}

// adopt makes the identity that came with the directory this machine's: the one that is
// there, if it is another machine's, else the one that was set aside last, which changes
// places with the one in use. whose is this machine or anyMachine. It fails with
// fs.ErrNotExist when there is nothing to adopt.
func (d identityDir) adopt(whose string) (*crypto.Identity, error) {
	came := d.aside()
	switch {
	case d.foreign() || whose == anyMachine && came == "":
	case came == "":
		return nil, fs.ErrNotExist
	default:
		if _, err := os.Stat(d.file()); err == nil {
			if _, err := d.setAside(); err != nil {
				return nil, err
			}
		}
		if err := os.Rename(came, d.file()); err != nil {
			return nil, err
		}
	}
	id, _, err := crypto.LoadIdentity(d.file())
	if err != nil {
		return nil, err
	}
	return id, d.own(whose)
}

// renew sets the identity aside and makes a new one.
func (d identityDir) renew() (*crypto.Identity, error) {
	if _, err := os.Stat(d.file()); err == nil {
		if _, err := d.setAside(); err != nil {
			return nil, err
		}
	}
	id, _, err := crypto.LoadIdentity(d.file())
	if err != nil {
		return nil, err
	}
	return id, d.own(d.machine)
}
