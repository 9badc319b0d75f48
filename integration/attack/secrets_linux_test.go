package attack

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/internal/printed"
	"hedgerow/supernode"
)

// The key is not in the list of processes, in no log, in no answer and in no
// file; what is secret on disk is the owner's alone.
func TestSecretsStaySecret(t *testing.T) {
	s := newScene(t)
	verbose := []string{"-l", superAddr, "-vv"}
	left := s.join(lab.Must(s.lab.Host("left", "203.0.113.11")), verbose...)
	right := s.join(lab.Must(s.lab.Host("right", "203.0.113.12")), verbose...)
	s.awaitPath(left, right, control.PathDirect)
	k := s.secrets()
	secret := [][]byte{[]byte(passphrase)}
	add := func(b []byte) {
		secret = append(secret, b, []byte(hex.EncodeToString(b)), []byte(base64.StdEncoding.EncodeToString(b)),
			[]byte(base64.RawURLEncoding.EncodeToString(b)))
	}
	add(k.community.Secret[:])
	add(k.community.Epochs[0].Key[:])
	holds := func(what string, b []byte) {
		t.Helper()
		for _, v := range secret {
			if bytes.Contains(b, v) {
				t.Errorf("%s holds a secret", what)
			}
		}
	}
	for _, m := range []*member{left, right} {
		line := lab.Must(os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.Pid()), "cmdline")))
		holds("the command line of "+m.Name, line)
		if !bytes.Contains(line, []byte("-k\x00"+strings.Repeat("*", len(passphrase))+"\x00")) {
			t.Errorf("the command line is %q", line)
		}
		for _, what := range []string{"status", "peers", "keys"} {
			for _, form := range [][]string{nil, {"--json"}} {
				args := append([]string{programs.Edge, what, "--control", s.rig.Socket(m.Name)}, form...)
				out, err := m.at.Command(s.ctx, args...).CombinedOutput()
				if err != nil {
					t.Errorf("edge %s: %v: %s", what, err, out)
				}
				holds("edge "+what, out)
			}
		}
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
		holds("the log of "+m.Name, []byte(m.Log()))
	}
	st := s.superStatus()
	holds("the status of the supernode", []byte(strings.Join([]string{st.Key, st.Communities[0].ID}, " ")))
	modeOf(t, filepath.Join(s.rig.Dir, "super.sock"), 0o660)
	if err := s.super.Stop(); err != nil {
		t.Error(err)
	}
	holds("the log of the supernode", []byte(s.super.Log()))

	files := 0
	for _, dir := range []string{"left", "right", "super"} {
		err := filepath.WalkDir(filepath.Join(s.rig.Dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				modeOf(t, path, 0o700)
				return nil
			}
			files++
			modeOf(t, path, 0o600)
			holds(path, lab.Must(os.ReadFile(path)))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < 5 {
		t.Errorf("only %d files were looked at", files)
	}
	for _, path := range []string{filepath.Join("left", communityName, "id"), filepath.Join("super", supernode.IdentityFile)} {
		if _, err := os.Stat(filepath.Join(s.rig.Dir, path)); err != nil {
			t.Error(err)
		}
	}
}

// modeOf checks the permissions of a file.
func modeOf(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o, want %04o", path, got, want)
	}
}

// A state directory that did not exist is made for its owner alone, however
// generous the mask of the process is.
func TestStateIsMadePrivate(t *testing.T) {
	s := newScene(t)
	h := lab.Must(s.lab.Host("h", "203.0.113.11"))
	dir := open(t)
	args := edgeArgs(dir, "-l", superAddr)
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + a + "'"
	}
	cmd := h.Command(s.ctx, "/bin/sh", "-c", "umask 0; exec "+strings.Join(quoted, " "))
	var said printed.Text
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, &said, "ready in", soon)
	modeOf(t, filepath.Join(dir, "control.sock"), 0o660)
	if err := cmd.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	err := filepath.WalkDir(filepath.Join(dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			modeOf(t, path, 0o700)
		} else {
			modeOf(t, path, 0o600)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
