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

// tokenWord stands between a supernode and its token.
const tokenWord = "token"

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

// parseJoined reads HOST:PORT[#KEY] [token TOKEN].
func parseJoined(line string) (edge.Supernode, error) {
	words := strings.Fields(line)
	sn, err := parseSupernode(words[0])
	switch {
	case err != nil:
		return sn, err
	case len(words) == 1:
		return sn, nil
	case len(words) != 3 || words[1] != tokenWord:
		return sn, fmt.Errorf("write HOST:PORT#KEY, or HOST:PORT#KEY %s TOKEN", tokenWord)
	}
	token, err := invite.DecodeToken(words[2])
	sn.Token = token[:]
	return sn, err
}

// write writes what an invite says. The keys come last: without them the edge does not
// start, so that it finds all or nothing.
func (d joinedDir) write(v *invite.Invite) error {
	text := []byte("# Written by 'edge join'. A supernode in each line: HOST:PORT#KEY [" + tokenWord + " TOKEN]\n")
	for _, s := range v.Supernodes {
		text = fmt.Appendf(text, "%s#%s", s.Place(), base64.RawURLEncoding.EncodeToString(s.Key[:]))
		if s.Token != (invite.Token{}) {
			text = fmt.Appendf(text, " %s %s", tokenWord, invite.EncodeToken(s.Token))
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

// withJoined returns a supernode of the command line with the key and the token that are
// known of it, if it has none.
func withJoined(sn edge.Supernode, known []edge.Supernode) edge.Supernode {
	for _, k := range known {
		if k.Name != sn.Name || sn.Key != nil && (k.Key == nil || *k.Key != *sn.Key) {
			continue
		}
		sn.Key, sn.Token = k.Key, k.Token
	}
	return sn
}
