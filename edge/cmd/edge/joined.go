package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/durable"
	"hedgerow/internal/invite"
	"hedgerow/internal/textfile"
	"hedgerow/protocol"
)

// Files that "edge join" writes into the state directory of a community, and that an edge
// reads where no option says otherwise.
const (
	// joinedKeys is a community file.
	joinedKeys = "community.keys"
	// joinedSupernodes has a supernode in each line.
	joinedSupernodes = "supernodes"
)

// What stands in front of the token of a supernode, and of its obfuscation key.
const (
	tokenWord = "token"
	obfsWord  = "obfs"
)

// joinedDir is the state directory of a community that this machine may have joined; empty:
// none was named.
type joinedDir string

// joinedIn returns the directory of a community in a state directory.
func joinedIn(stateDir, community string) joinedDir {
	if stateDir == "" || community == "" {
		return ""
	}
	return joinedDir(filepath.Join(stateDir, cli.FileName(community)))
}

// keys returns the path of the keys, supernodes that of the supernodes.
func (d joinedDir) keys() string       { return filepath.Join(string(d), joinedKeys) }
func (d joinedDir) supernodes() string { return filepath.Join(string(d), joinedSupernodes) }

// hasKeys reports whether there is a file of keys.
func (d joinedDir) hasKeys() bool {
	if d == "" {
		return false
	}
	_, err := os.Stat(d.keys())
	return err == nil
}

// readSupernodes reads the supernodes; none if there is no file. One that has another key by
// now has that, so that what is typed with it finds the token.
func (d joinedDir) readSupernodes() ([]edge.Supernode, error) {
	if d == "" {
		return nil, nil
	}
	path := d.supernodes()
	err := crypto.CheckKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := textfile.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	var list []edge.Supernode
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		sn, err := parseJoined(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, i+1, err)
		}
		if sn.Key != nil {
			sn.Key, _ = edge.KnownKey(string(d), sn.Name, sn.Key)
		}
		list = append(list, sn)
	}
	if len(list) > protocol.MaxEdgeSupernodes {
		return nil, fmt.Errorf("%s names %d supernodes: %d are the most", path, len(list), protocol.MaxEdgeSupernodes)
	}
	return list, nil
}

// parseJoined reads HOST:PORT[#KEY] [token TOKEN] [obfs KEY].
func parseJoined(line string) (edge.Supernode, error) {
	words := strings.Fields(line)
	sn, err := parseSupernode(words[0])
	if err == nil && len(words)%2 == 0 {
		return sn, errJoined
	}
	for rest := words[1:]; len(rest) > 0 && err == nil; rest = rest[2:] {
		switch rest[0] {
		case tokenWord:
			var token invite.Token
			token, err = invite.DecodeToken(rest[1])
			sn.Token = token[:]
		case obfsWord:
			var key invite.ObfsKey
			key, err = invite.DecodeObfs(rest[1])
			sn.ObfsKey = key
		default:
			err = errJoined
		}
	}
	return sn, err
}

var errJoined = fmt.Errorf("write HOST:PORT#KEY, and behind it if need be %s TOKEN and %s KEY", tokenWord, obfsWord)

// write writes what an invite says. The keys come last: without them the edge does not
// start, so that it finds all or nothing.
func (d joinedDir) write(v *invite.Invite) error {
	text := []byte("# Written by 'edge join'. A supernode in each line: HOST:PORT#KEY [" + tokenWord + " TOKEN] [" + obfsWord + " KEY]\n")
	for _, s := range v.Supernodes {
		text = fmt.Appendf(text, "%s#%s", s.Place(), base64.RawURLEncoding.EncodeToString(s.Key[:]))
		if s.Token != (invite.Token{}) {
			text = fmt.Appendf(text, " %s %s", tokenWord, invite.EncodeToken(s.Token))
		}
		if len(s.Obfs) > 0 {
			text = fmt.Appendf(text, " %s %s", obfsWord, invite.EncodeObfs(s.Obfs))
		}
		text = append(text, '\n')
	}
	if err := durable.Replace(d.supernodes(), text, 0o600); err != nil {
		return err
	}
	if v.Keys == nil {
		return nil
	}
	keys, err := v.Keys.AppendText(nil)
	if err != nil {
		return err
	}
	return durable.Replace(d.keys(), keys, 0o600)
}

// withJoined returns a supernode of the command line with the key, the token and the
// obfuscation key that are known of it, if it has none.
func withJoined(sn edge.Supernode, known []edge.Supernode) edge.Supernode {
	for _, k := range known {
		if k.Name != sn.Name || sn.Key != nil && (k.Key == nil || *k.Key != *sn.Key) {
			continue
		}
		sn.Key, sn.Token, sn.ObfsKey = k.Key, k.Token, k.ObfsKey
	}
	return sn
}
