// Package obfs reads the obfuscation key of supernodes from where both commands take secrets:
// an option, a file, the environment, or a credential of the service manager.
package obfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/textfile"
)

const (
	// weakBits is the strength in bits below which a key earns a warning. A guess costs
	// whoever has recorded a packet next to nothing.
	weakBits = 80
	// file names the key in the hands of a successor, and as a credential.
	file = "obfs-key"
)

// Key is an obfuscation key as it was given. The zero value is none.
type Key struct {
	Bytes    []byte   // what masks are made of; empty: there is no key
	Warnings []string // sentences about what is wrong with one that works
	Typed    bool     // on the command line, where a successor does not see it
}

// Flags are the options.
func Flags(variable string) []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "obfs-key", Usage: "`KEY` that supernode and edges share, so that nobody else recognises or finds the supernode (others may see it: prefer --obfs-key-file)"},
		&ucli.StringFlag{Name: "obfs-key-file", Usage: "read that key from `FILE`; or set " + variable},
	}
}

// Read reads the key of the command line, else of the environment variable, else of the
// service manager.
func Read(c *ucli.Context, env cli.Environment, variable string) (k Key, err error) {
	text, typed := cli.String(c, "obfs-key")
	path, named := cli.String(c, "obfs-key-file")
	from := "--obfs-key"
	switch dir, _ := env.First("CREDENTIALS_DIRECTORY"); {
	case typed && named:
		return k, errors.New("--obfs-key and --obfs-key-file exclude each other: take one away")
	case typed && text == "" || named && path == "":
		return k, errors.New("--obfs-key or --obfs-key-file was given nothing")
	case cli.Origin(c, "obfs-key") != "":
		from = cli.Origin(c, "obfs-key")
	case typed:
		k.Typed = true
		k.Warnings = append(k.Warnings, "the obfuscation key was on the command line (ps, shell history). Prefer --obfs-key-file, "+variable+" or a systemd credential (LoadCredential="+file+":FILE).")
	case named:
		from = "--obfs-key-file " + path
		text, err = crypto.ReadKeyFile(path)
	case env(variable) != "":
		from = variable
		text, err = textfile.Line([]byte(env(variable)))
	case dir != "":
		from = "the credential " + file
		text, err = credential(filepath.Join(dir, file))
	}
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("the obfuscation key of %s cannot be used: %w", from, err)
	case len(text) > crypto.MaxObfsKey:
		return Key{}, fmt.Errorf("the obfuscation key of %s has %d bytes, and %d are the most", from, len(text), crypto.MaxObfsKey)
	}
	if text == "" {
		return k, nil
	}
	k.Bytes = []byte(text)
	if bits := crypto.PassphraseBits(text); bits < weakBits {
		k.Warnings = append(k.Warnings, fmt.Sprintf("the obfuscation key is weak: about %.0f bits, and whoever has recorded packets can try guesses. 'head -c 24 /dev/urandom | base64' prints one of 192 bits.", bits))
	}
	return k, nil
}

// credential reads what the service manager has put there, perhaps nothing. It lets the service
// in by an access list, so the mode of the file says nothing.
func credential(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return textfile.Line(b)
}

// Inherit takes a key from a predecessor that was typed: on the command line of a successor it
// is hidden.
func (k *Key) Inherit(files interface{ Take(name string) *os.File }) {
	f := files.Take(file)
	if f == nil {
		return
	}
	defer f.Close()
	k.Warnings = nil                                                      // the predecessor has said them
	k.Bytes, _ = io.ReadAll(io.NewSectionReader(f, 0, crypto.MaxObfsKey)) // what is missing is no key
}

// File returns what a successor inherits; ok is false if it reads the key where this process
// has.
func (k *Key) File() (f handover.Named, ok bool, err error) {
	if !k.Typed {
		return f, false, nil
	}
	f.Name = file
	f.File, err = handover.Text(file, k.Bytes)
	return f, true, err
}

// String never shows the key.
func (k Key) String() string {
	if len(k.Bytes) == 0 {
		return "no obfuscation key"
	}
	return "an obfuscation key"
}

// GoString is String.
func (k Key) GoString() string { return k.String() }
