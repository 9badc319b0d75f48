package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/keysocket"
	"hedgerow/internal/limit"
	"hedgerow/internal/textfile"
)

const (
	// weakBits is the strength in bits below which a passphrase earns a
	// warning. At 160 ms for each guess, 2^60 guesses are beyond anybody.
	weakBits = 60
	// passphraseMemory is what the process needs while it makes a key of a passphrase, in
	// bytes: Argon2id's 64 MiB, and its own.
	passphraseMemory = 80 << 20
	// execEvery is how often a helper program, or a keeper of keys, is asked again.
	execEvery = 5 * time.Minute
)

// keyText is the name under which a key is handed over that was typed or piped.
const keyText = "key"

// keyKind says where the keys of the community come from.
type keyKind uint8

const (
	keyNone keyKind = iota
	keyOption
	keyEnvironment
	keyFile
	keyStdin
	keyCredential
	keyCommunityFile
	keyExec
	keySocket
	keyInsecure
)

// keyChoice is where the keys come from, and the text that was given for it: a
// passphrase, a path or a command.
type keyChoice struct {
	kind keyKind
	text string
	from string // for messages: the option or variable
}

// String never shows a key.
func (k keyChoice) String() string { return "key from " + k.from }

func communityFileFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "community-file", Usage: "read the community and its keys from `FILE` (see keygen)"}
}

// chooseKey finds the one source of the keys: an option, else the environment,
// else the credential that systemd prepared, else what 'edge join' has written.
func chooseKey(c *ucli.Context, env cli.Environment, joined joinedDir) (keyChoice, error) {
	var given []keyChoice
	for _, o := range []struct {
		name, shown string
		kind        keyKind
	}{{"k", "-k", keyOption}, {"key-file", "--key-file", keyFile}, {"community-file", "--community-file", keyCommunityFile}, {"key-exec", "--key-exec", keyExec}, {"key-socket", "--key-socket", keySocket}} {
		text, ok := cli.String(c, o.name)
		if !ok {
			continue
		}
		if text == "" {
			return keyChoice{}, fmt.Errorf("%s was given nothing", o.shown)
		}
		k := keyChoice{kind: o.kind, text: text, from: o.shown}
		if origin := cli.Origin(c, o.name); origin != "" {
			k.from = strings.TrimLeft(o.shown, "-") + " (" + origin + ")"
			if k.kind == keyOption {
				k.kind, k.from = keyEnvironment, origin // nobody has typed it
			}
		}
		if k.kind == keyFile && text == "-" {
			k.kind = keyStdin
		}
		given = append(given, k)
	}
	if cli.Bool(c, "insecure-no-encryption") {
		given = append(given, keyChoice{kind: keyInsecure, from: "--insecure-no-encryption"})
	}
	if len(given) > 1 {
		return keyChoice{}, fmt.Errorf("%s and %s exclude each other: take one away", given[0].from, given[1].from)
	}
	ambient := ambientKey(env)
	switch {
	case len(given) == 1 && given[0].kind == keyInsecure && ambient.kind == keyEnvironment:
		// Whoever set a key wants encryption; clear text must not win by accident.
		return keyChoice{}, fmt.Errorf("%s is set, and --insecure-no-encryption would ignore it: take one away", ambient.from)
	case len(given) == 1:
		return given[0], nil
	case ambient.kind != keyNone:
		return ambient, nil
	case joined.hasKeys():
		return keyChoice{kind: keyCommunityFile, text: joined.keys(), from: joined.keys()}, nil
	}
	return keyChoice{}, fmt.Errorf("no key: give one with --key-file FILE or EDGE_KEY, type 'edge join INVITE' if you were given an invite, or make one with 'edge keygen --community NAME -o FILE' and give --community-file FILE; --insecure-no-encryption goes without")
}

// ambientKey returns the key of the environment or of systemd.
func ambientKey(env cli.Environment) keyChoice {
	if v, name := env.First("EDGE_KEY", "N2N_KEY"); v != "" {
		return keyChoice{kind: keyEnvironment, text: v, from: name}
	}
	if dir, name := env.First("CREDENTIALS_DIRECTORY"); dir != "" {
		path := filepath.Join(dir, "key")
		if _, err := os.Stat(path); err == nil {
			return keyChoice{kind: keyCredential, text: path, from: "${" + name + "}/key"}
		}
	}
	return keyChoice{}
}

// community is what an edge needs to know of its keys.
type community struct {
	*crypto.Community
	source   crypto.KeySource // for reloads; nil when there is nothing to reload
	text     string           // that a successor cannot read where this process has; empty: it can
	warnings []string
}

// warn says what is wrong with keys that work.
func (k community) warn(w io.Writer) {
	for _, text := range k.warnings {
		fmt.Fprintln(w, "warning: "+text)
	}
}

// load reads the keys. name is the community's name from the command line, or
// empty when the file is to say it.
func (k keyChoice) load(ctx context.Context, name string, stdin io.Reader) (community, error) {
	var out community
	var err error
	switch k.kind {
	case keyCommunityFile:
		out.source = &crypto.FileSource{Path: k.text}
	case keyExec:
		out.source = &crypto.ExecSource{Argv: strings.Fields(k.text), Every: execEvery, CommunityName: name}
	case keySocket:
		out.source = &keysocket.Source{Path: k.text, Every: execEvery, CommunityName: name}
	case keyInsecure:
		out.Community, err = crypto.InsecureCommunity(name)
		out.warnings = append(out.warnings, "encryption is off (--insecure-no-encryption): everybody on the path can read and change what is sent.")
	default:
		var text string
		if text, err = k.read(stdin); err == nil {
			out.Community, err = fromText(name, text)
			out.warnings = k.warnings(text)
		}
		if k.kind == keyOption || k.kind == keyStdin {
			out.text = text
		}
	}
	if out.source != nil {
		out.Community, err = out.source.Load(ctx)
	}
	if err != nil {
		return community{}, k.fault(err)
	}
	if name != "" && out.Name != name {
		return community{}, cli.Errorf(cli.Usage, "", "-c %s, but %s holds the keys of %q: correct one of them, or leave -c out", name, k.from, out.Name)
	}
	return out, nil
}

// inherit returns the choice and the standard input of a process that a predecessor hands its
// key over to: on its command line the key is hidden, and its standard input was read.
func (k keyChoice) inherit(p *handover.Predecessor, stdin io.Reader) (keyChoice, io.Reader) {
	if p == nil {
		return k, stdin
	}
	f := p.Take(keyText)
	if f == nil {
		return k, stdin
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, crypto.MaxKeyFile)) // what is missing is no key
	if k.kind == keyStdin {
		return k, bytes.NewReader(b)
	}
	k.text = string(b)
	return k, stdin
}

// read returns the passphrase, or the text of a community file in its place.
func (k keyChoice) read(stdin io.Reader) (string, error) {
	switch k.kind {
	case keyFile:
		return crypto.ReadKeyFile(k.text)
	case keyStdin:
		return readText("standard input", stdin)
	case keyCredential:
		// The mode is not checked: systemd lets the service in by an access
		// list, which looks like a file that the group may read.
		f, err := os.Open(k.text)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return readText(k.from, f)
	}
	if k.kind == keyEnvironment { // often from a file of the container's or the service's
		return lineOf(k.from, []byte(k.text))
	}
	return k.text, nil
}

// lineOf returns a passphrase, or the text of a community file in its place, which may
// come wherever a passphrase may.
func lineOf(from string, b []byte) (string, error) {
	if crypto.IsCommunityFile(b) {
		return string(b), nil
	}
	s, err := textfile.Line(b)
	if err != nil {
		return "", fmt.Errorf("%s is no key: %w", from, err)
	}
	return s, nil
}

// readText reads a key without what an editor or a shell has put around it.
func readText(from string, r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, crypto.MaxKeyFile+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > crypto.MaxKeyFile:
		return "", fmt.Errorf("%s is longer than %d bytes: that is no key", from, crypto.MaxKeyFile)
	}
	return lineOf(from, b)
}

// fromText makes a community of a passphrase or of a community file's text.
func fromText(name, text string) (*crypto.Community, error) {
	if crypto.IsCommunityFile([]byte(text)) {
		return crypto.ParseCommunity([]byte(text))
	}
	if err := limit.Fits(passphraseMemory, "a passphrase"); err != nil {
		return nil, fmt.Errorf("%w. Or give --community-file, which needs none", err)
	}
	c, err := crypto.FromPassphrase(name, text)
	// Argon2id took 64 MiB, and nothing later needs so much: without this they
	// would stay resident until garbage is collected for the first time.
	debug.FreeOSMemory()
	return c, err
}

// warnings says what is wrong with a passphrase that works.
func (k keyChoice) warnings(text string) []string {
	var w []string
	if k.kind == keyOption {
		w = append(w, "the key was on the command line (ps, shell history). Prefer --key-file, EDGE_KEY or a systemd credential (LoadCredential=key:FILE).")
	}
	if crypto.IsCommunityFile([]byte(text)) {
		return w
	}
	if bits := crypto.PassphraseBits(text); bits < weakBits {
		w = append(w, fmt.Sprintf("the key is weak: about %.0f bits, and a supernode can try guesses. 'edge keygen' makes one of 256 bits.", bits))
	}
	return w
}

// fault turns an error about keys into one with an exit code.
func (k keyChoice) fault(err error) error {
	var own *cli.Error
	if errors.As(err, &own) {
		return err
	}
	code := cli.Usage
	if errors.Is(err, fs.ErrPermission) {
		code = cli.Permission
	}
	return &cli.Error{Code: code, Text: "cannot use the key of " + k.from + ": " + err.Error(), Err: err}
}
